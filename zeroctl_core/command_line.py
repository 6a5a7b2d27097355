"""The options of a command: one parser for all commands of the core, and how they refuse."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def read_options(kind: type[T], module: str, description: str | None, arguments: Sequence[str] | None = None) -> T:
    """The options of `python -m zeroctl_core.MODULE`: a dataclass, whose defaults and docstrings `--help` shows.

    Exits with status 2 for options that are unknown or that the dataclass refuses by a `ValueError`, and where tyro is
    not installed.
    """
    try:
        import tyro
    except ModuleNotFoundError as error:
        if error.name != "tyro":
            raise
        print('the command line needs tyro: pip install -e ".[demo]"', file=sys.stderr)
        raise SystemExit(2) from error
    return tyro.cli(kind, prog=f"python -m zeroctl_core.{module}", description=description, args=arguments)


def refuse(error: Exception) -> int:
    """Print why a command does nothing; the exit status for that."""
    print(f"error: {error}", file=sys.stderr)
    return 2
