"""What a fit solves for, and how a step of the solver changes it."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers._roma import roma
from helpers.camera import Camera, Pose
from helpers.device import parts
from helpers.face_model import MorphableModel
from helpers.fitting.light_models import HARMONICS, FaceNormals, LightModel
from helpers.fitting.settings import FitSettings, Limits
from helpers.lighting import sh_basis


@dataclass(frozen=True)
class Layout:
    """Where each kind of parameter sits in a vector of `size` numbers: α, expression, β, pose (6), light, zoom.

    Attributes:
        n_shape: numbers α.
        n_expression: numbers of the expression.
        n_texture: numbers β.
        light_model: what the numbers of the light mean, and how many there are.
        n_zoom: 1 where the focal length is unknown too, else 0.
    """

    n_shape: int
    n_expression: int
    n_texture: int
    light_model: LightModel = HARMONICS
    n_zoom: int = 0

    @property
    def n_light(self) -> int:
        return self.light_model.n_light

    @property
    def n_geometry(self) -> int:
        return self.n_shape + self.n_expression

    @property
    def n_coefficients(self) -> int:
        return self.n_geometry + self.n_texture

    @property
    def size(self) -> int:
        return self.n_coefficients + 6 + self.n_light + self.n_zoom

    @property
    def alpha(self) -> slice:
        return slice(0, self.n_shape)

    @property
    def expression(self) -> slice:
        return slice(self.n_shape, self.n_geometry)

    @property
    def beta(self) -> slice:
        return slice(self.n_geometry, self.n_coefficients)

    @property
    def pose(self) -> slice:
        return slice(self.n_coefficients, self.n_coefficients + 6)

    @property
    def light(self) -> slice:
        return slice(self.n_coefficients + 6, self.n_coefficients + 6 + self.n_light)

    @property
    def zoom(self) -> slice:
        return slice(self.size - self.n_zoom, self.size)

    def part(self, name: str) -> slice:
        """Where a named part sits: "alpha", or "alpha:20" for the first 20 of it."""
        name, _, first = name.partition(":")
        whole: slice = getattr(self, name)
        return slice(whole.start, min(whole.start + int(first), whole.stop)) if first else whole


class MatrixPose(Pose):
    """A `Pose` that keeps its rotation matrices, because a fit asks for them many times an iteration.

    Args:
        rotation: (B, 3, 3).
        translation: (B, 3) mm, camera axes.
    """

    def __init__(self, rotation: Tensor, translation: Tensor):
        # Not the initialiser of `Pose`, whose instances are frozen: the vector is computed for those who ask for it.
        self.__dict__.update(matrix=rotation, translation=translation)

    @property
    def rotation(self) -> Tensor:
        """(B, 3, 3) rotation matrices."""
        return self.__dict__["matrix"]

    @cached_property
    def rotation_vector(self) -> Tensor:
        """(B, 3) axis times angle, radians."""
        return roma.rotmat_to_rotvec(self.rotation)


def turned(pose: Pose, step: Tensor) -> MatrixPose:
    """The pose after a step (B, 6): a turn by the first three numbers (radians) after it, a shift by the others (mm)."""
    return MatrixPose(rotation_by(step[:, :3]) @ pose.rotation, pose.translation + step[:, 3:])


def rotation_by(w: Tensor) -> Tensor:
    """Rodrigues' formula in half the angle: matrices (B, 3, 3) of rotation vectors (B, 3), in few operations.

    With the unit axis u, K = sin(θ/2) [u]× and 2 sin(θ/2) cos(θ/2) = sin θ, 2 sin²(θ/2) = 1 − cos θ:
    I + sin θ [u]× + (1 − cos θ) [u]×² = I + 2 K (K + cos(θ/2) I).
    """
    angle = w.norm(dim=-1, keepdim=True).clamp(min=1e-8)
    half = angle / 2
    identity = torch.eye(3, dtype=w.dtype, device=w.device).expand(len(w), 3, 3)
    K = torch.linalg.cross(identity, (half.sin() / angle * w)[:, None].expand(-1, 3, 3))
    return torch.baddbmm(identity, K, K + half.cos()[..., None] * identity, alpha=2)


@dataclass(frozen=True)
class FaceState:
    """One point of the search, for B photographs.

    Attributes:
        coefficients: (B, n_shape + n_expression + n_texture), in standard deviations.
        pose: B poses.
        light: (B, 9, 3) harmonics, or (B, 15) a lamp and colours.
        zoom: (B,) logarithm of the focal length over the one that the camera was given; None where it is known.
    """

    coefficients: Tensor
    pose: Pose
    light: Tensor
    zoom: Tensor | None = None

    def zoomed(self, camera: Camera) -> Camera:
        """The camera with the focal length of this state."""
        return camera if self.zoom is None else replace(camera, focal=camera.focal * self.zoom.exp())

    def moved(self, step: Tensor, layout: Layout) -> FaceState:
        """The state after a step (B, layout.size). Rotations compose; everything else adds."""
        return FaceState(
            self.coefficients + step[:, : layout.n_coefficients],
            turned(self.pose, step[:, layout.pose]),
            self.light + step[:, layout.light].reshape(self.light.shape),
            None if self.zoom is None else self.zoom + step[:, layout.zoom].sum(-1),
        )

    def where(self, chosen: Tensor, other: FaceState) -> FaceState:
        """This state for the photographs that `chosen` (B,) names, `other` for the rest."""
        one, all_three = chosen[:, None], chosen[:, None, None]
        pose = MatrixPose(
            torch.where(all_three, self.pose.rotation, other.pose.rotation),
            torch.where(one, self.pose.translation, other.pose.translation),
        )
        coefficients = torch.where(one, self.coefficients, other.coefficients)
        light = torch.where(chosen.view(-1, *[1] * (self.light.dim() - 1)), self.light, other.light)
        zoom = None
        if self.zoom is not None and other.zoom is not None:
            zoom = torch.where(chosen, self.zoom, other.zoom)
        return FaceState(coefficients, pose, light, zoom)

    def within(self, limits: Limits, layout: Layout) -> FaceState:
        """The nearest state whose coefficients keep to the limits, and the light to what its model allows."""
        coefficients = self.coefficients.clamp(-limits.identity, limits.identity)
        expression = coefficients[:, layout.expression].clamp(-limits.expression, limits.expression)
        coefficients[:, layout.expression] = expression
        return replace(self, coefficients=coefficients, light=layout.light_model.within(self.light))


class FitModel:
    """A face model laid out for fitting, twice: by mode for whole faces, by vertex for single points.

    By vertex the face model's own arrays are read: `geometry_at`, `texture_at`.

    Args:
        model: a face model with 68 landmarks.

    Attributes:
        layout: of the parameters.
        geometry_modes: (n_geometry, 3 V) mm per standard deviation, shape and then expression modes, one a row. A
            product with one vector of coefficients reads the rows one after the other, three times as fast as by
            vertex.
        texture_modes: (n_texture, 3 V) colour per standard deviation.
        masks: name to (V,) weights, 0 to 1.
        weight: (V,) how much each vertex counts in the pixel term.

    Raises:
        ValueError: the model has no landmarks.
    """

    def __init__(self, model: MorphableModel):
        if model.landmarks is None:
            raise ValueError(f"the face model {model.name!r} has no 68 landmarks; a fit needs them")
        self.model, self.landmark_vertices = model, model.landmarks
        modes = [_by_mode(basis, deviation) for basis, deviation in self._geometry_bases]
        n_expression = sum(map(len, modes[1:]))
        self.layout = Layout(len(modes[0]), n_expression, model.texture_basis.shape[-1])
        self.geometry_modes = torch.cat(modes)
        self.texture_modes = _by_mode(model.texture_basis, model.texture_std)
        self.triangles = model.triangles
        self.masks = model.masks or {}
        # Without masks every vertex counts, hair and mouth or not.
        self.weight = self.masks.get("skin", torch.ones_like(model.mean_shape[:, 0]))

    @property
    def _geometry_bases(self) -> list[tuple[Tensor, Tensor]]:
        """(V, 3, K) modes and their standard deviations (K,): of shape, and of expression where there is one."""
        model, found = self.model, [(self.model.shape_basis, self.model.shape_std)]
        if model.expression_basis is not None and model.expression_std is not None:
            found.append((model.expression_basis, model.expression_std))
        return found

    def with_layout(self, light_model: LightModel, n_zoom: int = 0) -> FitModel:
        """The same model, the same memory, and a layout with other parameters beside the coefficients."""
        layout = replace(self.layout, light_model=light_model, n_zoom=n_zoom)
        if layout == self.layout:
            return self  # and what it has cached
        other = copy(self)
        other.layout = layout
        return other

    def geometry_at(self, vertices: Tensor) -> Tensor:
        """How modes move the named vertices (M,): (M, 3, n_geometry) mm per standard deviation."""
        found = self.model.mean_shape.new_empty(len(vertices), 3, self.layout.n_geometry)
        columns = self.layout.alpha, self.layout.expression
        for some in parts(len(vertices), found.stride(0) * found.element_size(), found):
            for part, (basis, deviation) in zip(columns, self._geometry_bases, strict=False):
                torch.mul(basis.index_select(0, vertices[some]), deviation, out=found[some, :, part])
        return found

    def texture_at(self, vertices: Tensor) -> Tensor:
        """How modes colour the named vertices (M,): (M, 3, n_texture) per standard deviation."""
        return self.model.texture_basis.index_select(0, vertices) * self.model.texture_std

    @cached_property
    def triangle_weight(self) -> Tensor:
        """(F,) mean weight of a triangle's corners in the pixel term."""
        return self.weight[self.triangles].mean(-1)

    @cached_property
    def face_normals(self) -> FaceNormals:
        """The directions of the mean face's skin, but for those at a grazing angle, which the pixel term leaves out."""
        defaults = FitSettings()
        a, b, c = self.model.mean_shape[self.triangles].unbind(1)
        normal = torch.linalg.cross(b - a, c - a)
        unit = normalize(normal, dim=-1)
        steep = defaults.grazing_full - defaults.grazing_start
        facing = ((unit[:, 2] - defaults.grazing_start) / steep).clamp(0, 1)
        # Seen along z, a triangle covers a part of the picture as large as its normal's z.
        share = self.triangle_weight * facing * normal[:, 2]
        counts = share > 0
        return FaceNormals(sh_basis(unit[counts]), share[counts] / share[counts].sum())

    @cached_property
    def landmark_mean(self) -> Tensor:
        """(68, 3) mm, the landmark vertices of the mean face."""
        return self.model.mean_shape[self.landmark_vertices]

    @cached_property
    def landmark_basis(self) -> Tensor:
        """(68, 3, n_geometry) mm per standard deviation."""
        return self.geometry_at(self.landmark_vertices)

    def geometry(self, coefficients: Tensor) -> Tensor:
        """Vertices (B, V, 3) mm of coefficients (B, n_coefficients)."""
        moved = coefficients[:, : self.layout.n_geometry] @ self.geometry_modes
        return self.model.mean_shape + moved.view(len(coefficients), -1, 3)

    def albedo(self, coefficients: Tensor) -> Tensor:
        """Vertex colours (B, V, 3), not clipped: the fit needs a slope outside the gamut too."""
        moved = coefficients[:, self.layout.n_geometry :] @ self.texture_modes
        return self.model.mean_texture + moved.view(len(coefficients), -1, 3)

    def landmarks(self, coefficients: Tensor) -> Tensor:
        """The 68 landmark vertices (B, 68, 3) mm, without the rest of the mesh."""
        n = self.layout.n_geometry
        moved = coefficients[:, :n] @ self.landmark_basis.flatten(0, 1).T
        return self.landmark_mean + moved.view(len(coefficients), 68, 3)


def _by_mode(basis: Tensor, deviation: Tensor) -> Tensor:
    """(V, 3, K) columns and their standard deviations (K,) to rows (K, 3 V)."""
    return (basis * deviation).flatten(0, 1).T.contiguous()
