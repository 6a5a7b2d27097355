"""The noise levels that Stable Diffusion 1.x, 2.x and XL were trained with, and those without signal at their end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

N_TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012  # "scaled linear": linear in the square root (CompVis/latent-diffusion)

NO_BOUND = 999999999.9  # ComfyUI's value at percent 0: above every sigma
NO_SIGNAL = 4.8973451890853435e-08  # abar in the place of 0 where a sampler begins: ComfyUI's, a sigma of 4518.8

STABLE_DIFFUSION, ZERO_TERMINAL_SNR = "stable_diffusion", "zero_terminal_snr"


@cache
def sd_abar() -> tuple[float, ...]:
    """abar_t, the share of the picture in the variance of a noisy latent, for t = 0..999: .9992 to .0047."""
    low, high = math.sqrt(BETA_START), math.sqrt(BETA_END)
    levels, abar = [], 1.0
    for t in range(N_TIMESTEPS):
        abar *= 1.0 - (low + (high - low) * t / (N_TIMESTEPS - 1)) ** 2
        levels.append(abar)
    return tuple(levels)


@cache
def zero_terminal_abar() -> tuple[float, ...]:
    """abar_t with nothing of the picture at t = 999: its square root is shifted to 0 there, and scaled to keep t = 0.

    Source: Lin et al., arXiv 2305.08891, Algorithm 1; `rescale_zero_terminal_snr` of diffusers.
    """
    roots = [math.sqrt(abar) for abar in sd_abar()]
    first, last = roots[0], roots[-1]
    return tuple(((root - last) * first / (first - last)) ** 2 for root in roots)


SCHEDULES: Mapping[str, Callable[[], tuple[float, ...]]] = {
    STABLE_DIFFUSION: sd_abar,
    ZERO_TERMINAL_SNR: zero_terminal_abar,
}
"""The noise that a base was trained with -> its abar by timestep. Stable Diffusion 1.x, 2.x and XL share the first."""


@cache
def sigmas_of(schedule: str) -> tuple[float, ...]:
    """sigma_t = sqrt((1 - abar_t) / abar_t) for t = 0..999, for sampling: finite, as `NO_SIGNAL` stands for 0."""
    return tuple(math.sqrt((1.0 - abar) / abar) for abar in (level or NO_SIGNAL for level in SCHEDULES[schedule]()))


def sd_sigmas() -> tuple[float, ...]:
    """sigma_t of Stable Diffusion for t = 0..999: .0292 to 14.6146."""
    return sigmas_of(STABLE_DIFFUSION)


def sigma_at(t: float, sigmas: Sequence[float]) -> float:
    """The noise level at a timestep in 0..999, interpolated in log sigma between whole timesteps.

    Raises `ValueError` for a timestep outside.
    """
    if not 0.0 <= t <= N_TIMESTEPS - 1:
        raise ValueError(f"the timestep is {t}; the schedule has 0 to {N_TIMESTEPS - 1}")
    below = min(math.floor(t), N_TIMESTEPS - 2)
    share = t - below
    return math.exp((1.0 - share) * math.log(sigmas[below]) + share * math.log(sigmas[below + 1]))


def percent_to_sigma(percent: float, sigmas: Sequence[float]) -> float:
    """From a share of the timesteps, 0 at the noisiest, to sigma; at the ends as ComfyUI: `NO_BOUND` and 0."""
    if percent <= 0.0:
        return NO_BOUND
    if percent >= 1.0:
        return 0.0
    return sigma_at((1.0 - percent) * (N_TIMESTEPS - 1), sigmas)


def sd_sigma(t: float) -> float:
    """`sigma_at` of Stable Diffusion."""
    return sigma_at(t, sd_sigmas())


def sd_percent_to_sigma(percent: float) -> float:
    """`percent_to_sigma` of Stable Diffusion."""
    return percent_to_sigma(percent, sd_sigmas())
