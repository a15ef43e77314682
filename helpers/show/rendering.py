"""Pictures that explain the renderer: the camera from the side, a triangle on its pixels, fields on one scale."""

from __future__ import annotations

import io

import numpy as np
import torch

from helpers.camera import Camera, Pose
from helpers.lighting import STUDIO_LIGHT
from helpers.rasterizer.reference import edge_functions
from helpers.rendering import render
from helpers.show.figures import as_array, figure, png_bytes
from helpers.show.on_cpu import on_cpu
from helpers.show.style import BLUE, GREY, INK, ORANGE, PAPER, PINK, RED, YELLOW
from helpers.show.views import CLAY, is_whole

CORNER_COLOURS = (YELLOW, PINK, BLUE)  # bright, middling and dark, so that they are told apart in grey too
SIGNED_MAP, DEPTH_MAP = "RdBu_r", "viridis"
FAR = 20_000.0  # mm: from here a picture has no perspective to speak of


def camera_picture(
    vertices, triangles, point, *, distance: float = 1000.0, plane: float = 330.0
) -> np.ndarray:
    """The pinhole camera from the side: a face, its axes, and the way of one point to the image.

    The page's axes are z of the camera to the right and y of the camera down; x of both comes out of the page.

    Args:
        vertices: (V, 3) mm, model axes.
        triangles: (F, 3).
        point: (3,) mm, model axes, the point whose ray is drawn.
        distance: of the face, mm.
        plane: mm from the pinhole at which the image is drawn; any other shows the same image in another size.

    Returns:
        (H, W, 3) uint8.
    """
    vertices, triangles = on_cpu((vertices, triangles))
    drawing, axes = figure(10.0, 2.75)
    half = 160.0 if is_whole(vertices) else 120.0  # mm
    axes.imshow(
        _profile(vertices, triangles, half),
        zorder=1,
        interpolation="antialiased",
        extent=(distance - half, distance + half, -half, half),
    )
    height, z = float(point[1]), distance - float(point[2])
    seen = height * plane / z  # on the page, where up is positive
    axes.plot([0, z], [0, height], color=RED, lw=1.6, zorder=3)
    axes.plot([0, distance], [0, 0], color=GREY, lw=1, ls=(0, (6, 4)), zorder=0)
    axes.plot([plane] * 2, [-62, 62], color=INK, lw=3, zorder=2)
    axes.plot([plane, z], [seen, height], "o", color=RED, ms=6, zorder=4)
    axes.plot(plane, 0, "s", color=INK, ms=6, zorder=4)

    _arrow(axes, (0, 0), (95, 0), BLUE, "z", (88, -15))
    _arrow(axes, (0, 0), (0, -85), BLUE, "y", (15, -76))
    _out_of_page(axes, (0, 0), BLUE, "x", (-20, 0))
    _arrow(axes, (distance, 0), (distance - 115, 0), ORANGE, "z", (distance - 110, -16))
    _arrow(axes, (distance, 0), (distance, 118), ORANGE, "y", (distance + 16, 108))
    _out_of_page(axes, (distance, 0), ORANGE, "x", (distance + 20, -2))
    _arrow(axes, (plane + 22, 20), (plane + 22, -50), INK, "v", (plane + 36, -42))

    axes.text(-20, 24, "camera axes,\npinhole at the origin", color=BLUE, ha="left", va="bottom")
    axes.text(distance + half - 10, 0, "model axes", color=ORANGE, ha="left", va="center")
    axes.text(plane, 68, "image plane, f from the pinhole", ha="center", va="bottom")
    axes.text(plane - 10, -8, "$c$", ha="right", va="top", size=12)
    axes.text(plane - 10, seen + 6, "$(u, v)$", ha="right", va="bottom", color=RED, size=12)
    axes.text(z - 8, height + 8, "$P$", ha="right", va="bottom", color=RED, size=12)
    axes.annotate("", (distance, -104), (0, -104), arrowprops={"arrowstyle": "<->", "color": GREY})
    axes.text(distance / 2, -101, f"$t_Z$ = {distance:.0f} mm", ha="center", va="bottom", color=GREY)
    axes.set(xlim=(-40, distance + half + 75), ylim=(-half, half), aspect="equal")
    axes.axis("off")
    return pixels(drawing, colours=64)


