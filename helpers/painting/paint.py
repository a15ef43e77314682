"""A face painted with its photograph: what the camera saw, and a likely rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, normalize

from helpers.camera import Camera, Pose, flip_axes, model_to_camera, project
from helpers.face_model import MorphableModel
from helpers.mesh_files import write_textured_glb
from helpers.painting.atlas import SIZE, Atlas, atlas_of, sample
from helpers.painting.fill import DARKEST, GAIN, matched, push_pull
from helpers.rasterizer import rasterize
from helpers.rendering import vertex_normals

# Pairs go from nothing to full weight.
FACING = (0.3, 0.7)  # cosine of the angle between the surface and the ray
HAIR_FACING = 0.2  # hair stands out from the head, so it is seen where the head itself has turned away
MARGIN = 4.0  # mm from an outline within which the photograph may show something else
IN_FRONT = (-8.0, -3.0)  # mm by which the point seen may lie behind the nearest within the margin
CORE = (0.6, 0.85)  # cosine; where it is small, skin unlike the rest of the face is hair or background
UNLIKE = (0.1, 0.22)  # sRGB, mean of the channels
BELOW_CHIN = (8.0, 16.0)  # mm, where the neck, and what is worn round it, begins
FINE, ROUGH = 128, 16  # cells along the texture's side over which colours are compared: about 3 and 25 mm
SCARCE = 0.01  # weight of skin as a measure of hair, which counts only where there is no hair to be seen
NOTHING = 1e6  # mm, the depth where no face is
EARS, HAIR = "ears", "hairline"  # masks of the open model
CHIN = 8  # of the 68 points


@dataclass(frozen=True)
class PaintedFace:
    """B painted faces. The light of the photograph is in the paint: draw them without shading.

    Attributes:
        texture: (B, T, T, 3) sRGB, 0 to 1, laid out by the atlas.
        seen: (B, T, T) share of each texel that is the photograph's own, 0 to 1.
        atlas: where each texel lies on the face.
    """

    texture: Tensor
    seen: Tensor
    atlas: Atlas

    @property
    def colours(self) -> Tensor:
        """(B, V, 3) sRGB, at the vertices."""
        return self.atlas.gather(self.texture)

    def write_glb(self, path: str | Path, vertices: Tensor) -> None:
        """Write the one face, with vertices (1, V, 3) mm, for viewers: see `helpers.mesh_files.write_textured_glb`."""
        atlas = self.atlas
        write_textured_glb(path, vertices[0, atlas.vertex], atlas.triangles, atlas.uv, self.texture[0])


def paint(
    image: Tensor,
    vertices: Tensor,
    colours: Tensor,
    pose: Pose,
    camera: Camera,
    model: MorphableModel,
    unmasked: Tensor | None = None,
    size: int = SIZE,
) -> PaintedFace:
    """Paint faces with the photographs that they were fitted to.

    Skin that the camera saw has the photograph's pixels. Where only its mirror image was seen (the far side of a turned
    head) it has those, and what was not seen at all has `colours`; both are scaled smoothly to the brightness and tint
    of the photograph beside them, skin by skin and scalp by hair.

    Args:
        image: (B, H, W, 3) sRGB, 0 to 1.
        vertices: (B, V, 3) mm, model axes.
        colours: (B, V, 3) sRGB, for what is not seen; best in the light of the photograph.
        pose: B.
        camera: B, that sees the face in `image`.
        model: of the vertices, a face or a whole head.
        unmasked: (B, H, W) from 0 (a hand, a microphone, no photograph) to 1 (the face); None is 1 everywhere.
        size: texels along each side, a multiple of 4.

    Returns:
        The painted faces.

    Raises:
        ValueError: sizes do not agree.
    """
    if tuple(image.shape[1:3]) != tuple(camera.size):
        raise ValueError(f"image must be {camera.size} px, the camera's size, got {tuple(image.shape[1:3])}")
    unmasked = image.new_ones(image.shape[:3]) if unmasked is None else unmasked
    if unmasked.shape != image.shape[:3]:
        raise ValueError(f"unmasked must be {tuple(image.shape[:3])}, got {tuple(unmasked.shape)}")
    atlas = atlas_of(model, size)
    never, hair = atlas.spread(torch.stack([unpainted(model), _mask(model, HAIR)], -1)[None]).unbind(-1)
    base = atlas.spread(colours)
    found, visible, facing = photographed(image, vertices, model.triangles, pose, camera, atlas, unmasked)
    weight = visible * (1 - never) * _step(facing + HAIR_FACING * hair, *FACING)

    # Towards the outline, skin must look like the rest of the face.
    core = _step(facing, *CORE)
    likely = matched(base, found, weight * core * (1 - hair), ROUGH)
    unlike = _grown(_step((found - likely).abs().mean(-1), *UNLIKE))
    weight = weight * (1 - unlike * (1 - core) * (1 - hair))

    # Second choice: the other side, which stands in another light; what `colours` have of it is exchanged.
    inside = atlas.raster.mask.to(base)
    other = atlas.mirrored(torch.cat([found, base, weight[..., None], unlike[..., None]], -1))
    mirror, mirror_base, mirror_weight, mirror_unlike = (other * inside[..., None]).split([3, 3, 1, 1], -1)
    mirror_weight, mirror_unlike = mirror_weight[..., 0], mirror_unlike[..., 0]
    mirror = mirror * (base / mirror_base.clamp(min=DARKEST)).clamp(*GAIN)
    mirror = matched(mirror, found, weight * mirror_weight, FINE)
    known = weight + (1 - weight) * mirror_weight
    painted = mirror + (weight / known.clamp(min=1e-6))[..., None] * (found - mirror)

    # Last choice: the model's colours, its scalp matched with hair if there is any to be seen.
    of_hair = torch.maximum(unlike, mirror_unlike) + SCARCE
    rest = torch.lerp(
        matched(base, painted, known * (1 - hair), FINE),
        matched(base, painted, known * hair * of_hair, FINE),
        hair[..., None],
    )
    texture = torch.lerp(rest, painted, known[..., None])
    # Colours go on past the edges of the charts, which are smoothed with what lies beside them when they are drawn.
    return PaintedFace(push_pull(texture, inside.expand(len(texture), -1, -1)).clamp(0, 1), weight, atlas)


def photographed(
    image: Tensor,
    vertices: Tensor,
    triangles: Tensor,
    pose: Pose,
    camera: Camera,
    atlas: Atlas,
    unmasked: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the photograph shows at each texel. Arguments are those of `paint`.

    Returns:
        Its colours (B, T, T, 3); how far they are the face's, and not those of something before it or beside it
        (B, T, T), 0 to 1; and the cosine (B, T, T) of the angle between the surface and the ray.
    """
    B, T = len(vertices), atlas.size
    in_camera = model_to_camera(vertices, pose)
    raster = rasterize(project(in_camera, camera), triangles, camera.size)
    normals = flip_axes(vertex_normals(vertices, triangles) @ pose.rotation.transpose(1, 2))
    points, normals = atlas.spread(torch.cat([in_camera, normals], -1)).view(B, T * T, 6).split(3, -1)
    covered = atlas.raster.mask.view(1, T * T)
    points = torch.where(covered[..., None], points, in_camera[:, :1])  # between the charts any will do
    at = project(points, camera)
    facing = -(normalize(normals, dim=-1) * normalize(points, dim=-1)).sum(-1)

    # The margin in pixels, for the nearest face of the batch.
    reach = max(1, round(float((MARGIN * camera.focal / in_camera[..., 2].median(1).values).max())))
    depth = torch.where(raster.mask, raster.depth, NOTHING)[:, None]
    nearest = -_pooled(max_pool2d, -depth, reach)
    inner = (raster.mask * unmasked)[:, None]
    # Half of the margin is nothing, and a pixel more, between which and the next colours are mixed; the rest is soft.
    half = -(-reach // 2)
    inner = _pooled(avg_pool2d, -_pooled(max_pool2d, -inner, half + 1), half)
    layers = torch.cat([image.permute(0, 3, 1, 2), inner, nearest], 1).permute(0, 2, 3, 1)
    found, inner, nearest = sample(layers, at[..., :2]).split([3, 1, 1], -1)
    # A slanted surface itself comes nearer by so much within the margin.
    slant = MARGIN * (1 - facing**2).clamp(min=0).sqrt() / facing.clamp(min=FACING[0])
    visible = covered * inner[..., 0] * _step(nearest[..., 0] - at[..., 2] + slant, *IN_FRONT)
    return found.view(B, T, T, 3), visible.view(B, T, T), facing.view(B, T, T)


def unpainted(model: MorphableModel) -> Tensor:
    """(V,) 1 where a photograph does not paint: ears seldom lie where it has them, and a neck has clothes."""
    ears, y = _mask(model, EARS), model.mean_shape[:, 1]
    if model.landmarks is None:
        return ears
    return torch.maximum(ears, _step(y[model.landmarks[CHIN]] - y, *BELOW_CHIN))


def _mask(model: MorphableModel, name: str) -> Tensor:
    """(V,) a mask of the model, 0 where it has none of this name."""
    none = torch.zeros_like(model.mean_shape[:, 0])
    return (model.masks or {}).get(name, none)


def _grown(mask: Tensor) -> Tensor:
    """A mask (B, T, T) made a little larger and softer."""
    reach = max(1, mask.shape[-1] // 256)
    return _pooled(avg_pool2d, _pooled(max_pool2d, mask[:, None], reach), reach)[:, 0]


def _pooled(pool: Callable[..., Tensor], image: Tensor, reach: int) -> Tensor:
    """Pool over squares of 2 · reach + 1 px around each pixel: along columns, then along rows, which is quicker."""
    columns = pool(image, (2 * reach + 1, 1), 1, (reach, 0))
    return pool(columns, (1, 2 * reach + 1), 1, (0, reach))


def _step(x: Tensor, low: float, high: float) -> Tensor:
    """0 below, 1 above, smooth between."""
    x = ((x - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)
