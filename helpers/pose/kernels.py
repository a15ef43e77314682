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
class Start:
    turn: wp.quat
    shift: wp.vec3


@wp.struct
class View:
    """One pass over the points at a pose: cost and normal equations H δ = g."""

    behind: int
    cost: float
    H: mat66
    g: vec6


@wp.struct
class Found:
    """Sums over the points in the end: for σ² (pull, slope), and weighted means of residual² and spread, px²."""

    pull: float
    slope: float
    missed: float
    spread: float


@wp.func
def image_point(points: wp.array3d(dtype=wp.float32), b: int, n: int) -> wp.vec2:
    return wp.vec2(points[b, n, 0], points[b, n, 1])


@wp.func
def model_point(points: wp.array3d(dtype=wp.float32), b: int, n: int) -> wp.vec3:
    # A model shared by all faces has one row.
    row = wp.min(b, points.shape[0] - 1)
    return wp.vec3(points[row, n, 0], points[row, n, 1], points[row, n, 2])


@wp.func
def weight_of(weights: wp.array2d(dtype=wp.float32), b: int, n: int) -> float:
    return weights[wp.min(b, weights.shape[0] - 1), n]


@wp.func
def gather_moments(
    points_2d: wp.array3d(dtype=wp.float32),
    points_3d: wp.array3d(dtype=wp.float32),
    weights: wp.array2d(dtype=wp.float32),
    camera: wp.vec3,
    b: int,
) -> Moments:
    m = Moments()
    total, count = float(0.0), int(0)
    x_sum, p_sum = wp.vec3(0.0), wp.vec2(0.0)
    for n in range(points_2d.shape[1]):
        w = weight_of(weights, b, n)
        x = model_point(points_3d, b, n)
        p = image_point(points_2d, b, n)
        if w > 0.0:
            count += 1
        total += w
        x_sum += w * x
        p_sum += w * wp.vec2(p[0] - camera[1], camera[2] - p[1])
    middle, image_middle = x_sum / total, p_sum / total
    C = wp.mat33(0.0)
    by_u, by_v, D = wp.vec3(0.0), wp.vec3(0.0), wp.vec3(0.0)
    for n in range(points_2d.shape[1]):
        s = weight_of(weights, b, n) / total
        x = model_point(points_3d, b, n) - middle
        p = image_point(points_2d, b, n)
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
def pos(m: Moments, camera: wp.vec3) -> Start:
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
    start = Start()
    start.turn = wp.normalize(wp.quat_from_matrix(R))
    start.shift = wp.vec3(
        m.image_middle[0] / scale - turned[0],
        turned[1] - m.image_middle[1] / scale,
        camera[0] / scale + turned[2],
    )
    return start


@wp.func
def missing_depth(
    points_3d: wp.array3d(dtype=wp.float32), weights: wp.array2d(dtype=wp.float32), b: int, start: Start
) -> float:
    """How far, mm, to move the face away so that all of it lies in front of the camera."""
    R = wp.quat_to_matrix(start.turn)
    nearest, farthest = float(1.0e30), float(-1.0e30)
    for n in range(points_3d.shape[1]):
        if weight_of(weights, b, n) > 0.0:
            x = model_point(points_3d, b, n)
            z = start.shift[2] - (R[2, 0] * x[0] + R[2, 1] * x[1] + R[2, 2] * x[2])
            nearest, farthest = wp.min(nearest, z), wp.max(farthest, z)
    missing = 0.1 * (farthest - nearest) - nearest
    if missing > 0.0 and farthest > 0.0:
        return missing
    return 0.0


