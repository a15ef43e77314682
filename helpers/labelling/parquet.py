"""The one reader of Parquet files: columns by name, and numbers as a matrix, with errors that name the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from helpers.errors import UserError

# What Parquet files are written with. A checksum tells of damage that no page's own structure shows.
WRITTEN: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
ROWS = "rows: make them with `python -m helpers label`"  # what a file of them is, for messages


def read_columns(
    path: str | Path, columns: Sequence[str] | None, what: str, *, optional: Sequence[str] = ()
) -> pa.Table:
    """Read some columns of one Parquet file.

    Args:
        path: the file.
        columns: names of the columns that must be there; None for all that there are.
        what: what the file should hold and how it is made, for messages: "labels: make one with `python -m helpers pool`".
        optional: names of columns that are read where the file has them; `table.column_names` tells.

    Returns:
        The table with these columns, in this order.

    Raises:
        UserError: for a file that is missing, cannot be read, is cut off or of another kind, or lacks a column.
    """
    try:
        # Opened here, because Arrow takes no path that is not Unicode.
        with open(path, "rb") as stream:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            there = file.schema_arrow.names
            columns = there if columns is None else columns
            missing = [name for name in columns if name not in there]
            if missing:
                raise UserError(
                    f"{path}: is no file of {what} (no column {', '.join(missing)}; it has {', '.join(there)})"
                )
            names = [*columns, *(name for name in optional if name in there)]
            return file.read(columns=names).select(names)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file of {what}") from error
    except (pa.ArrowException, OSError, ValueError) as error:  # broken files raise many kinds
        raise UserError(f"{path}: is no file of {what} ({' '.join(str(error).split())[:160]})") from error


def matrix(table: pa.Table, name: str, path: str | Path) -> np.ndarray:
    """A column of numbers, or of lists of one length.

    Args:
        table: what `read_columns` has read.
        name: of the column.
        path: the file that the table is of, for messages.

    Returns:
        (N, K) float32 of its own memory, K = 1 for a column of plain numbers. Numbers missing within a list are NaN.

    Raises:
        UserError: where a row has no list, or one of another length, or the column holds no numbers.
    """
    column = table.column(name)
    is_list = any(
        is_of(column.type)
        for is_of in (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    )
    lengths = pc.call_function("list_value_length", [column]).unique().to_pylist() if is_list else [1]
    values = pc.call_function("list_flatten", [column]) if is_list else column
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if len(lengths) > 1 or None in lengths or not (numeric or pa.types.is_null(values.type)):
        raise UserError(f"{path}: column {name}: numbers, or lists of one length, are expected")
    width = lengths[0] if lengths else getattr(column.type, "list_size", 0)
    return np.array(values.to_numpy(), np.float32).reshape(len(table), width)
