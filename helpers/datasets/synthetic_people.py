"""Many people, many photographs of each, drawn while they are read. All of it is synthetic and every number known.

A data set of half a million photographs need not lie on a disk. Photograph number i is a function of (seed, person,
photograph of that person): whoever asks for it, alone or in a batch, today or after a restart, gets the same one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera, Pose, model_to_camera, project
from helpers.crop import AUTHORS_REACH
from helpers.datasets.backgrounds import GRID, backgrounds
from helpers.datasets.damage import add_noise, blur_by, noise_table, through_jpeg, transformed
from helpers.datasets.known_faces import _framed
from helpers.datasets.nuisances import Nuisances
from helpers.datasets.occluders import Occluders
from helpers.datasets.random_streams import Draws, generator_of
from helpers.face_model import FaceCoefficients, MorphableModel
from helpers.landmarks.detection import SPREAD_DOUBTFUL
from helpers.lighting import DEFAULT_LIGHT, ColourTransform
from helpers.lighting.lamp_vector import unpack_lamp
from helpers.rendering import render

FRAMINGS = ("network", "fit")
OUTER_EYES = (36, 45)  # of the 68 points
# Turned, hidden, blurred and noisy faces are harder to find points in. Chosen by hand to be of the size that
# detectors show; only their order matters here.
HARDER_BY_YAW, HARDER_BY_HIDDEN, HARDER_BY_BLUR, HARDER_BY_NOISE = 1.5, 3.0, 0.5, 10.0
HIDDEN_POINT = 2.0  # a hidden point's own noise grows by this much more
CONFIDENCE_SPREAD = 0.25  # a detector does not know its own noise better than by e to the power of ± this


@dataclass(frozen=True)
class PeopleBatch:
    """B photographs of S × S px.

    image: (B, S, S, 3) sRGB from 0 to 1.
    landmarks: (B, 68, 2) px, simulated: the true projections plus noise.
    confidence: (B,) of the simulated detector, 0 to 1; lower where the noise is larger, but not exactly.
    landmark_noise: (B,) px, the standard deviation that was used; what a detector would not tell.
    coefficients: the truth; alpha and beta of the person, expression of the photograph.  person: (B,) int64.
    pose, camera: the truth.
    light: (B, 9, 3) harmonics, or (B, 15) a lamp and colours.  colour: what the camera did to the whole picture.
    vertices: (B, V, 3) mm with expression.  neutral: (B, V, 3) mm without.
    triangle_id: (B, S, S) int32, −1 where the face is not to be seen.
    """

    image: Tensor
    landmarks: Tensor
    confidence: Tensor
    landmark_noise: Tensor
    coefficients: FaceCoefficients
    person: Tensor
    pose: Pose
    camera: Camera
    light: Tensor
    colour: ColourTransform
    vertices: Tensor
    neutral: Tensor
    triangle_id: Tensor
    model: MorphableModel = field(repr=False)

    def __len__(self) -> int:
        return len(self.image)

    @cached_property
    def visible(self) -> Tensor:
        """(B, V), 1 for vertices of the face proper that the image shows."""
        B, V = len(self), self.model.n_vertices
        picture, row, column = (self.triangle_id >= 0).nonzero(as_tuple=True)
        corners = self.model.triangles[self.triangle_id[picture, row, column].long()] + V * picture[:, None]
        shown = self.neutral.new_zeros(B * V)
        shown[corners.flatten()] = 1.0
        return shown.view(B, V) * (self.model.masks["skin"] > 0.5)


@dataclass(frozen=True)
class SyntheticPeople:
    """`people` persons with `photos` photographs each; photograph i shows person i // photos.

    model: a face model with landmarks. Its device is that of all results; every number is drawn on the CPU.
    people: persons are drawn from the model's prior; person p is the same whatever `people` and `photos` are.
    size: px.  framing: "network", the crop of the authors' code about the points that the detector found, or "fit", the
    crop that `helpers.fitting.fit` expects, with the principal point in its middle.
    Raises ValueError for numbers out of range and another framing.
    """

    model: MorphableModel = field(repr=False)
    people: int
    photos: int
    seed: int = field(default=0, kw_only=True)
    size: int = field(default=112, kw_only=True)
    framing: str = field(default="network", kw_only=True)
    nuisances: Nuisances = field(default_factory=Nuisances, kw_only=True)

    def __post_init__(self):
        for name in ("people", "photos", "size"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value < 2**31:
                raise ValueError(f"{name} must be a whole number from 1, got {value!r}")
        if self.framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {', '.join(FRAMINGS)}, got {self.framing!r}")
        if self.model.landmarks is None:
            raise ValueError(
                f"{self.model.name} has no landmarks, so its photographs would have no detections"
            )

    def __len__(self) -> int:
        return self.people * self.photos

    @property
    def n_expressions(self) -> int:
        return 0 if self.model.expression_std is None else len(self.model.expression_std)

    @cached_property
    def coefficients(self) -> FaceCoefficients:
        """The truth about all people: alpha and beta (P, …), and neutral expressions (P, Ke)."""
        sizes = [len(self.model.shape_std), len(self.model.texture_std)]
        rows = np.empty((self.people, sum(sizes)), np.float32)
        for person, row in enumerate(rows):
            generator_of(self.seed, person).standard_normal(out=row, dtype=np.float32)
        alpha, beta = torch.from_numpy(rows).to(self.model.mean_shape).split(sizes, 1)
        return FaceCoefficients(
            alpha.contiguous(), beta.contiguous(), alpha.new_zeros(self.people, self.n_expressions)
        )

    @cached_property
    def _noise(self) -> Tensor:
        return noise_table(self.seed, self.model.mean_shape.device)

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None) -> Iterator[PeopleBatch]:
        """Every photograph once, in order or, given a shuffle_seed, in an order of its own; the last batch may be short."""
        order = torch.arange(len(self))
        if shuffle_seed is not None:
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(shuffle_seed))
        for indices in order.split(batch_size):
            yield self.batch(indices)

    def batch(self, indices: Tensor) -> PeopleBatch:
        """The photographs of these numbers (B,), in this order. Raises IndexError for numbers out of range."""
        indices = torch.as_tensor(indices, dtype=torch.long).cpu()
        if indices.dim() != 1 or not len(indices):
            raise ValueError(f"indices must be (B,) with at least one, got {tuple(indices.shape)}")
        if bool((indices < 0).any()) or bool((indices >= len(self)).any()):
            raise IndexError(
                f"photographs are numbered 0 to {len(self) - 1}, got {indices.min()} to {indices.max()}"
            )
        with torch.no_grad():
            return self._photographs(indices)

    def _photographs(self, indices: Tensor) -> PeopleBatch:
        model, nuisances, size = self.model, self.nuisances, self.size
        device = model.mean_shape.device
        B, unit = len(indices), size / 224
        person, photo = (indices // self.photos).tolist(), (indices % self.photos).tolist()
        generators = [generator_of(self.seed, p, n) for p, n in zip(person, photo, strict=True)]
        draws = Draws(generators, 160, 256 + self.n_expressions, device)

        # The face. People who appear several times in the batch are shaped once.
        people, which = torch.unique(indices // self.photos, return_inverse=True)
        people, which = people.to(device), which.to(device)
        alpha, beta = self.coefficients.alpha[people], self.coefficients.beta[people]
        expression = draws.normal(nuisances.expression, self.n_expressions)
        neutral = model.shape(alpha)[which]
        vertices = _with_expression(model, neutral, expression)
        albedo = model.texture(beta)[which]
        coefficients = FaceCoefficients(alpha[which], beta[which], expression)

        # Where it is, what hides it, and what the detector makes of it.
        rotation = (
            draws.within(1.0, 3)
            * math.radians(nuisances.max_yaw)
            * torch.tensor([1 / 3, 1, 1 / 3], device=device)
        )
        camera = Camera.default(size, batch=B, device=device)
        focal = DEFAULT_FOCAL * unit * torch.exp(draws.within(nuisances.focal_spread))
        camera = Camera(focal, camera.principal_point, camera.size)
        points = vertices[:, model.landmarks]
        pose = _framed(points, rotation, camera, size)
        move, grow = draws.within(nuisances.jitter, 2), 1 + draws.within(nuisances.jitter)
        if self.framing == "fit":
            pose = _missed(pose, camera, move * size, grow)
        in_camera = model_to_camera(points, pose)
        truth = project(in_camera, camera)[..., :2]
        occluders = _occluders(draws, truth, nuisances.occluders)
        blur, noise = draws.share() * nuisances.blur * unit, draws.share() * nuisances.noise
        hidden = occluders.covers(truth).to(truth)
        yaw = pose.yaw_pitch_roll()[:, 0].abs() / 45
        harder = (
            1
            + HARDER_BY_YAW * yaw**2
            + HARDER_BY_HIDDEN * hidden.mean(1)
            + HARDER_BY_BLUR * blur / unit
            + HARDER_BY_NOISE * noise
        )
        sigma = nuisances.landmark_noise * unit * harder
        landmarks = (
            truth + draws.normal(1.0, 68, 2) * (sigma[:, None] * (1 + HIDDEN_POINT * hidden))[..., None]
        )
        left, right = OUTER_EYES
        eyes = (points[:, left] - points[:, right]).norm(dim=-1) * focal / in_camera[..., 2].mean(1)
        # In % of the outer eye distance (if the face were frontal), as a detector's spread; known only roughly.
        spread = 100 * sigma / eyes * torch.exp(draws.normal(CONFIDENCE_SPREAD))
        confidence = 1 / (1 + (spread / SPREAD_DOUBTFUL) ** 2)

        if self.framing == "network":
            origin, scale = _authors_square(landmarks, size, move, grow)
            camera = Camera(focal * scale, (camera.principal_point - origin) * scale[:, None], camera.size)
            landmarks = (landmarks - origin[:, None]) * scale[:, None, None]
            sigma, occluders = sigma * scale, occluders.moved(origin, scale)

        # The picture.
        light, look, colour = _light(draws, nuisances)
        behind = backgrounds(
            nuisances.background,
            draws.share(),
            draws.share(3),
            draws.share(GRID, GRID, 3),
            draws.share(),
            draws.share(2),
            size,
        )
        rendering = render(vertices, model.triangles, albedo, pose, camera, background=behind, **look)
        image, triangle_id = rendering.image, rendering.triangle_id
        if bool(occluders.present.any()):
            covered = occluders.masks(size)
            image = torch.where(covered[..., None], occluders.colour[:, None, None], image)
            triangle_id = torch.where(covered, -1, triangle_id)
        if nuisances.colour:
            image = transformed(image, colour)
        if nuisances.blur:
            image = blur_by(image.clamp(0, 1), blur, nuisances.blur * unit)
        start = draws.share()
        if nuisances.noise:
            image = add_noise(image, noise, start, self._noise)
        image = image.clamp(0, 1)
        quality = torch.where(
            draws.share() < nuisances.jpeg, draws.between(40, 95), torch.zeros(B, device=device)
        )
        image = through_jpeg(image, quality)
        return PeopleBatch(
            image,
            landmarks,
            confidence,
            sigma,
            coefficients,
            (indices // self.photos).to(device),
            pose,
            camera,
            light,
            colour,
            vertices,
            neutral,
            triangle_id,
            model,
        )


def _with_expression(model: MorphableModel, neutral: Tensor, expression: Tensor) -> Tensor:
    """The faces (B, V, 3) mm with expression (B, Ke)."""
    if not expression.shape[1]:
        return neutral
    modes = model.expression_basis.flatten(0, 1)
    return torch.addmm(neutral.flatten(1), expression * model.expression_std, modes.T).view(neutral.shape)


def _missed(pose: Pose, camera: Camera, move: Tensor, grow: Tensor) -> Pose:
    """The pose that appears moved by (B, 2) px and larger by the factor (B,)."""
    depth = pose.translation[:, 2] / grow
    across = pose.translation[:, :2] / grow[:, None] + move * (depth / camera.focal)[:, None]
    return Pose(pose.rotation_vector, torch.cat([across, depth[:, None]], 1))


def _authors_square(landmarks: Tensor, size: int, move: Tensor, grow: Tensor) -> tuple[Tensor, Tensor]:
    """Origin (B, 2) and scale (B,) of the crop of the authors' code about the points, missed by `move` (share of the side)
    and `grow`: crop = (photograph − origin) · scale."""
    low, high = landmarks.amin(1), landmarks.amax(1)
    half = (high - low).amax(-1, keepdim=True) / 2
    left, up, right, _ = AUTHORS_REACH["landmarks"]
    side = half * (left + right)
    corner = (low + high) / 2 - half * half.new_tensor([left, up])
    larger = side / grow[:, None]
    corner = corner + (side - larger) / 2 - move * side
    scale = size / larger
    return corner + 0.5 / scale, scale[:, 0]


def _occluders(draws: Draws, truth: Tensor, share: float) -> Occluders:
    """Shapes about the face, whose points are at truth (B, 68, 2)."""
    low, high = truth.amin(1), truth.amax(1)
    half = (high - low).amax(-1, keepdim=True) / 2
    present = draws.share() < share
    centre = (low + high) / 2 + draws.within(0.9, 2) * half
    radius = draws.between(0.2, 0.6, 2) * half
    sharpness = torch.where(draws.share() < 0.5, 2.0, 6.0)
    return Occluders(present, centre, radius, draws.within(math.pi / 2), sharpness, draws.share(3))


def _light(draws: Draws, nuisances: Nuisances) -> tuple[Tensor, dict, ColourTransform]:
    """The light as numbers, as `render` takes it, and what the camera does to colours."""
    c, s = nuisances.colour, nuisances.light
    colour = ColourTransform(
        1 - draws.share() * 0.3 * c, 1 + draws.within(0.2 * c, 3), draws.within(0.06 * c, 3)
    )
    ambient = 0.40 + s * (draws.within(0.1, 1) + draws.within(0.02, 3))
    diffuse = 0.45 + s * (draws.within(0.15, 1) + draws.within(0.02, 3))
    azimuth, elevation = s * draws.within(1.0, 1), 0.35 + s * draws.within(0.5, 1)
    even = DEFAULT_LIGHT.to(ambient)
    sides = torch.cat([draws.normal(0.08, 1, 1), draws.normal(0.2, 3, 1), draws.normal(0.06, 5, 1)], 1)
    harmonics = even + s * (sides + draws.normal(0.015, 9, 3))
    if not nuisances.lamp:
        return harmonics, {"light": harmonics}, colour
    numbers = [ambient, diffuse, azimuth, elevation, colour.contrast[:, None], colour.gain, colour.offset]
    numbers = torch.cat(numbers, 1)
    return numbers, {"light": unpack_lamp(numbers)[0], "shadows": True}, colour
