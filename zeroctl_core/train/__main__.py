"""`python -m zeroctl_core.train`: train a ControlNet, by default on the embedded model. Needs the extra `train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..annotator_files.annotator_net import AnnotatorFolder, default_folder
from ..annotators import ANNOTATORS
from ..annotators.settings_text import parse_settings
from ..command_line import read_options, run_command
from .checkpoint_base import CheckpointBase
from .config import ControlConfig
from .memory import keep_memory
from .prepare.source import PreparedSource
from .run import train_control
from .score import SCORES
from .source import WORLD, Source, TrainingBase, load_source


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

    base: Path | None = None
    """Whole checkpoint of SD 1.x, SD 2.x or SDXL to train on, in the place of `source`; with `data` that was encoded
    by its autoencoder and text encoder. These are not run here, so no samples are scored. What it predicts, v or eps,
    and its noise are read from the file as ComfyUI reads them."""

    data: Path | None = None
    """Folder that `python -m zeroctl_core.train.prepare` wrote: what is trained on, and what the control follows.
    `None`: the data of the source."""

    annotators: Path | None = None
    """Folder with the files of the annotators' networks, as for the preparation: scores draw the conditions again.
    `None`: ComfyUI's models/annotators where this is one of its custom nodes, else models/annotators."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data is not None and self.data_seed != ControlConfig.data_seed:
            raise ValueError("data_seed is of a source that draws its samples; it has no meaning with data")
        if self.base is not None and (self.source, self.weights) != (WORLD, None):
            raise ValueError("base is a file, source and weights name another base; give one of the two")
        if self.base is not None and self.data is None:
            raise ValueError("base has no data of its own; expected data, a folder of samples encoded for it")


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(
        Options,
        "train",
        "Train a ControlNet for one condition on a locked base, by default the embedded model.",
        arguments,
    )
    keep_memory()

    def train() -> int:
        if options.base is not None and options.data is not None:
            config, source = of_checkpoint(options, options.base, options.data)
        else:
            config, source = of_data(options, load_source(options.source, options.weights))
        train_control(config, source)
        return 0

    return run_command(train)


def of_checkpoint(options: Options, path: Path, data: Path) -> tuple[Options, Source]:
    """The options and the source of a run on a file; without scores, which is said, for it decodes no samples.

    Raises what `CheckpointBase` and `of_data` raise.
    """
    base = CheckpointBase(path)
    print(f"{path.name}: {base.checkpoint.base.title}, predicts {base.prediction}, noise schedule {base.schedule}")
    if options.score_every:
        print(f"no samples are scored: the autoencoder of {path.name} is not run here; the gap tells what is learnt")
    return _on_prepared(replace(options, score_every=0), base, data)


def of_data(options: Options, base: Source) -> tuple[Options, Source]:
    """The options and the source of a run: with `data`, the condition is that of the data.

    Raises `ValueError` for another condition than that, and where scores need a network that is not there.
    """
    return (options, base) if options.data is None else _on_prepared(options, base, options.data)


def _on_prepared(options: Options, base: TrainingBase, data: Path) -> tuple[Options, Source]:
    source = PreparedSource(base, data)
    own = source.index.condition
    if options.condition not in (own, ControlConfig.condition):
        raise ValueError(f"condition is {options.condition!r}, and {data} holds {own!r}; leave the option out")
    index = source.index
    if index.network and index.annotator in SCORES and index.held_out and options.score_every:
        annotator = ANNOTATORS[index.annotator]
        files = AnnotatorFolder(options.annotators or default_folder())
        source.net = files.same_net(annotator, parse_settings(annotator, index.settings), index.network)
    return replace(options, condition=own), source


if __name__ == "__main__":
    sys.exit(main())
