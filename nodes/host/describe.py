"""What a loaded net is, in words: the info of Load ControlNet."""

from __future__ import annotations

from typing import Any

import torch

from zeroctl_core import ControlNet
from zeroctl_core.files.key_faults import short
from zeroctl_core.files.plural import plural
from zeroctl_core.network.t2i_adapter import T2IAdapter
from zeroctl_core.network.union_controlnet import UNION_TYPES, UnionControlNet

from .control_net import OwnNet
from .of_model import merging_of

__all__ = ["describe", "dtype_name"]

MOST_METADATA = 20
"""Lines of a header's strings that are shown."""


def describe(control_net: Any) -> str:
    """What a loaded net is, in lines: family, connections, layout, dtype, size, provenance."""
    net: OwnNet = control_net.control_model.net
    lines = [
        f"family: {net.base.title} ({net.base.name})",
        f"connections: {len(net.base.connections)}, widths " + " ".join(str(c.channels) for c in net.base.connections),
        *(_of_adapter(net) if isinstance(net, T2IAdapter) else _of_controlnet(net)),
    ]
    if (merging := merging_of(control_net)) is not None:
        lines.insert(
            0, f"{merging.net.kind}: it becomes a ControlNet with the MODEL that is sampled, its LoRAs included"
        )
    size = sum(p.numel() * p.element_size() for p in net.parameters())
    number = sum(p.numel() for p in net.parameters())
    info = net.info
    if info is not None:
        lines += [
            f"file: {info.path.name}",
            f"layout: {info.layout}",
            f"dtype: {dtype_name(info.dtype)} in the file, {dtype_name(control_net.control_model.dtype)} in use",
        ]
        if info.prefix:
            lines.append(f"prefix of its keys: {short(info.prefix)}")
        if info.ignored:
            lines.append(f"ignored in the file: {short(', '.join(info.ignored))}")
    else:
        lines.append(f"dtype: {dtype_name(control_net.control_model.dtype)}")
    lines.append(f"size: {number / 1e6:.1f} M parameters, {size / 2**20:.0f} MiB")
    if net.global_average_pooling:
        source = f" (said by the {info.pooling_source})" if info is not None and info.pooling_source else ""
        lines.append(
            f"pooling: residuals are averaged over space{source}; use it on the cond branch only, as the original does"
        )
    elif info is not None and info.pooling_source not in (None, "header"):
        lines.append(f"pooling: none (said by the {info.pooling_source})")
    if info is not None:
        texts = {key: value for key, value in sorted(info.metadata.items()) if key not in ("format", "zeroctl.spec")}
        lines += [f"{short(key)}: {short(value)}" for key, value in list(texts.items())[:MOST_METADATA]]
        if len(texts) > MOST_METADATA:
            lines.append(f"and {len(texts) - MOST_METADATA} more in the header")
    return "\n".join(lines)


def _of_controlnet(net: ControlNet) -> list[str]:
    spec = net.base.spec
    lines = [
        f"context: {spec.context_dim}" + (f", y: {spec.adm_in_channels}" if spec.adm_in_channels is not None else "")
    ]
    if isinstance(net, UnionControlNet):
        lines.append(f"types: {net.n_types} of a union ({', '.join(UNION_TYPES[: net.n_types])})")
    if spec.condition_channels != 3:
        lines.append(f"condition: images of {plural(spec.condition_channels, 'channel')}, an IMAGE has 3")
    return [*lines, f"transformers: {' '.join(map(str, spec.transformer_depth))}, middle {spec.middle_depth}"]


def _of_adapter(net: T2IAdapter) -> list[str]:
    spec = net.spec
    lines = [f"kind: {'light ' if spec.light else ''}{net.kind}, computed once a run; it reads no prompt and no latent"]
    if not spec.xl:
        lines.append("its file does not tell SD 1.x from 2.x; the released ones were trained for 1.x")
    if spec.image_channels == 1:
        lines.append("condition: grey, the mean of the IMAGE's channels")
    return lines


def dtype_name(dtype: torch.dtype) -> str:
    """`float16`, without the name of the library."""
    return str(dtype).removeprefix("torch.")
