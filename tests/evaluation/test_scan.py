"""ICP and 3DRMSE: known motions come back, known distances are measured, and what must not matter does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from helpers.errors import UserError
from helpers.evaluation import (
    MICC,
    PROTOCOLS,
    IcpSettings,
    Motion,
    Nearest,
    Protocol,
    Surface,
    best_motion,
    compare_protocols,
    error_map,
    icp,
    micc_rmse,
    scan_error,
)
from helpers.evaluation.surface import vertex_normals
from helpers.face_model import load
from helpers.rendering import vertex_normals_reference


@pytest.fixture(scope="module")
def heads(open3d):
    """Two people of the open model as surfaces."""
    import torch

    model = load("open", level=1)
    shapes = model.shape(model.sample(2, torch.Generator().manual_seed(5)).alpha)
    return [
        Surface.of(shape, model.triangles, model.landmarks, f"person {k}") for k, shape in enumerate(shapes)
    ]


def moved(surface, motion):
    return Surface(motion(surface.vertices), surface.triangles, motion(surface.landmarks), surface.name)


def motion_of(degrees=(10.0, -8.0, 5.0), shift=(4.0, -7.0, 9.0), size=1.0):
    return Motion(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), np.array(shift), size)


def ball(open3d, radius, n=40):
    """A sphere's vertices and triangles, finely cut."""
    mesh = open3d.geometry.TriangleMesh.create_sphere(radius, n)
    return np.asarray(mesh.vertices), np.asarray(mesh.triangles)


@given(seed=st.integers(0, 1000), size=st.floats(0.5, 2.0))
@settings(max_examples=20, deadline=None)
def test_best_motion_finds_a_known_motion(seed, size):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(30, 3)) * 40
    truth = Motion(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3) * 50, size)
    found = best_motion(points, truth(points), scale=True)
    assert abs(found.size - size) < 1e-9 and np.abs(found.rotation - truth.rotation).max() < 1e-9
    np.testing.assert_allclose(found.back(found(points)), points, atol=1e-9)
    # Without scale it is scipy's answer about the centres.
    rigid = best_motion(points, truth(points))
    there = truth(points)
    expected = Rotation.align_vectors(there - there.mean(0), points - points.mean(0))[0].as_matrix()
    np.testing.assert_allclose(rigid.rotation, expected, atol=1e-8)
    assert rigid.size == 1.0 and np.linalg.det(rigid.rotation) > 0


@pytest.mark.parametrize("direction", ["scan to model", "model to scan"])
@pytest.mark.parametrize("step", ["plane", "point"])
def test_icp_finds_a_known_motion(heads, direction, step):
    truth = motion_of()
    scan = moved(heads[0], truth)
    found = icp(heads[0], scan, IcpSettings(direction=direction, step=step, keep=1.0, rounds=300))
    assert found.rms[-1] < 0.1 and np.abs(found.motion.rotation - truth.rotation).max() < 2e-3
    assert np.linalg.norm(found.motion(heads[0].vertices) - scan.vertices, axis=1).max() < 0.5
    assert found.converged and found.rms[0] > 3


@pytest.mark.parametrize("step", ["plane", "point"])
@pytest.mark.slow
def test_icp_finds_a_known_size(heads, step):
    scan = moved(heads[0], motion_of(size=1.07))
    found = icp(heads[0], scan, IcpSettings(step=step, scale=True, keep=1.0, rounds=400))
    assert abs(found.motion.size - 1.07) < 1e-3 and found.rms[-1] < 0.1
    assert icp(heads[0], scan, IcpSettings(step=step, keep=1.0)).motion.size == 1.0


def test_point_steps_never_make_the_fit_worse(heads):
    found = icp(heads[0], heads[1], IcpSettings(step="point", keep=1.0, sample=10**6, rounds=15))
    assert (np.diff(found.rms) <= 1e-6).all()


def test_spheres_differ_by_their_radii(open3d):
    nose = np.full((68, 3), np.nan)
    nose[30] = 0  # both spheres about the origin, all points within the radius
    (a, ta), (b, tb) = ball(open3d, 60.0), ball(open3d, 63.0)
    small, large = (Surface(v, t, nose) for v, t in ((a, ta), (b, tb)))
    for direction in ("scan to model", "model to scan"):
        assert abs(scan_error(small, large, Protocol(direction=direction, keep=1.0)).rmse - 3.0) < 0.1
        assert (
            scan_error(small, large, Protocol(direction=direction, scale=True, step="point", keep=1.0)).rmse
            < 0.1
        )


def test_distances_are_those_of_open3d(heads, open3d):
    points = (
        heads[0].vertices[::7] + np.random.default_rng(0).normal(size=(len(heads[0].vertices[::7]), 3)) * 5
    )
    found, _ = Nearest(heads[1].vertices, heads[1].triangles)(points)
    scene = open3d.t.geometry.RaycastingScene()
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(heads[1].vertices), open3d.utility.Vector3iVector(heads[1].triangles)
    )
    scene.add_triangles(open3d.t.geometry.TriangleMesh.from_legacy(mesh))
    expected = scene.compute_distance(points.astype(np.float32)).numpy()
    np.testing.assert_allclose(np.linalg.norm(found - points, axis=1), expected, atol=2e-3)
    # To the vertices it can only be farther.
    vertex, number = Nearest(heads[1].vertices, heads[1].triangles, vertices_only=True)(points)
    assert (np.linalg.norm(vertex - points, axis=1) >= expected - 2e-3).all()
    np.testing.assert_array_equal(vertex, heads[1].vertices[number])


