"""Small files in the layouts of other people's face models, with the numbers of a real face.

Written from the descriptions of the formats and apart from their readers in helpers.face_model.formats, which are
never imported here. What goes in is a `MorphableModel` with few modes; each writer undoes what its reader must do.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse

# Where scalismo's names lie among the 68 points; Basel's files have these and more.
BASEL_POINTS = {
    "center.chin.tip": 8,
    "center.nose.tip": 30,
    "right.eye.corner_outer": 36,
    "right.eye.corner_inner": 39,
    "left.eye.corner_inner": 42,
    "left.eye.corner_outer": 45,
    "right.lips.corner": 48,
    "left.lips.corner": 54,
    "center.lips.upper.outer": 51,
    "center.lips.lower.outer": 57,
}


class Face:
    """A model's numbers as float64: columns (3·V, K), x, y, z of a vertex one after the other."""

    def __init__(self, model):
        def flat(basis):
            return basis.double().numpy().reshape(-1, basis.shape[-1])

        self.mean = model.mean_shape.double().numpy()
        self.shape, self.shape_std = flat(model.shape_basis), model.shape_std.double().numpy()
        self.colour = model.mean_texture.double().numpy()
        self.texture, self.texture_std = flat(model.texture_basis), model.texture_std.double().numpy()
        self.expression, self.expression_std = (
            flat(model.expression_basis),
            model.expression_std.double().numpy(),
        )
        self.units, self.unit_names = flat(model.expression_units), model.expression_names
        self.triangles = model.triangles.numpy()
        self.landmarks = None if model.landmarks is None else model.landmarks.numpy()


def column(values) -> np.ndarray:
    return np.asarray(values).reshape(-1, 1)


def inward(triangles) -> np.ndarray:
    return triangles[:, [0, 2, 1]]


def bfm2009_arrays(face: Face) -> dict[str, np.ndarray]:
    """Micrometres, σ, 0–255, triangles from 1 and clockwise; single precision as in the genuine file."""
    return {
        "shapeMU": column(face.mean * 1e3).astype(np.float32),
        "shapePC": face.shape.astype(np.float32),
        "shapeEV": column(face.shape_std * 1e3).astype(np.float32),
        "texMU": column(face.colour * 255).astype(np.float32),
        "texPC": face.texture.astype(np.float32),
        "texEV": column(face.texture_std * 255).astype(np.float32),
        "tl": inward(face.triangles).astype(np.float64) + 1,
        "segbin": np.zeros((len(face.mean), 4), np.uint8),
    }


def face3d_arrays(face: Face) -> dict[str, np.ndarray]:
    """The mean is split over shapeMU and expMU; expression columns are long and expEV small; lists lie as rows."""
    length = np.linspace(3e4, 9e4, face.expression.shape[1])
    offset = np.full_like(face.mean, 250.0)
    return {
        "shapeMU": column(face.mean * 1e3 - offset),
        "shapePC": face.shape,
        "shapeEV": column(face.shape_std * 1e3),
        "texMU": column(face.colour * 255),
        "texPC": face.texture,
        "texEV": column(face.texture_std * 255),
        "expMU": column(offset),
        "expPC": face.expression * length,
        "expEV": column(face.expression_std * 1e3 / length),
        "tri": (inward(face.triangles).T + 1).astype(np.float64),
        "tri_mouth": np.ones((3, 4)),
        "kpt_ind": (face.landmarks[None] + 1).astype(np.float64),
    }


def deep3d_arrays(face: Face) -> dict[str, np.ndarray]:
    """Decimetres, columns times σ, rows instead of columns for the means."""
    return {
        "meanshape": face.mean.reshape(1, -1) / 100,
        "idBase": face.shape * face.shape_std / 100,
        "exBase": face.expression * face.expression_std / 100,
        "meantex": face.colour.reshape(1, -1) * 255,
        "texBase": face.texture * face.texture_std * 255,
        "tri": face.triangles.astype(np.int32) + 1,
        "point_buf": np.ones((len(face.mean), 8), np.int32),
        "keypoints": face.landmarks[None].astype(np.int32) + 1,
    }


