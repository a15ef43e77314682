"""The Surrey Face Model and others in the .bin files of eos (Huber et al. 2016), as its library cereal writes them.

Little endian, no padding: the version of the class (uint32, 1 to 4); a PCA model of shape, one of colours; from
version 2 on perhaps one of expressions, or blendshapes; then landmarks and texture coordinates, which are not used.
A PCA model is mean (3·V,), orthonormal basis (3·V, K), variances (K,) and triangles from 0. A matrix is rows and
columns (int32) and its float32 by columns; a list is its length (uint64) and its items. Every length is checked
against what is left of the file before anything is taken.

mm, but a Basel Face Model 2009 converted by eos' own script keeps its micrometres. Colours 0–1.
Source: include/eos/morphablemodel of github.com/patrikhuber/eos and cereal's types.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from helpers.face_model.formats import bfm2009, landmarks
from helpers.face_model.formats.assemble import Modes, Parts, Wanted, require
from helpers.face_model.formats.landmark_transfer import complete
from helpers.face_model.formats.sniff import start

TITLE = "a model of eos, as the Surrey Face Model is"
LAYOUT = "a .bin file of version 1 to 4, written by eos"
ENDINGS = (".bin",)
NAMES = ("surrey",)
VERSIONS = (1, 2, 3, 4)
# Number of vertices: the landmarks that are known of that mesh.
KNOWN_POINTS = {3448: landmarks.SURREY, 53149: landmarks.BFM_2017}
SURREY_VERTICES = (845, 1724, 3448, 16759, 29587)  # its levels of detail


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    if path.is_dir() or path.suffix.lower() != ".bin":
        return False
    first = start(path, 12)
    if len(first) < 12:
        return False
    version, rows, columns = struct.unpack("<Iii", first)
    return version in VERSIONS and columns == 1 and rows > 0 and rows % 3 == 0


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    file = _Reader(path.read_bytes())
    version = file.number("<I")
    mean, basis, variance, triangles = _pca(file)
    colour = _pca(file)
    expression, units, names = _expression(file) if version >= 2 else (None, None, ())
    if version >= 3:
        _skip_landmarks(file)
    file.items(16)  # texture coordinates: two doubles each
    if version >= 4:
        file.items(12)
    require(file.left == 0, f"{file.left} bytes are left over at its end")
    count = len(mean) // 3
    positions = mean.reshape(-1, 3)
    if count == bfm2009.VERTICES:
        points = np.array(landmarks.BFM_2009)
    elif count in KNOWN_POINTS:
        points = complete(KNOWN_POINTS[count], positions, triangles)
    else:
        points = None
    return Parts(
        name="Surrey Face Model" if count in SURREY_VERTICES else path.stem,
        licence="free for non-commercial use" if count in SURREY_VERTICES else "unknown",
        unit=bfm2009.MICROMETRE if count == bfm2009.VERTICES else 1.0,
        shape=Modes(mean, basis, _std(variance, "shape"), exact=True),
        texture=Modes(colour[0], colour[1], _std(colour[2], "colour"), exact=True)
        if colour[0].size
        else None,
        expression=expression,
        expression_units=units,
        expression_names=names,
        triangles=triangles,
        landmarks=points,
    )


def _pca(file: _Reader) -> tuple[np.ndarray, ...]:
    mean, basis, variance = file.matrix(), file.matrix(), file.matrix()
    triangles = np.frombuffer(file.items(12), "<i4").reshape(-1, 3).astype(np.int64)
    return mean.reshape(-1), basis, variance.reshape(-1), triangles


def _expression(file: _Reader):
    """Modes, units (3·V, U) and their names, of a PCA model or of blendshapes; nothing if there are none."""
    if file.number("<?"):  # cereal: the optional is empty
        return None, None, ()
    kind = file.number("<i")
    require(kind in (0, 1), f"its expressions are of an unknown kind {kind}")
    if kind == 0:
        mean, basis, variance, _ = _pca(file)
        return Modes(mean, basis, _std(variance, "expression"), exact=True), None, ()
    shapes = [(file.text(), file.matrix().reshape(-1)) for _ in range(file.length(12))]
    require(len({len(shape) for _, shape in shapes}) == 1, "its blendshapes differ in length")
    units = np.stack([shape for _, shape in shapes], axis=1)
    return Modes(np.zeros(len(units)), units), units, tuple(name for name, _ in shapes)


def _skip_landmarks(file: _Reader) -> None:
    if not file.number("<?"):
        for _ in range(file.length(12)):
            file.text()
            file.number("<i")


def _std(variance: np.ndarray, what: str) -> np.ndarray:
    require((variance > 0).all(), f"a variance of {what} is not above zero")
    return np.sqrt(variance.astype(np.float64))


class _Reader:
    """Takes numbers off the front of some bytes."""

    def __init__(self, content: bytes):
        self.content, self.place = memoryview(content), 0

    @property
    def left(self) -> int:
        return len(self.content) - self.place

    def take(self, n: int) -> memoryview:
        require(0 <= n <= self.left, f"it ends too early: {n} bytes were to follow, {self.left} do")
        self.place += n
        return self.content[self.place - n : self.place]

    def number(self, kind: str):
        content = self.take(struct.calcsize(kind))
        if kind == "<?":
            require(content[0] in (0, 1), "a yes or no in it is neither")
        return struct.unpack(kind, content)[0]

    def length(self, least: int) -> int:
        """The length of a list whose items have at least so many bytes."""
        n = self.number("<Q")
        require(n * least <= self.left, f"it ends too early: {n} items were to follow")
        return n

    def items(self, size: int) -> memoryview:
        return self.take(self.length(size) * size)

    def text(self) -> str:
        return bytes(self.items(1)).decode("utf-8")

    def matrix(self) -> np.ndarray:
        rows, columns = self.number("<i"), self.number("<i")
        require(rows >= 0 and columns >= 0, f"a matrix in it is {rows} by {columns}")
        return np.frombuffer(self.take(rows * columns * 4), "<f4").reshape(rows, columns, order="F")
