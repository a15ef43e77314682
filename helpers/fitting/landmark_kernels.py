# ty: ignore
# Warp compiles these functions, not Python, and its stubs give arrays and vectors no items, shapes or operators.
"""The Warp kernel of the landmark term: one thread compares the 68 points of one face.

Sixty-eight points are too few to keep a GPU busy, but in torch they are a hundred launches at every iteration. Here a thread
goes over its face's points a few times: once to see where they project, once for each step of the search for the shift
that they share, once for weights and slopes. `helpers.fitting.reference` is the same in torch. Each thread writes its own
outputs only.
"""

from math import radians

from helpers._warp import wp
from helpers.pose import points68

wp.set_module_options({"enable_backward": False})

LEFT_JAW_STOP = wp.constant(points68.LEFT_JAW.stop)
RIGHT_JAW_START = wp.constant(points68.RIGHT_JAW.start)
JAW_STOP, BROWS_STOP = wp.constant(points68.JAW.stop), wp.constant(points68.BROWS.stop)
FAR_SIDE_YAW = wp.constant(radians(points68.FAR_SIDE_YAW))


@wp.struct
class LandmarkNumbers:
    """Settings of the landmark term."""

    sigma: wp.vec3  # px, of jaw, brows and all other points
    robust: float  # Cauchy scale, in standard deviations
    used: int  # so many count, the first ones …
    worth: float  # … together as so many observations; 0: each is one
    shift_steps: int  # of reweighted least squares; 0: no shift is shared
    shift_precision: float  # 1/px²


@wp.func
def landmark_sigma(j: int, numbers: LandmarkNumbers) -> float:
    return wp.where(
        j < JAW_STOP, numbers.sigma[0], wp.where(j < BROWS_STOP, numbers.sigma[1], numbers.sigma[2])
    )


@wp.func
def counts(j: int, yaw: float, used: int) -> float:
    """0 for points that are not used, or lie on the far side of the jaw."""
    far = (yaw > FAR_SIDE_YAW and j >= RIGHT_JAW_START and j < JAW_STOP) or (
        yaw < -FAR_SIDE_YAW and j < LEFT_JAW_STOP
    )
    return wp.where(far or j >= used, 0.0, 1.0)


@wp.func
def log1p(x: float) -> float:
    """log(1 + x), which keeps the digits of a small x (Kahan)."""
    u = 1.0 + x
    return wp.where(u == 1.0, x, wp.log(u) * x / (u - 1.0))


@wp.func
def in_camera(R: wp.mat33, t: wp.vec3, x: wp.vec3) -> wp.vec3:
    q = R * x
    return wp.vec3(q[0], -q[1], -q[2]) + t


@wp.kernel
def landmark_kernel(
    position: wp.array2d[wp.vec3],  # (B, 68) mm, model axes
    rotation: wp.array[wp.mat33],  # (B,)
    translation: wp.array[wp.vec3],  # (B,) mm
    camera: wp.array[wp.vec3],  # (B,) focal, cx, cy
    detected: wp.array2d[wp.vec2],  # (B, 68) px
    scale: wp.array[wp.float32],  # (B,) of the deviations
    trust: wp.array2d[wp.float32],  # (B, 68)
    numbers: LandmarkNumbers,
    first: int,
    residual: wp.array2d[wp.vec2],  # (B, 68) model − detected, times root
    by_vertex: wp.array4d[wp.float32],  # (B, 68, 2, 3) its slope by the vertex, model axes
    by_pose: wp.array4d[wp.float32],  # (B, 68, 2, 6) by rotation, translation
    root: wp.array2d[wp.float32],  # (B, 68) square root of the point's weight, 1/px
    energy: wp.array[wp.float32],  # (B,)
):
    b = wp.tid() + first
    R, t, f, centre = rotation[b], translation[b], camera[b][0], wp.vec2(camera[b][1], camera[b][2])
    yaw, seen = wp.atan2(R[0, 2], R[2, 2]), float(0.0)
    for j in range(position.shape[1]):
        c = in_camera(R, t, position[b, j])
        residual[b, j] = f / c[2] * wp.vec2(c[0], c[1]) + centre - detected[b, j]  # not weighted yet
        seen += counts(j, yaw, numbers.used)
    worth = wp.where(numbers.worth > 0.0, numbers.worth / seen, 1.0)

    shift = wp.vec2(0.0, 0.0)
    for _ in range(numbers.shift_steps):
        total, moved = float(0.0), wp.vec2(0.0, 0.0)
        for j in range(position.shape[1]):
            sigma = landmark_sigma(j, numbers) * scale[b]
            off = (residual[b, j] - shift) / (sigma * numbers.robust)
            w = (
                worth
                * trust[b, j]
                * counts(j, yaw, numbers.used)
                / (1.0 + wp.dot(off, off))
                / (sigma * sigma)
            )
            total += w
            moved += w * residual[b, j]
        shift = moved / (total + numbers.shift_precision)

    cost = 0.5 * numbers.shift_precision * wp.dot(shift, shift)
    for j in range(position.shape[1]):
        sigma = landmark_sigma(j, numbers) * scale[b]
        off = (residual[b, j] - shift) / (sigma * numbers.robust)
        ratio, visible = wp.dot(off, off), worth * trust[b, j] * counts(j, yaw, numbers.used)
        w = wp.sqrt(visible / (1.0 + ratio)) / sigma
        cost += 0.5 * visible * numbers.robust * numbers.robust * log1p(ratio)
        root[b, j] = w
        residual[b, j] = w * residual[b, j]
        q, c = R * position[b, j], in_camera(R, t, position[b, j])
        for k in range(2):  # u and v
            s = w * f / c[2]
            by_camera = wp.vec3(s * float(1 - k), s * float(k), -s * c[k] / c[2])
            by_point = wp.vec3(by_camera[0], -by_camera[1], -by_camera[2])
            turn, m = wp.cross(q, by_point), wp.transpose(R) * by_point
            for i in range(3):
                by_vertex[b, j, k, i] = m[i]
                by_pose[b, j, k, i] = turn[i]
                by_pose[b, j, k, 3 + i] = by_camera[i]
    energy[b] = cost
