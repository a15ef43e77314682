"""python -m helpers COMMAND: the course's code without notebooks."""

from __future__ import annotations

import argparse
import io
import os
import sys

from helpers.commands import load_commands
from helpers.device import check_name, resolve
from helpers.errors import UserError

INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words of the command line; None for those of this process.

    Returns:
        The exit status; 2 for wrong arguments.
    """
    _let_any_name_be_printed()
    try:
        commands = load_commands()  # takes a moment, in which somebody may have thought better of it
        args = build_parser(commands).parse_args(arguments)
    except KeyboardInterrupt:
        print("helpers: interrupted", file=sys.stderr)
        return INTERRUPTED
    command = commands[args.command]
    try:
        if getattr(command, "NEEDS_DEVICE", True):
            args.device = resolve(args.device)
    except UserError as error:
        print(f"helpers {args.command}: {error}", file=sys.stderr)
        return 2
    try:
        return command.run(args)
    except UserError as error:
        print(f"helpers {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"helpers {args.command}: {str(stop) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, `head` for one, has gone. Nothing is left to print, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # A full disk, a folder that was taken away: what is wrong is not in the program, and a traceback would not help.
        print(
            f"helpers {args.command}: {error.filename or 'a file'}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1


def _let_any_name_be_printed() -> None:
    """A file's name may hold bytes that are no text, as from an old archive: they are printed as \\udce9 and the like."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def build_parser(commands: dict) -> argparse.ArgumentParser:
    """Make the parser of all commands, each with --device and --seed.

    Args:
        commands: Their modules by name.
    """
    parser = argparse.ArgumentParser(prog="python -m helpers", description="From a photograph to a 3D face.")
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        its_parser = choices.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(its_parser)
        its_parser.add_argument(
            "--device",
            type=_device,
            default="auto",
            metavar="auto|cpu|cuda",
            help="where to compute (default: auto)",
        )
        its_parser.add_argument("--seed", type=_seed, default=0, help="of all random numbers (default: 0)")
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 0 to 2³² − 1 is expected")
    return int(text)


def _device(text: str) -> str:
    try:
        return check_name(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
