"""ControlNet files: recognised by what they hold, loaded, or refused with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..bases import Base, recognise
from ..files.checkpoint_error import checkpoint_errors
from ..files.key_faults import LONGEST_REASON, key_faults, named, short
from ..files.on_meta import on_meta
from ..files.plural import plural
from ..files.suspects import HOST_LOADS, suspect
from ..files.values import check_values
from ..files.weight_file import CheckpointError, WeightFile, open_weight_file, unwrapped
from ..network.controlnet import ControlNet
from ..network.ops import TORCH_OPS, Ops
from ..network.provenance import CheckpointInfo
from ..network.spec_of_file import context_width, label_width, union_types
from ..network.union_controlnet import UnionControlNet
from .header import check_header
from .inside import FIRST_KEYS, Control, control_in
from .pooling import pooling

__all__ = ["CheckpointError", "load_controlnet", "recognised"]

QUANTISED_ENDINGS = (
    ".scale_weight",
    ".scale_input",
    ".weight_scale",
    ".input_scale",
    "scaled_fp8",
    ".comfy_quant",
    ".absmax",
    ".quant_map",
    ".SCB",
    ".qweight",
    ".qzeros",
)
"""Scaled fp8 of ComfyUI, bitsandbytes, GPTQ and AWQ."""


def load_controlnet(
    path: str | os.PathLike[str],
    *,
    check_finite: bool = True,
    mapped: bool = True,
    ops: Ops | Callable[[Base, torch.dtype], Ops] = TORCH_OPS,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ControlNet:
    """Load a ControlNet for SD 1.x, SD 2.x, SDXL or tiny, in the LDM or the diffusers layout; a union too.

    The weights stay in the mapped file, in their own dtypes and without gradients, until `device` or `dtype` or the
    caller moves them; with `mapped=False` they are read into memory, and whatever happens to the file changes nothing.
    `net.base` holds the family and the spec as read, `net.info` what the file was. `check_finite` reads every weight
    once, and refuses those of an incomplete download, too. `ops` may be a function of the base and the file's dtype,
    for a host whose layers depend on them.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    file = open_weight_file(Path(path), mapped=mapped)
    with checkpoint_errors(file.path, "read as a ControlNet"):
        control, base = recognised(file)
        weights, shapes = control.weights, control.shapes
        pools, pooling_source = pooling(file, base.name)
        dtype_in_file = main_dtype(weights.values())
    if not isinstance(ops, Ops):
        ops = ops(base, dtype_in_file)
    with checkpoint_errors(file.path, "read as a ControlNet"):
        with on_meta():
            net = _network(base, shapes, ops)
        _check_keys(file, net, shapes)
        if check_finite:
            last = f"input_hint_block.{len(net.input_hint_block) - 1}."
            start = ("zero_convs.", "middle_block_out.", "spatial_ch_projs.", last)
            check_values(file.path, weights, lambda key: key.startswith(start), file.extremes)
        net.load_state_dict(weights, assign=True)
        net.requires_grad_(False).eval()
    net.global_average_pooling = pools
    net.info = CheckpointInfo(
        path=file.path,
        layout=control.layout,
        prefix=control.prefix,
        mapped=mapped,
        dtype=dtype_in_file,
        n_parameters=sum(tensor.numel() for tensor in weights.values()),
        metadata=dict(file.metadata),
        global_average_pooling=pools,
        pooling_source=pooling_source,
        ignored=control.others,
    )
    return net if device is None and dtype is None else net.to(device=device, dtype=dtype)


def recognised(file: WeightFile) -> tuple[Control, Base]:
    """The control in a file, and the base that its keys and shapes belong to; the weights are not looked at.

    Raises `CheckpointError` for what is not a control of one of the bases.
    """
    if not file.tensors:
        raise CheckpointError(f"{short(file.path.name)} holds no tensors; it is not a ControlNet")
    check_quantised(file)
    control = control_in(file)
    if control.extra:
        reason = f"{plural(len(control.extra), 'key')} beside the control ({named(control.extra)})"
        raise CheckpointError(_explained(file, reason, [*control.shapes, *control.extra]))
    if _seems_a_control(control.shapes):
        check_dtypes(file, control.weights)
    base = _recognise(file, control.shapes)
    check_header(file, base)
    _check_depths(file, base)
    return control, base


def _seems_a_control(keys: Collection[str]) -> bool:
    return "zero_convs.0.0.weight" in keys or "input_hint_block.0.weight" in keys


