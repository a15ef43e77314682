"""The calibration of lengths: the transport map, correlation matrices, and a small population with a known aim."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from helpers.face_model.anthropometry import Measure, Row
from helpers.model_builder.calibration import Ruler, Target, calibrate, nearest_correlation, target, transport


def correlation(k, rng):
    mixed = rng.normal(size=(k, 2 * k))
    return np.corrcoef(mixed)


@pytest.mark.parametrize("k", [2, 7])
def test_transport_reaches_mean_and_covariance(k):
    rng = np.random.default_rng(k)
    values = rng.normal(size=(50, k)) @ rng.normal(size=(k, k)) + 100
    matrix = correlation(k, rng)
    wanted = Target(rng.uniform(50, 150, k), rng.uniform(1, 8, k), matrix)
    moved = transport(values, wanted)
    assert np.allclose(moved.mean(0), wanted.mean)
    assert np.allclose(np.cov(moved.T), matrix * np.outer(wanted.sd, wanted.sd))


def test_transport_moves_as_little_as_possible():
    """For Gaussians the mean square distance is |Δmean|² + tr(A + B − 2 (A^½ B A^½)^½); one scaled axis has (σ − s)²."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4000, 2)) @ [[3.0, 1.0], [0.0, 2.0]]
    wanted = Target(np.array([1.0, -2.0]), np.array([4.0, 1.5]), np.array([[1, -0.4], [-0.4, 1]]))
    a, b = np.cov(values.T), wanted.correlation * np.outer(wanted.sd, wanted.sd)
    # The trace of the root, by the eigenvalues of A B.
    least = np.trace(a) + np.trace(b) - 2 * np.sqrt(np.linalg.eigvals(a @ b).real).sum()
    moved = transport(values, wanted)
    spent = ((moved - moved.mean(0) - values + values.mean(0)) ** 2).sum() / (len(values) - 1)
    assert np.isclose(spent, least)


def test_nearest_correlation():
    rng = np.random.default_rng(3)
    good = correlation(4, rng)
    assert np.allclose(nearest_correlation(good), good)
    bad = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    mended = nearest_correlation(bad)
    assert np.linalg.eigvalsh(bad).min() < 0 < np.linalg.eigvalsh(mended).min()
    assert np.allclose(np.diag(mended), 1) and np.allclose(mended, mended.T)
    assert (np.sign(mended) == np.sign(bad)).all()


WIDTH = Measure("width", "between the sides", "length", ("l", "r"), 0.05, None)
HEIGHT = Measure("height", "from top to bottom", "length", ("t", "b"), 0.05, None)
LISTED = [WIDTH, HEIGHT]
CORNERS = np.array([[-50.0, 0, 0], [50, 0, 0], [0, 70, 0], [0, -70, 0], [0, 0, 40], [0, 10, 38]])
ROWS = [
    Row("one", "people", "A", sex, key, mean, sd)
    for sex, key, mean, sd in (
        ("M", "width", 120.0, 6.0),
        ("F", "width", 112.0, 5.0),
        ("M", "height", 150.0, 7.0),
        ("F", "height", 138.0, 6.0),
    )
]


@pytest.fixture
def faces():
    """300 people of six points: broad and long by chance, with errors of the points; every other is a woman."""
    rng = np.random.default_rng(0)
    scale = 1 + rng.normal(size=(300, 1, 3)) * [0.02, 0.03, 0.02]
    return CORNERS * scale + rng.normal(size=(300, 6, 3)), np.arange(300) % 2 == 1


def test_calibrate_brings_measures_to_their_target(faces):
    people, female = faces
    refine = sp.csr_matrix(sp.eye(6))
    ruler = Ruler(refine, {"l": 0, "r": 1, "t": 2, "b": 3}, LISTED)
    none = np.zeros((0, 6, 3))
    moved = calibrate(people, female, none, refine, ruler, ROWS, {("height", "width"): 0.5})
    found = ruler.measure(ruler.places(moved))
    before = ruler.measure(ruler.places(people))
    assert abs(before[~female, 0].mean() - 120) > 15  # it had a way to go
    for sex, mine in (("M", ~female), ("F", female)):
        for k, key in enumerate(("width", "height")):
            mean, sd = next((row.mean, row.sd) for row in ROWS if (row.sex, row.measure) == (sex, key))
            assert abs(found[mine, k].mean() - mean) < 0.1 * sd, (sex, key)
            assert abs(found[mine, k].std() / sd - 1) < 0.1, (sex, key)
        assert np.corrcoef(found[mine].T)[0, 1] == pytest.approx(0.5, abs=0.1)


def test_target_keeps_what_no_survey_reports(faces):
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(400, 2)) @ [[5.0, 2.0], [0.0, 4.0]] + 100
    free = target(drawn, LISTED, ROWS, {}, "M")
    assert np.allclose(free.correlation, np.corrcoef(drawn.T))
    assert np.allclose(free.mean, [120, 150]) and np.allclose(free.sd, [6, 7])
    tied = target(drawn, LISTED, ROWS, {("height", "width"): -0.25, ("other", "width"): 0.9}, "F")
    assert np.isclose(tied.correlation[0, 1], -0.25) and np.allclose(tied.sd, [5, 6])
    angle = Measure("width", "as an angle", "angle", ("l", "b", "r"), 0.5, None)
    loose = target(drawn / 10, [angle, HEIGHT], ROWS, {}, "M")
    assert np.isclose(loose.sd[0], (drawn / 10).std(0)[0]) and np.isclose(loose.sd[1], 7)


def test_ruler_measures_the_refined_surface_and_its_slope():
    refine = sp.csr_matrix(np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]))
    ruler = Ruler(refine, {"l": 0, "r": 1}, [WIDTH])
    places = ruler.places(CORNERS[None])
    assert np.allclose(places[0], [[0, 0, 0], [0, 70, 0]]) and np.allclose(ruler.measure(places), 70)
    assert np.allclose(ruler.slope(places)[0, 0], [[0, -1, 0], [0, 1, 0]], atol=1e-6)
