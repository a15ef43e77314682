"""The option --model, which most commands have, and the face model that it names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from helpers.errors import UserError

if TYPE_CHECKING:
    from helpers.face_model import MorphableModel


def add_model(parser: argparse._ActionsContainer, of: str = "") -> None:
    """Give a parser, or a group of one, the option --model.

    Args:
        parser: The parser or group.
        of: Whose face model it is, for --help.
    """
    parser.add_argument(
        "--model", default="open", metavar="open|PATH", help=f"face model{of} (default: open)"
    )


def load_model(args: argparse.Namespace, **how: Any) -> MorphableModel:
    """Load the face model that --model names.

    Args:
        args: The parsed arguments.
        **how: See `helpers.face_model.load`.

    Returns:
        The model.

    Raises:
        UserError: It cannot be read, or has no landmarks to lay it over a photograph by.
    """
    from helpers.face_model import load

    try:
        model = load(args.model, **how)
    except (ValueError, OSError) as error:
        raise UserError(f"--model {args.model}: {' '.join(str(error).split())}") from error
    if model.landmarks is None:
        raise UserError(f"--model {args.model}: has no landmarks, so it cannot be laid over a photograph")
    return model
