"""Round the model to small numbers, complete it by what rounding broke, and write one .npz file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from helpers.face_model.open_model import VERSION
from helpers.files import write_in_one_step
from helpers.model_builder.statistics import Components, expression_components, orthonormalising_mix

NAME = "Open face model (synthetic): artist-made shapes and a procedural skin, no real people"
LICENCE = "CC0-1.0 (synthetic; from MakeHuman/MPFB2 and M. Suominen's face units, both CC0; see assets/open_face_model)"


def pack_shape(shape: Components, refine: sp.csr_matrix) -> dict[str, np.ndarray]:
    """Round the shape.

    Args:
        shape: Components on the control mesh.
        refine: (V, N), from control to fine vertices.

    Returns:
        Fields of the asset: the control modes as float16, each scaled to its standard deviation.
    """
    modes = shape.modes.astype(np.float16)
    matrix, std = orthonormalising_mix(modes.astype(np.float64), refine)
    return {
        "control_mean": shape.mean.astype(np.float32).reshape(-1, 3),
        "shape_modes": modes,
        "shape_mix": matrix.astype(np.float32),
        "shape_std": std.astype(np.float32),
    }


def pack_texture(texture: Components, fine_mean: np.ndarray, spread: sp.csr_matrix) -> dict[str, np.ndarray]:
    """Round the texture.

    Args:
        texture: Components on level 1.
        fine_mean: (V·3,) sRGB, 0 to 1, on level 2.
        spread: (V, V₁), from level 1 to level 2.

    Returns:
        Fields of the asset: modes at level 1 as int8 with one scale each, the mean at level 2 as uint8.
    """
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
    """Round the expressions.

    Args:
        units: (U, N, 3) mm at full activation.
        names: The U names.
        refine: (V, N).
        k: Number of modes.

    Returns:
        Fields of the asset: the units as float16, and the mix that turns them into k modes.
    """
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
    """Round masks, name → (V,) weights 0 to 1, to uint8."""
    return {
        "mask_names": np.array(list(masks)),
        "masks": np.round(255 * np.stack(list(masks.values()))).astype(np.uint8),
    }


def write(path: Path, fields: dict[str, np.ndarray]) -> None:
    """Write the asset, compressed, in one step, so that a broken run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"name": np.array(NAME), "licence": np.array(LICENCE), "version": np.array(VERSION)}
    write_in_one_step(path, lambda file: np.savez_compressed(file, allow_pickle=False, **about, **fields))
