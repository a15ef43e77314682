"""Every reader is given damaged files: it refuses them in one line that names the file, or reads what it can make sense of.

Files of face models have tests of their own, `face_model/test_formats_damaged.py`.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.datasets.photo_records import PhotoRecords
from helpers.errors import UserError
from helpers.evaluation import read_labelled, read_surface
from helpers.evaluation.scans import read_landmarks
from helpers.labelling.configuration import Configuration
from helpers.labelling.factory import count_codes
from helpers.labelling.labels import Labels, read_labels, write_labels
from helpers.labelling.parquet import read_columns
from helpers.labelling.store import MANIFEST, Store, read_manifest
from helpers.landmarks import read_detection, write_points
from helpers.mesh_files import write_obj, write_ply
from helpers.photo import photo_of_bytes
from helpers.regression import build_network, load_network, save_network
from helpers.regression.checkpoint import load_checkpoint, save_checkpoint
from helpers.regression.encoder_training import _go_on
from helpers.regression.log import read_log
from tests.regression.pictures import FEW

RNG = np.random.default_rng(0)
ROWS = 20
POINTS = RNG.uniform(10, 90, (68, 2))


@dataclass(frozen=True)
class Format:
    """How a file is made, and read.

    Attributes:
        name: of the file.
        write: makes it at a path.
        read: what it holds, as arrays, numbers and words.
        checksum: whether the format can tell any change of its content.
        errors: that its reader's documentation promises.
    """

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], list]
    checksum: bool = False
    errors: tuple[type[Exception], ...] = (UserError,)


def grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.linspace(-80, 80, 12), np.linspace(-70, 70, 11), indexing="ij")
    vertices = np.stack([x, y, 40 * np.cos(x / 70)], -1).reshape(-1, 3)
    corner = np.arange(len(vertices)).reshape(12, 11)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    return vertices, np.stack([a, b, c, a, c, d], -1).reshape(-1, 3)


def write_text_ply(path: Path) -> None:
    vertices, triangles = grid()
    head = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [" ".join(map(str, row)) for row in vertices.round(3).tolist()]
    path.write_text(head + "\n".join([*rows, *("3 {} {} {}".format(*t) for t in triangles)]) + "\n")


def picture(kind: str, **options) -> Callable[[Path], object]:
    y, x = np.mgrid[:70, :80]
    pixels = np.stack([x * 3, y * 3, (x + y) % 256], -1).astype(np.uint8)
    return lambda path: Image.fromarray(pixels).save(path, kind, **options)


def write_float_tiff(path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, RNG.random((70, 80, 3)).astype(np.float32), photometric="rgb")


def write_records(path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(data, "PNG")
    records = b""
    for person in (0, 1, 1):
        body = struct.pack("<IfQQ", 0, person, 0, 0) + data.getvalue()
        records += struct.pack("<II", 0xCED7230A, len(body)) + body + bytes(-len(body) % 4)
    path.write_bytes(records)


def read_records(path: Path) -> list:
    records = PhotoRecords(path)
    photos = []
    for number in range(len(records)):
        try:
            photos.append(records.entry(number).load().image)
        except UserError as error:
            assert str(path) in str(error)
    return photos


def write_network(path: Path) -> None:
    torch.manual_seed(0)
    save_network(path, build_network("small", 8), "small", 32, {"steps": 3}, torch.ones(8), n_shape=4)


def read_network(path: Path) -> list:
    network = load_network(path)
    picture = torch.linspace(0, 1, 32 * 32 * 3).view(1, 32, 32, 3)
    with torch.inference_mode():
        return [
            network.size,
            network.n_shape,
            *(v.numpy() for v in (network.module(picture), network.spread)),
        ]


def write_checkpoint(path: Path) -> None:
    state = {"step": 5, "network": {"weight": torch.arange(600.0)}, "best": 0.5}
    save_checkpoint(path, state, FEW)


def read_checkpoint(path: Path) -> list:
    state = load_checkpoint(path, FEW)
    return [state["step"], state["best"], state["network"]["weight"].numpy()]


RUN = {"seed": 0, "batch": 4}


def write_sums(path: Path) -> None:
    sums = {"features": 3, "count": 8, "sums": torch.ones(5).double(), "products": torch.eye(5).double()}
    torch.save({"version": 1, "step": 2, "run": RUN, **sums}, path)


def read_sums(path: Path) -> list:
    step, sums = _go_on(path, RUN)
    return [step, sums.count, sums.sums.numpy(), sums.products.numpy()]


def write_parquet(path: Path) -> None:
    coefficients = RNG.normal(size=(6, 8)).astype(np.float32)
    counts = np.arange(6, dtype=np.int32)
    write_labels(path, Labels([f"person {n}" for n in range(6)], coefficients, counts, counts, "uniform"))


def read_parquet(path: Path) -> list:
    labels = read_labels(path)
    return [labels.person, labels.coefficients, labels.n_photos, labels.rule]


def read_measured(path: Path) -> list:
    labelled = read_labelled(path)
    return [labelled.people, labelled.names, labelled.vectors.numpy()]


def write_results(path: Path) -> None:
    path.with_name("bert_1.npz").unlink(missing_ok=True)
    for file in (path, path.with_name("bert_1.npz")):
        np.savez_compressed(file, alpha=RNG.normal(size=99), beta=RNG.normal(size=99))


CONFIGURATION = Configuration({"kind": "x"}, {"name": "open"}, 64, 4, ROWS, {"steps": 1})


def write_manifest(path: Path) -> None:
    with Store(path.parent, CONFIGURATION, ROWS):
        pass


def write_shard(path: Path) -> None:
    index, code = np.arange(ROWS), RNG.integers(-1, 3, ROWS)
    with Store(path.parent, CONFIGURATION, ROWS) as store:
        store.write(0, pa.table({"index": index, "code": code, "alpha": RNG.normal(size=ROWS)}))


def read_shard(path: Path) -> list:
    """A damaged shard is moved aside, and made again."""
    with Store(path.parent, CONFIGURATION, ROWS) as store:
        if store.finished():
            return [count_codes(path.parent), *read_columns(path, None, "").to_pydict().values()]
    assert path.with_name(f"damaged-{path.name}").exists() and not path.exists()
    raise UserError(f"{path}: was moved aside")


def read_mesh(path: Path) -> list:
    surface = read_surface(path, note=lambda text: None)
    return [surface.vertices] + ([] if surface.triangles is None else [surface.triangles])


def read_points(path: Path) -> list:
    face = read_detection(path)
    return [face.points, face.confidence]


def read_photograph(path: Path) -> list:
    return [photo_of_bytes(path.read_bytes(), path).image]


def write_picked(path: Path) -> None:
    rows = "".join(f'<point x="{x}" y="{y}" z="0" active="1" name="{n}"/>' for n, (x, y) in enumerate(POINTS))
    path.write_text(f"<!DOCTYPE PickedPoints><PickedPoints>{rows}</PickedPoints>")


SOLID = np.concatenate([POINTS, POINTS[:, :1]], 1)
MESH = (*grid(), np.full((132, 3), 0.5))
LOG = "step,seconds,rate,loss,shape_mm\n4,1.5,0.001,3.25,2.5\n8,3.0,0.001,3.0,2.4\n"
FORMATS = [
    Format("points.json", lambda p: write_points(p, POINTS, confidence=0.9), read_points),
    Format("points.pts", lambda p: write_points(p, POINTS), read_points),
    Format("mesh.ply", lambda p: write_ply(p, *MESH), read_mesh),
    Format("text.ply", write_text_ply, read_mesh),
    Format("mesh.obj", lambda p: write_obj(p, *MESH), read_mesh),
    Format("scan.pp", write_picked, lambda p: [read_landmarks(p)]),
    Format("scan.npy", lambda p: np.save(p, SOLID), lambda p: [read_landmarks(p)]),
    Format("scan.json", lambda p: p.write_text(json.dumps(SOLID.tolist())), lambda p: [read_landmarks(p)]),
    Format("scan.txt", lambda p: np.savetxt(p, SOLID), lambda p: [read_landmarks(p)]),
    Format("labels.parquet", write_parquet, read_parquet, checksum=True),
    Format("rows.parquet", write_parquet, read_measured, checksum=True),
    Format("anna_1.npz", write_results, lambda p: read_measured(p.parent), checksum=True),
    Format(MANIFEST, write_manifest, lambda p: [read_manifest(p.parent)[0].fingerprint()], checksum=True),
    Format("shard-00000.parquet", write_shard, read_shard, checksum=True),
    Format("photos.rec", write_records, read_records),
    Format("network.pt", write_network, read_network, checksum=True),
    Format("last.pt", write_checkpoint, read_checkpoint, checksum=True),
    Format("sums.pt", write_sums, read_sums, checksum=True),
    Format("log.csv", lambda p: p.write_text(LOG), lambda p: [json.dumps(read_log(p))]),
    Format("photo.png", picture("PNG"), read_photograph, checksum=True),
    Format("photo.jpg", picture("JPEG"), read_photograph),
    Format("photo.tif", picture("TIFF"), read_photograph),
    Format("packed.tif", picture("TIFF", compression="tiff_lzw"), read_photograph),
    Format("float.tif", write_float_tiff, read_photograph),
    Format("photo.webp", picture("WEBP"), read_photograph),
    Format("photo.gif", picture("GIF"), read_photograph),
    Format("photo.bmp", picture("BMP"), read_photograph),
]


@st.composite
def damages(draw) -> Callable[[bytes], bytes]:
    """Cut off, changed in single bytes (half of them in the first kilobyte, where structure lies), blanked, or doubled in part."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "blank", "insert"]))
    place, more = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 64))
    flips = draw(
        st.lists(
            st.tuples(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
            min_size=1,
            max_size=3,
        )
    )

    def damage(data: bytes) -> bytes:
        at = int(place * len(data))
        if kind == "cut":
            return data[:at]
        if kind == "blank":
            return data[:at] + bytes(min(more, len(data) - at)) + data[at + more :]
        if kind == "insert":
            return data[:at] + data[at : at + more] + data[at:]
        changed = bytearray(data)
        for in_head, share, bits in flips:
            changed[int(share * min(len(data), 1024 if in_head else len(data)))] ^= bits
        return bytes(changed)

    return damage


def same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module", params=FORMATS, ids=lambda f: f.name)
def stored(request, tmp_path_factory):
    """A format, a sound file of it, its bytes and its content."""
    path = tmp_path_factory.mktemp("damaged") / request.param.name
    request.param.write(path)
    return request.param, path, path.read_bytes(), request.param.read(path)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(damages())
@pytest.mark.slow
def test_damaged_files_are_refused_in_one_line(stored, damage):
    form, path, content, genuine = stored
    path.write_bytes(damage(content))
    try:
        found = form.read(path)
    except form.errors as error:
        assert "\n" not in str(error) and path.name in str(error)
    else:
        assert same(found, genuine) or not form.checksum
