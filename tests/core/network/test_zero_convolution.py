"""Zero convolutions and Eq. 2 of the paper around any block."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from zeroctl_core import ControlledBlock, zero_conv


def _conv_block() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(5, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1))


def test_a_zero_convolution_gives_exact_zeros():
    conv = zero_conv(7)
    assert torch.equal(conv(torch.randn(2, 7, 5, 4)), torch.zeros(2, 7, 5, 4))


def test_a_zero_convolution_learns_from_its_first_step():
    """The gradient of the weight is the input, not the weight (arXiv 2302.05543, 3.1)."""
    conv = zero_conv(3, 2)
    conv(torch.ones(1, 3, 4, 4)).sum().backward()
    assert torch.equal(conv.weight.grad, torch.full((2, 3, 1, 1), 16.0))


def test_an_untrained_controlled_block_is_its_block_to_the_bit():
    block = _conv_block().eval()
    x, c = torch.randn(2, 2, 5, 6, 6)
    before = block(x)
    assert torch.equal(ControlledBlock(block)(x, c), before)


def test_equation_2():
    block = nn.Conv2d(4, 4, 3, padding=1)
    controlled = ControlledBlock(block)
    for layer in (controlled.zero_in, controlled.zero_out, controlled.copy):
        for parameter in layer.parameters():
            nn.init.normal_(parameter, std=0.5)
    x, c = torch.randn(2, 1, 4, 5, 5)
    copy = controlled.copy
    expected = block(x) + controlled.zero_out(copy(x + controlled.zero_in(c)))
    assert torch.equal(controlled(x, c), expected)


def test_the_locked_block_gets_no_gradient_and_keeps_its_buffers():
    block = _conv_block()
    before = copy.deepcopy(block.state_dict())
    controlled = ControlledBlock(block).train()
    optimizer = torch.optim.SGD([p for p in controlled.parameters() if p.requires_grad], lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        controlled(*torch.randn(2, 2, 5, 6, 6)).square().mean().backward()
        optimizer.step()
    assert all(parameter.grad is None for parameter in controlled.locked.parameters())
    assert all(torch.equal(before[key], value) for key, value in block.state_dict().items())
    assert not torch.equal(controlled.copy[0].weight, block[0].weight), "the copy did not train"
    assert controlled.zero_in.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("block", "widths"),
    [
        (_conv_block(), (5, 6)),
        (nn.Sequential(nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 1, groups=2)), (4, 4)),
        (nn.ConvTranspose2d(3, 7, 1), (3, 7)),
    ],
)
def test_widths_are_read_from_the_first_and_the_last_layer(block, widths):
    controlled = ControlledBlock(block)
    assert controlled.zero_in.weight.shape == (widths[0], widths[0], 1, 1)
    assert controlled.zero_out.weight.shape == (widths[1], widths[1], 1, 1)
    controlled(*torch.randn(2, 1, widths[0], 4, 4))


def test_further_arguments_go_to_both_halves():
    class Timed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
            return self.conv(x) * emb

    block = Timed()
    x, c = torch.randn(2, 1, 2, 3, 3)
    assert torch.equal(ControlledBlock(block)(x, c, 3.0), block(x, 3.0))


def test_a_block_without_weights_asks_for_its_widths():
    with pytest.raises(ValueError, match="Identity holds no weight .* give in_channels and out_channels"):
        ControlledBlock(nn.Identity())
    x, c = torch.randn(2, 1, 2, 3, 3)
    assert torch.equal(ControlledBlock(nn.Identity(), 2, 2)(x, c), x)


def test_a_condition_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 5, 2, 2\).*\(1, 5, 3, 3\)"):
        ControlledBlock(_conv_block())(torch.zeros(1, 5, 3, 3), torch.zeros(1, 5, 2, 2))
