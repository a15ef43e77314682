"""Cast shadows: what the lamp does not see lies in shadow.

The mesh is drawn once more, as the lamp sees it: a map of the depth at which the lamp's light ends. A surface
point that lies deeper than that is in shadow. The lamp is far away, so its rays are parallel and the map is
drawn with an orthographic camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.rasterizer import rasterize

MAP_SIDES = (256, 2048)  # px, smallest and largest


@torch.no_grad()
def cast_shadows(
    vertices: Tensor, triangles: Tensor, towards: Tensor, points: Tensor, normals: Tensor
) -> Tensor:
    """Share of the lamp's light that reaches surface points. Without gradients.

    Neighbouring pixels of the map are compared and mixed bilinearly, so the shadow's edge is about one of them
    wide. A pixel of the map holds one depth for a patch of surface, which is deeper on one side the more it
    slants to the lamp; the surface would shade itself without a tolerance that grows with the slant. So shadows
    start about two map pixels behind what casts them.

    Args:
        vertices: (B, V, 3) mm, viewer axes.
        triangles: (F, 3).
        towards: (B or 1, 3) unit vectors to the lamp.
        points: (B, H, W, 3) mm, viewer axes.
        normals: (B, H, W, 3) at the points.

    Returns:
        (B, H, W), 0 to 1.
    """
    B, H, W, _ = points.shape
    side = min(max(2 * max(H, W), MAP_SIDES[0]), MAP_SIDES[1])
    if not (B and vertices.shape[1]):
        return points.new_ones(B, H, W)
    axes = lamp_axes(towards.expand(B, -1)).float()  # (B, 3, 3): rows right, up, away from the lamp
    seen = vertices.float() @ axes.transpose(1, 2)
    low, high = seen.amin(1, keepdim=True), seen.amax(1, keepdim=True)
    # Pixels of the map per mm, with a margin.
    scale = (side - 5) / (high - low)[..., :2].amax(-1, keepdim=True).clamp(min=1e-6)

    def on_map(at: Tensor) -> Tensor:
        return torch.cat([(at[..., :2] - low[..., :2]) * scale + 2, at[..., 2:]], -1)

    depth = rasterize(on_map(seen), triangles, (side, side), perspective=False).depth
    where = on_map(points.float().flatten(1, 2) @ axes.transpose(1, 2))
    cosine = (normals.float().flatten(1, 2) * towards.float().view(-1, 1, 3)).sum(-1)
    slant = (1 - cosine.square()).clamp(min=0).sqrt() / cosine.clamp(min=0.1)
    reach = where[..., 2] - 1.5 / scale[..., 0] * (1 + slant)

    corner = where[..., :2].clamp(0, side - 1.001)
    x0, y0 = corner.floor().long().unbind(-1)
    fx, fy = (corner - corner.floor()).unbind(-1)
    image = torch.arange(B, device=points.device)[:, None]
    share = torch.zeros_like(reach)
    for dx, wx in ((0, 1 - fx), (1, fx)):
        for dy, wy in ((0, 1 - fy), (1, fy)):
            share += wx * wy * (depth[image, y0 + dy, x0 + dx] >= reach)
    return share.view(B, H, W).to(points)


def lamp_axes(towards: Tensor) -> Tensor:
    """(B, 3, 3): rows are the lamp's right, its up, and the direction away from it, as unit vectors."""
    up = towards.new_tensor([0.0, 1.0, 0.0]).expand_as(towards)
    # A lamp straight above has no up of its own: take another.
    steep = towards[:, 1:2].abs() > 0.99
    up = torch.where(steep, towards.new_tensor([0.0, 0.0, 1.0]), up)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, towards), dim=-1)
    return torch.stack([right, torch.linalg.cross(towards, right), -towards], 1)
