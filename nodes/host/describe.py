"""What a loaded net is, in words: the info of Load ControlNet."""

from __future__ import annotations

from typing import Any

import torch

from zeroctl_core import ControlNet

__all__ = ["describe", "dtype_name"]


def describe(control_net: Any) -> str:
    """What a loaded net is, in lines: family, connections, layout, dtype, size, provenance."""
    net: ControlNet = control_net.control_model.net
    spec = net.base.spec
    lines = [
        f"family: {net.base.title} ({net.base.name})",
        f"connections: {len(net.base.connections)}, widths " + " ".join(str(c.channels) for c in net.base.connections),
        f"context: {spec.context_dim}" + (f", y: {spec.adm_in_channels}" if spec.adm_in_channels is not None else ""),
    ]
    size = sum(p.numel() * p.element_size() for p in net.parameters())
    number = sum(p.numel() for p in net.parameters())
    info = net.info
    if info is not None:
        lines += [
            f"file: {info.path.name}",
            f"layout: {info.layout}",
            f"dtype: {dtype_name(info.dtype)} in the file, {dtype_name(control_net.control_model.dtype)} in use",
        ]
        if info.ignored:
            lines.append(f"ignored in the file: {', '.join(info.ignored)}")
    else:
        lines.append(f"dtype: {dtype_name(control_net.control_model.dtype)}")
    lines.append(f"size: {number / 1e6:.1f} M parameters, {size / 2**20:.0f} MiB")
    if net.global_average_pooling:
        source = f" (said by the {info.pooling_source})" if info is not None and info.pooling_source else ""
        lines.append(
            f"pooling: residuals are averaged over space{source}; use it on the cond branch only, as the original does"
        )
    if info is not None:
        lines += [
            f"{key}: {value}" for key, value in sorted(info.metadata.items()) if key not in ("format", "zeroctl.spec")
        ]
    return "\n".join(lines)


def dtype_name(dtype: torch.dtype) -> str:
    """`float16`, without the name of the library."""
    return str(dtype).removeprefix("torch.")
