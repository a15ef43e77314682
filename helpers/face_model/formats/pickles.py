"""Read the arrays in a pickle without running anything that it asks for.

A pickle is a program: unpickling it in the usual way can do anything at all on your computer. Here every class and
function that it names is replaced by an inert shell that only remembers what it was given; names outside a short
list are refused. Afterwards shells that stand for numpy arrays are turned into arrays.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import NotThisModel

ARRAY_MODULES = {
    "numpy",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
}
NUMBER_CODE = re.compile(r"[<>|=]?[biuf](1|2|4|8)")


class Shell:
    """Stands for an object of a class that is never created."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state):
        self.state = state


class ArrayShell(Shell):
    """numpy.ndarray: its state is (version, shape, dtype, is Fortran order, bytes)."""


class TypeShell(Shell):
    """numpy.dtype: its first argument is a code as f8, the second entry of its state the order of bytes."""


class ScalarShell(Shell):
    """numpy.core.multiarray.scalar(dtype, bytes)."""


class ChumpyShell(Shell):
    """An array of chumpy, which keeps its numbers in the field `x` of its state."""


class SparseShell(Shell):
    """A matrix of scipy.sparse."""


def _rebuild(shell, *_):
    """copyreg._reconstructor: what old pickles call to create an object."""
    return shell() if isinstance(shell, type) and issubclass(shell, Shell) else Shell()


def _encode(text, encoding="latin1"):
    """_codecs.encode: how newer Pythons put bytes into old pickles."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise NotThisModel("its bytes are packed in an unknown way")
    return text.encode("latin1")


def _empty_bytes(*arguments):
    """bytes: how newer Pythons put no bytes, those of an empty array, into old pickles."""
    if arguments:
        raise NotThisModel("its bytes are packed in an unknown way")
    return b""


def _reconstruct(*_):
    return ArrayShell()


def _frombuffer(content, kind, shape, order):
    """numpy.core.numeric._frombuffer: how protocol 5 creates an array."""
    array = ArrayShell()
    array.state = (1, shape, kind, order == "F", content)
    return array


ALLOWED = {
    **{(module, "_reconstruct"): _reconstruct for module in ARRAY_MODULES},
    **{(module, "scalar"): ScalarShell for module in ARRAY_MODULES},
    **{(module, "_frombuffer"): _frombuffer for module in ARRAY_MODULES},
    ("numpy", "ndarray"): ArrayShell,
    # A matrix is created and filled as an array is.
    ("numpy", "matrix"): ArrayShell,
    ("numpy.matrixlib.defmatrix", "matrix"): ArrayShell,
    ("numpy", "dtype"): TypeShell,
    ("copy_reg", "_reconstructor"): _rebuild,
    ("copyreg", "_reconstructor"): _rebuild,
    ("__builtin__", "object"): Shell,
    ("builtins", "object"): Shell,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty_bytes,
    ("builtins", "bytes"): _empty_bytes,
    ("collections", "OrderedDict"): dict,
}


# The stub takes pickle._Unpickler for the one in C, which has neither a stack nor load_build: hence three ignores.
class _Reader(pickle._Unpickler):
    """Python's own unpickler, in Python: unlike the one in C it takes no memory before it needs it."""

    def find_class(self, module, name):
        allowed = ALLOWED.get((module, name))
        if allowed is not None:
            return allowed
        if module.split(".")[0] == "chumpy":
            return type("Chumpy", (ChumpyShell,), {})
        if module.startswith("scipy.sparse") and name.endswith(("_matrix", "_array")):
            return type("Sparse", (SparseShell,), {})
        raise NotThisModel(f"it wants to run {module}.{name}, which no face model needs; nothing was run")

    def load_build(self):
        stack: list = self.stack  # ty: ignore[missing-attribute]
        if not isinstance(stack[-2], Shell):  # else it could change the defaults of the functions above
            raise NotThisModel("it gives a state to something that has none; nothing was run")
        super().load_build()  # ty: ignore[missing-attribute]

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # ty: ignore[invalid-assignment]

    def persistent_load(self, pid):
        raise NotThisModel("it refers to something outside the file")


def read_pickle(path: Path) -> dict[str, object]:
    """Read the dictionary in a pickle without running anything.

    Args:
        path: The file.

    Returns:
        Name → value, with arrays for the numpy and chumpy arrays; other objects are inert shells.

    Raises:
        NotThisModel: It is no dictionary, or names something that no face model needs.
    """
    content = _Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    if isinstance(content, Shell):
        content = content.state
    if not isinstance(content, dict):
        raise NotThisModel("it does not hold a dictionary of arrays")
    return {str(key): _array(value) for key, value in content.items()}


def _array(value):
    """What a shell stands for; other shells stay as they are."""
    if isinstance(value, ChumpyShell):
        state = value.state
        return _array(state["x"]) if isinstance(state, dict) and "x" in state else value
    if not isinstance(value, ArrayShell):
        return value
    if not isinstance(value.state, tuple) or len(value.state) != 5:
        raise NotThisModel("an array in it is incomplete")
    _, shape, kind, fortran, content = value.state
    content = content.encode("latin1") if isinstance(content, str) else content
    kind = _dtype(kind)
    sizes = isinstance(shape, tuple) and all(isinstance(n, int) and 0 <= n < 2**40 for n in shape)
    if kind is None or not sizes or not isinstance(content, bytes | bytearray):
        return value
    if int(np.prod(shape, dtype=object)) * kind.itemsize != len(content):
        raise NotThisModel(f"an array of {shape} in it has {len(content)} bytes")
    values = (
        np.frombuffer(content, kind) if content else np.empty(0, kind)
    )  # older numpys refuse an empty buffer
    return values.reshape(shape, order="F" if fortran else "C")


def _dtype(shell) -> np.dtype | None:
    """A type of numbers, or None for any other."""
    if not isinstance(shell, TypeShell) or not shell.arguments or not isinstance(shell.arguments[0], str):
        return None
    code = shell.arguments[0]
    if not NUMBER_CODE.fullmatch(code):
        return None
    order = shell.state[1] if isinstance(shell.state, tuple) and len(shell.state) > 1 else "="
    return np.dtype(code).newbyteorder(order if order in ("<", ">") else "=")