@wp.func
def look(
    points_2d: wp.array3d(dtype=wp.float32),
    points_3d: wp.array3d(dtype=wp.float32),
    weights: wp.array2d(dtype=wp.float32),
    camera: wp.vec3,
    b: int,
    turn: wp.quat,
    t: wp.vec3,
    robust: float,  # 1 / robust_px², 0 for least squares
) -> View:
    R = wp.quat_to_matrix(turn)
    f = camera[0]
    view = View()
    cost, behind = float(0.0), int(0)
    # The 21 different entries of H: A by rotation, C by both, and the three numbers of the translation.
    a00, a01, a02, a11, a12, a22 = float(0.0), float(0.0), float(0.0), float(0.0), float(0.0), float(0.0)
    cu, cv, cz = wp.vec3(0.0), wp.vec3(0.0), wp.vec3(0.0)
    ss, sz_u, sz_v, zz = float(0.0), float(0.0), float(0.0), float(0.0)
    g_turn, g_shift = wp.vec3(0.0), wp.vec3(0.0)
    for n in range(points_2d.shape[1]):
        w = weight_of(weights, b, n)
        if w > 0.0:
            q = R * model_point(points_3d, b, n)
            z = t[2] - q[2]
            if z <= 0.0:
                behind = int(1)
            over = 1.0 / z
            a, e = (q[0] + t[0]) * over, (t[1] - q[1]) * over
            p = image_point(points_2d, b, n)
            ru, rv = f * a + camera[1] - p[0], f * e + camera[2] - p[1]
            squared = ru * ru + rv * rv
            if robust > 0.0:
                ratio = squared * robust
                cost += w * wp.log(1.0 + ratio) / robust
                w = w / (1.0 + ratio)
            else:
                cost += w * squared
            # Rows by the translation are (s, 0, −sa) and (0, s, −se); by the rotation, q × (flip · row).
            s = f * over
            sa, se = s * a, s * e
            by_u = wp.vec3(q[1] * sa, q[2] * s - q[0] * sa, -q[1] * s)
            by_v = wp.vec3(q[1] * se + q[2] * s, -q[0] * se, -q[0] * s)
            wu, wv = w * by_u, w * by_v
            a00 += wu[0] * by_u[0] + wv[0] * by_v[0]
            a01 += wu[0] * by_u[1] + wv[0] * by_v[1]
            a02 += wu[0] * by_u[2] + wv[0] * by_v[2]
            a11 += wu[1] * by_u[1] + wv[1] * by_v[1]
            a12 += wu[1] * by_u[2] + wv[1] * by_v[2]
            a22 += wu[2] * by_u[2] + wv[2] * by_v[2]
            cu += s * wu
            cv += s * wv
            cz += sa * wu + se * wv
            ws = w * s
            ss += ws * s
            sz_u += ws * sa
            sz_v += ws * se
            zz += w * (sa * sa + se * se)
            g_turn += ru * wu + rv * wv
            g_shift += ws * wp.vec3(ru, rv, -(a * ru + e * rv))
    view.behind = behind
    view.cost = cost
    view.g = vec6(g_turn[0], g_turn[1], g_turn[2], g_shift[0], g_shift[1], g_shift[2])
    # fmt: off
    view.H = mat66(
        a00, a01, a02, cu[0], cv[0], -cz[0],
        a01, a11, a12, cu[1], cv[1], -cz[1],
        a02, a12, a22, cu[2], cv[2], -cz[2],
        cu[0], cu[1], cu[2], ss, 0.0, -sz_u,
        cv[0], cv[1], cv[2], 0.0, ss, -sz_v,
        -cz[0], -cz[1], -cz[2], -sz_u, -sz_v, zz,
    )
    # fmt: on
    return view


@wp.func
def cholesky(H: mat66, damping: float) -> mat66:
    """Lower triangle L with L Lᵀ = H + damping · diag H; the diagonal of the result holds 1 / L_ii."""
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
            if i != j:
                L[i, j] = rest * L[j, j]
        # The diagonal is kept inverted, so that solving multiplies and does not divide.
    for i in range(6):
        for j in range(i + 1, 6):
            L[i, j] = 0.0
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
def write_residuals(
    points_2d: wp.array3d(dtype=wp.float32),
    points_3d: wp.array3d(dtype=wp.float32),
    weights: wp.array2d(dtype=wp.float32),
    camera: wp.vec3,
    b: int,
    turn: wp.quat,
    t: wp.vec3,
    robust: float,
    residual: wp.array2d(dtype=wp.float32),
    used: wp.array2d(dtype=wp.float32),
) -> Found:
    R = wp.quat_to_matrix(turn)
    found = Found()
    pull, slope, missed, total = float(0.0), float(0.0), float(0.0), float(0.0)
    moment, square = wp.vec2(0.0), float(0.0)
    for n in range(points_2d.shape[1]):
        w = weight_of(weights, b, n)
        q = R * model_point(points_3d, b, n)
        s = camera[0] / (t[2] - q[2])
        p = image_point(points_2d, b, n)
        ru, rv = s * (q[0] + t[0]) + camera[1] - p[0], s * (t[1] - q[1]) + camera[2] - p[1]
        squared = ru * ru + rv * rv
        factor = 1.0 / (1.0 + squared * robust)
        residual[b, n] = wp.sqrt(squared)
        used[b, n] = w * factor
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
    found.pull = pull
    found.slope = slope
    found.missed = missed / total
    found.spread = square / total - wp.dot(moment, moment) / (total * total)
    return found


