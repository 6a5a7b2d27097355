"""A batch in chunks: as many pictures at once as the free memory allows, with progress and interruption in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import comfy.model_management
import comfy.utils
import torch

__all__ = ["in_chunks"]

T = TypeVar("T")

LONGEST = 16  # pictures a chunk: progress and interruption come between chunks


def in_chunks(count: int, device: torch.device, run: Callable[[slice], T]) -> list[T]:
    """What a function returns for each chunk of a batch, in order.

    The first picture goes alone and shows how much memory one takes. A chunk that does not fit is halved; a single
    picture that does not fit raises what the device raises.
    """
    bar = comfy.utils.ProgressBar(count)
    results: list[T] = []

    def step(start: int, end: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        results.append(run(slice(start, end)))
        bar.update_absolute(end, count)

    size, start = _fitting(lambda: step(0, 1), device), 1
    while start < count:
        end = min(start + size, count)
        try:
            step(start, end)
        except comfy.model_management.OOM_EXCEPTION:
            if device.type == "cpu" or size == 1:
                raise
            comfy.model_management.soft_empty_cache()
            size //= 2
            continue
        start = end
    return results


def _fitting(first: Callable[[], None], device: torch.device) -> int:
    """Run the first picture; how many of the others may go together: half of the free memory by what the first needed.

    On a CPU one: a chunk of four takes four times as long there as one picture, and four times the memory.
    """
    if device.type != "cuda":
        first()
        return 1
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    first()
    memory = max(torch.cuda.max_memory_allocated(device) - before, 1)
    return min(max(1, int(comfy.model_management.get_free_memory(device) / 2 / memory)), LONGEST)
