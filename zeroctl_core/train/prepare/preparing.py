"""Samples to latents, conditions and contexts: what a run reads, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ...annotators import ANNOTATORS
from ...annotators.params import Value
from ...canvas import resize_condition
from ...canvas.placing import crop_box
from ..source import TrainingBase
from .cache import Index
from .keys import key_of
from .sample import Sample
from .table import Row, Shard, fill_shards, shards_of

PARTS = (1, 1)
"""Which share of the shards is made, and of how many: (3, 16) is the third of sixteen."""

Report = Callable[[int, int], None]
"""Called with the number of rows that are there, and of all."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a picture and its condition come to their size, and what draws the condition where it is not given.

    `annotator` is a name of `ANNOTATORS`, and `settings` its own. Pictures are cut to the middle of the same
    proportions as `size`, the pair alike.
    """

    size: tuple[int, int]  # height and width in pixels, multiples of 8
    annotator: str = ""
    settings: Mapping[str, Value] = field(default_factory=dict)

    def picture(self, sample: Sample) -> Tensor:
        """[1, 3, height, width] in 0..1, filtered as it becomes smaller."""
        return self.fitted(sample.picture.read())

    def condition(self, sample: Sample) -> Tensor:
        """[1, 3, height, width] in 0..1: drawn from the picture at its size, or the given one by the nodes' rule."""
        if sample.condition is None:
            return self.drawn(self.picture(sample))
        return self.placed(sample.condition.read())

    def fitted(self, pixels: Tensor) -> Tensor:
        """A picture [3, H, W] at its size. Raises `ValueError` where the cut would leave nothing of it."""
        top, left, h, w = crop_box(pixels.shape[1], pixels.shape[2], *self.size)
        cut = pixels[None, :, top : top + h, left : left + w]
        return F.interpolate(cut, size=self.size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)

    def drawn(self, picture: Tensor) -> Tensor:
        """What the annotator draws from a picture [1, 3, height, width]."""
        annotate: Callable[..., Tensor] = ANNOTATORS[self.annotator]
        return annotate(picture, **self.settings).clamp(0, 1)

    def placed(self, pixels: Tensor) -> Tensor:
        """A given condition [3, H, W] at its size."""
        return resize_condition(pixels[None], *self.size, "crop").image.clamp(0, 1)

    @property
    def settings_text(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())

    def picture_key(self, sample: Sample) -> str:
        return key_of("picture", sample.picture.key, list(self.size))

    def condition_key(self, sample: Sample) -> str:
        if sample.condition is not None:
            return key_of("condition", sample.condition.key, list(self.size))
        return key_of("condition", self.picture_key(sample), self.annotator, dict(self.settings))


@torch.no_grad()
def prepare(
    samples: Sequence[Sample],
    drawing: Drawing,
    base: TrainingBase,
    folder: Path,
    *,
    held_out: int,
    part: tuple[int, int] = PARTS,
    report: Report = lambda n, all_rows: None,
) -> Index | None:
    """Encode samples for a base into a folder; the index of what a run reads, or None where this was a share only.

    Whatever of it is in the folder is kept, so that a process that was killed goes on, and only what changed is made
    anew. Nothing is removed: a run may be reading what the index no longer names, and going back costs nothing. Shares
    of several machines come together by putting their files into one folder and preparing there once more. The first
    `held_out` samples by a hash of their names are kept for scores, and no run trains on them.

    Raises `ValueError` for no samples, for more held-out ones than there are, and for what a picture's reading raises;
    `OSError` where the disk is full.
    """
    if len(samples) <= held_out:
        raise ValueError(
            f"{len(samples)} samples were found, and {held_out} are to be held out for scores; give more samples or "
            "hold out fewer"
        )
    samples = sorted(samples, key=lambda sample: key_of(sample.name))
    captions = list(dict.fromkeys(["", *(sample.caption for sample in samples)]))
    tables = {
        "latents": _latents(samples, drawing, base),
        "conditions": _conditions(samples, drawing),
        "prompts": _prompts(captions, base),
    }
    shards = {name: shards_of(name, table.keys) for name, table in tables.items()}
    n_rows, there = sum(len(table.keys) for table in tables.values()), 0

    def count(shard: Shard) -> None:
        nonlocal there
        there += len(shard.keys)
        report(there, n_rows)

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        fill_shards(folder, shards[name][part[0] - 1 :: part[1]], table.make, count)
    if part != PARTS:
        return None
    numbers = {caption: row for row, caption in enumerate(captions)}
    files = {name: tuple(shard.file for shard in shards[name]) for name in shards}
    index = Index(
        names=tuple(sample.name for sample in samples),
        captions=tuple(numbers[sample.caption] for sample in samples),
        held_out=held_out,
        annotator=drawing.annotator,
        settings=drawing.settings_text,
        size=drawing.size,
        encoders=base.encoders,
        latents=files["latents"],
        conditions=files["conditions"],
        prompts=files["prompts"],
    )
    index.write(folder)
    return index


@dataclass(frozen=True)
class Table:
    """The keys of the rows in order, and what makes a row from its key."""

    keys: Sequence[str]
    make: Callable[[str], Row]


def _latents(samples: Sequence[Sample], drawing: Drawing, base: TrainingBase) -> Table:
    keys = [key_of("latent", drawing.picture_key(sample), base.encoders[0]) for sample in samples]
    by_key = dict(zip(keys, samples, strict=True))

    def make(key: str) -> Row:
        mean, deviation = base.encode(drawing.picture(by_key[key]))
        return {"mean": mean[0].float(), "deviation": deviation[0].float()}

    return Table(keys, make)


def _conditions(samples: Sequence[Sample], drawing: Drawing) -> Table:
    keys = [drawing.condition_key(sample) for sample in samples]
    by_key = dict(zip(keys, samples, strict=True))

    def make(key: str) -> Row:
        return {"pixels": (drawing.condition(by_key[key])[0] * 255).round().to(torch.uint8)}

    return Table(keys, make)


def _prompts(captions: Sequence[str], base: TrainingBase) -> Table:
    keys = [key_of("prompt", caption, base.encoders[1]) for caption in captions]
    by_key = dict(zip(keys, captions, strict=True))

    def make(key: str) -> Row:
        prompts = base.encode_prompts([by_key[key]])
        row = {"context": prompts.context[0].float()}
        return row if prompts.y is None else {**row, "y": prompts.y[0].float()}

    return Table(keys, make)