@wp.func
def solve_face(
    b: int,
    points_2d: wp.array3d(dtype=wp.float32),
    points_3d: wp.array3d(dtype=wp.float32),
    weights: wp.array2d(dtype=wp.float32),
    cameras: wp.array2d(dtype=wp.float32),
    start: wp.array2d(dtype=wp.float32),
    iterations: int,
    robust: float,
    noise: float,
    tolerance: float,
    smallest: float,
    pose: wp.array2d(dtype=wp.float32),
    residual: wp.array2d(dtype=wp.float32),
    used: wp.array2d(dtype=wp.float32),
    covariance: wp.array3d(dtype=wp.float32),
    code: wp.array(dtype=wp.int32),
    steps: wp.array(dtype=wp.int32),
):
    """Everything for face b; the arguments are those of `pose_kernel`."""
    camera = wp.vec3(cameras[b, 0], cameras[b, 1], cameras[b, 2])
    moments = gather_moments(points_2d, points_3d, weights, camera, b)
    why = reason_code(moments, camera)
    code[b] = why
    if why == GOOD:
        first = Start()
        given = int(0)
        if start.shape[0] > 0:
            v = wp.vec3(start[b, 0], start[b, 1], start[b, 2])
            s = wp.vec3(start[b, 3], start[b, 4], start[b, 5])
            if wp.isfinite(v[0] + v[1] + v[2] + s[0] + s[1] + s[2]):
                given = int(1)
                first.turn = quaternion(v)
                first.shift = s
        if given == 0:
            first = pos(moments, camera)
        q_new = first.turn
        t_new = first.shift + wp.vec3(0.0, 0.0, missing_depth(points_3d, weights, b, first))

        q = q_new
        t = t_new
        state = View()
        damping, tries, running = float(FIRST_DAMPING), int(0), int(1)
        while running == 1:
            tried = look(points_2d, points_3d, weights, camera, b, q_new, t_new, robust)
            better = tried.cost < state.cost and tried.behind == 0
            if tries == 0 or better:
                q = q_new
                t = t_new
                state = tried
            if tries > 0:
                if better:
                    damping = wp.max(damping * DAMPING_DOWN, DAMPING_LEAST)
                else:
                    damping = wp.min(damping * DAMPING_UP, DAMPING_MOST)
            step = solve_lower_upper(cholesky(state.H, damping), state.g)
            enough = tolerance * state.cost + smallest * moments.total
            if state.behind == 0 and tries < iterations and wp.dot(state.g, step) > enough:
                tries += 1
                q_new = turned(q, -wp.vec3(step[0], step[1], step[2]))
                t_new = t - wp.vec3(step[3], step[4], step[5])
            else:
                running = int(0)
        steps[b] = tries
        if state.behind == 1:
            code[b] = BEHIND
        elif not wp.isfinite(state.cost):
            code[b] = LOST
        else:
            vector = rotation_vector(q)
            for i in range(3):
                pose[b, i] = vector[i]
                pose[b, 3 + i] = t[i]
            found = write_residuals(points_2d, points_3d, weights, camera, b, q, t, robust, residual, used)
            forward = wp.quat_rotate(q, wp.vec3(0.0, 0.0, 1.0))
            if found.missed > LARGE_RESIDUAL * LARGE_RESIDUAL * found.spread:
                code[b] = MISFIT
            elif forward[0] * t[0] - forward[1] * t[1] - forward[2] * t[2] > 0.0:
                code[b] = AWAY
            slope = found.slope / float(moments.count)
            variance = found.pull / float(wp.max(2 * moments.count - 6, 1)) / (slope * slope)
            if noise > 0.0:
                variance = noise * noise / slope
            H = state.H
            if robust > 0.0:
                # The covariance wants the weights without their robust factor.
                plain = look(points_2d, points_3d, weights, camera, b, q, t, 0.0)
                H = plain.H
            L = cholesky(H, 0.0)
            for i in range(6):
                unit = vec6(0.0)
                unit[i] = variance
                column = solve_lower_upper(L, unit)
                for j in range(6):
                    covariance[b, i, j] = column[j]