def _profile(vertices, triangles, half: float, size: int = 440) -> np.ndarray:
    """The face in clay as seen from its right, looking to the page's left, `half` mm to each side: (S, S, 3)."""
    vertices = torch.as_tensor(vertices, dtype=torch.float32).reshape(1, -1, 3)
    pose = Pose(torch.tensor([[0.0, -np.pi / 2, 0.0]]), torch.tensor([[0.0, 0.0, FAR]]))
    camera = Camera.default(size, focal=FAR * size / (2 * half), device="cpu")
    albedo = torch.tensor(CLAY).expand_as(vertices)
    with torch.no_grad():
        drawn = render(vertices, triangles, albedo, pose, camera, STUDIO_LIGHT[None], supersample=2)
    return drawn.image[0].clamp(0, 1).numpy()


def _arrow(axes, start, end, colour, name, at) -> None:
    how = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
    axes.annotate("", xy=end, xytext=start, arrowprops=how, zorder=4)
    axes.text(*at, f"${name}$", color=colour, ha="center", va="center", size=12, zorder=5)


def _out_of_page(axes, at, colour, name, text_at) -> None:
    """An axis that points at the reader: a ring with a dot."""
    axes.plot(*at, "o", ms=12, mfc=PAPER, mec=colour, mew=2, zorder=5)
    axes.plot(*at, "o", ms=4, color=colour, zorder=6)
    axes.text(*text_at, f"${name}$", color=colour, ha="center", va="center", size=12, zorder=5)


