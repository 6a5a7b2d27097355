"""Sampling: from noise to a latent, with guidance and controls, by the numbers of a host's Euler sampler."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from .canvas.cells import PIXELS_PER_CELL
from .control.rows import Rows
from .control.run import Run
from .control.stack import ControlStack
from .network.noise_levels import N_TIMESTEPS, STABLE_DIFFUSION, percent_to_sigma, sigmas_of
from .network.spec import LATENT_CHANNELS
from .network.unet import UNet

Prediction = Literal["eps", "v"]
"""What a base predicts: the noise (arXiv 2302.05543, Eq. 1), or sqrt(abar) eps - sqrt(1 - abar) z (Salimans and Ho,
arXiv 2202.00512; the SD 2.1 768 base)."""


def normal_sigmas(steps: int, schedule: str = STABLE_DIFFUSION) -> Tensor:
    """The noise levels of a run of `steps` steps: even in the timestep from 999 to 0, then 0; [steps + 1], falling.

    Equal to the scheduler "normal" of ComfyUI to the bit: where a step lies halfway between two timesteps, the last
    bit decides which one the UNet gets.
    """
    levels = _log_sigmas(schedule)
    sigmas = []
    for t in torch.linspace(N_TIMESTEPS - 1, 0, steps):
        share = t.frac()
        log_sigma = (1 - share) * levels[t.floor().long()] + share * levels[t.ceil().long()]
        sigmas.append(float(log_sigma.exp()))
    return torch.tensor([*sigmas, 0.0])


def timestep_of(sigma: Tensor, schedule: str = STABLE_DIFFUSION) -> Tensor:
    """The training timestep whose noise level is nearest in log sigma: sigma [] -> [], a whole number as float32."""
    return (_log_sigmas(schedule) - sigma.log()).abs().argmin().float()


@cache
def _log_sigmas(schedule: str) -> Tensor:
    return torch.tensor(sigmas_of(schedule), dtype=torch.float64).log().float()


def noise_of(seeds: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Standard normal noise for a latent of each seed: size is (height, width) in pixels -> [B, 4, h, w].

    Each row is what ComfyUI's sampler draws on the CPU for that seed and a batch of one.
    """
    shape = (1, LATENT_CHANNELS, size[0] // PIXELS_PER_CELL, size[1] // PIXELS_PER_CELL)
    return torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def sample(
    unet: UNet,
    noise: Tensor,
    context: Tensor,
    empty: Tensor,
    *,
    y: Tensor | None = None,
    empty_y: Tensor | None = None,
    prediction: Prediction = "eps",
    schedule: str = STABLE_DIFFUSION,
    stack: ControlStack | None = None,
    guidance: float,
    steps: int,
) -> Tensor:
    """Denoise by Euler's method (Karras et al., arXiv 2206.00364, Algorithm 1 without the second-order correction).

    noise [B, 4, h, w], context [B, T, D] and empty [1 or B, T, D], and where the base takes them y [B, Y] and empty_y
    [1 or B, Y], all on the device of the UNet -> latents [B, 4, h, w] of spread near 1. `guidance` is the scale of Ho
    and Salimans, arXiv 2207.12598: eps_u + guidance (eps_c - eps_u); at 1 the rows without prompt are not computed.
    Sample r of the batch has the condition image r mod n of a unit. `schedule` is the base's, as in training.
    """
    sigmas = normal_sigmas(steps, schedule)
    batch = noise.shape[0]
    run = Run(partial(percent_to_sigma, sigmas=sigmas_of(schedule)), sigmas)
    guided = guidance != 1.0
    roles = ("cond",) * batch + ("uncond",) * batch * guided
    rows = Rows(roles, tuple(range(batch)) * (1 + guided), (None,) * len(roles))
    if guided:
        context = torch.cat((context, empty.expand_as(context)))
        y = None if y is None or empty_y is None else torch.cat((y, empty_y.expand_as(y)))
    x = noise * math.sqrt(1 + float(sigmas[0]) ** 2)  # as much as the noisiest training latent has
    for step in range(len(sigmas) - 1):
        sigma, following = float(sigmas[step]), float(sigmas[step + 1])
        t = timestep_of(sigmas[step], schedule).to(x.device).expand(len(roles))
        scaled = (x / math.sqrt(sigma**2 + 1)).repeat(1 + guided, 1, 1, 1)
        residuals = None if stack is None else stack(scaled, t, context, y, sigma=sigma, run=run, rows=rows)
        eps = _noise_in(unet(scaled, t, context, y, residuals), scaled, sigma, prediction)
        if guided:
            with_prompt, without = eps.chunk(2)
            eps = without + guidance * (with_prompt - without)
        x = x + (following - sigma) * eps
    return x


def _noise_in(predicted: Tensor, scaled: Tensor, sigma: float, prediction: Prediction) -> Tensor:
    """The noise that a prediction means: sqrt(abar) v + sqrt(1 - abar) z_t for v, with abar = 1 / (1 + sigma^2)."""
    return predicted if prediction == "eps" else (predicted + sigma * scaled) / math.sqrt(1 + sigma**2)
