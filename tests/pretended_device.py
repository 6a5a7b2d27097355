"""A device that says `mps`, computes on the CPU and lacks what such a device lacks: float64 and some operators.

Tensors of the two devices may not meet in one operator, as on a real one; single numbers of the CPU may. Intel Arc
refuses float64, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, get_default_nowrap_functions
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map_only

MPS = torch.device("mps")
DOUBLES = (torch.float64, torch.complex128)
NEWER_ON_MPS = {"_upsample_bicubic2d_aa": "2.8", "_upsample_bilinear2d_aa": "2.7", "upsample_bicubic2d": "2.6"}
"""Operator -> the release of torch that brought its kernel for Macs."""


class OnDevice(Tensor):
    """A tensor that says that it is on the device."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function == Tensor.device.__get__:  # a new object at each look
            return MPS
        with torch._C.DisableTorchFunctionSubclass():
            result = function(*args, **(kwargs or {}))
        return result if function in get_default_nowrap_functions() else tree_map_only(Tensor, _on_device, result)


class _Operators(TorchDispatchMode):
    """What the device can compute, while it computes."""

    def __init__(self, missing: Iterable[str]) -> None:
        super().__init__()
        self.missing, self.calls, self.on_device = frozenset(missing), set[str](), False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.on_device:
            name = function.overloadpacket.__name__
            self.calls.add(function.name().removeprefix("aten::"))
            if name in self.missing:
                raise NotImplementedError(f"The operator 'aten::{name}.out' is not currently implemented for MPS")
        result = function(*args, **(kwargs or {}))
        if self.on_device and any(tensor.dtype in DOUBLES and tensor.ndim for tensor in _tensors(args, kwargs, result)):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as MPS does not support float64")
        return result


class _Functions(TorchFunctionMode):
    """Moves between the devices, new tensors on one, and functions of tensors that all lie on one."""

    def __init__(self, operators: _Operators) -> None:
        super().__init__()
        self.operators = operators

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in (Tensor.cpu, Tensor.numpy):
            return function(_of(Tensor, args[0]), *args[1:], **kwargs)
        if function is Tensor.to:
            return self._move(*args, **kwargs)
        if kwargs.get("device") is not None and torch.device(kwargs["device"]) == MPS:
            return _of(OnDevice, function(*args, **{**kwargs, "device": "cpu"}))
        tensors = _tensors(args, kwargs)
        if not any(isinstance(tensor, OnDevice) for tensor in tensors):
            return function(*args, **kwargs)
        if function not in (Tensor.__setitem__, Tensor.__getitem__, Tensor.copy_) and any(
            not isinstance(tensor, OnDevice) and tensor.ndim for tensor in tensors
        ):
            raise RuntimeError(f"Expected all tensors to be on the same device ({function.__name__}): mps and cpu")
        before, self.operators.on_device = self.operators.on_device, True
        try:
            return function(*args, **kwargs)
        finally:
            self.operators.on_device = before

    def _move(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):  # as another one
            args = (args[0].device, args[0].dtype, *args[1:])
        device, dtype, *_ = torch._C._nn._parse_to(*args, **{k: v for k, v in kwargs.items() if k != "copy"})
        result = _of(Tensor, tensor).to(dtype or tensor.dtype)
        return _of(OnDevice, result) if (device or tensor.device) == MPS else result


def _on_device(tensor: Tensor) -> Tensor:
    return tensor if isinstance(tensor, OnDevice) else _of(OnDevice, tensor)


def _of(kind: type[Tensor], tensor: Tensor) -> Tensor:
    """The tensor as one of that kind, without the modes: under them torch before 2.4 cannot make it."""
    with _disable_current_modes():
        return tensor.as_subclass(kind)


def _tensors(*values: Any) -> list[Tensor]:
    return [value for value in tree_flatten(values)[0] if isinstance(value, Tensor)]


@contextmanager
def pretended_device(missing: Iterable[str] = ()) -> Iterator[set[str]]:
    """Inside, there is a device `mps` without the operators of these names.

    Yields the names of those that it ran, with their overload, as in torch's native_functions.yaml.
    """
    with _Operators(missing) as operators, _Functions(operators):
        yield operators.calls


@pytest.fixture
def device_without_float64() -> Iterator[torch.device]:
    """`mps`, pretended, for a whole test."""
    with pretended_device():
        yield MPS


def put(net: nn.Module) -> nn.Module:
    """Move a net to the device, in place."""
    for module in net.modules():
        for key, weight in module._parameters.items():
            if weight is not None:
                module._parameters[key] = nn.Parameter(weight.detach().as_subclass(OnDevice), requires_grad=False)
        for key, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[key] = buffer.as_subclass(OnDevice)
    return net
