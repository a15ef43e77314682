"""Contact sheets of the model, to be looked at after each build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from helpers.camera import Camera, Pose
from helpers.face_model.beard import beard_layer
from helpers.face_model.gaze import look
from helpers.face_model.morphable_model import MorphableModel
from helpers.face_model.open_model import load_open_model

DISTANCE = 1000.0  # mm from camera to face
HEIGHT = 320.0  # mm of the face's surroundings that a picture shows
GREY = 0.75
SMOOTH = (
    "mean",
    "texture_modes",
    "random_people",
    "close_up",
    "gaze_and_beards",
)  # sheets whose gradients need all colours
EXPRESSIONS = (
    "jawOpen",
    "mouthSmileLeft+mouthSmileRight",
    "mouthPucker",
    "eyeBlinkLeft",
    "eyeBlinkLeft+eyeBlinkRight",
    "browInnerUp",
    "noseSneerLeft+noseSneerRight",
    "cheekPuff",
    "mouthFunnel",
    "mouthStretchLeft+mouthStretchRight",
    "mouthUpperUpLeft+mouthUpperUpRight",
    "jawLeft",
)


def view(
    vertices: torch.Tensor,
    triangles: torch.Tensor,
    colours: torch.Tensor | None,
    yaw: float = 0.0,
    size: int = 200,
    centre: tuple[float, float, float] = (0, 0, 0),
    height: float = HEIGHT,
) -> np.ndarray:
    """Draw one picture of a face.

    Args:
        vertices: (V, 3) mm.
        triangles: (F, 3).
        colours: (V, 3) sRGB, 0 to 1; None is grey.
        yaw: Degrees by which the face is turned to the viewer's right.
        size: Side of the picture, px.
        centre: (3,) mm, the point in the middle of the picture.
        height: Height that the picture shows, mm.

    Returns:
        (size, size, 3) sRGB, 0 to 1.
    """
    from helpers.lighting import STUDIO_LIGHT
    from helpers.rendering import render

    if colours is None:
        colours = torch.full_like(vertices, GREY)
    turn = torch.tensor([[0.0, np.deg2rad(yaw), 0.0]], dtype=torch.float32)
    # The model's y is up and the camera's is down, hence the sign of the offset.
    camera = Camera.default(size, focal=DISTANCE * size / height, device="cpu")
    pose = Pose(turn, torch.tensor([[0.0, 0.0, DISTANCE]]))
    shifted = vertices - torch.tensor(centre, dtype=torch.float32)
    drawn = render(shifted[None], triangles, colours[None], pose, camera, STUDIO_LIGHT[None], supersample=2)
    return drawn.image[0].clamp(0, 1).numpy()


def grid(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Lay pictures (H, W, 3) of one size on white, row by row."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.ones((rows * height, columns * width, 3))
    for i, picture in enumerate(pictures):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet


def save(path: Path, picture: np.ndarray, colours: int | None = 128) -> None:
    """Write a PNG, of a few colours where the eye sees hardly a difference: a quarter of the size."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    if colours is not None:
        image = image.quantize(colours, method=Image.Quantize.MEDIANCUT)
    image.save(path, optimize=True)


def titled(picture: np.ndarray, text: str) -> np.ndarray:
    """Write a title into a picture's corner."""
    image = Image.fromarray((picture * 255).astype(np.uint8))
    ImageDraw.Draw(image).text((4, 2), text, fill=(60, 60, 60))
    return np.asarray(image) / 255


def mean_face(model: MorphableModel) -> np.ndarray:
    """Draw the mean face from three sides, coloured and grey."""
    views = [(colours, yaw) for colours in (model.mean_texture, None) for yaw in (0, 45, 90)]
    return grid([view(model.mean_shape, model.triangles, c, yaw, 300) for c, yaw in views], 3)


def modes(model: MorphableModel, kind: str, count: int = 6) -> np.ndarray:
    """Draw −3σ and +3σ of the first modes of "shape" or "texture"."""
    pictures = []
    for i in range(count):
        for amount in (-3.0, 3.0):
            coefficients = torch.zeros(1, i + 1)
            coefficients[0, i] = amount
            shape = model.shape(coefficients)[0] if kind == "shape" else model.mean_shape
            colours = model.mean_texture if kind == "shape" else model.texture(coefficients)[0]
            for yaw in (0, 50) if kind == "shape" else (0,):
                picture = view(shape, model.triangles, colours, yaw, 180)
                pictures.append(titled(picture, f"{kind} {i + 1}, {amount:+.0f} sd" if yaw == 0 else ""))
    return grid(pictures, 8 if kind == "shape" else 6)


def random_people(model: MorphableModel, count: int = 16) -> np.ndarray:
    """Draw random people from three sides."""
    people = model.sample(count, torch.Generator().manual_seed(21))
    shapes, colours = model.shape(people.alpha), model.texture(people.beta)
    pictures = [
        view(shapes[i], model.triangles, colours[i], yaw, 150) for i in range(count) for yaw in (0, 45, 90)
    ]
    return grid(pictures, 12)


