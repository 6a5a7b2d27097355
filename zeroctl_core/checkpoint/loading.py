"""ControlNet files: recognised by what they hold, loaded without a copy, or refused with the reason."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..bases import Base, recognise
from ..files.key_faults import key_faults, named
from ..files.suspects import HOST_LOADS, suspect
from ..files.weight_file import CheckpointError, WeightFile, open_weight_file
from ..network.controlnet import ControlNet
from ..network.ops import TORCH_OPS, Ops
from ..network.provenance import CheckpointInfo
from ..network.spec_of_file import context_width, label_width
from ..plural import plural
from .header import POOLING_KEY
from .layouts import LDM_PREFIX, from_diffusers, is_diffusers

__all__ = ["CheckpointError", "load_controlnet"]

BESIDE_THE_CONTROL = (
    "model.diffusion_model",
    "first_stage_model",
    "cond_stage_model",
    "conditioner",
    "model_ema",
)
"""Parts of a whole checkpoint that the v1.0 files hold beside the control."""
NOISE_SCHEDULE = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "logvar",
)
"""Buffers of the original training class, beside the control too."""

SHUFFLE_ENDINGS = ("_shuffle", "_shuffle_fp16")
"""The released shuffle control pools, which its keys do not show; the host goes by these names too."""


def load_controlnet(
    path: str | os.PathLike[str],
    *,
    check_finite: bool = True,
    ops: Ops | Callable[[Base, torch.dtype], Ops] = TORCH_OPS,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ControlNet:
    """Load a ControlNet for SD 1.x, SD 2.x, SDXL or tiny, in the LDM or the diffusers layout.

    The weights stay in the mapped file, in their own dtypes and without gradients, until `device` or `dtype` or the
    caller moves them. `net.base` holds the family and the spec as read, `net.info` what the file was.
    `check_finite` reads every weight once. `ops` may be a function of the base and the file's dtype, for a host whose
    layers depend on them.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    file = open_weight_file(Path(path))
    if not file.tensors:
        raise CheckpointError(f"{file.path.name} holds no tensors; it is not a ControlNet")
    layout, weights, others = _control_weights(file)
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    base = _recognise(file, shapes)
    _check_dtypes(file, weights)
    dtype_in_file = _main_dtype(weights.values())
    net = ControlNet(base, ops if isinstance(ops, Ops) else ops(base, dtype_in_file), device="meta")
    _check_keys(file, base, shapes, {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()})
    if check_finite:
        _check_finite(file, weights)
    net.requires_grad_(False).eval()
    net.load_state_dict(weights, assign=True)
    net.global_average_pooling, pooling_source = _pooling(file)
    net.info = CheckpointInfo(
        path=file.path,
        layout=layout,
        dtype=dtype_in_file,
        n_parameters=sum(tensor.numel() for tensor in weights.values()),
        metadata=dict(file.metadata),
        global_average_pooling=net.global_average_pooling,
        pooling_source=pooling_source,
        ignored=others,
    )
    return net if device is None and dtype is None else net.to(device=device, dtype=dtype)


def _control_weights(file: WeightFile) -> tuple[str, dict[str, Tensor], tuple[str, ...]]:
    """Layout, the control's weights under LDM keys without prefix, and the parts of the file beside the control."""
    tensors = file.tensors
    if is_diffusers(tensors):
        try:
            return "diffusers", from_diffusers(tensors), ()
        except ValueError as error:
            raise CheckpointError(f"{file.path.name}: {error}") from error
    if not any(key.startswith(LDM_PREFIX) for key in tensors):
        return "ldm", dict(tensors), ()
    weights: dict[str, Tensor] = {}
    others: list[str] = []
    for key, tensor in tensors.items():
        part = next((part for part in BESIDE_THE_CONTROL if key.startswith(part + ".")), None)
        if key in NOISE_SCHEDULE:
            part = "noise schedule"
        if part is None:
            # what is neither the control nor known to come with it stays, and is refused as an extra key
            weights[key.removeprefix(LDM_PREFIX)] = tensor
        elif part not in others:
            others.append(part)
    return "ldm", weights, tuple(others)


def _recognise(file: WeightFile, shapes: Mapping[str, tuple[int, ...]]) -> Base:
    if "zero_convs.0.0.weight" in shapes or "input_hint_block.0.weight" in shapes:
        try:
            base = recognise(shapes)
        except ValueError as error:
            raise CheckpointError(_explained(file, f"its keys and shapes fit no network ({error})")) from error
        if base is not None:
            return base
        raise CheckpointError(
            _explained(
                file,
                f"its family is not known: context width {context_width(shapes)}, y width {label_width(shapes)}; "
                "known are SD 1.x (768), SD 2.x (1024), SDXL (2048, with y of 2816) and tiny (64)",
                otherwise=f"If ComfyUI knows it, {HOST_LOADS}",
            )
        )
    raise CheckpointError(_explained(file, "it has neither zero convolutions nor a condition encoder"))


def _explained(file: WeightFile, reason: str, otherwise: str = "Check that it is the right file") -> str:
    """An error that names the file, what it seems to be, why it is refused, its first keys, and the remedy."""
    kind = suspect(file.tensors.keys())
    first = f"its first keys are {named(list(file.tensors))}"
    if kind is None:
        return f"{file.path.name} cannot be loaded as a ControlNet: {reason}; {first}. {otherwise}"
    remedy = kind.remedy[0].upper() + kind.remedy[1:]
    return f"{file.path.name} seems to be {kind.title}: {reason}; {first}. {remedy}"


def _check_keys(
    file: WeightFile, base: Base, shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse a file that lacks a key of its spec, has another one, or one in another shape."""
    faults = key_faults(expected, shapes)
    if faults:
        reason = f"as a ControlNet of the {base.title} family, {'; '.join(faults)}"
        raise CheckpointError(_explained(file, reason, otherwise="The file is incomplete or made for something else"))


def _check_dtypes(file: WeightFile, weights: Mapping[str, Tensor]) -> None:
    odd = {key: tensor.dtype for key, tensor in weights.items() if not tensor.dtype.is_floating_point}
    if odd:
        which = named([f"{key} ({str(dtype).removeprefix('torch.')})" for key, dtype in odd.items()])
        raise CheckpointError(
            f"{file.path.name} holds {plural(len(odd), 'weight')} of another type than floating point: {which}. "
            "Quantised files are not read here; get the fp16 or fp32 version"
        )


def _check_finite(file: WeightFile, weights: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinite weights: smallest and largest in one pass, which NaN survives and nothing overflows."""
    bad = []
    for key, tensor in weights.items():
        if tensor.numel() == 0:
            continue
        low, high = torch.aminmax(tensor if tensor.dtype.itemsize > 1 else tensor.float())  # torch compares no fp8
        if not (math.isfinite(low.item()) and math.isfinite(high.item())):
            bad.append(key)
    if bad:
        raise CheckpointError(
            f"{file.path.name} has NaN or infinite numbers in {len(bad)} of {len(weights)} weights ({named(bad)}); "
            "every picture would be black. Download it again, or get another version"
        )


def _pooling(file: WeightFile) -> tuple[bool, str | None]:
    """Whether the network averages its residuals over space, and where that stands."""
    if (value := file.metadata.get(POOLING_KEY)) is not None:
        return value == "true", "header"
    if file.path.stem.endswith(SHUFFLE_ENDINGS):
        return True, "file name"
    return False, None


def _main_dtype(tensors: Iterable[Tensor]) -> torch.dtype:
    """The dtype of most numbers."""
    counts: dict[torch.dtype, int] = {}
    for tensor in tensors:
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype])
