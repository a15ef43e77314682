"""Read MATLAB files: the classic ones through scipy, version 7.3, which is HDF5, through h5py.

A .mat file holds arrays only as far as these readers go: nothing in it is ever executed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import NotThisModel
from helpers.face_model.formats.sniff import HDF5, MATLAB_73, start


def names(path: Path) -> set[str]:
    """List the variables of a MATLAB file without reading their numbers.

    Args:
        path: The file.

    Returns:
        Their names, and the fields of a struct called `model` as "model.field"; empty for other files.
    """
    if path.suffix.lower() != ".mat":
        return set()
    if _is_hdf5(path):
        import h5py

        with h5py.File(path, "r") as file:
            fields = file["model"] if "model" in file and isinstance(file["model"], h5py.Group) else ()
            return set(file) | {f"model.{field}" for field in fields}
    import scipy.io

    found = {name for name, *_ in scipy.io.whosmat(path)}
    if found == {"model"}:
        # The fields are not in the list of variables, and few files hold just one struct of this name.
        found.add("model.shapePC")
    return found


def variables(path: Path, wanted: tuple[str, ...], struct: str | None = None) -> dict[str, np.ndarray]:
    """Read arrays of a MATLAB file.

    Args:
        path: The file.
        wanted: Their names.
        struct: Name of the struct whose fields they are, or None.

    Returns:
        Those that are there, in MATLAB's orientation.

    Raises:
        NotThisModel: The struct is not there.
    """
    if _is_hdf5(path):
        import h5py

        with h5py.File(path, "r") as file:
            group = file if struct is None else file[struct]
            # MATLAB stores by columns and HDF5 by rows: what is read is the transpose.
            return {name: group[name][()].T for name in wanted if name in group}
    import scipy.io

    content = scipy.io.loadmat(path, variable_names=wanted if struct is None else (struct,))
    if struct is not None:
        if struct not in content or content[struct].dtype.names is None or content[struct].size != 1:
            raise NotThisModel(f"it has no struct `{struct}`")
        record = content[struct].flat[0]
        content = {name: record[name] for name in record.dtype.names}
    return {name: content[name] for name in wanted if name in content}


def required(content: dict[str, np.ndarray], wanted: tuple[str, ...]) -> None:
    """Raise NotThisModel that names what is missing of the wanted arrays."""
    missing = [name for name in wanted if name not in content]
    if missing:
        raise NotThisModel(f"{', '.join(missing)} is missing in it")


def _is_hdf5(path: Path) -> bool:
    first = start(path, 520)
    return first.startswith((MATLAB_73, HDF5)) or first[512:520] == HDF5
