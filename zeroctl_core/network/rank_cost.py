"""A trained ControlNet as a Control-LoRA of a given rank, and what the rank costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..files.plural import plural
from .control_lora import MARKER
from .controlnet import ControlNet
from .of_model import UNetWeights, fitting, is_own
from .unet import UNet

__all__ = ["LayerCost", "RankCost", "control_lora_of"]


@dataclass(frozen=True)
class LayerCost:
    """Frobenius norm of the error of a layer's weight, by two measures; 0 is exact."""

    of_weight: float
    """Beside the norm of the weight."""
    of_change: float
    """Beside the norm of what the training changed, W - W of the UNet: 1 is nothing kept."""
    in_factors: bool
    """False: the file holds the whole weight, because its factors would not be smaller."""


@dataclass(frozen=True)
class RankCost:
    """What a Control-LoRA of this rank loses, for each layer that the UNet has too, with the rounding of the file."""

    rank: int
    layers: Mapping[str, LayerCost]

    @property
    def mean(self) -> LayerCost:
        """The plain mean of the layers."""
        costs = self.layers.values()
        return LayerCost(
            sum(cost.of_weight for cost in costs) / len(costs),
            sum(cost.of_change for cost in costs) / len(costs),
            any(cost.in_factors for cost in costs),
        )

    @property
    def worst(self) -> str:
        """The layer whose weight is the furthest off, beside its norm."""
        return max(self.layers, key=lambda path: self.layers[path].of_weight)

    def __str__(self) -> str:
        worst, mean = self.layers[self.worst], self.mean
        whole = sum(not cost.in_factors for cost in self.layers.values())
        return (
            f"Control-LoRA of rank {self.rank}, {plural(len(self.layers), 'layer')}, {whole} of them whole: the "
            f"weights are off by {mean.of_weight:.2%} of their norm on average, at worst by {worst.of_weight:.2%} "
            f"({self.worst}); of what the training changed, {mean.of_change:.2%} is lost on average"
        )


@torch.no_grad()
def control_lora_of(
    net: ControlNet, unet: UNet | UNetWeights, rank: int, dtype: torch.dtype | None = None
) -> tuple[dict[str, Tensor], RankCost]:
    """The tensors of a Control-LoRA's file, and what its rank costs.

    unet: the one that the net was trained from. Of every layer that both have, the change is written as the `rank`
    largest of its singular values, of a convolution flattened to [o, i k k]; the best of this rank by the Frobenius
    norm (Eckart and Young). A layer whose factors would not be smaller than its weight is written whole, and so are
    biases, norms and the layers that a UNet does not have. dtype: of the file; None: each keeps the weight's own. It is
    computed on the device of the UNet's weights.

    Raises `ValueError` for another kind of net, a rank that no layer has use for, and a UNet with other layers.
    """
    if type(net) is not ControlNet:
        raise ValueError(f"a Control-LoRA holds a plain ControlNet, and this is a {net.kind}: save it whole")
    weights = {key: value.detach() for key, value in net.state_dict().items()}
    shared = [key for key, value in weights.items() if value.ndim > 1 and not is_own(key)]
    highest = max(_highest(weights[key]) for key in shared)
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= highest:
        raise ValueError(
            f"rank is {rank}: expected a whole number from 1 to {highest}, above which the factors of this net are not "
            "smaller than its weights. For all of them, save the ControlNet whole"
        )
    weight_of = _weights_of(unet, net)
    tensors: dict[str, Tensor] = {MARKER: torch.empty(0)}
    layers = {}
    for key, value in weights.items():
        if key not in shared:
            tensors[key] = value if dtype is None else value.to(dtype)
            continue
        path = key.removesuffix(".weight")
        base = _fitting(key, weight_of, net, value.shape).float()
        weight = value.to(base.device, torch.float32)
        change = weight - base
        if not torch.isfinite(change).all():
            raise ValueError(f"{key} of the net or of the UNet holds NaN or infinite numbers")
        in_factors = rank <= _highest(value)
        if in_factors:
            up, down = (factor.to(dtype or value.dtype) for factor in _factors(change, rank))
            tensors[f"{path}.up"], tensors[f"{path}.down"] = up.to(value.device), down.to(value.device)
            error = base + (up.float().flatten(1) @ down.float().flatten(1)).view_as(base) - weight
        else:
            tensors[key] = value if dtype is None else value.to(dtype)
            error = tensors[key].to(weight) - weight
        if not torch.isfinite(error).all():
            raise ValueError(f"{key} is beyond the range of {dtype or value.dtype}: save it in torch.float32")
        layers[path] = LayerCost(_share(error, weight), _share(error, change), in_factors)
    return tensors, RankCost(rank, layers)


def _highest(weight: Tensor) -> int:
    """The highest rank whose factors are smaller than a weight [o, ...]."""
    o, i = weight.flatten(1).shape
    return (o * i - 1) // (o + i)


def _factors(change: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """up [o, r] and down [r, i] of a change [o, i]; [o, r, 1, 1] and [r, i, k, k] of a convolution's [o, i, k, k].

    Each has the root of the singular values, so that neither is out of the range of float16.
    """
    u, s, vh = torch.linalg.svd(change.flatten(1), full_matrices=False)
    root = s[:rank].sqrt()
    ones = (1,) * (change.ndim - 2)
    up, down = u[:, :rank] * root, root[:, None] * vh[:rank]
    return up.reshape(*up.shape, *ones).contiguous(), down.reshape(rank, *change.shape[1:]).contiguous()


def _share(part: Tensor, whole: Tensor) -> float:
    norm = float(part.norm())
    return norm / float(whole.norm()) if norm else 0.0


def _weights_of(unet: UNet | UNetWeights, net: ControlNet) -> UNetWeights:
    if not isinstance(unet, UNet):
        return unet
    if unet.base.name != net.base.name:
        raise ValueError(
            f"the net is of the {net.base.title} family and the UNet of the {unet.base.title} family: give the UNet "
            "that the net was trained from"
        )
    parameters = dict(unet.named_parameters())
    return lambda key: parameters[key].detach()


def _fitting(key: str, weight_of: UNetWeights, net: ControlNet, shape: torch.Size) -> Tensor:
    try:
        weight = weight_of(key)
    except KeyError as error:
        raise ValueError(
            f"the UNet has no {key}: give the UNet that this net of the {net.base.title} family was trained from"
        ) from error
    return fitting(key, weight, shape)
