"""One name for where to compute: "auto", "cpu", "cuda" or "cuda:1"."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from helpers.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

MOST_AT_HAND = 2**23  # bytes of working memory of one part
DEVICE = "HELPERS_DEVICE"  # names where to compute, in the environment, for notebooks above all


def default_device() -> str:
    """Where what is loaded or made lies if nobody says: where HELPERS_DEVICE says, else on the CPU.

    Returns:
        "cpu", "cuda" or "cuda:N".

    Raises:
        UserError: HELPERS_DEVICE is set to what this machine cannot use.
    """
    return _named(os.environ.get(DEVICE) or "cpu")


@cache
def _named(name: str) -> str:
    try:
        return resolve(name)
    except UserError as error:
        raise UserError(f"{DEVICE}={name} in the environment: {error}") from error


def resolve(name: str = "auto") -> str:
    """Find the device that a name means on this machine.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:N". "auto" is what HELPERS_DEVICE names; where that is not set, CUDA where torch
            can use it, else the CPU.

    Returns:
        "cpu", "cuda" or "cuda:N".

    Raises:
        UserError: The name is unknown, or this machine has no CUDA, or fewer GPUs than asked for; or torch has a GPU that
            Warp, which runs the kernels, cannot use.
    """
    if check_name(name) == "auto" and (os.environ.get(DEVICE) or "auto") != "auto":
        return default_device()
    if name == "cpu":
        return name
    import torch

    usable = torch.cuda.is_available()
    if usable:
        from helpers._warp import wp

        if not wp.get_cuda_device_count():
            raise UserError(
                f"--device {name}: torch finds a GPU, but Warp finds none: update NVIDIA's driver, which is older than Warp's "
                f"CUDA needs, or use --device cpu"
            )
    if name == "auto":
        return "cuda" if usable else "cpu"
    if not usable:
        cause = (
            "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no NVIDIA GPU"
        )
        raise UserError(f"--device {name}: {cause}; use --device cpu, or a machine with a GPU and its driver")
    count = torch.cuda.device_count()
    if ":" in name and int(name.split(":")[1]) >= count:
        raise UserError(f"--device {name}: this machine has {count} GPU(s), the first is cuda:0")
    return name


def check_name(name: str) -> str:
    """Check that a name has the form of a device. Needs no torch.

    Args:
        name: What the user gave.

    Returns:
        The name itself.

    Raises:
        UserError: It has another form.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UserError(f"{name!r} is no device: auto, cpu, cuda or cuda:N")
    return name


def can_compute(device: str) -> bool:
    """Whether a device works: after some errors, such as an illegal address, a GPU refuses every call of a process."""
    import torch

    try:
        return float(torch.ones(1, device=device) + 1) == 2
    # torch.AcceleratorError, which torch before 2.8 lacks, is a RuntimeError.
    except (RuntimeError, AssertionError):
        return False


def upload(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of the CPU on a device, without waiting for that device.

    From ordinary memory a copy to a GPU begins when the GPU has done all that it was asked for. From pinned memory the GPU
    fetches it when its turn comes, and the host goes on.
    """
    on_gpu = str(device).startswith("cuda") and not tensor.is_cuda
    return (tensor.pin_memory() if on_gpu else tensor).to(device, non_blocking=on_gpu)


def parts(count: int, bytes_each: int, like: Tensor) -> list[slice]:
    """Cut work on `count` things, photographs or points, into parts; on a GPU it is one part.

    On a CPU a part's working memory stays in the cache, and is used again by the next part. Memory that is asked for anew has to
    be cleared by the system first, which takes about as long as to fill it.

    Args:
        count: of the things.
        bytes_each: working memory of one of them.
        like: a tensor on the device that is to work.
    """
    size = max(1, count if like.is_cuda else MOST_AT_HAND // max(1, bytes_each))
    return [slice(i, i + size) for i in range(0, count, size)]


def in_threads(work: Callable[[slice], T], count: int, like: Tensor) -> list[T]:
    """Cut work on `count` independent things into parts, and do all parts at the same time.

    torch cuts each operation among its threads, which then wait for each other, and leaves a small one to a single thread. Where
    things are many, threads that each do all that is to be done to some of them wait once, at the end.

    Args:
        work: is given a part. Modes of torch, such as `torch.no_grad`, are a thread's own: it must set those that it needs.
        count: of the things.
        like: a tensor on the device that is to work. On a CPU there is a part for each of torch's threads, and in it torch
            has one; on a GPU there is one part.

    Returns:
        What `work` returned, in order.
    """
    import torch

    threads = torch.get_num_threads()
    shares = 1 if like.is_cuda else max(1, min(threads, count))
    if shares == 1:
        return [work(slice(0, count))]
    cuts = [count * i // shares for i in range(shares + 1)]
    try:
        with ThreadPoolExecutor(shares, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, map(slice, cuts[:-1], cuts[1:])))
    finally:
        torch.set_num_threads(threads)  # those that others start later have as many as were set last


def check_one_device(**tensors: Tensor | None) -> None:
    """Check that the arguments of a function lie on one device. Needs no torch.

    Args:
        tensors: By the names that the user knows them by; None is on every device.

    Raises:
        ValueError: They do not; the message names each with its device.
    """
    devices = {name: tensor.device for name, tensor in tensors.items() if tensor is not None}
    if len(set(devices.values())) > 1:
        places = ", ".join(f"{name} is on {device}" for name, device in devices.items())
        raise ValueError(f"all must be on one device, and {places}: move them with `.to(…)`")
