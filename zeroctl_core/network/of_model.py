"""Controls made of a MODEL's weights: their file holds what was changed, and the rest is the UNet's that is sampled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ..files.on_meta import on_meta
from .base import Base
from .controlnet import ControlNet
from .ops import TORCH_OPS, Ops
from .provenance import CheckpointInfo
from .spec import LATENT_CHANNELS

__all__ = ["FIRST", "NetOfModel", "UNetWeights", "fitting", "is_own"]

UNetWeights = Callable[[str], Tensor]
"""A weight of a UNet by its LDM key without prefix, in float32 on any device, with all patches (LoRAs) in it; whoever
asks may change it."""
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

    kind: ClassVar[str]
    """What people call such a file."""

    def __init__(self, base: Base, weights: Mapping[str, Tensor], info: CheckpointInfo) -> None:
        self.base = base
        self.weights = weights
        self.info = info

    @staticmethod
    @abstractmethod
    def looks(keys: Collection[str]) -> bool:
        """Whether a file with these keys, of whatever prefix, is of this kind."""

    @staticmethod
    @abstractmethod
    def weights_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What of a file is weights of such a control."""

    @staticmethod
    @abstractmethod
    def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """Key -> shape of the ControlNet's weights that the file's tell.

        Raises `ValueError` for weights that do not belong together.
        """

    @abstractmethod
    def changed(self, key: str, unet: UNetWeights) -> Tensor:
        """The ControlNet's weight of a layer that the UNet has too."""

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
        net.load_state_dict(
            {
                key: self.weight(key, unet, value.shape).to(device, value.dtype, copy=True).contiguous()
                for key, value in net.state_dict().items()
            },
            assign=True,
        )
        return net.requires_grad_(False).eval()

    def weight(self, key: str, unet: UNetWeights, shape: torch.Size) -> Tensor:
        """The ControlNet's weight of this shape, in memory of the file or of its own.

        Raises `ValueError` for a UNet's of another shape.
        """
        if is_own(key):
            return self.weights[key]
        return self.changed(key, lambda name: fitting(name, unet(name), shape))


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
