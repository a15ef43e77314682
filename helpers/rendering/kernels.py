# ty: ignore
# Warp compiles these functions, not Python, and its stubs give arrays and vectors no items, shapes or operators.
"""From a face to shaded pixels: one source for CPU and CUDA.

`screen_kernel` takes each vertex to its pixel, `normal_kernel` finds the normal at each vertex from the ring of
triangles round it, `shade_kernel` looks up, for each pixel, what its triangle's corners are like, mixes them and
lights the result; `normal_adjoint_kernel` and `shade_adjoint_kernel` carry derivatives back. `image_kernel` does
the whole forward way for one image in one thread, which keeps a CPU's caches warm, and finds normals only where they
are seen. All are made of the same functions. The readable twins in torch: `helpers.camera.project`,
`helpers.rendering.normals.vertex_normals_reference`, `helpers.lighting.shade`.

But for `image_kernel` each takes its work by one index through the whole batch: vertex or pixel of image 0, then of
image 1, and so on. `first` is the index of the first thread of a launch (`helpers._warp.launch`).
"""

from helpers._warp import wp
from helpers.lighting.kernels import gamma_encode, gamma_slope
from helpers.rasterizer.kernels import (
    PERSPECTIVE,
    draw_image,
    edge_functions,
    inverse_depths,
    resolve_pixel,
    total,
    vertex_code,
)

# As in the rasteriser: products are rounded before they are added, so that the same pixel is found again.
wp.set_module_options({"enable_backward": False, "fuse_fp": False})

TINY = wp.constant(1.0e-12)


@wp.struct
class Surface:
    """What the colour of a pixel is mixed from; the arrays of length B may have length 1."""

    triangles: wp.array[wp.vec3i]  # (F,)
    normals: wp.array2d[wp.vec3]  # (B, V) viewer axes
    albedo: wp.array2d[wp.vec3]  # (B, V)
    light: wp.array2d[wp.vec3]  # (B, 9)


@wp.struct
class Scene:
    """B faces as `image_kernel` draws them; the arrays of length "B or 1" may have length 1."""

    vertices: wp.array2d[wp.vec3]  # (B or 1, V) mm, model axes
    triangles: wp.array[wp.vec3i]  # (F,)
    start: wp.array[wp.int32]  # (V + 1,) where the ring of each vertex begins
    ring: wp.array[wp.vec2i]  # the other two corners of each triangle round it
    albedo: wp.array2d[wp.vec3]  # (B or 1, V)
    light: wp.array2d[wp.vec3]  # (B or 1, 9)
    background: wp.array3d[wp.vec3]  # (B or 1, H or 1, W or 1)
    turn: wp.array[wp.mat33]  # (B,) from model to camera axes
    shift: wp.array[wp.vec3]  # (B,)
    rotation: wp.array[wp.mat33]  # (B,) from model to viewer axes
    lens: wp.array[wp.vec3]  # (B,) focal length (px; or px per mm if orthographic), and the centre
    options: int


@wp.struct
class Memory:
    """What the threads of `image_kernel` work in; each owns one slot."""

    points: wp.array2d[wp.vec3]  # (slots, V)
    codes: wp.array2d[wp.uint32]  # (slots, V)
    found: wp.array2d[wp.int32]  # (slots, max(F, V) + 1)
    hits: wp.array2d[wp.vec3i]  # (slots, HITS)
    buffer: wp.array3d[wp.uint64]  # (slots, H, W)
    normals: wp.array2d[wp.vec3]  # (slots, V) viewer axes
    seen_in: wp.array2d[wp.int32]  # (slots, V) the last image that showed the vertex, −1 at first
    unsound: wp.array[wp.int32]  # (slots,) set if a vertex in front of the camera has no finite place


