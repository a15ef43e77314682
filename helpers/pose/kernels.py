# ty: ignore
# Warp compiles these functions, not Python, and its stubs give arrays and vectors no items, shapes or operators.
"""Warp kernel of the pose solver: one thread finds the pose of one face, from its points to its covariance.

The whole search, POS start included, stays in the thread's registers; memory is touched to read the points and
to write the answer. `helpers.pose.reference` takes the same steps in torch. Each thread writes to its own face
only, so no order of threads can change the result.
"""

from helpers._warp import wp
from helpers.pose import checks, solution

wp.set_module_options({"enable_backward": False})

vec6 = wp.types.vector(length=6, dtype=wp.float32)
mat66 = wp.types.matrix(shape=(6, 6), dtype=wp.float32)

GOOD = wp.constant(checks.GOOD)
NOT_FINITE = wp.constant(checks.NOT_FINITE)
TOO_FEW = wp.constant(checks.TOO_FEW)
ONE_POINT = wp.constant(checks.ONE_POINT)
LINE = wp.constant(checks.LINE)
PLANE = wp.constant(checks.PLANE)
BEHIND = wp.constant(checks.BEHIND)
AWAY = wp.constant(checks.AWAY)
MISFIT = wp.constant(checks.MISFIT)
LARGE_RESIDUAL = wp.constant(checks.LARGE_RESIDUAL)
LOST = wp.constant(checks.LOST)
MIN_POINTS = wp.constant(checks.MIN_POINTS)
FLAT = wp.constant(checks.FLAT)
FLAT_IMAGE = wp.constant(checks.FLAT_IMAGE)
ONE_PLACE = wp.constant(checks.ONE_PLACE)
FIRST_DAMPING = wp.constant(solution.FIRST_DAMPING)
DAMPING_DOWN = wp.constant(solution.DAMPING_DOWN)
DAMPING_UP = wp.constant(solution.DAMPING_UP)
DAMPING_LEAST = wp.constant(solution.DAMPING_RANGE[0])
DAMPING_MOST = wp.constant(solution.DAMPING_RANGE[1])


@wp.struct
class Moments:
    """Weighted means of the points and of their products, all that POS and the checks need."""

    finite: int
    count: int
    total: float
    middle: wp.vec3  # mm
    image_middle: wp.vec2  # px, y up
    scatter: wp.mat33  # mm²
    by_u: wp.vec3  # mm · px
    by_v: wp.vec3
    image_scatter: wp.vec3  # uu, uv, vv px²


@wp.struct
class RigidMotion:
    """x ↦ turn · x + shift, but for the flip between model and camera axes."""

    turn: wp.quat
    shift: wp.vec3  # mm, camera axes


@wp.struct
class Linearisation:
    """One pass over the points at a pose: cost and normal equations H δ = g."""

    behind: int
    cost: float
    H: mat66
    g: vec6


@wp.struct
class Spread:
    """Sums over the points in the end: for σ² (pull, slope), and weighted means of residual² and spread, px²."""

    pull: float
    slope: float
    missed: float
    spread: float


@wp.struct
class Observations:
    """N points of B faces; what all faces share has one row."""

    points_2d: wp.array3d[wp.float32]  # (B, N, 2) px
    points_3d: wp.array3d[wp.float32]  # (B or 1, N, 3) mm, model axes
    weights: wp.array2d[wp.float32]  # (B or 1, N)
    cameras: wp.array[wp.vec3]  # (B,) focal, cx, cy px


@wp.struct
class Options:
    iterations: int
    robust: float  # 1 / robust_px², 0 for least squares
    noise: float  # px, 0 to estimate it
    tolerance: float  # share of the cost, and px², that a step must promise to gain
    smallest: float


@wp.struct
class Answer:
    pose: wp.array2d[wp.float32]  # (B, 6) rotation vector and translation
    residual: wp.array2d[wp.float32]  # (B, N) px
    used: wp.array2d[wp.float32]  # (B, N)
    covariance: wp.array3d[wp.float32]  # (B, 6, 6)
    code: wp.array[wp.int32]  # (B,)
    steps: wp.array[wp.int32]  # (B,)


@wp.func
def image_point(seen: Observations, b: int, n: int) -> wp.vec2:
    return wp.vec2(seen.points_2d[b, n, 0], seen.points_2d[b, n, 1])


