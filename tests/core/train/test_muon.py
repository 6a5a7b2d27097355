"""Muon: against torch's own, which moves matrices alone, and its state in the checkpoints of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zeroctl_core.train.loop import fit
from zeroctl_core.train.muon import Muon, matrices_of, orthogonal
from zeroctl_core.train.optimisation import Optimisation

HOW = Optimisation(steps=12, learning_rate=3e-3, matrix_rate=0.02, decay="cosine", ema_decay=0.9, checkpoint_every=4)


class Layers:
    """Two convolutions, of which the first reads three channels through one pixel, and a linear layer."""

    name = "layers"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 24, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 4, 16)
        )

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"net": self.net}

    def loss(self, step: int) -> Tensor:
        image = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        return (self.net(image) - image.mean(dim=1).flatten(1)).square().mean()

    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.net.parameters()])


@pytest.mark.parametrize("shape", [(32, 288), (96, 24), (40, 40)])
def test_the_singular_values_of_a_step_are_near_one(shape: tuple[int, int]) -> None:
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
    assert 0.5 < float(values.min()) and float(values.max()) < 1.3


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has its own Muon from 2.9 on")
@pytest.mark.parametrize("shape", [(64, 32), (32, 64)])
def test_a_matrix_moves_as_with_torchs_own(shape: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(2)
    start = torch.randn(shape, generator=draw)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    one = Muon([ours], lr=0.1, weight_decay=0.1)
    other = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, momentum=0.95, nesterov=True)
    for _ in range(3):
        ours.grad = torch.randn(shape, generator=draw)
        theirs.grad = ours.grad.clone()
        one.step()
        other.step()
    moved = float((theirs.detach() - start).norm())
    assert float((ours - theirs).detach().norm()) < 0.02 * moved  # theirs rounds to bfloat16


def test_layers_from_and_to_a_few_channels_are_left_to_adamw() -> None:
    net = Layers().net
    assert [weight.shape for weight in matrices_of({"net": net})] == [(24, 32, 3, 3), (16, 96)]


def test_it_is_off_unless_it_is_asked_for() -> None:
    moved = {}
    for rate in (None, 0.02):
        task = Layers()
        fit(task, Optimisation(steps=2, learning_rate=1e-3, matrix_rate=rate))
        moved[rate] = task.weights()
    assert not torch.equal(moved[None], moved[0.02])
    with pytest.raises(ValueError, match="matrix_rate"):
        Optimisation(steps=1, learning_rate=1e-3, matrix_rate=0.0)


def test_an_interrupted_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    whole, first, second = Layers(), Layers(), Layers()
    fit(whole, HOW)
    fit(first, HOW, folder=tmp_path / "run", stop_at=7)
    fit(second, HOW, folder=tmp_path / "run")
    assert torch.equal(whole.weights(), second.weights())
    assert not torch.equal(first.weights(), second.weights())