def write_mat(path: Path, arrays: dict, version: str = "5", struct_name: str | None = None) -> Path:
    """version "5", "5 compressed" or "7.3"."""
    if version == "7.3":
        _write_mat_73(path, arrays, struct_name)
    else:
        content = arrays if struct_name is None else {struct_name: arrays}
        scipy.io.savemat(path, content, do_compression=version == "5 compressed")
    return path


def _write_mat_73(path: Path, arrays: dict, struct_name: str | None) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file if struct_name is None else file.create_group(struct_name)
        for name, values in arrays.items():
            item = group.create_dataset(name, data=np.ascontiguousarray(values.T))
            item.attrs["MATLAB_class"] = np.bytes_(
                {"f": "double", "i": "int32", "u": "uint8"}[values.dtype.kind]
            )
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")


def write_scalismo(path: Path, face: Face, version=(0, 9), names: dict | None = None, colour=True) -> Path:
    """Variances; points and cells as (3, n); a mean expression that is not zero, as Basel's."""
    parts = {
        "shape": (face.mean, face.shape, face.shape_std),
        "expression": (np.full_like(face.mean, 0.25), face.expression, face.expression_std),
    }
    if colour:
        parts["color"] = (face.colour, face.texture, face.texture_std)
    with h5py.File(path, "w") as file:
        for name, (mean, basis, std) in parts.items():
            model = file.create_group(f"{name}/model")
            model["mean"] = mean.reshape(-1).astype(np.float32)
            model["pcaBasis"] = (basis if version >= (0, 9) else basis * std).astype(np.float32)
            model["pcaVariance"] = np.square(std).astype(np.float32)
            model["noiseVariance"] = np.zeros(1, np.float32)
            file[f"{name}/representer/points"] = face.mean.T.astype(np.float32)
            file[f"{name}/representer/cells"] = face.triangles.T.astype(np.int32)
            file[f"{name}/version/majorVersion"], file[f"{name}/version/minorVersion"] = map(
                np.int32, version
            )
        names = BASEL_POINTS if names is None else names
        marks = [
            {"id": n, "coordinates": (face.mean[face.landmarks[i]] + 0.1).tolist()} for n, i in names.items()
        ]
        file["metadata/landmarks/json"] = json.dumps(marks)
    return path


def polygons(triangles: np.ndarray) -> list[tuple[int, ...]]:
    """Pairs of triangles that are a fan of a quad become that quad."""
    found, i = [], 0
    while i < len(triangles):
        a, b = triangles[i], triangles[i + 1] if i + 1 < len(triangles) else None
        if b is not None and i % 2 == 0 and a[0] == b[0] and a[2] == b[1]:
            found.append((a[0], a[1], a[2], b[2]))
            i += 2
        else:
            found.append(tuple(a))
            i += 1
    return found


def write_ict(folder: Path, face: Face, count: int | None = None, n_shape: int = 3, n_units: int = 3) -> Path:
    """Centimetres; every mode is a whole mesh. `count` pads to so many vertices, used by no polygon."""
    folder.mkdir(parents=True, exist_ok=True)
    extra = 0 if count is None else count - len(face.mean)
    order = np.r_[np.arange(len(face.mean)), np.zeros(extra, np.int64)]
    lines = ["f " + " ".join(f"{v + 1}/{v + 1}/1" for v in polygon) for polygon in polygons(face.triangles)]
    neutral = face.mean[order]

    def write(name: str, vertices: np.ndarray) -> None:
        text = ["# made for a test", "mtllib material.mtl"]
        text += [f"v {x:.15f} {y:.15f} {z:.15f}" for x, y, z in vertices / 10]
        text += ["vt 0.5 0.5", "vn 0 0 1", "usemtl skin", "s off", *lines, ""]
        (folder / f"{name}.obj").write_text("\n".join(text))

    write("generic_neutral_mesh", neutral)
    for k in range(n_shape):
        write(f"identity{k:03d}", neutral + (face.shape[:, k] * face.shape_std[k]).reshape(-1, 3)[order])
    for k in range(n_units):
        write(face.unit_names[k], neutral + face.units[:, k].reshape(-1, 3)[order])
    (folder / "vertex_indices.json").write_text(json.dumps({"expressions": list(face.unit_names[:n_units])}))
    return folder


