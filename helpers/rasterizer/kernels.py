"""The two kernels of the rasteriser: one source for CPU and CUDA.

`depth_kernel` runs once for every triangle of every image and leaves, in each pixel, the nearest triangle.
`resolve_kernel` runs once for every pixel and says where in that triangle it lies. The pure-torch twin is
`helpers.rasterizer.reference`.

Depth and triangle share one 64-bit number, depth in the upper half. Positive floats keep their order when
their bits are read as an integer, so one `atomic_min` decides both, whatever the order of the threads. At
equal depth the lower triangle number wins.
"""

from helpers._warp import wp

# A fused multiply-add rounds the two products of `cross2` differently: swapping the ends of an edge would then
# not just flip the sign, and a pixel on the edge of two triangles could be missed by both.
wp.set_module_options({"enable_backward": False, "fuse_fp": False})

EMPTY = wp.constant(wp.uint64(0xFFFFFFFFFFFFFFFF))
NEAR = wp.constant(1.0e-3)  # mm; a triangle with a vertex at or before this depth is left out


@wp.func
def cross2(a: wp.vec3, b: wp.vec3) -> float:
    return a[0] * b[1] - a[1] * b[0]


@wp.func
def edge_functions(p0: wp.vec3, p1: wp.vec3, p2: wp.vec3, x: float, y: float) -> wp.vec3:
    """Twice the signed areas that pixel (x, y) spans with the three edges; they sum to that of the triangle.

    Corners are taken relative to the pixel, so two triangles that share an edge see the very same numbers.
    """
    pixel = wp.vec3(x, y, 0.0)
    d0, d1, d2 = p0 - pixel, p1 - pixel, p2 - pixel
    return wp.vec3(cross2(d1, d2), cross2(d2, d0), cross2(d0, d1))


@wp.func
def inverse_depths(p0: wp.vec3, p1: wp.vec3, p2: wp.vec3) -> wp.vec3:
    return wp.vec3(1.0 / p0[2], 1.0 / p1[2], 1.0 / p2[2])


@wp.func
def total(w: wp.vec3) -> float:
    return w[0] + w[1] + w[2]


@wp.kernel
def depth_kernel(
    points: wp.array2d(dtype=wp.vec3),  # (B, V) u px, v px, depth mm
    triangles: wp.array(dtype=wp.vec3i),  # (F,)
    first_row: int,  # image row of the buffer's first row
    cull: int,
    buffer: wp.array3d(dtype=wp.uint64),  # (B, rows, W)
):
    b, t = wp.tid()
    corner = triangles[t]
    p0, p1, p2 = points[b, corner[0]], points[b, corner[1]], points[b, corner[2]]
    # Most triangles are about a pixel in size, and many lie between two rows: leave early. The conditions are
    # written so that a NaN fails them, and numbers become integers only once they are inside the image.
    last_row, last_column = float(first_row + buffer.shape[1] - 1), float(buffer.shape[2] - 1)
    top = wp.ceil(wp.max(wp.min(p0[1], wp.min(p1[1], p2[1])), float(first_row)))
    bottom = wp.floor(wp.min(wp.max(p0[1], wp.max(p1[1], p2[1])), last_row))
    if not (top <= bottom):
        return
    left = wp.ceil(wp.max(wp.min(p0[0], wp.min(p1[0], p2[0])), 0.0))
    right = wp.floor(wp.min(wp.max(p0[0], wp.max(p1[0], p2[0])), last_column))
    if not (left <= right) or not (wp.min(p0[2], wp.min(p1[2], p2[2])) > NEAR):
        return
    # v points down, so a triangle that is anticlockwise as the camera sees it has a negative area here.
    if cull != 0 and not (cross2(p1 - p0, p2 - p0) < 0.0):
        return
    inverse = inverse_depths(p0, p1, p2)
    for y in range(int(top), int(bottom) + 1):
        for x in range(int(left), int(right) + 1):
            e = edge_functions(p0, p1, p2, float(x), float(y))
            # Inside when all three signs agree; on an edge counts. All zero is a triangle without area.
            if (wp.min(e) >= 0.0 and wp.max(e) > 0.0) or (wp.max(e) <= 0.0 and wp.min(e) < 0.0):
                # What is linear on the screen is 1 / depth.
                depth = total(e) / total(wp.cw_mul(e, inverse))
                if depth < wp.inf:  # false as well for a NaN, from corners some 10¹⁹ px away
                    key = (wp.uint64(wp.cast(depth, wp.uint32)) << wp.uint64(32)) | wp.uint64(t)
                    wp.atomic_min(buffer, b, y - first_row, x, key)


@wp.kernel
def resolve_kernel(
    points: wp.array2d(dtype=wp.vec3),  # (B, V)
    triangles: wp.array(dtype=wp.vec3i),  # (F,)
    first_row: int,
    buffer: wp.array3d(dtype=wp.uint64),  # (B, rows, W)
    triangle_id: wp.array3d(dtype=wp.int32),  # (B, rows, W), −1 where nothing is
    barycentric: wp.array3d(dtype=wp.vec3),  # (B, rows, W)
    depth: wp.array3d(dtype=wp.float32),  # (B, rows, W) mm, infinite where nothing is
):
    b, y, x = wp.tid()
    key = buffer[b, y, x]
    if key == EMPTY:
        triangle_id[b, y, x] = -1
        barycentric[b, y, x] = wp.vec3(0.0, 0.0, 0.0)
        depth[b, y, x] = wp.inf
        return
    t = int(wp.uint32(key & wp.uint64(0xFFFFFFFF)))
    corner = triangles[t]
    p0, p1, p2 = points[b, corner[0]], points[b, corner[1]], points[b, corner[2]]
    e = edge_functions(p0, p1, p2, float(x), float(y + first_row))
    # On the screen value / depth is linear, so a corner counts on the surface by its edge function / depth.
    w = wp.cw_mul(e, inverse_depths(p0, p1, p2))
    scale = 1.0 / total(w)
    triangle_id[b, y, x] = t
    barycentric[b, y, x] = wp.vec3(w[0] * scale, w[1] * scale, w[2] * scale)
    depth[b, y, x] = total(e) / total(w)