def _recognise(file: WeightFile, shapes: Mapping[str, tuple[int, ...]]) -> Base:
    if _seems_a_control(shapes):
        try:
            base = recognise(shapes)
        except ValueError as error:
            reason = f"its keys and shapes fit no network ({short(str(error), LONGEST_REASON)})"
            raise CheckpointError(_explained(file, reason, shapes)) from error
        if base is not None:
            return base
        raise CheckpointError(
            _explained(
                file,
                f"its family is not known: context width {context_width(shapes)}, y width {label_width(shapes)}; "
                "known are SD 1.x (768), SD 2.x (1024), SDXL (2048, with y of 2816) and tiny (64)",
                shapes,
                otherwise=f"If ComfyUI knows it, {HOST_LOADS}",
            )
        )
    raise CheckpointError(_explained(file, "it has neither zero convolutions nor a condition encoder", shapes))


def _explained(
    file: WeightFile, reason: str, keys: Collection[str], otherwise: str = "Check that it is the right file"
) -> str:
    """An error that names the file, what it seems to be, why it is refused, its first keys, and the remedy.

    keys: without the prefix of the control.
    """
    kind = suspect(file.tensors.keys()) or suspect(unwrapped(file).keys()) or suspect(keys)
    name, first = short(file.path.name), f"its first keys are {named(list(file.tensors))}"
    if kind is None:
        return f"{name} cannot be loaded as a ControlNet: {reason}; {first}. {otherwise}"
    remedy = kind.remedy[0].upper() + kind.remedy[1:]
    return f"{name} seems to be {kind.title}: {reason}; {first}. {remedy}"


def _network(base: Base, shapes: Mapping[str, tuple[int, ...]], ops: Ops) -> ControlNet:
    """The network of a file, on meta."""
    n_types = union_types(shapes)
    if n_types is None:
        return ControlNet(base, ops, device="meta")
    return UnionControlNet(base, ops, n_types=n_types, device="meta")


def _check_keys(file: WeightFile, net: ControlNet, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a file that lacks a key of its network, has another one, or one in another shape."""
    faults = key_faults({key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}, shapes)
    if faults:
        kind = "union ControlNet" if isinstance(net, UnionControlNet) else "ControlNet"
        reason = f"as a {kind} of the {net.base.title} family, {'; '.join(faults)}"
        raise CheckpointError(_explained(file, reason, shapes, "The file is incomplete or made for something else"))


def _check_depths(file: WeightFile, base: Base) -> None:
    """Refuse transformers that are missing whole, which the other shapes do not show.

    Every residual block of a level has one or none has, and the middle has blocks where any level has.
    """
    spec = base.spec
    first = 0
    for level, count in enumerate(spec.num_res_blocks):
        depths = spec.transformer_depth[first : first + count]
        first += count
        if 0 in depths and any(depths):
            raise CheckpointError(
                f"{short(file.path.name)} is incomplete: its level {level} has transformers of "
                f"{short(', '.join(map(str, depths)))} blocks, so one of them is missing. Download it again"
            )
    if spec.middle_depth == 0 and any(spec.transformer_depth):
        raise CheckpointError(
            f"{short(file.path.name)} is incomplete: the transformer of its middle has no blocks. Download it again"
        )


def check_quantised(file: WeightFile) -> None:
    """Refuse weights that mean nothing without their scales, by the scales' keys."""
    scales = [key for key in file.tensors if key.endswith(QUANTISED_ENDINGS)]
    if scales and any(first in key for key in file.tensors for first in FIRST_KEYS):
        raise CheckpointError(
            f"{short(file.path.name)} is quantised: it holds {plural(len(scales), 'scale')} ({named(scales)}) beside "
            "its weights. Quantised files are not read here; get the fp16 or fp32 version"
        )


def check_dtypes(file: WeightFile, weights: Mapping[str, Tensor]) -> None:
    odd = {key: tensor.dtype for key, tensor in weights.items() if not tensor.dtype.is_floating_point}
    if odd:
        which = named([f"{key} ({str(dtype).removeprefix('torch.')})" for key, dtype in odd.items()])
        raise CheckpointError(
            f"{short(file.path.name)} holds {plural(len(odd), 'weight')} of another type than floating point: {which}. "
            "Quantised files are not read here; get the fp16 or fp32 version"
        )
    if empty := [key for key, tensor in weights.items() if tensor.numel() == 0]:
        raise CheckpointError(
            f"{short(file.path.name)} is damaged: {plural(len(empty), 'weight')} without a number ({named(empty)}). "
            "Download it again"
        )


def main_dtype(tensors: Iterable[Tensor]) -> torch.dtype:
    """The dtype of most numbers."""
    counts: dict[torch.dtype, int] = {}
    for tensor in tensors:
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype])
