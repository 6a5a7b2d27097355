"""Stage 1: the autoencoder, on parts of scenes, which hold more of the things and less of the ground.

Many small steps: eight parts a step reach after an eighth of the pixels what 32 a step reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...train.draws import batch_indices, generator
from ...train.memory import channels_last
from ...train.optimisation import Optimisation
from ..autoencoder import Autoencoder
from ..model import AUTOENCODER as FILE
from ..model import load_autoencoder, write_weights
from ..scene import SIZE, Scene, Split
from .drawn import drawn_scenes
from .precision import bfloat16_if_native
from .stage import SEED, Scores, Stage

BATCH = 8
PART = 64  # pixels a side: the network is one of convolutions, and a ninth of a picture costs a ninth
SCENES = 6144  # drawn once: drawing one costs as much as a step on one part
AT_ONCE = 64
SQUARE_WEIGHT, HALF_WEIGHT, KL_WEIGHT = 10.0, 0.5, 3e-3
STATISTICS = 1024
SCORED = 256


class AutoencoderTask:
    """L1 + 10 MSE + half the L1 distance of the gradients, which keeps edges sharp, + 0.003 KL divergence, which keeps
    the latent from what noise would destroy, as in Rombach et al. 2022 without the discriminator; and half the same
    distance between what the decoder makes of halved latents and the halved pictures: latents that can be resized as
    pictures can are smooth, and easier to draw by diffusion (Kouzelis et al. 2025, arXiv 2502.09509)."""

    name = f"autoencoder seed {SEED}"

    def __init__(self, autoencoder: Autoencoder, work: Path) -> None:
        self.autoencoder = channels_last(autoencoder).requires_grad_(True).train()
        self.work = work

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder}

    def loss(self, step: int) -> Tensor:
        image = parts_of(self.work, step)
        draw = generator(SEED, "augment", step)
        flips = [axis for axis in (2, 3) if torch.rand((), generator=draw) < 0.5]
        image = image.flip(flips).contiguous(memory_format=torch.channels_last)
        with bfloat16_if_native():
            mean, log_variance = self.autoencoder.distribution(image)
            noise = torch.randn(mean.shape, generator=draw)
            latent = mean + noise * (0.5 * log_variance).exp()
            decoded = self.autoencoder.decode(latent).float()
            small = self.autoencoder.decode(F.avg_pool2d(latent, 2)).float()
        mean, log_variance = mean.float(), log_variance.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        half = _distance(small, F.avg_pool2d(image, 2))
        return _distance(decoded, image) + HALF_WEIGHT * half + KL_WEIGHT * kl


def _distance(decoded: Tensor, image: Tensor) -> Tensor:
    error = decoded - image
    across = sum(error.diff(dim=axis).abs().mean() for axis in (2, 3))
    return error.abs().mean() + SQUARE_WEIGHT * error.square().mean() + 0.5 * across


@lru_cache(maxsize=1)
def drawn_once(work: Path) -> tuple[Tensor, list[Scene]]:
    """All pictures of the training, uint8 [SCENES, 3, 192, 192], and their scenes."""
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


def new(weights: Path, work: Path) -> AutoencoderTask:
    torch.manual_seed(SEED)
    return AutoencoderTask(Autoencoder(), work)


def shipped(weights: Path, work: Path) -> AutoencoderTask:
    return AutoencoderTask(load_autoencoder(weights), work)


@torch.no_grad()
def save(task: AutoencoderTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    """Write the autoencoder so that the latents of scenes have Stable Diffusion's mean and spread."""
    autoencoder = task.autoencoder.eval()
    pictures = (drawn_scenes(work, SEED, start, AT_ONCE).image for start in range(0, STATISTICS, AT_ONCE))
    latents = torch.cat([autoencoder.encode(part) for part in pictures])
    autoencoder.fold_statistics(latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    write_weights(weights / FILE, {"": autoencoder}, {"zeroctl.record": record})
    return weights / FILE


def score(weights: Path, work: Path) -> Scores:
    """PSNR in dB on whole scenes of known things, and of things that it never saw."""
    autoencoder = load_autoencoder(weights)
    names: dict[Split, str] = {"held_out": "psnr", "new_things": "psnr_new_things"}
    scores: Scores = {}
    for split, name in names.items():
        images = drawn_scenes(work, SEED, 0, SCORED, split).image
        scores[name] = psnr(reconstructions(autoencoder, images), images)
    return scores


@torch.no_grad()
def reconstructions(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """What an autoencoder makes of pictures [B, 3, 8h, 8w], the same shape in 0..1."""
    return torch.cat([autoencoder.decode(autoencoder.encode(part)) for part in torch.split(images, 64)]).clamp(0, 1)


def psnr(again: Tensor, images: Tensor) -> float:
    """Peak signal to noise ratio in dB, mean over the pictures."""
    return float((-10 * F.mse_loss(again, images, reduction="none").mean(dim=(1, 2, 3)).log10()).mean())


AUTOENCODER = Stage(
    name="autoencoder",
    how=Optimisation(
        steps=12_000,
        learning_rate=2e-3,
        betas=(0.9, 0.99),
        warmup_steps=100,
        decay="cosine",
        ema_decay=0.998,
        checkpoint_every=500,
    ),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"psnr": 34.0, "psnr_new_things": 33.0},
)
