"""Pictures that explain a pose: points and their partners, a head laid over a face, a cloud of heads."""

from __future__ import annotations

import numpy as np
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.lighting import STUDIO_LIGHT
from helpers.rendering import render
from helpers.show.figures import as_array, as_bytes, figure, write
from helpers.show.on_cpu import on_cpu
from helpers.show.rendering import pixels
from helpers.show.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED
from helpers.show.views import CLAY, is_whole, portraits, studio

# The 68 points as lines: name -> (first, last, closed), and a colour each.
PARTS = {
    "jaw": ((0, 16, False),),
    "brows": ((17, 21, False), (22, 26, False)),
    "nose": ((27, 30, False), (31, 35, False)),
    "eyes": ((36, 41, True), (42, 47, True)),
    "mouth": ((48, 59, True), (60, 67, True)),
}
PART_COLOURS = dict(zip(PARTS, (BLUE, ORANGE, RED, GREEN, PINK), strict=True))
AXIS_COLOURS = {"x": ORANGE, "y": GREEN, "z": BLUE}


def face_lines(axes, points, colours=None, **line) -> None:
    """Draw landmarks as the lines of a face.

    Args:
        axes: of matplotlib.
        points: (68, 2).
        colours: one colour for all lines, or None for one a part.
        line: options of matplotlib's lines.
    """
    parts = [part for part, runs in PARTS.items() for _ in runs]
    for part, at in zip(parts, _lines(as_array(points)), strict=True):
        axes.plot(*at.T, color=colours or PART_COLOURS[part], **line)


def _lines(points: np.ndarray) -> list[np.ndarray]:
    """The points (68, 2) as lines, in the order of PARTS."""
    runs = [run for runs in PARTS.values() for run in runs]
    return [points[[*range(first, last + 1), *([first] if closed else [])]] for first, last, closed in runs]


def correspondence_picture(images, points, titles, numbers=(0, 8, 16, 17, 26, 27, 30, 33, 36, 45, 48, 54)):
    """The same 68 points on several pictures, side by side, in the colours of their parts.

    Args:
        images: each (H, W, 3).
        points: of each image, (68, 2) px.
        titles: of each image.
        numbers: the points whose numbers are written beside them.

    Returns:
        (H, W, 3) uint8.
    """
    drawing, panels = figure(3.7 * len(images), 3.9, ncols=len(images), squeeze=False)
    for axes, image, at, title in zip(panels[0], images, points, titles, strict=True):
        image, at = as_bytes(image), as_array(at)
        axes.imshow(image, interpolation="antialiased")
        face_lines(axes, at, lw=1.2, alpha=0.9)
        for part, runs in PARTS.items():
            for first, last, _ in runs:
                axes.plot(
                    *at[first : last + 1].T, "o", ms=4.5, color=PART_COLOURS[part], mec="white", mew=0.6
                )
        middle = at.mean(0)
        for n in numbers:
            away = at[n] - middle
            place = at[n] + 11 * away / max(float(np.linalg.norm(away)), 1e-6)
            box = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.75}
            axes.text(*place, str(n), size=8, color=INK, ha="center", va="center", bbox=box)
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5), title=title)
        axes.axis("off")
    return pixels(drawing)


