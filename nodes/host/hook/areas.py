"""Whose rows a call of the UNet holds: the role and the crop of every chunk.

The host batches conds into chunks. `transformer_options["cond_or_uncond"]` holds the list index of each chunk and
`["uuids"]` its cond; neither says what the list is (DualCFG passes [negative, middle, positive], SAG [negative]
alone) nor which area x was cropped to. A CALC_COND_BATCH wrapper sees both and leaves a `Conds` in this call's
transformer_options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeroctl_core import Crop, Rows
from zeroctl_core.files.plural import plural

from .windows import samples_of_call

__all__ = ["Conds", "conds_of_call", "rows_of_call"]

POSITIVE = "positive"


@dataclass(frozen=True)
class Conds:
    """One call of the host's calc_cond_batch.

    roles: per list index. crops: (list index, uuid) -> clipped crop; absent: the whole canvas. The uuid alone would not
    do: the host copies an area cond, uuid included, into the other list. canvas: latent (h, w). guessed: whether some
    list belongs to nobody.
    """

    roles: tuple[str, ...]
    crops: Mapping[tuple[int, Any], Crop]
    canvas: tuple[int, int]
    guessed: bool = False


def conds_of_call(conds: Sequence[Any], canvas: tuple[int, int], guider_conds: Mapping[str, Any]) -> Conds:
    """Name every list of the call by the guider that owns it, and keep the areas.

    guider_conds: the guider's `conds`, name -> list. `cond` is what the guider calls positive, `uncond` everything
    else; a list that nobody owns is `cond` at index 0, as the host orders its own calls.
    """
    roles: list[str] = []
    crops: dict[tuple[int, Any], Crop] = {}
    guessed = False
    for index, chunk in enumerate(conds):
        name = _owner(chunk, guider_conds) if chunk else None
        if name is None and chunk:
            guessed = True
        roles.append("cond" if name == POSITIVE or (name is None and index == 0) else "uncond")
        for cond in chunk or ():
            if "area" in cond:
                crops[index, cond["uuid"]] = _clipped(cond["area"], canvas)
    return Conds(tuple(roles), crops, canvas, guessed)


def _owner(chunk: Sequence[Any], guider_conds: Mapping[str, Any]) -> str | None:
    """The name of the guider's list that this one is, or is a copy of.

    Context windows copy every cond, a guider with a second model whole lists; the uuids stay.
    """
    for name, own in guider_conds.items():
        if own is chunk:
            return name
    uuids = [cond.get("uuid") for cond in chunk]
    copies: list[tuple[list[int], str]] = []
    for name, own in guider_conds.items():
        places = [cond.get("uuid") for cond in own]
        if all(uuid is not None and uuid in places for uuid in uuids):
            copies.append(([places.index(uuid) for uuid in uuids], name))
    # the host puts the copies of area conds, uuid included, behind a list's own conds
    return min(copies)[1] if copies else None


def _clipped(area: Sequence[int], canvas: tuple[int, int]) -> Crop:
    """The host's area (h, w, y, x), clipped to the canvas as its get_area_and_mult does."""
    dims = len(area) // 2
    (h, w), (y, x) = area[dims - 2 : dims], area[2 * dims - 2 :]
    return Crop(y=y, x=x, h=min(canvas[0] - y, h), w=min(canvas[1] - x, w))


def rows_of_call(batch: int, size: tuple[int, int], options: Mapping[str, Any], conds: Conds | None) -> Rows:
    """The rows of one call of the UNet: `batch` rows of latents of `size` (h, w), by the call's transformer_options.

    Raises `ValueError` for a batch that cannot be split into the call's chunks.
    """
    indices: Sequence[int] = options.get("cond_or_uncond") or (0,)
    uuids: Sequence[Any] = options.get("uuids") or (None,) * len(indices)
    if batch % len(indices):
        raise ValueError(
            f"the UNet is called with {plural(batch, 'latent')} for {plural(len(indices), 'conditioning')}, so it is "
            "not known which latent is whose. A node between the sampler and the UNet splits the batch without saying "
            "so (transformer_options cond_or_uncond): remove it, or use ComfyUI's own Apply ControlNet with it."
        )
    per_chunk = batch // len(indices)
    samples = samples_of_call(per_chunk, options) or range(per_chunk)
    roles: list[str] = []
    images: list[int] = []
    crops: list[Crop | None] = []
    for index, uuid in zip(indices, uuids, strict=True):
        if conds is not None and index < len(conds.roles):
            role, crop = conds.roles[index], conds.crops.get((index, uuid))
        else:  # somebody calls the model past the host's calc_cond_batch: the host's own order
            role, crop = ("cond" if index == 0 else "uncond"), None
        if crop is not None and (crop.h, crop.w) != size:
            crop = None  # x was resized on its way here: it no longer is that crop
        roles += [role] * per_chunk
        images += samples
        crops += [crop] * per_chunk
    return Rows(tuple(roles), tuple(images), tuple(crops))
