"""The exponential moving average of the weights of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averages:
    """The exponential moving average of weights; `with averages.applied():` measures what it is worth."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.values = {key: value.detach().clone() for key, value in parameters.items()}
        self._put_aside: dict[str, Tensor] = {}  # the weights, while the averages are in their place

    def update(self, step: int) -> None:
        """Short at first, so that the start is forgotten: the decay of step n is at most (1 + n) / (10 + n)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        names = list(self.values)
        torch._foreach_lerp_([self.values[n] for n in names], [self.parameters[n].detach() for n in names], 1 - decay)

    def swap(self) -> None:
        """Exchange weights and averages; twice is nothing."""
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                weight = parameter.detach().clone()
                parameter.copy_(self.values[key])
                self.values[key].copy_(weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averages in the place of the weights, inside the block; afterwards the weights are back to the bit."""
        self._put_aside = {key: parameter.detach().clone() for key, parameter in self.parameters.items()}
        try:
            with torch.no_grad():
                for key, parameter in self.parameters.items():
                    parameter.copy_(self.values[key])
            yield
        finally:
            self.put_back()

    def put_back(self) -> None:
        """Put the weights back, also when `applied` was interrupted while it did so; else nothing."""
        with torch.no_grad():
            for key, weight in self._put_aside.items():
                self.parameters[key].copy_(weight)
        self._put_aside = {}
