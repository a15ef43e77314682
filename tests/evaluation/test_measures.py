"""Depth, landmarks, normals, parts of the face: hand-made cases with known answers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.evaluation import (
    NORMALISERS,
    depth_errors,
    depth_map,
    face_regions,
    landmark_nme,
    normal_error,
    per_region,
)
from helpers.face_model import load


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


def plate(z, side=150.0):
    corners = torch.tensor([[-side, -side, z], [side, -side, z], [side, side, z], [-side, side, z]])
    return corners[None], torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_two_plates_differ_by_their_distance():
    (near, triangles), (far, _) = plate(10.0), plate(0.0)
    centre = torch.zeros(1, 3)
    a, b = (depth_map(v, triangles, centre, radius=50.0, distance=500.0) for v in (near, far))
    assert (
        a.shape == (1, 101, 101) and float(a[0, 50, 50]) == pytest.approx(490) and float(b[0, 50, 50]) == 500
    )
    errors = depth_errors(a, b)
    assert float(errors.rmse) == pytest.approx(10.0, abs=1e-3)
    assert float(errors.rel) == pytest.approx(10 / 500, abs=1e-6)
    assert float(errors.log10) == pytest.approx(math.log10(500 / 490), abs=1e-6)
    # From twice as far the same ten millimetres are half as large a part of the depth, and the RMSE is the same.
    a, b = (depth_map(v, triangles, centre, radius=50.0, distance=1000.0) for v in (near, far))
    assert float(depth_errors(a, b).rel) == pytest.approx(10 / 1000, abs=1e-6)
    assert float(depth_errors(a, b).rmse) == pytest.approx(10.0, abs=1e-3)


def test_a_ball_has_the_depth_of_a_ball(open3d):
    mesh = open3d.geometry.TriangleMesh.create_sphere(40.0, 80)
    import numpy as np

    vertices, triangles = (torch.from_numpy(np.asarray(a)) for a in (mesh.vertices, mesh.triangles))
    depth = depth_map(vertices.float()[None], triangles.long(), torch.zeros(1, 3), radius=60.0)[0]
    across = torch.arange(121) - 60.0
    r2 = across[:, None] ** 2 + across**2
    inside = r2 < 38**2
    assert (depth[inside] - (1000 - (1600 - r2[inside]).sqrt())).abs().max() < 0.3
    assert torch.isinf(depth[r2 > 41**2]).all()


def test_depth_counts_what_both_show():
    a, b = torch.full((1, 4, 4), 100.0), torch.full((1, 4, 4), 100.0)
    a[0, 0], b[0, :, 0] = torch.inf, torch.inf
    errors = depth_errors(a, b)
    assert float(errors.shown) == pytest.approx(9 / 12) and float(errors.rmse) == 0
    assert torch.isnan(errors.difference).sum() == 7
    assert torch.isnan(depth_errors(torch.full_like(a, torch.inf), b).rmse).all()
    with pytest.raises(ValueError, match="alike"):
        depth_errors(a, b[:, 1:])
    with pytest.raises(ValueError, match="above zero"):
        depth_errors(-a, b)


def face_points():
    """68 points with eyes 100 px apart, pupils 80 px, in a box of 200 by 100 px."""
    points = torch.zeros(1, 68, 2)
    points[0, 36:42], points[0, 42:48] = torch.tensor([-40.0, 0.0]), torch.tensor([40.0, 0.0])
    points[0, 36, 0], points[0, 45, 0] = -50.0, 50.0
    points[0, 37:42, 0] = (-240 + 50) / 5
    points[0, [43, 44, 46, 47, 42], 0] = (240 - 50) / 5
    points[0, 0], points[0, 16] = torch.tensor([-100.0, -50.0]), torch.tensor([100.0, 50.0])
    return points


@pytest.mark.parametrize(
    ("normaliser", "size"), list(zip(NORMALISERS, (100.0, 80.0, 20000**0.5, 50000**0.5), strict=True))
)
def test_each_normaliser_divides_by_its_length(normaliser, size):
    points = face_points()
    moved = points + torch.tensor([3.0, 4.0])
    assert float(landmark_nme(moved, points, normaliser)) == pytest.approx(5 / size, rel=1e-5)
    assert float(landmark_nme(7 * moved, 7 * points, normaliser)) == pytest.approx(5 / size, rel=1e-5)


def test_points_may_be_left_out():
    points = face_points()
    moved, visible = points.clone(), torch.ones(1, 68)
    moved[0, 8] += 1000
    visible[0, 8] = 0
    assert float(landmark_nme(moved, points, visible=visible)) == 0 < float(landmark_nme(moved, points))
    with pytest.raises(ValueError, match="no size"):
        landmark_nme(points, torch.zeros_like(points))
    with pytest.raises(ValueError, match="one of outer eyes"):
        landmark_nme(points, points, "ears")
    with pytest.raises(ValueError, match="alike"):
        landmark_nme(points[:, :60], points)


@given(degrees=st.floats(0.5, 170.0), size=st.floats(0.5, 2.0))
@settings(max_examples=15, deadline=None)
def test_normals_of_a_turned_face_are_turned_by_its_angle(degrees, size):
    # A plate's normals all turn by the angle of the plate.
    flat, triangles = plate(0.0)
    angle = math.radians(degrees)
    turn = torch.tensor(
        [[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]]
    )
    assert float(normal_error(size * flat @ turn.T, flat, triangles)) == pytest.approx(degrees, abs=0.05)


def test_normals_of_one_face_agree(model):
    shapes = model.shape(torch.randn(2, 99, generator=torch.Generator().manual_seed(0)))
    assert float(normal_error(2 * shapes + 5, shapes, model.triangles).max()) < 0.05
    assert float(normal_error(shapes[:1], shapes[1:], model.triangles)) > 2
    weights = torch.zeros(1, len(model.mean_shape))
    weights[0, model.landmarks[30]] = 1
    assert float(normal_error(shapes[:1], shapes[1:], model.triangles, weights)) != float(
        normal_error(shapes[:1], shapes[1:], model.triangles)
    )


def test_parts_share_no_vertex_and_lie_where_they_should(model):
    regions = face_regions(model)
    total = sum(regions.values())
    assert float(total.max()) == 1 and 0.2 < float(total.mean()) < 0.9
    centre = {name: (w[:, None] * model.mean_shape).sum(0) / w.sum() for name, w in regions.items()}
    down = [float(centre[name][1]) for name in ("forehead", "brows", "eyes", "nose", "mouth", "chin")]
    assert down == sorted(down, reverse=True)
    assert all(float(w.sum()) >= 20 for w in regions.values())
    mirrored = [(w * model.mean_shape[:, 0]).sum() / w.sum() for w in regions.values()]
    assert max(abs(float(x)) for x in mirrored) < 3.5


def test_errors_by_part_by_hand(model):
    regions = face_regions(model)
    squared = torch.zeros(1, len(model.mean_shape))
    squared[0, regions["nose"] > 0] = 9.0
    found = per_region(squared, regions)
    assert float(found["nose"]) == pytest.approx(3.0) and float(found["mouth"]) == 0.0
    bare = per_region(squared, {"nothing": torch.zeros(len(model.mean_shape))})
    assert torch.isnan(bare["nothing"]).all()
