"""From a face to shaded pixels: one source for CPU and CUDA.

`screen_kernel` takes each vertex to its pixel, `normal_kernel` finds the normal at each vertex from the ring of
triangles round it, `shade_kernel` looks up, for each pixel, what its triangle's corners are like, mixes them and
lights the result; `normal_adjoint_kernel` and `shade_adjoint_kernel` carry derivatives back. `face_depth_kernel`
and `face_shade_kernel` do the whole forward way for one image in one thread, which keeps a CPU's caches warm,
and find normals only where they are seen. All are made of the same functions. `helpers.rendering` holds the same in torch.
"""

from helpers._warp import wp
from helpers.rasterizer.kernels import (
    EMPTY,
    covers_nothing,
    draw_triangle,
    edge_functions,
    inverse_depths,
    surface_depth,
    total,
    triangle_of,
    vertex_code,
)

# As in the rasteriser: products are rounded before they are added, so that the same pixel is found again.
wp.set_module_options({"enable_backward": False, "fuse_fp": False})

PERSPECTIVE = wp.constant(2)  # as in the rasteriser
TINY = wp.constant(1.0e-12)


@wp.func
def to_screen(vertex: wp.vec3, turn: wp.mat33, shift: wp.vec3, lens: wp.vec3, options: int) -> wp.vec3:
    """u px, v px and depth mm of a vertex. lens: focal length (px; or px a mm if orthographic), and the centre."""
    c = turn * vertex + shift
    f = lens[0]
    if (options & PERSPECTIVE) != 0:
        return wp.vec3(f * c[0] / c[2] + lens[1], f * c[1] / c[2] + lens[2], c[2])
    return wp.vec3(f * c[0] + lens[1], f * c[1] + lens[2], c[2])


@wp.func
def ring_area(
    v: int,
    vertices: wp.array(dtype=wp.vec3),  # (V,)
    start: wp.array(dtype=wp.int32),  # (V + 1,) where the ring of each vertex begins
    ring: wp.array(dtype=wp.vec2i),  # the other two corners of each triangle round it
) -> wp.vec3:
    """Sum of the normals of the triangles round vertex v, each times twice its area."""
    at = vertices[v]
    s = wp.vec3(0.0, 0.0, 0.0)
    for k in range(start[v], start[v + 1]):
        other = ring[k]
        s += wp.cross(vertices[other[0]] - at, vertices[other[1]] - at)
    return s


@wp.func
def unit(v: wp.vec3) -> wp.vec3:
    return v / wp.max(wp.length(v), TINY)


@wp.func
def received_light(light: wp.array(dtype=wp.vec3), n: wp.vec3) -> wp.vec3:
    """light: (9,) coefficients of the harmonics, each for three channels."""
    x, y, z = n[0], n[1], n[2]
    even = light[0] + x * light[1] + y * light[2] + z * light[3]
    mixed = (x * y) * light[4] + (x * z) * light[5] + (y * z) * light[6]
    return even + mixed + (x * x - y * y) * light[7] + (3.0 * z * z - 1.0) * light[8]


@wp.func
def light_slope(light: wp.array(dtype=wp.vec3), n: wp.vec3, g: wp.vec3) -> wp.vec3:
    """Derivative of g · (received light) by the normal."""
    x, y, z = n[0], n[1], n[2]
    xy, xz, yz = wp.dot(light[4], g), wp.dot(light[5], g), wp.dot(light[6], g)
    squares, axis = 2.0 * wp.dot(light[7], g), 6.0 * wp.dot(light[8], g)
    return wp.vec3(
        wp.dot(light[1], g) + xy * y + xz * z + squares * x,
        wp.dot(light[2], g) + xy * x + yz * z - squares * y,
        wp.dot(light[3], g) + xz * x + yz * y + axis * z,
    )


