"""Points over what a scanner sees of a head, and the classes of skin."""

import numpy as np
import pytest
import torch

from helpers.errors import UserError
from helpers.evaluation import SKIN_TYPES, Surface, outer_rmse, outer_surface, skin_type
from helpers.face_model import load


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


@pytest.fixture(scope="module")
def head(model):
    return Surface.of(model.mean_shape, model.triangles, model.landmarks)


def test_points_lie_on_the_outside_near_the_nose(model, head):
    outer = outer_surface(head, points=4000)
    assert outer.triangles is None and len(outer.vertices) > 1000
    assert np.linalg.norm(outer.vertices - head.nose, axis=1).max() <= 95
    inside = model.mean_shape[model.masks["mouth_interior"] > 0.5].double()
    near = torch.cdist(torch.from_numpy(outer.vertices), inside).amin(1)
    assert (near < 1).float().mean() < 0.02


def test_the_error_ignores_place_and_size_and_sees_shape(model, head):
    outer = outer_surface(head, points=4000)
    moved = Surface.of(
        1.1 * model.mean_shape + torch.tensor([5.0, -8.0, 3.0]), model.triangles, model.landmarks
    )
    assert outer_rmse(moved, outer) < 0.05
    other = model.shape(model.sample(1, torch.Generator().manual_seed(0)).alpha)[0]
    assert outer_rmse(Surface.of(other, model.triangles, model.landmarks), outer) > 0.5


def test_bare_points_are_refused(model):
    with pytest.raises(UserError, match="no triangles"):
        outer_surface(Surface.of(model.mean_shape, None, model.landmarks))


def test_classes_of_skin_begin_where_the_table_says():
    for name, above in SKIN_TYPES.items():
        assert skin_type(above + 0.1) == name
    assert skin_type(55.0) == "light" and skin_type(-90.0) == "dark"
