"""The embedded autoencoder as the host's VAE, which encodes, decodes and tiles with it as with Stable Diffusion's."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
from comfy.ldm.models.autoencoder import AutoencoderKL
from torch import Tensor

from zeroctl_core.demo.autoencoder import Autoencoder
from zeroctl_core.network.spec import LATENT_CHANNELS

__all__ = ["vae_from"]

SMALLEST = {
    "embed_dim": LATENT_CHANNELS,
    "ddconfig": {
        "double_z": True,
        "z_channels": LATENT_CHANNELS,
        "resolution": 64,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    },
}
"""The host's VAE has to begin with one of its own networks; this one, never used, is the smallest that it can build."""


class HostAutoencoder(Autoencoder):
    """Our autoencoder under the host's calling convention: pictures are -1..1 on both sides."""

    def encode(self, image: Tensor) -> Tensor:
        return super().encode((image + 1) / 2)

    def decode(self, latent: Tensor) -> Tensor:
        return super().decode(latent) * 2 - 1


def vae_from(autoencoder: Autoencoder) -> Any:
    """The host's VAE around the weights of `autoencoder`, in the precision that the host chooses."""
    # with weights of its own, or the host would list all of them as missing
    vae = comfy.sd.VAE(sd=AutoencoderKL(**SMALLEST).state_dict(), config={"params": SMALLEST})
    network = HostAutoencoder()
    network.load_state_dict(autoencoder.state_dict())
    offload = comfy.model_management.vae_offload_device()
    vae.first_stage_model = network.to(offload, vae.vae_dtype).eval().requires_grad_(False)
    vae.patcher = comfy.model_patcher.ModelPatcher(network, load_device=vae.device, offload_device=offload)
    vae.disable_offload = True  # it has layers of torch, which the host can only move as a whole
    vae.size = None
    if hasattr(vae, "model_size"):
        vae.model_size()  # newer hosts keep the size of what they began with
    return vae
