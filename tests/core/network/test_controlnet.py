"""ControlNet: the trainable copy, its no-op start, and how it wakes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from zeroctl_core import BASES, ControlNet, UNet

TINY = BASES["tiny"]
NOT_COPIED = ("zero_convs.", "middle_block_out.", "input_hint_block.")


@pytest.fixture
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(TINY).requires_grad_(False)


def _inputs(rows: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "x": torch.randn(rows, 4, 8, 8, generator=generator),
        "t": torch.linspace(3, 900, rows),
        "context": torch.randn(rows, 5, 64, generator=generator),
    }


def _woken(net: ControlNet) -> ControlNet:
    """Random weights where a control starts at zero."""
    for name, parameter in net.named_parameters():
        if name.startswith(NOT_COPIED):
            torch.nn.init.normal_(parameter, std=0.1)
    return net


@pytest.mark.parametrize("form", ["released", "paper"])
def test_an_untrained_control_is_exactly_a_no_op(unet, form):
    net = ControlNet.trainable_copy(unet, condition_form=form)
    inputs = _inputs()
    residuals = net(**inputs, feature=net.encode(torch.rand(2, 3, 64, 64)))
    assert all(torch.count_nonzero(m) == 0 for m in residuals)
    assert torch.equal(unet(**inputs, residuals=residuals), unet(**inputs))


def test_the_copy_equals_the_encoder_to_the_bit_in_its_own_memory(unet):
    net = ControlNet.trainable_copy(unet)
    source = unet.state_dict()
    before = {key: value.clone() for key, value in source.items()}
    copied = {key: value for key, value in net.state_dict().items() if not key.startswith(NOT_COPIED)}
    assert copied.keys() == {key for key in source if not key.startswith(("output_blocks.", "out."))}
    for key, value in copied.items():
        assert torch.equal(value, source[key]) and value.data_ptr() != source[key].data_ptr(), key
    assert all(parameter.requires_grad for parameter in net.parameters())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    assert all(torch.equal(source[key], value) for key, value in before.items()), "the copy wrote into the UNet"


def test_the_copy_of_an_inpaint_base_keeps_the_latents_channels():
    unet = UNet(TINY.with_spec(replace(TINY.spec, in_channels=9)))
    net = ControlNet.trainable_copy(unet)
    assert torch.equal(net.input_blocks[0][0].weight, unet.input_blocks[0][0].weight[:, :4])
    net(**_inputs(), feature=net.encode(torch.rand(1, 3, 64, 64)))


def test_the_dtype_of_the_copy_is_that_of_the_unet_unless_asked(unet):
    half = copy.deepcopy(unet).half()
    assert {p.dtype for p in ControlNet.trainable_copy(half).parameters()} == {torch.float16}
    assert {p.dtype for p in ControlNet.trainable_copy(half, dtype=torch.float32).parameters()} == {torch.float32}


def _moved(steps: int) -> set[str]:
    """Names of the parameters that changed within so many steps of plain gradient descent."""
    torch.manual_seed(0)
    unet = UNet(TINY).requires_grad_(False)
    net = ControlNet.trainable_copy(unet)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    inputs, image, target = _inputs(), torch.rand(2, 3, 64, 64), torch.randn(2, 4, 8, 8)
    for _ in range(steps):
        optimizer.zero_grad()
        residuals = net(**inputs, feature=net.encode(image))
        (unet(**inputs, residuals=residuals) - target).square().mean().backward()
        optimizer.step()
    return {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}


def test_control_wakes_in_three_steps():
    """Zero convolutions move first, then the copy, then the condition encoder behind its own zero convolution."""
    first, second, third = _moved(1), _moved(2), _moved(3)
    assert first and all(name.startswith(("zero_convs.", "middle_block_out.")) for name in first)
    assert any(name.startswith("input_blocks.") for name in second) and "input_hint_block.14.weight" in second
    assert "input_hint_block.0.weight" not in second and "input_hint_block.0.weight" in third


def test_no_gradient_is_stored_for_the_locked_unet(unet):
    net = ControlNet.trainable_copy(unet)
    inputs = _inputs()
    residuals = net(**inputs, feature=net.encode(torch.rand(2, 3, 64, 64)))
    unet(**inputs, residuals=residuals).sum().backward()
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert net.middle_block_out[0].bias.grad is not None


def test_a_batch_equals_its_rows(unet):
    net = _woken(ControlNet.trainable_copy(unet)).requires_grad_(False)
    inputs, image = _inputs(3), torch.rand(3, 3, 64, 64)
    together = net(**inputs, feature=net.encode(image))
    for row in range(3):
        one = {name: value[row : row + 1] for name, value in inputs.items()}
        alone = net(**one, feature=net.encode(image[row : row + 1]))
        for mine, other in zip(together, alone, strict=True):
            assert torch.allclose(mine[row], other[0], atol=1e-4)


def test_pooling_averages_every_residual_over_space(unet):
    net = _woken(ControlNet.trainable_copy(unet)).requires_grad_(False)
    inputs, feature = _inputs(), torch.randn(1, 32, 8, 8)
    plain = net(**inputs, feature=feature)
    net.global_average_pooling = True
    pooled = net(**inputs, feature=feature)
    for before, after in zip(plain, pooled, strict=True):
        assert after.shape == before.shape
        assert torch.allclose(after, before.mean(dim=(2, 3), keepdim=True).expand_as(before), atol=1e-6)
        after.mul_(2)  # a host scales in place, which a shared or expanded tensor would not survive


def test_a_deep_copy_is_independent(unet):
    net = ControlNet.trainable_copy(unet)
    other = copy.deepcopy(net)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert not torch.equal(next(other.parameters()), next(net.parameters()))
    assert other.base.name == "tiny" and other.base.spec == net.base.spec
