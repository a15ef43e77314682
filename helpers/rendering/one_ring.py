"""The triangles round each vertex, found once for a mesh."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_known = WeakTensorKeyDictionary()  # triangles: (version, V, start, ring)


def rings(triangles: Tensor, n_vertices: int) -> tuple[Tensor, Tensor]:
    """start (V + 1,) int32 and ring (3 F, 2) int32: vertex v and ring[k], for k from start[v] up to start[v + 1],
    are the corners of the triangles round v, turned as the triangle is.

    Kept as long as the tensor of triangles lives and does not change.
    """
    version = None if triangles.is_inference() else triangles._version
    known = _known.get(triangles)
    if known is not None and version is not None and known[:2] == (version, n_vertices):
        return known[2:]
    t = triangles.detach().long()
    corner = torch.cat([t[:, 0], t[:, 1], t[:, 2]])
    others = torch.cat([t[:, [1, 2]], t[:, [2, 0]], t[:, [0, 1]]])
    order = corner.argsort(stable=True)
    start = torch.zeros(n_vertices + 1, dtype=torch.int32, device=t.device)
    start[1:] = torch.bincount(corner, minlength=n_vertices).cumsum(0)
    ring = others[order].int().contiguous()
    _known[triangles] = (version, n_vertices, start, ring)
    return start, ring