def flame_arrays(face: Face, n_expression: int = 4) -> dict[str, np.ndarray]:
    """Metres, 300 shapes (the face's own, then noise of 0.01 mm) and expressions, times σ."""
    count = len(face.mean)
    own = (face.shape * face.shape_std).reshape(count, 3, -1)
    noise = np.random.default_rng(5).normal(0, 0.01, (count, 3, 300 - own.shape[-1]))
    moves = (face.expression * face.expression_std)[:, :n_expression].reshape(count, 3, -1)
    return {
        "v_template": face.mean / 1e3,
        "shapedirs": np.concatenate([own, noise, moves], -1) / 1e3,
        "f": face.triangles.astype(np.uint32),
        "weights": np.zeros((count, 5)),
    }


def write_flame(path: Path, arrays: dict[str, np.ndarray], style: str = "chumpy") -> Path:
    """style "chumpy": shapedirs as chumpy keeps it, a sparse matrix beside it; "plain"; "python2": as Python 2 wrote."""
    if style == "python2":
        path.write_bytes(_python2_pickle(arrays))
        return path
    content: dict = dict(arrays)
    if style == "chumpy":
        content["J_regressor"] = scipy.sparse.csc_matrix(np.eye(5, len(arrays["v_template"])))
        content["bs_style"], content["kintree_table"] = "lbs", np.array([[4294967295, 0], [0, 1]])
        with _chumpy() as shell:
            content["shapedirs"] = shell(arrays["shapedirs"])
            path.write_bytes(pickle.dumps(content, protocol=2))
        return path
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


