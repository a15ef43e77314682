"""Loading face models of full size from files, beside the bare reading of the same numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from helpers.face_model import load, save
from tests.bench.registry import bench, best, faster, model
from tests.face_model import model_files


@bench
def load_h5_full_size() -> dict:
    """s for an .h5 of 55,870 vertices with 99 shapes, 99 colours and 30 expressions, against h5py alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        save(model(2), path)

        def bare():
            with h5py.File(path, "r") as file:
                return [
                    np.ascontiguousarray(file[f"{part}/model/pcaBasis"][()])
                    for part in ("shape", "color", "expression")
                ]

        return faster(best(lambda: load(path), 3), "s", best(bare, 3))


@bench
def load_mat_full_size() -> dict:
    """s for a compressed .mat in the layout of the Basel Face Model 2009, against scipy alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "01_MorphableModel.mat"
        model_files.write_mat(path, model_files.bfm2009_arrays(model_files.Face(model(2))), "5 compressed")
        return faster(best(lambda: load(path), 3), "s", best(lambda: scipy.io.loadmat(path), 3))
