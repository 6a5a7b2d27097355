"""Networks that are built for their keys and shapes alone: on torch's meta device, which holds no numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

START_VALUES = frozenset("kaiming_uniform_ xavier_uniform_ trunc_normal_ uniform_ normal_ fill_ zero_".split())


@contextmanager
def on_meta() -> Iterator[None]:
    """Within it layers are made on the meta device, and get no start values.

    torch would work through every start value without a number to write, which takes as long as building the layers.
    The first one imports its compiler: 800 modules, 1.5 s of a process.
    """
    with torch.device("meta"), _NoStartValues():
        yield


class _NoStartValues(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in START_VALUES:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return function(*args, **kwargs)
