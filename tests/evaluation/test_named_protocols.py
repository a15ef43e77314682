"""NoW's and REALY's protocols: a known motion and size leave nothing, a known bump is found where it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from helpers.errors import UserError
from helpers.evaluation import (
    NOW,
    IcpSettings,
    Motion,
    Nearest,
    Surface,
    icp,
    now_crop,
    realy_errors,
    scan_error,
    scan_parts,
)
from helpers.evaluation.scans import NOW_SEVEN
from helpers.face_model import load

SOMEWHERE = Motion(
    Rotation.from_euler("xyz", (70, -40, 110), degrees=True).as_matrix(), np.array([300.0, -200, 800])
)
SMALLER = Motion(SOMEWHERE.rotation, np.array([10.0, 20, 30]), 0.8)


@pytest.fixture(scope="module")
def heads(open3d):
    """Two people of the open model."""
    model = load("open", level=0)
    shapes = model.shape(model.sample(2, torch.Generator().manual_seed(7)).alpha)
    return [Surface.of(s, model.triangles, model.landmarks, f"person {k}") for k, s in enumerate(shapes)]


def bumped(surface, vertex, height, width):
    """The surface with a bump of Gaussian form towards the viewer, its landmarks left where they were."""
    off = surface.vertices - surface.vertices[vertex]
    rise = height * np.exp(-0.5 * np.sum(off**2, 1) / width**2)
    return replace(surface, vertices=surface.vertices + rise[:, None] * [0, 0, 1])


def vertex_at(surface, point):
    return int(np.linalg.norm(surface.vertices - point, axis=1).argmin())


def test_nows_crop_is_a_ball_about_a_point_above_the_base_of_the_nose():
    points = np.full((68, 3), np.nan)
    points[[36, 39, 42, 45, 33]] = [[-45, 40, 0], [-15, 40, 0], [15, 40, 0], [45, 40, 0], [0, 0, 0]]
    middle, radius = now_crop(Surface(np.zeros((1, 3)), None, points, "a"))
    np.testing.assert_allclose(middle, [0, 12, 0])  # 3/10 of 40 mm
    assert radius == pytest.approx(0.7 * (90 + 40))
    points[33] = np.nan
    with pytest.raises(UserError, match="a: the base of the nose is not known"):
        now_crop(Surface(np.zeros((1, 3)), None, points, "a"))


def test_now_leaves_nothing_of_a_known_motion_and_size(heads):
    error = scan_error(heads[0].moved(SMALLER), heads[0].moved(SOMEWHERE), NOW)
    assert error.converged and error.rmse < 1e-3 and error.median < 1e-3 and error.std < 1e-3
    assert error.motion.size == pytest.approx(1.25, abs=1e-5)


def test_now_does_not_depend_on_the_size_of_the_face_or_on_what_lies_outside_of_the_crop(heads):
    face, scan = heads
    error = scan_error(face, scan, NOW)
    other = scan_error(face.moved(SMALLER), scan, NOW)
    assert error.mean > 0.3 and other.mean == pytest.approx(error.mean, abs=1e-3)
    assert error.mean == pytest.approx(error.distance.mean()) and error.std == pytest.approx(
        error.distance.std()
    )
    middle, radius = now_crop(scan)
    outside = np.linalg.norm(scan.vertices - middle, axis=1) > radius
    assert 0.1 < outside.mean() < 0.9
    torn = replace(scan, vertices=scan.vertices + 0.5 * outside[:, None] * (scan.vertices - middle))
    assert scan_error(face, torn, NOW).mean == pytest.approx(error.mean, abs=1e-9)


def test_now_needs_seven_landmarks_of_both_and_no_more(heads):
    seven = np.full((68, 3), np.nan)
    seven[list(NOW_SEVEN)] = heads[1].landmarks[list(NOW_SEVEN)]
    scan = replace(heads[1], landmarks=seven)
    assert scan_error(heads[0], scan, NOW).mean == scan_error(*heads, NOW).mean
    seven[54] = np.nan
    with pytest.raises(UserError, match="person 1: the right corner of the mouth is not known"):
        scan_error(heads[0], scan, NOW)
    with pytest.raises(UserError, match="person 1: the right corner of the mouth is not known"):
        realy_errors(scan, heads[0])


def test_pairs_that_are_held_turn_a_ball_which_no_distance_does(open3d):
    mesh = open3d.geometry.TriangleMesh.create_sphere(60.0, 30)
    points, none = np.asarray(mesh.vertices), np.full((68, 3), np.nan)
    ball = Surface(points, np.asarray(mesh.triangles), none)
    turn = Motion(Rotation.from_euler("xyz", (3, -5, 4), degrees=True).as_matrix(), np.array([1.0, 2, 3]))
    settings = IcpSettings(step="point", keep=1.0, rounds=200, tolerance=1e-5)
    some = points[::400]
    free = icp(ball, ball.moved(turn), settings).motion
    held = icp(ball, ball.moved(turn), settings, held=(some.repeat(200, 0), turn(some).repeat(200, 0))).motion
    assert np.abs(free.rotation - turn.rotation).max() > 0.03
    np.testing.assert_allclose(held.rotation, turn.rotation, atol=2e-3)
    with pytest.raises(ValueError, match="by steps of kind"):
        icp(ball, ball, IcpSettings(), held=(some, some))


def test_realy_leaves_nothing_of_a_known_motion_and_size(heads):
    found = realy_errors(heads[0].moved(SMALLER), heads[0].moved(SOMEWHERE))
    assert list(found) == ["nose", "mouth", "forehead", "cheek"]
    assert all(part.motion.size == pytest.approx(1.25, abs=1e-4) for part in found.values())
    assert all(part.mean < 1e-3 and part.converged and len(part.query) > 50 for part in found.values())


def test_realy_finds_a_bump_in_the_part_where_it_is(heads):
    scan = heads[0]
    parts = scan_parts(scan)
    places = {
        "nose": scan.landmarks[28],
        "forehead": scan.landmarks[[21, 22]].mean(0) + [0, 20, 0],
        "cheek": scan.landmarks[[2, 31]].mean(0),
    }
    for part, place in places.items():
        vertex = vertex_at(scan, place)
        assert parts[part][vertex]
        found = realy_errors(bumped(scan, vertex, 6.0, 5.0), scan, parts)
        others = [error.mean for name, error in found.items() if name != part]
        assert found[part].mean > 3 * max(others), (part, {name: e.mean for name, e in found.items()})
        worst = found[part].query[found[part].distance.argmax()]
        assert np.linalg.norm(scan.vertices[worst] - scan.vertices[vertex]) < 10


def test_realys_partners_lie_on_the_face_and_not_always_nearest(heads):
    face, scan = heads
    found = realy_errors(face, scan)
    other = realy_errors(face.moved(SMALLER), scan)
    for part, error in found.items():
        tree = Nearest(error.motion(face.vertices), face.triangles)
        near = np.linalg.norm(tree(scan.vertices[error.query])[0] - scan.vertices[error.query], axis=1)
        assert (error.distance >= near - 1e-3).all() and error.mean > 1.05 * near.mean()
        assert other[part].mean == pytest.approx(error.mean, rel=0.02)


def test_parts_of_a_scan_do_not_overlap_and_move_with_it(heads):
    here = scan_parts(heads[1])
    assert np.stack(list(here.values())).sum(0).max() == 1
    there = scan_parts(heads[1].moved(SOMEWHERE))
    for part, inside in here.items():
        assert inside.sum() > 50 and (inside == there[part]).mean() > 0.995


def test_realy_refuses_a_cloud(heads):
    with pytest.raises(UserError, match="person 1: has no triangles"):
        realy_errors(heads[0], replace(heads[1], triangles=None))
