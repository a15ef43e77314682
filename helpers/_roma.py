"""roma, loaded without torch's compiler.

roma marks two of its functions for `torch.compile`, and the mark loads `torch._dynamo`: as long as torch itself takes, at the start of
every command and notebook. This course compiles nothing by torch, so the mark is left out. A process that has loaded the compiler
already gets roma as it is.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import torch

if "roma" in sys.modules or "torch._dynamo" in sys.modules:
    import roma
else:
    torch._dynamo = SimpleNamespace(disable=lambda function: function)  # ty: ignore[invalid-assignment]
    try:
        import roma
    finally:
        del torch._dynamo  # torch loads the real one when it is asked for it

__all__ = ["roma"]
