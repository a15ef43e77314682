"""Photographs in folders, one folder a person: the layout of CASIA-WebFace, LFW and VGGFace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from helpers.datasets.photo_source import PhotoEntry, PhotoSource, Unreadable
from helpers.errors import UserError
from helpers.photo import read_photo

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


class PhotoFolder(PhotoSource):
    """`PERSON/PHOTO.jpg` below a folder, in the order of names.

    A person is a folder that holds photographs, at any depth: for `train/n000001/0001_01.jpg` (VGGFace2) it is
    "train/n000001". The id is the file's path below the folder, with "/" on every system. Hidden files and files with
    other endings (lists, landmarks) are passed over; empty and unreadable files, and photographs in no person's
    folder, are listed in `unreadable`.

    Raises UserError if the folder is missing or holds no photograph.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_dir():
            what = "is a file, not a folder" if self.path.exists() else "no such folder"
            raise UserError(f"{self.path}: {what}: name the folder that holds one folder a person")
        self.unreadable, self._names = [], []
        self._walk(str(self.path), "")
        if not self._names:
            found = f" ({self.unreadable[0].id}: {self.unreadable[0].reason})" if self.unreadable else ""
            raise UserError(
                f"{self.path}: no photograph in it{found}: expected PERSON/PHOTO.jpg, one folder a person"
            )

    def _walk(self, folder: str, below: str) -> None:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable.append(Unreadable(below or ".", f"folder cannot be read: {error.strerror}"))
            return
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and self._leads_down(entry)):
                self._walk(entry.path, name)
            elif os.path.splitext(entry.name)[1].lower() in ENDINGS:
                reason = _why_not(entry, below)
                if reason:
                    self.unreadable.append(Unreadable(name, reason))
                else:
                    self._names.append(name)

    def _leads_down(self, entry: os.DirEntry) -> bool:
        """Whether a link leads to a folder outside of the path that led here: a circle would never end."""
        if not entry.is_dir():
            return False
        target = os.path.realpath(entry.path)
        return os.path.commonpath([target, os.path.realpath(os.path.dirname(entry.path))]) != target

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> PhotoEntry:
        name = self._names[index]
        return PhotoEntry(name, name.rpartition("/")[0], partial(read_photo, self.path / name))

    def _persons(self) -> Iterator[str]:
        return (name.rpartition("/")[0] for name in self._names)


def _why_not(entry: os.DirEntry, below: str) -> str:
    """Why a file is of no use, or "" if there is hope. It is not opened: there may be half a million."""
    if not below:
        return "lies in no person's folder"
    try:
        size = entry.stat().st_size
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not size:
        return "is empty"
    return "" if os.access(entry.path, os.R_OK) else "cannot be read: permission denied"
