"""The order of a picture's numbers in memory that convolutions on a CPU are fastest in."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """Keep the weights of convolutions with their channels together; the numbers stay the same."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know only to(tensor)
    return module
