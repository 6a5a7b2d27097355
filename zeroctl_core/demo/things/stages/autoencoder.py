"""Stage 1: the autoencoder, on parts of endless scenes, which hold more of the things and less of the ground."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....train.optimisation import Optimisation
from ...autoencoder import Autoencoder
from ...model import load_autoencoder
from ...stages.autoencoder import AutoencoderTask, psnr, reconstructions, save_folded
from ...stages.stage import SEED, Scores, Stage
from ...world import SIZE
from ..scene import Split
from .drawn import drawn_scenes

BATCH = 32
PART = 64  # pixels a side: the network is one of convolutions, and a quarter of a picture costs a quarter
PARTS = 2  # of a scene: drawing one costs as much as a step on one part
STATISTICS = 1024
SCORED = 256
NAME = f"things autoencoder seed {SEED}"


def parts_of(work: Path, step: int) -> Tensor:
    """The batch of a step, [B, 3, 64, 64]: of every scene two parts, each around a place on a thing."""
    count = BATCH // PARTS
    truth = drawn_scenes(work, SEED, step * count, count)
    draw = np.random.Generator(np.random.Philox(key=[SEED, step]))
    parts = []
    for row, one in enumerate(truth.scenes):
        for _ in range(PARTS):
            thing = one.things[int(draw.integers(len(one.things)))]
            middles = (thing.x, thing.y) + draw.uniform(-0.5, 0.5, 2) * thing.size
            left, top = (int(np.clip(round(middle - PART / 2), 0, SIZE - PART)) for middle in middles)
            parts.append(truth.image[row, :, top : top + PART, left : left + PART])
    return torch.stack(parts)


def new(weights: Path, work: Path) -> AutoencoderTask:
    torch.manual_seed(SEED)
    return AutoencoderTask(Autoencoder(), lambda step: parts_of(work, step), NAME)


def shipped(weights: Path, work: Path) -> AutoencoderTask:
    return AutoencoderTask(load_autoencoder(weights), lambda step: parts_of(work, step), NAME)


def save(task: AutoencoderTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    pictures = (drawn_scenes(work, SEED, n, 64).image for n in range(0, STATISTICS, 64))
    return save_folded(task.autoencoder, pictures, weights, record)


def score(weights: Path, work: Path) -> Scores:
    """PSNR in dB on whole scenes of known things, and of things that it never saw."""
    autoencoder = load_autoencoder(weights)
    names: dict[Split, str] = {"held_out": "psnr", "new_things": "psnr_new_things"}
    scores: Scores = {}
    for split, name in names.items():
        images = drawn_scenes(work, SEED, 0, SCORED, split).image
        scores[name] = psnr(reconstructions(autoencoder, images), images)
    return scores


AUTOENCODER = Stage(
    name="autoencoder",
    how=Optimisation(
        steps=4600,
        learning_rate=2e-3,
        betas=(0.9, 0.99),
        warmup_steps=100,
        decay="cosine",
        ema_decay=0.998,
        checkpoint_every=100,
    ),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"psnr": 34.0, "psnr_new_things": 33.0},
)
