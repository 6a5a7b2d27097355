"""The sampler: v and eps of one base give one picture, y reaches the rows that it belongs to."""

from __future__ import annotations

import math

import torch

from zeroctl_core.network.noise_levels import STABLE_DIFFUSION, ZERO_TERMINAL_SNR
from zeroctl_core.sampling import noise_of, normal_sigmas, sample

SIGNAL = 0.3


class Exact(torch.nn.Module):
    """The prediction of a base that knows the latent, so that a sampler must arrive at it."""

    def __init__(self, prediction: str, schedule: str = STABLE_DIFFUSION) -> None:
        super().__init__()
        self.prediction, self.schedule, self.seen = prediction, schedule, []

    def forward(self, x, t, context, y=None, residuals=None):
        self.seen.append(y)
        sigma = float(normal_sigmas(4, self.schedule)[len(self.seen) - 1])
        z_t = x
        signal, noise = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
        z = torch.full_like(x, SIGNAL)
        eps = (z_t - signal * z) / noise
        return eps if self.prediction == "eps" else signal * eps - noise * z


def drawn(prediction: str, **options) -> tuple[torch.Tensor, Exact]:
    unet, noise = Exact(prediction, options.get("schedule", STABLE_DIFFUSION)), noise_of([1, 2], (16, 24))
    context = torch.zeros(2, 3, 8)
    latent = sample(unet, noise, context, context[:1], prediction=prediction, steps=4, guidance=3.0, **options)
    return latent, unet


def test_both_predictions_arrive_at_the_latent_that_the_base_knows():
    for prediction in ("eps", "v"):
        latent, unet = drawn(prediction)
        assert latent.shape == (2, 4, 2, 3) and torch.allclose(latent, torch.full_like(latent, SIGNAL), atol=1e-4)
        assert unet.seen == [None] * 4


def test_a_run_on_zero_terminal_snr_arrives_at_the_latent_too():
    latent, _ = drawn("v", schedule=ZERO_TERMINAL_SNR)
    assert torch.allclose(latent, torch.full_like(latent, SIGNAL), atol=1e-3)


def test_y_goes_to_the_rows_with_the_prompt_and_the_empty_one_to_the_others():
    _, unet = drawn("eps", y=torch.ones(2, 5), empty_y=torch.zeros(1, 5))
    assert torch.equal(unet.seen[0][:, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
