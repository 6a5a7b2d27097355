"""Work that waits until the UNet really runs: nodes such as EasyCache may skip it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfy.patcher_extension import WrappersMP

from .lists import PLACES, Control, Shapes
from .memory import KEY

__all__ = ["Late", "with_innermost"]


class Late:
    """Innermost DIFFUSION_MODEL wrapper: fills the call's control when the UNet really runs."""

    def __init__(
        self,
        late: Control,
        compute: Callable[[], Control | None],
        merge: Callable[[Control], Control],
        shapes: Shapes,
    ) -> None:
        self._late = late
        self._compute = compute
        self._merge = merge
        self._shapes = shapes
        self._ours: Control | None = None
        self._known = False

    @property
    def acts(self) -> bool:
        """Whether the UNet ran, with something to add."""
        return self._ours is not None and any(self._ours.values())

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._known:
            self._ours, self._known = self._compute(), True
        if self._ours is not None:
            self._shapes.skips.clear()
            self._late.update(self._merge({place: list(self._ours[place]) for place in PLACES}))
        return executor(*args, **kwargs)


def with_innermost(options: dict[str, Any], wrapper: Callable[..., Any]) -> dict[str, Any]:
    """A copy of transformer_options with one more DIFFUSION_MODEL wrapper, behind all others of this call."""
    wrappers = dict(options["wrappers"])
    wrappers[WrappersMP.DIFFUSION_MODEL] = {**wrappers[WrappersMP.DIFFUSION_MODEL], f"{KEY}_innermost": [wrapper]}
    return {**options, "wrappers": wrappers}
