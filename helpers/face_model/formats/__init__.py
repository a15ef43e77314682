"""Readers of face models that others have made, one file for each format.

A reader has `recognises(path)`, which looks at names and first bytes, and `read(path, wanted)`, which takes the
numbers out of its file and describes what they mean; `assemble` checks them and turns them into a `MorphableModel`. A
reader refuses with `NotThisModel`; `read` below makes of that one sentence for the user.

Whatever is missing, cut, turned or impossible in a file is noticed. A single number that changed into another possible
one is noticed only where the file has checksums: compressed .mat files and .npz have them, others have not.
"""

from __future__ import annotations

from pathlib import Path

from helpers.errors import UserError
from helpers.face_model.formats import bfm2009, deep3d, eos, face3d, flame, gnm, ict, scalismo
from helpers.face_model.formats.assemble import NotThisModel, Wanted, assemble
from helpers.face_model.formats.sniff import looks_like
from helpers.face_model.morphable_model import MorphableModel
from helpers.face_model.sources import BY_NAME, PublishedModel
from helpers.files import why_unreadable

FORMATS = (bfm2009, face3d, deep3d, scalismo, flame, gnm, eos, ict)
ENDINGS = tuple(sorted({ending for reader in FORMATS for ending in reader.ENDINGS}))


def recognise(path: str | Path) -> str | None:
    """Tell what kind of model a file or folder is. Cheap: it reads names, not numbers.

    Args:
        path: The file or folder.

    Returns:
        The title of its format, or None.
    """
    reader = _reader(Path(path))
    return None if reader is None else reader.TITLE


def read(path: str | Path, wanted: Wanted) -> MorphableModel:
    """Read the model in a file or folder, on the CPU.

    Args:
        path: The file or folder.
        wanted: Which modes and which part of it.

    Returns:
        The model.

    Raises:
        UserError: Nothing here can read it, or it is damaged or is not what it seems: the message names the file,
            what it looks like, what was expected and where the genuine one is to be had.
    """
    path = Path(path)
    reader = _reader(path)
    if reader is None:
        raise UserError(f'{path}: this is {looks_like(path)}; {_expected(path)}; or give "open"')
    if wanted.part is not None and reader is not ict:
        raise UserError(f"part={wanted.part!r}: only ICT-FaceKit has parts; leave `part` out for {path}")
    try:
        return assemble(reader.read(path, wanted), wanted)
    except NotThisModel as error:
        raise UserError(
            f"{path}: it looks like {reader.TITLE}, but {error}; {_genuine(reader, path)}"
        ) from error
    except UserError:
        raise
    except Exception as error:  # a damaged file makes the libraries below fail in any way
        cause = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: it looks like {reader.TITLE}, but is damaged ({cause[:150]}); {_genuine(reader, path)}"
        ) from error


def _reader(path: Path):
    if why_unreadable(path, folders=True) is not None:  # a pipe would keep a reader waiting for ever
        return None
    for reader in FORMATS:
        try:
            if reader.recognises(path):
                return reader
        except Exception:  # as above: a damaged file is not recognised, whatever it does to a library
            continue
    return None


def _expected(path: Path) -> str:
    """What a folder, or a file of this name, or else of this ending, should have been."""
    if path.is_dir():
        readers = [ict]
    else:
        named = [reader for reader in FORMATS if _source(reader, path) is not None]
        readers = named or [reader for reader in FORMATS if path.suffix.lower() in reader.ENDINGS]
    if not readers:
        return f"expected a face model, a folder or a file that ends in {', '.join(ENDINGS)}; see `python -m helpers doctor`"
    if len(readers) == 1:
        return f"expected {readers[0].TITLE} ({readers[0].LAYOUT}); {_genuine(readers[0], path)}"
    listed = " or ".join(reader.TITLE for reader in readers)
    return f"expected {listed}; {_genuine(readers[0], path)}"


def _genuine(reader, path: Path) -> str:
    """Where the genuine file is to be had."""
    return (_source(reader, path) or BY_NAME[reader.NAMES[0]]).way


def _source(reader, path: Path) -> PublishedModel | None:
    """The model of this format whose file has this name."""
    named = [
        BY_NAME[name] for name in reader.NAMES if path.name in [f.rstrip("/") for f in BY_NAME[name].files]
    ]
    return named[0] if named else None
