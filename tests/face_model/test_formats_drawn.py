"""Each format drawn: the mean face of a small file in every layout, with its landmarks, on one sheet.

The picture lies in pytest's folder; `python -m tests.face_model.test_formats_drawn PATH.png` writes it where it is wanted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import face_model
from helpers.camera import model_to_camera, project
from helpers.rendering import render
from helpers.show.figures import draw_landmarks, png_bytes, tile
from helpers.show.views import studio
from tests.face_model import model_files as files

LAYOUTS = {
    "BFM 2009": lambda folder, face: files.write_mat(
        folder / "01_MorphableModel.mat", files.bfm2009_arrays(face)
    ),
    "BFM 2017/2019": lambda folder, face: files.write_scalismo(folder / "model2019_bfm.h5", face),
    "face3d, 3DDFA": lambda folder, face: files.write_mat(
        folder / "BFM.mat", files.face3d_arrays(face), "5", "model"
    ),
    "Deep3D": lambda folder, face: files.write_mat(
        folder / "BFM_model_front.mat", files.deep3d_arrays(face), "7.3"
    ),
    "ICT-FaceKit": lambda folder, face: files.write_ict(folder / "FaceXModel", face, n_shape=1, n_units=1),
    "FLAME": lambda folder, face: files.write_flame(folder / "flame2023.pkl", files.flame_arrays(face)),
    "GNM Head": lambda folder, face: files.write_gnm(folder / "gnm_head.npz", files.gnm_arrays(face)),
    "Surrey": lambda folder, face: _write(folder / "sfm.bin", files.eos_bytes(face, colour=False)),
}
SIZE = 320


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def drawn(model):
    """A rendering (1, H, W) of the mean face from the front, and pixels and depths of its landmarks or None."""
    pose, camera, light = studio(size=SIZE)
    vertices = model.mean_shape[None]
    picture = render(vertices, model.triangles, model.mean_texture[None], pose, camera, light)
    if model.landmarks is None:
        return picture, None, None
    points = model_to_camera(vertices[:, model.landmarks], pose)
    return picture, project(points, camera)[0], points[0, :, 2]


def sheet(folder: Path) -> tuple[np.ndarray, dict]:
    """All layouts side by side, and their models."""
    face = files.Face(face_model.load("open", level=0, n_shape=3, n_texture=3))
    models = {title: face_model.load(write(folder, face)) for title, write in LAYOUTS.items()}
    pictures = []
    for model in models.values():
        picture, pixels, _ = drawn(model)
        image = picture.image[0].clamp(0, 1)
        pictures.append(image if pixels is None else draw_landmarks(image, pixels[:, :2]))
    titles = [
        title if model.landmarks is not None else f"{title} (points need its real mesh)"
        for title, model in models.items()
    ]
    rows = [tile(pictures[i : i + 4], titles[i : i + 4], height=SIZE) for i in (0, 4)]
    return np.concatenate(rows), models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheet")
    picture, models = sheet(folder)
    (folder / "formats.png").write_bytes(png_bytes(picture))
    return models


@pytest.fixture(scope="module")
def original():
    return drawn(face_model.load("open", level=0))[0]


@pytest.mark.parametrize("title", LAYOUTS)
def test_every_layout_draws_the_same_face(models, original, title):
    picture, _, _ = drawn(models[title])
    assert (picture.mask == original.mask).float().mean() > 0.999
    both = picture.mask & original.mask
    assert (picture.depth - original.depth)[both].abs().mean() < 0.01
    # Light from the front falls on triangles that are the right way round.
    assert (picture.normal[both][:, 2] > 0).float().mean() > 0.98
    if models[title].texture_std.numel():
        assert (picture.image - original.image)[both].abs().mean() < 0.005


@pytest.mark.parametrize("title", ["BFM 2017/2019", "face3d, 3DDFA", "Deep3D"])
def test_landmarks_lie_on_the_drawn_face(models, title):
    picture, pixels, depth = drawn(models[title])
    column, row = pixels[:, :2].round().long().T
    inside = picture.mask[0, row, column]
    inner = torch.arange(68) >= 17  # the jaw may be the silhouette itself
    assert inside[inner].all() and inside[~inner].float().mean() > 0.7
    gap = (picture.depth[0, row, column] - depth).abs()[inside & inner]
    assert gap.median() < 1.5 and (gap < 8).all(), "in front, not behind the face"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(sys.argv[1]).write_bytes(png_bytes(sheet(Path(folder))[0]))
