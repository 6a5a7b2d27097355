"""MODELs with a random UNet of any family and width, and CONDITIONING to match; imports the host when called."""

from __future__ import annotations

from typing import Any

import torch
from random_weights import NARROW, UNetSpec, random_unet, spec_of
from torch import nn

# What the host calls a family, by the width of its context. It would not detect the cut nets of SDXL itself.
FAMILIES = {768: "SD15", 1024: "SD20", 2048: "SDXL"}


def know_narrow_nets() -> None:
    """Tell the host that SD 1.5 of `NARROW` channels is SD 1.5, for its own loaders: others need no telling."""
    import comfy.supported_models

    sd15 = comfy.supported_models.SD15
    narrow = type(sd15.__name__, (sd15,), {"unet_config": {**sd15.unet_config, "model_channels": NARROW}})
    comfy.supported_models.models.append(narrow)


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


FLUX = {
    "image_model": "flux",
    "guidance_embed": False,
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 16,
    "context_in_dim": 32,
    "hidden_size": 64,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 3,
    "depth_single_blocks": 2,
    "axes_dim": [8, 12, 12],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
}


def filled(module: nn.Module, seed: int = 0, scale: float = 0.1) -> nn.Module:
    """A network of the host, whose layers come without values, with random ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            size = scale if value.ndim < 2 else 1.0 / max(value[0].numel(), 1) ** 0.5
            value.copy_(torch.randn(value.shape, generator=generator) * size)
    return module


def flux_config() -> dict[str, Any]:
    """What this host's Flux is built from: newer ones want the axes on which tokens of the prompt are counted."""
    from comfy.ldm.flux.model import FluxParams

    newer: dict[str, Any] = {"txt_ids_dims": []} if "txt_ids_dims" in FluxParams.__dataclass_fields__ else {}
    return {**FLUX, **newer}


def flux_model() -> Any:
    """A MODEL of a family without Stable Diffusion's UNet: a small random Flux, float32."""
    return transformer_model("FluxSchnell", flux_config())


QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 4,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "axes_dims_rope": (4, 6, 6),
}


def qwen_model() -> Any:
    """A small random Qwen-Image, float32."""
    return transformer_model("QwenImage", dict(QWEN))


def transformer_model(family: str, unet_config: dict[str, Any]) -> Any:
    """A MODEL of a family of the host's with random weights, float32."""
    import comfy.model_management
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    config = getattr(comfy.supported_models, family)(unet_config)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    filled(model.diffusion_model)
    return ModelPatcher(model, comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device())


class PooledVAE:
    """A VAE of 16 channels in the place of a real one: each is the mean of 8x8 pixels of a colour."""

    def spacial_compression_encode(self) -> int:
        return 8

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, H, W, 3] -> [B, 16, 1, H/8, W/8]."""
        pooled = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
        return pooled.repeat(1, 6, 1, 1)[:, :16].unsqueeze(2)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def transformer_net(network: nn.Module, latent_format: Any = None, **options: Any) -> Any:
    """The host's CONTROL_NET around a small network for a transformer, with random weights."""
    import comfy.controlnet
    import comfy.model_management

    kind = options.pop("kind", comfy.controlnet.ControlNet)
    return kind(
        filled(network),
        load_device=comfy.model_management.get_torch_device(),
        **({} if latent_format is None else {"latent_format": latent_format, "compression_ratio": 1}),
        **options,
    )


def flux_net() -> Any:
    """Its three and two blocks are repeated over the places of the MODEL, as one tensor each."""
    import comfy.ldm.flux.controlnet
    import comfy.ops

    network = comfy.ldm.flux.controlnet.ControlNetFlux(
        dtype=torch.float32, operations=comfy.ops.disable_weight_init, **flux_config()
    )
    return transformer_net(network, extra_conds=["y", "guidance"])


def qwen_net() -> Any:
    """InstantX: two blocks, each repeated thirty times as one tensor."""
    import comfy.latent_formats
    import comfy.ldm.qwen_image.controlnet
    import comfy.ops

    network = comfy.ldm.qwen_image.controlnet.QwenImageControlNetModel(
        dtype=torch.float32, operations=comfy.ops.disable_weight_init, **{**QWEN, "num_layers": 2}
    )
    return transformer_net(network, comfy.latent_formats.Wan21(), extra_conds=[])


def qwen_fun_net() -> Any:
    """Fun: two blocks, at the first and the third block of the MODEL. Only newer hosts have it."""
    import comfy.controlnet
    import comfy.latent_formats
    import comfy.ldm.qwen_image.controlnet
    import comfy.ops

    width = QWEN["attention_head_dim"] * QWEN["num_attention_heads"]
    network = comfy.ldm.qwen_image.controlnet.QwenImageFunControlNetModel(
        inner_dim=width,
        num_attention_heads=QWEN["num_attention_heads"],
        attention_head_dim=QWEN["attention_head_dim"],
        num_control_blocks=2,
        main_model_double=QWEN["num_layers"],
        injection_layers=(0, 2),
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    kind = comfy.controlnet.QwenFunControlNet
    return transformer_net(network, comfy.latent_formats.Wan21(), kind=kind, extra_conds=[])
