"""Light against values worked out by hand."""

import torch

from helpers.lighting import DEFAULT_LIGHT, STUDIO_LIGHT, sh_basis, shade


def test_harmonics_are_orthogonal_over_the_sphere():
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(400_000, 3, generator=generator), dim=-1)
    basis = sh_basis(normals)
    gram = basis.T @ basis / len(basis)
    off = gram - torch.diag(gram.diagonal())
    assert off.abs().max() < 0.01
    assert torch.allclose(gram.diagonal()[:4], torch.tensor([1.0, 1 / 3, 1 / 3, 1 / 3]), atol=0.01)


def test_shading_by_hand():
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 3] = 0.5, 0.25
    normal = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]])
    colour = shade(torch.full((1, 3, 3), 0.8), normal, light)
    assert torch.allclose(colour[0, :, 0], torch.tensor([0.8 * 0.75, 0.8 * 0.25, 0.8 * 0.5]))


def test_lights_are_grey_and_strongest_where_they_say():
    up, right, front, back = torch.eye(3)[1], torch.eye(3)[0], torch.eye(3)[2], -torch.eye(3)[2]
    for light in (DEFAULT_LIGHT, STUDIO_LIGHT):
        assert light.shape == (9, 3) and torch.equal(light[:, :1].expand(-1, 3), light)

        def received(normal, light=light):
            return float(sh_basis(normal) @ light[:, 0])

        assert received(front) > received(back) and received(up) > received(-up)
    assert received(right) > received(-right)
