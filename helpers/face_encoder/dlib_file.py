"""dlib's file of a trained network, as a list of layers.

Values in dlib's encoding (dlib/serialize.h):

- Whole number: a byte with the sign in its highest bit and the number of bytes that follow in its lowest four; then the
  magnitude, lowest byte first.
- Real number: two whole numbers, mantissa and exponent of two.
- Truth value: the ASCII digit 0 or 1. Word: its length, then ASCII.
- Tensor: version 2; samples, channels, rows, columns; then float32, little endian, columns fastest.
- View of a tensor: version 1 and the four sizes, no numbers.

Layers are nested, the outermost first. Each writes its version, then all of the layer below it, then itself. So the file
starts with a run of versions down to the innermost layer, and the layers themselves follow in the order of computation.
Versions tell marks from layers: 1 is a tag or a skip, which have nothing more to write (where a skip leads is known to the
C++ type only), 2 is a layer, 3 the innermost one, with the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np

MARK = "mark"  # the kind of a tag or a skip
NONE = np.zeros(0, np.float32)


class DlibFileError(ValueError):
    """The bytes are not a network that this module can read."""


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: dlib's word for it, with its version, or `MARK`.
        weight: Of a convolution (O, I, R, C), of an affine layer (C,) factors, of the last one (I, O), of the input (3,) means.
        bias: (O,) or (0,).
        settings: Window, strides and paddings, rows before columns; of the input, its rows and columns.
    """

    kind: str
    weight: np.ndarray = field(default_factory=lambda: NONE)
    bias: np.ndarray = field(default_factory=lambda: NONE)
    settings: tuple[int, ...] = ()

    @property
    def form(self) -> tuple[object, ...]:
        """All of it but the numbers."""
        return self.kind, self.weight.shape, self.bias.shape, self.settings