@wp.kernel
def pose_kernel(
    points_2d: wp.array3d(dtype=wp.float32),  # (B, N, 2) px
    points_3d: wp.array3d(dtype=wp.float32),  # (B or 1, N, 3) mm, model axes
    weights: wp.array2d(dtype=wp.float32),  # (B or 1, N)
    cameras: wp.array2d(dtype=wp.float32),  # (B, 3) focal, cx, cy px
    start: wp.array2d(dtype=wp.float32),  # (B, 6) rotation vector and translation, or (0, 6) for POS
    iterations: int,
    robust: float,  # 1 / robust_px², 0 for least squares
    noise: float,  # px, 0 to estimate it
    tolerance: float,  # share of the cost, and px², that a step must promise to gain
    smallest: float,
    offset: int,  # first face of this launch
    pose: wp.array2d(dtype=wp.float32),  # (B, 6)
    residual: wp.array2d(dtype=wp.float32),  # (B, N) px
    used: wp.array2d(dtype=wp.float32),  # (B, N)
    covariance: wp.array3d(dtype=wp.float32),  # (B, 6, 6)
    code: wp.array(dtype=wp.int32),  # (B,)
    steps: wp.array(dtype=wp.int32),  # (B,)
):
    b = wp.tid() + offset
    solve_face(
        b,
        points_2d,
        points_3d,
        weights,
        cameras,
        start,
        iterations,
        robust,
        noise,
        tolerance,
        smallest,
        pose,
        residual,
        used,
        covariance,
        code,
        steps,
    )


@wp.func
def squared_error(
    points_2d: wp.array3d(dtype=wp.float32),
    points_3d: wp.array3d(dtype=wp.float32),
    cameras: wp.array2d(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    i: int,
    sets: int,
    error: wp.array2d(dtype=wp.float32),
):
    """All points of face i // sets at pose i; the arguments are those of `error_kernel`."""
    b = i // sets
    R = wp.quat_to_matrix(quaternion(wp.vec3(pose[i, 0], pose[i, 1], pose[i, 2])))
    for n in range(points_2d.shape[1]):
        q = R * model_point(points_3d, b, n)
        z = pose[i, 5] - q[2]
        s = cameras[b, 0] / z
        p = image_point(points_2d, b, n)
        ru = s * (q[0] + pose[i, 3]) + cameras[b, 1] - p[0]
        rv = s * (pose[i, 4] - q[1]) + cameras[b, 2] - p[1]
        squared = ru * ru + rv * rv
        # Not for NaN either: a set without a pose has no errors that could win.
        if not (z > 0.0 and squared < 1.0e30):
            squared = float(wp.inf)
        error[i, n] = squared


@wp.kernel
def error_kernel(
    points_2d: wp.array3d(dtype=wp.float32),  # (B, N, 2) px
    points_3d: wp.array3d(dtype=wp.float32),  # (B or 1, N, 3) mm
    cameras: wp.array2d(dtype=wp.float32),  # (B, 3) focal, cx, cy px
    pose: wp.array2d(dtype=wp.float32),  # (B · sets, 6)
    sets: int,
    offset: int,
    error: wp.array2d(dtype=wp.float32),  # (B · sets, N) px², infinite behind the camera
):
    squared_error(points_2d, points_3d, cameras, pose, wp.tid() + offset, sets, error)
