"""The edge term: distances that are known, rows against finite differences, and edges where they should be."""

import pytest
import torch

from helpers.camera import Camera, model_to_camera, project
from helpers.fitting import FitSettings
from helpers.fitting.edge_term import SECTORS, edge_map, edge_points, edge_rows
from helpers.fitting.pixel_term import see
from helpers.fitting.settings import EDGE_FORMS


@pytest.fixture(scope="module")
def disc():
    """A white disc of radius 50 px on black, at (79.5, 79.5) in an image of 160 px."""
    v, u = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    radius = ((u - 79.5) ** 2 + (v - 79.5) ** 2).sqrt()
    image = ((50.5 - radius).clamp(0, 1))[None, ..., None].repeat(2, 1, 1, 3)
    return image, radius


def test_the_distance_to_a_circle_is_known(disc):
    image, radius = disc
    edges = edge_map(image)
    assert edges.reach == pytest.approx(10 * 160 / 224)
    expected = (radius - 50).abs().clamp(max=edges.reach)
    assert (edges.distance[0] - expected).abs().max() < 1.5
    # `across` points along the radius, towards the circle.
    v, u = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    outward = torch.stack([u - 79.5, v - 79.5], -1) / radius[..., None]
    off = (edges.distance[0] > 4) & (edges.distance[0] < edges.reach)
    along = (edges.across[0] * outward).sum(-1) * torch.sign(50 - radius)
    assert along[off].min() > 0.85


def test_a_picture_without_edges_costs_the_reach_and_pulls_nowhere(fit_model, scene):
    state, camera, _ = scene
    edges = edge_map(torch.full((2, 160, 160, 3), 0.5))
    points = edge_points(fit_model, see(fit_model, state, camera), 200, torch.Generator().manual_seed(0))
    settings = FitSettings(edge_weight=50.0)
    rows = edge_rows(fit_model, state, camera, edges, points, settings)
    assert (rows.jacobian == 0).all()
    assert torch.allclose(rows.energy, torch.tensor(0.5 * 50.0 * (edges.reach / settings.edge_sigma) ** 2))


@pytest.mark.parametrize("form", EDGE_FORMS)
def test_rows_agree_with_finite_differences(fit_model, scene, disc, form):
    state, camera, _ = scene
    layout = fit_model.layout
    image, _ = disc
    edges = edge_map(image, sectors=SECTORS if form.startswith("oriented") else 1)
    points = edge_points(fit_model, see(fit_model, state, camera), 200, torch.Generator().manual_seed(0))
    assert points.outline.sum(1).tolist() == [100, 100]
    settings = FitSettings(edge_weight=50.0, edge_form=form)
    # Points are drawn at the centres of pixels, where the landscape has kinks: look at it from a little beside.
    camera = Camera(camera.focal, camera.principal_point + 0.37, camera.size)

    def rows(step):
        return edge_rows(fit_model, state.moved(step, layout), camera, edges, points, settings)

    base = rows(torch.zeros(2, layout.size))
    assert (base.jacobian[..., layout.beta] == 0).all() and (base.jacobian[..., layout.light] == 0).all()
    assert (base.jacobian.abs().sum(-1) > 0).sum() > 40
    h = 4e-4
    agree = []
    for i in [*range(layout.n_geometry), *range(layout.pose.start, layout.pose.stop)]:
        step = torch.zeros(2, layout.size)
        step[:, i] = h
        slope = (rows(step).residual - rows(-step).residual) / (2 * h)
        scale = base.jacobian[..., i].abs().max()
        agree.append(((slope - base.jacobian[..., i]).abs() < 0.05 * scale + 0.05).float().mean())
    # Where a point crosses from one pixel's cell to the next, or out of reach, the landscape has a kink.
    assert torch.stack(agree).min() > 0.9


def test_outline_points_lie_on_the_outline(fit_model, scene):
    from helpers.camera import model_to_camera, project

    state, camera, _ = scene
    raster = see(fit_model, state, camera)
    points = edge_points(fit_model, raster, 200, torch.Generator().manual_seed(0))
    geometry = state.coefficients[:, : fit_model.layout.n_geometry]
    surface = points.mean + torch.einsum("bpdk,bk->bpd", points.geometry, geometry)
    pixel = project(model_to_camera(surface, state.pose), Camera.default(160, focal=700.0, batch=2))[..., :2]
    mask = raster.mask
    for b in range(2):
        for (u, v), outline, weight in zip(pixel[b], points.outline[b], points.weight[b], strict=True):
            if outline and weight > 0:
                x, y = int(u + 0.5), int(v + 0.5)
                around = mask[b, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                assert around.any() and not around.all()


def test_each_direction_has_its_own_map(disc):
    """On a circle the slope points along the radius: a sector's map holds the arcs in its direction, and no others."""
    image, _ = disc
    edges = edge_map(image, sectors=SECTORS)
    assert edges.edges.shape == (2 * SECTORS, 160, 160)
    v, u = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    angle = torch.atan2(v - 79.5, u - 79.5)
    width = torch.pi / SECTORS
    for k in range(SECTORS):
        off = ((angle - k * width + torch.pi / 2) % torch.pi - torch.pi / 2).abs()
        mine = edges.edges[k]
        assert mine.sum() > 50 and off[mine].max() < 0.75 * width + 0.1
    assert torch.equal(edges.edges[:SECTORS].any(0), edge_map(image).edges[0])


def test_the_outlines_angle_points_across_it(fit_model, scene):
    """Moved along its angle by a few pixels, an outline point is off the face on one side and on it on the other."""
    state, camera, _ = scene
    raster = see(fit_model, state, camera)
    points = edge_points(fit_model, raster, 200, torch.Generator().manual_seed(0))
    position = (
        points.mean
        + (points.geometry @ state.coefficients[:, None, : fit_model.layout.n_geometry, None])[..., 0]
    )
    pixel = project(model_to_camera(position, state.pose), camera)[..., :2]
    step = 5 * torch.stack([points.angle.cos(), points.angle.sin()], -1)
    sides = []
    for sign in (1, -1):
        x, y = (pixel + sign * step).round().long().clamp(0, 159).unbind(-1)
        sides.append(raster.mask[torch.arange(2)[:, None], y, x])
    differs = (sides[0] != sides[1])[points.outline]
    assert differs.float().mean() > 0.95
