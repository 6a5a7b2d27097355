"""`python -m zeroctl_core.demo`: the embedded model and its controls, on scenes that training never saw.

Without options it writes one labelled picture and prints a table of scores. With `--condition` it draws with your own
picture as the condition.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..annotators.pictures.sheet import check_sheet, write_sheet
from ..command_line import read_options, run_command
from ..train.ranges import check_seed
from .model import WEIGHTS, control_files
from .picture_file import read_picture
from .showing import Demo


@dataclass(frozen=True, kw_only=True)
class Options:
    """Raises `ValueError` for a seed out of its range."""

    condition: Path | None = None
    """Your own condition image, such as a white outline on black."""

    control: str = "edges"
    """Which embedded control reads it."""

    prompt: str = "a yellow star on a blue background"
    """With --condition."""

    weights: Path | None = None
    """Folder of the embedded model. `None`: the package's own."""

    seed: int = 0
    """Of the noise and of the scenes."""

    out: Path = Path("zeroctl-demo.png")
    """The picture that is written."""

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)


def check_options(options: Options, weights: Path) -> None:
    """Refuse what can be refused before weights are read. Raises `ValueError`."""
    names = control_files(weights)
    if options.control not in names:
        raise ValueError(f"control is {options.control}; the embedded controls are: {', '.join(names) or 'none'}")
    if options.condition is not None and not options.condition.is_file():
        raise ValueError(f"condition is {options.condition}; there is no such file")
    check_sheet(options.out)


def run(options: Options) -> int:
    began, weights = time.perf_counter(), options.weights or WEIGHTS
    check_options(options, weights)
    image = None if options.condition is None else read_picture(options.condition)
    demo = Demo(weights, options.seed)
    n_parameters = sum(parameter.numel() for parameter in demo.model.unet.parameters())
    print(f"zeroctl demo: embedded model of {n_parameters / 1e6:.1f} M parameters")
    if options.condition is not None and image is not None:
        demo.own(options.condition, image, options.control, options.prompt)
    else:
        demo.held_out()
        demo.without_prompt()
        demo.outside()
    path = write_sheet(options.out, demo.rows)
    print(f"\n{path} after {time.perf_counter() - began:.0f} s")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(Options, "demo", __doc__, arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
