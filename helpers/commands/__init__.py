"""The commands of `python -m helpers`, one module each.

A command module has NAME, HELP, add_arguments(parser) and run(args) -> exit status. It imports what is slow inside
of `run`, so that --help answers at once. `args.device` arrives as "cpu" or "cuda", unless the module
says NEEDS_DEVICE = False: then it is what the user wrote.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

MODULES = ("doctor", "fit", "label", "pool", "predict", "train", "evaluate")


def load_commands() -> dict[str, ModuleType]:
    """Command modules by name, in the order in which --help lists them."""
    modules = [import_module(f"{__name__}.{name}") for name in MODULES]
    return {module.NAME: module for module in modules}
