"""Read vertices and polygons of PLY files, text or binary.

A header names elements, how many there are of each, and their properties, numbers or lists; then all values follow. Open3D's
reader is not used: it goes as far as a file goes, and a damaged list of corners ends the whole process.

Source:
    G. Turk, "The PLY polygon file format", 1994.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = {"char": "i1", "short": "i2", "int": "i4", "float": "f4", "double": "f8"}
KINDS |= {"uchar": "u1", "ushort": "u2", "uint": "u4", "int8": "i1", "uint8": "u1", "int16": "i2"}
KINDS |= {"uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")
LONGEST_LIST = 1000  # of corners; a longer one is damage


class IncompletePly(ValueError):
    """The file ends before what its header promises."""


@dataclass(frozen=True)
class _Property:
    name: str
    kind: str  # of numpy, without byte order
    length: str = ""  # of a list: the kind of its length


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: list[_Property]

    @property
    def lists(self) -> list[int]:
        """Numbers of the properties that are lists."""
        return [n for n, p in enumerate(self.properties) if p.length]

    def of_doubles(self) -> _Element:
        kinds = [_Property(p.name, "f8", "f8" if p.length else "") for p in self.properties]
        return _Element(self.name, self.count, kinds)

    def row(self, order: str, lengths: tuple[int, ...]) -> np.dtype:
        """One row in which lists have these lengths; fields are named by number, as names may come twice."""
        fields, rest = [], iter(lengths)
        for n, p in enumerate(self.properties):
            if p.length:
                fields += [(f"{n} length", order + p.length), (str(n), order + p.kind, (next(rest),))]
            else:
                fields.append((str(n), order + p.kind))
        return np.dtype(fields)

    def place_of(self, *names: str) -> str:
        """The number of the property of one of these names."""
        found = [n for n, p in enumerate(self.properties) if p.name in names]
        if not found:
            raise ValueError(f"its element {self.name} has no {' or '.join(names)}")
        return str(found[0])


def read_ply(content: bytes) -> tuple[np.ndarray, list[np.ndarray]]:
    """Read the places of the vertices and the polygons.

    Args:
        content: Of a PLY file.

    Returns:
        Vertices (V, 3) float64, in the file's unit; and the polygons by the numbers of their vertices, from 0: arrays
        (N, corners) int64, one array for each number of corners.

    Raises:
        IncompletePly: For a file that is cut off.
        ValueError: For what is no PLY file, or does not hold what its header promises.
    """
    order, elements, body = _header(content)
    if not order:  # text: the same values, all of them as doubles
        body = np.array(body.split(), np.float64).tobytes()
        elements = [element.of_doubles() for element in elements]
    source = _Values(body, order or "=")
    vertices, polygons = None, []
    for element in elements:
        parts = source.rows(element)
        if element.name == "vertex" and parts:
            places = [element.place_of(axis) for axis in "xyz"]
            vertices = np.concatenate(
                [np.stack([part[n] for n in places], -1).astype(float) for part in parts]
            )
        elif element.name == "face" and parts:
            corners = [part[element.place_of(*CORNERS)] for part in parts]
            polygons = [_whole(rows) for rows in corners if rows.shape[1] >= 3]
    if vertices is None:
        raise ValueError("has no vertices")
    if rest := len(body[source.place :].strip()):
        raise ValueError(f"{rest} bytes of values follow those that its header names")
    return vertices, polygons


def _whole(numbers: np.ndarray) -> np.ndarray:
    found = numbers.astype(np.int64)
    if (found != numbers).any():
        raise ValueError("has numbers of vertices that are not whole")
    return found


def _header(content: bytes) -> tuple[str, list[_Element], bytes]:
    """Byte order ("" for text), elements, and what follows the header."""
    text, end, body = content.partition(b"end_header")
    if not text.startswith(b"ply") or not end:
        raise ValueError("has no header of a PLY file")
    order, elements = None, []
    try:
        for words in (line.split() for line in text.decode("latin-1").splitlines()):
            if words[:1] == ["format"]:
                order = ORDERS[words[1]]
            elif words[:1] == ["element"]:
                if (count := int(words[2])) < 0:
                    raise ValueError(f"{count} elements")
                elements.append(_Element(words[1], count, []))
            elif words[:2] == ["property", "list"]:
                elements[-1].properties.append(_Property(words[4], KINDS[words[3]], KINDS[words[2]]))
            elif words[:1] == ["property"]:
                elements[-1].properties.append(_Property(words[2], KINDS[words[1]]))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("its header is damaged") from error
    if order is None:
        raise ValueError("its header names no format")
    return order, elements, body.partition(b"\n")[2]


class _Values:
    """Values one after the other, as bytes."""

    def __init__(self, body: bytes, order: str):
        self.body, self.order, self.place = body, order, 0

    def rows(self, element: _Element) -> list[np.ndarray]:
        """All rows of an element, those whose lists have the same lengths together."""
        if not element.count:
            return []
        # Nearly always all lists are as long as those of the first row.
        start, lengths = self.place, self._lengths(element)
        row = element.row(self.order, lengths)
        if not lengths or start + element.count * row.itemsize <= len(self.body):
            found = self._take(row, element.count)
            if all((found[f"{n} length"] == found[f"{n} length"][0]).all() for n in element.lists):
                return [found]
        self.place = start
        dtypes: dict[tuple[int, ...], np.dtype] = {}
        together: dict[tuple[int, ...], list[np.ndarray]] = {}
        for _ in range(element.count):
            lengths = self._lengths(element)
            row = dtypes.setdefault(lengths, element.row(self.order, lengths))
            together.setdefault(lengths, []).append(self._take(row, 1))
        return [np.concatenate(rows) for rows in together.values()]

    def _lengths(self, element: _Element) -> tuple[int, ...]:
        """Of the lists in the row that begins here."""
        place, lengths = self.place, []
        for p in element.properties:
            count = 1
            if p.length:
                kind = np.dtype(self.order + p.length)
                if place + kind.itemsize > len(self.body):
                    raise IncompletePly(f"it has {len(self.body)} of more than {place} bytes of values")
                length = float(np.frombuffer(self.body, kind, 1, place)[0])
                if not (0 <= length <= LONGEST_LIST and length == int(length)):
                    raise ValueError(f"has a list of length {length:g}")
                count = int(length)
                lengths.append(count)
                place += kind.itemsize
            place += count * np.dtype(p.kind).itemsize
        return tuple(lengths)

    def _take(self, row: np.dtype, count: int) -> np.ndarray:
        needed = self.place + count * row.itemsize
        if needed > len(self.body):
            raise IncompletePly(f"it has {len(self.body)} of {needed} bytes of values")
        found = np.frombuffer(self.body, row, count, self.place)
        self.place = needed
        return found
