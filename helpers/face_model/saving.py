"""Save a face model: whole, in the layout of the Basel Face Model 2017, or its mean face as a mesh.

The layout is that of scalismo's HDF5 files (statismo 0.9), which several other programs read. It was learnt from
the readers of scalismo-faces and eos.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model.morphable_model import MorphableModel
from helpers.face_model.scalismo_metadata import float32_array, write_extras
from helpers.files import write_in_one_step
from helpers.mesh_files import write_glb, write_obj, write_ply

VERSION = (0, 9)  # of statismo's layout: from 0.9 on the columns of pcaBasis have unit length
MESH_WRITERS = {".ply": write_ply, ".obj": write_obj, ".glb": write_glb}
# What scalismo calls the three parts, and the kinds of data that its catalogue knows.
PARTS = {
    "shape": ("gravis::MeshShapeRepresenter", "POLYGON_MESH_MODEL"),
    "color": ("gravis::MeshColorRepresenter", "POLYGON_MESH_DATA_MODEL"),
    "expression": ("gravis::MeshExpressionRepresenter", "POLYGON_MESH_DATA_MODEL"),
}


def save(
    model: MorphableModel, path: str | Path, *, shape_noise: float = 0.0, texture_noise: float = 0.0
) -> None:
    """Write a face model. The file appears in one step, complete or not at all.

    Args:
        model: The model.
        path: Its suffix chooses the form. .h5: the whole model, mm, colours 0–1, variances instead of σ, every number as
            float32; `load` gives it back. .ply, .obj, .glb: the mean face with its colours, for a viewer.
        shape_noise: Noise variance of shapes to note in the .h5, mm², as `build_model` finds it.
        texture_noise: The same for colours.

    Raises:
        UserError: Another suffix, a missing folder, or, in an .h5 file, modes that move nothing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix != ".h5" and suffix not in MESH_WRITERS:
        raise UserError(
            f"{path}: a face model is saved as .h5 (all of it) or as .ply, .obj or .glb (the mean face); "
            "choose one of these endings"
        )
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    if suffix == ".h5":
        _refuse_lost_modes(model, path)
        content = _hdf5(model, {"shape": shape_noise, "color": texture_noise, "expression": 0.0})
        write_in_one_step(path, lambda file: file.write(content))
    else:
        MESH_WRITERS[suffix](path, model.mean_shape, model.triangles, model.mean_texture.clamp(0, 1))


def _refuse_lost_modes(model: MorphableModel, path: Path) -> None:
    """A crop may leave nothing of a mode, so that its σ is 0. No reader, ours included, takes such a file."""
    for name, std in (
        ("shape", model.shape_std),
        ("texture", model.texture_std),
        ("expression", model.expression_std),
    ):
        if std is None:
            continue
        lost = int((std <= 0).sum())
        if lost:
            raise UserError(
                f"{path}: {lost} of the model's {len(std)} {name} modes move nothing (σ = 0), as after a close crop, and a "
                ".h5 file cannot hold them; crop less closely, or load the model with fewer modes"
            )


def _hdf5(model: MorphableModel, noise: dict[str, float]) -> memoryview:
    """The bytes of the .h5 file; the same model gives the same bytes."""
    import h5py

    parts = {
        "shape": (model.mean_shape, model.shape_basis, model.shape_std),
        "color": (model.mean_texture, model.texture_basis, model.texture_std),
    }
    if model.expression_basis is not None and model.expression_std is not None:
        # Expressions are displacements about the neutral face: their mean is zero.
        parts["expression"] = (0 * model.mean_shape, model.expression_basis, model.expression_std)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_version(file)
        _write_catalogue(file, list(parts))
        for name, (mean, basis, std) in parts.items():
            group = file.create_group(name)
            _write_version(group)
            _write_statistics(group.create_group("model"), mean, basis, std, noise[name])
            _write_representer(group.create_group("representer"), name, model, file.get("shape/representer"))
        if model.landmarks is not None:
            file["metadata/landmarks/json"] = _landmark_json(model)
        write_extras(file, model)
    return buffer.getbuffer()


def _write_version(group) -> None:
    group["version/majorVersion"], group["version/minorVersion"] = map(np.int32, VERSION)


def _write_catalogue(file, names: list[str]) -> None:
    entries = {"MorphableModel": ("CUSTOM_MODEL", "/")}
    entries |= {f"MorphableModel.{name}": (PARTS[name][1], f"/{name}") for name in names}
    for name, (kind, where) in entries.items():
        file[f"catalog/{name}/modelType"], file[f"catalog/{name}/modelPath"] = kind, where


def _write_statistics(group, mean: Tensor, basis: Tensor, std: Tensor, noise: float) -> None:
    """mean (3·V,), pcaBasis (3·V, K), pcaVariance (K,), noiseVariance (1,): x, y, z of a vertex follow each other."""
    group["mean"] = float32_array(mean).reshape(-1)
    group["pcaBasis"] = float32_array(basis).reshape(mean.numel(), -1)
    # The root of a float32's square is that float32 again, so nothing is lost by storing variances.
    group["pcaVariance"] = np.square(float32_array(std))
    group["noiseVariance"] = np.array([noise], np.float32)


def _write_representer(group, name: str, model: MorphableModel, shared) -> None:
    """points (3, V) mm and cells (3, F): the mean face. All parts share one copy in the file."""
    group.attrs["name"], group.attrs["datasetType"] = PARTS[name][0], "POLYGON_MESH"
    if name == "shape":
        group["points"] = np.ascontiguousarray(float32_array(model.mean_shape).T)
        group["cells"] = np.ascontiguousarray(model.triangles.cpu().numpy().astype(np.int32).T)
    else:
        group["points"], group["cells"] = shared["points"], shared["cells"]
    if name == "color":
        group["colorspace"] = "RGB"


def _landmark_json(model: MorphableModel) -> str:
    """Landmarks as scalismo lists them: a name and a place on the mean face. iBUG's points are counted from 1."""
    points = model.mean_shape[model.landmarks].double().cpu().tolist()
    return json.dumps([{"id": f"ibug.{i}", "coordinates": point} for i, point in enumerate(points, 1)])
