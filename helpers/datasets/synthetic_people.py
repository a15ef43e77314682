"""Many people, many photographs of each, drawn while they are read. All of it is synthetic and every number known.

A data set of half a million photographs need not lie on a disk. Photograph number i is a function of (seed, person,
photograph of that person): whoever asks for it, alone or in a batch, today or after a restart, gets the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera, Pose, flip_axes, model_to_camera, project
from helpers.crop import AUTHORS_REACH, FaceCrop
from helpers.datasets.conditions import Conditions
from helpers.datasets.damage import add_noise, blur_by, blur_by_motion, noise_table, through_jpeg, transformed
from helpers.datasets.known_faces import framed, visible_vertices
from helpers.datasets.nuisances import Nuisances
from helpers.datasets.occluders import Occluders
from helpers.datasets.random_streams import RandomStreams
from helpers.datasets.simulated_detector import detect
from helpers.datasets.unmodelled import shape_offsets, skin_offsets
from helpers.datasets.wardrobe import Wardrobe
from helpers.face_model import FaceCoefficients, MorphableModel, look
from helpers.landmarks.detection import OUTER_EYES
from helpers.lighting import ColourTransform
from helpers.lighting.lamp_vector import unpack_lamp
from helpers.rendering import render

FRAMINGS = ("network", "fit")


@dataclass(frozen=True)
class PeopleBatch:
    """B photographs of S × S px.

    Attributes:
        image: (B, S, S, 3) sRGB, 0 to 1.
        landmarks: (B, 68, 2) px, simulated: the true projections plus noise.
        confidence: (B,) of the simulated detector, 0 to 1; lower where the noise is larger, but not exactly.
        landmark_noise: (B,) px, the standard deviation that was used; what a detector would not tell.
        coefficients: the truth; alpha and beta of the person, expression of the photograph. Where people are unlike the model,
            these tell what is like it.
        person: (B,) int64.
        pose: the truth.
        camera: the truth.
        light: (B, 9, 3) harmonics, or (B, 15) a lamp and colours as in `helpers.lighting.lamp_vector`.
        colour: what the camera did to the whole picture.
        vertices: (B, V, 3) mm with expression.
        neutral: (B, V, 3) mm without.
        triangle_id: (B, S, S) int32, −1 where the face is not to be seen.
        model: the face model of the people.
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
        return visible_vertices(self.model, self.triangle_id)