def head_over(
    image, vertices, triangles, pose: Pose, camera: Camera, opacity: float = 0.8, axes: bool = True
):
    """A clay head laid over a picture, and from its nose the model's axes: x orange, y green, z blue, each with its letter.

    A head behind the camera leaves the picture as it is.

    Args:
        image: (H, W, 3).
        vertices: (V, 3) mm, model axes.
        triangles: (F, 3).
        pose: of the head.
        camera: of the picture's size.
        opacity: of the head, 0 to 1.
        axes: whether the axes are drawn.

    Returns:
        (H, W, 3) uint8.
    """
    vertices, triangles, pose, camera = on_cpu((vertices, triangles, pose, camera))
    from PIL import Image, ImageDraw

    image = torch.as_tensor(as_bytes(image) / np.float32(255))
    vertices = torch.as_tensor(vertices, dtype=torch.float32).reshape(1, -1, 3)
    pose, camera = pose.to(torch.float32), camera.to(torch.float32)
    albedo = torch.tensor(CLAY).expand_as(vertices)
    with torch.no_grad():
        drawn = render(
            vertices, triangles, albedo, pose, camera, STUDIO_LIGHT[None], background=0.0, supersample=2
        )
    cover = opacity * drawn.coverage[0, ..., None]
    laid = image * (1 - cover) + opacity * drawn.image[0].clamp(0, 1)
    page = Image.fromarray(as_bytes(laid))
    if not axes:
        return np.asarray(page)

    fine = 3  # drawn larger and shrunk, for smooth lines
    tip = vertices[0, vertices[0, :, 2].argmax()]
    ends = torch.cat([tip[None], tip + 60 * torch.eye(3)])[None]
    placed = model_to_camera(ends, pose)
    if bool((placed[..., 2] <= 1).any()):
        return np.asarray(page)
    at = ((project(placed, camera)[0, :, :2] + 0.5) * fine - 0.5).tolist()
    page = page.resize((page.width * fine, page.height * fine), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(page)
    order = sorted(zip("xyz", range(1, 4), strict=True), key=lambda named: -float(placed[0, named[1], 2]))
    for name, k in order:  # the one that points to the viewer comes last, on top
        width = max(6, page.width // 90)
        _arrow(pen, at[0], at[k], AXIS_COLOURS[name], width)
        _name_of_axis(page, at[0], at[k], name, width)
    return np.asarray(page.resize((page.width // fine, page.height // fine), Image.Resampling.LANCZOS))


def _name_of_axis(page, start, end, name: str, width: int) -> None:
    """The letter beyond the arrow's head, so that nobody needs the colour; beside it where the arrow is short."""
    along = np.array(end) - np.array(start)
    length = float(np.linalg.norm(along))
    along = along / length if length > 4 * width else np.array([-0.7, 0.7])
    at = tuple(np.array(end) + 3.4 * width * along)
    write(page, at, name, 5 * width, AXIS_COLOURS[name], edge=3)


def _arrow(pen, start, end, colour: str, width: int) -> None:
    start, end = np.array(start), np.array(end)
    length = float(np.linalg.norm(end - start))
    if length < width:  # it points at the viewer
        pen.ellipse([*(end - width), *(end + width)], fill=colour, outline="white", width=2)
        return
    along = (end - start) / length
    aside = np.array([-along[1], along[0]])
    neck = end - along * min(3 * width, length)
    for tint, extra in (("white", 4), (colour, 0)):
        pen.line([*start, *neck], fill=tint, width=width + extra)
        corners = [
            end + along * extra,
            neck + aside * (1.4 * width + extra),
            neck - aside * (1.4 * width + extra),
        ]
        pen.polygon([tuple(corner) for corner in corners], fill=tint)


def cloud_picture(image, points_3d, vertices, clouds, camera: Camera, truth: Pose | None = None):
    """Clouds of heads: for each of several estimates, poses drawn from its covariance, as the camera sees them (top)
    and as seen from above (bottom).

    Args:
        image: (H, W, 3).
        points_3d: (68, 3) mm.
        vertices: (V, 3) mm, the whole head, for its outline from above.
        clouds: title to the `Pose` of K draws.
        camera: the one that sees the image.
        truth: drawn in dark, if it is known.

    Returns:
        (H, W, 3) uint8.
    """
    from matplotlib.collections import LineCollection, PolyCollection

    image, points_3d, vertices = on_cpu((image, points_3d, vertices))
    clouds, camera, truth = on_cpu((clouds, camera, truth))
    drawing, panels = figure(3.1 * len(clouds), 5.6, nrows=2, ncols=len(clouds), squeeze=False)
    outline = _corners(as_array(vertices))
    middle = torch.cat([poses.translation for poses in clouds.values()]).mean(0)
    depths = []
    for column, (title, poses) in enumerate(clouds.items()):
        seen, above = panels[:, column]
        seen.imshow(as_bytes(image), alpha=0.45, interpolation="antialiased")
        K = len(poses.translation)
        lines = [line for points in _seen(points_3d, poses, camera) for line in _lines(points)]
        seen.add_collection(LineCollection(lines, colors=BLUE, linewidths=0.8, alpha=min(1.0, 6 / K)))
        heads = _above(outline, poses)
        depths += [head[:, 1] for head in heads]
        above.add_collection(PolyCollection(heads, facecolors=BLUE, alpha=min(0.5, 1.6 / K), linewidths=0))
        nose = torch.as_tensor(points_3d)[30]
        tips = as_array(model_to_camera(nose.expand(K, 1, 3).to(poses.translation), poses))[:, 0]
        above.plot(tips[:, 0], tips[:, 2], ".", color=BLUE, ms=4, alpha=0.7)
        if truth is not None:
            face_lines(seen, _seen(points_3d, truth, camera)[0], INK, lw=1.1)
            head = _above(outline, truth)[0]
            above.plot(*np.concatenate([head, head[:1]]).T, color=INK, lw=1.2)
        size = image.shape[:2]
        seen.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5), title=title)
        seen.axis("off")
        above.set(xlabel="x, mm", ylabel="depth z, mm" if column == 0 else "")
    nearest, farthest = (
        np.quantile([d.min() for d in depths], 0.02),
        np.quantile([d.max() for d in depths], 0.98),
    )
    for above in panels[1]:  # the camera stands below: what is lower on the page is nearer to it
        x = float(middle[0])
        above.set(xlim=(x - 140, x + 140), ylim=(nearest - 25, farthest + 25), aspect="equal")
    panels[1, 0].annotate(
        "to the camera",
        (0.94, 0.04),
        (0.94, 0.2),
        xycoords="axes fraction",
        rotation=90,
        ha="center",
        va="bottom",
        color=GREY,
        size=8,
        arrowprops={"arrowstyle": "->", "color": GREY},
    )
    return pixels(drawing)


def _corners(vertices: np.ndarray) -> torch.Tensor:
    """The vertices on the convex hull: all that an outline from any side needs."""
    from scipy.spatial import ConvexHull

    return torch.as_tensor(vertices[ConvexHull(vertices).vertices], dtype=torch.float32)


def _seen(points_3d, poses: Pose, camera: Camera) -> np.ndarray:
    """(K, 68, 2) px of the points (68, 3) in K poses."""
    K = len(poses.translation)
    points = torch.as_tensor(points_3d).to(poses.translation).expand(K, -1, -1)
    one = Camera(camera.focal[:1].expand(K), camera.principal_point[:1].expand(K, -1), camera.size).to(
        poses.translation
    )
    return as_array(project(model_to_camera(points, poses), one)[..., :2])


def _above(outline: torch.Tensor, poses: Pose) -> list[np.ndarray]:
    """Each head's outline from above, (n, 2): x and depth, mm."""
    from scipy.spatial import ConvexHull

    K = len(poses.translation)
    placed = as_array(model_to_camera(outline.to(poses.translation).expand(K, -1, -1), poses))[..., [0, 2]]
    return [head[ConvexHull(head).vertices] for head in placed]


def model_with_points(model, size: int = 320):
    """The mean face from the front.

    Args:
        model: a `MorphableModel` with landmarks.
        size: px of the square picture.

    Returns:
        The face with its colours (size, size, 3), 0 to 1, and where its 68 points fall, (68, 2) px.
    """
    model = on_cpu(model.whole_head)
    (image,) = portraits(model.mean_shape[None], model.triangles, model.mean_texture[None], size=size)
    pose, camera, _ = studio((0.0,), size, is_whole(model.mean_shape))
    return image, torch.from_numpy(_seen(model.mean_shape[model.landmarks], pose, camera)[0])


def motion_picture(points, jacobian, steps, titles):
    """How landmarks move when one of the six numbers of the pose changes: six panels with arrows.

    Args:
        points: (68, 2) px.
        jacobian: (136, 6), rows u₀, v₀, u₁ …
        steps: six numbers, how far each is changed.
        titles: six.

    Returns:
        (H, W, 3) uint8.
    """
    points = as_array(points)
    moves = as_array(jacobian).reshape(len(points), 2, -1)
    drawing, panels = figure(8.4, 5.5, nrows=2, ncols=3)
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, 0.62 * (high - low).max()
    for k, (axes, title) in enumerate(zip(panels.flat, titles, strict=True)):
        move = moves[..., k] * float(steps[k])
        face_lines(axes, points, GREY, lw=0.8, alpha=0.6)
        axes.quiver(
            *points.T,
            *move.T,
            color=BLUE if k < 3 else RED,
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.006,
        )
        axes.set(
            xlim=(middle[0] - half, middle[0] + half),
            ylim=(middle[1] + half, middle[1] - half),
            aspect="equal",
        )
        axes.set_title(title)
        axes.set(xticks=[], yticks=[])
    return pixels(drawing, 48)


def pose_error(estimate: Pose, truth: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    """How far poses are from the truth.

    Args:
        estimate: B poses.
        truth: B poses, or one.

    Returns:
        The angle between the rotations, degrees (B,), and the distance of the translations, mm (B,).
    """
    from helpers._roma import roma

    angle = roma.rotmat_geodesic_distance(estimate.rotation, truth.rotation.expand_as(estimate.rotation))
    return torch.rad2deg(angle), (estimate.translation - truth.translation).norm(dim=-1)
