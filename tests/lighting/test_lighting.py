"""Light against values worked out by hand."""

import dataclasses
import math

import pytest
import torch

from helpers.lighting import (
    DEFAULT_LIGHT,
    STUDIO_LIGHT,
    ColourTransform,
    PhongLight,
    gamma_encode,
    linear_to_srgb,
    sh_basis,
    shade,
    shade_phong,
    srgb_to_linear,
)


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
    light[:, 0], light[:, 3] = 0.5, 0.25  # 0.75 from ahead, 0.25 from behind, 0.5 from a side
    normal = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]])
    colour = shade(torch.full((1, 3, 3), 0.8), normal, light)
    assert torch.allclose(colour[0, :, 0], 0.8 * torch.tensor([0.8774, 0.5325, 0.7297]), atol=1e-4)


def test_lights_are_grey_and_strongest_where_they_say():
    up, right, front, back = torch.eye(3)[1], torch.eye(3)[0], torch.eye(3)[2], -torch.eye(3)[2]
    for light in (DEFAULT_LIGHT, STUDIO_LIGHT):
        assert light.shape == (9, 3) and torch.equal(light[:, :1].expand(-1, 3), light)

        def received(normal, light=light):
            return float(sh_basis(normal) @ light[:, 0])

        assert received(front) > received(back) and received(up) > received(-up)
    assert received(right) > received(-right)


def test_the_lamp_stands_where_its_angles_say():
    light = PhongLight.defaults(3)
    angles = torch.tensor([[0.0, 0.0], [math.pi / 2, 0.0], [0.3, math.pi / 2]])
    towards = dataclasses.replace(light, direction=angles).towards()
    expected = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # the viewer, right, above
    assert torch.allclose(towards, expected, atol=1e-6)


def test_phong_by_hand():
    angle = math.radians(40)
    light = dataclasses.replace(PhongLight.defaults(), direction=torch.tensor([[angle, 0.0]]))
    assert light.specular.item() == pytest.approx(80 / 255) and light.shininess.item() == 16
    normal = torch.tensor(
        [[[0.0, 0.0, 1.0], [math.sin(angle / 2), 0.0, math.cos(angle / 2)], [0.0, 0.0, -1.0]]]
    )
    view = torch.tensor([0.0, 0.0, 1.0]).expand(1, 3, 3)
    colour = shade_phong(torch.full((1, 3, 3), 0.8), normal, view, light)[0, :, 0]
    # Mirrored at the first normal the lamp is 40° off the viewer; at the second, straight at him; the third is dark.
    highlight = 0.5 * 80 / 255
    assert colour[0] == pytest.approx(
        0.8 * (0.45 + 0.5 * math.cos(angle)) + highlight * math.cos(angle) ** 16
    )
    assert colour[1] == pytest.approx(0.8 * (0.45 + 0.5 * math.cos(angle / 2)) + highlight)
    assert colour[2] == pytest.approx(0.8 * 0.45)
    shadowed = shade_phong(torch.full((1, 3, 3), 0.8), normal, view, light, torch.zeros(1, 3))
    assert torch.allclose(shadowed, torch.tensor(0.8 * 0.45))


def test_phong_gradients_in_float64():
    generator = torch.Generator().manual_seed(3)
    normal, view = (
        torch.nn.functional.normalize(torch.randn(2, 5, 3, generator=generator).double(), dim=-1)
        for _ in "nv"
    )
    light = PhongLight.defaults(2, dtype=torch.float64)
    parts = [getattr(light, f.name).clone().requires_grad_() for f in dataclasses.fields(light)]
    albedo = torch.rand(2, 5, 3, generator=generator).double().requires_grad_()

    def colours(albedo, normal, *parts):
        return shade_phong(albedo, normal, view, PhongLight(*parts))

    assert torch.autograd.gradcheck(colours, (albedo, normal.requires_grad_(), *parts))


def test_the_colour_transform_by_hand():
    image = torch.tensor([[[0.2, 0.4, 0.8]]])
    luminance = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8
    assert torch.allclose(ColourTransform.identity()(image), image)
    grey = ColourTransform(torch.zeros(1), torch.tensor([[1.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 0.1]]))
    assert torch.allclose(grey(image)[0, 0], torch.tensor([luminance, 2 * luminance, luminance + 0.1]))
    half = ColourTransform(torch.tensor([0.5]), torch.ones(1, 3), torch.zeros(1, 3))
    assert half(image)[0, 0, 2] == pytest.approx((0.8 + luminance) / 2)


def test_srgb_has_its_published_values_and_can_be_undone():
    # Middle grey of 8 bits, 188, is half the light of white; 10 lies on the straight part's end.
    assert srgb_to_linear(torch.tensor(188 / 255)) == pytest.approx(0.5029, abs=1e-4)
    assert srgb_to_linear(torch.tensor([0.0, 1.0, 0.02])).tolist() == pytest.approx([0, 1, 0.02 / 12.92])
    values = torch.linspace(-0.1, 1.5, 200, dtype=torch.float64).requires_grad_()
    assert torch.allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-6)
    assert torch.autograd.gradcheck(lambda v: linear_to_srgb(v) + srgb_to_linear(v), (values,))


def test_the_power_stands_for_the_curve_of_the_standard():
    """Albedo times the encoded light against light on linear albedo, encoded as the standard has it."""
    albedo, light = torch.linspace(0.02, 1, 99)[:, None], torch.linspace(0.02, 1, 99)
    off = albedo * gamma_encode(light) - linear_to_srgb(srgb_to_linear(albedo) * light)
    assert off.abs().mean() < 0.007 and off.min() > -0.007 and off.max() < 0.034
    assert (gamma_encode(light) ** 2.2 - light).abs().max() < 1e-6


def test_the_power_has_a_slope_where_there_is_light_and_none_where_there_is_not():
    light = torch.tensor([-1.0, 0.0, 0.01, 0.03, 0.5, 1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gamma_encode, (light,))
    (slope,) = torch.autograd.grad(gamma_encode(light).sum(), light)
    assert (slope[:3] == 0).all() and (slope[3:] > 0.3).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            lambda: dataclasses.replace(PhongLight.defaults(2), diffuse=torch.ones(1, 3)),
            r"diffuse must have shape \(2, 3\)",
        ),
        (
            lambda: ColourTransform(torch.ones(2), torch.ones(3), torch.ones(2, 3)),
            r"gain must have shape \(2, 3\)",
        ),
    ],
)
def test_light_of_the_wrong_shape_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