class _chumpy:
    """For a moment there is a module chumpy.ch with a class Ch, so that an object of it can be pickled."""

    def __enter__(self):
        module = types.ModuleType("chumpy.ch")

        class Ch:
            def __init__(self, x):
                self.x, self._dirty_vars = x, set()

            def __getstate__(self):
                return {"x": self.x, "label": None}

        Ch.__module__, Ch.__qualname__, module.Ch = "chumpy.ch", "Ch", Ch
        sys.modules["chumpy"], sys.modules["chumpy.ch"] = types.ModuleType("chumpy"), module
        return Ch

    def __exit__(self, *_):
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def _python2_pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """Protocol 2 as Python 2 wrote it: the numbers of an array are a string of bytes, opcode T."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def whole(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def array(values: np.ndarray) -> bytes:
        code = f"{values.dtype.kind}{values.dtype.itemsize}".encode()
        kind = b"cnumpy\ndtype\n" + text(code) + whole(0) + whole(1) + b"\x87R"
        kind += b"(" + whole(3) + text(b"<") + b"NNN" + whole(-1) + whole(-1) + whole(0) + b"tb"
        empty = (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
            + whole(0)
            + b"\x85"
            + text(b"b")
            + b"\x87R"
        )
        raw = np.ascontiguousarray(values).tobytes()
        shape = b"(" + b"".join(whole(n) for n in values.shape) + b"t"
        state = b"(" + whole(1) + shape + kind + b"\x89" + b"T" + struct.pack("<i", len(raw)) + raw + b"t"
        return empty + state + b"b"

    items = b"".join(text(name.encode()) + array(values) for name, values in arrays.items())
    return b"\x80\x02}(" + items + b"u."


def gnm_arrays(face: Face) -> dict[str, np.ndarray]:
    """Metres, modes first. All fields of the genuine file, those that are not read as empty as they may be."""
    count = len(face.mean)
    shape = (face.shape * face.shape_std).T.reshape(-1, count, 3) / 1e3
    moves = (face.expression * face.expression_std).T.reshape(-1, count, 3) / 1e3
    empty = (
        "joint_identity_basis",
        "skinning_weights",
        "quad_uvs",
        "triangle_uvs",
        "single_atlas_quad_uvs",
        "single_atlas_triangle_uvs",
        "mirror_indices",
        "joint_regressor",
        "pose_correctives_regressor",
        "bone_aligned_template_joint_orientations",
        "vertex_groups",
        "joint_parent_indices",
    )
    return {
        "version": np.array("3.0"),
        "variant": np.array("head"),
        "template_vertex_positions": face.mean.astype(np.float32) / 1e3,
        "template_joint_positions": np.zeros((4, 3), np.float32),
        "vertex_identity_basis": shape.astype(np.float32),
        "expression_basis": moves.astype(np.float32),
        "identity_names": np.array([f"head_{i}" for i in range(len(shape))]),
        "expression_names": np.array([f"lower_face_region_{i}" for i in range(len(moves))]),
        "joint_names": np.array(["neck", "head", "left_eye", "right_eye"]),
        "mesh_component_names": np.array(["skin"]),
        "vertex_group_names": np.array(["skin"]),
        "quads": np.zeros((0, 4), np.int32),
        "triangles": face.triangles.astype(np.int32),
        **{name: np.zeros(1, np.float32) for name in empty},
    }


def write_gnm(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def eos_bytes(
    face: Face, version: int = 4, expression: str | None = "blendshapes", colour: bool = True
) -> bytes:
    """As cereal writes eos' MorphableModel: little endian, matrices by columns, no padding."""

    def matrix(values) -> bytes:
        values = np.asarray(values, np.float32)
        values = values.reshape(len(values), -1)
        return struct.pack("<ii", *values.shape) + values.tobytes(order="F")

    def pca(mean, basis, std) -> bytes:
        triangles = face.triangles.astype("<i4")
        parts = matrix(np.ravel(mean)), matrix(basis), matrix(np.square(std))
        return b"".join(parts) + struct.pack("<Q", len(triangles)) + triangles.tobytes()

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    nothing = struct.pack("<iiiiii", 0, 1, 0, 0, 0, 1) + struct.pack("<Q", 0)
    out = struct.pack("<I", version) + pca(face.mean, face.shape, face.shape_std)
    out += pca(face.colour, face.texture, face.texture_std) if colour else nothing
    if version >= 2 and expression is None:
        out += b"\x01"
    elif version >= 2 and expression == "pca":
        out += b"\x00" + struct.pack("<i", 0) + pca(0 * face.mean, face.expression, face.expression_std)
    elif version >= 2:
        out += b"\x00" + struct.pack("<i", 1) + struct.pack("<Q", len(face.unit_names))
        out += b"".join(text(name) + matrix(face.units[:, i]) for i, name in enumerate(face.unit_names))
    if version >= 3:
        out += b"\x00" + struct.pack("<Q", 1) + text("nose") + struct.pack("<i", 5)
    out += struct.pack("<Q", 2) + struct.pack("<dddd", 0, 0.5, 1, 0.5)  # texture coordinates
    if version >= 4:
        out += struct.pack("<Q", 1) + struct.pack("<iii", 0, 1, 1)
    return out


def zipped(content: bytes) -> bytes:
    """A zip archive with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.mat", content)
    return buffer.getvalue()


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258da\nsize 240875364\n"
WEB_PAGE = b"<!DOCTYPE html>\n<html><head><title>Please log in</title></head><body>...</body></html>\n"
