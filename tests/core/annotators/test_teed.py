"""Soft edges by TEED: steps, and pictures of any size."""

from __future__ import annotations

import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

teed = ANNOTATORS["teed"]


def photo(height: int, width: int) -> torch.Tensor:
    picture = data.astronaut()[20 : 20 + height, 150 : 150 + width]
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


@pytest.mark.parametrize(("weights", "network"), [("teed", "teed"), ("mteed", "mteed")])
def test_each_choice_has_its_network(weights, network):
    assert teed.network(weights=weights) == network
    assert teed.network() == "teed"


def test_steps_count_the_shades(seeded_net):
    net, picture = seeded_net("teed"), photo(64, 64)
    smooth = teed(picture, net=net, safe_steps=0)
    # TEDDetector of custom_controlnet_aux: whole 8-bit levels, cut off
    assert smooth.unique().numel() > 20 and torch.equal(smooth.mul(255).round().div(255), smooth)
    ten = teed(picture, net=net, safe_steps=10)
    assert 1 < ten.unique().numel() <= 11
    assert (ten - smooth).abs().max() <= 0.11


def test_keeps_its_contract_with_the_real_architecture(seeded_net):
    picture = torch.cat([photo(133, 117), photo(133, 117).flip(-1), photo(133, 117).flip(1)]) * 1.02
    before, net = picture.clone(), seeded_net("teed")
    condition = teed(picture, net=net, safe_steps=0)
    assert torch.equal(picture, before)
    assert condition.shape == picture.shape and condition.dtype == torch.float32 and condition.is_contiguous()
    assert torch.equal(condition[:, 0], condition[:, 1]) and torch.equal(condition[:, 0], condition[:, 2])
    assert 0 <= condition.min() and condition.max() <= 1 and condition.std() > 0
    singles = torch.cat([teed(one[None], net=net, safe_steps=0) for one in picture])
    assert torch.allclose(condition, singles, rtol=0, atol=1e-5)
    assert teed(picture[:1].half(), net=net).dtype == torch.float32


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517)])
def test_takes_any_size_and_flat_pictures(size, seeded_net):
    condition = teed(torch.full((1, 3, *size), 0.5), net=seeded_net("teed"))
    assert condition.shape == (1, 3, *size) and condition.isfinite().all()
