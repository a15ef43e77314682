"""The terms of the energy against their readable twins: residuals, Jacobians, priors, on a small made-up model."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import roma
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.fitting.energy import Energy, free_parameters
from helpers.fitting.images import gaussian_blur, is_grey, with_slopes
from helpers.fitting.landmark_term import (
    landmark_noise,
    landmark_offsets,
    landmark_rows,
    landmark_sigma,
    marginalise_shift,
    shared_part,
)
from helpers.fitting.light_models import HARMONICS, LAMP
from helpers.fitting.parameters import FaceState
from helpers.fitting.pixel_term import pixel_precision, pixel_rows, sample_points, see
from helpers.fitting.prior_term import make_prior
from helpers.fitting.reference import landmark_rows_reference, pixel_jacobian
from helpers.fitting.residual_correlation import LEAST_AREA, residual_noise
from helpers.fitting.settings import FitSettings, Level
from helpers.fitting.solvers import gauss_newton
from helpers.pose import visible_landmarks


@pytest.mark.parametrize("light_model", [HARMONICS, LAMP])
def test_slopes_are_a_part_of_the_jacobian(fit_model, scene, light_model):
    """Of one photograph of two, by the parameters from geometry, texture, pose and light on; and so is the energy's H."""
    state, camera, image = scene
    model, settings = fit_model.with_layout(light_model, n_zoom=1), FitSettings()
    light = state.light if light_model is HARMONICS else torch.full((2, 15), 0.35)
    state, layout = FaceState(state.coefficients, state.pose, light, torch.zeros(2)), model.layout
    drawn = torch.Generator().manual_seed(2)
    points = sample_points(model, see(model, state, camera), torch.ones(2, 160, 160), 200, drawn)
    seen = landmark_offsets(model, state, camera, torch.zeros(2, 68, 2)) + 1
    terms = {
        "pixels": partial(
            pixel_rows, model, camera=camera, image=with_slopes(image), points=points, settings=settings
        ),
        "landmarks": partial(landmark_rows, model, camera=camera, points=seen, settings=settings),
    }
    energy = Energy(layout, make_prior(layout, settings, is_grey(image)), terms)
    whole = energy.equations(state)
    torch.testing.assert_close(energy.value(state), whole.energy, rtol=1e-6, atol=0)
    for first in (0, layout.n_geometry, layout.pose.start, layout.light.start):
        for rows_at in terms.values():
            rows = rows_at(state)
            expected = rows.jacobian[1:, :, first:]
            torch.testing.assert_close(rows.slopes(slice(1, 2), first), expected, rtol=1e-5, atol=1e-5)
        some = energy.equations(state, first)
        expected = whole.H[:, first:, first:]
        torch.testing.assert_close(some.H[:, first:, first:], expected, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(some.g[:, first:], whole.g[:, first:], rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_pixel_rows_agree_with_the_differentiated_twin(fit_model, scene):
    state, camera, image = scene
    layout = fit_model.layout
    raster = see(fit_model, state, camera)
    points = sample_points(fit_model, raster, torch.ones(2, 160, 160), 300, torch.Generator().manual_seed(2))
    points = replace(points, weight=torch.ones_like(points.weight))
    # No robust weight and no grazing weight: then every row has the same, known weight.
    settings = FitSettings(pixel_robust=1e6, grazing_start=-2.0, grazing_full=-1.5)
    slopes = with_slopes(image)
    rows = pixel_rows(fit_model, state, camera, slopes, points, settings)
    every = torch.arange(len(fit_model.weight))
    basis = torch.cat([fit_model.geometry_at(every), fit_model.texture_at(every)], -1)
    weight = (settings.n_effective / 300 / 3) ** 0.5 / settings.pixel_sigma
    vertices, albedo = fit_model.geometry(state.coefficients), fit_model.albedo(state.coefficients)
    for b in range(2):
        pinhole = torch.cat([camera.focal[b : b + 1], camera.principal_point[b]])
        corners = points.corners[b].long()
        arguments = [
            basis[corners],
            vertices[b][corners],
            albedo[b][corners],
            state.pose.rotation[b],
            state.pose.translation[b],
            state.light[b],
            pinhole,
            slopes[b],
            points.barycentric[b],
        ]
        residual, jacobian = pixel_jacobian(layout, *[t.double() for t in arguments])
        assert torch.allclose(rows.residual[b].double() / weight, residual.flatten(), atol=2e-6)
        ours, theirs = rows.jacobian[b].double() / weight, jacobian.flatten(0, 1)
        for part in (layout.alpha, layout.expression, layout.beta, layout.pose, layout.light):
            scale = theirs[:, part].abs().max()
            assert (ours[:, part] - theirs[:, part]).abs().max() < 2e-4 * scale
    assert torch.allclose(rows.energy, 0.5 * rows.residual.square().sum(-1), rtol=1e-4)


@pytest.mark.parametrize(
    "settings", [FitSettings(), FitSettings.released(), FitSettings(n_landmarks=30.0, landmarks_used=60)]
)
def test_landmark_rows_agree_with_the_differentiated_twin(fit_model, scene, settings):
    state, camera, _ = scene
    model = fit_model.with_layout(HARMONICS, n_zoom=1)
    turned = Pose(torch.tensor([[0.1, 0.5, 0.0], [0.0, -0.6, 0.2]]), state.pose.translation)
    state = FaceState(state.coefficients, turned, state.light, torch.tensor([0.1, -0.2]))
    g = torch.Generator().manual_seed(4)
    points = 80 + 30 * torch.randn(2, 68, 2, generator=g)
    for more in ({}, {"scale": torch.tensor([0.5, 2.0]), "trust": torch.rand(2, 68, generator=g)}):
        twin = landmark_rows_reference(model, state, camera, points, settings, **more)
        rows = landmark_rows(model, state, camera, points, settings, **more)
        residual, jacobian = twin.residual.view(2, 68, 2), twin.jacobian.view(2, 68, 2, -1)
        if settings.landmark_shift_sigma:
            root = rows_root(model, state, camera, points, twin)
            residual, jacobian = (
                marginalise_shift(t, root, shared_part(root, settings.landmark_shift_sigma))
                for t in (residual, jacobian)
            )
        torch.testing.assert_close(rows.energy, twin.energy, rtol=1e-5, atol=0)
        torch.testing.assert_close(rows.residual, residual.flatten(1), rtol=1e-4, atol=1e-4)
        for k in range(model.layout.size):  # each in its own unit
            ours, theirs = rows.jacobian[..., k], jacobian.flatten(1, 2)[..., k]
            assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max(), k


def rows_root(model, state, camera, points, twin):
    """(B, 68) the root of each point's weight: what its weighted offset has beside the offset."""
    offset = landmark_offsets(model, state, camera, points)
    return twin.residual.view(2, 68, 2).norm(dim=-1) / offset.norm(dim=-1)


@pytest.mark.parametrize("shift_sigma", [0.0, 2.0])
def test_landmark_rows_agree_with_finite_differences(fit_model, scene, shift_sigma):
    state, camera, _ = scene
    layout = fit_model.layout
    exact = project(model_to_camera(fit_model.landmarks(state.coefficients), state.pose), camera)[..., :2]
    points = exact + torch.randn(exact.shape, generator=torch.Generator().manual_seed(3))
    settings = FitSettings(landmark_robust=1e6, landmark_shift_sigma=shift_sigma)
    rows = landmark_rows(fit_model, state, camera, points, settings)
    assert rows.jacobian.shape == (2, 136, layout.size)
    h = 0.02
    for i in range(layout.light.start):
        step = torch.zeros(2, layout.size)
        step[:, i] = h
        forward = landmark_rows(fit_model, state.moved(step, layout), camera, points, settings).residual
        backward = landmark_rows(fit_model, state.moved(-step, layout), camera, points, settings).residual
        slope = (forward - backward) / (2 * h)
        assert torch.allclose(
            rows.jacobian[..., i], slope, rtol=1e-2, atol=5e-3 * slope.abs().max().item() + 1e-3
        )


def test_a_shift_of_all_points_costs_what_its_prior_says(fit_model, scene):
    """Rows, energy and slope of the landmark term against a search for the best shift, written out."""
    state, camera, _ = scene
    exact = project(model_to_camera(fit_model.landmarks(state.coefficients), state.pose), camera)[..., :2]
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(3))
    settings = FitSettings(landmark_shift_sigma=2.0)
    rows = landmark_rows(fit_model, state, camera, exact - noise - torch.tensor([5.0, -3.0]), settings)
    sigma = landmark_sigma(settings, exact)
    for b in range(2):
        offset, shift = noise[b] + torch.tensor([5.0, -3.0]), torch.zeros(2, requires_grad=True)
        search = torch.optim.LBFGS([shift], max_iter=100, line_search_fn="strong_wolfe")

        def energy(offset=offset, shift=shift, b=b):
            ratio = ((offset - shift) / sigma[:, None]).square().sum(-1) / settings.landmark_robust**2
            visible = visible_landmarks(state.pose)[b]
            robust = 0.5 * settings.landmark_robust**2 * (visible * torch.log1p(ratio)).sum()
            return robust + 0.5 * (shift / 2.0).square().sum()

        def closure(search=search, energy=energy):
            search.zero_grad()
            value = energy()
            value.backward()
            return value

        search.step(closure)
        assert rows.energy[b].item() == pytest.approx(energy().item(), rel=1e-3)
        # The slope by a shift of the face itself is that of the energy at the best shift.
        offset = offset.clone().requires_grad_()
        (by_offset,) = torch.autograd.grad(energy(offset=offset, shift=shift.detach()), offset)
        J = rows.jacobian[b].view(68, 2, -1)[..., fit_model.layout.pose]
        plain = landmark_rows(fit_model, state, camera, exact, FitSettings(landmark_shift_sigma=0.0))
        root = 1 / sigma  # weights at no error at all
        unweighted = plain.jacobian[b].view(68, 2, -1)[..., fit_model.layout.pose] / (
            root * visible_landmarks(state.pose)[b].clamp(min=1e-9).sqrt()
        ).view(-1, 1, 1)
        expected = torch.einsum("jc,jck->k", by_offset, unweighted)
        found = torch.einsum("jc,jck->k", rows.residual[b].view(68, 2), J)
        assert torch.allclose(found, expected, rtol=2e-2, atol=2e-3 * expected.abs().max().item())


def test_a_marginalised_shift_is_that_of_explicit_elimination():
    """Against the normal equations with two more unknowns, the shift, which are then eliminated."""
    generator = torch.Generator().manual_seed(4)
    root = torch.rand(2, 30, generator=generator, dtype=torch.float64)
    root[1, :5] = 0
    offset = torch.randn(2, 30, 2, generator=generator, dtype=torch.float64) + 3
    J = torch.randn(2, 30, 2, 7, generator=generator, dtype=torch.float64) * root[..., None, None]
    r, sigma = offset * root[..., None], 1.7
    found, jacobian = (marginalise_shift(t, root, shared_part(root, sigma)) for t in (r, J))
    found, jacobian = found.flatten(1), jacobian.flatten(1, 2)
    by_shift = -root[..., None, None] * torch.eye(2, dtype=torch.float64)
    whole = torch.cat([J, by_shift], -1).flatten(1, 2)
    H, g = whole.transpose(1, 2) @ whole, (whole.transpose(1, 2) @ r.flatten(1)[..., None])[..., 0]
    H[:, -2:, -2:] += torch.eye(2, dtype=torch.float64) / sigma**2
    A, B, D = H[:, :-2, :-2], H[:, :-2, -2:], H[:, -2:, -2:]
    assert torch.allclose(
        jacobian.transpose(1, 2) @ jacobian, A - B @ torch.linalg.solve(D, B.transpose(1, 2))
    )
    left = g[:, :-2] - (B @ torch.linalg.solve(D, g[:, -2:, None]))[..., 0]
    assert torch.allclose((jacobian.transpose(1, 2) @ found[..., None])[..., 0], left)
    # The sum of squares is the least over all shifts.
    shift = -torch.linalg.solve(D, g[:, -2:, None])[..., 0]
    least = (r - root[..., None] * shift[:, None]).square().sum((1, 2)) + (shift / sigma).square().sum(1)
    assert torch.allclose(found.square().sum(1), least)


def test_landmark_weights_follow_the_part_of_the_face(fit_model, scene):
    state, camera, _ = scene
    flat = FaceState(state.coefficients, Pose(torch.zeros(2, 3), state.pose.translation), state.light)
    exact = project(model_to_camera(fit_model.landmarks(flat.coefficients), flat.pose), camera)[..., :2]
    settings = FitSettings(landmark_robust=1e6, landmark_shift_sigma=0.0)
    residual = landmark_rows(fit_model, flat, camera, exact - 1.0, settings).residual.view(2, 68, 2)
    expected = torch.full((68,), 1 / settings.landmark_sigma)
    expected[:17], expected[17:27] = 1 / settings.jaw_sigma, 1 / settings.brow_sigma
    assert torch.allclose(residual, expected[None, :, None].expand_as(residual), rtol=1e-3)


def test_prior_is_its_own_gradient_and_splits_the_channels(fit_model, scene):
    state, _, _ = scene
    layout, settings = fit_model.layout, FitSettings()
    prior = make_prior(layout, settings, torch.tensor([False, True]))
    g = torch.zeros(2, layout.size)
    prior.add_to(None, g, state, layout)
    coefficients = state.coefficients.clone().requires_grad_()
    light = state.light.clone().requires_grad_()
    parts = prior.energy(FaceState(coefficients, state.pose, light))
    sum(part.sum() for part in parts).backward()
    assert torch.allclose(g[:, : layout.n_coefficients], coefficients.grad, atol=1e-5)
    assert torch.allclose(g[:, layout.light].view(2, 9, 3), light.grad, rtol=1e-4, atol=1e-4)
    # A tint that is alike in all channels costs by `light_sigma`, a difference by the colour sigma.
    ones = torch.ones(3)
    tint = torch.tensor([1.0, -1.0, 0.0])
    assert torch.allclose(prior.light[0, :3, :3] @ ones, ones / settings.light_sigma[0] ** 2, rtol=1e-3)
    assert torch.allclose(
        prior.light[0, :3, :3] @ tint, tint / settings.light_colour_sigma[0] ** 2, rtol=1e-4, atol=1e-3
    )
    assert torch.allclose(
        prior.light[1, :3, :3] @ tint, tint / settings.grey_colour_sigma[0] ** 2, rtol=1e-4, atol=1e-3
    )


def test_without_data_a_step_goes_back_to_the_prior(fit_model, scene):
    state, _, _ = scene
    layout, settings = fit_model.layout, FitSettings()
    prior = make_prior(layout, settings, torch.tensor([False, False]))
    free = free_parameters(layout, "cpu", slice(0, layout.n_coefficients), layout.light)
    energy = Energy(layout, prior, {})
    after = gauss_newton(energy, state, free, 1, damping=0.0, step_limit=100.0).state
    assert after.coefficients.abs().max() < 1e-4
    assert torch.allclose(after.light, prior.light_mean.expand(2, -1, -1), atol=1e-3)
    assert roma.rotmat_geodesic_distance(after.pose.rotation, state.pose.rotation).max() < 1e-3
    short = gauss_newton(energy, state, free, 1, damping=0.0, step_limit=0.1).state
    moved = (short.coefficients - state.coefficients).norm(dim=-1)
    assert torch.allclose(moved, torch.full((2,), 0.1), rtol=1e-3)


def test_sampled_points_lie_where_the_photograph_is_trusted(fit_model, scene):
    state, camera, _ = scene
    raster = see(fit_model, state, camera)
    trust = torch.zeros(2, 160, 160)
    trust[0, 60:100, 70:90] = 1.0  # and nothing of the second photograph
    points = sample_points(fit_model, raster, trust, 500, torch.Generator().manual_seed(4))
    vertices = fit_model.geometry(state.coefficients)[0][points.corners[0].long()]
    surface = (vertices * points.barycentric[0][..., None]).sum(1)
    pixel = project(
        model_to_camera(surface[None], Pose(state.pose.rotation_vector[:1], state.pose.translation[:1])),
        Camera.default(160, focal=700.0),
    )[0]
    assert (points.weight[0] > 0).all() and (points.weight[1] == 0).all()
    assert pixel[:, 0].min() > 69.4 and pixel[:, 0].max() < 89.6
    assert pixel[:, 1].min() > 59.4 and pixel[:, 1].max() < 99.6
    assert len(torch.unique(pixel.round(), dim=0)) == 500  # of 800, each drawn once
    many = sample_points(fit_model, raster, trust, 1000, torch.Generator().manual_seed(4))
    assert (many.weight[0] > 0).sum() == 800


def test_blur_keeps_the_mean_and_slopes_are_derivatives():
    image = torch.rand(1, 40, 50, 3, generator=torch.Generator().manual_seed(5))
    blurred = gaussian_blur(image, 2.0)
    assert abs(float(blurred.mean() - image.mean())) < 0.02 and blurred.std() < 0.3 * image.std()
    ramp = (
        torch.arange(50.0)[None, None, :, None] * 0.01 + torch.arange(40.0)[None, :, None, None] * 0.02
    ).expand(1, 40, 50, 3)
    slopes = with_slopes(ramp)
    assert torch.allclose(slopes[0, 1:-1, 1:-1, 3:6], torch.tensor(0.01), atol=1e-5)
    assert torch.allclose(slopes[0, 1:-1, 1:-1, 6:], torch.tensor(0.02), atol=1e-5)
    assert bool(is_grey(image.mean(-1, keepdim=True).expand_as(image))) and not bool(is_grey(image))


def test_the_blur_is_not_rounded_to_tf32(monkeypatch):
    """On a GPU cuDNN would, by default. The setting is looked at where the convolution is done, and is the old one after it."""
    cudnn, convolve, seen = torch.backends.cudnn, torch.nn.functional.conv2d, []

    def setting():
        return cudnn.conv.fp32_precision if hasattr(cudnn, "conv") else cudnn.allow_tf32

    def watched(*args, **keywords):
        seen.append(setting())
        return convolve(*args, **keywords)

    class OnGPU(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr("helpers.fitting.images.F.conv2d", watched)
    before, image = setting(), torch.rand(1, 8, 8, 3)
    gaussian_blur(image.as_subclass(OnGPU), 1.0)
    assert before in ("tf32", True) and seen in (["ieee"] * 2, [False] * 2) and setting() == before
    # The setting belongs to all threads: on a CPU, where some blur at the same time, it is left alone.
    seen.clear()
    gaussian_blur(image, 1.0)
    assert seen == [before] * 2


def test_settings_refuse_nonsense():
    with pytest.raises(ValueError, match="n_effective"):
        FitSettings(n_effective=0)
    with pytest.raises(ValueError, match="schedule"):
        FitSettings(schedule=(Level(1.0, 0, 500),))
    with pytest.raises(ValueError, match="light_first"):
        FitSettings(light_first_iterations=7)


def test_settings_grow_with_the_crop():
    base, large = FitSettings(), FitSettings().for_size(448)
    assert FitSettings().for_size(224) == base
    assert large.landmark_sigma == 2 * base.landmark_sigma and large.jaw_sigma == 2 * base.jaw_sigma
    assert [level.blur for level in large.schedule] == [2 * level.blur for level in base.schedule]
    assert large.n_effective == base.n_effective


def _residual(correlation: float, sigma: float = 0.03):
    """A residual image whose neighbours hang together over Gaussian blur of `correlation` px, at random pixels."""
    generator = torch.Generator().manual_seed(8)
    noise = gaussian_blur(torch.randn(1, 160, 160, 3, generator=generator), correlation)
    noise = noise / noise.std() * sigma
    pixel = torch.randint(20, 140, (1, 1500, 2), generator=generator)
    return noise[0, pixel[..., 1], pixel[..., 0]], pixel.float()


def test_the_area_of_correlated_noise_is_found():
    # White noise blurred by s has the autocorrelation exp(−d²/4s²), whose integral over the plane is 4πs².
    for s in (1.0, 2.0):
        residual, pixel = _residual(s)
        noise = residual_noise(residual, pixel, torch.ones(1, 1500))
        assert abs(float(noise.sigma) - 0.03) < 0.002
        assert 0.75 < float(noise.area) / (4 * torch.pi * s**2) < 1.25
        # Twice the pixels along each side: the same profile, four times the area in px².
        fine = residual_noise(residual, 2 * pixel, torch.ones(1, 1500), unit=2.0)
        assert torch.allclose(fine.area, 4 * noise.area, rtol=1e-4)
    white = residual_noise(_residual(0.0)[0], pixel, torch.ones(1, 1500))
    assert float(white.area) == LEAST_AREA


def test_the_landmark_noise_is_found_in_spite_of_outliers(scene):
    state, _, _ = scene
    settings = FitSettings(landmark_absorbed=1.0, landmark_scale_limits=(0.0, 10.0))
    generator = torch.Generator().manual_seed(9)
    sigma = landmark_sigma(settings, torch.zeros(1))
    offset = 0.5 * sigma[:, None] * torch.randn(200, 68, 2, generator=generator)
    offset[:, 20:26] = 40.0
    found = landmark_noise(offset, settings)
    assert abs(float(found.mean()) - 0.5) < 0.08


def look_of(residual):
    """What `pixel_precision` reads of points of one face whose residual is (P, 3), seen straight on."""
    P = len(residual)
    grid = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(P / 40), indexing="ij"), -1)
    points = SimpleNamespace(pixel=grid.reshape(1, P, 2).float(), visible=torch.tensor([P]))
    return SimpleNamespace(residual=residual[None], trust=torch.ones(1, P)), points


