"""Rows: what is kept of one photograph. An Arrow table with fixed-size lists, written as Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from helpers.datasets.photo_source import printable
from helpers.errors import UserError
from helpers.fitting import FitResult
from helpers.labelling.crop_source import Loaded
from helpers.labelling.parquet import ROWS, read_columns

QUARANTINED = -1  # the code of a photograph that no fit has seen to its end
TEXTS = ("id", "person", "reason", "explanation")


def fitted_rows(loaded: Loaded, result: FitResult, names: list[tuple[str, str]]) -> pa.Table:
    """One row for each photograph of a fitted batch.

    Args:
        loaded: the photographs.
        result: their fit.
        names: their (id, person), in the same order.

    Returns:
        The columns of `row_schema`:

        - index: place in the source; id and person.
        - alpha, beta, expression: in standard deviations of the model.
        - variance_alpha, variance_beta, variance_expression: the diagonal of their covariance.
        - rotation_vector (3, radians), translation (3, mm): the pose.
        - focal (px), principal_point (2, px): the camera of the crop.
        - crop_scale, crop_origin (2): crop = (photograph − origin) · scale.
        - light: harmonics (27), channels last, or the lamp's 15 numbers.
        - detector_confidence, fit_confidence: 0 to 1.
        - landmark_error: mean, px of the crop.
        - residual: root mean square colour over what the fit saw.
        - code, reason, explanation: of the fit, see `helpers.fitting.REASONS`; code 0 and reason "" for a good one.
    """
    crop = loaded.faces
    a, e = result.alpha.shape[1], result.expression.shape[1]
    variance = result.covariance.diagonal(dim1=1, dim2=2).clamp(min=0)
    weight = result.pixel_weight[..., None]
    seen = 3 * weight.sum((1, 2, 3)).clamp(min=1e-6)
    numbers = {
        "alpha": result.alpha,
        "beta": result.beta,
        "expression": result.expression,
        "variance_alpha": variance[:, :a],
        "variance_beta": variance[:, a + e :],
        "variance_expression": variance[:, a : a + e],
        "rotation_vector": result.pose.rotation_vector,
        "translation": result.pose.translation,
        "focal": result.camera.focal,
        "principal_point": result.camera.principal_point.expand(len(result.alpha), 2),
        "crop_scale": crop.scale,
        "crop_origin": crop.origin,
        "light": result.light.flatten(1),
        "detector_confidence": loaded.confidence,
        "fit_confidence": result.confidence,
        "landmark_error": result.landmark_error.mean(-1),
        "residual": ((weight * result.residual.square()).sum((1, 2, 3)) / seen).sqrt(),
    }
    columns = {name: _column(value) for name, value in numbers.items()}
    columns["code"] = pa.array(result.code.cpu().numpy().astype(np.int16))
    words = [result.explain(face) if code else "" for face, code in enumerate(result.code.tolist())]
    return _table(loaded.index, names, columns, result.reason, words)


def quarantined_rows(
    failed: dict[int, tuple[str, str]], names: list[tuple[str, str]], like: pa.Schema
) -> pa.Table:
    """Rows without numbers (NaN) for photographs that failed, with the reason.

    Args:
        failed: place in the source → (one word, one sentence).
        names: their (id, person), in the same order.
        like: names and types of the columns.
    """
    columns = {}
    for column in like:
        if column.name not in ("index", "code", *TEXTS):
            width = (column.type.list_size,) if pa.types.is_fixed_size_list(column.type) else ()
            width = (0,) if pa.types.is_list(column.type) else width
            columns[column.name] = _column(torch.full((len(failed), *width), torch.nan))
    columns["code"] = pa.array(np.full(len(failed), QUARANTINED, np.int16))
    reasons, words = zip(*failed.values(), strict=True)
    return _table(list(failed), names, columns, reasons, words)


def row_schema(n_shape: int, n_texture: int, n_expression: int, n_light: int) -> pa.Schema:
    """Names and types of the columns, for a model with these numbers of modes."""
    widths = {
        "alpha": n_shape,
        "beta": n_texture,
        "expression": n_expression,
        "variance_alpha": n_shape,
        "variance_beta": n_texture,
        "variance_expression": n_expression,
        "rotation_vector": 3,
        "translation": 3,
        "focal": None,
        "principal_point": 2,
        "crop_scale": None,
        "crop_origin": 2,
        "light": n_light,
        "detector_confidence": None,
        "fit_confidence": None,
        "landmark_error": None,
        "residual": None,
    }
    numbers = [
        # Parquet cannot give back lists of the fixed length 0, so these are lists of any length.
        (name, pa.float32() if width is None else pa.list_(pa.float32(), width or -1))
        for name, width in widths.items()
    ]
    texts = [("reason", pa.string()), ("explanation", pa.string())]
    return pa.schema(
        [
            ("index", pa.int64()),
            ("id", pa.string()),
            ("person", pa.string()),
            *numbers,
            ("code", pa.int16()),
            *texts,
        ]
    )


def read_rows(folder: str | Path, columns: list[str] | None = None) -> pa.Table:
    """The rows of all whole shards in a folder, in the order of the source. For large sets read shard by shard.

    Args:
        folder: what `label` has written.
        columns: their names; None for all of `row_schema`.

    Raises:
        UserError: for a folder without shards, and for shards that cannot be read.
    """
    from helpers.labelling.store import shard_files

    files = list(shard_files(folder).values())
    if not files:
        raise UserError(f"{folder}: has no shards: run `python -m helpers label SOURCE --out {folder}`")
    return pa.concat_tables([read_columns(file, columns, ROWS) for file in files])


def to_bytes(table: pa.Table) -> bytes:
    """A table as bytes, to be sent from a worker."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_bytes(data: bytes) -> pa.Table:
    """The table that `to_bytes` has made bytes of."""
    return pa.ipc.open_stream(data).read_all()


def _table(index, names, columns, reasons, words) -> pa.Table:
    ids, people = zip(*names, strict=True)
    first = {"index": pa.array(index, pa.int64()), "id": _texts(ids), "person": _texts(people)}
    return pa.table({**first, **columns, "reason": _texts(reasons), "explanation": _texts(words)})


def _texts(texts) -> pa.Array:
    return pa.array([printable(text) for text in texts], pa.string())


def _column(values: torch.Tensor) -> pa.Array:
    flat = np.ascontiguousarray(values.detach().float().cpu().numpy())
    if flat.ndim == 1:
        return pa.array(flat)
    if not flat.shape[1]:
        return pa.array([[]] * len(flat), pa.list_(pa.float32()))
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