@wp.struct
class Picture:
    """What B images of H × W pixels show."""

    triangle_id: wp.array3d[wp.int32]  # (B, H, W), −1 where nothing is
    barycentric: wp.array3d[wp.vec3]
    depth: wp.array3d[wp.float32]
    normal: wp.array3d[wp.vec3]
    image: wp.array3d[wp.vec3]
    coverage: wp.array3d[wp.float32]


@wp.func
def to_screen(vertex: wp.vec3, turn: wp.mat33, shift: wp.vec3, lens: wp.vec3, options: int) -> wp.vec3:
    """u px, v px and depth mm of a vertex. lens: focal length (px; or px per mm if orthographic), and the centre."""
    c = turn * vertex + shift
    f = lens[0]
    if (options & PERSPECTIVE) != 0:
        return wp.vec3(f * c[0] / c[2] + lens[1], f * c[1] / c[2] + lens[2], c[2])
    return wp.vec3(f * c[0] + lens[1], f * c[1] + lens[2], c[2])


@wp.func
def ring_area(
    v: int,
    vertices: wp.array[wp.vec3],  # (V,)
    start: wp.array[wp.int32],  # (V + 1,) where the ring of each vertex begins
    ring: wp.array[wp.vec2i],  # the other two corners of each triangle round it
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
def received_light(light: wp.array[wp.vec3], n: wp.vec3) -> wp.vec3:
    """light: (9,) coefficients of the harmonics, each for three channels."""
    x, y, z = n[0], n[1], n[2]
    even = light[0] + x * light[1] + y * light[2] + z * light[3]
    mixed = (x * y) * light[4] + (x * z) * light[5] + (y * z) * light[6]
    return even + mixed + (x * x - y * y) * light[7] + (3.0 * z * z - 1.0) * light[8]


@wp.func
def shown_light(received: wp.vec3) -> wp.vec3:
    """What a white surface looks like that receives this light."""
    return wp.vec3(gamma_encode(received[0]), gamma_encode(received[1]), gamma_encode(received[2]))


@wp.func
def shown_slope(received: wp.vec3, shown: wp.vec3) -> wp.vec3:
    """Derivative of `shown_light`, channel by channel."""
    return wp.vec3(
        gamma_slope(received[0], shown[0]),
        gamma_slope(received[1], shown[1]),
        gamma_slope(received[2], shown[2]),
    )


@wp.func
def light_slope(light: wp.array[wp.vec3], n: wp.vec3, g: wp.vec3) -> wp.vec3:
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
def mix(values: wp.array[wp.vec3], corner: wp.vec3i, weight: wp.vec3) -> wp.vec3:
    """A value of the vertices (V,) at a surface point."""
    return weight[0] * values[corner[0]] + weight[1] * values[corner[1]] + weight[2] * values[corner[2]]


@wp.func
def mix_adjoint(
    values: wp.array[wp.vec3], corner: wp.vec3i, weight: wp.vec3, g: wp.vec3, by_values: wp.array[wp.vec3]
) -> wp.vec3:
    """Add a pixel's share to the derivatives by the values; returns that by the weights."""
    for k in range(3):
        wp.atomic_add(by_values, corner[k], weight[k] * g)
    return wp.vec3(wp.dot(values[corner[0]], g), wp.dot(values[corner[1]], g), wp.dot(values[corner[2]], g))


@wp.func
def surface_weights(points: wp.array[wp.vec3], corner: wp.vec3i, x: int, y: int, options: int) -> wp.vec3:
    """Weights of a triangle's corners at the surface point that pixel (x, y) sees."""
    p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
    e = edge_functions(p0, p1, p2, float(x), float(y))
    w = wp.cw_mul(e, inverse_depths(p0, p1, p2, options))
    return (1.0 / total(w)) * w


@wp.func
def surface_weights_adjoint(
    points: wp.array[wp.vec3],
    corner: wp.vec3i,
    x: int,
    y: int,
    options: int,
    by_weight: wp.vec3,
    by_depth: float,
    by_points: wp.array[wp.vec3],
):
    """Add a pixel's share to the derivatives by the corners' places: through the weights and the depth."""
    p0, p1, p2 = points[corner[0]], points[corner[1]], points[corner[2]]
    inverse = inverse_depths(p0, p1, p2, options)
    w = wp.cw_mul(edge_functions(p0, p1, p2, float(x), float(y)), inverse)
    scale = 1.0 / total(w)
    weight = scale * w
    # Depth is the mean of the corners' depths by the same weights.
    by_l = by_weight + by_depth * wp.vec3(p0[2], p1[2], p2[2])
    mean = wp.dot(weight, by_l)
    by_w = scale * wp.vec3(by_l[0] - mean, by_l[1] - mean, by_l[2] - mean)
    by_z = by_depth * weight
    if (options & PERSPECTIVE) != 0:
        by_z -= wp.cw_mul(wp.cw_mul(by_w, w), inverse)
    f = wp.cw_mul(by_w, inverse)  # derivative by the edge functions
    pixel = wp.vec3(float(x), float(y), 0.0)
    d0, d1, d2 = p0 - pixel, p1 - pixel, p2 - pixel
    by_p0 = wp.vec3(f[2] * d1[1] - f[1] * d2[1], f[1] * d2[0] - f[2] * d1[0], by_z[0])
    by_p1 = wp.vec3(f[0] * d2[1] - f[2] * d0[1], f[2] * d0[0] - f[0] * d2[0], by_z[1])
    by_p2 = wp.vec3(f[1] * d0[1] - f[0] * d1[1], f[0] * d1[0] - f[1] * d0[0], by_z[2])
    wp.atomic_add(by_points, corner[0], by_p0)
    wp.atomic_add(by_points, corner[1], by_p1)
    wp.atomic_add(by_points, corner[2], by_p2)


@wp.func
def shade_point(
    weight: wp.vec3,
    corner: wp.vec3i,
    normals: wp.array[wp.vec3],
    albedo: wp.array[wp.vec3],
    light: wp.array[wp.vec3],
    normal_row: wp.array[wp.vec3],
    image_row: wp.array[wp.vec3],
    x: int,
):
    """Normal and colour of the surface point that pixel x of a row sees."""
    n = unit(mix(normals, corner, weight))
    normal_row[x] = n
    image_row[x] = wp.cw_mul(mix(albedo, corner, weight), shown_light(received_light(light, n)))


@wp.kernel
def screen_kernel(
    vertices: wp.array2d[wp.vec3],  # (B or 1, V) mm, model axes
    turn: wp.array[wp.mat33],  # (B,) from model to camera axes
    shift: wp.array[wp.vec3],  # (B,)
    lens: wp.array[wp.vec3],  # (B,) focal, centre
    options: int,
    first: int,
    points: wp.array2d[wp.vec3],  # (B, V)
):
    i = wp.tid() + first
    b, v = i // points.shape[1], i % points.shape[1]
    points[b, v] = to_screen(
        vertices[wp.min(b, vertices.shape[0] - 1), v], turn[b], shift[b], lens[b], options
    )


@wp.kernel
def normal_kernel(
    vertices: wp.array2d[wp.vec3],  # (B, V)
    start: wp.array[wp.int32],
    ring: wp.array[wp.vec2i],
    first: int,
    normals: wp.array2d[wp.vec3],  # (B, V)
    length: wp.array2d[wp.float32],  # (B, V) of the sum, before it is made a unit
):
    i = wp.tid() + first
    b, v = i // vertices.shape[1], i % vertices.shape[1]
    s = ring_area(v, vertices[b], start, ring)
    normals[b, v] = unit(s)
    length[b, v] = wp.max(wp.length(s), TINY)


@wp.kernel
def normal_adjoint_kernel(
    vertices: wp.array2d[wp.vec3],
    start: wp.array[wp.int32],
    ring: wp.array[wp.vec2i],
    by_area: wp.array2d[wp.vec3],  # (B, V) derivative by the sum at each vertex
    first: int,
    by_vertex: wp.array2d[wp.vec3],  # (B, V)
):
    i = wp.tid() + first
    b, v = i // vertices.shape[1], i % vertices.shape[1]
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
    surface: Surface,
    background: wp.array3d[wp.vec3],  # (B or 1, H or 1, W or 1)
    triangle_id: wp.array3d[wp.int32],  # (B, H, W)
    barycentric: wp.array3d[wp.vec3],  # (B, H, W)
    first: int,
    normal: wp.array3d[wp.vec3],  # (B, H, W)
    image: wp.array3d[wp.vec3],  # (B, H, W)
):
    i = wp.tid() + first
    height, width = image.shape[1], image.shape[2]
    row, x = i // width, i % width
    b, y = row // height, row % height
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
        surface.triangles[t],
        surface.normals[wp.min(b, surface.normals.shape[0] - 1)],
        surface.albedo[wp.min(b, surface.albedo.shape[0] - 1)],
        surface.light[wp.min(b, surface.light.shape[0] - 1)],
        normal[b, y],
        image[b, y],
        x,
    )


