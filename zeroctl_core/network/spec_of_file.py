"""Read the numbers of a spec from the keys and shapes of a file, whatever its family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from .base import Shapes
from .spec import CONDITION_FORMS, LATENT_CHANNELS, EncoderSpec

TYPE_CHANNELS = 256
"""Width of the sinusoids that tell a union ControlNet whether a type is active."""
UNION_PARTS = ("task_embedding", "transformer_layes.", "spatial_ch_projs.", "control_add_embedding.")
FEWEST_KEYS = 5
"""Keys of a transformer block, which has 20: a file that numbers more blocks than it can hold is not built."""


def context_width(shapes: Shapes) -> int | None:
    """Width of the prompt's tokens; None for a net without attention to the prompt."""
    widths = (shape[1] for key, shape in shapes.items() if key.endswith(".attn2.to_k.weight") and len(shape) == 2)
    return next(widths, None)


def label_width(shapes: Shapes) -> int | None:
    """Width of y; None where there is none."""
    shape = shapes.get("label_emb.0.0.weight", ())
    return shape[1] if len(shape) == 2 else None


def union_types(shapes: Shapes) -> int | None:
    """How many types a union ControlNet knows; None for a plain one. A file that lost some of its keys is one too."""
    for key, axis, width in (("task_embedding", 0, 1), ("control_add_embedding.linear_1.weight", 1, TYPE_CHANNELS)):
        if len(shape := shapes.get(key, ())) == 2:
            return shape[axis] // width
    return 0 if any(key.startswith(UNION_PARTS) for key in shapes) else None


def has_linear_projections(shapes: Shapes) -> bool | None:
    """Whether the transformers project by linear layers and not by 1x1 convolutions; None without transformers."""
    return next((len(shape) == 2 for key, shape in shapes.items() if key.endswith(".proj_in.weight")), None)


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

    Raises `ValueError` when a key that every net has is missing, when blocks are numbered without keys, or when the
    widths fit no network.
    """
    model_channels = _dimension(shapes, "input_blocks.0.0.weight", 0)
    depth_of = _depths(shapes)
    if FEWEST_KEYS * (depth := sum(depth_of.values())) > len(shapes):
        raise ValueError(f"{depth} transformer blocks are numbered, which is too many for {len(shapes)} keys")
    levels, depths = _residual_blocks(shapes, depth_of)
    linear = has_linear_projections(shapes)
    condition_channels, condition_form, condition_widths = _condition_encoder(shapes)
    spec = EncoderSpec(
        model_channels=model_channels,
        channel_mult=_multiples(levels, model_channels),
        num_res_blocks=tuple(len(level) for level in levels),
        transformer_depth=tuple(depths),
        middle_depth=depth_of.get("middle_block.1", 0) if "middle_block.1.proj_in.weight" in shapes else None,
        context_dim=context_width(shapes) or context_dim,
        num_heads=num_heads,
        head_channels=head_channels,
        use_linear=use_linear if linear is None else linear,
        adm_in_channels=label_width(shapes),
        in_channels=_dimension(shapes, "input_blocks.0.0.weight", 1),
        out_channels=_dimension(shapes, "out.2.weight", 0) if "out.2.weight" in shapes else LATENT_CHANNELS,
        condition_channels=condition_channels,
        condition_form=condition_form,
        condition_widths=condition_widths,
        groups=groups,
    )
    decoder_depth = _decoder_depths(shapes, depth_of)
    if decoder_depth and decoder_depth != spec.decoder_depths:
        return replace(spec, decoder_depth=decoder_depth)
    return spec


def _residual_blocks(shapes: Shapes, depth_of: Mapping[str, int]) -> tuple[list[list[int]], list[int]]:
    """The encoder's residual blocks: their widths level by level, and the transformer depth of each.

    Raises `ValueError` for a level without any.
    """
    levels: list[list[int]] = [[]]
    depths: list[int] = []
    for place in count(1):
        block = f"input_blocks.{place}"
        if f"{block}.0.op.weight" in shapes or f"{block}.0.op.bias" in shapes:
            levels.append([])
        elif (width := _block_width(shapes, f"{block}.0")) is not None:
            levels[-1].append(width)
            depths.append(depth_of.get(f"{block}.1", 0))
        else:
            break
    if not all(levels):
        raise ValueError(
            f"a level has no residual block; the residual blocks a level are {[len(level) for level in levels]}"
        )
    return levels, depths


def _block_width(shapes: Shapes, block: str) -> int | None:
    """Output channels of a residual block by any layer in the file, so that a lost key shows as lost."""
    layers = ("out_layers.3", "in_layers.2", "emb_layers.1")
    keys = (f"{block}.{layer}.{kind}" for kind in ("weight", "bias") for layer in layers)
    return next((shapes[key][0] for key in keys if shapes.get(key)), None)


def _multiples(levels: list[list[int]], model_channels: int) -> tuple[int, ...]:
    """The width of each level over that of the first convolution.

    Raises `ValueError` where it is not a whole number.
    """
    for width, *_ in levels:
        if model_channels == 0 or width % model_channels:
            raise ValueError(
                f"a level is {width} channels wide, which is not a multiple of the first convolution's {model_channels}"
            )
    return tuple(width // model_channels for width, *_ in levels)


def _condition_encoder(shapes: Shapes) -> tuple[int, str, tuple[int, ...]]:
    """Channels, form and widths of the condition encoder; those of the released one for a UNet, which has none."""
    first = "input_hint_block.0.weight"
    if first not in shapes:
        return 3, "released", CONDITION_FORMS["released"]
    if shapes[first][2:] == (4, 4):
        form, places = "paper", (0, 2, 4, 6)
    else:
        form, places = "released", (0, 4, 8, 12)
    widths = tuple(_dimension(shapes, f"input_hint_block.{place}.weight", 0) for place in places)
    return _dimension(shapes, first, 1), form, widths


def _decoder_depths(shapes: Shapes, depth_of: Mapping[str, int]) -> tuple[int, ...]:
    depths: list[int] = []
    while f"output_blocks.{len(depths)}.0.in_layers.2.weight" in shapes:
        depths.append(depth_of.get(f"output_blocks.{len(depths)}.1", 0))
    return tuple(depths)


def _depths(shapes: Shapes) -> dict[str, int]:
    """Transformer -> number of its blocks, in one pass over the keys."""
    blocks: dict[str, set[str]] = {}
    for key in shapes:
        transformer, separator, rest = key.partition(".transformer_blocks.")
        number = rest.partition(".")[0]
        if separator and number.isdecimal():
            blocks.setdefault(transformer, set()).add(number)
    return {transformer: len(numbers) for transformer, numbers in blocks.items()}


def _dimension(shapes: Shapes, key: str, axis: int) -> int:
    shape = shapes.get(key)
    if shape is None:
        raise ValueError(f"{key} is missing")
    if len(shape) <= axis:
        raise ValueError(f"{key} has the shape {tuple(shape)}, which is not that of a weight")
    return shape[axis]
