"""`python -m zeroctl_core.demo`: the embedded model and its controls.

Without options it writes one labelled picture and prints a table of scores. With `--condition` it follows a drawing of
your own: lines or a filled shape, in whatever colours, on a plain ground.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..annotators.pictures.sheet import check_sheet, write_picture, write_sheet
from ..command_line import read_options, run_command
from ..control.rows import Branches
from ..files.plural import plural
from ..files.written_whole import check_writable
from ..train.ranges import check_at_least, check_seed
from ..weighting import MODES
from .drawing import read_drawing
from .model import WEIGHTS, control_files
from .showing import Demo

WAYS: dict[Branches, tuple[str, Branches]] = {"cond": MODES["paper"], "both": MODES["balanced"]}
"""Side of the guidance -> weighting rule and side: on the cond side the paper's 64/h follows drawings best."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Raises `ValueError` for a seed out of its range."""

    condition: Path | None = None
    """A drawing of your own. It is brought to what the control reads (thinned, inverted, filled or outlined), and what
    was done is printed."""

    control: str = "edges"
    """Which embedded control reads it."""

    prompt: str = ""
    """With --condition: what it is to be, such as "a red thing on a white background". Empty: the model chooses."""

    branches: Branches = "cond"
    """Where the control acts with --condition: `cond` follows the drawing; with `both` a prompt of another thing wins
    over the drawing."""

    count: int = 4
    """Samples with --condition, of the seeds `seed`, `seed` + 1, ..."""

    samples: Path | None = None
    """With --condition: folder for every sample as a PNG of its own, as large as the model draws it, 192x192:
    FILE-SEED.png for FILE.png."""

    weights: Path | None = None
    """Folder of the embedded model. `None`: the package's own."""

    seed: int = 0
    """Of the noise and of the scenes."""

    out: Path = Path("zeroctl-demo.png")
    """The picture that is written."""

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        check_at_least("count", self.count, 1)
        if self.condition is None:
            for name in ("prompt", "samples"):
                if getattr(self, name):
                    raise ValueError(f"{name} is {getattr(self, name)}; it needs --condition, a drawing")


def check_options(options: Options, weights: Path) -> None:
    """Refuse what can be refused before weights are read. Raises `ValueError`."""
    names = control_files(weights)
    if options.control not in names:
        raise ValueError(f"control is {options.control}; the embedded controls are: {', '.join(names) or 'none'}")
    if options.condition is not None and not options.condition.is_file():
        raise ValueError(f"condition is {options.condition}; there is no such file")
    check_sheet(options.out)
    if options.samples is not None:
        check_writable(options.samples / "sample.png")


def run(options: Options) -> int:
    began, weights = time.perf_counter(), options.weights or WEIGHTS
    check_options(options, weights)
    drawing = None if options.condition is None else read_drawing(options.condition, options.control)
    demo = Demo(weights, options.seed)
    n_parameters = sum(parameter.numel() for parameter in demo.model.unet.parameters())
    print(f"zeroctl demo: embedded model of {n_parameters / 1e6:.1f} M parameters")
    if options.condition is not None and drawing is not None:
        for note in drawing.notes:
            print(f"{options.condition}: {note}")
        pictures = demo.own(
            options.condition.name,
            demo.unit(options.control, drawing.condition, *WAYS[options.branches]),
            options.prompt,
            options.count,
        )
        if options.samples is not None:
            write_samples(options.samples, options.condition.stem, options.seed, pictures)
    else:
        demo.prompts()
        demo.drawings()
        demo.repainted()
        demo.two_controls()
        demo.branches()
        demo.photograph()
    path = write_sheet(options.out, demo.rows, scale=demo.scale)
    print(f"\n{path} after {time.perf_counter() - began:.0f} s")
    return 0


def write_samples(folder: Path, stem: str, seed: int, pictures: Tensor) -> None:
    """Every picture [3, H, W] of a batch as `STEM-SEED.png`, the first one of `seed`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, seed):
        write_picture(folder / f"{stem}-{number}.png", picture)
    print(f"{plural(len(pictures), 'sample')} in {folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(Options, "demo", __doc__, arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
