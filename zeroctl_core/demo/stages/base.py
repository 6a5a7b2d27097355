"""Stage 3: the UNet and its text encoder, by the objective of Stable Diffusion on latents of the world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...bases import BASES
from ...network.unet import UNet
from ...train.draws import batch_indices, generator
from ...train.memory import channels_last
from ...train.objective import Objective
from ...train.optimisation import Optimisation
from ..data import latents_of
from ..following import follow_scores
from ..judge import judge_accuracy
from ..model import MODEL, TEXT_PREFIX, UNET_PREFIX, DemoModel, load_autoencoder, load_judge, write_weights
from ..scoring import control_samples
from ..text import TextEncoder
from ..words import tokenise
from ..world import scene, scenes
from .stage import SEED, Scores, Stage

BATCH = 32
SCENES = 16_384
OBJECTIVE = Objective(
    high_noise=1.6,  # where a shape is decided
    snr_gamma=1.0,
    prompt_dropout=0.1,  # so that guidance has something to guide from
)
SCORED = 512
NAME = f"base seed {SEED} scenes {SCENES}"

PromptsOf = Callable[[int, list[int]], Tensor]
"""(step, scenes of its batch) -> the token numbers of what is said of them, int64 [B, T]."""


class BaseTask:
    """The objective of latent diffusion, arXiv 2112.10752 Eq. 2, for the UNet and its text encoder together."""

    def __init__(self, unet: UNet, text: TextEncoder, latents: Tensor, prompts: PromptsOf, name: str) -> None:
        self.unet = channels_last(unet).requires_grad_(True).train()
        self.text = text.requires_grad_(True).train()
        self.latents, self.prompts, self.name = latents, prompts, name

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"unet": self.unet, "text": self.text}

    def loss(self, step: int) -> Tensor:
        rows = batch_indices(SEED, step, BATCH, len(self.latents))
        latent = self.latents[rows].contiguous(memory_format=torch.channels_last)
        numbers = self.prompts(step, rows)
        t = OBJECTIVE.timesteps(SEED, step, BATCH)
        noise = torch.randn(latent.shape, generator=generator(SEED, "noise", step))
        noise = noise.contiguous(memory_format=torch.channels_last)
        eps = self.unet(OBJECTIVE.noised(latent, noise, t), t.float(), self.text(numbers))
        return OBJECTIVE.errors(eps, latent, noise, t).mean()


class Captions:
    """The whole caption of every scene, one in ten of them empty."""

    def __init__(self) -> None:
        self.numbers = torch.tensor([tokenise(scene(SEED, row).caption).numbers for row in range(SCENES)])
        self.empty = torch.tensor(tokenise("").numbers)

    def __call__(self, step: int, rows: list[int]) -> Tensor:
        return torch.where(OBJECTIVE.dropped(SEED, step, BATCH)[:, None], self.empty, self.numbers[rows])


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
    return BaseTask(unet, text, latents_of(load_autoencoder(weights), SEED, SCENES, work), Captions(), NAME)


def shipped(weights: Path, work: Path) -> BaseTask:
    model = DemoModel.load(weights)
    return BaseTask(model.unet, model.text, latents_of(model.autoencoder, SEED, SCENES, work), Captions(), NAME)


def save(task: BaseTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
    write_weights(weights / MODEL, {UNET_PREFIX: task.unet, TEXT_PREFIX: task.text}, {"zeroctl.record": record})
    return weights / MODEL


def score(weights: Path, work: Path, n: int = SCORED) -> Scores:
    """Samples of held-out combinations of names, judged by the judge and by closed colour formulas."""
    model, judge = DemoModel.load(weights), load_judge(weights)
    world = scenes(SEED, 0, n, "held_out")
    pictures = torch.cat(
        [control_samples(model, [], [one.caption for one in world[k : k + 64]], k) for k in range(0, n, 64)]
    )
    closed = follow_scores(pictures, world)
    accuracy = {f"judge_{key}": value for key, value in judge_accuracy(judge, pictures, world).items()}
    return {**accuracy, "colour": closed["colour"], "background": closed["background"]}


BASE = Stage(
    name="base",
    how=Optimisation(
        steps=6000,
        learning_rate=1.5e-3,
        betas=(0.9, 0.99),
        warmup_steps=100,
        decay="cosine",
        ema_decay=0.999,
        checkpoint_every=250,
    ),
    batch_size=BATCH,
    new=new,
    shipped=shipped,
    save=save,
    score=score,
    targets={"judge_shape": 0.93, "judge_colour": 0.98, "judge_background": 0.98, "colour": 0.98, "background": 0.98},
)
