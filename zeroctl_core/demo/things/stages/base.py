"""Stage 3: the UNet and its text encoder, with another damaged caption of a scene each time that it comes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....bases import BASES
from ....network.unet import UNet
from ....train.optimisation import Optimisation
from ...autoencoder import Autoencoder
from ...data import CHUNK, encoded
from ...model import MODEL, TEXT_PREFIX, UNET_PREFIX, write_weights
from ...scoring import control_samples
from ...stages.base import BATCH, BaseTask, quiet_branches
from ...stages.stage import SEED, Scores, Stage
from ..captions import caption, damaged_caption
from ..judge import judge_scores
from ..model import ThingsModel, load_things_autoencoder, load_things_judge
from ..scene import scenes
from ..text import ThingsTextEncoder
from ..words import tokenise
from .drawn import drawn_scenes

SCENES = 32_768
NAME = f"things base seed {SEED} scenes {SCENES}"
SCORED = 384
SAMPLED_AT_ONCE = 32


class DamagedCaptions:
    """What is said of a scene at a step: all, a part or nothing, drawn anew for every step."""

    def __init__(self) -> None:
        self.scenes = scenes(SEED, 0, SCENES)

    def __call__(self, step: int, rows: list[int]) -> Tensor:
        draw = np.random.Generator(np.random.Philox(key=[SEED, step]))
        return torch.tensor([tokenise(damaged_caption(self.scenes[row], draw)).numbers for row in rows])


def new(weights: Path, work: Path) -> BaseTask:
    torch.manual_seed(SEED)
    unet, text = UNet(BASES["tiny"]), ThingsTextEncoder()
    quiet_branches(unet)
    return BaseTask(unet, text, latents_of(load_things_autoencoder(weights), work), DamagedCaptions(), NAME)


def shipped(weights: Path, work: Path) -> BaseTask:
    model = ThingsModel.load(weights)
    return BaseTask(model.unet, model.text, latents_of(model.autoencoder, work), DamagedCaptions(), NAME)


def latents_of(autoencoder: Autoencoder, work: Path) -> Tensor:
    def pictures(start: int) -> Tensor:
        return drawn_scenes(work, SEED, start, CHUNK).image

    return encoded(autoencoder, pictures, f"latents-things-{SEED}", SCENES, work)


def save(task: BaseTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    write_weights(weights / MODEL, {UNET_PREFIX: task.unet, TEXT_PREFIX: task.text}, {"zeroctl.record": record})
    return weights / MODEL


def score(weights: Path, work: Path, n: int = SCORED) -> Scores:
    """Samples of the whole captions of held-out scenes, as the judge sees them."""
    model, judge = ThingsModel.load(weights), load_things_judge(weights)
    world = scenes(SEED, 0, n, "held_out")
    parts = [world[k : k + SAMPLED_AT_ONCE] for k in range(0, n, SAMPLED_AT_ONCE)]
    pictures = [
        control_samples(model, [], [caption(one) for one in part], k * SAMPLED_AT_ONCE) for k, part in enumerate(parts)
    ]
    return judge_scores(judge, torch.cat(pictures), world)


BASE = Stage(
    name="base",
    how=Optimisation(
        steps=12000,
        learning_rate=1.5e-3,
        betas=(0.9, 0.99),
        warmup_steps=100,
        decay="cosine",
        ema_decay=0.999,
        checkpoint_every=100,
    ),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"thing": 0.85, "both": 0.80, "sides": 0.70, "ground": 0.95},
)
