"""Samples to latents, conditions and contexts: what a run reads, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ...annotator_files.annotator_net import AnnotatorNet
from ...annotators import ANNOTATORS
from ...annotators.params import Value
from ...canvas import resize_condition
from ...canvas.placing import crop_box
from ...network.picture_sizes import PictureSizes, sizes_of_crop
from ..display import Say
from ..source import TrainingBase, takes_sizes
from .cache import Index, previous_index, remove_unnamed
from .keys import key_of
from .sample import Sample
from .table import ROWS, Row, Shard, fill_shards, shards_of

Report = Callable[[int, int], None]
"""Called with the number of rows that are there, and of all."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a picture and its condition come to their size, and what draws the condition where it is not given.

    `annotator` is a name of `ANNOTATORS`, `settings` its own, and `net` what it needs with them. Pictures are cut to
    the middle of the same proportions as `size`, the pair alike.
    """

    size: tuple[int, int]  # height and width in pixels, multiples of 8
    annotator: str = ""
    settings: Mapping[str, Value] = field(default_factory=dict)
    net: AnnotatorNet | None = None

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

    def sizes(self, pixels: Tensor) -> PictureSizes:
        """What `fitted` makes of a picture [3, H, W], as SDXL is told. Raises what `fitted` raises."""
        original = (pixels.shape[1], pixels.shape[2])
        return sizes_of_crop(original, crop_box(*original, *self.size), self.size)

    def drawn(self, picture: Tensor) -> Tensor:
        """What the annotator draws from a picture [1, 3, height, width]."""
        annotate: Callable[..., Tensor] = ANNOTATORS[self.annotator]
        net = {} if self.net is None else {"net": self.net.load()}
        return annotate(picture, **net, **self.settings).clamp(0, 1)

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
        net = [] if self.net is None else [self.net.digest]
        return key_of("condition", self.picture_key(sample), self.annotator, dict(self.settings), *net)


def share_of(samples: Sequence[Sample], part: tuple[int, int]) -> list[Sample]:
    """Which samples one of several machines prepares: (3, 16) is the third of sixteen shares.

    Every n-th shard of the whole; where a sample cannot be used, the join moves those behind it.
    """
    number, count = part
    ordered = _in_order(samples)
    shares = (ordered[start : start + ROWS] for start in range((number - 1) * ROWS, len(ordered), count * ROWS))
    return [sample for share in shares for sample in share]


@torch.no_grad()
def prepare_share(
    samples: Sequence[Sample],
    drawing: Drawing,
    base: TrainingBase,
    folder: Path,
    report: Report = lambda n, all_rows: None,
) -> None:
    """Encode a share of the samples into a folder, without an index: `prepare` joins the files of all shares.

    Raises what `prepare` raises, but for numbers of samples: a share may have none.
    """
    _fill(_tables(_in_order(samples), drawing, base), folder, report)


@torch.no_grad()
def prepare(
    samples: Sequence[Sample],
    drawing: Drawing,
    base: TrainingBase,
    folder: Path,
    *,
    held_out: int,
    report: Report = lambda n, all_rows: None,
    say: Say = lambda text: None,
) -> Index:
    """Encode samples for a base into a folder; the index of what a run reads.

    Whatever of it is in the folder is kept, so that a process that was killed goes on, and only what changed is made
    anew. Shares of several machines come together by putting their files into one folder and preparing there once
    more. The first `held_out` samples by a hash of their names are kept for scores, and no run trains on them.

    What the index does not name stays until the set changes once more: a run may be reading it, and going back costs
    nothing. What neither this set nor the one before it needs is removed, and `say` tells how much.

    Raises `ValueError` for no samples, for more held-out ones than there are, and for what a picture's reading raises;
    `OSError` where the disk is full.
    """
    if len(samples) <= held_out:
        raise ValueError(
            f"{len(samples)} samples were found, and {held_out} are to be held out for scores; give more samples or "
            "hold out fewer"
        )
    samples = _in_order(samples)
    tables = _tables(samples, drawing, base)
    files = _fill(tables, folder, report)
    rows = {caption: row for row, caption in enumerate(_captions(samples))}
    index = Index(
        names=tuple(sample.name for sample in samples),
        captions=tuple(rows[sample.caption] for sample in samples),
        held_out=held_out,
        annotator=drawing.annotator,
        settings=drawing.settings_text,
        network="" if drawing.net is None else drawing.net.digest,
        size=drawing.size,
        encoders=base.encoders,
        latents=files["latents"],
        conditions=files["conditions"],
        prompts=files["prompts"],
    )
    before = previous_index(folder)
    if before is None or before.key != index.key:
        # first, so that a process that is killed between the two removes the rest the next time
        remove_unnamed(folder, (index,) if before is None else (index, before), say)
        index.write(folder)
    return index


def _in_order(samples: Sequence[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: key_of(sample.name))


def _captions(samples: Sequence[Sample]) -> list[str]:
    """The empty prompt, and every caption once."""
    return list(dict.fromkeys(["", *(sample.caption for sample in samples)]))


def _fill(tables: Mapping[str, Table], folder: Path, report: Report) -> dict[str, tuple[str, ...]]:
    """Write what lacks; the files of every table in order."""
    n_rows, there = sum(len(table.keys) for table in tables.values()), 0

    def count(shard: Shard) -> None:
        nonlocal there
        there += len(shard.keys)
        report(there, n_rows)

    folder.mkdir(parents=True, exist_ok=True)
    shards = {name: shards_of(name, table.keys) for name, table in tables.items()}
    for name, table in tables.items():
        fill_shards(folder, shards[name], table.make, count)
    return {name: tuple(shard.file for shard in of_table) for name, of_table in shards.items()}


@dataclass(frozen=True)
class Table:
    """The keys of the rows in order, and what makes a row from its key."""

    keys: Sequence[str]
    make: Callable[[str], Row]


def _tables(samples: Sequence[Sample], drawing: Drawing, base: TrainingBase) -> dict[str, Table]:
    return {
        "latents": _latents(samples, drawing, base),
        "conditions": _conditions(samples, drawing),
        "prompts": _prompts(_captions(samples), base),
    }


def _latents(samples: Sequence[Sample], drawing: Drawing, base: TrainingBase) -> Table:
    has_sizes = takes_sizes(base)
    parts = [base.encoders[0], *["sizes"] * has_sizes]
    keys = [key_of("latent", drawing.picture_key(sample), *parts) for sample in samples]
    by_key = dict(zip(keys, samples, strict=True))

    def make(key: str) -> Row:
        pixels = by_key[key].picture.read()
        mean, deviation = base.encode(drawing.fitted(pixels))
        row = {"mean": mean[0].float(), "deviation": deviation[0].float()}
        return {**row, "sizes": torch.tensor(drawing.sizes(pixels).numbers)} if has_sizes else row

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
