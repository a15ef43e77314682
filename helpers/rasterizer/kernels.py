# ty: ignore
# Warp compiles these functions, not Python, and its stubs give arrays and vectors no items, shapes or operators.
"""The kernels of the rasteriser: one source for CPU and CUDA.

`code_kernel` notes, for every vertex, between which pixel centres it lies. `depth_kernel` runs once for every
triangle of every image and leaves, in each pixel, the nearest triangle; those that cover many pixels it only
lists, and `row_kernel` draws them, one thread per row of the image. `resolve_kernel` runs once for every pixel
and finds where in its triangle it lies. On a CPU `share_kernel` takes the place of `depth_kernel`, with a share of an
image's triangles for each thread; and `image_kernel` does all four for one image in one thread, which keeps the caches warm.
All are made of the same functions. The pure-torch twin is `helpers.rasterizer.reference`.

All but `image_kernel` take their work by one index through the whole batch: vertex, triangle, share, row or pixel of image 0,
then of image 1, and so on. `first` is the index of the first thread of a launch (`helpers._warp.launch`).

Depth and triangle share one 64-bit number, depth in the upper half. The bits of a float, read as an integer,
keep its order once the negative ones are turned round, so one `atomic_min` decides both, whatever the order of
the threads. At equal depth the lower triangle number wins.
"""

from helpers._warp import wp

# A fused multiply-add rounds the two products of `cross2` differently: swapping the ends of an edge would then
# not just flip the sign, and a pixel on the edge of two triangles could be missed by both.
wp.set_module_options({"enable_backward": False, "fuse_fp": False})

EMPTY = wp.constant(wp.uint64(0xFFFFFFFFFFFFFFFF))
SIGN = wp.constant(wp.uint32(0x80000000))
NEAR = wp.constant(1.0e-3)  # mm; a perspective camera sees nothing at or before this depth
# Options, in one integer.
CULL = wp.constant(1)  # leave out triangles that turn their inside to the camera
PERSPECTIVE = wp.constant(2)
NEVER = wp.constant(2147483647)  # pixels that make a triangle a large one: no triangle is
SMALL = wp.constant(
    64
)  # pixels of a bounding box up to which a CPU lists what a triangle covers, and enters it later
HITS = 2048  # length of that list: it stays in the cache
# A vertex's code: bits 0–14 give where it lies among the columns, bits 16–30 among the rows (see `place`).
UNUSABLE = wp.constant(wp.uint32(0x00008000))  # bit 15: no finite place on the screen
BEHIND = wp.constant(wp.uint32(0x80000000))  # bit 31: at or before the near plane
COLUMN = wp.constant(wp.uint32(0x00007FFF))
ROW = wp.constant(wp.uint32(0x7FFF0000))


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
def inverse_depths(p0: wp.vec3, p1: wp.vec3, p2: wp.vec3, options: int) -> wp.vec3:
    """What a corner's edge function is multiplied with to give its weight on the surface, before they are scaled
    to sum to 1. On the screen of a perspective camera value / depth is linear; of an orthographic one, value."""
    if (options & PERSPECTIVE) == 0:
        return wp.vec3(1.0, 1.0, 1.0)
    return wp.vec3(1.0 / p0[2], 1.0 / p1[2], 1.0 / p2[2])


@wp.func
def total(w: wp.vec3) -> float:
    return w[0] + w[1] + w[2]


@wp.func
def surface_depth(e: wp.vec3, w: wp.vec3, p0: wp.vec3, p1: wp.vec3, p2: wp.vec3, options: int) -> float:
    if (options & PERSPECTIVE) == 0:
        return (e[0] * p0[2] + e[1] * p1[2] + e[2] * p2[2]) / total(e)
    return total(e) / total(w)