def test_normals_are_the_renderers(heads):
    import torch

    expected = vertex_normals_reference(
        torch.from_numpy(heads[0].vertices)[None], torch.from_numpy(heads[0].triangles)
    )[0]
    np.testing.assert_allclose(
        vertex_normals(heads[0].vertices, heads[0].triangles), expected.numpy(), atol=1e-9
    )


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.slow
def test_where_the_scan_stands_does_not_matter(heads, name):
    protocol = PROTOCOLS[name]
    here = scan_error(heads[0], heads[1], protocol).rmse
    there = scan_error(heads[0], moved(heads[1], motion_of((70, -40, 110), (300, -200, 800))), protocol).rmse
    assert abs(here - there) < 0.02 * here and here > 0.3


def test_size_matters_unless_scale_is_free(heads):
    larger = moved(heads[0], Motion(np.eye(3), np.zeros(3), 1.05))
    assert micc_rmse(heads[0], larger) > 0.8
    free = scan_error(heads[0], larger, Protocol(scale=True))
    assert free.rmse < 0.05 and abs(free.motion.size - 1.05) < 1e-3


def test_the_error_is_zero_for_the_same_face_and_grows(heads):
    assert micc_rmse(heads[0], heads[0]) < 0.01
    between = Surface(
        (heads[0].vertices + heads[1].vertices) / 2,
        heads[0].triangles,
        (heads[0].landmarks + heads[1].landmarks) / 2,
    )
    assert 0.1 < micc_rmse(between, heads[1]) < micc_rmse(heads[0], heads[1])


def test_the_error_is_that_of_the_result(heads):
    error = scan_error(heads[0], heads[1])
    assert (
        np.isclose(error.rmse, np.sqrt(np.mean(error.distance**2)))
        and error.median <= error.mean <= error.rmse
    )
    inside = np.linalg.norm(heads[1].vertices[error.query] - heads[1].nose, axis=1)
    assert inside.max() <= MICC.radius < np.linalg.norm(heads[1].vertices - heads[1].nose, axis=1).max()
    assert error_map(heads[0], heads[1], error.motion).shape == (len(heads[0].vertices),)


def test_trimming_keeps_hair_out_of_the_alignment(heads):
    scan = heads[0]
    hairy = scan.vertices.copy()
    up = hairy[:, 1] > scan.nose[1] + 50
    hairy[up] += [0, 0, 30.0]
    hairy = Surface(hairy, scan.triangles, scan.landmarks)
    plain, robust = (
        icp(
            scan,
            hairy,
            IcpSettings(keep=keep),
            query=np.flatnonzero(np.linalg.norm(hairy.vertices - scan.nose, axis=1) < 95),
        )
        for keep in (1.0, 0.6)
    )

    def off(found):
        return np.linalg.norm(found.motion(scan.vertices) - scan.vertices, axis=1)[~up].mean()

    assert off(robust) < 0.5 * off(plain)


def test_a_cloud_of_points_is_a_scan_too(heads):
    cloud = Surface(heads[0].vertices, None, heads[0].landmarks, "cloud")
    assert micc_rmse(heads[0], cloud) < 0.01  # the steps along normals use the model's
    assert scan_error(heads[0], cloud, Protocol(direction="model to scan", step="point")).rmse < 0.01
    with pytest.raises(UserError, match="no normals"):
        scan_error(heads[0], cloud, Protocol(direction="model to scan"))


@pytest.mark.slow
def test_a_table_of_protocols_has_a_row_for_each(heads):
    rows = compare_protocols(
        [(heads[0], heads[1]), (heads[1], heads[0])], {"a": MICC, "b": Protocol(scale=True)}
    )
    assert [row["protocol"] for row in rows] == ["a", "b"]
    assert np.isclose(
        rows[0]["mean"], np.mean([micc_rmse(heads[0], heads[1]), micc_rmse(heads[1], heads[0])])
    )
    assert [row["unfinished"] for row in rows] == [
        sum(not scan_error(*pair, p).converged for pair in ((heads[0], heads[1]), (heads[1], heads[0])))
        for p in (MICC, Protocol(scale=True))
    ]
    assert rows[0]["size"] == 1.0 != rows[1]["size"] and rows[1]["mean"] < rows[0]["mean"]


def test_the_nose_is_found_by_other_landmarks(heads):
    seven = np.full((68, 3), np.nan)
    seven[[36, 39, 42, 45, 33, 48, 54]] = heads[1].landmarks[[36, 39, 42, 45, 33, 48, 54]]
    scan = Surface(heads[1].vertices, heads[1].triangles, seven)
    # The crop follows the nose of the other face, so it is not quite the same part of the scan.
    whole = micc_rmse(heads[0], heads[1])
    assert abs(micc_rmse(heads[0], scan) - whole) < 0.25 * whole


def test_what_cannot_be_aligned_is_refused(heads):
    nothing = Surface(heads[1].vertices, heads[1].triangles, np.full((68, 3), np.nan), "bare")
    with pytest.raises(UserError, match="bare: the tip of the nose is not known"):
        micc_rmse(heads[0], nothing)
    far = np.full((68, 3), np.nan)
    far[30] = [5000.0, 0, 0]
    with pytest.raises(UserError, match="only 0 points lie within 95 mm"):
        micc_rmse(heads[0], Surface(heads[1].vertices, heads[1].triangles, far))
    for wrong in ({"direction": "both"}, {"step": "line"}, {"nearest": "edge"}, {"keep": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            IcpSettings(**wrong)
    with pytest.raises(ValueError, match="triangles name"):
        Surface.of(np.zeros((4, 3)), np.array([[0, 1, 9]]))
    with pytest.raises(ValueError, match="finite"):
        Surface.of(np.full((4, 3), np.nan))
