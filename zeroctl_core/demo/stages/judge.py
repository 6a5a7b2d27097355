"""Stage 2: the judge, on renders and on what the autoencoder makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...train.draws import generator
from ...train.memory import channels_last
from ...train.optimisation import Optimisation
from ..autoencoder import Autoencoder
from ..judge import Judge, judge_accuracy, names_of
from ..model import JUDGE as FILE
from ..model import load_autoencoder, load_judge, write_weights
from ..world import render, scenes
from .precision import bfloat16_if_native
from .stage import SEED, Scores, Stage

BATCH = 32  # half of them renders, the other half reconstructions
BLUR = 0.03  # standard deviation of the noise on the pictures
SCORED = 512
SCENES_FROM = 1_000_000  # scenes that no other stage uses


class JudgeTask:
    """Cross entropy of the three names."""

    name = f"judge seed {SEED}"

    def __init__(self, judge: Judge, autoencoder: Autoencoder) -> None:
        self.judge = judge.requires_grad_(True).train()
        self.autoencoder = channels_last(autoencoder)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"judge": self.judge}

    def loss(self, step: int) -> Tensor:
        # every combination of names may be learnt: the judge is not a model of what goes with what
        half = BATCH // 2
        world = [one for split in ("train", "held_out") for one in scenes(SEED, SCENES_FROM + step * half, half, split)]
        order = torch.randperm(BATCH, generator=generator(SEED, "order", step)).tolist()
        world = [world[row] for row in order]
        images = render(world).image
        draw = generator(SEED, "augment", step)
        with torch.no_grad(), bfloat16_if_native():
            part = images[:half].contiguous(memory_format=torch.channels_last)
            images[:half] = self.autoencoder.decode(self.autoencoder.encode(part)).float()
        images = images + BLUR * torch.randn(images.shape, generator=draw)
        truth = names_of(world)
        return torch.stack(
            [F.cross_entropy(scores, right) for scores, right in zip(self.judge(images), truth, strict=True)]
        ).sum()


def new(weights: Path, work: Path) -> JudgeTask:
    torch.manual_seed(SEED)
    return JudgeTask(Judge(), load_autoencoder(weights))


def shipped(weights: Path, work: Path) -> JudgeTask:
    return JudgeTask(load_judge(weights), load_autoencoder(weights))


def save(task: JudgeTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    write_weights(weights / FILE, {"": task.judge}, {"zeroctl.record": record})
    return weights / FILE


@torch.no_grad()
def score(weights: Path, work: Path) -> Scores:
    """The judge's own ceiling: the share of names that it finds in renders and in reconstructions."""
    autoencoder, judge = load_autoencoder(weights), load_judge(weights)
    world = scenes(SEED, SCENES_FROM, SCORED, "held_out")
    images = render(world).image
    again = torch.cat([autoencoder.decode(autoencoder.encode(part)) for part in torch.split(images, 64)])
    scores = {f"render_{key}": value for key, value in judge_accuracy(judge, images, world).items()}
    return {**scores, **{f"reconstruction_{key}": value for key, value in judge_accuracy(judge, again, world).items()}}


JUDGE = Stage(
    name="judge",
    how=Optimisation(steps=900, learning_rate=2e-3, warmup_steps=50, decay="cosine", checkpoint_every=300),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"reconstruction_shape": 0.97, "reconstruction_colour": 0.98, "reconstruction_background": 0.98},
)
