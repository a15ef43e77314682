"""The course of a training run: a CSV file, and TensorBoard's files where that is installed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from helpers.errors import UserError
from helpers.files import write_in_one_step

COLUMNS = (
    "step",
    "seconds",
    "rate",
    "train_loss",
    "loss",
    "shape_mm",
    "magnitude_alpha",
    "cosine_alpha",
    "magnitude_beta",
    "cosine_beta",
    "skipped",
)


class Log:
    """One row per validation, in DIR/log.csv. A run that goes on keeps the rows up to the step it goes on from.

    Args:
        folder: DIR; it must be there.
        from_step: The step that the run goes on from, 0 for a new one.
    """

    def __init__(self, folder: Path, from_step: int = 0):
        self.path = folder / "log.csv"
        self.rows = [row for row in read_log(self.path) if row["step"] <= from_step] if from_step else []
        self._write()
        self.board = _tensorboard(folder)

    def add(self, row: dict[str, float]) -> None:
        """Write one more row; its keys are among `COLUMNS`."""
        self.rows.append(row)
        self._write()
        if self.board is not None:
            for name, value in row.items():
                if name != "step":
                    self.board.add_scalar(name, value, int(row["step"]))
            self.board.flush()

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self.board is not None:
            self.board.close()

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_in_one_step(self.path, lambda file: file.write(text.getvalue().encode()))


def read_log(path: str | Path) -> list[dict[str, float]]:
    """The rows of a log.csv; empty where there is none. Raises UserError for a file that is something else."""
    path = Path(path)
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                {name: float(value) for name, value in row.items() if value not in ("", None)}
                for row in csv.DictReader(file, strict=True)
            ]
        return [{**row, "step": int(row["step"])} for row in rows]
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise UserError(f"{path}: is damaged: restore it, or delete it to go on without its rows") from error


def _tensorboard(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None  # not installed: `pip install tensorboard` adds it; the CSV file has the same numbers
    return SummaryWriter(str(folder / "tensorboard"))
