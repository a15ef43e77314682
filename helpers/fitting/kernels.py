# ty: ignore
# Warp compiles these functions, not Python, and its stubs give arrays and vectors no items, shapes or operators.
"""The Warp kernel of the pixel term: one source for CPU and CUDA.

`point_kernel` compares model and photograph at one sampled surface point: where it projects, what colour it
should have, what colour the photograph has there, and how that difference changes when the corners of its triangle move. Matrix
products carry those derivatives over to the modes (`pixel_term`). `helpers.fitting.reference` is the same
in torch. Each thread writes its own outputs only, so no order of threads can change the result.
"""

from helpers._warp import wp
from helpers.lighting.kernels import gamma_encode, gamma_slope

wp.set_module_options({"enable_backward": False})

vec9 = wp.types.vector(length=9, dtype=wp.float32)


@wp.func
def harmonics(n: wp.vec3) -> vec9:
    x, y, z = n[0], n[1], n[2]
    return vec9(1.0, x, y, z, x * y, x * z, y * z, x * x - y * y, 3.0 * z * z - 1.0)


@wp.func
def light_slope(light: wp.array2d[wp.float32], c: int, n: wp.vec3) -> wp.vec3:
    """Derivative of the received light of channel c by the normal."""
    x, y, z = n[0], n[1], n[2]
    return wp.vec3(
        light[1, c] + light[4, c] * y + light[5, c] * z + 2.0 * light[7, c] * x,
        light[2, c] + light[4, c] * x + light[6, c] * z - 2.0 * light[7, c] * y,
        light[3, c] + light[5, c] * x + light[6, c] * y + 6.0 * light[8, c] * z,
    )


@wp.func
def bilinear(image: wp.array3d[wp.float32], x: int, y: int, fx: float, fy: float, c: int) -> float:
    top = image[y, x, c] * (1.0 - fx) + image[y, x + 1, c] * fx
    bottom = image[y + 1, x, c] * (1.0 - fx) + image[y + 1, x + 1, c] * fx
    return top * (1.0 - fy) + bottom * fy


@wp.kernel
def point_kernel(
    position: wp.array3d[wp.vec3],  # (B, P, 3 corners) mm, model axes
    albedo: wp.array2d[wp.vec3],  # (B, P)
    rotation: wp.array[wp.mat33],  # (B,)
    translation: wp.array[wp.vec3],  # (B,) mm
    light: wp.array3d[wp.float32],  # (B, 9, 3)
    camera: wp.array[wp.vec3],  # (B,) focal, cx, cy
    image: wp.array4d[wp.float32],  # (B, H, W, 9) colour, d colour / du, d colour / dv
    barycentric: wp.array2d[wp.vec3],  # (B, P)
    offset: int,
    residual: wp.array3d[wp.float32],  # (B, P, 3) photograph − model
    corner_slope: wp.array4d[wp.float32],  # (B, P, 3 channels, 9) by corner position, model axes
    shown: wp.array3d[wp.float32],  # (B, P, 3) what a white surface looks like in the light received
    by_received: wp.array3d[wp.float32],  # (B, P, 3) slope by that light
    cosine: wp.array2d[wp.float32],  # (B, P) between normal and view
    rigid: wp.array4d[wp.float32],  # (B, P, 3 channels, 6) by rotation, translation
    basis_values: wp.array3d[wp.float32],  # (B, P, 9) harmonics at the normal
):
    k = wp.tid() + offset
    points = barycentric.shape[1]
    b, p = k // points, k % points
    w = barycentric[b, p]
    R = rotation[b]
    q0, q1, q2 = R * position[b, p, 0], R * position[b, p, 1], R * position[b, p, 2]
    q = w[0] * q0 + w[1] * q1 + w[2] * q2
    c = wp.vec3(q[0], -q[1], -q[2]) + translation[b]
    a = albedo[b, p]

    e1, e2 = q1 - q0, q2 - q0
    normal = wp.cross(e1, e2)
    length = wp.length(normal) + 1.0e-9
    n = normal / length
    Y = harmonics(n)
    for h in range(9):
        basis_values[b, p, h] = Y[h]
    # The view goes from the point to the camera; in viewer axes the camera looks along (x, −y, −z).
    cosine[b, p] = wp.dot(n, wp.vec3(-c[0], c[1], c[2])) / wp.length(c)

    f = camera[b][0] / c[2]
    height, width = image.shape[1], image.shape[2]
    u = wp.clamp(f * c[0] + camera[b][1], 0.0, float(width) - 1.001)
    v = wp.clamp(f * c[1] + camera[b][2], 0.0, float(height) - 1.001)
    x, y = int(u), int(v)
    fx, fy = u - float(x), v - float(y)

    for ch in range(3):
        received = float(0.0)
        for h in range(9):
            received += light[b, h, ch] * Y[h]
        lit = gamma_encode(received)
        lit_slope = gamma_slope(received, lit)
        gu = bilinear(image[b], x, y, fx, fy, ch + 3)
        gv = bilinear(image[b], x, y, fx, fy, ch + 6)
        residual[b, p, ch] = bilinear(image[b], x, y, fx, fy, ch) - a[ch] * lit
        shown[b, p, ch] = lit
        by_received[b, p, ch] = -a[ch] * lit_slope
        # By the point in camera axes, then in viewer axes (the flip).
        by_camera = wp.vec3(gu * f, gv * f, -(gu * c[0] + gv * c[1]) * f / c[2])
        by_point = wp.vec3(by_camera[0], -by_camera[1], -by_camera[2])
        # By the unnormalised normal: only the part across n turns it.
        slope = light_slope(light[b], ch, n)
        by_normal = (slope - wp.dot(slope, n) * n) * (-a[ch] * lit_slope / length)
        by_e1, by_e2 = wp.cross(e2, by_normal), wp.cross(by_normal, e1)
        d0 = w[0] * by_point - by_e1 - by_e2
        d1 = w[1] * by_point + by_e1
        d2 = w[2] * by_point + by_e2
        turn = wp.cross(q0, d0) + wp.cross(q1, d1) + wp.cross(q2, d2)
        m0, m1, m2 = wp.transpose(R) * d0, wp.transpose(R) * d1, wp.transpose(R) * d2
        for i in range(3):
            corner_slope[b, p, ch, i] = m0[i]
            corner_slope[b, p, ch, 3 + i] = m1[i]
            corner_slope[b, p, ch, 6 + i] = m2[i]
            rigid[b, p, ch, i] = turn[i]
            rigid[b, p, ch, 3 + i] = by_camera[i]
