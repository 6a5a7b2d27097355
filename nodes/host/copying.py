"""The trainable copy of a MODEL of the host."""

from __future__ import annotations

from typing import Any

import torch

from zeroctl_core import ControlNet, UNet
from zeroctl_core.files.on_meta import on_meta

from .control_net import control_net_from
from .family import family_of_model, unet_base

__all__ = ["copy_from_model", "unpatched_weights"]

PREFIX = "diffusion_model."
DECODER = ("output_blocks.", "out.")


def copy_from_model(model: Any) -> Any:
    """An untrained CONTROL_NET from the MODEL's encoder.

    In fp32, without the MODEL's patches (LoRAs), in memory of its own.
    Of an inpaint base the first convolution keeps the 4 channels of the noisy latent.

    Raises `ValueError` for a MODEL without a Stable Diffusion UNet, and for one whose weights are quantised.
    """
    base = unet_base(model)
    if base is None:
        raise ValueError(
            f"a ControlNet can be copied from a Stable Diffusion 1.5, 2.1 or SDXL UNet; the MODEL is "
            f"{family_of_model(model)}. Load a checkpoint of one of these families."
        )
    with torch.inference_mode(False):  # the host runs nodes in inference mode, whose tensors can never be trained
        weights = unpatched_weights(model)
        with on_meta():
            unet = UNet(base, device="meta").requires_grad_(False)
        odd = [key for key in weights if key not in unet.state_dict()]
        if odd:  # scales of quantised weights: the numbers beside them are not the weights
            raise ValueError(
                f"the MODEL's UNet holds more than the weights of a {base.title} UNet, such as {odd[0]}: it is "
                "quantised. Load the checkpoint in fp16, bf16 or fp32."
            )
        # the decoder stays on meta: a ControlNet has none, and the copy takes memory of its own for the rest
        encoder = {key: value for key, value in weights.items() if not key.startswith(DECODER)}
        unet.load_state_dict(encoder, strict=False, assign=True)
        net = ControlNet.trainable_copy(unet, dtype=torch.float32, device="cpu")
    return control_net_from(net, None, lambda: copy_from_model(model))


def unpatched_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a MODEL's UNet by their names, without its patches (LoRAs), in the memory that they are in."""
    weights = {key: value.detach() for key, value in model.model.diffusion_model.state_dict().items()}
    # while a patched MODEL is loaded, the weights before the patches lie in the backup
    for key, value in model.backup.items():
        if key.startswith(PREFIX) and key[len(PREFIX) :] in weights:
            weights[key[len(PREFIX) :]] = getattr(value, "weight", value)
    return weights
