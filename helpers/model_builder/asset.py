"""Round the model to small numbers, complete it by what rounding broke, and write one .npz file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from helpers.face_model.open_model import VERSION
from helpers.model_builder.statistics import Components, expression_components, orthonormalising_mix

NAME = "Open face model (synthetic): artist-made shapes and a procedural skin, no real people"
LICENCE = "CC0-1.0 (synthetic; from MakeHuman/MPFB2 and M. Suominen's face units, both CC0; see assets/open_face_model)"


def pack_shape(shape: Components, refine: sp.csr_matrix) -> dict[str, np.ndarray]:
    """Control modes as float16, each scaled to its standard deviation."""
    modes = shape.modes.astype(np.float16)
    matrix, std = orthonormalising_mix(modes.astype(np.float64), refine)
    return {
        "control_mean": shape.mean.astype(np.float32).reshape(-1, 3),
        "shape_modes": modes,
        "shape_mix": matrix.astype(np.float32),
        "shape_std": std.astype(np.float32),
    }


def pack_texture(texture: Components, fine_mean: np.ndarray, spread: sp.csr_matrix) -> dict[str, np.ndarray]:
    """Modes at level 1 as int8 with one scale each, the mean at level 2 as uint8."""
    scale = np.abs(texture.modes).max(0) / 127
    modes = np.round(texture.modes / scale).astype(np.int8)
    matrix, std = orthonormalising_mix(modes * scale.astype(np.float64), spread)
    return {
        "texture_mean": np.round(fine_mean * 255).astype(np.uint8).reshape(-1, 3),
        "texture_modes": modes,
        "texture_mix": (scale[:, None] * matrix).astype(np.float32),
        "texture_std": std.astype(np.float32),
    }


def pack_expressions(
    units: np.ndarray, names: list[str], refine: sp.csr_matrix, k: int = 30
) -> dict[str, np.ndarray]:
    """Units (U, N, 3) mm at full activation as float16, and the mix that turns them into k modes."""
    rounded = units.astype(np.float16)
    matrix, std, explained = expression_components(rounded, names, refine, k)
    return {
        "expression_units": rounded,
        "expression_names": np.array(names),
        "expression_mix": matrix.astype(np.float32),
        "expression_std": std.astype(np.float32),
        "expression_explained": explained[:k].astype(np.float32),
    }


def pack_masks(masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "mask_names": np.array(list(masks)),
        "masks": np.round(255 * np.stack(list(masks.values()))).astype(np.uint8),
    }


def write(path: Path, fields: dict[str, np.ndarray]) -> None:
    """Write compressed, under a temporary name first, so that a broken run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        np.savez_compressed(
            file, name=np.array(NAME), licence=np.array(LICENCE), version=np.array(VERSION), **fields
        )
    os.replace(temporary, path)
