"""The options of a command: one parser for all commands of the core, and how they end without a traceback."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import safetensors
import torch

T = TypeVar("T")

EXPECTED = (
    ValueError,
    FloatingPointError,
    OSError,
    ImportError,
    MemoryError,
    torch.cuda.OutOfMemoryError,
    safetensors.SafetensorError,  # what writing to a full disk raises
)
"""What the options, the files or the machine are to blame for; anything else is a fault of the program."""


def read_options(kind: type[T], module: str, description: str | None, arguments: Sequence[str] | None = None) -> T:
    """The options of `python -m zeroctl_core.MODULE`: a dataclass, whose defaults and docstrings `--help` shows.

    What has no default stands without a name before all others.

    Exits with status 2 for options that are unknown or that the dataclass refuses by a `ValueError`, and where tyro is
    not installed. From here on a character that the output cannot carry is written as its escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe on Windows has few characters, and a path may have any
            stream.reconfigure(errors="backslashreplace")
    try:
        import tyro
    except ModuleNotFoundError as error:
        if error.name != "tyro":
            raise
        print('the command line needs tyro: pip install -e ".[demo]"', file=sys.stderr)
        raise SystemExit(2) from error
    try:
        options = tyro.conf.PositionalRequiredArgs[kind]  # type: ignore[valid-type]
        return tyro.cli(options, prog=f"python -m zeroctl_core.{module}", description=description, args=arguments)
    except ValueError as error:  # tyro before 1.0.17 lets through what the dataclass raises
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def run_command(command: Callable[[], int]) -> int:
    """The exit status of a command: its own, 2 with `error: ...` for what is not its fault, 130 for Ctrl-C."""
    try:
        return command()
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except EXPECTED as error:
        print(f"error: {str(error) or 'the memory is full'}", file=sys.stderr)
        return 2
