"""The noise levels that Stable Diffusion 1.x, 2.x and XL were trained with."""

from __future__ import annotations

import math
from functools import cache

N_TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012  # "scaled linear": linear in the square root (CompVis/latent-diffusion)

NO_BOUND = 999999999.9  # ComfyUI's value at percent 0: above every sigma


@cache
def sd_sigmas() -> tuple[float, ...]:
    """sigma_t = sqrt((1 - abar_t) / abar_t) for t = 0..999: .0292 to 14.6146."""
    low, high = math.sqrt(BETA_START), math.sqrt(BETA_END)
    sigmas, abar = [], 1.0
    for t in range(N_TIMESTEPS):
        beta = (low + (high - low) * t / (N_TIMESTEPS - 1)) ** 2
        abar *= 1.0 - beta
        sigmas.append(math.sqrt((1.0 - abar) / abar))
    return tuple(sigmas)


def sd_sigma(t: float) -> float:
    """The noise level at a timestep in 0..999, interpolated in log sigma between whole timesteps.

    Raises `ValueError` for a timestep outside.
    """
    if not 0.0 <= t <= N_TIMESTEPS - 1:
        raise ValueError(f"the timestep is {t}; the schedule has 0 to {N_TIMESTEPS - 1}")
    sigmas = sd_sigmas()
    below = min(math.floor(t), N_TIMESTEPS - 2)
    share = t - below
    return math.exp((1.0 - share) * math.log(sigmas[below]) + share * math.log(sigmas[below + 1]))


def sd_percent_to_sigma(percent: float) -> float:
    """From a share of the timesteps, 0 at the noisiest, to sigma; at the ends as ComfyUI: `NO_BOUND` and 0."""
    if percent <= 0.0:
        return NO_BOUND
    if percent >= 1.0:
        return 0.0
    return sd_sigma((1.0 - percent) * (N_TIMESTEPS - 1))