@wp.kernel
def shade_adjoint_kernel(
    surface: Surface,
    points: wp.array2d[wp.vec3],  # (B, V)
    triangle_id: wp.array3d[wp.int32],
    options: int,
    g_image: wp.array3d[wp.vec3],  # (B, H, W)
    g_normal: wp.array3d[wp.vec3],
    g_depth: wp.array3d[wp.float32],
    first: int,
    by_points: wp.array2d[wp.vec3],  # (B, V)
    by_normals: wp.array2d[wp.vec3],  # (B, V)
    by_albedo: wp.array2d[wp.vec3],  # (B, V)
    by_received: wp.array3d[wp.vec3],  # (B, H, W)
):
    """Each pixel adds to the derivatives of its triangle's corners, and leaves that by the light it receives."""
    i = wp.tid() + first
    height, width = triangle_id.shape[1], triangle_id.shape[2]
    row, x = i // width, i % width
    b, y = row // height, row % height
    t = triangle_id[b, y, x]
    if t < 0:
        by_received[b, y, x] = wp.vec3(0.0, 0.0, 0.0)
        return
    corner, at = surface.triangles[t], points[b]
    normals = surface.normals[wp.min(b, surface.normals.shape[0] - 1)]
    albedo = surface.albedo[wp.min(b, surface.albedo.shape[0] - 1)]
    light = surface.light[wp.min(b, surface.light.shape[0] - 1)]
    # Forward once more ...
    weight = surface_weights(at, corner, x, y, options)
    m = mix(normals, corner, weight)
    length = wp.max(wp.length(m), TINY)
    n = m / length
    a = mix(albedo, corner, weight)
    received = received_light(light, n)
    shown = shown_light(received)
    # ... and back.
    by_a = wp.cw_mul(g_image[b, y, x], shown)
    by_light = wp.cw_mul(wp.cw_mul(g_image[b, y, x], a), shown_slope(received, shown))
    by_n = light_slope(light, n, by_light) + g_normal[b, y, x]
    by_m = (by_n - wp.dot(n, by_n) * n) / length
    by_weight = mix_adjoint(normals, corner, weight, by_m, by_normals[b])
    by_weight += mix_adjoint(albedo, corner, weight, by_a, by_albedo[b])
    surface_weights_adjoint(at, corner, x, y, options, by_weight, g_depth[b, y, x], by_points[b])
    by_received[b, y, x] = by_light


