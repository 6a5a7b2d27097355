"""`python -m zeroctl_core.train`: train a ControlNet, by default on the embedded model. Needs the extra `train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..command_line import read_options, run_command
from .config import ControlConfig
from .memory import keep_memory
from .prepare.source import PreparedSource
from .run import train_control
from .source import WORLD, Source, load_source


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

    data: Path | None = None
    """Folder that `python -m zeroctl_core.train.prepare` wrote: what is trained on, and what the control follows.
    `None`: the data of the source."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data is not None and self.data_seed != ControlConfig.data_seed:
            raise ValueError("data_seed is of a source that draws its samples; it has no meaning with data")


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(
        Options,
        "train",
        "Train a ControlNet for one condition on a locked base, by default the embedded model.",
        arguments,
    )
    keep_memory()

    def train() -> int:
        config, source = of_data(options, load_source(options.source, options.weights))
        train_control(config, source)
        return 0

    return run_command(train)


def of_data(options: Options, base: Source) -> tuple[Options, Source]:
    """The options and the source of a run: with `data`, the condition is that of the data.

    Raises `ValueError` for another condition than that.
    """
    if options.data is None:
        return options, base
    source = PreparedSource(base, options.data)
    own = source.index.condition
    if options.condition not in (own, ControlConfig.condition):
        raise ValueError(f"condition is {options.condition!r}, and {options.data} holds {own!r}; leave the option out")
    return replace(options, condition=own), source


if __name__ == "__main__":
    sys.exit(main())
