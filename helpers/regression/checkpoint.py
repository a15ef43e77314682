"""All that a training run needs to go on as if it had not been cut off, in one file."""

from __future__ import annotations

import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from helpers.errors import UserError
from helpers.files import why_unreadable, write_in_one_step
from helpers.regression.settings import TrainSettings

VERSION = 1
# What may differ between a run and its continuation: it does not change what a step computes.
FREE_TO_CHANGE = ("steps", "minutes", "patience")


def save_checkpoint(path: str | Path, state: dict, settings: TrainSettings) -> None:
    """Write the state of a run with its settings; the file appears whole or not at all.

    Args:
        path: The file.
        state: Tensors, numbers, lists and dicts of them.
        settings: Of the run.
    """
    content = {"version": VERSION, "settings": asdict(settings), **state}
    write_in_one_step(path, lambda file: torch.save(content, file))


def check_folder(folder: str | Path, resume: bool) -> None:
    """Refuse a folder that does not fit what is asked for.

    Args:
        folder: Of the run.
        resume: Whether a run goes on.

    Raises:
        UserError: Unless the folder holds a run to go on from, or none where a run is to begin.
    """
    there = (Path(folder) / "last.pt").exists()
    if resume and not there:
        raise UserError(
            f"{folder}: holds no last.pt to go on from: start without --resume, or name the folder of the run"
        )
    if there and not resume:
        raise UserError(
            f"{folder}: holds a training run already: go on with --resume, or name another folder"
        )


def load_checkpoint(path: str | Path, settings: TrainSettings | None = None) -> dict:
    """Read the state that `save_checkpoint` wrote. Nothing in the file is run (`weights_only`).

    Args:
        path: The file.
        settings: Of the run that goes on; None where the state is only looked at.

    Returns:
        The state, on the CPU, with "settings" as a dict.

    Raises:
        UserError: For a file that is not a checkpoint, and where the settings differ in what would make the run another one.
    """
    state = read_checkpoint(path)
    if "settings" not in state:
        raise UserError(f"{path}: is of a run with --network encoder: resume with it, or name another folder")
    if settings is not None:
        then = asdict(TrainSettings()) | state["settings"]  # what older files do not name had the default
        now = asdict(settings)
        if now["precision"] == "auto":
            now["precision"] = then["precision"]
        # Along a cosine, or in a warm-up, the length of the run sets every step's rate.
        by_length = settings.schedule == "cosine" or settings.warmup > 0
        free = FREE_TO_CHANGE[2:] if by_length else FREE_TO_CHANGE
        changed = [name for name in now if name not in free and then.get(name) != now[name]]
        if changed:
            name = changed[0]
            raise UserError(
                f"{path}: was made with {name} {then.get(name)!r}, now it is {now[name]!r}: resume with the same settings"
            )
    return state


def read_checkpoint(path: str | Path) -> dict:
    """Read the state of any run. Nothing in the file is run (`weights_only`).

    Args:
        path: The file.

    Returns:
        The state, on the CPU.

    Raises:
        UserError: For a file that is not a checkpoint.
    """
    state = load_sound(
        Path(path),
        "no such checkpoint: start without --resume",
        "cannot be read as a checkpoint: damaged, or of another program; start anew in another folder",
    )
    if not isinstance(state, dict) or state.get("version") != VERSION or "step" not in state:
        raise UserError(f"{path}: is no checkpoint of this version of `helpers train`")
    return state


def load_sound(path: Path, missing: str, damaged: str) -> Any:
    """Read what `torch.save` wrote, on the CPU, after a look at the checksums of its parts, which torch passes over.

    Nothing in the file is run (`weights_only`).

    Args:
        path: The file.
        missing: What to tell of a file that is not there, after its name.
        damaged: What to tell of one that is damaged or something else.

    Raises:
        UserError: For such files.
    """
    if not path.exists():
        raise UserError(f"{path}: {missing}")
    try:
        if (reason := why_unreadable(path)) is not None:
            raise ValueError(reason)
        with zipfile.ZipFile(path) as parts:
            if (part := parts.testzip()) is not None:
                raise ValueError(f"its part {part} is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise many kinds
        raise UserError(f"{path}: {damaged}") from error
