"""Stage 1: the autoencoder, on endless scenes."""

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


class AutoencoderTask:
    """L1 + 2 MSE + half the L1 distance of the gradients, which keeps edges sharp, + 0.001 KL divergence, which keeps
    latents near a unit ball, as in Rombach et al. 2022 without the discriminator."""

    name = f"autoencoder seed {SEED}"

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = channels_last(autoencoder).requires_grad_(True).train()

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder}

    def loss(self, step: int) -> Tensor:
        image = render(scenes(SEED, step * BATCH, BATCH)).image
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
        return error.abs().mean() + 2 * error.square().mean() + 0.5 * across + KL_WEIGHT * kl


def new(weights: Path, work: Path) -> AutoencoderTask:
    torch.manual_seed(SEED)
    return AutoencoderTask(Autoencoder())


def shipped(weights: Path, work: Path) -> AutoencoderTask:
    return AutoencoderTask(load_autoencoder(weights))


@torch.no_grad()
def save(task: AutoencoderTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    autoencoder = task.autoencoder.eval()
    latents = torch.cat([autoencoder.encode(render(scenes(SEED, n, 64)).image) for n in range(0, STATISTICS, 64)])
    autoencoder.fold_statistics(latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    write_weights(weights / FILE, {"": autoencoder}, {"zeroctl.record": record})
    return weights / FILE


@torch.no_grad()
def score(weights: Path) -> Scores:
    """PSNR in dB, and what the scores of samples can at best be: those of reconstructions."""
    autoencoder = load_autoencoder(weights)
    world = scenes(SEED, 0, SCORED, "held_out")
    images = render(world).image
    again = torch.cat([autoencoder.decode(autoencoder.encode(part)) for part in torch.split(images, 64)]).clamp(0, 1)
    psnr = -10 * F.mse_loss(again, images, reduction="none").mean(dim=(1, 2, 3)).log10()
    return {"psnr": float(psnr.mean()), **follow_scores(again, world)}


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
