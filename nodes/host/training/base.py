"""A MODEL, a CLIP and a VAE of the host as the base that a control is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.dlpack import from_dlpack

from zeroctl_core import BASES, UNet
from zeroctl_core.demo.autoencoder import Autoencoder
from zeroctl_core.demo.model import DemoModel
from zeroctl_core.demo.source import World
from zeroctl_core.demo.text import TextEncoder
from zeroctl_core.files.on_meta import on_meta

from ..copying import unpatched_weights
from ..family import family_of_model, unet_base

__all__ = ["base_of", "encoders_of"]

M = TypeVar("M", bound=nn.Module)


def encoders_of(clip: Any, vae: Any) -> World:
    """The base of a CLIP and a VAE, whose UNet has no weights.

    Raises `ValueError` for those of another model than the demo's.
    """
    with on_meta():
        unet = UNet(BASES["tiny"], device="meta")
    return _world(unet, clip, vae)


def base_of(model: Any, clip: Any, vae: Any) -> World:
    """The base of a MODEL, a CLIP and a VAE, in float32, around the memory of their own weights where they have it.

    Patches (LoRAs) are left out. Nothing of the host's is changed.

    Raises `ValueError` for those of another model than the demo's.
    """
    base = unet_base(model)
    if base is None or base.name != "tiny":
        raise ValueError(
            f"the MODEL is {family_of_model(model)}; this version trains on the demo model only in the graph: connect "
            "the MODEL of Load Demo Model"
        )
    with on_meta():
        unet = UNet(base, device="meta")
    return _world(_around(unet, unpatched_weights(model)), clip, vae)


def _world(unet: UNet, clip: Any, vae: Any) -> World:
    text, autoencoder = clip.cond_stage_model, vae.first_stage_model
    for name, part, kind in (("CLIP", text, TextEncoder), ("VAE", autoencoder, Autoencoder)):
        if not isinstance(part, kind):
            raise ValueError(
                f"the {name} is a {type(part).__name__}; this version trains on the demo model only in the graph: "
                f"connect the {name} of Load Demo Model"
            )
    parts = DemoModel(unet, _around(TextEncoder(), text.state_dict()), _around(Autoencoder(), autoencoder.state_dict()))
    return World(parts=parts)


def _around(module: M, weights: Mapping[str, Tensor]) -> M:
    """The module with these weights in place of its own, as they are needed for training: float32, and no inference
    tensors, which nothing can be saved for a gradient of."""
    with torch.inference_mode(False):
        module.load_state_dict({key: _alias(weights[key]) for key in module.state_dict()}, assign=True)
    return module.eval().requires_grad_(False)


def _alias(weight: Tensor) -> Tensor:
    """The same memory as an ordinary tensor; a copy where it is not float32."""
    return from_dlpack(weight.detach()) if weight.dtype == torch.float32 else weight.detach().float()
