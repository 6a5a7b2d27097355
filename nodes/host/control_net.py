"""Our networks as the host's CONTROL_NET.

The host's own class `comfy.controlnet.ControlNet` is kept around `HostControlModel`, so every node that takes a
CONTROL_NET takes ours. Ours is told by `isinstance(control_net.control_model, HostControlModel)`: the host's `copy()`
returns its plain class, a subclass would be lost.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.controlnet
import comfy.ldm.modules.attention
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import Tensor, nn

from zeroctl_core import ControlNet, Ops, Residuals, load_controlnet
from zeroctl_core.bases import Base

__all__ = ["HostControlModel", "NetInHost", "as_in_file", "control_net_from", "describe", "is_ours", "load_file"]

DTYPES = [torch.float16, torch.bfloat16, torch.float32]  # that the host may compute a Stable Diffusion network in
FLOAT32_ATTENTION = frozenset({"sd21"})  # the host upcasts the attention of these UNets, and so of their controls


class HostControlModel(nn.Module):
    """A `zeroctl_core` ControlNet under the host's calling convention.

    Called as `(x=, hint=, timesteps=, context=, **extra)` -> {"middle": [m], "output": [shallow..deep]}, fresh tensors,
    because the host scales them in place. It keeps nothing but the feature of the last hint, by identity and size.
    """

    def __init__(self, net: ControlNet) -> None:
        super().__init__()
        self.net = net
        self._hint: weakref.ref[Tensor] | None = None
        self._feature: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        return next(self.net.parameters()).dtype

    def forward(
        self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None, **extra: Any
    ) -> dict[str, list[Tensor]]:
        """Raises:
        ValueError: an argument that this network has no use for, such as a union net's control_type.
        """
        if extra:
            raise ValueError(
                f"this is a plain {self.net.base.title} ControlNet, it has no use for {', '.join(sorted(extra))}. "
                "Remove the node that sets it (Set Union ControlNet Type is for union nets), "
                "or load a net of that kind."
            )
        residuals = self.net(x, timesteps.float(), context, feature=self._encoded(hint), y=self._wanted(y))
        return {"middle": [residuals.middle], "output": list(residuals.skips)}

    def _wanted(self, y: Tensor | None) -> Tensor | None:
        """y for a net that was trained with it; the others have nowhere to put it (the host's own ignores it too)."""
        return None if self.net.base.spec.adm_in_channels is None else y

    def _encoded(self, hint: Tensor) -> Tensor:
        if self._feature is None or self._hint is None or self._hint() is not hint:
            self._feature = self.net.encode(hint)
            self._hint = weakref.ref(hint, self._forget)
        return self._feature

    def _forget(self, dead: weakref.ref[Tensor]) -> None:
        if dead is self._hint:
            self._hint = self._feature = None

    def __deepcopy__(self, memo: dict[int, Any]) -> HostControlModel:
        return HostControlModel(copy.deepcopy(self.net, memo))


class NetInHost:
    """One of our nets as `ControlStack` calls it, at the dtype that the host chose for it, on one device."""

    def __init__(self, model: HostControlModel, control_net: Any, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._dtype = control_net.manual_cast_dtype or model.dtype

    @property
    def base(self) -> Base:
        return self._model.net.base

    def encode(self, image: Tensor) -> Tensor:
        return self._model.net.encode(image.to(self._device, self._dtype))

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Tensor, y: Tensor | None = None) -> Residuals:
        y = self._model._wanted(y)
        return self._model.net(
            x.to(self._dtype),
            t,
            context.to(self._device, self._dtype),
            feature=feature,
            y=None if y is None else y.to(self._device, self._dtype),
        )


def is_ours(control_net: Any) -> bool:
    return isinstance(getattr(control_net, "control_model", None), HostControlModel)


def host_ops(dtype: torch.dtype, manual_cast: torch.dtype | None, base: str) -> Ops:
    """The host's layers (casting, offloading, fp8) and the attention that its user chose."""
    layers = comfy.ops.pick_operations(dtype, manual_cast)
    precision = torch.float32 if base in FLOAT32_ATTENTION else None

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        # looked up at every call: other nodes replace the host's function
        return comfy.ldm.modules.attention.optimized_attention(q, k, v, heads, attn_precision=precision)

    return Ops(
        Linear=layers.Linear,
        Conv2d=layers.Conv2d,
        GroupNorm=layers.GroupNorm,
        LayerNorm=layers.LayerNorm,
        attention=attention,
    )


def load_file(path: Path) -> Any:
    """A ControlNet file as the host's CONTROL_NET; weights stay mapped from the file until they are used.

    Raises:
        CheckpointError, FileNotFoundError: as `zeroctl_core.load_controlnet`.
    """
    net = load_controlnet(path, ops=lambda base, in_file: host_ops(*compute_dtypes(in_file), base.name))
    assert net.info is not None
    dtype, manual_cast = compute_dtypes(net.info.dtype)
    # converted once here instead of at every step; a mapped file is only read where its dtype is not the host's
    return control_net_from(net.to(dtype), manual_cast, lambda: load_file(path))


def compute_dtypes(in_file: torch.dtype) -> tuple[torch.dtype, torch.dtype | None]:
    """The dtype in which the host keeps such weights, and the one that it casts them to at every step, if any."""
    dtype = comfy.model_management.unet_dtype(model_params=-1, supported_dtypes=DTYPES, weight_dtype=in_file)
    return dtype, comfy.model_management.unet_manual_cast(dtype, comfy.model_management.get_torch_device())


def control_net_from(net: ControlNet, manual_cast: torch.dtype | None, again: Callable[[], Any]) -> Any:
    """The host's CONTROL_NET around one of our nets. `again` makes another one, for a further device."""
    control_net = comfy.controlnet.ControlNet(
        HostControlModel(net.eval().requires_grad_(False)),
        load_device=comfy.model_management.get_torch_device(),
        manual_cast_dtype=manual_cast,
    )

    def patcher(disable_dynamic: bool = False) -> Any:
        made = again()
        if not disable_dynamic:
            return made.control_model_wrapped
        return comfy.model_patcher.ModelPatcher(
            made.control_model,
            load_device=made.load_device,
            offload_device=comfy.model_management.unet_offload_device(),
        )

    # newer hosts clone models for further devices and for torch.compile through this factory
    control_net.control_model_wrapped.cached_patcher_init = (patcher, ())
    return control_net


def as_in_file(control_net: Any) -> ControlNet:
    """Our network with the weights of its file, which the host may hold in another dtype; trained since, as it is.

    Raises:
        ValueError: the file is gone, and what is in memory is not what it held.
    """
    net: ControlNet = control_net.control_model.net
    if net.info is None:
        return net
    in_memory = net.state_dict()
    if not net.info.path.exists():
        if {value.dtype for value in in_memory.values()} == {net.info.dtype}:
            return net
        raise ValueError(
            f"{net.info.path} is gone, and the host holds its {_dtype(net.info.dtype)} weights as "
            f"{_dtype(control_net.control_model.dtype)}: they cannot be saved as they were. Put the file back."
        )
    original = load_controlnet(net.info.path, check_finite=False)
    original.global_average_pooling = net.global_average_pooling
    in_file = original.state_dict()
    same = in_file.keys() == in_memory.keys() and all(
        value.shape == in_file[key].shape and torch.equal(in_file[key].to(value.dtype), value.cpu())
        for key, value in in_memory.items()
    )
    return original if same else net


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
            f"dtype: {_dtype(info.dtype)} in the file, {_dtype(control_net.control_model.dtype)} in use",
        ]
        if info.ignored:
            lines.append(f"ignored in the file: {', '.join(info.ignored)}")
    else:
        lines.append(f"dtype: {_dtype(control_net.control_model.dtype)}")
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


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