@wp.func
def shade_point(
    weight: wp.vec3,
    corner: wp.vec3i,
    normals: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    light: wp.array(dtype=wp.vec3),
    normal_row: wp.array(dtype=wp.vec3),
    image_row: wp.array(dtype=wp.vec3),
    x: int,
):
    """Normal and colour of the surface point that pixel x of a row sees."""
    i, j, k = corner[0], corner[1], corner[2]
    n = unit(weight[0] * normals[i] + weight[1] * normals[j] + weight[2] * normals[k])
    a = weight[0] * albedo[i] + weight[1] * albedo[j] + weight[2] * albedo[k]
    normal_row[x] = n
    image_row[x] = wp.cw_mul(a, received_light(light, n))


@wp.kernel
def screen_kernel(
    vertices: wp.array2d(dtype=wp.vec3),  # (B or 1, V) mm, model axes
    turn: wp.array(dtype=wp.mat33),  # (B,) from model to camera axes
    shift: wp.array(dtype=wp.vec3),  # (B,)
    lens: wp.array(dtype=wp.vec3),  # (B,) focal, centre
    options: int,
    points: wp.array2d(dtype=wp.vec3),  # (B, V)
    first_image: int,
    first: int,
):
    i, j = wp.tid()
    b, v = i + first_image, j + first
    points[b, v] = to_screen(
        vertices[wp.min(b, vertices.shape[0] - 1), v], turn[b], shift[b], lens[b], options
    )


@wp.kernel
def normal_kernel(
    vertices: wp.array2d(dtype=wp.vec3),  # (B, V)
    start: wp.array(dtype=wp.int32),
    ring: wp.array(dtype=wp.vec2i),
    normals: wp.array2d(dtype=wp.vec3),  # (B, V)
    length: wp.array2d(dtype=wp.float32),  # (B, V) of the sum, before it is made a unit
    first_image: int,
    first: int,
):
    i, j = wp.tid()
    b, v = i + first_image, j + first
    s = ring_area(v, vertices[b], start, ring)
    normals[b, v] = unit(s)
    length[b, v] = wp.max(wp.length(s), TINY)


@wp.kernel
def normal_adjoint_kernel(
    vertices: wp.array2d(dtype=wp.vec3),
    start: wp.array(dtype=wp.int32),
    ring: wp.array(dtype=wp.vec2i),
    by_area: wp.array2d(dtype=wp.vec3),  # (B, V) derivative by the sum at each vertex
    by_vertex: wp.array2d(dtype=wp.vec3),  # (B, V)
    first_image: int,
    first: int,
):
    i, j = wp.tid()
    b, v = i + first_image, j + first
    at, own = vertices[b, v], by_area[b, v]
    g = wp.vec3(0.0, 0.0, 0.0)
    for k in range(start[v], start[v + 1]):
        other = ring[k]
        e1, e2 = vertices[b, other[0]] - at, vertices[b, other[1]] - at
        # The triangle's normal e1 × e2 counts at all three corners.
        by_cross = own + by_area[b, other[0]] + by_area[b, other[1]]
        g -= wp.cross(e2, by_cross) + wp.cross(by_cross, e1)
    by_vertex[b, v] = g


@wp.kernel
def shade_kernel(
    triangles: wp.array(dtype=wp.vec3i),
    triangle_id: wp.array3d(dtype=wp.int32),  # (B, H, W)
    barycentric: wp.array3d(dtype=wp.vec3),  # (B, H, W)
    normals: wp.array2d(dtype=wp.vec3),  # (B or 1, V) viewer axes
    albedo: wp.array2d(dtype=wp.vec3),  # (B or 1, V)
    light: wp.array2d(dtype=wp.vec3),  # (B or 1, 9)
    background: wp.array3d(dtype=wp.vec3),  # (B or 1, H or 1, W or 1)
    normal: wp.array3d(dtype=wp.vec3),  # (B, H, W)
    image: wp.array3d(dtype=wp.vec3),  # (B, H, W)
    first_image: int,
    first: int,
):
    i, j, x = wp.tid()
    b, y = i + first_image, j + first
    t = triangle_id[b, y, x]
    if t < 0:
        normal[b, y, x] = wp.vec3(0.0, 0.0, 0.0)
        image[b, y, x] = background[
            wp.min(b, background.shape[0] - 1),
            wp.min(y, background.shape[1] - 1),
            wp.min(x, background.shape[2] - 1),
        ]
        return
    shade_point(
        barycentric[b, y, x],
        triangles[t],
        normals[wp.min(b, normals.shape[0] - 1)],
        albedo[wp.min(b, albedo.shape[0] - 1)],
        light[wp.min(b, light.shape[0] - 1)],
        normal[b, y],
        image[b, y],
        x,
    )


