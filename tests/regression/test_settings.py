"""Settings that cannot be used are refused before anything is trained; a preset is what is told of it."""

import re

import pytest

from helpers.course.paper import STEPS
from helpers.errors import UserError
from helpers.regression import PRESETS, settings_of


@pytest.mark.parametrize(
    ("preset", "changes", "words"),
    [
        ("fast", {}, "quick"),
        ("quick", {"rate": -1.0}, "rate must be above 0"),
        ("quick", {"rate": float("nan")}, "rate must be above 0"),
        ("quick", {"loss": "l3"}, "asymmetric, l2, huber"),
        ("quick", {"body_rate": 0.0}, "body_rate must be above 0"),
        ("quick", {"input": "grey"}, "normalised, mean image"),
        ("quick", {"size": 8}, "at least 32"),
    ],
)
def test_what_cannot_be_used_is_refused(preset, changes, words):
    with pytest.raises(UserError, match=words):
        settings_of(preset, **changes)


def test_the_paper_preset_is_what_the_course_tells_of_the_paper():
    (told,) = (step.what for step in STEPS if step.what.startswith("batches of"))
    number = {words: float(value) for words, value in re.findall(r"([a-z ]+?) (\d\S*?)(?:,|$)", told)}
    paper = PRESETS["paper"]
    assert number == {
        "batches of": paper.batch,
        " momentum": paper.momentum,
        " weight decay": paper.weight_decay,
        " rate": paper.rate,
    }
    assert "a tenth of it below the last layer" in told and paper.body_rate == 0.1
    assert "divided by 10 when the validation loss stalls" in told and paper.schedule == "plateau"
