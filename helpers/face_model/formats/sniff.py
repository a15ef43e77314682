"""Tell what kind of file it is, by its first bytes."""

from __future__ import annotations

import codecs
from pathlib import Path

from helpers.files import why_unreadable

HDF5 = b"\x89HDF\r\n\x1a\n"
MATLAB_5 = b"MATLAB 5.0 MAT-file"
MATLAB_73 = b"MATLAB 7.3 MAT-file"
UNKNOWN = "without a face model that is known here, or a damaged one"
STARTS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: fetch that with `git lfs pull`",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"Rar!": "a rar archive: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"%PDF": "a PDF document",
    HDF5: f"an HDF5 file {UNKNOWN}",
    MATLAB_5: f"a MATLAB file {UNKNOWN}",
    MATLAB_73: f"a MATLAB 7.3 file {UNKNOWN}",
    b"\x80": f"a pickle {UNKNOWN}",
}


def start(path: Path, n: int = 512) -> bytes:
    """Read the first `n` bytes of a file; nothing of a folder."""
    if path.is_dir():
        return b""
    with open(path, "rb") as file:
        return file.read(n)


def looks_like(path: Path) -> str:
    """Tell what a file or folder is that is no model: the end of "this is …"."""
    if path.is_dir():
        return "a folder without a face model that is known here"
    reason = why_unreadable(path)
    if reason is not None:
        return f"not readable ({reason})"
    try:
        first = start(path)
    except OSError as error:
        return f"not readable ({error.strerror})"
    if not first:
        return "an empty file"
    if first.startswith(b"PK"):
        return (
            f"an .npz file {UNKNOWN}"
            if b".npy" in first
            else "a zip archive: unpack it and give the file in it"
        )
    for beginning, meaning in STARTS.items():
        if first.startswith(beginning):
            return meaning
    text = first.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")) or b"<html" in text:
        return "a web page, as is saved when a download wants a login first"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in first) and _is_utf8(first):
        return "a text file"
    return "no kind of file that is known here, or the end of one"


def _is_utf8(content: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)  # the last character may be cut
        return True
    except UnicodeDecodeError:
        return False