@wp.func
def shade_adjoint(
    b: int,
    y: int,
    x: int,
    points: wp.array(dtype=wp.vec3),  # (V,)
    triangles: wp.array(dtype=wp.vec3i),
    t: int,
    normals: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    light: wp.array(dtype=wp.vec3),
    options: int,
    g_image: wp.vec3,
    g_normal: wp.vec3,
    g_depth: float,
    by_points: wp.array(dtype=wp.vec3),  # (V,)
    by_normals: wp.array(dtype=wp.vec3),
    by_albedo: wp.array(dtype=wp.vec3),
) -> wp.vec3:
    """Add what pixel (x, y) says to the derivatives of its triangle's corners; returns that by received light."""
    corner = triangles[t]
    i, j, k = corner[0], corner[1], corner[2]
    p0, p1, p2 = points[i], points[j], points[k]
    e = edge_functions(p0, p1, p2, float(x), float(y))
    inverse = inverse_depths(p0, p1, p2, options)
    w = wp.cw_mul(e, inverse)
    scale = 1.0 / total(w)
    l = scale * w  # noqa: E741 (the weights λ)
    m = l[0] * normals[i] + l[1] * normals[j] + l[2] * normals[k]
    length = wp.max(wp.length(m), TINY)
    n = m / length
    a = l[0] * albedo[i] + l[1] * albedo[j] + l[2] * albedo[k]

    by_a = wp.cw_mul(g_image, received_light(light, n))
    by_received = wp.cw_mul(g_image, a)
    by_n = light_slope(light, n, by_received) + g_normal
    by_m = (by_n - wp.dot(n, by_n) * n) / length
    wp.atomic_add(by_normals, i, l[0] * by_m)
    wp.atomic_add(by_normals, j, l[1] * by_m)
    wp.atomic_add(by_normals, k, l[2] * by_m)
    wp.atomic_add(by_albedo, i, l[0] * by_a)
    wp.atomic_add(by_albedo, j, l[1] * by_a)
    wp.atomic_add(by_albedo, k, l[2] * by_a)
    # Depth is the mean of the corners' depths by the same weights.
    by_l = wp.vec3(
        wp.dot(normals[i], by_m) + wp.dot(albedo[i], by_a) + p0[2] * g_depth,
        wp.dot(normals[j], by_m) + wp.dot(albedo[j], by_a) + p1[2] * g_depth,
        wp.dot(normals[k], by_m) + wp.dot(albedo[k], by_a) + p2[2] * g_depth,
    )
    mean = wp.dot(l, by_l)
    by_w = scale * wp.vec3(by_l[0] - mean, by_l[1] - mean, by_l[2] - mean)
    by_z = g_depth * l
    if (options & PERSPECTIVE) != 0:
        by_z -= wp.cw_mul(wp.cw_mul(by_w, w), inverse)
    f = wp.cw_mul(by_w, inverse)  # by the edge functions
    pixel = wp.vec3(float(x), float(y), 0.0)
    d0, d1, d2 = p0 - pixel, p1 - pixel, p2 - pixel
    wp.atomic_add(by_points, i, wp.vec3(f[2] * d1[1] - f[1] * d2[1], f[1] * d2[0] - f[2] * d1[0], by_z[0]))
    wp.atomic_add(by_points, j, wp.vec3(f[0] * d2[1] - f[2] * d0[1], f[2] * d0[0] - f[0] * d2[0], by_z[1]))
    wp.atomic_add(by_points, k, wp.vec3(f[1] * d0[1] - f[0] * d1[1], f[0] * d1[0] - f[1] * d0[0], by_z[2]))
    return by_received


