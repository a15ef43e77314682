"""Rows: what is kept of one photograph. An Arrow table with fixed-size lists, written as Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from helpers.fitting import FitResult
from helpers.labelling.crop_source import Loaded

QUARANTINED = -1  # the code of a photograph that no fit has seen to its end
TEXTS = ("id", "person", "reason", "explanation")


def fitted_rows(loaded: Loaded, result: FitResult, names: list[tuple[str, str]]) -> pa.Table:
    """One row for each photograph of a fitted batch; `names` are its (id, person), in the same order.

    index: place in the source.  alpha, beta, expression: in standard deviations of the model; variance_alpha,
    variance_beta, variance_expression: the diagonal of their covariance.  rotation_vector, translation (mm): the pose.
    focal (px), principal_point (2): the camera of the crop; crop_scale, crop_origin (2): crop = (photograph − origin) · scale.
    light: harmonics (27), channels last, or the lamp's 15 numbers.  detector_confidence, fit_confidence: 0 to 1.
    landmark_error: mean, px of the crop.  residual: root mean square colour over what the fit saw.
    code, reason, explanation: of the fit, see `helpers.fitting.REASONS`; code 0 and reason "" for a good one.
    """
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
        "crop_scale": loaded.crop.scale,
        "crop_origin": loaded.crop.origin,
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
    """Rows without numbers (NaN) for photographs that failed, with the reason; `names` in the order of `failed`."""
    columns = {}
    for column in like:
        if column.name not in ("index", "code", *TEXTS):
            width = column.type.list_size if pa.types.is_fixed_size_list(column.type) else None
            columns[column.name] = _column(torch.full((len(failed), *([width] if width else [])), torch.nan))
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
        (name, pa.float32() if width is None else pa.list_(pa.float32(), width))
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
    """The rows of all whole shards in a folder, in the order of the source. For large sets read shard by shard."""
    from helpers.errors import UserError
    from helpers.labelling.store import shard_files

    files = list(shard_files(folder).values())
    if not files:
        raise UserError(f"{folder}: has no shards: run `python -m helpers label SOURCE --out {folder}`")
    return pa.concat_tables([pq.read_table(file, columns=columns) for file in files])


def numbers_of(table: pa.Table, name: str) -> np.ndarray:
    """A column as (N,) or (N, K) array."""
    values = table.column(name).combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # a table without rows has no chunk to combine
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_fixed_size_list(values.type):
        return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), values.type.list_size)
    return values.to_numpy(zero_copy_only=False)


def to_bytes(table: pa.Table) -> bytes:
    """A table as bytes, to be sent from a worker."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def _table(index, names, columns, reasons, words) -> pa.Table:
    ids, people = zip(*names, strict=True)
    first = {
        "index": pa.array(index, pa.int64()),
        "id": pa.array(ids, pa.string()),
        "person": pa.array(people, pa.string()),
    }
    last = {"reason": pa.array(reasons, pa.string()), "explanation": pa.array(words, pa.string())}
    return pa.table({**first, **columns, **last})


def _column(values: torch.Tensor) -> pa.Array:
    flat = np.ascontiguousarray(values.detach().float().cpu().numpy())
    if flat.ndim == 1:
        return pa.array(flat)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