class Stream:
    """Values of dlib's encoding, one after the other.

    Args:
        data: Bytes of a file.
    """

    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    def refuse(self, what: str) -> DlibFileError:
        """The error for what was read last."""
        return DlibFileError(f"{what}, before byte {self.position}")

    def take(self, count: int) -> bytes:
        """The next bytes."""
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise DlibFileError(f"it ends at byte {len(self.data)}, within a value")
        return self.data[start : self.position]

    def integer(self) -> int:
        """One whole number."""
        control = self.take(1)[0]
        length = control & 0x0F
        if control & 0x70 or not 1 <= length <= 8:
            raise self.refuse(f"{control:#04x} starts no whole number")
        magnitude = int.from_bytes(self.take(length), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> tuple[int, ...]:
        """Several whole numbers."""
        return tuple(self.integer() for _ in range(count))

    def sizes(self, count: int) -> tuple[int, ...]:
        """Whole numbers that are not negative."""
        values = self.integers(count)
        if min(values) < 0:
            raise self.refuse(f"negative sizes {values}")
        return values

    def reals(self, count: int) -> tuple[float, ...]:
        """Finite numbers."""
        pairs = [self.integers(2) for _ in range(count)]
        if any(abs(exponent) > 1000 for _, exponent in pairs):  # 32000 and above: infinities and NaN
            raise self.refuse("a number that is not finite")
        return tuple(mantissa * 2.0**exponent for mantissa, exponent in pairs)

    def word(self) -> str:
        """A word."""
        return self.take(self.sizes(1)[0]).decode("ascii", "replace")

    def truth(self) -> bool:
        """Yes or no."""
        digit = self.take(1)
        if digit not in (b"0", b"1"):
            raise self.refuse(f"{digit!r} is neither '0' nor '1'")
        return digit == b"1"

    def version(self, *known: int) -> int:
        """A version number, one of those known."""
        number = self.integer()
        if number not in known:
            raise self.refuse(f"version {number} where {' or '.join(map(str, known))} is known")
        return number

    def tensor(self) -> np.ndarray:
        """(N,) the numbers of a tensor; what shape they have is told elsewhere."""
        self.version(2)
        return np.frombuffer(self.take(4 * prod(self.sizes(4))), "<f4")

    def view(self) -> tuple[int, ...]:
        """The four sizes of a view."""
        self.version(1)
        return self.sizes(4)


def read_layers(data: bytes) -> list[Layer]:
    """Read all layers below the loss.

    Args:
        data: The whole file.

    Returns:
        The layers in the order of computation: the input first.

    Raises:
        DlibFileError: For anything else than a trained network of known layers, from the first byte to the last.
    """
    stream = Stream(data)
    stream.version(1)
    if (loss := stream.word()) != "loss_metric_2":
        raise stream.refuse(f"the loss is {loss!r}, not 'loss_metric_2'")
    stream.reals(2)  # its margin and its distance
    versions = []
    while (version := stream.version(1, 2, 3)) != 3:
        versions.append(version)
    layers = [_layer(stream), _layer(stream)]  # the input, and the layer that takes it
    _training_state(stream)
    stream.integer()  # samples for each picture
    for version in reversed(versions):
        layers.append(Layer(MARK) if version == 1 else _layer(stream))
        if version == 2:
            _training_state(stream)
    if stream.position != len(data):
        raise DlibFileError(f"{len(data) - stream.position} bytes follow the network")
    return layers


def _layer(stream: Stream) -> Layer:
    kind = stream.word()
    if kind not in READERS:
        raise stream.refuse(f"a layer {kind!r} is not known")
    return READERS[kind](stream, kind)


def _training_state(stream: Stream) -> None:
    """What each layer ends with: whether it is set up, two switches of training, three tensors that are empty by now."""
    ready, _, _ = (stream.truth() for _ in range(3))
    if not ready or any(len(stream.tensor()) for _ in range(3)):
        raise stream.refuse("a layer that is not ready for use")


def _split(stream: Stream, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a layer, whose sizes follow its numbers."""
    weight, bias = stream.view(), stream.view()
    if min(weight) < 1 or len(numbers) != prod(weight) + prod(bias):
        raise stream.refuse(f"{len(numbers)} numbers for a weight {weight} and a bias {bias}")
    return numbers[: prod(weight)].reshape(weight), numbers[prod(weight) :]


def _input(stream: Stream, kind: str) -> Layer:
    return Layer(kind, np.array(stream.reals(3), np.float32), settings=stream.integers(2))


def _convolution(stream: Stream, kind: str) -> Layer:
    numbers, _, settings = stream.tensor(), stream.integer(), stream.integers(6)  # between: how many filters
    weight, bias = _split(stream, numbers)
    stream.reals(4)  # rates of learning and decay
    return Layer(kind, weight, bias, settings)


def _affine(stream: Stream, kind: str) -> Layer:
    weight, bias = _split(stream, stream.tensor())
    if stream.integer() != 0:
        raise stream.refuse("an affine layer that is not one per channel")
    return Layer(kind, weight.ravel(), bias)


def _fully_connected(stream: Stream, kind: str) -> Layer:
    stream.integers(2)  # outputs, inputs
    weight, bias = _split(stream, stream.tensor())
    stream.integer()  # whether there are biases
    stream.reals(4)
    return Layer(kind, weight.reshape(len(weight), -1), bias)


def _pooling(stream: Stream, kind: str) -> Layer:
    return Layer(kind, settings=stream.integers(6))


def _nothing(stream: Stream, kind: str) -> Layer:
    return Layer(kind)


READERS: dict[str, Callable[[Stream, str], Layer]] = {
    "input_rgb_image_sized": _input,
    "con_4": _convolution,
    "affine_": _affine,  # of a batch normalisation, once training is over
    "relu_": _nothing,
    "add_prev_": _nothing,
    "max_pool_2": _pooling,
    "avg_pool_2": _pooling,
    "fc_2": _fully_connected,
}
