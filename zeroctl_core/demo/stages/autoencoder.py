"""Stage 1: the autoencoder, on endless scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...train.draws import generator
from ...train.memory import channels_last
from ...train.optimisation import Optimisation
from ..autoencoder import Autoencoder
from ..following import follow_scores
from ..model import AUTOENCODER as FILE
from ..model import load_autoencoder, write_weights
from ..world import render, scenes
from .precision import bfloat16_if_native
from .stage import SEED, Scores, Stage

BATCH = 16
KL_WEIGHT = 1e-3
STATISTICS = 1024  # scenes whose latents are measured
SCORED = 512


PicturesOf = Callable[[int], Tensor]
"""Step -> the pictures of its batch, [B, 3, 8h, 8w] in 0..1."""


def scenes_of(step: int) -> Tensor:
    return render(scenes(SEED, step * BATCH, BATCH)).image


class AutoencoderTask:
    """L1 + 2 MSE + half the L1 distance of the gradients, which keeps edges sharp, + 0.001 KL divergence, which keeps
    latents near a unit ball, as in Rombach et al. 2022 without the discriminator. The weights of MSE and of the
    divergence may be others."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        pictures: PicturesOf = scenes_of,
        name: str = f"autoencoder seed {SEED}",
        *,
        square_weight: float = 2.0,
        kl_weight: float = KL_WEIGHT,
    ) -> None:
        self.autoencoder = channels_last(autoencoder).requires_grad_(True).train()
        self.pictures, self.name = pictures, name
        self.square_weight, self.kl_weight = square_weight, kl_weight

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder}

    def loss(self, step: int) -> Tensor:
        image = self.pictures(step)
        draw = generator(SEED, "augment", step)
        flips = [axis for axis in (2, 3) if torch.rand((), generator=draw) < 0.5]
        image = image.flip(flips).contiguous(memory_format=torch.channels_last)
        with bfloat16_if_native():
            mean, log_variance = self.autoencoder.distribution(image)
            noise = torch.randn(mean.shape, generator=draw)
            decoded = self.autoencoder.decode(mean + noise * (0.5 * log_variance).exp()).float()
        mean, log_variance = mean.float(), log_variance.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        error = decoded - image
        across = sum(error.diff(dim=axis).abs().mean() for axis in (2, 3))
        return error.abs().mean() + self.square_weight * error.square().mean() + 0.5 * across + self.kl_weight * kl


def new(weights: Path, work: Path) -> AutoencoderTask:
    torch.manual_seed(SEED)
    return AutoencoderTask(Autoencoder())


def shipped(weights: Path, work: Path) -> AutoencoderTask:
    return AutoencoderTask(load_autoencoder(weights))


def save(task: AutoencoderTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    pictures = (render(scenes(SEED, n, 64)).image for n in range(0, STATISTICS, 64))
    return save_folded(task.autoencoder, pictures, weights, record)


@torch.no_grad()
def save_folded(
    autoencoder: Autoencoder, pictures: Iterable[Tensor], weights: Path, record: Mapping[str, object]
) -> Path:
    """Write an autoencoder whose latents of these pictures have Stable Diffusion's mean and spread."""
    autoencoder.eval()
    latents = torch.cat([autoencoder.encode(part) for part in pictures])
    autoencoder.fold_statistics(latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    write_weights(weights / FILE, {"": autoencoder}, {"zeroctl.record": record})
    return weights / FILE


@torch.no_grad()
def score(weights: Path, work: Path) -> Scores:
    """PSNR in dB, and what the scores of samples can at best be: those of reconstructions."""
    autoencoder = load_autoencoder(weights)
    world = scenes(SEED, 0, SCORED, "held_out")
    images = render(world).image
    again = reconstructions(autoencoder, images)
    return {"psnr": psnr(again, images), **follow_scores(again, world)}


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
        steps=2800,
        learning_rate=2e-3,
        betas=(0.9, 0.99),
        warmup_steps=100,
        decay="cosine",
        ema_decay=0.998,
        checkpoint_every=200,
    ),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"psnr": 33.0, "iou": 0.92, "colour": 0.98, "background": 0.98},
)
