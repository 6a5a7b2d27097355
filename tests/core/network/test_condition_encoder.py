"""The condition encoder in both of its forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from zeroctl_core import BASES, ConditionEncoder, ControlNet, Ops, UNet
from zeroctl_core.network.spec import CONDITION_FORMS

TINY = BASES["tiny"]


@pytest.mark.parametrize("form", CONDITION_FORMS)
@pytest.mark.parametrize("size", [(64, 64), (48, 72), (512, 8)])
def test_an_eighth_of_the_pixels_a_side(form, size):
    encoder = ConditionEncoder(3, 40, form=form)
    assert encoder(torch.rand(2, 3, *size)).shape == (2, 40, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("form", CONDITION_FORMS)
def test_an_untrained_encoder_gives_exact_zeros(form):
    assert torch.count_nonzero(ConditionEncoder(form=form)(torch.rand(1, 3, 16, 24))) == 0


@pytest.mark.parametrize("form", CONDITION_FORMS)
def test_all_layers_but_the_last_start_alive_whatever_the_ops(form):
    """A host's layers start as raw memory, so the start values must not be left to them."""

    class RawConv(nn.Conv2d):
        def reset_parameters(self) -> None:
            nn.init.constant_(self.weight, float("nan"))
            nn.init.constant_(self.bias, float("nan"))

    encoder = ConditionEncoder(form=form, ops=Ops(Conv2d=RawConv))
    convs = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    assert all(torch.isfinite(conv.weight).all() and conv.weight.std() > 0 for conv in convs[:-1])
    assert torch.count_nonzero(convs[-1].weight) == 0 and torch.count_nonzero(convs[-1].bias) == 0


def test_the_released_form_has_the_published_keys():
    shapes = {key: tuple(value.shape) for key, value in ConditionEncoder().state_dict().items()}
    weights = [shapes[f"{place}.weight"] for place in range(0, 16, 2)]
    assert [shape[0] for shape in weights] == [16, 16, 32, 32, 96, 96, 256, 320]
    assert all(shape[2:] == (3, 3) for shape in weights) and len(shapes) == 16


def test_the_papers_form_has_four_4x4_convolutions_and_a_zero_one():
    convs = [layer for layer in ConditionEncoder(form="paper").modules() if isinstance(layer, nn.Conv2d)]
    assert [(conv.out_channels, *conv.kernel_size) for conv in convs] == [
        (16, 4, 4),
        (32, 4, 4),
        (64, 4, 4),
        (128, 4, 4),
        (320, 1, 1),
    ]


@pytest.mark.parametrize("widths", [(0, 0, 0, 0), (16, 32, -1, 256)])
def test_a_width_below_1_is_refused_before_anything_is_built(widths):
    with pytest.raises(ValueError, match="expected 4 numbers above 0"):
        replace(TINY.spec, condition_widths=widths)


def test_a_number_of_widths_that_would_miss_the_latent_is_refused_before_anything_is_built():
    """Three widths would make a feature of a quarter of the pixels a side, and a file that cannot be loaded."""
    unet = UNet(TINY, device="meta")
    for build in (
        lambda: ConditionEncoder(widths=(16, 32, 48)),
        lambda: replace(TINY.spec, condition_widths=(16, 32, 48)),
        lambda: ControlNet.trainable_copy(unet, condition_widths=(16, 32, 48)),
    ):
        with pytest.raises(
            ValueError,
            match=r"condition_widths is \(16, 32, 48\); expected 4 numbers above 0, .* such as \(16, 32, 96, 256\)",
        ):
            build()
    with pytest.raises(ValueError, match="form 'papr' is not known"):
        ControlNet.trainable_copy(unet, condition_form="papr")


def test_a_form_and_a_shape_that_do_not_exist_are_named():
    for build in (ConditionEncoder, lambda form: replace(TINY.spec, condition_form=form)):
        with pytest.raises(ValueError, match="form 'papr' is not known; use one of released, paper"):
            build(form="papr")
    with pytest.raises(ValueError, match=r"\(1, 4, 8, 8\); expected \[B, 3, H, W\]"):
        ConditionEncoder()(torch.rand(1, 4, 8, 8))