@wp.func
def model_point(seen: Observations, b: int, n: int) -> wp.vec3:
    row = wp.min(b, seen.points_3d.shape[0] - 1)
    return wp.vec3(seen.points_3d[row, n, 0], seen.points_3d[row, n, 1], seen.points_3d[row, n, 2])


@wp.func
def weight_of(seen: Observations, b: int, n: int) -> float:
    return seen.weights[wp.min(b, seen.weights.shape[0] - 1), n]


@wp.func
def gather_moments(seen: Observations, b: int) -> Moments:
    camera = seen.cameras[b]
    m = Moments()
    total, count = float(0.0), int(0)
    x_sum, p_sum = wp.vec3(0.0), wp.vec2(0.0)
    for n in range(seen.points_2d.shape[1]):
        w = weight_of(seen, b, n)
        x = model_point(seen, b, n)
        p = image_point(seen, b, n)
        if w > 0.0:
            count += 1
        total += w
        x_sum += w * x
        p_sum += w * wp.vec2(p[0] - camera[1], camera[2] - p[1])
    middle, image_middle = x_sum / total, p_sum / total
    C = wp.mat33(0.0)
    by_u, by_v, D = wp.vec3(0.0), wp.vec3(0.0), wp.vec3(0.0)
    for n in range(seen.points_2d.shape[1]):
        s = weight_of(seen, b, n) / total
        x = model_point(seen, b, n) - middle
        p = image_point(seen, b, n)
        u = p[0] - camera[1] - image_middle[0]
        v = camera[2] - p[1] - image_middle[1]
        C += wp.outer(s * x, x)
        by_u += (s * u) * x
        by_v += (s * v) * x
        D += s * wp.vec3(u * u, u * v, v * v)
    m.count = count
    # A number that is not finite spoils the sums, also under a weight of 0.
    m.finite = int(wp.isfinite(total + x_sum[0] + x_sum[1] + x_sum[2] + p_sum[0] + p_sum[1]))
    m.total = total
    m.middle = middle
    m.image_middle = image_middle
    m.scatter = C
    m.by_u = by_u
    m.by_v = by_v
    m.image_scatter = D
    return m


@wp.func
def reason_code(m: Moments, camera: wp.vec3) -> int:
    """GOOD, or why no pose can be found; `helpers.pose.checks.usable` explains the numbers."""
    if m.finite == 0 or not wp.isfinite(camera[0] + camera[1] + camera[2]):
        return NOT_FINITE
    if m.count < MIN_POINTS:
        return TOO_FEW
    C, D = m.scatter, m.image_scatter
    trace, trace_2d = wp.trace(C), D[0] + D[2]
    minors = (trace * trace - wp.ddot(C, C)) / 2.0
    if trace < ONE_PLACE or trace_2d < ONE_PLACE:
        return ONE_POINT
    if minors < FLAT * trace * trace or D[0] * D[2] - D[1] * D[1] < FLAT_IMAGE * trace_2d * trace_2d:
        return LINE
    if wp.determinant(C) < FLAT * minors * trace:
        return PLANE
    return GOOD


@wp.func
def pos(m: Moments, camera: wp.vec3) -> RigidMotion:
    """`helpers.pose.closed_form.pos` from the moments."""
    inverse = wp.inverse(m.scatter)
    row_u, row_v = inverse * m.by_u, inverse * m.by_v
    # Nearest orthonormal rows: the root of G = M Mᵀ is (G + √det G · 1) / τ.
    uu, uv, vv = wp.dot(row_u, row_u), wp.dot(row_u, row_v), wp.dot(row_v, row_v)
    root_det = wp.sqrt(wp.max(uu * vv - uv * uv, 1.0e-30))
    tau = wp.sqrt(uu + vv + 2.0 * root_det)
    a, d = (uu + root_det) / tau, (vv + root_det) / tau
    c = uv / tau
    det = a * d - c * c
    first = (d * row_u - c * row_v) / det
    second = (a * row_v - c * row_u) / det
    R = wp.matrix_from_rows(first, second, wp.cross(first, second))
    scale = tau / 2.0
    turned = R * m.middle
    start = RigidMotion()
    start.turn = wp.normalize(wp.quat_from_matrix(R))
    start.shift = wp.vec3(
        m.image_middle[0] / scale - turned[0],
        turned[1] - m.image_middle[1] / scale,
        camera[0] / scale + turned[2],
    )
    return start


