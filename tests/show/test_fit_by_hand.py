"""The photograph fitted by hand: the energy is lowest where the figure takes it to be, and the picture follows."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.crop import FaceCrop
from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitModel, fit
from helpers.show.sliders import FitByHand
from helpers.show.sliders.fit_by_hand import around


@pytest.fixture(scope="module")
def by_hand():
    pytest.importorskip("ipywidgets")
    fit_model = FitModel(load("open", level=0))
    faces = known_faces(fit_model.model, 1, seed=3, focal_spread=0.0)
    result = fit(faces.image, faces.landmarks, fit_model)
    whole = torch.ones(faces.image.shape[:3])
    crop = FaceCrop(faces.image, whole, faces.landmarks, torch.ones(1), torch.zeros(1, 2))
    return FitByHand(fit_model, crop, result, size=64)


def test_every_slider_leads_uphill_from_the_lowest_place(by_hand):
    assert by_hand.above() == pytest.approx(0, abs=1e-2)
    assert sum(by_hand.best.values()) <= sum(by_hand.energies(by_hand.fitted).values())
    for name, step in {"a1": 0.5, "a2": 0.8, "a3": 0.8, "b1": 0.5, "yaw": 4.0, "light": 0.1}.items():
        for sign in (-1, 1):
            assert by_hand.above(**{name: sign * step}) > 0, (name, sign)


def test_a_number_is_the_energys_own(by_hand):
    """The prior of α₁ alone, in closed form."""
    before, after = (by_hand.energies(by_hand.state(**by_hand.answer | {"a1": a})) for a in (0.0, 3.0))
    assert after["prior"] - before["prior"] == pytest.approx(0.5 * 3**2, abs=1e-2)
    turned = by_hand.state(**by_hand.answer | {"yaw": 21.0}).pose
    assert float(turned.yaw_pitch_roll()[0, 0]) == pytest.approx(21.0, abs=0.2)


def test_the_button_leads_to_the_fit(by_hand):
    def seen():
        return np.asarray(Image.open(io.BytesIO(by_hand.image.value))).astype(int)

    start = seen()
    by_hand.button.click()
    assert np.abs(seen() - start).mean() > 2
    for name, value in by_hand.answer.items():
        assert by_hand.controls[name].value == pytest.approx(value, abs=0.51 * by_hand.SLIDERS[name].step)
    stills = by_hand.stills({"start": by_hand.answer, "end": by_hand.answer}, height=64)
    assert stills.shape == (2 * (64 + 24), 3 * 64, 3)


def test_the_window_holds_all_points_and_stays_inside():
    points = torch.tensor([[10.0, 40.0], [90.0, 60.0], [50.0, 98.0]])
    rows, columns = around(points, 100)
    assert 0 <= rows.start <= 40 and 98 <= rows.stop <= 100 and columns.start <= 10 and columns.stop >= 90
