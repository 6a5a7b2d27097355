"""Networks of the core with the random weights of the tests, in any dtype and on any device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.importing import from_tests
from zeroctl_core import ControlNet, UNet
from zeroctl_core.bases import Base, recognise

Weights = Mapping[str, Tensor]
"""In the LDM layout, without prefix."""


def spec_of(preset: str) -> Any:
    """The numbers of a preset of the tests' random weights."""
    return from_tests("random_weights").spec_of(preset)


def unet_weights(spec: Any, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    weights = from_tests("random_weights").random_unet(spec, dtype=dtype)
    return {key: value.to(device) for key, value in weights.items()}


def control_weights(spec: Any, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    weights = from_tests("random_weights").random_controlnet(spec, dtype=dtype)
    return {key: value.to(device) for key, value in weights.items()}


def unet_of(weights: Weights) -> UNet:
    """A locked UNet on these very tensors, of the family that they are of."""
    base = recognise({key: tuple(value.shape) for key, value in weights.items()})
    assert base is not None
    unet = UNet(base, device="meta")
    unet.load_state_dict(weights, assign=True)
    return unet.eval().requires_grad_(False)


def control_of(base: Base, weights: Weights) -> ControlNet:
    """A locked ControlNet of a base on these very tensors."""
    net = ControlNet(base, device="meta")
    net.load_state_dict(weights, assign=True)
    return net.eval().requires_grad_(False)
