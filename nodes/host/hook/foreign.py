"""Anybody else's CONTROL_NET in our stack: through its own `get_control`, on all rows.

Schedule, branches, weights and mask are applied around it; strength goes through the net itself, so that a net with a
rule of its own (strength to a power) keeps it. Rows that must not see the control are zeroed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroctl_core import Connection, ConnectionWeights, Crop, Rows
from zeroctl_core.canvas.cells import PIXELS_PER_CELL
from zeroctl_core.control.acting import Support, rows_acted_on
from zeroctl_core.control.rows import Branches
from zeroctl_core.control.run import Cache, index_of_rows, mask_of_rows
from zeroctl_core.files.plural import plural
from zeroctl_core.residuals import times

from ..foreign_nets import foreign_name
from .call import Call
from .lists import PLACES, Control

__all__ = ["Foreign"]


@dataclass(frozen=True)
class _Hint:
    """Which part of which images the net was given last. `images` is empty where there is only one."""

    crop: Crop | None
    images: tuple[int, ...]


class Foreign:
    """One foreign net in one sampling run: a copy with its condition set, made ready on first use, cleaned up later.

    image: [B, 3, H, W]: at its own size for the host's own crop, else already placed on the canvas of `canvas` cells.
    mask: [B, 1, 8h, 8w] on that canvas. connections: the MODEL's, empty where it is not a UNet of Stable Diffusion's
    kind.
    """

    def __init__(
        self,
        control_net: Any,
        *,
        image: Tensor,
        canvas_image: Tensor,
        canvas: tuple[int, int],
        vae: Any,
        weights: ConnectionWeights | None,
        mask: Tensor | None,
        branches: Branches,
        connections: Sequence[Connection] = (),
    ) -> None:
        self._net = control_net.copy()
        self._net.set_cond_hint(image, 1.0, (0.0, 1.0), vae=vae)
        self._image = image
        self._canvas_image = canvas_image
        self._canvas = canvas
        self._weights = weights
        self._mask = mask
        self._support = None if mask is None else Support(mask, (mask.shape[-2], mask.shape[-1]))
        self._cache = Cache()
        self._branches = branches
        self._connections = tuple(connections)
        self._hint: _Hint | None = None
        self._batch = 0
        self._ready = False

    def control(self, call: Call, strength: float) -> Control | None:
        """What the net adds in this call, unwanted rows zeroed; None, and no run, when its factor is 0 on every row.

        Raises `ValueError` where the number of weights is not the net's number of outputs, where the outputs do not fit
        the UNet, and where the net has no maps to mask.
        """
        rows, batch = call.rows, call.x.shape[0]
        weights = (strength,) if self._weights is None else tuple(strength * weight for weight in self._weights)
        own_rows = rows_acted_on(weights, self._branches, self._support, rows)
        if not own_rows:
            return None
        if not self._ready:
            self._net.pre_run(call.model, call.model.model_sampling.percent_to_sigma)
            self._ready = True
        self._net.strength = 1.0 if self._weights is not None else strength
        per = batch // call.chunks
        hints = [self._hint_of(rows, start, per) for start in range(0, batch, per)]
        if len(set(hints)) == 1:
            control = self._call(call, hints[0], call.chunks)
        else:  # the chunks of this call are different crops: one after the other
            parts = [
                self._call(_part(call, slice(start, start + per)), hint, 1)
                for start, hint in zip(range(0, batch, per), hints, strict=True)
            ]
            control = _stacked(parts)
        return None if control is None else self._weighted(control, call, own_rows, strength)

    def _hint_of(self, rows: Rows, start: int, per: int) -> _Hint:
        """The host gives its rows the images in order; rows of a context window are other ones."""
        images = rows.images[start : start + per] if self._image.shape[0] > 1 else ()
        return _Hint(rows.crops[start], tuple(image % self._image.shape[0] for image in images))

    def _call(self, call: Call, hint: _Hint, chunks: int) -> Control | None:
        if hint != self._hint:
            image = self._image if hint.crop is None else self._cropped(hint.crop)
            self._net.cond_hint_original = image[list(hint.images)] if hint.images else image
            self._net.cond_hint = None
        batch = call.x.shape[0]
        if (hint, batch) != (self._hint, self._batch) and hasattr(self._net, "control_input"):
            self._net.control_input = None  # a T2I-Adapter keeps its features for the first batch that it saw
        self._hint, self._batch = hint, batch
        return self._net.get_control(call.x, call.sigma, call.cond, chunks, call.options)

    def _cropped(self, crop: Crop) -> Tensor:
        height, width = self._canvas_image.shape[-2:]
        dy, dx = height / self._canvas[0], width / self._canvas[1]
        top, left = round(crop.y * dy), round(crop.x * dx)
        return self._canvas_image[..., top : round((crop.y + crop.h) * dy), left : round((crop.x + crop.w) * dx)]

    def _weighted(self, control: Control, call: Call, own_rows: Sequence[int], strength: float) -> Control:
        outputs = self._outputs(control)
        if self._weights is not None and len(self._weights) != len(outputs):
            raise ValueError(
                f"{foreign_name(self._net)} has {plural(len(outputs), 'output')}, but there are "
                f"{plural(len(self._weights), 'weight')}. Give one number an output, or use the rule uniform."
            )
        self._check_fit(control)
        result: Control = {place: [None] * len(control.get(place, ())) for place in PLACES}
        # nets for large transformers give the same tensor to several places: it stays one tensor
        products: dict[tuple[int, float], Tensor] = {}
        for number, (place, i) in enumerate(outputs):
            value = control[place][i]
            assert value is not None
            weight = 1.0 if self._weights is None else self._weights[number] * strength
            key = (id(value), weight)
            if key not in products:
                if place == "input":
                    value = self._fit(value, len(control["input"]) - 1 - i, call.size)
                products[key] = self._times(value, weight, call.rows, own_rows)
            result[place][i] = products[key]
        return result

    def _outputs(self, control: Control) -> list[tuple[str, int]]:
        """The places that hold something, in the order in which they enter the network, the middle last.

        What enters a UNet's encoder (a T2I-Adapter's) is listed deep to shallow, because the host pops it from the end.
        """
        entering = [("input", i) for i in range(len(control.get("input", ())))]
        if self._connections:
            entering.reverse()
        others = [(place, i) for place in ("output", "middle") for i in range(len(control.get(place, ())))]
        return [(place, i) for place, i in (*entering, *others) if control[place][i] is not None]

    def _check_fit(self, control: Control) -> None:
        """The host drops what does not fit its UNet with one line in the log."""
        if not self._connections:
            return
        *skips, middle = (connection.channels for connection in self._connections)
        for place, widths in (("input", skips[::-1]), ("middle", [middle]), ("output", skips)):
            values = list(control.get(place, ()))
            # all three are popped from the end
            for i, value in enumerate(values):
                counterpart = len(widths) - len(values) + i
                have = None if value is None else value.shape[1]
                want = widths[counterpart] if counterpart >= 0 else None
                if have is not None and have != want:
                    unet_has = "nothing" if want is None else plural(want, "channel")
                    raise ValueError(
                        f"{foreign_name(self._net)} does not fit the MODEL: its {place} {i + 1} of {len(values)} has "
                        f"{plural(have, 'channel')}, the UNet has {unet_has} there. Load a control that was made for "
                        "this family."
                    )

    def _fit(self, value: Tensor, place: int, latent: tuple[int, int]) -> Tensor:
        """An adapter rounds its picture up to whole tiles: what enters the encoder must have the UNet's own size."""
        if value.ndim != 4 or not self._connections:
            return value
        downsample = self._connections[place].downsample
        size = (math.ceil(latent[0] / downsample), math.ceil(latent[1] / downsample))
        return (
            value if value.shape[-2:] == size else F.interpolate(value, size=size, mode="bilinear", align_corners=False)
        )

    def _times(self, value: Tensor, weight: float, rows: Rows, own_rows: Sequence[int]) -> Tensor:
        if value.shape[0] != len(rows):
            value = value.expand(len(rows), *value.shape[1:])
        if self._mask is not None:
            if value.ndim != 4:
                raise ValueError(
                    f"{foreign_name(self._net)} adds token sequences {tuple(value.shape)}, not maps: a mask "
                    "cannot be applied to it. Disconnect the mask, or mask the condition image."
                )
            value = times(value, mask_of_rows(self._mask, self._canvas_pixels, rows, value, self._cache))
        if len(own_rows) == len(rows):
            return times(value, weight)
        on_rows = torch.zeros_like(value)
        at = index_of_rows(own_rows, value.device, self._cache)
        on_rows[at] = times(value[at], weight)
        return on_rows

    @property
    def _canvas_pixels(self) -> torch.Size:
        return torch.Size(PIXELS_PER_CELL * side for side in self._canvas)

    def close(self) -> None:
        if self._ready:
            self._net.cleanup()


def _part(call: Call, rows: slice) -> Call:
    """The call with some of its rows alone."""
    batch = call.x.shape[0]
    cond = {
        key: value[rows] if isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == batch else value
        for key, value in call.cond.items()
    }
    return replace(call, x=call.x[rows], sigma=call.sigma[rows], cond=cond)


def _stacked(parts: Sequence[Control | None]) -> Control | None:
    """The controls of consecutive rows as one; None when no part acts."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if len(present) != len(parts):
        raise ValueError("a control acts on some areas of this call and not on others; give all areas the same window.")
    total: Control = {}
    for place in PLACES:
        columns = zip(*(part.get(place, []) for part in present), strict=True)
        total[place] = [None if column[0] is None else torch.cat(list(column)) for column in columns]
    return total
