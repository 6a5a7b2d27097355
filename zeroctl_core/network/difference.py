"""Difference files: what the training of a ControlNet changed in the UNet that it was copied from."""

from __future__ import annotations

from torch import Tensor

from .of_model import NetOfModel


class Difference(NetOfModel):
    """W = W of the UNet + the file's; a layer that the file does not name was not changed.

    Source: extract_controlnet_diff.py of lllyasviel's ControlNet 1.0, which leaves out what changed by less than 1e-6.
    """

    kind = "difference file"

    def changed(self, key: str, weight: Tensor) -> Tensor:
        change = self.weights.get(key)
        return weight if change is None else weight + change.to(weight.device, weight.dtype)
