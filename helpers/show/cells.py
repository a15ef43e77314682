"""What a notebook's cells make lies where the course computes: on the GPU that HELPERS_DEVICE names.

The functions of the course follow their arguments, and what is loaded lies on `default_device()`. What is left is what cells make
themselves, such as `torch.zeros(1, 99)`, and what they hand to matplotlib. Both are done here, once, so that no cell need name
a device. On the CPU nothing is changed.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from helpers.device import default_device

# What makes a tensor from nothing, and so cannot follow another one.
MAKERS = {
    *(
        torch.arange,
        torch.empty,
        torch.eye,
        torch.full,
        torch.linspace,
        torch.logspace,
        torch.normal,
        torch.ones,
    ),
    *(torch.rand, torch.randint, torch.randn, torch.randperm, torch.tensor, torch.zeros),
    *(torch.as_tensor, torch.asarray, torch.tril_indices, torch.triu_indices),
}
TO_NUMPY = {torch.Tensor.numpy, torch.Tensor.__array__}
CELLS = "__main__"  # the module that a notebook's cells are part of


class CellsOn(TorchFunctionMode):
    """While it is active, tensors that a cell makes lie on `device`, and numpy takes those of a GPU.

    They are made on the CPU and moved, so that a seed gives the same numbers on every device.
    """

    def __init__(self, device: str):
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in TO_NUMPY:
            return func(args[0].cpu(), *args[1:], **kwargs)
        made = func(*args, **kwargs)
        if func not in MAKERS or kwargs.get("device") is not None or _caller() != CELLS:
            return made
        there = made.detach().to(self.device)
        return there.requires_grad_() if made.requires_grad else there


def _caller() -> str | None:
    """The module of the code that called torch: two frames up, over `__torch_function__`."""
    return sys._getframe(2).f_globals.get("__name__")


_active: CellsOn | None = None


def follow_default_device() -> None:
    """Activate `CellsOn`, for the rest of the process, if the course computes on a GPU. A second call changes nothing."""
    global _active
    if _active is None and (device := default_device()) != "cpu":
        _active = CellsOn(device)
        _active.__enter__()
