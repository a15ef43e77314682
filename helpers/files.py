"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from helpers.errors import UserError


def write_in_one_step(path: str | Path, write: Callable[[BinaryIO], object], durable: bool = False) -> None:
    """Call `write(file)` on a temporary file beside `path`, then rename it: it appears whole or never.

    durable: wait until file and name are on the disk, so that this also holds when the power fails.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        # mkstemp lets nobody else read the file; give it the rights of any new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        if durable:
            _force_to_disk(path.parent)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, temporary):
            error.filename = str(path)  # the name that means something to whoever reads the error
        with contextlib.suppress(FileNotFoundError):  # where the rename was done
            os.unlink(temporary)
        raise


def make_folder(path: Path) -> None:
    """Make the folder that --out names, unless it is there. Raises UserError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be made a folder: {error.strerror}") from error


def _force_to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