@wp.func
def missing_depth(seen: Observations, b: int, start: RigidMotion) -> float:
    """How far, mm, to move the face away so that all of it lies in front of the camera."""
    R = wp.quat_to_matrix(start.turn)
    nearest, farthest = float(1.0e30), float(-1.0e30)
    for n in range(seen.points_2d.shape[1]):
        if weight_of(seen, b, n) > 0.0:
            x = model_point(seen, b, n)
            z = start.shift[2] - (R[2, 0] * x[0] + R[2, 1] * x[1] + R[2, 2] * x[2])
            nearest, farthest = wp.min(nearest, z), wp.max(farthest, z)
    missing = 0.1 * (farthest - nearest) - nearest
    if missing > 0.0 and farthest > 0.0:
        return missing
    return 0.0


@wp.func
def linearise(seen: Observations, b: int, at: RigidMotion, robust: float) -> Linearisation:
    """robust: 1 / robust_px², 0 for least squares."""
    R, t, camera = wp.quat_to_matrix(at.turn), at.shift, seen.cameras[b]
    f = camera[0]
    cost, behind = float(0.0), int(0)
    # H in blocks: A by the rotation twice; columns of that by rotation and translation; and by the translation twice,
    # whose rows (s, 0, −s x) and (0, s, −s y) leave only four different entries.
    A = wp.mat33(0.0)
    by_tx, by_ty, by_tz = wp.vec3(0.0), wp.vec3(0.0), wp.vec3(0.0)
    xx, xz, yz, zz = float(0.0), float(0.0), float(0.0), float(0.0)
    g_turn, g_shift = wp.vec3(0.0), wp.vec3(0.0)
    for n in range(seen.points_2d.shape[1]):
        w = weight_of(seen, b, n)
        if w > 0.0:
            q = R * model_point(seen, b, n)
            z = t[2] - q[2]
            if z <= 0.0:
                behind = int(1)
            over = 1.0 / z
            x, y = (q[0] + t[0]) * over, (t[1] - q[1]) * over
            p = image_point(seen, b, n)
            ru, rv = f * x + camera[1] - p[0], f * y + camera[2] - p[1]
            squared = ru * ru + rv * rv
            if robust > 0.0:
                ratio = squared * robust
                cost += w * wp.log(1.0 + ratio) / robust
                w = w / (1.0 + ratio)
            else:
                cost += w * squared
            # Rows of the Jacobian for u and v by the rotation: q × (flip · row by the translation).
            s = f * over
            u_turn = wp.cross(q, wp.vec3(s, 0.0, s * x))
            v_turn = wp.cross(q, wp.vec3(0.0, -s, s * y))
            wu, wv = w * u_turn, w * v_turn
            A += wp.outer(wu, u_turn) + wp.outer(wv, v_turn)
            by_tx += s * wu
            by_ty += s * wv
            by_tz -= s * (x * wu + y * wv)
            ws = w * s * s
            xx += ws
            xz -= ws * x
            yz -= ws * y
            zz += ws * (x * x + y * y)
            g_turn += ru * wu + rv * wv
            g_shift += (w * s) * wp.vec3(ru, rv, -(x * ru + y * rv))
    found = Linearisation()
    found.behind = behind
    found.cost = cost
    found.g = vec6(g_turn[0], g_turn[1], g_turn[2], g_shift[0], g_shift[1], g_shift[2])
    # fmt: off
    found.H = mat66(
        A[0, 0], A[0, 1], A[0, 2], by_tx[0], by_ty[0], by_tz[0],
        A[1, 0], A[1, 1], A[1, 2], by_tx[1], by_ty[1], by_tz[1],
        A[2, 0], A[2, 1], A[2, 2], by_tx[2], by_ty[2], by_tz[2],
        by_tx[0], by_tx[1], by_tx[2], xx, 0.0, xz,
        by_ty[0], by_ty[1], by_ty[2], 0.0, xx, yz,
        by_tz[0], by_tz[1], by_tz[2], xz, yz, zz,
    )
    # fmt: on
    return found


@wp.func
def cholesky(H: mat66, damping: float) -> mat66:
    """Lower triangle L with L Lᵀ = H + damping · diag H; the diagonal of the result holds 1 / L_ii.

    It is kept inverted so that solving multiplies and does not divide.
    """
    L = mat66(0.0)
    for i in range(6):
        for j in range(i + 1):
            rest = H[i, j]
            if i == j:
                rest = H[i, i] * (1.0 + damping)
            for k in range(j):
                rest -= L[i, k] * L[j, k]
            if i == j:
                # A matrix that is not positive gives NaN here, and the caller takes no step.
                L[i, i] = 1.0 / wp.sqrt(rest)
            else:
                L[i, j] = rest * L[j, j]
    return L


