"""torchvision, loaded where a plain import would fail.

torchvision's wheel on PyPI is built for CUDA. Beside a CPU build of torch its compiled library does not load, and
`import torchvision` stops with "operator torchvision::nms does not exist": two operators of object detection, which
this course never calls, are described to torch without being there. Once their names are declared, the description
has something to describe, and the networks, which are plain Python, can be used. With a matching pair of packages the
compiled library declares the names itself, and nothing is done here.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType

import torch

from helpers.errors import UserError

DECLARED = ("nms", "qnms")
_library = None  # torch forgets what it was told when the library object goes


@functools.cache
def torchvision() -> ModuleType:
    """Load the module `torchvision`.

    Returns:
        The module.

    Raises:
        UserError: It is not installed or cannot be loaded.
    """
    try:
        return _imported()
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise UserError(
                f"torchvision cannot be loaded: {error}; install the release that goes with torch {torch.__version__}"
            ) from error
    except ImportError as error:
        raise UserError(
            f"torchvision cannot be imported ({error}): install it with `pip install torchvision`"
        ) from error
    _declare()
    try:
        return _imported()
    except (RuntimeError, ImportError) as error:
        raise UserError(
            f"torchvision cannot be loaded: {error}; install the release that goes with torch {torch.__version__}"
        ) from error


def _imported() -> ModuleType:
    import torchvision as module
    import torchvision.models  # noqa: F401  # not loaded by a failed first attempt

    return module


def _declare() -> None:
    """Tell torch the names and arguments of the missing operators; calling one still fails, with a message."""
    global _library
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]  # half loaded
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in DECLARED:
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