def expressions(model: MorphableModel) -> np.ndarray:
    """Draw some of the expressions in full."""
    assert model.expression_units is not None  # the open model has them
    pictures = []
    for names in EXPRESSIONS:
        chosen = [model.expression_names.index(name) for name in names.split("+")]
        shape = model.mean_shape + model.expression_units[..., chosen].sum(-1)
        label = names.split("+")[0].replace("Left", ", both sides") if "+" in names else names
        pictures.append(titled(view(shape, model.triangles, model.mean_texture, 15, 200), label))
    return grid(pictures, 6)


def marked_landmarks(model: MorphableModel) -> np.ndarray:
    """Draw the landmarks and the masks on the mean face."""
    assert model.masks is not None and model.landmarks is not None  # the open model has them
    colours = torch.full_like(model.mean_shape, GREY)
    for name, tint in (("lips", (0.85, 0.45, 0.45)), ("ears", (0.5, 0.75, 0.5)), ("brows", (0.75, 0.6, 0.4))):
        weight = model.masks[name][:, None]
        colours = colours * (1 - weight) + torch.tensor(tint) * weight
    trusted = 0.85 + 0.15 * model.masks["skin"][:, None]
    colours = colours * trusted
    distance = torch.cdist(model.mean_shape, model.mean_shape[model.landmarks]).min(1).values
    colours[distance < 1.0] = 0.0
    return grid([view(model.mean_shape, model.triangles, colours, yaw, 420) for yaw in (0, 50)], 2)


def eyes_and_mouth(model: MorphableModel) -> np.ndarray:
    """Draw an eye and the mouth from near; below, eyes of other people, and the mouth in a smile."""
    eye, mouth = (32, 34, 30), (0, -36, 40)
    mean, people = model.mean_shape, model.sample(2, torch.Generator().manual_seed(3))
    pictures = [
        view(mean, model.triangles, model.mean_texture, yaw, 320, c, 70)
        for c in (eye, mouth)
        for yaw in (0, 35)
    ]
    for shape, colours in zip(model.shape(people.alpha), model.texture(people.beta), strict=True):
        pictures.append(view(shape, model.triangles, colours, 0, 320, eye, 70))
    smile = expression(model, {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.25})
    pictures += [view(smile, model.triangles, model.mean_texture, yaw, 320, mouth, 95) for yaw in (0, 35)]
    return grid(pictures, 4)


def expression(model: MorphableModel, activation: dict[str, float]) -> torch.Tensor:
    """Move the mean face by units, name → activation: (V, 3) mm."""
    assert model.expression_units is not None  # the open model has them
    units = [model.expression_units[..., model.expression_names.index(name)] for name in activation]
    return model.mean_shape + sum(a * unit for a, unit in zip(activation.values(), units, strict=True))


def gaze_and_beards(model: MorphableModel) -> np.ndarray:
    """Draw the eyes turned by angles of their own, and beards of several cuts."""
    yaw_and_pitch = [(-25.0, 0.0), (0.0, 0.0), (25.0, 0.0), (0.0, 20.0), (0.0, -20.0), (18.0, 14.0)]
    angles = torch.deg2rad(torch.tensor(yaw_and_pitch))[:, None].expand(-1, 2, 2)
    looks = look(model, model.mean_shape.expand(len(angles), -1, -1), angles)
    pictures = [
        titled(
            view(shape, model.triangles, model.mean_texture, 0, 260, (0, 34, 30), 110),
            f"{yaw:.0f}°, {pitch:.0f}°",
        )
        for shape, (yaw, pitch) in zip(looks, yaw_and_pitch, strict=True)
    ]
    cuts = torch.tensor([[1.0, 1, 1], [0.6, 0.6, 0.6], [0, 1, 1], [0, 0, 1], [0.95, 0.95, 0], [1, 1, 1]])
    hair = torch.tensor([[0.12, 0.09, 0.08]] * 5 + [[0.62, 0.60, 0.58]])
    men = model.sample(len(cuts), torch.Generator().manual_seed(8))
    colours = beard_layer(model, model.texture(men.beta), hair, cuts)
    pictures += [
        view(shape, model.triangles, c, 30 * (i % 2), 260)
        for i, (shape, c) in enumerate(zip(model.shape(men.alpha), colours, strict=True))
    ]
    return grid(pictures, 6)


def draw_all(asset: Path, folder: Path) -> None:
    """Write all sheets as PNG files into `folder`."""
    face = load_open_model(path=asset)
    model = face.whole_head
    sheets = {
        "mean": mean_face(model),
        "shape_modes": modes(model, "shape"),
        "texture_modes": modes(model, "texture"),
        "random_people": random_people(model),
        "expressions": expressions(model),
        "landmarks": marked_landmarks(face),
        "close_up": eyes_and_mouth(model),
        "gaze_and_beards": gaze_and_beards(model),
    }
    for name, sheet in sheets.items():
        save(folder / f"{name}.png", sheet, colours=None if name in SMOOTH else 128)
        print(f"drew {folder / name}.png")