@wp.func
def find_vertices(scene: Scene, b: int, slot: int, memory: Memory):
    """Places on the screen and codes of all vertices."""
    mesh = scene.vertices[wp.min(b, scene.vertices.shape[0] - 1)]
    points, codes = memory.points[slot], memory.codes[slot]
    height, width = memory.buffer.shape[1], memory.buffer.shape[2]
    turn, shift, lens = scene.turn[b], scene.shift[b], scene.lens[b]
    unsound = int(0)
    for v in range(points.shape[0]):
        at = to_screen(mesh[v], turn, shift, lens, scene.options)
        points[v] = at
        code = vertex_code(at, height, width, scene.options)
        codes[v] = code
        unsound = wp.max(unsound, int((code >> wp.uint32(15)) & wp.uint32(1)))
    if unsound != 0:
        memory.unsound[slot] = 1


@wp.func
def find_pixels(scene: Scene, b: int, slot: int, memory: Memory, picture: Picture):
    """Triangle, weights, depth and coverage of all pixels; notes which vertices are seen."""
    points, buffer, seen_in = memory.points[slot], memory.buffer[slot], memory.seen_in[slot]
    for y in range(buffer.shape[0]):
        keys, ids, cover = buffer[y], picture.triangle_id[b, y], picture.coverage[b, y]
        weights, depths = picture.barycentric[b, y], picture.depth[b, y]
        for x in range(buffer.shape[1]):
            resolve_pixel(keys[x], y, x, points, scene.triangles, scene.options, ids, weights, depths)
            cover[x] = 0.0
            if ids[x] >= 0:
                cover[x] = 1.0
                corner = scene.triangles[ids[x]]
                for k in range(3):
                    seen_in[corner[k]] = b


