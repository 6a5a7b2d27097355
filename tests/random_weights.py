"""Random but deterministic weights in the published LDM layout, from a table of key -> shape.

Tests and benchmarks need files that look like released ones and forwards that stay finite, without a download. The key
tables here are built from a spec and not from the networks of `zeroctl_core`, so that they can contradict them.

Every tensor reads one pool of 4 M standard normal numbers at an offset of its own (nothing is drawn a tensor) and is
scaled by 1/sqrt(fan_in). Norm weights are 1 and biases 0, unless `spread` asks for more. The layers that end a
residual branch are scaled by 0.3, which stops the residual stream from growing; those that start at zero in training
(`zero_convs`, `middle_block_out`) by 0.1, which gives residuals of an RMS of about 0.1: not zero, not dominating.

Needs torch and safetensors only; no network of any kind is imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from zlib import crc32

import torch
from safetensors.torch import save_file
from torch import Tensor

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

POOL_SIZE = 4_000_000
POOL_SEED = 20230210
BRANCH_ENDS = ("out_layers.3", "proj_out", "to_out.0", "ff.net.2", "conv2", "self_attn.out_proj", "mlp.fc2")
BRANCH_END_SCALE = 0.3
ZERO_AT_START = ("zero_convs.", "middle_block_out.")
ZERO_AT_START_SCALE = 0.1


@dataclass(frozen=True, kw_only=True)
class UNetSpec:
    """What fixes every key and shape of a UNet of the Stable Diffusion family and of its ControlNet.

    `num_res_blocks` and `transformer_depth` count per level; depth 0 is a level without attention. The middle always
    has a transformer; with `middle_depth` 0 it is its norm and two projections alone (SDXL small).
    """

    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: tuple[int, ...] = (2, 2, 2, 2)
    transformer_depth: tuple[int, ...] = (1, 1, 1, 0)
    middle_depth: int = 1
    context_dim: int = 768
    use_linear: bool = False
    adm_in_channels: int | None = None
    in_channels: int = 4
    out_channels: int = 4
    condition_channels: int = 3

    def __post_init__(self) -> None:
        levels = {len(self.channel_mult), len(self.num_res_blocks), len(self.transformer_depth)}
        if len(levels) != 1:
            raise ValueError(
                f"channel_mult {self.channel_mult}, num_res_blocks {self.num_res_blocks} and transformer_depth "
                f"{self.transformer_depth} differ in length; give one number a level in each."
            )


SD15 = UNetSpec()
SD21 = UNetSpec(context_dim=1024, use_linear=True)
SDXL = UNetSpec(
    channel_mult=(1, 2, 4),
    num_res_blocks=(2, 2, 2),
    transformer_depth=(0, 2, 10),
    middle_depth=10,
    context_dim=2048,
    use_linear=True,
    adm_in_channels=2816,
)
THIN = UNetSpec(channel_mult=(1, 1), num_res_blocks=(1, 1), transformer_depth=(1, 0))
THINXL = replace(
    THIN, channel_mult=(1, 2), transformer_depth=(0, 1), context_dim=2048, use_linear=True, adm_in_channels=2816
)
NARROW = 64
"""Channels, one head of SD 2.1 and SDXL: a hundredth of the work of 320, where only the control is looked at."""

SPECS: dict[str, UNetSpec] = {
    "sd15": SD15,
    "sd21": SD21,
    "sdxl": SDXL,
    "sdxl_mid": replace(SDXL, transformer_depth=(0, 0, 1), middle_depth=1),
    "sdxl_small": replace(SDXL, transformer_depth=(0, 0, 0), middle_depth=0),
    "thin": THIN,
    "thin21": replace(THIN, context_dim=1024, use_linear=True),
    "thinxl": THINXL,
    "narrow": replace(THIN, model_channels=NARROW),
    "narrow21": replace(THIN, model_channels=NARROW, context_dim=1024, use_linear=True),
    "narrowxl": replace(THINXL, model_channels=NARROW),
}


def spec_of(preset: str | UNetSpec) -> UNetSpec:
    """The spec of a preset's name; a spec passes through.

    Raises `KeyError` for a name that is not a preset.
    """
    if isinstance(preset, UNetSpec):
        return preset
    if preset not in SPECS:
        raise KeyError(f"{preset!r} is not a preset; there are {', '.join(SPECS)}.")
    return SPECS[preset]


# ---- key tables


def _affine(shapes: Shapes, key: str, *weight: int) -> None:
    shapes[f"{key}.weight"] = weight
    shapes[f"{key}.bias"] = weight[:1]


def _res_block(shapes: Shapes, key: str, c_in: int, c_out: int, c_time: int) -> None:
    _affine(shapes, f"{key}.in_layers.0", c_in)
    _affine(shapes, f"{key}.in_layers.2", c_out, c_in, 3, 3)
    _affine(shapes, f"{key}.emb_layers.1", c_out, c_time)
    _affine(shapes, f"{key}.out_layers.0", c_out)
    _affine(shapes, f"{key}.out_layers.3", c_out, c_out, 3, 3)
    if c_in != c_out:
        _affine(shapes, f"{key}.skip_connection", c_out, c_in, 1, 1)


def _transformer(shapes: Shapes, key: str, c: int, depth: int, spec: UNetSpec) -> None:
    projection = (c, c) if spec.use_linear else (c, c, 1, 1)
    _affine(shapes, f"{key}.norm", c)
    _affine(shapes, f"{key}.proj_in", *projection)
    for i in range(depth):
        block = f"{key}.transformer_blocks.{i}"
        for attention, c_context in (("attn1", c), ("attn2", spec.context_dim)):
            shapes[f"{block}.{attention}.to_q.weight"] = (c, c)
            shapes[f"{block}.{attention}.to_k.weight"] = (c, c_context)
            shapes[f"{block}.{attention}.to_v.weight"] = (c, c_context)
            _affine(shapes, f"{block}.{attention}.to_out.0", c, c)
        _affine(shapes, f"{block}.ff.net.0.proj", 8 * c, c)  # GEGLU: value and gate, each 4c
        _affine(shapes, f"{block}.ff.net.2", c, 4 * c)
        for norm in ("norm1", "norm2", "norm3"):
            _affine(shapes, f"{block}.{norm}", c)
    _affine(shapes, f"{key}.proj_out", *projection)


def _encoder(spec: UNetSpec) -> tuple[Shapes, list[int]]:
    """Keys of the encoder and the middle, and the width of every skip, shallow to deep."""
    shapes: Shapes = {}
    c, c_time = spec.model_channels, 4 * spec.model_channels
    _affine(shapes, "time_embed.0", c_time, c)
    _affine(shapes, "time_embed.2", c_time, c_time)
    if spec.adm_in_channels is not None:
        _affine(shapes, "label_emb.0.0", c_time, spec.adm_in_channels)
        _affine(shapes, "label_emb.0.2", c_time, c_time)
    _affine(shapes, "input_blocks.0.0", c, spec.in_channels, 3, 3)
    skips = [c]
    levels = zip(spec.channel_mult, spec.num_res_blocks, spec.transformer_depth, strict=True)
    for level, (mult, blocks, depth) in enumerate(levels):
        for _ in range(blocks):
            c_out = mult * spec.model_channels
            _res_block(shapes, f"input_blocks.{len(skips)}.0", c, c_out, c_time)
            if depth:
                _transformer(shapes, f"input_blocks.{len(skips)}.1", c_out, depth, spec)
            c = c_out
            skips.append(c)
        if level + 1 < len(spec.channel_mult):
            _affine(shapes, f"input_blocks.{len(skips)}.0.op", c, c, 3, 3)
            skips.append(c)
    _res_block(shapes, "middle_block.0", c, c, c_time)
    _transformer(shapes, "middle_block.1", c, spec.middle_depth, spec)
    _res_block(shapes, "middle_block.2", c, c, c_time)
    return shapes, skips


def controlnet_shapes(preset: str | UNetSpec) -> Shapes:
    """Key -> shape of a ControlNet file in the LDM layout, without the `control_model.` prefix."""
    spec = spec_of(preset)
    shapes, skips = _encoder(spec)
    widths = (16, 16, 32, 32, 96, 96, 256)
    c_in = spec.condition_channels
    for i, c_out in enumerate((*widths, spec.model_channels)):
        _affine(shapes, f"input_hint_block.{2 * i}", c_out, c_in, 3, 3)  # odd places are SiLU
        c_in = c_out
    for i, c in enumerate(skips):
        _affine(shapes, f"zero_convs.{i}.0", c, c, 1, 1)
    _affine(shapes, "middle_block_out.0", skips[-1], skips[-1], 1, 1)
    return shapes


def union_shapes(preset: str | UNetSpec, n_types: int) -> Shapes:
    """Key -> shape of a union ControlNet, which both layouts name alike where a plain one has nothing.

    Source: the keys of xinsir's controlnet-union-sdxl-1.0 (6 types) and its ProMax (8).
    """
    shapes, c = controlnet_shapes(preset), spec_of(preset).model_channels
    shapes["task_embedding"] = (n_types, c)
    block = "transformer_layes.0"
    shapes[f"{block}.attn.in_proj_weight"], shapes[f"{block}.attn.in_proj_bias"] = (3 * c, c), (3 * c,)
    _affine(shapes, f"{block}.attn.out_proj", c, c)
    _affine(shapes, f"{block}.mlp.c_fc", 4 * c, c)
    _affine(shapes, f"{block}.mlp.c_proj", c, 4 * c)
    for norm in ("ln_1", "ln_2"):
        _affine(shapes, f"{block}.{norm}", c)
    _affine(shapes, "spatial_ch_projs", c, c)
    _affine(shapes, "control_add_embedding.linear_1", 4 * c, 256 * n_types)
    _affine(shapes, "control_add_embedding.linear_2", 4 * c, 4 * c)
    return shapes


def adapter_shapes(
    channels: int = 320, light: bool = False, xl: bool = False, grey: bool = False, diffusers: bool = False
) -> Shapes:
    """Key -> shape of a T2I-Adapter file: for SD, full or light, or for SDXL; `grey` reads one channel.

    Source: the keys of TencentARC's t2iadapter_*_sd14v1.pth and of its repositories in the layout of diffusers.
    """
    shapes: Shapes = {}
    widths = [mult * channels for mult in (1, 2, 4, 4)]
    c = (1 if grey else 3) * (16 if xl else 8) ** 2
    prefix = "adapter." if diffusers else ""
    if not light:
        _affine(shapes, f"{prefix}conv_in", widths[0], c, 3, 3)
        c = widths[0]
    for level, width in enumerate(widths):
        inside = width // 4 if light else width
        body = f"{prefix}body.{level if light or diffusers else 2 * level}"
        if light or c != width:
            _affine(shapes, f"{body}.in_conv", inside, c, 1, 1)
        for block in range(4 if light else 2):
            place = f"{body}.{'resnets' if diffusers else 'body'}.{block}"
            if not light and not diffusers:
                place = f"body.{2 * level + block}"
            _affine(shapes, f"{place}.block1", inside, inside, 3, 3)
            _affine(shapes, f"{place}.block2", inside, inside, *((3, 3) if light else (1, 1)))
        if light:
            _affine(shapes, f"{body}.out_conv", width, inside, 1, 1)
        c = width
    return shapes


def unet_shapes(preset: str | UNetSpec) -> Shapes:
    """Key -> shape of a UNet in the LDM layout, without the `model.diffusion_model.` prefix."""
    spec = spec_of(preset)
    shapes, skips = _encoder(spec)
    c, c_time = skips[-1], 4 * spec.model_channels
    n = 0
    for level in reversed(range(len(spec.channel_mult))):
        c_out, depth = spec.channel_mult[level] * spec.model_channels, spec.transformer_depth[level]
        for i in range(spec.num_res_blocks[level] + 1):
            _res_block(shapes, f"output_blocks.{n}.0", c + skips.pop(), c_out, c_time)
            place = 1
            if depth:
                _transformer(shapes, f"output_blocks.{n}.1", c_out, depth, spec)
                place = 2
            if level and i == spec.num_res_blocks[level]:
                _affine(shapes, f"output_blocks.{n}.{place}.conv", c_out, c_out, 3, 3)
            c = c_out
            n += 1
    _affine(shapes, "out.0", c)
    _affine(shapes, "out.2", spec.out_channels, c, 3, 3)
    return shapes


def clip_l_shapes(layers: int = 12, width: int = 768, vocabulary: int = 49408, positions: int = 77) -> Shapes:
    """Key -> shape of the text encoder of SD 1.x, below `text_model.`."""
    shapes: Shapes = {
        "embeddings.token_embedding.weight": (vocabulary, width),
        "embeddings.position_embedding.weight": (positions, width),
    }
    for i in range(layers):
        layer = f"encoder.layers.{i}"
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            _affine(shapes, f"{layer}.self_attn.{projection}", width, width)
        _affine(shapes, f"{layer}.layer_norm1", width)
        _affine(shapes, f"{layer}.mlp.fc1", 4 * width, width)
        _affine(shapes, f"{layer}.mlp.fc2", width, 4 * width)
        _affine(shapes, f"{layer}.layer_norm2", width)
    _affine(shapes, "final_layer_norm", width)
    return shapes


def _vae_res_block(shapes: Shapes, key: str, c_in: int, c_out: int) -> None:
    _affine(shapes, f"{key}.norm1", c_in)
    _affine(shapes, f"{key}.conv1", c_out, c_in, 3, 3)
    _affine(shapes, f"{key}.norm2", c_out)
    _affine(shapes, f"{key}.conv2", c_out, c_out, 3, 3)
    if c_in != c_out:
        _affine(shapes, f"{key}.nin_shortcut", c_out, c_in, 1, 1)


def _vae_middle(shapes: Shapes, key: str, c: int) -> None:
    _vae_res_block(shapes, f"{key}.block_1", c, c)
    _affine(shapes, f"{key}.attn_1.norm", c)
    for projection in ("q", "k", "v", "proj_out"):
        _affine(shapes, f"{key}.attn_1.{projection}", c, c, 1, 1)
    _vae_res_block(shapes, f"{key}.block_2", c, c)


def vae_shapes(ch: int = 128, ch_mult: tuple[int, ...] = (1, 2, 4, 4), num_res_blocks: int = 2, z: int = 4) -> Shapes:
    """Key -> shape of the autoencoder of SD 1.x, below `first_stage_model.`."""
    shapes: Shapes = {}
    last = len(ch_mult) - 1
    _affine(shapes, "encoder.conv_in", ch, 3, 3, 3)
    c = ch
    for level, mult in enumerate(ch_mult):
        for i in range(num_res_blocks):
            _vae_res_block(shapes, f"encoder.down.{level}.block.{i}", c, mult * ch)
            c = mult * ch
        if level < last:
            _affine(shapes, f"encoder.down.{level}.downsample.conv", c, c, 3, 3)
    _vae_middle(shapes, "encoder.mid", c)
    _affine(shapes, "encoder.norm_out", c)
    _affine(shapes, "encoder.conv_out", 2 * z, c, 3, 3)
    _affine(shapes, "quant_conv", 2 * z, 2 * z, 1, 1)
    _affine(shapes, "post_quant_conv", z, z, 1, 1)
    _affine(shapes, "decoder.conv_in", c, z, 3, 3)
    _vae_middle(shapes, "decoder.mid", c)
    for level in reversed(range(len(ch_mult))):
        for i in range(num_res_blocks + 1):
            _vae_res_block(shapes, f"decoder.up.{level}.block.{i}", c, ch_mult[level] * ch)
            c = ch_mult[level] * ch
        if level:
            _affine(shapes, f"decoder.up.{level}.upsample.conv", c, c, 3, 3)
    _affine(shapes, "decoder.norm_out", c)
    _affine(shapes, "decoder.conv_out", 3, c, 3, 3)
    return shapes


# ---- values


@cache
def _pool() -> Tensor:
    return torch.randn(POOL_SIZE, generator=torch.Generator().manual_seed(POOL_SEED))


def _normal(key: str, numel: int, seed: int) -> Tensor:
    """`numel` normal numbers for this key and seed: the pool from an offset of its own, cyclic."""
    pool = _pool()
    place = crc32(f"{seed}:{key}".encode()) % POOL_SIZE
    out = torch.empty(numel)
    start = 0
    while start < numel:
        n = min(numel - start, POOL_SIZE - place)
        out[start : start + n] = pool[place : place + n]
        start, place = start + n, 0
    return out


def _value(key: str, shape: Shape, seed: int, spread: float) -> Tensor:
    if len(shape) == 1:
        rest = 1.0 if key.endswith(".weight") else 0.0  # one dimension: a norm's weight, else a bias
        if spread == 0.0:
            return torch.full(shape, rest)
        return _normal(key, shape[0], seed).mul_(spread).add_(rest)
    scale = 1.0 / math.sqrt(math.prod(shape[1:]))
    name = key.removesuffix(".weight")
    if name.endswith(BRANCH_ENDS):
        scale *= BRANCH_END_SCALE
    if name.startswith(ZERO_AT_START):
        scale *= ZERO_AT_START_SCALE
    return _normal(key, math.prod(shape), seed).mul_(scale).view(shape)


def random_state_dict(
    shapes: Mapping[str, Shape], seed: int = 0, dtype: torch.dtype = torch.float32, spread: float = 0.0
) -> dict[str, Tensor]:
    """Fill a key table with weights that keep a forward finite; equal arguments give equal bits.

    `spread` is the standard deviation of biases and of norm weights around 0 and 1. With 0 a loader that mixes up two
    biases goes unnoticed, so tests of key conversion pass about 0.1.
    """
    return {key: _value(key, shape, seed, spread).to(dtype) for key, shape in shapes.items()}


def random_controlnet(
    preset: str | UNetSpec, seed: int = 0, dtype: torch.dtype = torch.float32, spread: float = 0.0
) -> dict[str, Tensor]:
    """A ControlNet's state dict in the LDM layout, without prefix."""
    return random_state_dict(controlnet_shapes(preset), seed, dtype, spread)


