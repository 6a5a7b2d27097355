"""Stage 1: the autoencoder, on parts of scenes, which hold more of the things and less of the ground.

Many small steps: eight parts a step reach after an eighth of the pixels what 32 a step reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....train.draws import batch_indices
from ....train.optimisation import Optimisation
from ...autoencoder import Autoencoder
from ...stages.autoencoder import AutoencoderTask, psnr, reconstructions, save_folded
from ...stages.stage import SEED, Scores, Stage
from ...world import SIZE
from ..model import AUTOENCODER_WIDTHS, load_things_autoencoder
from ..scene import Scene, Split
from .drawn import drawn_scenes

BATCH = 8
PART = 64  # pixels a side: the network is one of convolutions, and a quarter of a picture costs a quarter
SCENES = 8192  # drawn once: drawing one costs as much as a step on one part
AT_ONCE = 64
SQUARE_WEIGHT, KL_WEIGHT = 10.0, 1e-4
STATISTICS = 1024
SCORED = 256
NAME = f"things autoencoder seed {SEED}"


@lru_cache(maxsize=1)
def drawn_once(work: Path) -> tuple[Tensor, list[Scene]]:
    """All pictures of the training, uint8 [SCENES, 3, 128, 128], and their scenes."""
    images = torch.empty(SCENES, 3, SIZE, SIZE, dtype=torch.uint8)
    world: list[Scene] = []
    for start in range(0, SCENES, AT_ONCE):
        truth = drawn_scenes(work, SEED, start, AT_ONCE)
        images[start : start + AT_ONCE] = (truth.image * 255).round().to(torch.uint8)
        world += truth.scenes
    return images, world


def parts_of(work: Path, step: int) -> Tensor:
    """The batch of a step, [B, 3, 64, 64] in 0..1: of every scene a part around a place on a thing."""
    images, world = drawn_once(work)
    draw = np.random.Generator(np.random.Philox(key=[SEED, step]))
    parts = []
    for row in batch_indices(SEED, step, BATCH, SCENES):
        things = world[row].things
        thing = things[int(draw.integers(len(things)))]
        middles = (thing.x, thing.y) + draw.uniform(-0.5, 0.5, 2) * thing.size
        left, top = (int(np.clip(round(middle - PART / 2), 0, SIZE - PART)) for middle in middles)
        parts.append(images[row, :, top : top + PART, left : left + PART])
    return torch.stack(parts).float() / 255


def _task(autoencoder: Autoencoder, work: Path) -> AutoencoderTask:
    return AutoencoderTask(
        autoencoder, lambda step: parts_of(work, step), NAME, square_weight=SQUARE_WEIGHT, kl_weight=KL_WEIGHT
    )


def new(weights: Path, work: Path) -> AutoencoderTask:
    torch.manual_seed(SEED)
    return _task(Autoencoder(AUTOENCODER_WIDTHS), work)


def shipped(weights: Path, work: Path) -> AutoencoderTask:
    return _task(load_things_autoencoder(weights), work)


def save(task: AutoencoderTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    pictures = (drawn_scenes(work, SEED, n, 64).image for n in range(0, STATISTICS, 64))
    return save_folded(task.autoencoder, pictures, weights, record)


def score(weights: Path, work: Path) -> Scores:
    """PSNR in dB on whole scenes of known things, and of things that it never saw."""
    autoencoder = load_things_autoencoder(weights)
    names: dict[Split, str] = {"held_out": "psnr", "new_things": "psnr_new_things"}
    scores: Scores = {}
    for split, name in names.items():
        images = drawn_scenes(work, SEED, 0, SCORED, split).image
        scores[name] = psnr(reconstructions(autoencoder, images), images)
    return scores


AUTOENCODER = Stage(
    name="autoencoder",
    how=Optimisation(
        steps=40_000,
        learning_rate=2e-3,
        betas=(0.9, 0.99),
        warmup_steps=100,
        decay="cosine",
        ema_decay=0.999,
        checkpoint_every=500,
    ),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"psnr": 34.0, "psnr_new_things": 33.0},
)