@wp.func
def find_normals(scene: Scene, b: int, slot: int, memory: Memory):
    """Normals at the vertices that are seen, each once, in viewer axes."""
    mesh = scene.vertices[wp.min(b, scene.vertices.shape[0] - 1)]
    seen_in, found, normals = memory.seen_in[slot], memory.found[slot], memory.normals[slot]
    rotation = scene.rotation[b]
    # In the order of their numbers, which is that of the memory.
    count = int(0)
    for v in range(seen_in.shape[0]):
        found[count] = v
        count += int(seen_in[v] == b)
    for i in range(count):
        v = found[i]
        normals[v] = rotation * unit(ring_area(v, mesh, scene.start, scene.ring))


@wp.func
def shade_pixels(scene: Scene, b: int, slot: int, memory: Memory, picture: Picture):
    """Normals and colours of all pixels."""
    albedo = scene.albedo[wp.min(b, scene.albedo.shape[0] - 1)]
    light = scene.light[wp.min(b, scene.light.shape[0] - 1)]
    background = scene.background[wp.min(b, scene.background.shape[0] - 1)]
    normals = memory.normals[slot]
    for y in range(picture.image.shape[1]):
        ids, weights = picture.triangle_id[b, y], picture.barycentric[b, y]
        normal, image = picture.normal[b, y], picture.image[b, y]
        behind = background[wp.min(y, background.shape[0] - 1)]
        for x in range(picture.image.shape[2]):
            t = ids[x]
            if t < 0:
                normal[x] = wp.vec3(0.0, 0.0, 0.0)
                image[x] = behind[wp.min(x, behind.shape[0] - 1)]
            else:
                shade_point(weights[x], scene.triangles[t], normals, albedo, light, normal, image, x)


@wp.kernel
def image_kernel(
    scene: Scene,
    b: int,  # the image
    slot: int,  # which part of the memory is this thread's own
    memory: Memory,
    picture: Picture,
):
    """Launched with one thread."""
    find_vertices(scene, b, slot, memory)
    draw_image(
        memory.points[slot],
        memory.codes[slot],
        scene.triangles,
        scene.options,
        memory.found[slot],
        memory.hits[slot],
        memory.buffer[slot],
    )
    find_pixels(scene, b, slot, memory, picture)
    find_normals(scene, b, slot, memory)
    shade_pixels(scene, b, slot, memory, picture)
