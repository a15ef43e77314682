"""Photographs in folders, one folder per person: the layout of CASIA-WebFace, LFW and VGGFace."""

from __future__ import annotations

import os
import re
import stat
from functools import partial
from pathlib import Path

from helpers.datasets.photo_source import PhotoEntry, PhotoSource, Unreadable, printable
from helpers.errors import UserError
from helpers.photo import read_photo

# Files with these endings are taken for photographs without a look at them: there may be half a million. Raw files, HEIC
# and JPEG XL are among them, which may not be readable; then they are counted, and the reason is given.
ENDINGS = frozenset(
    """.jpg .jpeg .jpe .jfif .jif .mpo .png .apng .gif .webp .bmp .dib .tif .tiff .jp2 .j2k .j2c .jpc .jpf .jpx .avif
    .avifs .heic .heics .heif .hif .jxl .ppm .pgm .pbm .pnm .pfm .tga .psd .qoi .sgi .pcx .dds .ico .icns
    .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw""".split()
)
# Lists, landmarks and the like are passed over without a look. Any other file is a photograph if it begins like one.
NO_PHOTOGRAPHS = frozenset(
    ".txt .csv .json .xml .md .html .pts .npz .npy .mat .ply .obj .lst .log .yaml .yml .ini".split()
)
BEGINNING = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|II\*\0|MM\0\*|BM.{4}\0{4}|RIFF.{4}WEBP|\0\0\0\x0cjP  |\xff\x4f\xff\x51|8BPS|qoif"
    rb"|.{4}ftyp(?:hei|hev|mif1|msf1|avi)",
    re.DOTALL,
)


class PhotoFolder(PhotoSource):
    """`PERSON/PHOTO.jpg` below a folder, in the order of names.

    A person is a folder that holds photographs, at any depth: for `train/n000001/0001_01.jpg` (VGGFace2) it is
    "train/n000001". The id is the file's path below the folder, with "/" on every system. Every file that
    `helpers.photo.read_photo` may read is a photograph, whatever its ending, and so are HEIC and raw files, whose
    `load` tells what to do with them. Hidden files, and others that are no pictures (lists, landmarks), are passed over;
    empty and unreadable files, and photographs in no person's folder, are listed in `unreadable`.

    Args:
        path: the folder.

    Raises:
        UserError: if the folder is missing or holds no photograph.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_dir():
            what = "is a file, not a folder" if self.path.exists() else "no such folder"
            raise UserError(f"{self.path}: {what}: name the folder that holds one folder per person")
        self.unreadable: list[Unreadable] = []
        self._names: list[str] = []
        self._walk(str(self.path), "")
        if not self._names:
            found = f" ({self.unreadable[0].id}: {self.unreadable[0].reason})" if self.unreadable else ""
            raise UserError(
                f"{self.path}: no photograph in it{found}: expected PERSON/PHOTO.jpg, one folder per person"
            )

    def _walk(self, folder: str, below: str) -> None:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable.append(
                Unreadable(printable(below) or ".", f"folder cannot be read: {error.strerror}")
            )
            return
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    if not entry.is_symlink() or _leads_away(entry):
                        self._walk(entry.path, name)
                    continue
                is_photograph, reason = _judge(entry)
            except OSError as error:  # a broken link, or a file that may not be read
                is_photograph, reason = True, f"cannot be read: {error.strerror}"
            if is_photograph and (reason or not below):
                self.unreadable.append(Unreadable(printable(name), reason or "lies in no person's folder"))
            elif is_photograph:
                self._names.append(name)

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> PhotoEntry:
        name = self._names[index]
        called = printable(name)
        return PhotoEntry(called, called.rpartition("/")[0], partial(read_photo, self.path / name))


def _leads_away(link: os.DirEntry) -> bool:
    """Whether a link leads out of the path that led here: a circle would never end."""
    target = os.path.realpath(link.path)
    return os.path.commonpath([target, os.path.realpath(os.path.dirname(link.path))]) != target


def _judge(entry: os.DirEntry) -> tuple[bool, str]:
    """Whether a file is a photograph, and why it is of no use, or "" if there is hope.

    Only a file with an unknown ending is opened.
    """
    ending = os.path.splitext(entry.name)[1].lower()
    if ending in NO_PHOTOGRAPHS:
        return False, ""
    about = entry.stat()
    if not stat.S_ISREG(about.st_mode):
        return ending in ENDINGS, "is not a regular file"
    if ending not in ENDINGS:
        with open(entry.path, "rb") as file:
            return BEGINNING.match(file.read(16)) is not None, ""
    if not about.st_size:
        return True, "is empty"
    return True, "" if os.access(entry.path, os.R_OK) else "cannot be read: permission denied"
