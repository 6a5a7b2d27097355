"""The trainable copy of a MODEL of the host."""

from __future__ import annotations

from typing import Any

import torch

from zeroctl_core import ControlNet, UNet

from .family import family_of_model, unet_base
from .loading import control_net_from

__all__ = ["copy_from_model"]

PREFIX = "diffusion_model."


def copy_from_model(model: Any) -> Any:
    """An untrained CONTROL_NET from the MODEL's encoder: fp32, without the MODEL's patches (LoRAs), in memory of its own.

    Of an inpaint base the first convolution keeps the 4 channels of the noisy latent.

    Raises:
        ValueError: the MODEL has no Stable Diffusion UNet.
    """
    base = unet_base(model)
    if base is None:
        raise ValueError(f"a ControlNet can be copied from a Stable Diffusion 1.5, 2.1 or SDXL UNet; the MODEL is "
                         f"{family_of_model(model)}. Load a checkpoint of one of these families.")
    with torch.inference_mode(False):  # the host runs nodes in inference mode, whose tensors can never be trained
        weights = {key: value.detach() for key, value in model.model.diffusion_model.state_dict().items()}
        # while a patched MODEL is loaded, the weights before the patches lie in the backup
        for key, kept in model.backup.items():
            if key.startswith(PREFIX) and key[len(PREFIX):] in weights:
                weights[key[len(PREFIX):]] = getattr(kept, "weight", kept)
        unet = UNet(base, device="meta")
        unet.load_state_dict({key: weights[key].float().clone() for key in unet.state_dict()}, assign=True)
        net = ControlNet.trainable_copy(unet, dtype=torch.float32, device="cpu")
    return control_net_from(net, None, lambda: copy_from_model(model))
