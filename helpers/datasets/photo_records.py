"""Photographs in one RecordIO file, as InsightFace passes CASIA-WebFace and others on: `train.rec` and `train.idx`.

The format is that of the dmlc library. A record is

    uint32 0xced7230a · uint32 (part << 29 | length) · length bytes · zeros up to a multiple of 4

in the byte order of x86. If the bytes hold the first number themselves at a multiple of 4, they are cut there, the number
is left out and the parts follow each other: part is 1 for the first, 2 for those between, 3 for the last, 0 for a record
in one piece. A record's bytes are

    uint32 flag · float32 label · uint64 id · uint64 id2 · flag × float32 labels · a JPEG or PNG file

and with flag > 0 the labels replace the label. `train.idx` has lines "key TAB position". In InsightFace's files record 0
holds no picture: its labels say that the pictures have the keys 1 to labels[0] − 1. The records from labels[0] on list the
keys of each person's pictures, and hold no picture either.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from helpers.datasets.photo_source import PhotoEntry, PhotoSource, Unreadable
from helpers.errors import UserError
from helpers.photo import Photo, photo_of_bytes

MAGIC = 0xCED7230A
WHOLE, FIRST, MIDDLE, LAST = range(4)
HEAD = struct.Struct("<IfQQ")
LARGEST_LABEL = 2**31 - 1
FEWEST_BYTES = 32  # of a picture's file; the smallest PNG has more


class Damaged(Exception):
    """A record that cannot be read, and why."""


class PhotoRecords(PhotoSource):
    """The pictures of a `.rec` file in the order of their keys; persons are the labels, as "0", "1", …

    The `.idx` file beside it is used if it is there; else the records are counted from 0. The id is the key with eight
    digits. Records that cannot be read are listed in `unreadable`.

    Args:
        path: the `.rec` file, or a folder that holds `train.rec`.

    Raises:
        UserError: if the file is missing, of another kind, or holds no picture.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.is_dir() and (self.path / "train.rec").is_file():
            self.path = self.path / "train.rec"
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file: name a RecordIO file, such as train.rec")
        self.unreadable: list[Unreadable] = []
        keys, positions, labels = [], [], []
        with self.path.open("rb") as file:
            if file.read(4) != struct.pack("<I", MAGIC):
                raise UserError(
                    f"{self.path}: not a RecordIO file: it should start with the bytes 0a 23 d7 ce"
                )
            pictures = None  # keys that can be pictures, where record 0 says so
            for key, position in self._index(file):
                try:
                    flag, label, numbers, size = _look(file, position)
                except Damaged as error:
                    self.unreadable.append(Unreadable(_name(key), str(error)))
                    continue
                if key == 0 and flag >= 2 and size < FEWEST_BYTES:
                    pictures = range(1, int(numbers[0]))
                elif pictures is not None and key not in pictures:
                    continue
                elif size < FEWEST_BYTES:
                    self.unreadable.append(
                        Unreadable(_name(key), f"record of {size} bytes: too few for a picture")
                    )
                elif not (0 <= label <= LARGEST_LABEL and label == int(label)):
                    self.unreadable.append(
                        Unreadable(_name(key), f"label {label}: expected a whole number from 0")
                    )
                else:
                    keys.append(key), positions.append(position), labels.append(int(label))
        self._keys, self._positions, self._labels = (np.array(v, np.int64) for v in (keys, positions, labels))
        if not keys:
            why = f" ({self.unreadable[0].id}: {self.unreadable[0].reason})" if self.unreadable else ""
            raise UserError(
                f"{self.path}: no picture in it{why}: copy or download it again, with its .idx file"
            )

    def _index(self, file) -> Iterator[tuple[int, int]]:
        """Keys and positions, in the order of keys."""
        listed = self.path.with_suffix(".idx")
        if not listed.is_file():
            yield from enumerate(_positions(file))
            return
        pairs = []
        for number, line in enumerate(listed.read_text(errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            try:
                key, position = map(int, line.split())
            except ValueError as error:
                raise UserError(
                    f"{listed}: line {number} is {line[:40]!r}: expected a key, a tab and a position; "
                    "copy the file again, or delete it to have the records counted"
                ) from error
            pairs.append((key, position))
        yield from sorted(pairs)

    def __len__(self) -> int:
        return len(self._keys)

    def entry(self, index: int) -> PhotoEntry:
        name = _name(int(self._keys[index]))
        return PhotoEntry(
            name, str(self._labels[index]), partial(_load, self.path, int(self._positions[index]), name)
        )


def _name(key: int) -> str:
    return f"{key:08d}"


def _part(file, position: int) -> tuple[int, int]:
    """Which part begins here, and its length."""
    file.seek(max(position, 0))
    head = file.read(8)
    if len(head) < 8 or position < 0:
        raise Damaged("the file ends before the record: it is truncated")
    magic, rest = struct.unpack("<II", head)
    if magic != MAGIC:
        raise Damaged(f"no record at byte {position}: damaged, or the .idx file belongs to another .rec file")
    return rest >> 29, rest & (1 << 29) - 1


def _payload(file, position: int, most: int | None = None) -> tuple[bytes, int]:
    """The bytes of a record, or its first `most` at least, and how many it has in all."""
    end = file.seek(0, os.SEEK_END)
    data, total, begun = b"", 0, False
    while True:
        part, length = _part(file, position)
        if part not in ((MIDDLE, LAST) if begun else (WHOLE, FIRST)):
            raise Damaged(f"at byte {position} a part of another record begins")
        if position + 8 + length > end:
            raise Damaged("the file ends within the record: it is truncated")
        if begun:
            data, total = data + struct.pack("<I", MAGIC), total + 4
        wanted = length if most is None else min(length, max(0, most - len(data)))
        data, total = data + file.read(wanted), total + length
        if part in (WHOLE, LAST):
            return data, total
        begun = True
        position += 8 + (length + 3) // 4 * 4


def _look(file, position: int) -> tuple[int, float, np.ndarray, int]:
    """A record's flag, label, labels, and how many bytes of picture follow. The picture is not read."""
    data, total = _payload(file, position, HEAD.size + 8)
    if total < HEAD.size:
        raise Damaged(f"record of {total} bytes: too few for a label")
    flag, label, _, _ = HEAD.unpack(data[: HEAD.size])
    size = total - HEAD.size - 4 * flag
    if size < 0:
        raise Damaged(f"record of {total} bytes claims {flag} labels")
    numbers = np.frombuffer(data[HEAD.size : HEAD.size + 4 * min(flag, 2)], "<f4")
    return flag, float(numbers[0]) if flag else label, numbers, size


def _positions(file) -> Iterator[int]:
    """Where records begin, found by reading from one to the next."""
    position, end = 0, file.seek(0, os.SEEK_END)
    while position < end:
        yield position
        while True:
            try:
                part, length = _part(file, position)
            except Damaged:
                return  # where the next one begins is not known
            position += 8 + (length + 3) // 4 * 4
            if part in (WHOLE, LAST) or position >= end:
                break


def _load(path: Path, position: int, name: str) -> Photo:
    """The picture of the record at `position`."""
    called = f"{path}#{name}"
    try:
        with path.open("rb") as file:
            data, _ = _payload(file, position)
    except (Damaged, OSError) as error:
        raise UserError(f"{called}: {error}") from error
    flag = HEAD.unpack(data[: HEAD.size])[0]
    photo = photo_of_bytes(data[HEAD.size + 4 * flag :], called)
    return Photo(photo.image, photo.path, name)