@wp.func
def same_sign(e: wp.vec3) -> bool:
    """Inside when all three signs agree; on an edge counts. All zero is a triangle without area."""
    none_negative = wp.min(e[0], wp.min(e[1], e[2])) >= 0.0
    none_positive = wp.max(e[0], wp.max(e[1], e[2])) <= 0.0
    return none_negative != none_positive


@wp.func
def depth_key(depth: float, t: int) -> wp.uint64:
    bits = wp.cast(depth, wp.uint32)
    if (bits >> wp.uint32(31)) != wp.uint32(0):
        bits = ~bits
    else:
        bits = bits | SIGN
    return (wp.uint64(bits) << wp.uint64(32)) | wp.uint64(t)


@wp.func
def triangle_of(key: wp.uint64) -> int:
    return int(wp.uint32(key & wp.uint64(0xFFFFFFFF)))


@wp.func
def place(at: float, length: int) -> int:
    """Where a coordinate lies among the pixel centres 0 … length − 1: 2 k + 2 on centre k, 2 k + 3 between k and
    k + 1. All that is before the image shares the place 1, all that is behind it 2 · length + 1.

    A triangle whose corners share an odd place lies between two centres, or outside the image: it covers none.
    """
    if at < 0.0:
        return 1
    if at > float(length - 1):
        return 2 * length + 1
    k = int(at)
    if float(k) == at:
        return 2 * k + 2
    return 2 * k + 3


@wp.func
def vertex_code(p: wp.vec3, height: int, width: int, options: int) -> wp.uint32:
    size = wp.abs(p[0]) + wp.abs(p[1]) + wp.abs(p[2])
    if not (size < wp.inf):
        return UNUSABLE
    code = wp.uint32(place(p[0], width)) | (wp.uint32(place(p[1], height)) << wp.uint32(16))
    if (options & PERSPECTIVE) != 0 and p[2] <= NEAR:
        code = code | BEHIND
    return code


@wp.func
def covers_nothing(corner: wp.vec3i, codes: wp.array[wp.uint32]) -> bool:
    """Most triangles are about a pixel in size, and many lie between two rows or columns: their codes show it
    before their corners are read. They also show triangles beside the image, behind the camera, or nowhere."""
    c0, c1, c2 = codes[corner[0]], codes[corner[1]], codes[corner[2]]
    different = (c0 ^ c1) | (c0 ^ c2)
    between_columns = (different & COLUMN) == wp.uint32(0) and (c0 & wp.uint32(1)) != wp.uint32(0)
    between_rows = (different & ROW) == wp.uint32(0) and (c0 & wp.uint32(0x10000)) != wp.uint32(0)
    some, every = c0 | c1 | c2, c0 & c1 & c2
    return (
        ((some & BEHIND) == wp.uint32(0) and (between_columns or between_rows))
        or (some & UNUSABLE) != wp.uint32(0)
        or (every & BEHIND) != wp.uint32(0)
    )


@wp.func
def crosses_near_plane(corner: wp.vec3i, codes: wp.array[wp.uint32]) -> bool:
    return ((codes[corner[0]] | codes[corner[1]] | codes[corner[2]]) & BEHIND) != wp.uint32(0)


@wp.func
def bounds(c0: wp.uint32, c1: wp.uint32, c2: wp.uint32) -> wp.vec2i:
    """The first and the last pixel centre between three places."""
    h0, h1, h2 = int(c0 & wp.uint32(0x7FFF)), int(c1 & wp.uint32(0x7FFF)), int(c2 & wp.uint32(0x7FFF))
    return wp.vec2i((wp.min(h0, wp.min(h1, h2)) - 1) >> 1, (wp.max(h0, wp.max(h1, h2)) >> 1) - 1)


@wp.func
def bounding_box(
    corner: wp.vec3i, codes: wp.array[wp.uint32], crossing: bool, height: int, width: int
) -> wp.vec4i:
    """The first and the last column, the first and the last row that a triangle may cover."""
    if crossing:
        return wp.vec4i(0, width - 1, 0, height - 1)
    c0, c1, c2 = codes[corner[0]], codes[corner[1]], codes[corner[2]]
    columns = bounds(c0, c1, c2)
    rows = bounds(c0 >> wp.uint32(16), c1 >> wp.uint32(16), c2 >> wp.uint32(16))
    return wp.vec4i(columns[0], columns[1], rows[0], rows[1])


