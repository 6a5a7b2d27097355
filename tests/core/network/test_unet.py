"""The UNet: its decoder, its sizes and what it does with residuals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from zeroctl_core import BASES, Residuals, UNet

TINY = BASES["tiny"]


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(TINY).requires_grad_(False)


def _inputs(h: int = 8, w: int = 8, rows: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(rows, 4, h, w, generator=generator),
        torch.linspace(3, 900, rows),
        torch.randn(rows, 5, 64, generator=generator),
    )


def _residuals(h: int = 8, w: int = 8, rows: int = 2, scale: float = 1.0) -> Residuals:
    generator = torch.Generator().manual_seed(2)
    sizes = [(-(-h // c.downsample), -(-w // c.downsample)) for c in TINY.connections]
    return Residuals.of(
        [
            scale * torch.randn(rows, c.channels, *size, generator=generator)
            for c, size in zip(TINY.connections, sizes, strict=True)
        ]
    )


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (7, 13), (1, 1), (9, 3)])
def test_any_side_of_the_latent_works(unet, size):
    assert unet(*_inputs(*size)).shape == (2, 4, *size)


def test_zero_residuals_change_nothing(unet):
    assert torch.equal(unet(*_inputs()), unet(*_inputs(), residuals=_residuals(scale=0.0)))


def test_every_connection_reaches_the_output(unet):
    plain = unet(*_inputs())
    zeros, ones = _residuals(scale=0.0), _residuals()
    for place in range(len(ones)):
        maps = [ones_i if i == place else zeros_i for i, (zeros_i, ones_i) in enumerate(zip(zeros, ones, strict=True))]
        assert not torch.equal(unet(*_inputs(), residuals=Residuals.of(maps)), plain), f"connection {place} is dead"


def test_residuals_are_left_as_they_were(unet):
    residuals = _residuals()
    before = [m.clone() for m in residuals]
    unet(*_inputs(), residuals=residuals)
    assert all(torch.equal(a, b) for a, b in zip(before, residuals, strict=True))


def test_a_batch_equals_its_rows(unet):
    x, t, context = _inputs(rows=3)
    together = unet(x, t, context)
    for row in range(3):
        alone = unet(x[row : row + 1], t[row : row + 1], context[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_residuals_of_another_family_are_refused(unet):
    ten = Residuals.of(list(_residuals())[:10])
    with pytest.raises(ValueError, match="fits a UNet with 10 connections, this one has 13"):
        unet(*_inputs(), residuals=ten)
    with pytest.raises(ValueError, match=r"connection 0 has the shape \(1, 32, 8, 8\).*\(2, 32, 8, 8\)"):
        unet(*_inputs(), residuals=_residuals(rows=1))


def test_an_inpaint_base_takes_nine_channels():
    unet = UNet(TINY.with_spec(replace(TINY.spec, in_channels=9)))
    _, t, context = _inputs()
    assert unet(torch.randn(2, 9, 8, 8), t, context).shape == (2, 4, 8, 8)
