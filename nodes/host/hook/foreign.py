"""Anybody else's CONTROL_NET in our stack: through its own `get_control`, on the rows that see it.

Schedule, branches, weights and mask are applied around it; strength goes through the net itself, so that a net with a
rule of its own (its square root) keeps it. Other rows get zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroctl_core import Connection, ConnectionWeights, Crop, Rows
from zeroctl_core.canvas.cells import PIXELS_PER_CELL
from zeroctl_core.control.acting import Support, rows_acted_on
from zeroctl_core.control.image_strengths import ImageStrengths
from zeroctl_core.control.own_context import OwnContext
from zeroctl_core.control.rows import Branches
from zeroctl_core.control.run import Cache, factors_of_rows, index_of_rows, mask_of_rows
from zeroctl_core.files.plural import plural
from zeroctl_core.residuals import times

from ..foreign_nets import foreign_name, patches_network
from ..network_control import token_grid
from .call import Call
from .lists import PLACES, Control

__all__ = ["Foreign"]

CONTEXT = "crossattn_controlnet"
"""Of a call's conditions: what the host's ControlNets read, where it is given, in the place of the prompt."""


@dataclass(frozen=True)
class _Hint:
    """Which part of which images the net was given last. `images` is empty where there is only one."""

    crop: Crop | None
    images: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Rows of one call that the net computes together, chunk by chunk; each chunk has the same number of them."""

    hint: _Hint
    rows: tuple[int, ...]
    chunks: tuple[int, ...]


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
        strengths: ImageStrengths | None = None,
        context: OwnContext | None = None,
        connections: Sequence[Connection] = (),
    ) -> None:
        self._net = control_net.copy()
        self._vae = vae
        self._image = image
        self._canvas_image = canvas_image
        self._canvas = canvas
        self._weights = weights
        self._mask = mask
        self._support = None if mask is None else Support(mask, (mask.shape[-2], mask.shape[-1]))
        self._cache = Cache()
        self._branches = branches
        self._strengths = strengths
        self._context = context
        self._connections = tuple(connections)
        self._patches = patches_network(self._net)
        self._hint: _Hint | None = None
        self._batch = 0
        self._ready = False

    def control(self, call: Call, strength: float) -> Control | None:
        """What the net adds in this call, unwanted rows zeroed; None, and no run, when its factor is 0 on every row.

        Raises `ValueError` where the number of weights is not the net's number of outputs, where the outputs do not fit
        the UNet, and where the net has no maps to mask.
        """
        weights = (strength,) if self._weights is None else tuple(strength * weight for weight in self._weights)
        own_rows = rows_acted_on(weights, self._branches, self._support, call.rows, self._strengths)
        if not own_rows:
            return None
        if self._context is not None:
            call = replace(call, cond={**call.cond, CONTEXT: self._tokens(self._context, call)})
        parts = self._parts(call, own_rows)
        if self._patches:
            return self._patched(call, parts, strength)
        control = _stacked([self._call(call, part, strength) for part in parts])
        return None if control is None else self._weighted(control, call, own_rows, -1.0 if strength < 0.0 else 1.0)

    def _tokens(self, context: OwnContext, call: Call) -> Tensor:
        key = ("context", call.rows, call.x.device, call.x.dtype)
        return self._cache.get((context,), key, lambda: context.of_rows(call.rows, call.x))

    def _parts(self, call: Call, own_rows: Sequence[int]) -> list[_Part]:
        """The rows that see the control, in as few calls as the net allows: one, unless chunks see different pictures.

        The host gives the rows of a chunk the images in order; rows of a context window are other ones.
        """
        rows, several = call.rows, self._image.shape[0] > 1
        parts: list[_Part] = []
        for chunk in range(call.chunks):
            own = tuple(row for row in own_rows if row // call.latents == chunk)
            if not own:
                continue
            images = tuple(rows.images[row] % self._image.shape[0] for row in own) if several else ()
            hint, last = _Hint(rows.crops[own[0]], images), parts[-1] if parts else None
            if last is not None and (last.hint, len(last.rows)) == (hint, len(last.chunks) * len(own)):
                parts[-1] = replace(last, rows=(*last.rows, *own), chunks=(*last.chunks, chunk))
            else:
                parts.append(_Part(hint=hint, rows=own, chunks=(chunk,)))
        return parts

    def _call(self, call: Call, part: _Part, strength: float) -> Control | None:
        hint, batch = part.hint, len(part.rows)
        if hint != self._hint:
            image = self._image if hint.crop is None else self._cropped(hint.crop)
            # never by assignment: a net may transform what it is given
            self._net.set_cond_hint(image[list(hint.images)] if hint.images else image, vae=self._vae)
            self._net.cond_hint = None
        if not self._ready:
            self._net.pre_run(call.model, call.model.model_sampling.percent_to_sigma)
            self._ready = True
        # a rule of its own may know no strength below 0: what it adds is turned round
        self._net.strength = strength if self._patches else abs(strength)
        if (hint, batch) != (self._hint, self._batch) and hasattr(self._net, "control_input"):
            self._net.control_input = None  # a T2I-Adapter keeps its features for the first batch that it saw
        self._hint, self._batch = hint, batch
        call = _of_rows(call, part)
        before = _number_of_patches(call)
        control: Control | None = self._net.get_control(call.x, call.sigma, call.cond, len(part.chunks), call.options)
        if control is None and _number_of_patches(call) > before and not self._patches:
            raise ValueError(
                f"{foreign_name(self._net)} patches the MODEL's network and does not say so beforehand: how often and "
                "where it acts cannot be followed. Use ComfyUI's own Apply ControlNet for it."
            )
        return control if control is None else _expanded(control, batch)

    def _patched(self, call: Call, parts: Sequence[_Part], strength: float) -> Control:
        """A net that patches the network itself: it acts on all rows of the call, and adds nothing of its own."""
        if len(parts) != 1:
            raise ValueError(
                f"{foreign_name(self._net)} patches the MODEL's network, and this call holds several areas or context "
                "windows, each with another part of its image: it can read one. Remove the areas, or this control."
            )
        self._call(call, parts[0], strength)
        return {place: [] for place in PLACES}

    def _cropped(self, crop: Crop) -> Tensor:
        height, width = self._canvas_image.shape[-2:]
        dy, dx = height / self._canvas[0], width / self._canvas[1]
        top, left = round(crop.y * dy), round(crop.x * dx)
        return self._canvas_image[..., top : round((crop.y + crop.h) * dy), left : round((crop.x + crop.w) * dx)]

    def _weighted(self, control: Control, call: Call, own_rows: Sequence[int], sign: float) -> Control:
        """control: of the net's own rows. sign: of the strength, whose size went through the net."""
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
            weight = sign if self._weights is None else self._weights[number] * sign
            key = (id(value), weight)
            if key not in products:
                if place == "input":
                    value = self._fit(value, len(control["input"]) - 1 - i, call.size)
                products[key] = self._times(value, weight, call, own_rows)
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

    def _times(self, value: Tensor, weight: float, call: Call, own_rows: Sequence[int]) -> Tensor:
        """Weight, strengths of the images and mask on the net's own rows, as rows of the whole call."""
        batch = len(call.rows)
        if self._strengths is not None:
            factors = self._strengths.of([call.rows.images[row] for row in own_rows])
            value = times(value, factors_of_rows(factors, value, self._cache))
        if self._mask is not None:
            value = times(value, self._mask_like(value, self._mask, call, call.rows.pick(own_rows)))
        value = times(value, weight)
        if len(own_rows) == batch:
            return value
        on_rows = value.new_zeros(batch, *value.shape[1:])
        on_rows[index_of_rows(own_rows, value.device, self._cache)] = value
        return on_rows

    def _mask_like(self, value: Tensor, mask: Tensor, call: Call, rows: Rows) -> Tensor:
        """The mask of these rows at the places of a map [B, C, h, w] or of a sequence of tokens [B, T, C].

        Raises `ValueError` for tokens of which it is not known where in the picture they are.
        """
        if value.ndim == 4:
            return mask_of_rows(mask, self._canvas_pixels, rows, value, self._cache)
        grid = token_grid(call.model.diffusion_model, call.x.shape)
        if value.ndim != 3 or grid is None or value.shape[1] != grid[0] * grid[1]:
            raise ValueError(
                f"{foreign_name(self._net)} adds {tuple(value.shape)}, and nothing says where in the picture these "
                "values are: a mask cannot be applied to it. Disconnect the mask, or mask the condition image."
            )
        like = value.new_empty(()).expand(value.shape[0], 1, *grid)
        return mask_of_rows(mask, self._canvas_pixels, rows, like, self._cache).flatten(2).transpose(1, 2)

    @property
    def _canvas_pixels(self) -> torch.Size:
        return torch.Size(PIXELS_PER_CELL * side for side in self._canvas)

    def close(self) -> None:
        if self._ready:
            self._net.cleanup()


@lru_cache(maxsize=16)
def _numbers(rows: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers of rows as an index, int64 [n], copied to a device once and not at every step."""
    return torch.tensor(rows, device=device)


def _of_rows(call: Call, part: _Part) -> Call:
    """The call with the rows of a part alone; the call itself where these are all."""
    batch = call.x.shape[0]
    if len(part.rows) == batch:
        return call
    rows = _numbers(part.rows, call.x.device)

    def picked(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[rows.to(value.device)] if value.ndim and value.shape[0] == batch else value
        return [picked(entry) for entry in value] if isinstance(value, list) else value

    options = dict(call.options)
    if "sigmas" in options:  # one entry a row
        options["sigmas"] = picked(options["sigmas"])
    for key in ("cond_or_uncond", "uuids"):  # one entry a chunk
        if options.get(key) is not None:
            options[key] = [options[key][chunk] for chunk in part.chunks]
    return replace(
        call,
        x=call.x[rows],
        sigma=call.sigma[rows],
        cond={key: picked(value) for key, value in call.cond.items()},
        options=options,
    )


def _number_of_patches(call: Call) -> int:
    return sum(len(patches) for patches in call.options.get("patches", {}).values() if isinstance(patches, list))


def _expanded(control: Control, batch: int) -> Control:
    """The control with a value for each of its rows. What is one tensor at several places stays one."""
    rows: dict[int, Tensor] = {}
    return {
        place: [
            value
            if value is None or value.shape[0] == batch
            else rows.setdefault(id(value), value.expand(batch, *value.shape[1:]))
            for value in control.get(place, ())
        ]
        for place in PLACES
    }


def _stacked(parts: Sequence[Control | None]) -> Control | None:
    """The controls of consecutive rows as one; None when no part acts."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if len(present) != len(parts):
        raise ValueError("a control acts on some areas of this call and not on others; give all areas the same window.")
    if len(present) == 1:
        return present[0]
    total: Control = {}
    for place in PLACES:
        columns = zip(*(part.get(place, []) for part in present), strict=True)
        total[place] = [None if column[0] is None else torch.cat(list(column)) for column in columns]
    return total
