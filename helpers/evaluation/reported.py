"""What the paper is cited for, in one place. None of it was measured here, and the paper's table could not be opened."""

from __future__ import annotations

from typing import NamedTuple

PAPER = "Tran et al., CVPR 2017"
LFW_ACCURACY = 0.923  # of recognition by the cosine of coefficients


class Reported(NamedTuple):
    """3DRMSE on MICC's scans, mm: mean and standard deviation over faces, and seconds an image (None: not cited)."""

    mean: float
    std: float
    seconds: float | None
    note: str = ""


# By the names that the course has for the methods.
MICC_3DRMSE = {
    "mean face": Reported(1.88, 0.52, None),
    "flow-based": Reported(1.83, 0.39, None, "by optical flow from the mean face; not built here"),
    "fit": Reported(1.75, 0.42, 120.0),
    "pooled fits": Reported(1.60, 0.46, None, "the least certain of these numbers"),
    "network": Reported(1.57, 0.33, 0.088, "on a GPU of 2016"),
    "network, pooled": Reported(1.53, 0.29, None),
}


def reported_rows() -> list[dict[str, str | float]]:
    """A table of `MICC_3DRMSE`, each row with its source."""
    return [
        {
            "method": name,
            "mean": row.mean,
            "std": row.std,
            "seconds": float("nan") if row.seconds is None else row.seconds,
            "source": f"reported: {PAPER}" + (f" ({row.note})" if row.note else ""),
        }
        for name, row in MICC_3DRMSE.items()
    ]