def triangle_picture(corners, size: tuple[int, int]) -> np.ndarray:
    """A triangle on an image: what it is, and which pixels it fills.

    The colour of each place mixes those of the corners by barycentric weights. A pixel is a square, and its centre, at
    integers, decides.

    Args:
        corners: (3, 2) px.
        size: (H, W) px, of the image.

    Returns:
        (H, W, 3) uint8, the drawing.
    """
    H, W = size
    corners = on_cpu(torch.as_tensor(corners, dtype=torch.float64))
    drawing, (left, right) = figure(8.4, 8.4 / 2 * (H / W) + 0.55, ncols=2)
    fine = 12
    steps = [(torch.arange(n * fine, dtype=torch.float64) + 0.5) / fine - 0.5 for n in (H, W)]
    for axes, (v, u) in ((left, steps), (right, [torch.arange(n, dtype=torch.float64) for n in size])):
        y, x = torch.meshgrid(v, u, indexing="ij")
        axes.imshow(_mixed(corners, x, y), extent=(-0.5, W - 0.5, H - 0.5, -0.5), interpolation="nearest")
        axes.plot(*corners[[0, 1, 2, 0]].T, color=INK, lw=1.6)
        axes.set_xticks(np.arange(W)), axes.set_yticks(np.arange(H))
        (
            axes.set_xticks(np.arange(W + 1) - 0.5, minor=True),
            axes.set_yticks(np.arange(H + 1) - 0.5, minor=True),
        )
        axes.grid(False, which="major"), axes.grid(True, which="minor", color="#C9CED6", lw=0.7)
        axes.tick_params(which="both", length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set(xlabel="u, px", ylabel="v, px", xlim=(-0.5, W - 0.5), ylim=(H - 0.5, -0.5), aspect="equal")
        for k, colour in enumerate(CORNER_COLOURS):
            outward = corners[k] - corners.mean(0)
            at = corners[k] + 0.75 * outward / outward.norm()
            axes.plot(*corners[k], "o", color=colour, ms=9, mec=INK, clip_on=False, zorder=4)
            axes.text(*at, f"$p_{k}$", ha="center", va="center", size=13, zorder=5)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    covered = _inside(corners, x, y)
    left.plot(x[~covered], y[~covered], ".", color=GREY, ms=3)
    left.plot(x[covered], y[covered], "o", color=INK, ms=4)
    left.set_title("the triangle, and the pixel centres in it")
    right.set_title("the pixels that it fills")
    return pixels(drawing, colours=128)


def _inside(corners, x, y):
    e = edge_functions(corners, x, y)
    return (e.amin(-1) >= 0) | (e.amax(-1) <= 0)


def _mixed(corners, x, y) -> np.ndarray:
    """The corners' colours, mixed by barycentric weights at (x, y), white outside of the triangle: (..., 3)."""
    from matplotlib.colors import to_rgb

    e = edge_functions(corners, x, y)
    weights = e / e.sum(-1, keepdim=True)
    colours = torch.tensor([to_rgb(c) for c in CORNER_COLOURS], dtype=torch.float64)
    return torch.where(
        _inside(corners, x, y)[..., None], weights @ colours, torch.ones(3, dtype=torch.float64)
    ).numpy()


def depth_colours(depth, near: float, far: float) -> np.ndarray:
    """Colours (H, W, 3) of depths (H, W) mm from `near` (bright) to `far` (dark); white where it is infinite."""
    import matplotlib

    depth = as_array(depth).astype(float)
    seen = np.isfinite(depth)
    share = np.where(seen, np.clip((np.where(seen, depth, far) - near) / (far - near), 0, 1), 0)
    colours = np.asarray(matplotlib.colormaps[DEPTH_MAP](1 - share))[..., :3]
    return np.where(seen[..., None], colours, 1.0)


def normal_colours(normal) -> np.ndarray:
    """Unit normals (H, W, 3) as colours: x, y, z from −1 to 1 become red, green, blue from 0 to 1; white for none."""
    normal = as_array(normal).astype(float)
    return np.where((normal != 0).any(-1, keepdims=True), normal / 2 + 0.5, 1.0)


def sphere_normals(size: int, dtype=torch.float32) -> torch.Tensor:
    """Normals (size, size, 3), viewer axes, of a unit sphere that fills the square; 0 beside it."""
    at = (2 * torch.arange(size, dtype=dtype) + 1) / size - 1
    y, x = torch.meshgrid(-at, at, indexing="ij")
    squared = x * x + y * y
    normal = torch.stack([x, y, (1 - squared).clamp(min=0).sqrt()], -1)
    return torch.where(squared[..., None] <= 1, normal, 0)


def field_picture(rows, titles, *, limit: float, label: str, row_names=None, cell: float = 1.7) -> np.ndarray:
    """Fields on one signed scale, with one colour bar for all; NaN is left white.

    Args:
        rows: lists of arrays (H, W), all of one length.
        titles: of the columns.
        limit: the colours run from −limit (blue) by white to +limit (red).
        label: what the scale means, with its unit.
        row_names: of the rows, or None.
        cell: inches of each field; 1.7 shows a field of 184 pixels pixel by pixel.

    Returns:
        (H, W, 3) uint8, which is stored as a photograph.

    Raises:
        ValueError: a row has not as many fields as there are titles.
    """
    import matplotlib

    rows, columns = on_cpu(rows), len(titles)
    if any(len(row) != columns for row in rows):
        raise ValueError(f"each row needs {columns} fields, as many as there are titles")
    height = sum(cell * np.asarray(row[0]).shape[0] / np.asarray(row[0]).shape[1] for row in rows)
    drawing, grid = figure(cell * columns + 0.9, height + 0.45, nrows=len(rows), ncols=columns, squeeze=False)
    for number, row in enumerate(rows):
        for axes, values in zip(grid[number], row, strict=True):
            axes.imshow(np.asarray(values, dtype=float), cmap=SIGNED_MAP, vmin=-limit, vmax=limit)
            axes.set_xticks([]), axes.set_yticks([])
            axes.grid(False)
            axes.spines[:].set_visible(False)
        if row_names is not None:
            grid[number][0].set_ylabel(row_names[number])
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)  # so that neighbours do not touch
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(-limit, limit), SIGNED_MAP)
    drawing.colorbar(
        scale, ax=grid.ravel().tolist(), label=label, fraction=0.04, pad=0.01, aspect=14 * len(rows)
    )
    return pixels(drawing)


def pixels(drawing, colours: int | None = None) -> np.ndarray:
    """A matplotlib figure as an array (H, W, 3) uint8; `colours`: with this many colours only, so that a PNG is small."""
    from PIL import Image

    image = Image.open(io.BytesIO(png_bytes(drawing))).convert("RGB")
    if colours is not None:
        image = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return np.asarray(image)
