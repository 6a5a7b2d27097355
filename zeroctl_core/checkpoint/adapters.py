"""T2I-Adapter files, in the layout of the original release or of diffusers: recognised, read strictly, or refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..files.checkpoint_error import checkpoint_errors
from ..files.key_faults import key_faults, short
from ..files.on_meta import on_meta
from ..files.values import check_values
from ..files.weight_file import CheckpointError, WeightFile, open_weight_file, unwrapped
from ..network.ops import TORCH_OPS, Ops
from ..network.provenance import CheckpointInfo
from ..network.t2i_adapter import LEVELS, AdapterBase, AdapterSpec, T2IAdapter
from .loading import check_dtypes, main_dtype

__all__ = ["adapter_base", "from_diffusers_adapter", "is_adapter", "load_t2i_adapter", "to_diffusers_adapter"]

PREFIX = "adapter."
PART = re.compile(r"body\.\d{1,2}\.(?:(?:body|resnets)\.\d{1,2}\.)?(?:block[12]|in_conv|out_conv)\.(?:weight|bias)")
BLOCK = re.compile(r"body\.(\d{1,2})\.(?:(?:body|resnets)\.(\d{1,2})\.)?block[12]\.(?:weight|bias)")
"""A key of a residual block, by its place: the number in `body`, and within that."""
IMAGE_CHANNELS = (1, 3)
REMEDY = "Download it again, or get another version"


def is_adapter(file: WeightFile) -> bool:
    """Whether a file holds a T2I-Adapter, whole or in parts."""
    keys = _unprefixed(file)
    return any(PART.fullmatch(key) for key in keys) and not any("zero_convs." in key for key in keys)


def load_t2i_adapter(
    path: str | os.PathLike[str],
    *,
    check_finite: bool = True,
    mapped: bool = True,
    ops: Ops | Callable[[AdapterBase, torch.dtype], Ops] = TORCH_OPS,
) -> T2IAdapter:
    """Load a T2I-Adapter for SD 1.x (full or light) or SDXL; the options are those of `load_controlnet`.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    file = open_weight_file(Path(path), mapped=mapped)
    name = short(file.path.name)
    with checkpoint_errors(file.path, "read as a T2I-Adapter"):
        weights, is_diffusers = _original(file)
        shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
        spec = _spec(name, shapes)
        check_dtypes(file, weights)
        dtype = main_dtype(weights.values())
    if not isinstance(ops, Ops):
        ops = ops(AdapterBase(spec), dtype)
    with checkpoint_errors(file.path, "read as a T2I-Adapter"):
        with on_meta():
            net = T2IAdapter(spec, ops, device="meta")
        faults = key_faults({key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}, shapes)
        if faults:
            raise CheckpointError(f"{name} cannot be loaded as {_title(spec)}: {'; '.join(faults)}. {REMEDY}")
        if check_finite:
            check_values(file.path, weights, lambda key: False, file.extremes)
        net.load_state_dict(weights, assign=True)
        net.requires_grad_(False).eval()
    net.info = CheckpointInfo(
        path=file.path,
        layout="diffusers" if is_diffusers else "original",
        mapped=mapped,
        dtype=dtype,
        n_parameters=sum(tensor.numel() for tensor in weights.values()),
        metadata=dict(file.metadata),
    )
    return net


def adapter_base(file: WeightFile) -> AdapterBase:
    """What an adapter is made for, by its shapes.

    Raises `CheckpointError` for one that lacks whole levels, and for one that reads neither grey nor RGB.
    """
    weights, _ = _original(file)
    return AdapterBase(_spec(short(file.path.name), {key: tuple(value.shape) for key, value in weights.items()}))


def _original(file: WeightFile) -> tuple[dict[str, Tensor], bool]:
    """The weights by the keys of the original release, and whether the file has those of diffusers."""
    weights = _unprefixed(file)
    is_diffusers = any(".resnets." in key for key in weights)
    return (from_diffusers_adapter(weights) if is_diffusers else weights), is_diffusers


