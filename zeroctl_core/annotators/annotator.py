"""What an annotator is, and the names that they register under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..registry import Registry

OVERSHOOT = 0.25
"""How far outside 0..1 an image may lie. Bicubic enlargement overshoots a black and white edge by up to
1.1055^2 - 1 = 0.22 (a = -0.75), and such images are fine once rounded to 8 bits; images in -1..1 or 0..255 are not."""


@dataclass(frozen=True)
class Param:
    """One number that a user may set. Whole numbers only when `default` is an `int`. `step` is for sliders."""

    name: str
    default: int | float
    min: int | float
    max: int | float
    step: int | float
    help: str

    def check(self, owner: str, value: object) -> None:
        """Raises `ValueError` for what is not a number in min..max; nothing is clamped."""
        whole = isinstance(self.default, int)
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and self.min <= value <= self.max
        if not fits or (whole and value not in range(int(self.min), int(self.max) + 1)):
            wanted = f"a {'whole ' if whole else ''}number from {self.min} to {self.max}"
            raise ValueError(f"{owner}: {self.name} is {value!r}; expected {wanted} (default {self.default})")


@dataclass(frozen=True)
class Annotator:
    """A pure function from an image to a condition image of the same size.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 on the same device, in 0..1 (inpaint: -1..1)

    `kind` says what `fn` gets besides the image and its parameters: `image` nothing, `masked` a `mask`
    [B, 1, H, W], `model` a `net` that the caller has loaded (the core finds no files).
    `needs` names what must be there beyond torch and numpy: a package (`cv2`) or the file of the net.
    `title` and `summary` are for people: the name to show, and a sentence or two on what it draws.
    """

    name: str
    kind: Literal["image", "masked", "model"]
    fn: Callable[..., Tensor]
    params: tuple[Param, ...] = ()
    needs: tuple[str, ...] = ()
    title: str = ""
    summary: str = ""

    def __call__(
        self, image: Tensor, *, mask: Tensor | None = None, net: torch.nn.Module | None = None, **params: int | float
    ) -> Tensor:
        """Annotate a batch.

        Raises `ValueError` for an image of another shape, type or range, an unknown parameter, one that is out of its
        range, and for a mask or net that is missing or of no use.
        """
        check_image(self.name, image)
        known = {param.name: param for param in self.params}
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"{self.name}: no parameter is called {name!r}; known are: {', '.join(known) or 'none'}"
                )
            known[name].check(self.name, value)
        extra: dict[str, Tensor | torch.nn.Module] = {}
        for word, given, kind in (("mask", mask, "masked"), ("net", net, "model")):
            if (given is None) == (self.kind == kind):
                raise ValueError(
                    f"{self.name} is of kind {self.kind!r} and {'needs' if given is None else 'takes no'} {word}"
                )
            if given is not None:
                extra[word] = given
        if mask is not None and mask.shape != (image.shape[0], 1, *image.shape[2:]):
            raise ValueError(
                f"{self.name}: the mask has the shape {tuple(mask.shape)}; "
                f"expected {(image.shape[0], 1, *image.shape[2:])}, one plane for each image"
            )
        defaults = {param.name: param.default for param in self.params}
        with torch.no_grad():
            return self.fn(image, **extra, **{**defaults, **params})


def check_image(owner: str, image: Tensor) -> None:
    """Raises `ValueError` for anything but a non-empty float [B, 3, H, W] in 0..1, a filter's overshoot allowed."""
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        hint = ""
        if image.ndim == 4 and image.shape[-1] in (3, 4):
            hint = "; the channels seem to come last: use image.movedim(-1, 1)"
        elif image.ndim == 4 and image.shape[1] == 4:
            hint = "; bring an image with alpha over a background first (annotators.pixels.over_white)"
        raise ValueError(
            f"{owner}: an image has the shape {tuple(image.shape)}; expected [B, 3, H, W], none of them 0{hint}"
        )
    if not image.is_floating_point():
        raise ValueError(
            f"{owner}: an image is of type {image.dtype}; expected floats in 0..1: use image.float() / 255"
        )
    low, high = (value.item() for value in image.float().aminmax())
    # NaN compares false with everything, so that it lands here too
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        cause = "in 0..1"
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            cause = "finite; the node before has made NaN or infinity"
        elif high > 1 + OVERSHOOT:
            cause = "in 0..1; divide 8-bit values by 255"
        elif low < -OVERSHOOT:
            cause = "in 0..1; an image in -1..1 becomes one by (image + 1) / 2"
        raise ValueError(f"{owner}: the values of an image lie in {low:g}..{high:g}; they must be {cause}")


ANNOTATORS: Registry[Annotator] = Registry("annotator")


def annotator(
    name: str,
    kind: Literal["image", "masked", "model"] = "image",
    params: tuple[Param, ...] = (),
    needs: tuple[str, ...] = (),
    title: str = "",
    summary: str = "",
) -> Callable[[Callable[..., Tensor]], Annotator]:
    """Decorate the function of one annotator file: it becomes an `Annotator` in `ANNOTATORS`."""

    def add(fn: Callable[..., Tensor]) -> Annotator:
        return ANNOTATORS.register(name)(Annotator(name, kind, fn, params, needs, title, summary))

    return add
