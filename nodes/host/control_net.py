"""Our networks as the host's CONTROL_NET.

The host's own class `comfy.controlnet.ControlNet` is kept around `HostControlModel`, so every node that takes a
CONTROL_NET takes ours. Ours is recognised by `isinstance(control_net.control_model, HostControlModel)`: the host's
`copy()` returns its plain class, a subclass would be lost.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import comfy.controlnet
import comfy.ldm.modules.attention
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import Tensor, nn

from zeroctl_core import ControlNet, Ops, Residuals
from zeroctl_core.control.unit import Family
from zeroctl_core.network.t2i_adapter import T2IAdapter
from zeroctl_core.network.union_controlnet import TypedControlNet, UnionControlNet
from zeroctl_core.residuals import Feature

__all__ = [
    "HostControlModel",
    "NetInHost",
    "OwnNet",
    "as_control",
    "compute_dtypes",
    "control_net_from",
    "host_ops",
    "is_ours",
]

OwnNet = ControlNet | T2IAdapter

DTYPES = [torch.float16, torch.bfloat16, torch.float32]  # that the host may compute a Stable Diffusion network in
FLOAT32_ATTENTION = frozenset({"sd21"})  # the host upcasts the attention of these UNets, and so of their controls


class HostControlModel(nn.Module):
    """A network of `zeroctl_core` under the host's calling convention.

    Called as `(x=, hint=, timesteps=, context=, **extra)` -> {"middle": [m], "output": [shallow..deep]}, fresh tensors,
    because the host scales them in place. It keeps nothing but the feature of the last hint, by identity and types.
    """

    def __init__(self, net: OwnNet) -> None:
        super().__init__()
        self.net = net
        self._hint: weakref.ref[Tensor] | None = None
        self._feature: Feature | None = None
        self._types: tuple[int, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        return next(self.net.parameters()).dtype

    def forward(
        self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None, **extra: Any
    ) -> dict[str, list[Tensor | None]]:
        """Raises `ValueError` for an argument that this network has no use for, such as a union net's control_type."""
        types = tuple(extra.pop("control_type", ())) if isinstance(self.net, UnionControlNet) else ()
        if extra:
            raise ValueError(
                f"this is a plain {self.net.base.title} {self.net.kind}, it has no use for {', '.join(sorted(extra))}. "
                "Remove the node that sets it (Set Union ControlNet Type is for union nets), "
                "or load a net of that kind."
            )
        net = self.of_types(types)
        residuals = net(x, timesteps.float(), context, feature=self._encoded(net, hint, types), y=self.usable(y))
        return as_control(residuals)

    def usable(self, y: Tensor | None) -> Tensor | None:
        """y for a net that was trained with it; the others have nowhere to put it (the host's own ignores it too)."""
        return None if self.net.base.spec.adm_in_channels is None else y

    def of_types(self, types: Sequence[int], strengths: Sequence[float] | None = None) -> OwnNet | TypedControlNet:
        """The network itself without types, else a union net for conditions of these.

        Raises `ValueError` for types that it does not have, and for types of a plain ControlNet.
        """
        if not types:
            return self.net
        if not isinstance(self.net, UnionControlNet):
            raise ValueError(f"this is a plain {self.net.base.title} {self.net.kind}, it has no types")
        return self.net.of_types(types, strengths)

    def _encoded(self, net: OwnNet | TypedControlNet, hint: Tensor, types: tuple[int, ...]) -> Feature:
        if self._feature is None or self._hint is None or self._hint() is not hint or self._types != types:
            self._feature = net.encode(hint)
            self._hint, self._types = weakref.ref(hint, self._forget), types
        return self._feature

    def _forget(self, dead: weakref.ref[Tensor]) -> None:
        if dead is self._hint:
            self._hint = self._feature = None

    def __deepcopy__(self, memo: dict[int, Any]) -> HostControlModel:
        return HostControlModel(copy.deepcopy(self.net, memo))


class NetInHost:
    """One of our nets as `ControlStack` calls it, at the dtype that the host chose for it, on one device.

    types and strengths: of the conditions of a union net, see `UnionControlNet`. Raises `ValueError` for types that the
    net does not have.
    """

    def __init__(
        self,
        model: HostControlModel,
        control_net: Any,
        device: torch.device,
        types: Sequence[int] = (),
        strengths: Sequence[float] | None = None,
    ) -> None:
        self._model = model
        self._net = model.of_types(types, strengths)
        self._device = device
        self._dtype = control_net.manual_cast_dtype or model.dtype

    @property
    def base(self) -> Family:
        return self._net.base

    def encode(self, image: Tensor) -> Feature:
        return self._net.encode(image.to(self._device, self._dtype))

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Any, y: Tensor | None = None) -> Residuals:
        y = self._model.usable(y)
        residuals: Residuals = self._net(
            x.to(self._dtype),
            t,
            context.to(self._device, self._dtype),
            feature=feature,
            y=None if y is None else y.to(self._device, self._dtype),
        )
        return residuals


def as_control(residuals: Residuals) -> dict[str, list[Tensor | None]]:
    """Residuals in the lists that the host's UNet pops from the end: what enters its encoder is deep to shallow."""
    blocks = range(max(residuals.inputs, default=-1), -1, -1)
    return {
        "input": [residuals.inputs.get(block) for block in blocks],
        "middle": [] if residuals.middle is None else [residuals.middle],
        "output": list(residuals.skips),
    }


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


def compute_dtypes(in_file: torch.dtype) -> tuple[torch.dtype, torch.dtype | None]:
    """The dtype in which the host keeps such weights, and the one that it casts them to at every step, if any.

    Macs hold no fp8, which the host would choose there for a file of fp8: such a file is float16 on them.
    """
    device = comfy.model_management.get_torch_device()
    dtype = comfy.model_management.unet_dtype(model_params=-1, supported_dtypes=DTYPES, weight_dtype=in_file)
    if device.type == "mps" and dtype.itemsize == 1:
        dtype = torch.float16
    return dtype, comfy.model_management.unet_manual_cast(dtype, device)


def control_net_from(net: OwnNet, manual_cast: torch.dtype | None, again: Callable[[], Any]) -> Any:
    """The host's CONTROL_NET around one of our nets. `again` makes another one, for a further device."""
    control_net = comfy.controlnet.ControlNet(
        HostControlModel(net.eval().requires_grad_(False)),
        load_device=comfy.model_management.get_torch_device(),
        manual_cast_dtype=manual_cast,
    )

    def patcher(disable_dynamic: bool = False) -> Any:
        further = again()
        if not disable_dynamic:
            return further.control_model_wrapped
        return comfy.model_patcher.ModelPatcher(
            further.control_model,
            load_device=further.load_device,
            offload_device=comfy.model_management.unet_offload_device(),
        )

    # newer hosts clone models for further devices and for torch.compile through this factory
    control_net.control_model_wrapped.cached_patcher_init = (patcher, ())
    return control_net
