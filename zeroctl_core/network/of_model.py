"""Controls made of a MODEL's weights: their file holds what was changed, and the rest is the UNet's that is sampled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..files.on_meta import on_meta
from .base import Base
from .controlnet import ControlNet
from .ops import TORCH_OPS, Ops
from .provenance import CheckpointInfo
from .spec import LATENT_CHANNELS

__all__ = ["NetOfModel", "UNetWeights", "fitting", "is_own"]

UNetWeights = Callable[[str], Tensor]
"""A weight of a UNet by its LDM key without prefix, in float32 on any device, with all patches (LoRAs) in it."""
OWN = ("zero_convs.", "middle_block_out.", "input_hint_block.")
FIRST = "input_blocks.0.0.weight"


def is_own(key: str) -> bool:
    """Whether a key is of a layer that a UNet does not have: a file holds it whole, whatever its kind."""
    return key.startswith(OWN)


class NetOfModel(ABC):
    """A control that becomes a ControlNet once it meets a UNet.

    weights: of the file, LDM keys without prefix. base: with the spec that the file shows. Layers that the file does
    not name are the UNet's.
    """

    kind: str
    """What people call such a file."""

    def __init__(self, base: Base, weights: Mapping[str, Tensor], info: CheckpointInfo) -> None:
        self.base = base
        self.weights = weights
        self.info = info

    @abstractmethod
    def changed(self, key: str, weight: Tensor) -> Tensor:
        """The weight of the control for this weight of the UNet, which is its own to change; float32, on its device."""

    def on_meta(self, ops: Ops = TORCH_OPS, dtype: torch.dtype | None = None) -> ControlNet:
        """The network without weights: its keys, shapes and size."""
        with on_meta():
            net = ControlNet(self.base, ops, dtype=dtype, device="meta")
        net.global_average_pooling = self.info.global_average_pooling
        net.info = self.info
        return net.requires_grad_(False).eval()

    def merged(
        self, unet: UNetWeights, *, ops: Ops = TORCH_OPS, dtype: torch.dtype | None = None, device: str = "cpu"
    ) -> ControlNet:
        """The ControlNet of this file and that UNet; each weight is summed in float32, then cast.

        dtype: None is the file's. Of an inpaint base the first convolution takes the 4 channels of the noisy latent.

        Raises `ValueError` for a UNet with other shapes.
        """
        net = self.on_meta(ops, dtype or self.info.dtype)
        weights = {}
        for key, expected in net.state_dict().items():
            value = self.weights[key] if is_own(key) else self.changed(key, fitting(key, unet(key), expected.shape))
            weights[key] = value.to(device, expected.dtype, copy=is_own(key)).contiguous()
        net.load_state_dict(weights, assign=True)
        return net.requires_grad_(False).eval()


def fitting(key: str, weight: Tensor, shape: torch.Size) -> Tensor:
    """Raises `ValueError` for a weight of another shape."""
    if key == FIRST and weight.ndim == 4:
        weight = weight[:, :LATENT_CHANNELS]
    if weight.shape != shape:
        raise ValueError(
            f"{key} of the MODEL is {list(weight.shape)}, this control was made for {list(shape)}: load a checkpoint "
            "of the family that the control is for"
        )
    return weight
