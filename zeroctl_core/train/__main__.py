"""`python -m zeroctl_core.train`: train a ControlNet, by default on the embedded model. Needs the extra `train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..command_line import read_options, run_command
from .config import ControlConfig
from .memory import keep_memory
from .run import train_control
from .source import load_source

WORLD = "zeroctl_core.demo.source"


@dataclass(frozen=True, kw_only=True)
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
    options = read_options(
        Options,
        "train",
        "Train a ControlNet for one condition on a locked base, by default the embedded model.",
        arguments,
    )
    keep_memory()

    def train() -> int:
        train_control(options, load_source(options.source, options.weights))
        return 0

    return run_command(train)


if __name__ == "__main__":
    sys.exit(main())
