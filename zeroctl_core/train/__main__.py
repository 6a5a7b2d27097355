"""`python -m zeroctl_core.train`: train a ControlNet, by default on the embedded model. Needs the extra `train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .checkpointing import ResumeError
from .config import ControlConfig
from .source import load_source

WORLD = "zeroctl_core.demo.source"


@dataclass(frozen=True)
class Options(ControlConfig):
    """Train a ControlNet for one condition on a locked base, by default the embedded model.

    Raises `ValueError` for a value out of its range.
    """

    source: str = WORLD
    """What is trained on: the dotted name of a module with a function `source(weights)`; zeroctl_core/train/source.py
    says what that returns. The default is the embedded world."""

    weights: Path | None = None
    """Folder of the base's weights. `None`: those that come with the source."""


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        import tyro
    except ModuleNotFoundError as error:
        if error.name != "tyro":
            raise
        print("the command line needs the extra `train`: pip install 'zeroctl[train]'", file=sys.stderr)
        return 2
    try:
        options = tyro.cli(
            Options,
            prog="python -m zeroctl_core.train",
            description="Train a ControlNet for one condition on a locked base, by default the embedded model.",
            args=arguments,
        )
        from .memory import keep_memory
        from .run import train_control  # after --help, which does not need it

        keep_memory()
        train_control(options, load_source(options.source, options.weights))
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except (ResumeError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
