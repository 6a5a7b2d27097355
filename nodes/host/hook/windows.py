"""Which samples of the run a call of the UNet holds, where a node gives it the batch window by window.

Whoever windows the batch leaves the samples of the call in `transformer_options`, each in a form of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["samples_of_call"]


def samples_of_call(n: int, options: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The samples that the n rows of one conditioning are, in the order of the rows; None where nobody says it.

    Samples may repeat and need not ascend: a looped window goes on at the first one.
    """
    windows = {tuple(window) for source in SOURCES if (window := source(options)) is not None and len(window) == n}
    return windows.pop() if len(windows) == 1 else None


def _of_host(options: Mapping[str, Any]) -> Sequence[int] | None:
    """ComfyUI's context windows: only those over the batch, dim 0, hold other samples."""
    window = options.get("context_window")
    if window is None or getattr(window, "dim", None) != 0:
        return None
    samples = list(window.index_list)
    anchor = getattr(window, "causal_anchor_index", None)
    if anchor is not None and anchor >= 0:  # newer hosts put one sample before the window's own
        samples = [anchor, *samples]
    return samples


def _of_animatediff(options: Mapping[str, Any]) -> Sequence[int] | None:
    """AnimateDiff-Evolved and what follows its `ad_params`; without a window `sub_idxs` is None."""
    parameters = options.get("ad_params")
    return parameters.get("sub_idxs") if isinstance(parameters, Mapping) else None


SOURCES = (_of_host, _of_animatediff)
