"""Muon: steps of orthogonal matrices, for the weights between the layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Of the iteration a x + b (x x') x + c (x x')^2 x, which takes singular values of 0 to 1 to .7 to 1.2 in five rounds:
Jordan et al. 2024, https://kellerjordan.github.io/posts/muon."""
ROUNDS = 5
MOMENTUM = 0.95
SMALLEST = 16  # rows and columns of a weight that it moves


def matrices_of(modules: Mapping[str, nn.Module]) -> list[Tensor]:
    """The trained weights of linear layers and convolutions, but for those to and from a few channels."""
    return [
        layer.weight
        for module in modules.values()
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
        and layer.weight.requires_grad
        and min(len(layer.weight), layer.weight[0].numel()) >= SMALLEST
    ]


class Muon(torch.optim.Optimizer):
    """Moves every weight [out, ...], read as a matrix, by its learning rate along the nearest orthogonal matrix to
    the Nesterov momentum of its gradients, times sqrt(max(1, rows / columns)). Weight decay is decoupled."""

    def __init__(self, weights: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        way = orthogonal(gradient.lerp(momentum, MOMENTUM).flatten(1))
        scale = max(1.0, way.shape[0] / way.shape[1]) ** 0.5
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(way.view(weight.shape), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix of the same singular vectors whose singular values are near 1, [m, n]."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
