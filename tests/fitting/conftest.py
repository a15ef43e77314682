"""What tests of the terms and solvers of the fit share: a small made-up model, and two states of it."""

import pytest
import torch

from helpers.camera import Camera, Pose
from helpers.face_model import MorphableModel
from helpers.fitting.images import gaussian_blur
from helpers.fitting.parameters import FaceState, FitModel

N = 24  # vertices along each side of the patch


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    """A bulging patch of N × N vertices that faces the viewer, with random smooth modes."""
    generator = torch.Generator().manual_seed(0)
    s = torch.linspace(-1, 1, N)
    y, x = torch.meshgrid(s.flip(0), s, indexing="ij")
    vertices = torch.stack([70 * x, 80 * y, 40 * (1 - x**2 - y**2)], -1).reshape(-1, 3)
    i = torch.arange(N * N).view(N, N)
    a, b, c, d = i[:-1, :-1].flatten(), i[1:, :-1].flatten(), i[1:, 1:].flatten(), i[:-1, 1:].flatten()
    triangles = torch.cat([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)])

    def modes(k):
        waves = torch.randn(3, k, generator=generator) * 0.03
        phase = torch.rand(3, k, generator=generator) * 6.28
        field = torch.sin(torch.einsum("vd,dk->vk", vertices, waves)[:, None] + phase)  # (V, 3, k)
        return field / field.flatten(0, 1).norm(dim=0)

    size = (N * N) ** 0.5
    return FitModel(
        MorphableModel(
            mean_shape=vertices,
            shape_basis=modes(6),
            shape_std=torch.linspace(3, 1, 6) * size,
            mean_texture=0.5 + 0.1 * torch.sin(vertices * 0.1),
            texture_basis=modes(5),
            texture_std=torch.linspace(0.1, 0.05, 5) * size,
            expression_basis=modes(4),
            expression_std=torch.linspace(2, 1, 4) * size,
            expression_units=torch.zeros(N * N, 3, 0),
            expression_names=(),
            triangles=triangles,
            landmarks=torch.randint(0, N * N, (68,), generator=generator),
            masks={"skin": torch.ones(N * N)},
            name="patch",
            licence="none",
        )
    )


@pytest.fixture(scope="module")
def scene(fit_model):
    """Two states, a camera and a smooth random picture."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    pose = Pose(normal(2, 3) * 0.2, torch.tensor([[5.0, -3.0, 900.0], [-4.0, 2.0, 1100.0]]))
    light = torch.zeros(2, 9, 3)
    light[:, 0] = 0.7
    light = light + 0.1 * normal(2, 9, 3)
    state = FaceState(normal(2, fit_model.layout.n_coefficients) * 0.5, pose, light)
    image = gaussian_blur(torch.rand(2, 160, 160, 3, generator=generator), 3.0)
    return state, Camera.default(160, focal=700.0, batch=2), image
