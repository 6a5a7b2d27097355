"""The embedded UNet as the host's MODEL: the host's own network at our widths, so that its patches act here too."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models_base
import torch
from comfy.patcher_extension import WrappersMP

from zeroctl_core.bases import BASES
from zeroctl_core.canvas.cells import PIXELS_PER_CELL
from zeroctl_core.network.unet import UNet

from ..control_net import compute_dtypes
from ..notices import notice

__all__ = ["SIZES", "model_from"]

SPEC = BASES["tiny"].spec
SIZES = (144, 256)  # pixels a side between which its pictures were seen to hold; it was trained at 192
HOST_GROUPS = 32  # what the host asks for in every GroupNorm of this network


class ZeroctlTiny(comfy.supported_models_base.BASE):
    """What the host has to know of a family: eps-prediction on Stable Diffusion's schedule, in its latent."""

    unet_extra_config = {"num_heads": -1, "num_head_channels": SPEC.head_channels}
    latent_format = comfy.latent_formats.SD15


def model_from(unet: UNet, disable_dynamic: bool = False) -> Any:
    """A ModelPatcher with the weights of `unet`, in the precision that the host chooses for float16 files."""
    dtype, manual_cast = compute_dtypes(torch.float16)
    config = ZeroctlTiny(_unet_config())
    config.set_inference_dtype(dtype, manual_cast)
    config.custom_operations = _with_our_groups(comfy.ops.pick_operations(dtype, manual_cast))
    model = comfy.model_base.BaseModel(config, device=comfy.model_management.unet_offload_device())
    weights = {key: value.to(dtype) for key, value in unet.state_dict().items()}
    plain = comfy.model_patcher.ModelPatcher
    patcher_class = plain if disable_dynamic else getattr(comfy.model_patcher, "CoreModelPatcher", plain)
    patcher = patcher_class(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    model.load_model_weights(weights, "")
    patcher.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "zeroctl.demo", _name_other_sizes)
    return patcher


def _unet_config() -> dict[str, Any]:
    """The host's names for the numbers of the core's spec."""
    return {
        "image_size": 32,  # without effect
        "in_channels": SPEC.in_channels,
        "out_channels": SPEC.out_channels,
        "model_channels": SPEC.model_channels,
        "channel_mult": list(SPEC.channel_mult),
        "num_res_blocks": list(SPEC.num_res_blocks),
        "transformer_depth": list(SPEC.transformer_depth),
        "transformer_depth_middle": SPEC.middle_depth,
        "transformer_depth_output": list(reversed(SPEC.decoder_depths)),  # the host takes them from the end
        "context_dim": SPEC.context_dim,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": SPEC.use_linear,
        "adm_in_channels": None,
        "use_temporal_attention": False,
        "legacy": False,
    }


def _with_our_groups(operations: Any) -> Any:
    """The host's layers, whose norms have our number of groups: 32 of them on 32 channels would lose the colours."""

    class Operations(operations):
        class GroupNorm(operations.GroupNorm):
            def __init__(self, num_groups: int, num_channels: int, **options: Any) -> None:
                assert num_groups == HOST_GROUPS
                super().__init__(SPEC.groups, num_channels, **options)

    return Operations


def _name_other_sizes(executor: Any, noise: torch.Tensor, *args: Any, **options: Any) -> Any:
    """Say before a run that it is at a size at which the model was not trained; then run."""
    height, width = (PIXELS_PER_CELL * side for side in noise.shape[-2:])
    low, high = SIZES
    if not all(low <= side <= high for side in (height, width)):
        notice(
            "Demo model outside its sizes",
            f"the picture has {width}x{height} pixels; the embedded model was trained at 192x192 and holds together "
            f"from {low} to {high} a side. Expect broken or repeated things, or set the latent to 192x192.",
        )
    return executor(noise, *args, **options)
