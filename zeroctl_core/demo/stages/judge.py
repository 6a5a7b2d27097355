"""Stage 2: the judge, on scenes and on what the autoencoder makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...train.draws import batch_indices, generator
from ...train.memory import channels_last
from ...train.optimisation import Optimisation
from ..judge import Judge, class_cells, judge_scores
from ..model import JUDGE as FILE
from ..model import load_autoencoder, load_judge, write_weights
from ..scene import SIZE, Split
from .autoencoder import reconstructions
from .drawn import drawn_scenes
from .precision import bfloat16_if_native
from .stage import SEED, Scores, Stage

COUNTS: dict[Split, int] = {"train": 6144, "held_out": 2304, "new_grounds": 1536, "new_things": 2304}
"""Scenes: every thing, pair and ground may be learnt, the judge is not a model of what goes with what."""
SCENES = sum(COUNTS.values())
BATCH = 32
AT_ONCE = 64
NOISE = 0.04  # standard deviation: samples are not as smooth as scenes
NOTHING_WEIGHT = 0.3  # of cells of the ground, which are three in four
SCENES_FROM = 1_000_000  # scenes that no other stage uses
SCORED = 384


class JudgeTask:
    """Cross entropy of the class of every cell."""

    name = f"judge seed {SEED}"

    def __init__(self, judge: Judge, weights: Path, work: Path) -> None:
        self.judge = channels_last(judge).requires_grad_(True).train()
        self.pictures, self.cells = drawn_once(weights, work)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"judge": self.judge}

    def loss(self, step: int) -> Tensor:
        rows = torch.tensor(batch_indices(SEED, step, BATCH, SCENES))
        draw = generator(SEED, "augment", step)
        again = (torch.rand(BATCH, generator=draw) < 0.5).long()
        images = self.pictures[again, rows].float() / 255
        images = images + NOISE * torch.randn(images.shape, generator=draw)
        cells = self.cells[rows]
        if torch.rand((), generator=draw) < 0.5:
            images, cells = images.flip(3), cells.flip(2)
        with bfloat16_if_native():
            scores = self.judge(images.contiguous(memory_format=torch.channels_last)).float()
        weight = torch.ones(scores.shape[1])
        weight[0] = NOTHING_WEIGHT
        return F.cross_entropy(scores, cells, weight)


@lru_cache(maxsize=1)
def drawn_once(weights: Path, work: Path) -> tuple[Tensor, Tensor]:
    """All scenes of the training and what the autoencoder makes of them, uint8 [2, SCENES, 3, 192, 192], and the
    classes of their cells, int64 [SCENES, 16, 16]."""
    autoencoder = channels_last(load_autoencoder(weights))
    pictures = torch.empty(2, SCENES, 3, SIZE, SIZE, dtype=torch.uint8)
    cells, row = [], 0
    for split, count in COUNTS.items():
        for start in range(0, count, AT_ONCE):
            truth = drawn_scenes(work, SEED, SCENES_FROM + start, AT_ONCE, split)
            for n, images in enumerate((truth.image, reconstructions(autoencoder, truth.image))):
                pictures[n, row : row + AT_ONCE] = (images * 255).round().to(torch.uint8)
            cells.append(class_cells(truth.scenes, truth.number))
            row += AT_ONCE
    return pictures, torch.cat(cells)


def new(weights: Path, work: Path) -> JudgeTask:
    torch.manual_seed(SEED)
    return JudgeTask(Judge(), weights, work)


def shipped(weights: Path, work: Path) -> JudgeTask:
    return JudgeTask(load_judge(weights), weights, work)


def save(task: JudgeTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    write_weights(weights / FILE, {"": task.judge}, {"zeroctl.record": record})
    return weights / FILE


def score(weights: Path, work: Path) -> Scores:
    """The judge's own ceiling: what it finds in scenes and in reconstructions."""
    autoencoder, judge = load_autoencoder(weights), load_judge(weights)
    marks: dict[Split, str] = {"held_out": "", "new_things": "new_"}
    scores: Scores = {}
    for split, mark in marks.items():
        truth = drawn_scenes(work, SEED, SCENES_FROM - SCORED, SCORED, split)
        for kind, images in (("scene", truth.image), ("reconstruction", reconstructions(autoencoder, truth.image))):
            results = judge_scores(judge, images, truth.scenes)
            scores |= {f"{kind}_{mark}{key}": value for key, value in results.items()}
    return scores


JUDGE = Stage(
    name="judge",
    how=Optimisation(steps=3000, learning_rate=2e-3, warmup_steps=100, decay="cosine", checkpoint_every=100),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"reconstruction_thing": 0.95, "reconstruction_both": 0.90, "reconstruction_sides": 0.90},
)
