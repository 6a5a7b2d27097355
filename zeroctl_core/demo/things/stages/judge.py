"""Stage 2: the judge, on scenes and on what the autoencoder makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....train.draws import generator
from ....train.memory import channels_last
from ....train.optimisation import Optimisation
from ...autoencoder import Autoencoder
from ...model import JUDGE as FILE
from ...model import write_weights
from ...stages.autoencoder import reconstructions
from ...stages.stage import SEED, Scores, Stage
from ..judge import ThingsJudge, class_cells, judge_scores
from ..model import load_things_autoencoder, load_things_judge
from ..scene import Split, scenes
from .drawn import drawn, drawn_scenes

SHARES: dict[Split, int] = {"train": 16, "held_out": 6, "new_grounds": 4, "new_things": 6}
"""Scenes of a batch: every thing, pair and ground may be learnt, the judge is not a model of what goes with what."""
BATCH = sum(SHARES.values())
RECONSTRUCTED = 8  # of a batch: more would cost more than the judge itself
NOISE = 0.04  # standard deviation: samples are not as smooth as scenes
NOTHING_WEIGHT = 0.3  # of cells of the ground, which are three in four
SCENES_FROM = 1_000_000  # scenes that no other stage uses
SCORED = 384


class ThingsJudgeTask:
    """Cross entropy of the class of every cell."""

    name = f"things judge seed {SEED}"

    def __init__(self, judge: ThingsJudge, autoencoder: Autoencoder, work: Path) -> None:
        self.judge = channels_last(judge).requires_grad_(True).train()
        self.autoencoder, self.work = channels_last(autoencoder), work

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"judge": self.judge}

    def loss(self, step: int) -> Tensor:
        world = [one for split, n in SHARES.items() for one in scenes(SEED, SCENES_FROM + step * n, n, split)]
        world = [world[row] for row in torch.randperm(BATCH, generator=generator(SEED, "order", step)).tolist()]
        truth = drawn(self.work, world)
        images = truth.image
        images[:RECONSTRUCTED] = reconstructions(self.autoencoder, images[:RECONSTRUCTED])
        images = images + NOISE * torch.randn(images.shape, generator=generator(SEED, "augment", step))
        scores = self.judge(images.contiguous(memory_format=torch.channels_last))
        weight = torch.ones(scores.shape[1])
        weight[0] = NOTHING_WEIGHT
        return F.cross_entropy(scores, class_cells(world, truth.number), weight)


def new(weights: Path, work: Path) -> ThingsJudgeTask:
    torch.manual_seed(SEED)
    return ThingsJudgeTask(ThingsJudge(), load_things_autoencoder(weights), work)


def shipped(weights: Path, work: Path) -> ThingsJudgeTask:
    return ThingsJudgeTask(load_things_judge(weights), load_things_autoencoder(weights), work)


def save(task: ThingsJudgeTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    write_weights(weights / FILE, {"": task.judge}, {"zeroctl.record": record})
    return weights / FILE


def score(weights: Path, work: Path) -> Scores:
    """The judge's own ceiling: what it finds in scenes and in reconstructions."""
    autoencoder, judge = load_things_autoencoder(weights), load_things_judge(weights)
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
    how=Optimisation(steps=600, learning_rate=3e-3, warmup_steps=50, decay="cosine", checkpoint_every=50),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"reconstruction_thing": 0.95, "reconstruction_both": 0.90, "reconstruction_sides": 0.90},
)
