"""Read the numbers of a spec from the keys and shapes of a file, whatever its family."""

from __future__ import annotations

import re
from dataclasses import replace

from ..latent import LATENT_CHANNELS
from .base import Shapes
from .spec import CONDITION_FORMS, EncoderSpec


def context_width(shapes: Shapes) -> int | None:
    """Width of the prompt's tokens; None for a net without attention to the prompt."""
    widths = (shape[1] for key, shape in shapes.items() if key.endswith(".attn2.to_k.weight") and len(shape) == 2)
    return next(widths, None)


def label_width(shapes: Shapes) -> int | None:
    """Width of y; None where there is none."""
    shape = shapes.get("label_emb.0.0.weight", ())
    return shape[1] if len(shape) == 2 else None


def has_linear_projections(shapes: Shapes) -> bool | None:
    """Whether the transformers project by linear layers and not by 1x1 convolutions; None without transformers."""
    return next((len(shape) == 2 for key, shape in shapes.items() if key.endswith(".proj_in.weight")), None)


def _depth(shapes: Shapes, transformer: str) -> int:
    found = re.compile(re.escape(transformer) + r"\.transformer_blocks\.(\d+)\.")
    return len({match[1] for key in shapes if (match := found.match(key))})


def _dimension(shapes: Shapes, key: str, axis: int) -> int:
    shape = shapes.get(key)
    if shape is None:
        raise ValueError(f"{key} is missing")
    if len(shape) <= axis:
        raise ValueError(f"{key} has the shape {tuple(shape)}, which is not that of a weight")
    return shape[axis]


def _block_width(shapes: Shapes, block: str) -> int | None:
    """Output channels of a residual block by whichever of its layers is there, so that a lost key is seen as lost."""
    layers = ("out_layers.3", "in_layers.2", "emb_layers.1")
    keys = (f"{block}.{layer}.{kind}" for kind in ("weight", "bias") for layer in layers)
    return next((shapes[key][0] for key in keys if shapes.get(key)), None)


def _decoder_depths(shapes: Shapes) -> tuple[int, ...]:
    depths: list[int] = []
    while f"output_blocks.{len(depths)}.0.in_layers.2.weight" in shapes:
        depths.append(_depth(shapes, f"output_blocks.{len(depths)}.1"))
    return tuple(depths)


def read_encoder_spec(
    shapes: Shapes,
    *,
    context_dim: int,
    use_linear: bool,
    num_heads: int | None = None,
    head_channels: int | None = None,
    groups: int = 32,
) -> EncoderSpec:
    """The spec of a ControlNet or a UNet in the LDM layout, without prefix.

    Heads and groups leave no trace in the shapes: they are the family's. Context width and kind of projections are the
    family's where the net has no transformer to read them from.

    Raises `ValueError` when a key that every net has is missing, or when the widths fit no network.
    """
    model_channels = _dimension(shapes, "input_blocks.0.0.weight", 0)
    widths: list[list[int]] = [[]]  # of the residual blocks, level by level
    depths: list[int] = []
    place = 1
    while True:
        if f"input_blocks.{place}.0.op.weight" in shapes or f"input_blocks.{place}.0.op.bias" in shapes:
            widths.append([])
        elif (width := _block_width(shapes, f"input_blocks.{place}.0")) is not None:
            widths[-1].append(width)
            depths.append(_depth(shapes, f"input_blocks.{place}.1"))
        else:
            break
        place += 1
    if not all(widths):
        raise ValueError(f"a level has no residual block; the residual blocks a level are {[len(w) for w in widths]}")
    for level in widths:
        if model_channels == 0 or level[0] % model_channels:
            raise ValueError(f"a level is {level[0]} channels wide, which is no multiple of the first {model_channels}")
    has_middle = "middle_block.1.proj_in.weight" in shapes
    paper_form = shapes.get("input_hint_block.0.weight", ())[2:] == (4, 4)
    hint_places = (0, 2, 4, 6) if paper_form else (0, 4, 8, 12)
    has_hint = "input_hint_block.0.weight" in shapes
    linear = has_linear_projections(shapes)
    spec = EncoderSpec(
        model_channels=model_channels,
        channel_mult=tuple(level[0] // model_channels for level in widths),
        num_res_blocks=tuple(len(level) for level in widths),
        transformer_depth=tuple(depths),
        middle_depth=_depth(shapes, "middle_block.1") if has_middle else None,
        context_dim=context_width(shapes) or context_dim,
        num_heads=num_heads,
        head_channels=head_channels,
        use_linear=use_linear if linear is None else linear,
        adm_in_channels=label_width(shapes),
        in_channels=_dimension(shapes, "input_blocks.0.0.weight", 1),
        out_channels=_dimension(shapes, "out.2.weight", 0) if "out.2.weight" in shapes else LATENT_CHANNELS,
        condition_channels=_dimension(shapes, "input_hint_block.0.weight", 1) if has_hint else 3,
        condition_form="paper" if paper_form else "released",
        condition_widths=tuple(_dimension(shapes, f"input_hint_block.{i}.weight", 0) for i in hint_places)
        if has_hint
        else CONDITION_FORMS["released"],
        groups=groups,
    )
    decoder_depth = _decoder_depths(shapes)
    if decoder_depth and decoder_depth != spec.decoder_depths:
        spec = replace(spec, decoder_depth=decoder_depth)
    return spec
