"""MODELs with a random UNet of any family and width, and CONDITIONING to match; imports the host when called."""
from __future__ import annotations

from typing import Any

import torch
from random_weights import UNetSpec, random_unet, spec_of

# What the host calls a family, by the width of its context. It would not detect the cut nets of SDXL itself.
FAMILIES = {768: "SD15", 1024: "SD20", 2048: "SDXL"}


def cut_model(preset: str | UNetSpec, seed: int = 0, v_prediction: bool = False) -> Any:
    """A MODEL (`ModelPatcher`) of the host's own model class and sampling settings for this family, float32.

    `preset` may be a spec with 9 input channels, which makes an inpaint base.
    """
    import comfy.model_detection
    import comfy.model_management
    import comfy.supported_models
    from comfy.model_base import ModelType
    from comfy.model_patcher import ModelPatcher

    spec = spec_of(preset)
    weights = random_unet(spec, seed)
    family = getattr(comfy.supported_models, FAMILIES[spec.context_dim])
    config = family(comfy.model_detection.detect_unet_config(weights, ""))
    config.set_inference_dtype(torch.float32, None)
    if v_prediction:
        config.model_type = lambda state_dict, prefix="": ModelType.V_PREDICTION
    model = config.get_model(weights, "")
    model.load_model_weights(weights, "")
    patcher = ModelPatcher(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    model.to(patcher.offload_device)
    return patcher


def random_conditioning(preset: str | UNetSpec, seed: int = 0, tokens: int = 77) -> list[list[Any]]:
    """A CONDITIONING as CLIPTextEncode returns it: context [1, tokens, C] and, for SDXL, a pooled output [1, 1280]."""
    spec = spec_of(preset)
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, tokens, spec.context_dim, generator=generator)
    pooled = torch.randn(1, 1280, generator=generator) if spec.adm_in_channels is not None else None
    return [[context, {"pooled_output": pooled}]]
