"""The lists that the host's UNet pops control from, and how residuals fit what other patches did to its feature maps.

`apply_control` pops from the end of "middle" and "output" and adds in place; where the shapes differ it logs one line
and drops the control. Deep Shrink and its like change the size of h on the way. All encoder blocks run before the
pop of a residual, so the last `input_block_patch` of the call records what is there, and `pop` resizes to it. What is
added inside the encoder fits what the block before left, halved where the block halves.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, SupportsIndex

import torch.nn.functional as F
from torch import Tensor

__all__ = ["Shapes", "WatchedControl", "add_control", "recording", "resizing"]

Control = dict[str, list["Tensor | None"]]
PLACES = ("input", "middle", "output")


class WatchedControl(Control):
    """A control that remembers whether anybody read one of its lists."""

    is_read = False

    def __getitem__(self, place: str) -> list[Tensor | None]:
        self.is_read = True
        return super().__getitem__(place)

    def get(self, place: str, default: Any = None) -> Any:
        self.is_read = True
        return super().get(place, default)

    def items(self) -> Any:
        self.is_read = True
        return super().items()

    def values(self) -> Any:
        self.is_read = True
        return super().values()


class Shapes:
    """Sizes (h, w) of the feature maps of one call: of every skip, and of what enters the next block.

    After the encoder the next block is the middle. halving: numbers of the encoder's blocks that halve the map.
    """

    def __init__(self, halving: Container[int] = ()) -> None:
        self.skips: list[tuple[int, int]] = []
        self.middle: tuple[int, int] | None = None
        self._halving = halving

    def of_block(self, block: int) -> tuple[int, int] | None:
        """Of what a block of the encoder gives, from what entered it; None for the first, which takes the latent."""
        if block == 0 or self.middle is None:
            return None
        height, width = self.middle
        return (-(-height // 2), -(-width // 2)) if block in self._halving else (height, width)

    def record_skip(self, h: Tensor, options: dict[str, Any]) -> Tensor:
        self.skips.append((h.shape[-2], h.shape[-1]))
        return h

    def record_middle(self, h: Tensor, options: dict[str, Any]) -> Tensor:
        self.middle = (h.shape[-2], h.shape[-1])
        return h


def recording(options: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    """A copy of transformer_options whose last input block patches record into `shapes`. The given options stay as
    they are."""
    patches = dict(options.get("patches", {}))
    patches["input_block_patch"] = [*patches.get("input_block_patch", ()), shapes.record_skip]
    patches["input_block_patch_after_skip"] = [*patches.get("input_block_patch_after_skip", ()), shapes.record_middle]
    return {**options, "patches": patches}


class _Resizing(list["Tensor | None"]):
    """A list whose `pop()` fits the residual to the size of its place. size: of the nth that is popped, from 0."""

    def __init__(
        self,
        values: list[Tensor | None],
        size: Callable[[int], tuple[int, int] | None],
        notify: Callable[[tuple[int, int], tuple[int, int]], None],
    ) -> None:
        super().__init__(values)
        self._size = size
        self._notify = notify
        self._popped = 0

    def pop(self, index: SupportsIndex = -1) -> Tensor | None:
        residual = super().pop(index)
        want = self._size(self._popped)
        self._popped += 1
        if residual is None or want is None or residual.shape[-2:] == want:
            return residual
        have = residual.shape[-2], residual.shape[-1]
        self._notify(have, want)
        return F.interpolate(residual, size=want, mode="bilinear", align_corners=False)


def resizing(control: Control, shapes: Shapes, notify: Callable[[tuple[int, int], tuple[int, int]], None]) -> Control:
    """The control in lists whose pop fits the recorded sizes, and calls `notify(have, want)` where it did."""

    def of_skip(popped: int) -> tuple[int, int] | None:
        return shapes.skips[-1 - popped] if popped < len(shapes.skips) else None

    def of_middle(popped: int) -> tuple[int, int] | None:
        return shapes.middle if popped == 0 else None

    sizes = {"input": shapes.of_block, "middle": of_middle, "output": of_skip}
    return {
        **control,
        **{place: _Resizing(control.get(place, []), size, notify) for place, size in sizes.items()},
    }


def add_control(first: Control | None, second: Control | None) -> Control | None:
    """The sum of two controls, place by place, in new lists. A shorter list adds to the start of the longer one,
    as the host's own control_merge does."""
    if first is None or second is None:
        present = first if second is None else second
        return None if present is None else {place: list(present.get(place, [])) for place in PLACES}
    out: Control = {}
    for place in PLACES:
        one, two = list(first.get(place, [])), list(second.get(place, []))
        longest = max(len(one), len(two))
        one += [None] * (longest - len(one))
        two += [None] * (longest - len(two))
        out[place] = [b if a is None else a if b is None else a + b for a, b in zip(one, two, strict=True)]
    return out
