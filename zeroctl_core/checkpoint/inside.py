"""The control inside a file: below one prefix, in a dict of a dict, beside what a training left there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ..files.key_faults import named, short
from ..files.weight_file import CheckpointError, WeightFile
from .layouts import LDM_PREFIX, from_diffusers, is_diffusers

FIRST_KEYS = (
    "zero_convs.0.0.weight",
    "input_hint_block.0.weight",
    "controlnet_cond_embedding.conv_in.weight",
    "controlnet_down_blocks.0.weight",
)
"""Keys that a control has in one layout or the other; what stands before them is its prefix."""
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
OF_ANOTHER_KIND = ("difference", "lora_controlnet", "scaled_fp8")
"""Scalars that say what the file is; others are counters."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """The weights of a control under LDM keys without prefix, and where in the file they were."""

    layout: str
    prefix: str
    weights: dict[str, Tensor]
    others: tuple[str, ...]  # what a training leaves beside a control, by name
    extra: tuple[str, ...]  # keys beside it that are not known to come with one

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tuple(tensor.shape) for key, tensor in self.weights.items()}


def control_in(file: WeightFile) -> Control:
    """Find the one control of a file; a file that holds none is handed on as it is, to be refused by its keys.

    Raises `CheckpointError` for two controls, and for a control that mixes the layouts.
    """
    prefix = _prefix(file)
    weights: dict[str, Tensor] = {}
    others: dict[str, None] = {}
    extra: list[str] = []
    for key, tensor in file.tensors.items():
        part = _part_beside(file, prefix, key, tensor)
        if part is not None:
            others[part] = None
        elif key.startswith(prefix):
            weights[key[len(prefix) :]] = tensor
        else:
            extra.append(key)
    layout = "ldm"
    if is_diffusers(weights):
        layout = "diffusers"
        try:
            weights = from_diffusers(weights)
        except ValueError as error:
            raise CheckpointError(f"{short(file.path.name)}: {short(str(error))}") from error
    return Control(layout=layout, prefix=prefix, weights=weights, others=tuple(others), extra=tuple(extra))


def _prefix(file: WeightFile) -> str:
    prefixes: dict[str, None] = {}
    for key in file.tensors:
        for first in FIRST_KEYS:
            if key == first or key.endswith("." + first):
                prefixes[key.removesuffix(first)] = None
    # a moving average lies beside the weights that it is the average of
    result = [prefix for prefix in prefixes if "model_ema." not in prefix] or list(prefixes)
    if len(result) > 1:
        raise CheckpointError(
            f"{short(file.path.name)} holds {len(result)} controls, below "
            f"{named([repr(prefix) for prefix in sorted(result)])}; "
            "write the one that is meant into a file of its own"
        )
    if result:
        return result[0]
    return LDM_PREFIX if any(key.startswith(LDM_PREFIX) for key in file.tensors) else ""


def _part_beside(file: WeightFile, prefix: str, key: str, tensor: Tensor) -> str | None:
    """The name of what a key belongs to that a training leaves beside a control; None for all others."""
    dict_head = max((head for head in file.heads if prefix.startswith(head)), key=len, default="")
    if not key.startswith(dict_head):
        return key.split(".")[0]  # an entry of its own, such as the optimizer
    for relative in _relative(prefix, key):
        if relative in NOISE_SCHEDULE:
            return "noise schedule"
        for part in BESIDE_THE_CONTROL:
            if relative.startswith(part + "."):
                return part
        if relative.split(".")[-1] == "position_ids":
            return short(relative)
        if tensor.numel() == 1 and "." not in relative and relative not in OF_ANOTHER_KIND:
            return short(relative)
    return None


def _relative(prefix: str, key: str) -> Iterator[str]:
    """The key as seen from every level on the way to the control."""
    yield key
    end = 0
    while (end := prefix.find(".", end) + 1) and key.startswith(prefix[:end]):
        yield key[end:]
