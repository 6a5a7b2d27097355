"""The twins in diffusers of networks of ours: their arguments, and the names of the same weights."""

from __future__ import annotations

import sys

import pytest
import torch
from random_weights import UNetSpec
from torch import Tensor

from zeroctl_core.checkpoint.layouts import to_diffusers

UP_BLOCK_PARTS = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def diffusers() -> object:
    # transformers imports torchaudio where it is installed, and one built for another torch breaks `import diffusers`
    sys.modules.setdefault("torchaudio", None)  # type: ignore[arg-type]
    return pytest.importorskip("diffusers", reason="diffusers is not installed: pip install zeroctl[test]")


def controlnet_config(spec: UNetSpec) -> dict[str, object]:
    """The arguments that make diffusers build the same network."""
    widths = [mult * spec.model_channels for mult in spec.channel_mult]
    heads = 8 if spec.context_dim == 768 else [width // 64 for width in widths]
    attention = [depth > 0 for depth in spec.transformer_depth]
    config: dict[str, object] = {
        "in_channels": spec.in_channels,
        "block_out_channels": widths,
        "layers_per_block": spec.num_res_blocks[0],
        "down_block_types": ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention],
        "transformer_layers_per_block": [depth or 1 for depth in spec.transformer_depth],
        "cross_attention_dim": spec.context_dim,
        "attention_head_dim": heads,
        "use_linear_projection": spec.use_linear,
    }
    # diffusers gives the middle the depth of the last level
    config["transformer_layers_per_block"] = [*[depth or 1 for depth in spec.transformer_depth[:-1]], spec.middle_depth]
    if spec.adm_in_channels is not None:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": spec.adm_in_channels,
        }
    return config


def unet_to_diffusers(state: dict[str, Tensor], spec: UNetSpec) -> dict[str, Tensor]:
    """The decoder's keys by the rule of diffusers; the encoder's by the table of the core."""
    renamed = {}
    for key, value in to_diffusers(state, spec.num_res_blocks).items():
        if key.startswith("output_blocks."):
            _, block, place, *rest = key.split(".")
            level, res = divmod(int(block), spec.num_res_blocks[0] + 1)
            tail = ".".join(rest)
            if rest[0] == "conv":
                key = f"up_blocks.{level}.upsamplers.0.{tail}"
            elif place == "1":
                key = f"up_blocks.{level}.attentions.{res}.{tail}"
            else:
                for ldm, theirs in UP_BLOCK_PARTS.items():
                    if tail.startswith(ldm):
                        key = f"up_blocks.{level}.resnets.{res}.{theirs}{tail.removeprefix(ldm)}"
        elif key.startswith("out.0."):
            key = key.replace("out.0.", "conv_norm_out.")
        elif key.startswith("out.2."):
            key = key.replace("out.2.", "conv_out.")
        renamed[key] = value
    return renamed


def unet_config(spec: UNetSpec) -> dict[str, object]:
    """The arguments that make diffusers build the same UNet: those of its ControlNet, and the decoder's blocks."""
    blocks = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(spec.transformer_depth)]
    return controlnet_config(spec) | {"up_block_types": blocks, "out_channels": spec.out_channels}


def controlnet_twin(spec: UNetSpec, state: dict[str, Tensor]) -> torch.nn.Module:
    """The ControlNet of diffusers with these weights, which it shares."""
    with torch.device("meta"):
        net = diffusers().ControlNetModel(**controlnet_config(spec))  # type: ignore[attr-defined]
    net.load_state_dict(to_diffusers(state, spec.num_res_blocks), assign=True)
    return net.eval()


def unet_twin(spec: UNetSpec, state: dict[str, Tensor]) -> torch.nn.Module:
    """The UNet of diffusers with these weights, which it shares."""
    with torch.device("meta"):
        net = diffusers().UNet2DConditionModel(**unet_config(spec))  # type: ignore[attr-defined]
    net.load_state_dict(unet_to_diffusers(state, spec), assign=True)
    return net.eval()
