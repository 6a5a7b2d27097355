"""The two noise schedules against diffusers', and their ends."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers_twins import diffusers

from zeroctl_core.network.noise_levels import (
    N_TIMESTEPS,
    NO_BOUND,
    SCHEDULES,
    ZERO_TERMINAL_SNR,
    percent_to_sigma,
    sd_abar,
    sd_percent_to_sigma,
    sd_sigmas,
    sigmas_of,
)
from zeroctl_core.sampling import normal_sigmas, timestep_of


def betas() -> torch.Tensor:
    return torch.linspace(0.00085**0.5, 0.012**0.5, N_TIMESTEPS, dtype=torch.float64) ** 2


def test_zero_terminal_snr_is_the_rescaling_of_diffusers():
    diffusers()
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas()), dim=0)
    ours = torch.tensor(SCHEDULES[ZERO_TERMINAL_SNR](), dtype=torch.float64)
    assert (ours - theirs).abs().max() < 1e-13
    assert ours[-1] == theirs[-1] == 0 and ours[0].item() == pytest.approx(sd_abar()[0], rel=1e-14)


def test_both_schedules_fall_and_differ_from_the_second_timestep_on():
    for schedule in SCHEDULES.values():
        levels = schedule()
        assert len(levels) == N_TIMESTEPS and all(a > b for a, b in zip(levels, levels[1:], strict=False))
    plain, rescaled = sd_abar(), SCHEDULES[ZERO_TERMINAL_SNR]()
    assert all(a > b for a, b in zip(plain[1:], rescaled[1:], strict=True))


def test_sampling_without_a_signal_begins_at_the_sigma_of_the_host_and_at_the_last_timestep():
    sigmas = sigmas_of(ZERO_TERMINAL_SNR)
    assert sigmas[-1] == pytest.approx(4518.76, abs=0.01) and all(map(math.isfinite, sigmas))
    run = normal_sigmas(4, ZERO_TERMINAL_SNR)
    assert run[0].item() == pytest.approx(sigmas[-1], rel=1e-5) and run[-1] == 0
    assert [float(timestep_of(sigma, ZERO_TERMINAL_SNR)) for sigma in run[:-1]] == [999, 666, 333, 0]


def test_percents_of_a_schedule_are_its_own_with_the_ends_of_the_host():
    sigmas = sigmas_of(ZERO_TERMINAL_SNR)
    assert percent_to_sigma(0.0, sigmas) == NO_BOUND and percent_to_sigma(1.0, sigmas) == 0.0
    assert percent_to_sigma(1 - 500 / 999, sigmas) == pytest.approx(sigmas[500])
    assert sd_percent_to_sigma(0.5) == percent_to_sigma(0.5, sd_sigmas()) < percent_to_sigma(0.5, sigmas)
