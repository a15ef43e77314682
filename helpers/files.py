"""Opening files that a user names, and writing files so that no reader ever sees half of one."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from helpers.errors import UserError

NO_SUCH_FILE, A_FOLDER = "no such file", "is a folder"


def why_unreadable(path: str | Path, *, folders: bool = False) -> str | None:
    """Why `path` cannot be read as a file, or None if it can be tried.

    Looks before anything is opened: to open a named pipe would wait for ever.

    Args:
        path: What a user named.
        folders: Whether a folder will do as well.

    Returns:
        The cause, as the second half of a one-line message, or None.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, ValueError):  # ValueError: a zero byte in the name
        return NO_SUCH_FILE
    except OSError as error:  # links that form a loop, a name that is too long, a folder that lets nobody in
        return f"cannot be read: {error.strerror}"
    if stat.S_ISREG(mode) or (folders and stat.S_ISDIR(mode)):
        return None
    if stat.S_ISDIR(mode):
        return A_FOLDER
    return "is a pipe, socket or device, not a file: save its content as a file first"


def write_in_one_step(path: str | Path, write: Callable[[BinaryIO], object], durable: bool = False) -> None:
    """Write a temporary file beside `path`, then rename it: the file appears whole or never.

    Args:
        path: The file to write.
        write: Called with the open temporary file.
        durable: Wait until file and name are on the disk, so that this also holds when the power fails.

    Raises:
        OSError: The file cannot be written; its `filename` is `path`.
    """
    path, temporary = Path(path), None
    try:
        # The name is short: one made of the file's own name could be longer than a file system takes.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        with os.fdopen(handle, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        # mkstemp lets nobody else read the file; give it the rights of any new file. Some mounted drives
        # (CIFS, S3) refuse that, and have rights of their own.
        umask = os.umask(0)
        os.umask(umask)
        with contextlib.suppress(OSError):
            os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        if durable:
            _force_to_disk(path.parent)
    except BaseException as error:
        if isinstance(error, OSError) and (error.filename is None or _is_ours(error.filename, path)):
            error.filename = str(path)  # the name that means something to whoever reads the error
            error.filename2 = None
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):  # where the rename was done
                os.unlink(temporary)
        raise


def make_folder(path: Path) -> None:
    """Make the folder that --out names, unless it is there, and see that files can be made in it.

    Args:
        path: The folder.

    Raises:
        UserError: It cannot be made, or nothing can be written into it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be made a folder: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(dir=path, prefix=".part-"):
            pass
    except OSError as error:
        raise UserError(f"--out {path}: no file can be written there: {error.strerror}") from error


def _is_ours(name: object, path: Path) -> bool:
    """Whether it is the name of a temporary file beside `path`."""
    other = Path(os.fsdecode(name)) if isinstance(name, str | bytes) else Path()
    return other.parent == path.parent and other.name.startswith(".part-")


def _force_to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
