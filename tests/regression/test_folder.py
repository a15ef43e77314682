"""Photographs of labelled people, as `label` and `pool` leave them."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.crop import authors_crop, crop_face
from helpers.datasets import known_faces
from helpers.errors import UserError
from helpers.face_model import load
from helpers.labelling.labels import Labels, write_labels
from helpers.photo import read_photo
from helpers.regression.folder import landmarks_of_rows, read_folder


@pytest.fixture
def labelled(tmp_path):
    """Photographs of five people, with the label files that `label` and `pool` would write."""
    model = load("open", level=0)
    faces = known_faces(model, 6, size=128, landmark_noise=0.0)
    rows, names = [], ["ann", "bob", "cleo", "dan", "eve", "ann"]
    for i, person in enumerate(names):
        (tmp_path / "photos" / person).mkdir(parents=True, exist_ok=True)
        Image.fromarray((faces.image[i] * 255).byte().numpy()).save(tmp_path / "photos" / person / f"{i}.png")
        truth = project(
            model_to_camera(faces.vertices[i : i + 1, model.landmarks], _pose(faces, i)), _camera(faces, i)
        )[0, :, :2].numpy()
        crop = crop_face(faces.image[i].numpy(), truth, 96)
        camera = crop.camera_of_crop(_camera(faces, i))
        rows.append(
            {
                "id": f"{person}/{i}.png",
                "person": person,
                "alpha": faces.coefficients.alpha[i].tolist(),
                "expression": faces.coefficients.expression[i].tolist(),
                "rotation_vector": faces.pose.rotation_vector[i].tolist(),
                "translation": faces.pose.translation[i].tolist(),
                "focal": float(camera.focal[0]),
                "principal_point": camera.principal_point[0].tolist(),
                "crop_scale": float(crop.scale[0]),
                "crop_origin": crop.origin[0].tolist(),
                "truth": truth.ravel().tolist(),
            }
        )
    table = pa.Table.from_pylist(rows)
    (tmp_path / "rows").mkdir()
    pq.write_table(table.slice(0, 3), tmp_path / "rows" / "shard-00000.parquet")
    pq.write_table(table.slice(3), tmp_path / "rows" / "shard-00001.parquet")
    people = ["ann", "bob", "cleo", "dan"]  # eve has no label
    coefficients = np.repeat(np.arange(4, dtype=np.float32)[:, None], 198, 1)
    count = np.ones(4, np.int32)
    write_labels(tmp_path / "labels.parquet", Labels(people, coefficients, count, 0 * count, "uniform"))
    return tmp_path, table, model


def _pose(faces, i):
    return Pose(faces.pose.rotation_vector[i : i + 1], faces.pose.translation[i : i + 1])


def _camera(faces, i):
    return Camera(faces.camera.focal[i : i + 1], faces.camera.principal_point[i : i + 1], faces.camera.size)


def test_a_labelled_folder(labelled):
    path, table, model = labelled
    points = landmarks_of_rows(path / "rows", model)
    for row in table.to_pylist():  # through the crop and back: where the detector's points were
        np.testing.assert_allclose(points[row["id"]], np.reshape(row["truth"], (68, 2)), atol=0.02)
    train_on, held_out = read_folder(
        path / "photos", path / "labels.parquet", path / "rows", 48, held_out=1, seed=2, model=model
    )
    assert train_on.people.isdisjoint(held_out.people) and train_on.people | held_out.people == {
        "ann",
        "bob",
        "cleo",
        "dan",
    }
    assert len(train_on) + len(held_out) == 5  # ann has two; eve, without a label, none
    for source in (train_on, held_out):
        image, target = source.batch(torch.arange(len(source)))
        wanted = [float(["ann", "bob", "cleo", "dan"].index(e.person)) for e in source.entries]
        assert image.shape == (len(source), 48, 48, 3) and target[:, 0].tolist() == wanted
        entry = source.entries[0]
        by_hand = authors_crop(
            read_photo(path / "photos" / entry.id), SimpleNamespace(points=points[entry.id]), 48
        ).image
        assert torch.equal(image[:1], by_hand)
    again = read_folder(
        path / "photos", path / "labels.parquet", path / "rows", 48, held_out=1, seed=2, model=model
    )[1]
    assert again.people == held_out.people


def test_faces_are_looked_for_once_where_no_rows_are_given(labelled, capsys):
    path, table, _ = labelled
    truth = {row["id"]: np.reshape(row["truth"], (68, 2)) for row in table.to_pylist()}
    asked = []

    def detector(photo):
        name = "/".join(photo.path.parts[-2:])
        asked.append(name)
        if name.startswith("bob"):
            raise UserError(f"{name}: no face found")
        return SimpleNamespace(points=truth[name])

    def none_installed(photo):
        raise UserError("no detector is installed")

    def read(find):
        return read_folder(path / "photos", path / "labels.parquet", None, 48, held_out=1, find=find)

    train_on, held_out = read(detector)
    for source in (train_on, held_out, train_on):
        source.batch(torch.arange(len(source)))
    assert train_on.people | held_out.people == {"ann", "cleo", "dan"} and len(asked) == len(set(asked)) == 5
    assert "1 of 5 photographs are left out; the first: bob" in capsys.readouterr().err
    with pytest.raises(UserError, match="no photograph can be used; the first: no detector is installed"):
        read(none_installed)


@pytest.mark.slow
def test_label_files_that_do_not_fit(labelled):
    path, *_ = labelled

    def read(name, rows="rows", held_out=1, model=None):
        return read_folder(path / "photos", path / name, path / rows, 48, held_out, model=model)

    with pytest.raises(UserError, match=r"nothing\.parquet: is no file of labels|no such file of labels"):
        read("nothing.parquet")
    (path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"bad\.parquet: is no file of labels"):
        read("bad.parquet")
    labels = Labels(["ann"], np.full((1, 198), np.nan, np.float32), np.ones(1, int), np.zeros(1, int), "mean")
    write_labels(path / "infinite.parquet", labels)
    with pytest.raises(UserError, match=r"infinite\.parquet: has coefficients that are not numbers"):
        read("infinite.parquet")
    with pytest.raises(UserError, match="there are 4 labelled people"):
        read("labels.parquet", held_out=4)
    with pytest.raises(UserError, match="holds no rows"):
        read("labels.parquet", rows="photos")
    few = load("open", level=0, n_shape=20, n_texture=10)
    with pytest.raises(UserError, match="198 numbers a person, .* has 20 of shape and 10 of texture"):
        read("labels.parquet", model=few)
    with pytest.raises(UserError, match="99 modes of shape, .* has 20"):
        landmarks_of_rows(path / "rows", few)
