"""What a network is asked to predict, at which timesteps, and how the errors are weighted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from ..network.noise_levels import N_TIMESTEPS, sd_sigmas
from ..sampling import Prediction
from .draws import generator
from .ranges import check_number, check_positive

STABLE_DIFFUSION = "stable_diffusion"
SCHEDULES: Mapping[str, Callable[[], tuple[float, ...]]] = {STABLE_DIFFUSION: sd_sigmas}
"""The noise that a base was trained with -> its sigmas by timestep. Stable Diffusion 1.x, 2.x and XL share one."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """E w(t) |target - prediction|^2 over latents, timesteps and noise.

    `eps`: the target is the noise (arXiv 2302.05543, Eq. 1, the objective of all SD 1.x and SDXL bases).
    `v`: it is sqrt(abar) eps - sqrt(1 - abar) z (Salimans and Ho, arXiv 2202.00512; the SD 2.1 768 base).
    Both, and the noise, are the base's and no setting of a run.

    Raises `ValueError` for an unknown prediction or schedule, and for a number out of its range.
    """

    prediction: Prediction = "eps"
    high_noise: float = 1.0  # timesteps are 1000 (1 - (1 - u)^p) for uniform u: 1 is uniform, above 1 favours noise
    snr_gamma: float | None = None  # min-SNR weight, Hang et al., arXiv 2303.09556; None: every timestep counts alike
    snr_power: float = 0.0  # the noise's error counts by SNR^-p: 0 is eps alike, 1 the latent alike, both at .5
    prompt_dropout: float = 0.5  # share of prompts replaced by the empty one, per step (the paper, section 3.3: 50 %)
    # not in the run's name: there the weights of the base stand for it
    schedule: str = field(default=STABLE_DIFFUSION, repr=False)
    _signal: Tensor = field(init=False, repr=False, compare=False)
    _noise: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.prediction not in get_args(Prediction):
            raise ValueError(f"the base predicts {self.prediction!r}; expected eps or v")
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"the base was trained with the noise schedule {self.schedule!r}; known are: {', '.join(SCHEDULES)}"
            )
        check_number("high_noise", self.high_noise, self.high_noise >= 1, "1 (uniform timesteps) or more")
        check_number("prompt_dropout", self.prompt_dropout, 0 <= self.prompt_dropout <= 1, "a share of 0 to 1")
        check_number(
            "snr_power", self.snr_power, 0 <= self.snr_power <= 1, "0 (errors of the noise) to 1 (of the latent)"
        )
        if self.snr_gamma is not None:
            check_positive("snr_gamma", self.snr_gamma)
            if self.snr_power:
                raise ValueError("snr_gamma and snr_power are two weights of the same errors; give one of them")
        sigmas = torch.tensor(SCHEDULES[self.schedule](), dtype=torch.float64)
        object.__setattr__(self, "_signal", (1 / (1 + sigmas**2)).sqrt().float())
        object.__setattr__(self, "_noise", (sigmas / (1 + sigmas**2).sqrt()).float())

    def timesteps(self, seed: int, step: int, batch_size: int) -> Tensor:
        """Whole timesteps of a batch, int64 [B], stratified: one u in every B-th part of 0..1."""
        draw = torch.rand(batch_size, generator=generator(seed, "timestep", step))
        u = (torch.arange(batch_size) + draw) / batch_size
        return (N_TIMESTEPS * (1 - (1 - u) ** self.high_noise)).long().clamp(0, N_TIMESTEPS - 1)

    def dropped(self, seed: int, step: int, batch_size: int) -> Tensor:
        """Which rows of a batch lose their prompt, bool [B]: drawn anew at every step."""
        return torch.rand(batch_size, generator=generator(seed, "dropout", step)) < self.prompt_dropout

    def noised(self, latent: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps, [B, 4, h, w]."""
        return self._at(self._signal, t, latent) * latent + self._at(self._noise, t, latent) * noise

    def target(self, latent: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the prediction is compared with, [B, 4, h, w]."""
        if self.prediction == "eps":
            return noise
        return self._at(self._signal, t, latent) * noise - self._at(self._noise, t, latent) * latent

    def errors(self, prediction: Tensor, latent: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The weighted squared error of every row, [B]."""
        error = (prediction - self.target(latent, noise, t)).square().mean(dim=(1, 2, 3))
        if self.snr_gamma is None and not self.snr_power:
            return error
        snr = (self._signal / self._noise).square()[t.cpu()].to(error.device)
        # the weight of the error of z itself; the other errors are that times SNR, or SNR + 1
        of_z = snr ** (1 - self.snr_power) if self.snr_gamma is None else snr.clamp(max=self.snr_gamma)
        return of_z / (snr if self.prediction == "eps" else snr + 1) * error

    @staticmethod
    def _at(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
        return values[t.cpu()].to(like.device, like.dtype)[:, None, None, None]