@wp.func
def solve_lower_upper(L: mat66, g: vec6) -> vec6:
    x = g
    for i in range(6):
        rest = x[i]
        for k in range(i):
            rest -= L[i, k] * x[k]
        x[i] = rest * L[i, i]
    for r in range(6):
        i = 5 - r
        rest = x[i]
        for k in range(i + 1, 6):
            rest -= L[k, i] * x[k]
        x[i] = rest * L[i, i]
    return x


@wp.func
def turned(turn: wp.quat, by: wp.vec3) -> wp.quat:
    """A rotation vector applied after a rotation."""
    angle = wp.length(by)
    # sin(angle / 2) / angle tends to ½.
    factor = float(0.5)
    if angle > 1.0e-4:
        factor = wp.sin(0.5 * angle) / angle
    step = wp.quat(factor * by[0], factor * by[1], factor * by[2], wp.cos(0.5 * angle))
    return wp.normalize(step * turn)


@wp.func
def rotation_vector(q: wp.quat) -> wp.vec3:
    """Axis times angle, the short way round."""
    v = wp.vec3(q[0], q[1], q[2])
    w = q[3]
    if w < 0.0:
        v = -v
        w = -w
    length = wp.length(v)
    if length < 1.0e-6:
        return 2.0 * v
    return (2.0 * wp.atan2(length, w) / length) * v


@wp.func
def quaternion(vector: wp.vec3) -> wp.quat:
    return turned(wp.quat(0.0, 0.0, 0.0, 1.0), vector)


@wp.func
def starting_pose(seen: Observations, b: int, moments: Moments, start: wp.array2d[wp.float32]) -> RigidMotion:
    """The given pose if it is finite, else that of POS; moved away until it lies in front of the camera."""
    first = RigidMotion()
    given = int(0)
    if start.shape[0] > 0:
        vector = wp.vec3(start[b, 0], start[b, 1], start[b, 2])
        shift = wp.vec3(start[b, 3], start[b, 4], start[b, 5])
        if wp.isfinite(vector[0] + vector[1] + vector[2] + shift[0] + shift[1] + shift[2]):
            given = int(1)
            first.turn = quaternion(vector)
            first.shift = shift
    if given == 0:
        first = pos(moments, seen.cameras[b])
    first.shift = first.shift + wp.vec3(0.0, 0.0, missing_depth(seen, b, first))
    return first


@wp.func
def write_residuals(seen: Observations, b: int, at: RigidMotion, robust: float, answer: Answer) -> Spread:
    R, t, camera = wp.quat_to_matrix(at.turn), at.shift, seen.cameras[b]
    pull, slope, missed, total = float(0.0), float(0.0), float(0.0), float(0.0)
    moment, square = wp.vec2(0.0), float(0.0)
    for n in range(seen.points_2d.shape[1]):
        w = weight_of(seen, b, n)
        q = R * model_point(seen, b, n)
        s = camera[0] / (t[2] - q[2])
        p = image_point(seen, b, n)
        ru, rv = s * (q[0] + t[0]) + camera[1] - p[0], s * (t[1] - q[1]) + camera[2] - p[1]
        squared = ru * ru + rv * rv
        factor = 1.0 / (1.0 + squared * robust)
        answer.residual[b, n] = wp.sqrt(squared)
        answer.used[b, n] = w * factor
        if w > 0.0:
            pull += w * squared * factor * factor
            slope += factor * factor
            w = w * factor
            # From the principal point, so that the difference below keeps its digits.
            p = p - wp.vec2(camera[1], camera[2])
            missed += w * squared
            total += w
            moment += w * p
            square += w * wp.dot(p, p)
    found = Spread()
    found.pull = pull
    found.slope = slope
    found.missed = missed / total
    found.spread = square / total - wp.dot(moment, moment) / (total * total)
    return found


@wp.func
def write_covariance(H: mat66, variance: float, b: int, answer: Answer):
    L = cholesky(H, 0.0)
    for i in range(6):
        unit = vec6(0.0)
        unit[i] = variance
        column = solve_lower_upper(L, unit)
        for j in range(6):
            answer.covariance[b, i, j] = column[j]


