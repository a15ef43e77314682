"""Tables as text and as CSV."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from helpers.files import write_in_one_step


def text_table(rows: list[dict[str, Any]], columns: dict[str, tuple[str, str]] | None = None) -> str:
    """Rows as lines of text in columns: words to the left, numbers to the right, "–" for NaN and what is missing.

    Args:
        rows: By key.
        columns: Key to (title, format), such as {"rmse": ("3DRMSE, mm", ".2f")}; None shows all keys as they are.

    >>> print(text_table([{"face": "ada", "rmse": 1.5}], {"face": ("", ""), "rmse": ("mm", ".2f")}))
           mm
    ada  1.50
    """
    if not rows:
        return "(no rows)"
    columns = columns or {
        key: (key, ".3g" if isinstance(value, float) else "") for key, value in rows[0].items()
    }
    cells = [[title for title, _ in columns.values()]]
    cells += [[_cell(row.get(key), how) for key, (_, how) in columns.items()] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    left = [all(isinstance(row.get(key), str) for row in rows) for key in columns]
    lines = [
        "  ".join(
            c.ljust(w) if flag else c.rjust(w) for c, w, flag in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def write_csv(path: str | Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with a line of their keys first, in full precision; the file appears complete or not at all."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_in_one_step(path, lambda file: file.write(text.getvalue().encode()))


def _cell(value: Any, how: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return format(value, how) if not isinstance(value, str) else value
