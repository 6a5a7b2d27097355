"""How large a model would be, found out before memory is taken for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...files.weight_file import CheckpointError

TABLES = 2**24
"""So many numbers may a class compute for itself beside as many as its weights have: window indices, for one."""


def check_size(kind: Any, config: Any, weights: Mapping[str, Tensor], not_needed: Collection[str]) -> None:
    """Refuse a configuration whose model has more than twice as many parameters as its weights have numbers.

    Up to there the keys are compared, which names what the weights lack.

    It is built on the meta device, which takes no memory. Each size of a configuration may fit the weights and the
    product of two of them not: wide layers, many times. Parameters whose key has a part of `not_needed` count with what
    the class computes.

    Raises `CheckpointError`.
    """
    with torch.device("meta"), _RatesOnCpu():
        model = kind(config)
    n_needed = n_computed = 0
    for key, tensor in (*model.named_parameters(), *model.named_buffers()):
        if isinstance(tensor, torch.nn.Parameter) and not any(part in key for part in not_needed):
            n_needed += tensor.numel()
        else:
            n_computed += tensor.numel()
    n_weights = sum(tensor.numel() for tensor in weights.values())
    for number, most, what in (
        (n_needed, 2 * n_weights, "parameters"),
        (n_computed, n_weights + TABLES, "numbers to be computed"),
    ):
        if number > most:
            raise CheckpointError(
                f"describes in its config.json a model of {number:,} {what}, and its weights have {n_weights:,} "
                "numbers; download config.json and the weights again, from one place"
            )


class _RatesOnCpu(TorchFunctionMode):
    """Rates that grow from layer to layer lie on the CPU: transformers 4.50 reads them while it builds."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.linspace:
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)
