"""Open3D, loaded where a plain import would fail, and without its greeting."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import sys
from types import ModuleType

from helpers.errors import UserError

LIBUSB = "libusb-1.0.so.0"


@functools.cache
def open3d() -> ModuleType:
    """Load the module `open3d`.

    Open3D is linked to libusb (for depth cameras), which a bare Linux lacks. The package `libusb-package`
    brings that library; once it is in memory under its own name, the linker is content with it.

    Returns:
        The module.

    Raises:
        UserError: It is not installed or cannot be loaded.
    """
    _provide_libusb()
    os.environ.setdefault("OPEN3D_DISABLE_WEB_VISUALIZER", "true")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import open3d as module
    except ModuleNotFoundError as error:
        raise UserError(
            f"open3d cannot be imported ({error}): install it with `pip install open3d`"
        ) from error
    except (ImportError, OSError) as error:
        advice = "on Debian `apt install libegl1 libgl1 libx11-6 libusb-1.0-0`"
        raise UserError(f"open3d is installed but a system library is missing: {error}; {advice}") from error
    return module


def _provide_libusb() -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(LIBUSB)
        return
    except OSError:
        pass
    with contextlib.suppress(ImportError, OSError):
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
