"""The objective against formulas written out by hand, and what is drawn for a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zeroctl_core.network.noise_levels import ZERO_TERMINAL_SNR
from zeroctl_core.train.draws import batch_indices, generator
from zeroctl_core.train.objective import Objective

B = 5
T = torch.tensor([0, 99, 500, 900, 999])


def alphas_bar() -> np.ndarray:
    """prod(1 - beta), beta linear in its square root from .00085 to .012 over 1000 steps (CompVis/latent-diffusion)."""
    return np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


@pytest.fixture
def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    latent, noise, prediction = (torch.randn(B, 4, 3, 2, generator=draw) for _ in range(3))
    return latent, noise, prediction


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_the_error_equals_the_formula_written_out(prediction, sample):
    latent, noise, predicted = sample
    bar = alphas_bar()[T.numpy()][:, None, None, None]
    z, eps = latent.numpy().astype(float), noise.numpy().astype(float)
    target = eps if prediction == "eps" else bar**0.5 * eps - (1 - bar) ** 0.5 * z
    expected = ((predicted.numpy() - target) ** 2).mean(axis=(1, 2, 3))
    objective = Objective(prediction=prediction)
    assert np.allclose(objective.errors(predicted, latent, noise, T), expected, rtol=1e-5)
    assert np.allclose(objective.noised(latent, noise, T), bar**0.5 * z + (1 - bar) ** 0.5 * eps, atol=1e-5)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_min_snr_weighs_the_error_of_the_latent_alike_for_both_predictions(prediction, sample):
    """min(SNR, gamma) |z - z'|^2, with z' computed from what was predicted (arXiv 2303.09556, 3.4)."""
    latent, noise, _ = sample
    bar = alphas_bar()[T.numpy()]
    plain, weighted = Objective(prediction=prediction), Objective(prediction=prediction, snr_gamma=5.0)
    predicted = plain.target(latent, noise, T) + 0.1
    noisy, column = plain.noised(latent, noise, T).numpy().astype(float), bar[:, None, None, None]
    if prediction == "eps":
        guess = (noisy - (1 - column) ** 0.5 * predicted.numpy()) / column**0.5
    else:
        guess = column**0.5 * noisy - (1 - column) ** 0.5 * predicted.numpy()
    error = ((latent.numpy() - guess) ** 2).mean(axis=(1, 2, 3))
    expected = np.minimum(bar / (1 - bar), 5.0) * error
    assert np.allclose(weighted.errors(predicted, latent, noise, T), expected, rtol=1e-3)


def test_v_and_the_noisy_latent_lead_back_to_the_latent(sample):
    latent, noise, _ = sample
    objective = Objective(prediction="v")
    bar = torch.from_numpy(alphas_bar()[T.numpy()]).float()[:, None, None, None]
    v, noisy = objective.target(latent, noise, T), objective.noised(latent, noise, T)
    assert torch.allclose(bar.sqrt() * noisy - (1 - bar).sqrt() * v, latent, atol=1e-5)


def test_zero_terminal_snr_leaves_noise_alone_at_the_last_timestep_and_asks_for_the_latent_there(sample):
    latent, noise, _ = sample
    objective = Objective(prediction="v", schedule=ZERO_TERMINAL_SNR)
    noisy, target = objective.noised(latent, noise, T), objective.target(latent, noise, T)
    assert torch.equal(noisy[-1], noise[-1]) and torch.equal(target[-1], -latent[-1])
    assert all(
        bool(error.isfinite())
        for error in Objective(prediction="v", schedule=ZERO_TERMINAL_SNR, snr_gamma=5.0).errors(
            torch.zeros_like(latent), latent, noise, T
        )
    )


def test_eps_is_refused_where_the_last_timestep_holds_nothing_but_noise():
    with pytest.raises(ValueError, match="predicts eps.*zero terminal SNR.*expected v"):
        Objective(prediction="eps", schedule=ZERO_TERMINAL_SNR)
    with pytest.raises(ValueError, match="schedule 'cosine'; known are: stable_diffusion, zero_terminal_snr"):
        Objective(schedule="cosine")


def test_uniform_timesteps_are_stratified_and_cover_all():
    batch = Objective().timesteps(1, 0, 1000)
    assert batch.dtype == torch.int64 and batch.tolist() == list(range(1000))
    assert [int(t) // 250 for t in Objective().timesteps(1, 7, 4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("p", [1.0, 1.6, 3.0])
def test_timesteps_are_biased_as_the_formula_says(p):
    t = Objective(high_noise=p).timesteps(1, 0, 20_000).double()
    u = (torch.arange(20_000) + 0.5) / 20_000
    expected = 1000 * (1 - (1 - u) ** p)
    assert (t + 0.5 - expected).abs().max() < 1.5
    assert t.min() >= 0 and t.max() <= 999


def test_prompts_are_dropped_anew_at_every_step():
    objective = Objective(prompt_dropout=0.5)
    masks = torch.stack([objective.dropped(1, step, 16) for step in range(200)])
    assert 0.45 < masks.float().mean() < 0.55
    assert masks.float().mean(dim=0).min() > 0.3 and masks.float().mean(dim=0).max() < 0.7
    assert torch.equal(masks[3], objective.dropped(1, 3, 16))
    assert not Objective(prompt_dropout=0.0).dropped(1, 0, 64).any()
    assert Objective(prompt_dropout=1.0).dropped(1, 0, 64).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prediction": "x0"}, "'x0'; expected eps or v"),
        ({"high_noise": 0.5}, "high_noise is 0.5"),
        ({"prompt_dropout": 1.5}, "prompt_dropout is 1.5"),
        ({"snr_gamma": 0.0}, "snr_gamma is 0"),
    ],
)
def test_settings_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        Objective(**options)


def test_every_epoch_has_every_sample_once_and_another_order():
    rows = [row for step in range(9) for row in batch_indices(4, step, 4, 12)]
    epochs = [rows[start : start + 12] for start in range(0, 36, 12)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert batch_indices(4, 5, 4, 12) == rows[20:24]
    assert batch_indices(5, 0, 4, 12) != rows[:4]


def test_streams_are_independent_of_each_other_and_unknown_ones_are_refused():
    first = {name: float(torch.rand((), generator=generator(0, name, 0))) for name in ("noise", "dropout", "timestep")}
    assert len(set(first.values())) == 3
    with pytest.raises(ValueError, match="no stream 'nose'.*known are: order"):
        generator(0, "nose", 0)
