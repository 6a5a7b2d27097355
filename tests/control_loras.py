"""Control-LoRAs of random factors, as Stability AI and comfyanonymous write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from random_weights import UNetSpec, random_controlnet
from torch import Tensor

WHOLE = ("zero_convs.", "middle_block_out.", "input_hint_block.")
MARKER = {"lora_controlnet": torch.tensor([])}


def control_lora(
    preset: str | UNetSpec,
    rank: int = 8,
    seed: int = 5,
    dtype: torch.dtype = torch.float32,
    absent: Iterable[str] = (),
    square: bool = True,
) -> dict[str, Tensor]:
    """Factors for every layer of the encoder and the middle, the rank another one from layer to layer, the rest whole.

    absent: keys of the ControlNet that the file does not name. square: factors of linear layers without 1x1 behind.
    """
    state = dict(MARKER)
    for number, (key, value) in enumerate(random_controlnet(preset, seed, spread=0.1).items()):
        if key in absent:
            continue
        if value.ndim == 1 or key.startswith(WHOLE):
            state[key] = value.to(dtype)
            continue
        generator = torch.Generator().manual_seed(seed + number)
        r, path, ones = rank + number % 3, key.removesuffix("weight"), (1, 1) if value.ndim == 4 or not square else ()
        tail = value.shape[2:] or ones
        up = torch.randn(value.shape[0], r, *ones, generator=generator)
        down = torch.randn(r, value.shape[1], *tail, generator=generator)
        size = 0.5 / (r * value[0].numel()) ** 0.5
        state[f"{path}up"], state[f"{path}down"] = up.to(dtype), (down * size).to(dtype)
    return state


def merged(lora: Mapping[str, Tensor], unet: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole file: W + up down, biases and norms of the file, by the formula alone."""
    whole = {key: value.float() for key, value in lora.items() if key.endswith((".weight", ".bias"))}
    for key, value in lora.items():
        if key.endswith(".up"):
            path = key.removesuffix("up")
            weight = unet[f"{path}weight"]
            if path == "input_blocks.0.0.":
                weight = weight[:, :4]
            product = torch.mm(value.float().flatten(1), lora[f"{path}down"].float().flatten(1))
            whole[f"{path}weight"] = weight + product.reshape(weight.shape)
    return whole
