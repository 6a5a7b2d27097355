"""Difference files: what the training of a ControlNet changed in the UNet that it was copied from."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from .of_model import NetOfModel, UNetWeights

MARKER = "difference"


class Difference(NetOfModel):
    """W = W of the UNet + the file's; a layer that the file does not name was not changed.

    Source: extract_controlnet_diff.py of lllyasviel's ControlNet 1.0, which leaves out what changed by less than 1e-6.
    """

    kind = "difference file"

    @staticmethod
    def looks(keys: Collection[str]) -> bool:
        return any(key.rpartition(".")[2] == MARKER for key in keys)

    @staticmethod
    def weights_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: value for key, value in tensors.items() if key.rpartition(".")[2] != MARKER}

    @staticmethod
    def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        return {key: tuple(value.shape) for key, value in weights.items()}

    def changed(self, key: str, unet: UNetWeights) -> Tensor:
        weight, change = unet(key), self.weights.get(key)
        return weight if change is None else weight + change.to(weight.device, weight.dtype)