@dataclass(frozen=True)
class SyntheticPeople:
    """`people` persons with `photos` photographs each; photograph i shows person i // photos.

    Args:
        model: a face model with landmarks. Its device is that of all results; every number is drawn on the CPU.
        people: how many persons are drawn from the model's prior; person p is the same whatever `people` and `photos` are.
        photos: photographs per person.
        seed: of all random numbers.
        size: px.
        framing: "network", the crop of the authors' code about the points that the detector found, or "fit", the
            crop that `helpers.fitting.fit` expects, with the principal point in its middle.
        nuisances: how strongly photographs of one person differ.

    Raises:
        ValueError: for numbers out of range, another framing and a model without landmarks.
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
        """Ke, the expressions of the model."""
        return 0 if self.model.expression_std is None else len(self.model.expression_std)

    @cached_property
    def coefficients(self) -> FaceCoefficients:
        """The truth about all people: alpha and beta (P, …), and neutral expressions (P, Ke)."""
        streams = RandomStreams(self.seed, range(self.people), device=self.model.mean_shape.device)
        alpha = streams.normal("alpha", len(self.model.shape_std)).to(self.model.mean_shape)
        beta = streams.normal("beta", len(self.model.texture_std)).to(self.model.mean_shape)
        return FaceCoefficients(alpha, beta, alpha.new_zeros(self.people, self.n_expressions))

    @property
    def neutral(self) -> Tensor:
        """(P, V, 3) mm, all people without expression, as far as the model makes them: without `Nuisances.unlike_shape`."""
        return self.model.shape(self.coefficients.alpha)

    @cached_property
    def _noise(self) -> Tensor:
        return noise_table(self.seed, self.model.mean_shape.device)

    @cached_property
    def _wardrobe(self) -> Wardrobe:
        return Wardrobe(self.model)

    def batches(self, batch_size: int) -> Iterator[PeopleBatch]:
        """Every photograph once, in order, in batches of `batch_size`; the last one may be short."""
        for indices in torch.arange(len(self)).split(batch_size):
            yield self.batch(indices)

    def batch(self, indices: Tensor) -> PeopleBatch:
        """The photographs of these numbers (B,), in this order.

        Raises:
            IndexError: for numbers out of range.
            ValueError: for numbers in another shape, or none.
        """
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
        device = self.model.mean_shape.device
        person, photo = indices // self.photos, indices % self.photos
        streams = RandomStreams(self.seed, person.tolist(), photo.tolist(), device)
        conditions = Conditions.draw(streams, self.nuisances, self.n_expressions)
        person = person.to(device)

        coefficients, neutral, vertices, albedo = self._faces(person, conditions.expression)
        points = self._points(vertices, person)
        pose, camera = self._view(points, conditions)
        vertices = self._looking(vertices, pose, conditions)
        in_camera = model_to_camera(points, pose)
        truth = project(in_camera, camera)[..., :2]
        middle, half = _extent(truth)
        occluders = conditions.occluders.moved(-middle / half[:, None], half)
        detected = detect(
            truth,
            outer_eyes=camera.focal * _outer_eye_distance(points) / in_camera[..., 2].mean(1),
            yaw=pose.yaw_pitch_roll()[:, 0],
            hidden=occluders.covers(truth),
            noise=self.nuisances.landmark_noise * self.size / 224,
            conditions=conditions,
            share=self.nuisances.landmark_share,
        )
        if self.framing == "network":
            crop = _authors_square(detected.landmarks, self.size, conditions)
            camera, detected = crop.camera_of_crop(camera), detected.in_crop(crop)
            occluders = occluders.moved(crop.origin, crop.scale)
        image, triangle_id = self._drawn(
            coefficients, vertices, albedo, pose, camera, conditions, streams, person
        )
        image, triangle_id = self._spoilt(image, triangle_id, occluders, conditions)

        return PeopleBatch(
            image=image,
            landmarks=detected.landmarks,
            confidence=detected.confidence,
            landmark_noise=detected.noise,
            coefficients=coefficients,
            person=person,
            pose=pose,
            camera=camera,
            light=conditions.light,
            colour=conditions.colour,
            vertices=vertices,
            neutral=neutral,
            triangle_id=triangle_id,
            model=self.model,
        )

    def _faces(self, person: Tensor, expression: Tensor) -> tuple[FaceCoefficients, Tensor, Tensor, Tensor]:
        """Coefficients, vertices (B, V, 3) mm without and with expression, and albedo (B, V, 3)."""
        # People who appear several times in the batch are shaped once.
        people, which = torch.unique(person, return_inverse=True)
        alpha, beta = self.coefficients.alpha[people], self.coefficients.beta[people]
        neutral = self.model.shape(alpha)[which]
        vertices = _with_expression(self.model, neutral, expression)
        albedo = self.model.texture(beta)[which]
        neutral, vertices, albedo = self._beside_the_model(people, which, neutral, vertices, albedo)
        return FaceCoefficients(alpha[which], beta[which], expression), neutral, vertices, albedo

    def _beside_the_model(
        self, people: Tensor, which: Tensor, neutral: Tensor, vertices: Tensor, albedo: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Neutral, vertices and albedo (B, V, 3) with what the model cannot make of the people `people[which]`."""
        nuisances, places = self.nuisances, self.model.mean_shape
        if not (nuisances.unlike_shape or nuisances.unlike_skin):
            return neutral, vertices, albedo
        streams = RandomStreams(self.seed, people.tolist(), device=places.device)
        if nuisances.unlike_shape:
            offsets = shape_offsets(streams, places, nuisances.unlike_shape)[which]
            neutral, vertices = neutral + offsets, vertices + offsets
        if nuisances.unlike_skin:
            albedo = albedo + skin_offsets(streams, places, nuisances.unlike_skin)[which]
        return neutral, vertices, albedo.clamp(0, 1)

    def _looking(self, vertices: Tensor, pose: Pose, conditions: Conditions) -> Tensor:
        """The faces (B, V, 3) mm with turned eyes. Lids, and so the landmarks, stay."""
        if not self.nuisances.gaze:
            return vertices
        x, y, z = (flip_axes(-pose.translation)[:, None] @ pose.rotation)[:, 0].unbind(-1)  # of the camera
        to_camera = torch.stack([torch.atan2(x, z), torch.atan2(y, z.hypot(x))], -1)
        gaze = torch.where(conditions.gaze.isnan(), to_camera, conditions.gaze)
        return look(self.model, vertices, gaze[:, None].expand(-1, 2, -1))

    def _view(self, points: Tensor, conditions: Conditions) -> tuple[Pose, Camera]:
        """Where the camera sees the faces with the points (B, 68, 3) mm."""
        camera = Camera.default(self.size, batch=len(points), device=points.device)
        focal = DEFAULT_FOCAL * self.size / 224 * conditions.focal_factor
        camera = Camera(focal, camera.principal_point, camera.size)
        pose = framed(points, conditions.rotation_vector, camera, self.size)
        if self.framing == "fit":  # the network's crop is missed by the detector's points, later
            pose = _missed(pose, camera, conditions.crop_shift * self.size, conditions.crop_zoom)
        return pose, camera

    def _points(self, vertices: Tensor, person: Tensor) -> Tensor:
        """(B, 68, 3) mm, what a faultless detector would find."""
        return vertices[:, self.model.landmarks]

    def _drawn(
        self,
        coefficients: FaceCoefficients,
        vertices: Tensor,
        albedo: Tensor,
        pose: Pose,
        camera: Camera,
        conditions: Conditions,
        streams: RandomStreams,
        person: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Image (B, S, S, 3) and triangle_id (B, S, S) of the faces."""
        nuisances = self.nuisances
        light = unpack_lamp(conditions.light)[0] if nuisances.lamp else conditions.light
        background = conditions.backgrounds.images(self.size)
        triangles = self.model.triangles
        if conditions.outfits is not None:
            dressed = self._wardrobe.dress(coefficients, vertices, albedo, conditions.outfits)
            vertices, albedo, triangles = dressed.vertices, dressed.colours, dressed.triangles
        rendering = render(
            vertices, triangles, albedo, pose, camera, light, background, shadows=nuisances.lamp
        )
        image, triangle_id = rendering.image, rendering.triangle_id
        if conditions.outfits is not None:  # hair, clothes and the rest of the head are not the face
            triangle_id = torch.where(triangle_id < len(self.model.triangles), triangle_id, -1)
        return image, triangle_id

    def _spoilt(
        self, image: Tensor, triangle_id: Tensor, occluders: Occluders, conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        """Image and triangle_id, covered, and the image spoilt by camera and file."""
        nuisances = self.nuisances
        if bool(occluders.present.any()):
            covered = occluders.masks(self.size)
            image = torch.where(covered[..., None], occluders.colour[:, None, None], image)
            triangle_id = torch.where(covered, -1, triangle_id)
        if nuisances.colour:
            image = transformed(image, conditions.colour)
        if nuisances.blur:
            unit = self.size / 224
            image = blur_by(image.clamp(0, 1), conditions.blur * unit, nuisances.blur * unit)
        if nuisances.motion:
            image = blur_by_motion(image.clamp(0, 1), conditions.motion * self.size / 224)
        if nuisances.noise:
            image = add_noise(image, conditions.noise, conditions.noise_start, self._noise)
        return through_jpeg(image.clamp(0, 1), conditions.jpeg_quality), triangle_id


def _with_expression(model: MorphableModel, neutral: Tensor, expression: Tensor) -> Tensor:
    """The faces (B, V, 3) mm with expression (B, Ke)."""
    if model.expression_basis is None or model.expression_std is None:
        return neutral
    modes = model.expression_basis.flatten(0, 1)
    return torch.addmm(neutral.flatten(1), expression * model.expression_std, modes.T).view(neutral.shape)


def _outer_eye_distance(points: Tensor) -> Tensor:
    """(B,) mm between the outer corners of the eyes, of points (B, 68, 3) mm."""
    left, right = OUTER_EYES
    return (points[:, left] - points[:, right]).norm(dim=-1)


def _extent(points: Tensor) -> tuple[Tensor, Tensor]:
    """Middle (B, 2) and half the longer side (B,) of the boxes around points (B, N, 2)."""
    low, high = points.amin(1), points.amax(1)
    return (low + high) / 2, (high - low).amax(-1) / 2


def _missed(pose: Pose, camera: Camera, move: Tensor, grow: Tensor) -> Pose:
    """The pose that appears moved by (B, 2) px and larger by the factor (B,)."""
    depth = pose.translation[:, 2] / grow
    across = pose.translation[:, :2] / grow[:, None] + move * (depth / camera.focal)[:, None]
    return Pose(pose.rotation_vector, torch.cat([across, depth[:, None]], 1))


def _authors_square(landmarks: Tensor, size: int, conditions: Conditions) -> FaceCrop:
    """The crop of the authors' code about the points, as far as the conditions let it miss; its image is not drawn yet."""
    middle, half = _extent(landmarks)
    left, up, right, _ = AUTHORS_REACH["landmarks"]
    side = half[:, None] * (left + right)
    corner = middle - half[:, None] * half.new_tensor([left, up])
    missed_side = side / conditions.crop_zoom[:, None]
    corner = corner + (side - missed_side) / 2 - conditions.crop_shift * side
    scale = size / missed_side
    no_pixels = landmarks.new_empty(len(landmarks), size, size, 0)
    return FaceCrop(no_pixels, no_pixels, landmarks, scale[:, 0], corner + 0.5 / scale)
