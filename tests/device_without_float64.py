"""A device that has no float64 and does not mix with the CPU, pretended by a subclass of Tensor.

The fixture `device_without_float64`, or `with Device():`; inside it `tensor.to("mps")` puts a tensor there and `.cpu()`
takes it back. As on MPS and on Intel Arc: a float64 is a TypeError, and so is an operation with a tensor of the CPU
that has more than one value. Operators that a release lacks there are named in `Device(missing={...})`.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = torch.device("mps")
DOUBLES = (torch.float64, torch.complex128)


class Pretended(torch.Tensor):
    """Computes on the CPU and says that it does not."""

    value: torch.Tensor
    device = property(lambda self: NAME)
    is_cpu = property(lambda self: False)
    is_mps = property(lambda self: True)
    missing: Collection[str] = ()

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> Pretended:
        if value.dtype in DOUBLES:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        self = torch.Tensor._make_wrapper_subclass(cls, value.shape, strides=value.stride(), dtype=value.dtype)
        self.value = value
        return self

    def __repr__(self, **options: object) -> str:
        return f"Pretended({self.value})"

    def cpu(self) -> torch.Tensor:
        return self.value.clone()

    def numpy(self, **options: object) -> object:
        raise TypeError("can't convert mps:0 device type tensor to numpy. Use Tensor.cpu() first")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), function.name()
        if name.partition(".")[0] in cls.missing:
            raise NotImplementedError(f"The operator '{name}' is not currently implemented for the MPS device.")
        values = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
        is_mixed = any(not isinstance(value, Pretended) and value.numel() > 1 for value in values)
        if is_mixed and name not in ("aten::copy_", "aten::index_put_", "aten::index.Tensor"):
            raise TypeError(f"{name}: expected all tensors on the same device, but found mps and cpu")
        result = function(*tree_map(_value, args), **tree_map(_value, kwargs))
        return tree_map(lambda part: cls(part) if isinstance(part, torch.Tensor) else part, result)


def _value(part: object) -> object:
    return part.value if isinstance(part, Pretended) else part


def _is_there(part: object) -> bool:
    return (isinstance(part, str) and part == "mps") or (isinstance(part, torch.device) and part == NAME)


class Device(TorchFunctionMode):
    """A context in which `mps` exists."""

    def __init__(self, missing: Collection[str] = ()) -> None:
        super().__init__()
        self.missing = missing

    def __enter__(self) -> Device:
        Pretended.missing = self.missing
        return super().__enter__()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        args, kwargs = tuple(args), dict(kwargs or {})
        parts = tree_flatten((args, kwargs))[0]
        if any(_is_there(part) for part in parts):
            place = lambda part: torch.device("cpu") if _is_there(part) else _value(part)  # noqa: E731
            with torch._C.DisableTorchFunction():
                return Pretended(function(*tree_map(place, args), **tree_map(place, kwargs)))
        return function(*args, **kwargs)


@pytest.fixture
def device_without_float64():
    """`mps`, pretended, for a whole test."""
    with Device():
        yield NAME
