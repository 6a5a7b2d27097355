"""Counts what makes the processor wait for a device, and what moves numbers between the two: a step needs neither.

The CPU has one memory, so a tensor that is left there shows on `meta` only: it meets one on meta.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TORCH = str(Path(torch.__file__).parent)

READ_BACKS = {"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2", "unique_dim"}
"""Operations whose result, or its size, is known only when the device has computed it."""
WITH_INDICES = {"index", "index_put", "index_put_"}
"""Indices of booleans are read back, because their number decides the result's size."""

READ_BACKS_BY_NAME = {"tolist", "numpy", "__array__"}
COPIES_BY_NAME = {"tensor", "as_tensor", "asarray", "from_numpy"}
"""Calls that no operation shows: they reach into the memory of a tensor, or fill it from Python."""


@dataclass(frozen=True)
class Transfer:
    """What was called, and the innermost line outside of torch that called it."""

    call: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.call} at {self.file}:{self.line}"

    def is_below(self, folder: Path) -> bool:
        return Path(self.file).is_relative_to(folder)


class Transfers:
    """Records read-backs and copies while it is on: `with Transfers() as transfers: ...`."""

    def __init__(self) -> None:
        self.read_backs: list[Transfer] = []
        self.copies: list[Transfer] = []
        self._modes = (_Operations(self), _Calls(self))

    def __enter__(self) -> Transfers:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(kind, error, trace)


class _Operations(TorchDispatchMode):
    """Sees every operation of a tensor, whoever calls it."""

    def __init__(self, transfers: Transfers) -> None:
        super().__init__()
        self._transfers = transfers

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in READ_BACKS or (name in WITH_INDICES and any(_is_boolean(index) for index in args[1])):
            self._transfers.read_backs.append(_transfer(name))
        out = func(*args, **(kwargs or {}))
        if len(_devices((args, kwargs, out))) > 1:
            self._transfers.copies.append(_transfer(name))
        return out


class _Calls(TorchFunctionMode):
    """Sees what Python calls: a list as an index, or as the content of a tensor, travels to the device."""

    def __init__(self, transfers: Transfers) -> None:
        super().__init__()
        self._transfers = transfers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in READ_BACKS_BY_NAME:
            self._transfers.read_backs.append(_transfer(name))
        indices = args[1] if name in ("__getitem__", "__setitem__") else ()
        if name in COPIES_BY_NAME or any(isinstance(index, list) for index in (indices, *_as_tuple(indices))):
            self._transfers.copies.append(_transfer(name))
        return func(*args, **(kwargs or {}))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def _is_boolean(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _devices(values: Any) -> set[str]:
    """Where the tensors among these values are; a number that torch made a tensor of may be anywhere."""
    tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor)]
    return {tensor.device.type for tensor in tensors if tensor.ndim or tensor.device.type != "cpu"}


def _transfer(call: str) -> Transfer:
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(TORCH) and frame.filename != __file__:
            return Transfer(call, frame.filename, frame.lineno or 0)
    raise AssertionError("torch calls itself")
