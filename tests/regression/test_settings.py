"""Settings that cannot be used are refused before anything is trained."""

import pytest

from helpers.errors import UserError
from helpers.regression import settings_of


@pytest.mark.parametrize(
    ("preset", "changes", "words"),
    [
        ("fast", {}, "quick"),
        ("quick", {"rate": -1.0}, "rate must be above 0"),
        ("quick", {"rate": float("nan")}, "rate must be above 0"),
        ("quick", {"loss": "l3"}, "asymmetric, l2, huber"),
        ("quick", {"size": 8}, "at least 32"),
    ],
)
def test_what_cannot_be_used_is_refused(preset, changes, words):
    with pytest.raises(UserError, match=words):
        settings_of(preset, **changes)
