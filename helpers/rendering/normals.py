"""Normals at the vertices of a mesh: in a kernel with its own derivative, and in plain torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from helpers._warp import launch, vectors, wp
from helpers.rasterizer.mesh_cache import cached_by_mesh
from helpers.rasterizer.raster import LEAST_VERTICES, checked_triangles
from helpers.rendering import kernels


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Unit normals at the vertices: the mean of the adjacent triangles' normals, weighted by area.

    The cross product of two edges is the normal times twice the area, so a plain sum weights by area. A vertex
    without a triangle has the normal 0. float32 runs in a kernel. Differentiable in the vertices.

    Args:
        vertices: (B, V, 3) mm.
        triangles: (F, 3), anticlockwise seen from outside.

    Returns:
        (B, V, 3).
    """
    if vertices.dtype != torch.float32:
        return vertex_normals_reference(vertices, triangles)
    checked_triangles(triangles, vertices.shape[1])
    start, ring = rings(triangles, vertices.shape[1])
    return _VertexNormals.apply(vertices.contiguous(), start.to(vertices.device), ring.to(vertices.device))


def vertex_normals_reference(vertices: Tensor, triangles: Tensor) -> Tensor:
    """`vertex_normals` in plain torch, in any precision."""
    B, V, _ = vertices.shape
    # One table for the batch: its rows are gathered and added to much faster.
    flat = vertices.reshape(B * V, 3)
    corners = (
        triangles.to(vertices.device) + V * torch.arange(B, device=vertices.device).view(B, 1, 1)
    ).view(-1, 3)
    a, b, c = (flat.index_select(0, corners[:, k]) for k in range(3))
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(flat)
    for k in range(3):
        total.index_add_(0, corners[:, k], face)
    return normalize(total.view(B, V, 3), dim=-1)


@cached_by_mesh
def rings(triangles: Tensor, n_vertices: int) -> tuple[Tensor, Tensor]:
    """The triangles round each vertex.

    Returns:
        start (V + 1,) int32 and ring (3 F, 2) int32: vertex v and ring[k], for k from start[v] up to start[v + 1], are
        the corners of the triangles round v, turned as the triangle is.
    """
    t = triangles.detach().long()
    corner = torch.cat([t[:, 0], t[:, 1], t[:, 2]])
    others = torch.cat([t[:, [1, 2]], t[:, [2, 0]], t[:, [0, 1]]])
    order = corner.argsort(stable=True)
    start = torch.zeros(n_vertices + 1, dtype=torch.int32, device=t.device)
    start[1:] = torch.bincount(corner, minlength=n_vertices).cumsum(0)
    return start, others[order].int().contiguous()


class _VertexNormals(torch.autograd.Function):
    """Unit normals (B, V, 3) of vertices (B, V, 3)."""

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, start: Tensor, ring: Tensor) -> Tensor:
        B, V, _ = vertices.shape
        normals, length = torch.empty_like(vertices), vertices.new_empty(B, V)
        inputs = [vectors(vertices), wp.from_torch(start), wp.from_torch(ring, dtype=wp.vec2i)]
        outputs = [vectors(normals), wp.from_torch(length)]
        launch(kernels.normal_kernel, B * V, inputs, outputs, vertices, least=LEAST_VERTICES)
        ctx.save_for_backward(vertices, start, ring, normals, length)
        return normals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        vertices, start, ring, normals, length = ctx.saved_tensors
        # Only the part across a normal turns it.
        by_area = (g - normals * (normals * g).sum(-1, keepdim=True)) / length[..., None]
        by_vertices = torch.empty_like(vertices)
        inputs = [vectors(vertices), wp.from_torch(start), wp.from_torch(ring, dtype=wp.vec2i)]
        inputs.append(vectors(by_area))
        count = length.numel()
        launch(
            kernels.normal_adjoint_kernel,
            count,
            inputs,
            [vectors(by_vertices)],
            vertices,
            least=LEAST_VERTICES,
        )
        return by_vertices, None, None