@wp.func
def write_answer(
    seen: Observations, b: int, count: int, at: RigidMotion, H: mat66, options: Options, answer: Answer
):
    """Everything about a pose that was found, from `count` points; H: the normal equations there."""
    vector, t = rotation_vector(at.turn), at.shift
    for i in range(3):
        answer.pose[b, i] = vector[i]
        answer.pose[b, 3 + i] = t[i]
    found = write_residuals(seen, b, at, options.robust, answer)
    forward = wp.quat_rotate(at.turn, wp.vec3(0.0, 0.0, 1.0))
    if found.missed > LARGE_RESIDUAL * LARGE_RESIDUAL * found.spread:
        answer.code[b] = MISFIT
    elif forward[0] * t[0] - forward[1] * t[1] - forward[2] * t[2] > 0.0:
        answer.code[b] = AWAY
    slope = found.slope / float(count)
    variance = found.pull / float(wp.max(2 * count - 6, 1)) / (slope * slope)
    if options.noise > 0.0:
        variance = options.noise * options.noise / slope
    normal = H
    if options.robust > 0.0:
        # The covariance wants the weights without their robust factor.
        plain = linearise(seen, b, at, 0.0)
        normal = plain.H
    write_covariance(normal, variance, b, answer)


@wp.func
def solve_face(seen: Observations, b: int, start: wp.array2d[wp.float32], options: Options, answer: Answer):
    """Levenberg-Marquardt for face b."""
    moments = gather_moments(seen, b)
    why = reason_code(moments, seen.cameras[b])
    answer.code[b] = why
    if why != GOOD:
        return
    tried = starting_pose(seen, b, moments, start)
    best = tried
    state = Linearisation()
    damping, tries, running = float(FIRST_DAMPING), int(0), int(1)
    while running == 1:
        there = linearise(seen, b, tried, options.robust)
        better = there.cost < state.cost and there.behind == 0
        if tries == 0 or better:
            best = tried
            state = there
        if tries > 0:
            if better:
                damping = wp.max(damping * DAMPING_DOWN, DAMPING_LEAST)
            else:
                damping = wp.min(damping * DAMPING_UP, DAMPING_MOST)
        step = solve_lower_upper(cholesky(state.H, damping), state.g)
        enough = options.tolerance * state.cost + options.smallest * moments.total
        if state.behind == 0 and tries < options.iterations and wp.dot(state.g, step) > enough:
            tries += 1
            tried.turn = turned(best.turn, -wp.vec3(step[0], step[1], step[2]))
            tried.shift = best.shift - wp.vec3(step[3], step[4], step[5])
        else:
            running = int(0)
    answer.steps[b] = tries
    if state.behind == 1:
        answer.code[b] = BEHIND
    elif not wp.isfinite(state.cost):
        answer.code[b] = LOST
    else:
        write_answer(seen, b, moments.count, best, state.H, options, answer)


@wp.kernel
def pose_kernel(
    seen: Observations,
    start: wp.array2d[wp.float32],  # (B, 6) rotation vector and translation, or (0, 6) for POS
    options: Options,
    first: int,  # number of the first face of this launch
    answer: Answer,
):
    solve_face(seen, wp.tid() + first, start, options, answer)


@wp.kernel
def error_kernel(
    seen: Observations,
    pose: wp.array2d[wp.float32],  # (B · sets, 6)
    sets: int,
    first: int,  # number of the first pose of this launch
    error: wp.array2d[wp.float32],  # (B · sets, N) px², infinite behind the camera
):
    """All points of face i // sets at pose i."""
    i = wp.tid() + first
    b = i // sets
    camera = seen.cameras[b]
    R = wp.quat_to_matrix(quaternion(wp.vec3(pose[i, 0], pose[i, 1], pose[i, 2])))
    for n in range(seen.points_2d.shape[1]):
        q = R * model_point(seen, b, n)
        z = pose[i, 5] - q[2]
        s = camera[0] / z
        p = image_point(seen, b, n)
        ru = s * (q[0] + pose[i, 3]) + camera[1] - p[0]
        rv = s * (pose[i, 4] - q[1]) + camera[2] - p[1]
        squared = ru * ru + rv * rv
        # Not for NaN either: a set without a pose has no errors that could win.
        if not (z > 0.0 and squared < 1.0e30):
            squared = float(wp.inf)
        error[i, n] = squared