@wp.func
def enter_pixel(
    p0: wp.vec3,
    p1: wp.vec3,
    p2: wp.vec3,
    inverse: wp.vec3,
    e: wp.vec3,
    t: int,
    x: int,
    y: int,
    options: int,
    image: wp.array2d[wp.uint64],
):
    """Enter triangle t in a pixel that it covers, unless a nearer one is there."""
    w = wp.cw_mul(e, inverse)
    depth = surface_depth(e, w, p0, p1, p2, options)
    # Both comparisons are false for a NaN, from corners some 10¹⁹ px away.
    if depth < wp.inf and (depth > NEAR or (options & PERSPECTIVE) == 0):
        wp.atomic_min(image, y, x, depth_key(depth, t))


@wp.func
def draw_pixel(
    p0: wp.vec3,
    p1: wp.vec3,
    p2: wp.vec3,
    inverse: wp.vec3,
    t: int,
    x: int,
    y: int,
    crossing: bool,
    options: int,
    image: wp.array2d[wp.uint64],
):
    e = edge_functions(p0, p1, p2, float(x), float(y))
    signs = e
    if crossing:
        # A corner behind the camera turns the sign of its weight, and only the weights show what is inside.
        signs = wp.cw_mul(e, inverse)
    if same_sign(signs):
        enter_pixel(p0, p1, p2, inverse, e, t, x, y, options, image)