@wp.kernel
def shade_adjoint_kernel(
    points: wp.array2d(dtype=wp.vec3),  # (B, V)
    triangles: wp.array(dtype=wp.vec3i),
    triangle_id: wp.array3d(dtype=wp.int32),
    normals: wp.array2d(dtype=wp.vec3),  # (B or 1, V)
    albedo: wp.array2d(dtype=wp.vec3),
    light: wp.array2d(dtype=wp.vec3),
    options: int,
    g_image: wp.array3d(dtype=wp.vec3),  # (B, H, W)
    g_normal: wp.array3d(dtype=wp.vec3),
    g_depth: wp.array3d(dtype=wp.float32),
    by_points: wp.array2d(dtype=wp.vec3),  # (B, V)
    by_normals: wp.array2d(dtype=wp.vec3),  # (B, V)
    by_albedo: wp.array2d(dtype=wp.vec3),  # (B, V)
    by_received: wp.array3d(dtype=wp.vec3),  # (B, H, W)
    first_image: int,
    first: int,
):
    i, j, x = wp.tid()
    b, y = i + first_image, j + first
    t = triangle_id[b, y, x]
    if t < 0:
        by_received[b, y, x] = wp.vec3(0.0, 0.0, 0.0)
        return
    by_received[b, y, x] = shade_adjoint(
        b,
        y,
        x,
        points[b],
        triangles,
        t,
        normals[wp.min(b, normals.shape[0] - 1)],
        albedo[wp.min(b, albedo.shape[0] - 1)],
        light[wp.min(b, light.shape[0] - 1)],
        options,
        g_image[b, y, x],
        g_normal[b, y, x],
        g_depth[b, y, x],
        by_points[b],
        by_normals[b],
        by_albedo[b],
    )


@wp.kernel
def face_depth_kernel(
    vertices: wp.array2d(dtype=wp.vec3),  # (B or 1, V) mm, model axes
    triangles: wp.array(dtype=wp.vec3i),
    turn: wp.array(dtype=wp.mat33),  # (B,) from model to camera axes
    shift: wp.array(dtype=wp.vec3),  # (B,)
    lens: wp.array(dtype=wp.vec3),  # (B,)
    options: int,
    b: int,  # the image
    slot: int,  # which of the next four this thread owns
    points: wp.array2d(dtype=wp.vec3),  # (slots, V)
    codes: wp.array2d(dtype=wp.uint32),  # (slots, V)
    found: wp.array2d(dtype=wp.int32),  # (slots, max(F, V) + 1)
    buffer: wp.array3d(dtype=wp.uint64),  # (slots, H, W)
    unsound: wp.array(dtype=wp.int32),  # (slots,) set if a vertex in front of the camera has no finite place
):
    """Launched with one thread: from vertices to the nearest triangle of each pixel."""
    mesh = vertices[wp.min(b, vertices.shape[0] - 1)]
    p, code, entry, z = points[slot], codes[slot], found[slot], buffer[slot]
    A, s, L = turn[b], shift[b], lens[b]
    height, width = z.shape[0], z.shape[1]
    bad = int(0)
    for v in range(p.shape[0]):
        at = to_screen(mesh[v], A, s, L, options)
        p[v] = at
        c = vertex_code(at, height, width, options)
        code[v] = c
        bad = wp.max(bad, int((c >> wp.uint32(15)) & wp.uint32(1)))
    if bad != 0:
        unsound[slot] = 1
    for y in range(height):
        row = z[y]
        for x in range(width):
            row[x] = EMPTY
    count = int(0)
    for t in range(triangles.shape[0]):
        entry[count] = t
        count += 1 - int(covers_nothing(triangles[t], code))
    for i in range(count):
        draw_triangle(entry[i], p, code, triangles, options, 2147483647, z, entry, entry)


