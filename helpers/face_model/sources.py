"""Which face models can be loaded, where each is to be had, and where they are looked for.

None of them but the open model comes with the course. Most are lent by their makers to those who ask and sign.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from helpers.assets import ASSETS
from helpers.errors import UserError


@dataclass(frozen=True)
class PublishedModel:
    """One model and the way to it.

    Attributes:
        name: What `load` is given.
        title: What it is called.
        files: Names of its file, the usual one first; a name that ends in "/" is a folder.
        page: Where it is applied for or fetched.
        licence: In a few words.
        by_request: Whether somebody has to agree first.
        what: What is in it.
    """

    name: str
    title: str
    files: tuple[str, ...]
    page: str
    licence: str
    by_request: bool
    what: str

    @property
    def way(self) -> str:
        """One sentence: how to get it."""
        verb = "ask for it at" if self.by_request else "get it from"
        return f"{verb} {self.page} ({self.licence})"


_BASEL = "non-commercial research, by signed agreement"
_2017 = "https://faces.dmi.unibas.ch/bfm/bfm2017.html"
_2019 = "https://faces.dmi.unibas.ch/bfm/bfm2019.html"
_FLAME = "https://flame.is.tue.mpg.de"
_SHAPE_COLOUR = "199 shapes and 199 colours"

# One row per line.
# fmt: off
SOURCES = (
    PublishedModel(
        "bfm2009", "Basel Face Model 2009", ("01_MorphableModel.mat",), "https://faces.dmi.unibas.ch/bfm/",
        _BASEL, True, f"53,490 vertices, {_SHAPE_COLOUR}",
    ),
    PublishedModel(
        "bfm2017", "Basel Face Model 2017", ("model2017-1_bfm_nomouth.h5",), _2017,
        _BASEL, True, f"53,149 vertices, {_SHAPE_COLOUR}, 100 expressions",
    ),
    PublishedModel(
        "bfm2017-face12", "Basel Face Model 2017, face only", ("model2017-1_face12_nomouth.h5",), _2017,
        _BASEL, True, f"28,588 vertices, {_SHAPE_COLOUR}, 100 expressions",
    ),
    PublishedModel(
        "bfm2019", "Basel Face Model 2019", ("model2019_bfm.h5",), _2019,
        _BASEL, True, f"47,439 vertices, {_SHAPE_COLOUR}, 100 expressions",
    ),
    PublishedModel(
        "bfm2019-face12", "Basel Face Model 2019, face only", ("model2019_face12.h5",), _2019,
        _BASEL, True, f"27,657 vertices, {_SHAPE_COLOUR}, 100 expressions",
    ),
    PublishedModel(
        "bfm2019-fullhead", "Basel Face Model 2019, full head", ("model2019_fullHead.h5",), _2019,
        _BASEL, True, f"58,203 vertices, {_SHAPE_COLOUR}, 100 expressions",
    ),
    PublishedModel(
        "ict", "ICT-FaceKit Light", ("FaceXModel/", "ICT-FaceKit/"), "https://github.com/ICT-VGL/ICT-FaceKit",
        "MIT", False, "26,719 vertices, 100 shapes, 53 expressions, no colours",
    ),
    PublishedModel(
        "flame2020", "FLAME 2020", ("generic_model.pkl",), _FLAME,
        "non-commercial research, after registration", True,
        "5,023 vertices, 300 shapes, 100 expressions, no colours",
    ),
    PublishedModel(
        "flame2023", "FLAME 2023", ("flame2023.pkl", "flame2023_no_jaw.pkl", "flame2023_Open.pkl"), _FLAME,
        "the licence shown there, after registration", True,
        "5,023 vertices, 300 shapes, 100 expressions, no colours",
    ),
    PublishedModel(
        "face3d", "BFM.mat of face3d and 3DDFA", ("BFM.mat",), "https://github.com/yfeng95/face3d",
        "its scripts make the file from the Basel Face Model 2009, which must be asked for first", False,
        f"53,215 vertices, {_SHAPE_COLOUR}, 29 expressions",
    ),
    PublishedModel(
        "deep3d", "BFM_model_front.mat of Deep3DFaceRecon", ("BFM_model_front.mat",),
        "https://github.com/sicxu/Deep3DFaceRecon_pytorch",
        "its scripts make the file from the Basel Face Model 2009, which must be asked for first", False,
        "35,709 vertices, 80 shapes, 80 colours, 64 expressions",
    ),
    PublishedModel(
        "surrey", "Surrey Face Model, 3,448 vertices", ("sfm_shape_3448.bin",),
        "https://github.com/patrikhuber/eos", "non-commercial", False, "3,448 vertices, 63 shapes, no colours",
    ),
    PublishedModel(
        "gnm", "GNM Head", ("gnm_head.npz",), "https://github.com/google/GNM",
        "Apache-2.0", False, "17,821 vertices, 253 shapes, 383 expressions, no colours",
    ),
)
# fmt: on
BY_NAME = {source.name: source for source in SOURCES}


def how_to_get() -> list[PublishedModel]:
    """List every model that can be loaded besides the open one: what it is, its page, its licence, its files."""
    return list(SOURCES)


def model_folders() -> list[Path]:
    """List where face models are looked for: the folders of $FACE_MODELS, ~/face_models and the course's assets/."""
    named = [Path(part).expanduser() for part in os.environ.get("FACE_MODELS", "").split(os.pathsep) if part]
    return [*named, Path.home() / "face_models", ASSETS]


def find(source: PublishedModel) -> Path | None:
    """Find the first file or folder of a model in the folders where models are looked for, or in folders in them.

    Args:
        source: The model.

    Returns:
        Its file or folder, or None if there is none.
    """
    for folder in model_folders():
        for name in source.files:
            for pattern in (name.rstrip("/"), f"*/{name.rstrip('/')}"):
                try:
                    matches = sorted(folder.glob(pattern))
                except OSError:
                    continue
                wanted = [match for match in matches if match.is_dir() == name.endswith("/")]
                if wanted:
                    return wanted[0]
    return None


def located(source: PublishedModel) -> Path:
    """Find a model as `find` does, and insist on it.

    Args:
        source: The model.

    Returns:
        Its file or folder.

    Raises:
        UserError: It is not there; the message tells how to get it.
    """
    path = find(source)
    if path is None:
        names = " or ".join(source.files)
        folders = ", ".join(map(str, model_folders()))
        raise UserError(f"{source.name}: no {names} in {folders}; {source.way} and put it into one of these")
    return path