@wp.func
def draw_row(
    p0: wp.vec3,
    p1: wp.vec3,
    p2: wp.vec3,
    inverse: wp.vec3,
    t: int,
    left: int,
    right: int,
    y: int,
    crossing: bool,
    options: int,
    image: wp.array2d[wp.uint64],
):
    """Enter triangle t in those of the pixels left … right of row y that it covers."""
    first, last = int(left), int(right)
    if not crossing:
        # Cut down a wide box to where the edges cross this row. A margin takes care of rounding.
        v, low, high = float(y), float(wp.inf), float(-wp.inf)
        for k in range(3):
            a, b = p0, p1
            if k == 1:
                a, b = p1, p2
            if k == 2:
                a, b = p2, p0
            if wp.min(a[1], b[1]) <= v and v <= wp.max(a[1], b[1]):
                if a[1] == b[1]:
                    low, high = wp.min(low, wp.min(a[0], b[0])), wp.max(high, wp.max(a[0], b[0]))
                else:
                    u = a[0] + (v - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
                    low, high = wp.min(low, u), wp.max(high, u)
        margin = 1.0 + 1.0e-6 * (wp.abs(p0[0]) + wp.abs(p1[0]) + wp.abs(p2[0]))
        low, high = wp.max(low - margin, float(left)), wp.min(high + margin, float(right))
        if not (low <= high):
            return
        first, last = int(low), int(high)
    for x in range(first, last + 1):
        draw_pixel(p0, p1, p2, inverse, t, x, y, crossing, options, image)


@wp.func
def turned_away(p0: wp.vec3, p1: wp.vec3, p2: wp.vec3, crossing: bool) -> bool:
    """v points down, so a triangle that is anticlockwise as the camera sees it has a negative area here; each corner
    behind the camera turns the sign."""
    area = cross2(p1 - p0, p2 - p0)
    if crossing:
        area = area * wp.sign(p0[2]) * wp.sign(p1[2]) * wp.sign(p2[2])
    return not (area < 0.0)


@wp.func
def draw_triangle(
    t: int,
    points: wp.array[wp.vec3],  # (V,)
    codes: wp.array[wp.uint32],  # (V,)
    triangles: wp.array[wp.vec3i],
    options: int,
    large: int,  # pixels in a bounding box from which a triangle is listed, not drawn
    image: wp.array2d[wp.uint64],  # (H, W)
    listed: wp.array[wp.int32],
    count: wp.array[wp.int32],  # (1,)
):
    """Enter triangle t in the pixels that it covers; or list it, if they may be many."""
    corner = triangles[t]
    p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
    crossing = crosses_near_plane(corner, codes)
    if (options & CULL) != 0 and turned_away(p0, p1, p2, crossing):
        return
    box = bounding_box(corner, codes, crossing, image.shape[0], image.shape[1])
    left, right, top, bottom = box[0], box[1], box[2], box[3]
    width = right - left + 1
    if width * (bottom - top + 1) >= large:
        listed[wp.atomic_add(count, 0, 1)] = t
        return
    inverse = inverse_depths(p0, p1, p2, options)
    if width <= 8:
        x, y = int(left), int(top)
        for _ in range(width * (bottom - top + 1)):
            draw_pixel(p0, p1, p2, inverse, t, x, y, crossing, options, image)
            x += 1
            if x > right:
                x, y = left, y + 1
    else:
        for y in range(top, bottom + 1):
            draw_row(p0, p1, p2, inverse, t, left, right, y, crossing, options, image)


@wp.func
def draw_listed(
    t: int,
    y: int,
    points: wp.array[wp.vec3],
    codes: wp.array[wp.uint32],
    triangles: wp.array[wp.vec3i],
    options: int,
    image: wp.array2d[wp.uint64],
):
    """One row of a triangle that `draw_triangle` left for later."""
    corner = triangles[t]
    crossing = crosses_near_plane(corner, codes)
    box = bounding_box(corner, codes, crossing, image.shape[0], image.shape[1])
    if box[2] <= y and y <= box[3]:
        p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
        inverse = inverse_depths(p0, p1, p2, options)
        draw_row(p0, p1, p2, inverse, t, box[0], box[1], y, crossing, options, image)


@wp.func
def enter_hits(
    hits: wp.array[wp.vec3i],  # triangle, column and row
    count: int,
    points: wp.array[wp.vec3],
    triangles: wp.array[wp.vec3i],
    options: int,
    image: wp.array2d[wp.uint64],
):
    """Enter triangles in pixels that they are known to cover."""
    for i in range(count):
        t, x, y = hits[i][0], hits[i][1], hits[i][2]
        corner = triangles[t]
        p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
        e = edge_functions(p0, p1, p2, float(x), float(y))
        enter_pixel(p0, p1, p2, inverse_depths(p0, p1, p2, options), e, t, x, y, options, image)


@wp.func
def draw_share(
    first: int,
    last: int,
    points: wp.array[wp.vec3],
    codes: wp.array[wp.uint32],
    triangles: wp.array[wp.vec3i],
    options: int,
    large: int,
    image: wp.array2d[wp.uint64],
    listed: wp.array[wp.int32],  # (last − first + 1 or more,)
    count: wp.array[wp.int32],  # (1,)
    hits: wp.array[wp.vec3i],  # (HITS,) memory to work in
):
    """Triangles first … last − 1, by one thread of a CPU.

    A processor predicts the way a branch will go, and a wrong prediction costs as much as the test of a pixel. Whether a triangle
    may cover anything, and whether it covers a pixel, cannot be predicted. So what passes is written to a list without a branch: at
    its end, which then moves on or does not.
    """
    found = int(0)
    for t in range(first, last):
        listed[found] = t
        found += 1 - int(covers_nothing(triangles[t], codes))
    height, width, n = image.shape[0], image.shape[1], int(0)
    for i in range(found):
        t = listed[i]
        corner = triangles[t]
        crossing = crosses_near_plane(corner, codes)
        box = bounding_box(corner, codes, crossing, height, width)
        p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
        if crossing or (box[1] - box[0] + 1) * (box[3] - box[2] + 1) > SMALL:
            # May list the triangle: in a place of the list that has been read.
            draw_triangle(t, points, codes, triangles, options, large, image, listed, count)
        elif (options & CULL) == 0 or not turned_away(p0, p1, p2, False):
            for y in range(box[2], box[3] + 1):
                for x in range(box[0], box[1] + 1):
                    hits[n] = wp.vec3i(t, x, y)
                    n += int(same_sign(edge_functions(p0, p1, p2, float(x), float(y))))
            if n > hits.shape[0] - SMALL - 1:
                enter_hits(hits, n, points, triangles, options, image)
                n = int(0)
    enter_hits(hits, n, points, triangles, options, image)


@wp.func
def draw_image(
    points: wp.array[wp.vec3],
    codes: wp.array[wp.uint32],
    triangles: wp.array[wp.vec3i],
    options: int,
    candidates: wp.array[wp.int32],  # (F + 1 or more,) memory to work in
    hits: wp.array[wp.vec3i],  # (HITS,) the same
    image: wp.array2d[wp.uint64],
):
    """All triangles of an image, by one thread; whatever the image held before is lost."""
    for y in range(image.shape[0]):
        row = image[y]
        for x in range(image.shape[1]):
            row[x] = EMPTY
    F = triangles.shape[0]
    draw_share(0, F, points, codes, triangles, options, NEVER, image, candidates, candidates, hits)


@wp.func
def resolve_pixel(
    key: wp.uint64,
    y: int,
    x: int,
    points: wp.array[wp.vec3],
    triangles: wp.array[wp.vec3i],
    options: int,
    triangle_id: wp.array[wp.int32],  # (W,) the row, as the next two
    barycentric: wp.array[wp.vec3],
    depth: wp.array[wp.float32],
):
    if key == EMPTY:
        triangle_id[x] = -1
        barycentric[x] = wp.vec3(0.0, 0.0, 0.0)
        depth[x] = wp.inf
        return
    t = triangle_of(key)
    corner = triangles[t]
    p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
    e = edge_functions(p0, p1, p2, float(x), float(y))
    w = wp.cw_mul(e, inverse_depths(p0, p1, p2, options))
    scale = 1.0 / total(w)
    triangle_id[x] = t
    barycentric[x] = wp.vec3(w[0] * scale, w[1] * scale, w[2] * scale)
    depth[x] = surface_depth(e, w, p0, p1, p2, options)


@wp.kernel
def code_kernel(
    points: wp.array2d[wp.vec3],  # (B, V) u px, v px, depth mm
    height: int,
    width: int,
    options: int,
    first: int,
    codes: wp.array2d[wp.uint32],  # (B, V)
):
    i = wp.tid() + first
    b, v = i // points.shape[1], i % points.shape[1]
    codes[b, v] = vertex_code(points[b, v], height, width, options)


@wp.kernel
def depth_kernel(
    points: wp.array2d[wp.vec3],
    codes: wp.array2d[wp.uint32],
    triangles: wp.array[wp.vec3i],  # (F,)
    options: int,
    large: int,
    first: int,
    buffer: wp.array4d[wp.uint64],  # (B, 1, H, W)
    listed: wp.array3d[wp.int32],  # (B, 1, F)
    count: wp.array3d[wp.int32],  # (B, 1, 1)
):
    """A triangle for each thread."""
    i = wp.tid() + first
    b, t = i // triangles.shape[0], i % triangles.shape[0]
    if not covers_nothing(triangles[t], codes[b]):
        draw_triangle(
            t, points[b], codes[b], triangles, options, large, buffer[b, 0], listed[b, 0], count[b, 0]
        )


@wp.kernel
def share_kernel(
    points: wp.array2d[wp.vec3],
    codes: wp.array2d[wp.uint32],
    triangles: wp.array[wp.vec3i],
    options: int,
    large: int,
    hits: wp.array3d[wp.vec3i],  # (B, layers, HITS)
    first: int,
    buffer: wp.array4d[wp.uint64],  # (B, layers, H, W)
    listed: wp.array3d[wp.int32],  # (B, layers, F + 1)
    count: wp.array3d[wp.int32],  # (B, layers, 1)
):
    """For the threads of a CPU: each draws a share of an image's triangles, into a layer of its own."""
    i = wp.tid() + first
    F, layers = triangles.shape[0], buffer.shape[1]
    b, on = i // layers, i % layers
    share = (F + layers - 1) // layers
    draw_share(
        on * share,
        wp.min((on + 1) * share, F),
        points[b],
        codes[b],
        triangles,
        options,
        large,
        buffer[b, on],
        listed[b, on],
        count[b, on],
        hits[b, on],
    )


@wp.kernel
def row_kernel(
    points: wp.array2d[wp.vec3],
    codes: wp.array2d[wp.uint32],
    triangles: wp.array[wp.vec3i],
    options: int,
    listed: wp.array3d[wp.int32],
    count: wp.array3d[wp.int32],
    first: int,
    buffer: wp.array4d[wp.uint64],
):
    i = wp.tid() + first
    b, y = i // buffer.shape[2], i % buffer.shape[2]
    for on in range(buffer.shape[1]):
        for k in range(count[b, on, 0]):
            draw_listed(listed[b, on, k], y, points[b], codes[b], triangles, options, buffer[b, 0])


@wp.kernel
def resolve_kernel(
    points: wp.array2d[wp.vec3],
    triangles: wp.array[wp.vec3i],
    options: int,
    buffer: wp.array4d[wp.uint64],
    stride: int,  # pixels per thread: on a CPU a whole row, so that it counts only once
    first: int,
    triangle_id: wp.array3d[wp.int32],  # (B, H, W), −1 where nothing is
    barycentric: wp.array3d[wp.vec3],  # (B, H, W)
    depth: wp.array3d[wp.float32],  # (B, H, W) mm, infinite where nothing is
):
    i = wp.tid() + first
    height, width = depth.shape[1], depth.shape[2]
    parts = (width + stride - 1) // stride
    row, part = i // parts, i % parts
    b, y = row // height, row % height
    keys, ids, weights, depths = buffer[b, 0, y], triangle_id[b, y], barycentric[b, y], depth[b, y]
    for x in range(part * stride, wp.min((part + 1) * stride, width)):
        key = keys[x]
        for on in range(1, buffer.shape[1]):
            key = wp.min(key, buffer[b, on, y, x])
        resolve_pixel(key, y, x, points[b], triangles, options, ids, weights, depths)


@wp.kernel
def image_kernel(
    points: wp.array2d[wp.vec3],
    triangles: wp.array[wp.vec3i],
    options: int,
    b: int,  # the image
    slot: int,  # which part of the memory is this thread's own
    codes: wp.array2d[wp.uint32],  # (slots, V)
    candidates: wp.array2d[wp.int32],  # (slots, F + 1)
    hits: wp.array2d[wp.vec3i],  # (slots, HITS)
    buffer: wp.array3d[wp.uint64],  # (slots, H, W)
    triangle_id: wp.array3d[wp.int32],
    barycentric: wp.array3d[wp.vec3],
    depth: wp.array3d[wp.float32],
):
    """Launched with one thread."""
    p, code, image = points[b], codes[slot], buffer[slot]
    height, width = image.shape[0], image.shape[1]
    for v in range(p.shape[0]):
        code[v] = vertex_code(p[v], height, width, options)
    draw_image(p, code, triangles, options, candidates[slot], hits[slot], image)
    for y in range(height):
        keys, ids, weights, depths = image[y], triangle_id[b, y], barycentric[b, y], depth[b, y]
        for x in range(width):
            resolve_pixel(keys[x], y, x, p, triangles, options, ids, weights, depths)