def from_diffusers_adapter(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The keys of the original release; tensors stay as they are. keys: without the prefix `adapter.`."""
    light = _is_light(values)
    blocks = 1 + max((int(match[2]) for key in values if (match := BLOCK.fullmatch(key)) and match[2]), default=0)
    result = {}
    for key, value in values.items():
        match = re.fullmatch(r"body\.(\d{1,2})\.(?:resnets\.(\d{1,2})\.)?(.+)", key)
        if match is not None and light:
            key = key.replace(".resnets.", ".body.", 1)
        elif match is not None:
            key = f"body.{int(match[1]) * blocks + int(match[2] or 0)}.{match[3]}"
        result[key] = value
    return result


def to_diffusers_adapter(values: Mapping[str, Tensor], spec: AdapterSpec) -> dict[str, Tensor]:
    """The keys of diffusers, with the prefix `adapter.`, from those of the original release.

    Raises `ValueError` for what the layout has no place for.
    """
    if spec.convolves_down or spec.kernel != 1:
        raise ValueError(
            "the diffusers layout has no place for an adapter that halves by convolutions or whose second convolutions "
            "are wider than 1; save it in the ldm layout"
        )
    result = {}
    for key, value in values.items():
        match = re.fullmatch(r"body\.(\d+)\.(?:body\.(\d+)\.)?(.+)", key)
        if match is not None:
            level, block = (int(match[1]), match[2]) if spec.light else divmod(int(match[1]), spec.blocks)
            is_block = match[3].startswith(("block1.", "block2."))
            key = f"body.{level}.{f'resnets.{block}.' if is_block else ''}{match[3]}"
        result[PREFIX + key] = value
    return result


def _unprefixed(file: WeightFile) -> dict[str, Tensor]:
    tensors = unwrapped(file)
    if tensors and all(key.startswith(PREFIX) for key in tensors):
        return {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
    return tensors


def _is_light(keys: Iterable[str]) -> bool:
    """A light one has no convolution of its own before its blocks, and one behind each."""
    return any(key.endswith(".out_conv.weight") for key in keys)


def _spec(name: str, shapes: Mapping[str, tuple[int, ...]]) -> AdapterSpec:
    """Raises `CheckpointError` for a file that lacks whole levels, and for one that reads neither grey nor RGB."""
    light = _is_light(shapes)
    first = "body.0.in_conv.weight" if light else "conv_in.weight"
    places = sorted({(int(match[1]), int(match[2] or 0)) for key in shapes if (match := BLOCK.fullmatch(key))})
    blocks = 1 + max(place for _, place in places) if light else 2
    present = {number if light else number // blocks for number, _ in places}
    if present != set(range(LEVELS)) or len(shapes.get(first, ())) != 4:
        lost = [f"level {level + 1}" for level in range(LEVELS) if level not in present]
        lost += [] if first in shapes else [first]
        fault = f"it lacks {', '.join(lost)}" if lost else f"it has {len(present)} levels, expected {LEVELS}"
        raise CheckpointError(f"{name} cannot be loaded as a T2I-Adapter: {fault}. {REMEDY}")
    cells = shapes[first][1] // 64  # pixels of one unshuffled cell: 64, or 256 for SDXL
    xl = not light and cells in [4 * channels for channels in IMAGE_CHANNELS]
    channels = cells // 4 if xl else cells
    if channels not in IMAGE_CHANNELS or shapes[first][1] % 64:
        raise CheckpointError(
            f"{name} cannot be loaded as a T2I-Adapter: its first convolution reads {shapes[first][1]} channels; "
            "expected 64 or 192 (SD, grey or RGB in cells of 8x8 pixels), 256 or 768 (SDXL, 16x16). Check that it is "
            "the right file"
        )
    second = shapes.get("body.0.block2.weight", ())
    return AdapterSpec(
        widths=tuple(_width(shapes, level, light) for level in range(LEVELS)),
        image_channels=channels,
        xl=xl,
        light=light,
        blocks=blocks,
        kernel=second[-1] if len(second) == 4 else 1,
        convolves_down=any(key.endswith("down_opt.op.weight") for key in shapes),
    )


def _width(shapes: Mapping[str, tuple[int, ...]], level: int, light: bool) -> int:
    """Of a level's map, by any layer in the file, so that a lost key shows as lost; 0 where none is left."""
    blocks = [f"body.{level}.out_conv"] if light else [f"body.{2 * level + block}.block1" for block in range(2)]
    keys = [f"{block}.{part}" for block in blocks for part in ("weight", "bias")]
    return next((shapes[key][0] for key in keys if shapes.get(key)), 0)


def _title(spec: AdapterSpec) -> str:
    return f"a {'light ' if spec.light else ''}T2I-Adapter for {AdapterBase(spec).title}"
