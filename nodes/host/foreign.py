"""Anybody else's CONTROL_NET in our stack: through its own `get_control`, on all rows.

Schedule, branches, weights and mask are applied around it; strength goes through the net itself, so that a net with a rule
of its own (strength to a power) keeps it. Rows that must not see the control are zeroed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroctl_core import ConnectionWeights, Crop, Rows

from .lists import PLACES, Control

__all__ = ["Foreign", "foreign_name", "needs_vae"]


def foreign_name(control_net: Any) -> str:
    """What a foreign CONTROL_NET is, for messages: the host's class and, where there is one, its network's class."""
    network = getattr(control_net, "control_model", None)
    inside = f" around {type(network).__name__}" if network is not None else ""
    return f"{type(control_net).__module__.split('.')[-1]}.{type(control_net).__name__}{inside}"


def needs_vae(control_net: Any) -> bool:
    """Whether the net encodes its condition image with a VAE."""
    return getattr(control_net, "latent_format", None) is not None


class Foreign:
    """One foreign net in one sampling run: a copy with its condition set, made ready on first use, cleaned up at the end.

    image: [B, 3, H, W]: at its own size for the host's own crop, else already placed on the canvas of `canvas` cells.
    """

    def __init__(self, control_net: Any, image: Tensor, canvas_image: Tensor, canvas: tuple[int, int], vae: Any,
                 weights: ConnectionWeights | None, mask: Tensor | None, branches: str) -> None:
        self._net = control_net.copy()
        self._net.set_cond_hint(image, 1.0, (0.0, 1.0), vae=vae)
        self._image = image
        self._canvas_image = canvas_image
        self._canvas = canvas
        self._weights = weights
        self._mask = mask
        self._branches = branches
        self._state: tuple[Crop | None, int] | None = None
        self._ready = False

    def control(self, model: Any, x: Tensor, sigma: Tensor, cond: dict[str, Any], rows: Rows, strength: float,
                options: dict[str, Any]) -> Control | None:
        """What the net adds in this call, unwanted rows zeroed; None when no row of the call sees it.

        Raises:
            ValueError: the number of weights is not the net's number of outputs, or the net has no maps to mask.
        """
        seen = rows.seen_by(self._branches)  # type: ignore[arg-type]
        if not seen:
            return None
        if not self._ready:
            self._net.pre_run(model, model.model_sampling.percent_to_sigma)
            self._ready = True
        self._net.strength = 1.0 if self._weights is not None else strength
        chunks = len(options.get("cond_or_uncond") or (0,))
        if len(set(rows.crops)) == 1:
            control = self._call(x, sigma, cond, rows.crops[0], chunks, options)
        else:  # the chunks of this call are different crops: one after the other
            per = x.shape[0] // chunks
            parts = []
            for start in range(0, x.shape[0], per):
                here = slice(start, start + per)
                parts.append(self._call(x[here], sigma[here], _rows_of(cond, here, x.shape[0]), rows.crops[start], 1, options))
            control = _stacked(parts)
        if control is None:
            return None
        return self._finished(control, rows, seen, strength, x)

    def _call(self, x: Tensor, sigma: Tensor, cond: dict[str, Any], crop: Crop | None, chunks: int,
              options: dict[str, Any]) -> Control | None:
        state = (crop, x.shape[0])
        if state != self._state:
            if self._state is None or crop != self._state[0]:
                self._net.cond_hint_original = self._image if crop is None else self._cropped(crop)
                self._net.cond_hint = None
            if hasattr(self._net, "control_input"):  # a T2I-Adapter keeps its features for the first batch that it saw
                self._net.control_input = None
            self._state = state
        return self._net.get_control(x, sigma, cond, chunks, options)

    def _cropped(self, crop: Crop) -> Tensor:
        height, width = self._canvas_image.shape[-2:]
        dy, dx = height / self._canvas[0], width / self._canvas[1]
        top, left = round(crop.y * dy), round(crop.x * dx)
        return self._canvas_image[..., top:round((crop.y + crop.h) * dy), left:round((crop.x + crop.w) * dx)]

    def _finished(self, control: Control, rows: Rows, seen: Sequence[int], strength: float, x: Tensor) -> Control:
        outputs = [(place, i) for place in ("output", "middle", "input") for i in range(len(control.get(place, ())))]
        if self._weights is not None and len(self._weights) != len(outputs):
            raise ValueError(
                f"{foreign_name(self._net)} has {len(outputs)} outputs, but {len(self._weights)} weights were given. "
                f"Give {len(outputs)} numbers as custom weights, or use the rule uniform.")
        done: Control = {place: [None] * len(control.get(place, ())) for place in PLACES}
        for number, (place, i) in enumerate(outputs):
            value = control[place][i]
            if value is None:
                continue
            factor = torch.zeros(x.shape[0], *(1,) * (value.ndim - 1), device=value.device, dtype=value.dtype)
            factor[list(seen)] = 1.0 if self._weights is None else self._weights[number] * strength
            if self._mask is not None:
                factor = factor * self._mask_at(value, rows)
            done[place][i] = value * factor
        return done

    def _mask_at(self, value: Tensor, rows: Rows) -> Tensor:
        if value.ndim != 4:
            raise ValueError(f"{foreign_name(self._net)} adds token sequences {tuple(value.shape)}, not maps: a mask cannot "
                             "be applied to it. Disconnect the mask, or mask the condition image.")
        assert self._mask is not None
        height, width = self._mask.shape[-2:]
        dy, dx = height // self._canvas[0], width // self._canvas[1]
        masks = []
        for image, crop in zip(rows.images, rows.crops, strict=True):
            mask = self._mask[image % self._mask.shape[0]]
            if crop is not None:
                mask = mask[..., crop.y * dy:(crop.y + crop.h) * dy, crop.x * dx:(crop.x + crop.w) * dx]
            masks.append(F.interpolate(mask[None].float(), size=value.shape[-2:], mode="area"))
        return torch.cat(masks).to(value.device, value.dtype)

    def close(self) -> None:
        if self._ready:
            self._net.cleanup()


def _rows_of(cond: dict[str, Any], rows: slice, batch: int) -> dict[str, Any]:
    return {key: value[rows] if isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == batch else value
            for key, value in cond.items()}


def _stacked(parts: Sequence[Control | None]) -> Control | None:
    """The controls of consecutive rows as one; None when no part acts."""
    acting = [part for part in parts if part is not None]
    if not acting:
        return None
    if len(acting) != len(parts):
        raise ValueError("a control acts on some areas of this call and not on others; give all areas the same window.")
    stacked: Control = {}
    for place in PLACES:
        columns = zip(*(part.get(place, []) for part in acting), strict=True)
        stacked[place] = [None if column[0] is None else torch.cat(list(column)) for column in columns]
    return stacked