def random_unet(
    preset: str | UNetSpec, seed: int = 0, dtype: torch.dtype = torch.float32, spread: float = 0.0
) -> dict[str, Tensor]:
    """A UNet's state dict in the LDM layout, without prefix."""
    return random_state_dict(unet_shapes(preset), seed, dtype, spread)


# ---- files


def prefixed(prefix: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with `prefix` before every key."""
    return {prefix + key: value for key, value in state_dict.items()}


def save_controlnet_file(
    path: Path, preset: str | UNetSpec, seed: int = 0, dtype: torch.dtype = torch.float16, prefix: str = ""
) -> Path:
    """Write a ControlNet in the LDM layout as safetensors and return its path; `prefix` as in `control_model.`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(prefixed(prefix, random_controlnet(preset, seed, dtype)), path)
    return path


def thin_checkpoint(path: Path, seed: int = 0, dtype: torch.dtype = torch.float16) -> Path:
    """Write a whole SD 1.5 checkpoint with a thin UNet (about 490 MB in fp16) and return its path.

    The host's Load Checkpoint reads it as SD 1.5: it looks at context width, model channels and the kind of
    projections, all of which `thin` keeps. Text encoder and autoencoder have their full size, because the host builds
    both from fixed configs and would leave what the file lacks uninitialised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state_dict = {
        **prefixed("model.diffusion_model.", random_unet("thin", seed, dtype)),
        **prefixed("cond_stage_model.transformer.text_model.", random_state_dict(clip_l_shapes(), seed, dtype)),
        **prefixed("first_stage_model.", random_state_dict(vae_shapes(), seed, dtype)),
    }
    save_file(state_dict, path)
    return path