@wp.kernel
def face_shade_kernel(
    vertices: wp.array2d(dtype=wp.vec3),  # (B or 1, V)
    triangles: wp.array(dtype=wp.vec3i),
    start: wp.array(dtype=wp.int32),
    ring: wp.array(dtype=wp.vec2i),
    albedo: wp.array2d(dtype=wp.vec3),  # (B or 1, V)
    rotation: wp.array(dtype=wp.mat33),  # (B,) from model to viewer axes
    light: wp.array2d(dtype=wp.vec3),  # (B or 1, 9)
    background: wp.array3d(dtype=wp.vec3),  # (B or 1, H or 1, W or 1)
    options: int,
    b: int,
    slot: int,
    points: wp.array2d(dtype=wp.vec3),
    found: wp.array2d(dtype=wp.int32),
    buffer: wp.array3d(dtype=wp.uint64),
    normals: wp.array2d(dtype=wp.vec3),  # (slots, V)
    known: wp.array2d(dtype=wp.int32),  # (slots, V) the last image that showed the vertex, −1 at first
    triangle_id: wp.array3d(dtype=wp.int32),  # (B, H, W)
    barycentric: wp.array3d(dtype=wp.vec3),
    depth: wp.array3d(dtype=wp.float32),
    normal: wp.array3d(dtype=wp.vec3),
    image: wp.array3d(dtype=wp.vec3),
    coverage: wp.array3d(dtype=wp.float32),
):
    """Launched with one thread after `face_depth_kernel`: from triangles to colours."""
    mesh, colours = vertices[wp.min(b, vertices.shape[0] - 1)], albedo[wp.min(b, albedo.shape[0] - 1)]
    lamp, behind = light[wp.min(b, light.shape[0] - 1)], background[wp.min(b, background.shape[0] - 1)]
    p, entry, z, n, seen = points[slot], found[slot], buffer[slot], normals[slot], known[slot]
    height, width = z.shape[0], z.shape[1]
    R = rotation[b]
    # Which vertices are seen? Only their normals are needed, each once.
    for y in range(height):
        row, ids, weights, depths, cover = (
            z[y],
            triangle_id[b, y],
            barycentric[b, y],
            depth[b, y],
            coverage[b, y],
        )
        for x in range(width):
            key = row[x]
            if key == EMPTY:
                ids[x] = -1
                weights[x] = wp.vec3(0.0, 0.0, 0.0)
                depths[x] = wp.inf
                cover[x] = 0.0
            else:
                t = triangle_of(key)
                corner = triangles[t]
                p0, p1, p2 = p[corner[0]], p[corner[1]], p[corner[2]]
                e = edge_functions(p0, p1, p2, float(x), float(y))
                w = wp.cw_mul(e, inverse_depths(p0, p1, p2, options))
                scale = 1.0 / total(w)
                ids[x] = t
                weights[x] = wp.vec3(w[0] * scale, w[1] * scale, w[2] * scale)
                depths[x] = surface_depth(e, w, p0, p1, p2, options)
                cover[x] = 1.0
                for k in range(3):
                    seen[corner[k]] = b
    # In the order of their numbers, which is that of the memory.
    listed = int(0)
    for v in range(seen.shape[0]):
        entry[listed] = v
        listed += int(seen[v] == b)
    for i in range(listed):
        v = entry[i]
        n[v] = R * unit(ring_area(v, mesh, start, ring))
    for y in range(height):
        ids, weights, normal_row, image_row = triangle_id[b, y], barycentric[b, y], normal[b, y], image[b, y]
        back = behind[wp.min(y, behind.shape[0] - 1)]
        for x in range(width):
            t = ids[x]
            if t < 0:
                normal_row[x] = wp.vec3(0.0, 0.0, 0.0)
                image_row[x] = back[wp.min(x, back.shape[0] - 1)]
            else:
                shade_point(weights[x], triangles[t], n, colours, lamp, normal_row, image_row, x)