def test_precision_takes_from_the_residual_what_is_to_be_measured():
    generator = torch.Generator().manual_seed(0)
    look, points = look_of(0.02 * torch.randn(800, 3, generator=generator))

    def precision(*measured):
        settings = FitSettings(n_effective=300.0, measured=measured, precision_limits=(1e-3, 1e3))
        return float(pixel_precision(look, points, settings))

    assert precision() == pytest.approx(300 / 0.05**2)
    assert precision("sigma") == pytest.approx(300 / 0.02**2, rel=0.1)
    # White noise hangs together over no more than the least area, 4 px²; the estimate is raised threefold.
    assert precision("n_effective") == pytest.approx(3 * 800 / 4 / 0.05**2, rel=0.5)
    assert precision("sigma", "n_effective") == pytest.approx(3 * 800 / 4 / 0.02**2, rel=0.5)
    # A large residual lowers nothing below the settings' own precision, a tiny one raises it within limits.
    loud, quiet = look_of(0.2 * torch.ones(800, 3))[0], look_of(1e-4 * torch.ones(800, 3))[0]
    settings = FitSettings()
    fixed = settings.n_effective / settings.pixel_sigma**2
    assert float(pixel_precision(loud, points, settings)) == pytest.approx(fixed)
    assert float(pixel_precision(quiet, points, settings)) == pytest.approx(15 * fixed)


def test_only_what_can_be_measured_is_asked_for():
    with pytest.raises(ValueError, match="measured must be some of .*got .*colour"):
        FitSettings(measured=("colour",))
