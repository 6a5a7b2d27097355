"""Stage 3: the UNet and its text encoder, by the objective of Stable Diffusion on latents of the world, with another
damaged caption of a scene each time that it comes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...bases import BASES
from ...network.unet import UNet
from ...train.draws import batch_indices, generator
from ...train.memory import channels_last
from ...train.objective import Objective
from ...train.optimisation import Optimisation
from ..autoencoder import Autoencoder
from ..captions import caption, damaged_caption
from ..data import CHUNK, encoded
from ..judge import judge_scores
from ..model import MODEL, TEXT_PREFIX, UNET_PREFIX, DemoModel, load_autoencoder, load_judge, write_weights
from ..scene import scenes
from ..scoring import control_samples
from ..text import TextEncoder
from ..words import tokenise
from .drawn import drawn_scenes
from .stage import SEED, Scores, Stage

BATCH = 32
SCENES = 40_960
OBJECTIVE = Objective(
    snr_power=0.5,  # each noise level has a like share of the loss: the prompt decides at the high ones, whose errors
    # are the smallest
)
SCORED = 384
SAMPLED_AT_ONCE = 32


class BaseTask:
    """The objective of latent diffusion, arXiv 2112.10752 Eq. 2, for the UNet and its text encoder together."""

    name = f"base seed {SEED} scenes {SCENES}"

    def __init__(self, unet: UNet, text: TextEncoder, latents: Tensor) -> None:
        self.unet = channels_last(unet).requires_grad_(True).train()
        self.text = text.requires_grad_(True).train()
        self.latents, self.scenes = latents, scenes(SEED, 0, SCENES)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"unet": self.unet, "text": self.text}

    def loss(self, step: int) -> Tensor:
        rows = batch_indices(SEED, step, BATCH, len(self.latents))
        latent = self.latents[rows].contiguous(memory_format=torch.channels_last)
        numbers = self._prompts(step, rows)
        t = OBJECTIVE.timesteps(SEED, step, BATCH)
        noise = torch.randn(latent.shape, generator=generator(SEED, "noise", step))
        noise = noise.contiguous(memory_format=torch.channels_last)
        eps = self.unet(OBJECTIVE.noised(latent, noise, t), t.float(), self.text(numbers))
        return OBJECTIVE.errors(eps, latent, noise, t).mean()

    def _prompts(self, step: int, rows: list[int]) -> Tensor:
        """What is said of scenes at a step, all, a part or nothing: token numbers, int64 [B, T]."""
        draw = np.random.Generator(np.random.Philox(key=[SEED, step]))
        return torch.tensor([tokenise(damaged_caption(self.scenes[row], draw)).numbers for row in rows])


@torch.no_grad()
def quiet_branches(unet: UNet) -> None:
    """Start the ends of all branches, and the output, at 0, as the released openaimodel.py does."""
    for name, parameter in unet.named_parameters():
        if ".out_layers.3." in name or ".proj_out." in name or name.startswith("out.2."):
            parameter.zero_()


def new(weights: Path, work: Path) -> BaseTask:
    torch.manual_seed(SEED)
    unet, text = UNet(BASES["tiny"]), TextEncoder()
    quiet_branches(unet)
    return BaseTask(unet, text, latents_of(load_autoencoder(weights), work))


def shipped(weights: Path, work: Path) -> BaseTask:
    model = DemoModel.load(weights)
    return BaseTask(model.unet, model.text, latents_of(model.autoencoder, work))


def latents_of(autoencoder: Autoencoder, work: Path) -> Tensor:
    def pictures(start: int) -> Tensor:
        return (drawn_scenes(work, SEED, start, CHUNK).image * 255).round() / 255  # as a file would hold it

    return encoded(autoencoder, pictures, f"latents-{SEED}", SCENES, work)


def save(task: BaseTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    write_weights(weights / MODEL, {UNET_PREFIX: task.unet, TEXT_PREFIX: task.text}, {"zeroctl.record": record})
    return weights / MODEL


def score(weights: Path, work: Path, n: int = SCORED) -> Scores:
    """Samples of the whole captions of held-out scenes, as the judge sees them."""
    model, judge = DemoModel.load(weights), load_judge(weights)
    world = scenes(SEED, 0, n, "held_out")
    parts = [world[k : k + SAMPLED_AT_ONCE] for k in range(0, n, SAMPLED_AT_ONCE)]
    pictures = [
        control_samples(model, [], [caption(one) for one in part], k * SAMPLED_AT_ONCE) for k, part in enumerate(parts)
    ]
    return judge_scores(judge, torch.cat(pictures), world)


BASE = Stage(
    name="base",
    how=Optimisation(
        steps=16_000,
        learning_rate=1.5e-3,
        matrix_rate=0.01,
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
