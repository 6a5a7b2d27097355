"""ControlNet files: written whole, in either layout, with the network's spec and origin in the header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ..bases import recognise
from ..files.key_faults import named
from ..files.streamed_safetensors import n_bytes_of, stream_safetensors
from ..files.written_whole import written_whole
from ..network.controlnet import ControlNet
from ..network.of_model import UNetWeights
from ..network.rank_cost import RankCost, control_lora_of
from ..network.spec import LATENT_CHANNELS, EncoderSpec
from ..network.t2i_adapter import T2IAdapter
from ..network.unet import UNet
from ..version import __version__
from .adapters import to_diffusers_adapter
from .header import CONTROL_LORA_KEY, HEADER, POOLING_KEY
from .layouts import LAYOUTS, to_diffusers

__all__ = ["save_control_lora", "save_controlnet"]


def save_controlnet(
    net: ControlNet | T2IAdapter,
    path: str | os.PathLike[str],
    layout: str = "ldm",
    *,
    dtype: torch.dtype | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Path:
    """Write a ControlNet as safetensors, in the LDM layout (without prefix) or the diffusers layout; return the path.

    Of a T2I-Adapter, `ldm` is the layout of the original release.

    `dtype` is that of the weights in the file; None: each keeps its own. The header's metadata holds the spec, whether
    the net pools, where it came from and what `provenance` adds, as JSON, beside what the header of the loaded file
    held. The file appears whole or not at all (see `written_whole`), so it may replace the very file that the net was
    loaded from; a net that is mapped from it gets its weights in memory first, because Windows replaces no file that is
    mapped.

    Raises `ValueError` for an unknown layout, a path that does not end in .safetensors, a net without weights, and
    one that the file would not be recognised as; `FileNotFoundError` when the folder does not exist.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"the layout {layout!r} is not known; use one of {', '.join(LAYOUTS)}")
    path = _writable(path)
    _leave_file(net, path)
    weights = _in_layout(net, _weights(net), layout)
    with written_whole(path, n_bytes_of(weights, dtype)) as part:
        stream_safetensors(part, weights, _header(net, layout, provenance or {}), dtype)
    return path


def save_control_lora(
    net: ControlNet,
    unet: UNet | UNetWeights,
    path: str | os.PathLike[str],
    rank: int,
    *,
    dtype: torch.dtype | None = None,
    provenance: Mapping[str, object] | None = None,
) -> RankCost:
    """Write a trained ControlNet as a Control-LoRA of the UNet that it was trained from; return what the rank costs.

    The file is that of Stability AI's control-lora, which ComfyUI loads too; the cost is in its header. Other arguments
    as of `save_controlnet` and `control_lora_of`.

    Raises what they raise.
    """
    path = _writable(path)
    _leave_file(net, path)
    shapes = {key: tuple(value.shape) for key, value in _weights(net).items()}
    tensors, cost = control_lora_of(net, unet, rank, dtype)
    _check_recoverable(net, shapes)
    numbers = {
        "rank": rank,
        "error_mean": cost.mean.of_weight,
        "error_worst": cost.layers[cost.worst].of_weight,
        "worst_layer": cost.worst,
        "change_lost_mean": cost.mean.of_change,
    }
    header = {**_header(net, "ldm", provenance or {}), CONTROL_LORA_KEY: json.dumps(numbers)}
    with written_whole(path, n_bytes_of(tensors)) as part:
        stream_safetensors(part, tensors, header)
    return cost


def _writable(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path.name} does not end in .safetensors, which is the only format that is written; rename it"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist; create it first")
    return path


def _weights(net: ControlNet | T2IAdapter) -> dict[str, Tensor]:
    weights = {key: tensor.detach() for key, tensor in net.state_dict().items()}
    if empty := [key for key, tensor in weights.items() if tensor.is_meta]:
        raise ValueError(f"the network has no weights yet, it was built on meta ({named(empty)}); load them first")
    return weights


def _in_layout(net: ControlNet | T2IAdapter, weights: dict[str, Tensor], layout: str) -> dict[str, Tensor]:
    if isinstance(net, T2IAdapter):
        return to_diffusers_adapter(weights, net.spec) if layout == "diffusers" else weights
    _check_recoverable(net, {key: tuple(tensor.shape) for key, tensor in weights.items()})
    if layout != "diffusers":
        return weights
    if net.spec.condition_form != "released":
        raise ValueError(
            f"the diffusers layout has no place for the {net.spec.condition_form!r} form of the condition encoder; "
            "save it in the ldm layout"
        )
    return to_diffusers(weights, net.spec.num_res_blocks, 2 * len(net.spec.condition_widths))


def _leave_file(net: ControlNet | T2IAdapter, path: Path) -> None:
    """Give the net its weights in memory of its own where they are mapped from this file."""
    info = net.info
    if info is None or not info.mapped or not info.path.exists() or not path.exists():
        return
    if info.path.samefile(path):
        for parameter in net.parameters():
            parameter.data = parameter.data.clone()
        net.info = replace(info, mapped=False)


def _without_decoder(spec: EncoderSpec) -> EncoderSpec:
    """The part of a spec that a ControlNet's file can show."""
    return replace(spec, out_channels=LATENT_CHANNELS, decoder_depth=None)


def _check_recoverable(net: ControlNet, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A spec that the shapes do not lead back to would make a file that loads as something else, or not at all."""
    base = recognise(shapes)
    if base is None or base.name != net.base.name or _without_decoder(base.spec) != _without_decoder(net.spec):
        result = "no family" if base is None else f"{base.name} with {base.spec}"
        raise ValueError(
            f"this {net.base.name} network could not be recognised from its file: the shapes lead to {result}, "
            f"it was built as {net.spec}. Heads and groups must be those of the family"
        )


def _header(net: ControlNet | T2IAdapter, layout: str, provenance: Mapping[str, object]) -> dict[str, str]:
    source = {} if net.info is None else {"source": net.info.path.name, "source_layout": net.info.layout}
    own = {
        "base": net.base.name,
        "layout": layout,
        "spec": json.dumps(asdict(net.spec)),
        "provenance": json.dumps({"written_by": f"zeroctl {__version__}", **source, **provenance}),
    }
    original = {} if net.info is None else net.info.metadata
    return {
        **{key: value for key, value in original.items() if key != CONTROL_LORA_KEY},  # of one that was merged
        **{HEADER + key: value for key, value in own.items()},
        POOLING_KEY: "true" if net.global_average_pooling else "false",
        "format": "pt",  # diffusers and transformers refuse a file without it
    }
