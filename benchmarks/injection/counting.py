"""What a step asks of the device: kernels launched, copies, moments at which the CPU waits, and memory."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.injection.clock import STEP
from benchmarks.injection.rows import Bench, Row

KINDS = {
    "operators": ("aten::",),
    "launches": ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchCooperativeKernel", "cudaGraphLaunch"),
    "copies": ("cudaMemcpy",),
    "synchronisations": ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize"),
    "read-backs": ("aten::_local_scalar_dense",),
}
"""By kind, how the profiler's names of what is counted begin."""


def count(bench: Bench, row: Row, device: torch.device) -> dict[str, Any]:
    """One run of a row: numbers a step from the second step on, and the card's memory above what was held before.

    Operators count with those that they call. Read-backs are values that Python asked for, such as `float(tensor)`.
    """
    cuda = device.type == "cuda"
    gc.collect()
    before = 0
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    bench.clock.silent = True
    try:
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
            result = row.run()
            if cuda:
                torch.cuda.synchronize()
    finally:
        bench.clock.silent = False
    figures: dict[str, Any] = {f"{kind} a step": number for kind, number in _numbers(profiler, cuda).items()}
    if cuda:
        peak = torch.cuda.max_memory_allocated()
        del result
        gc.collect()
        figures["peak_mb"] = round((peak - before) / 1e6, 1)
        figures["held_after_mb"] = round((torch.cuda.memory_allocated() - before) / 1e6, 1)
    return figures


def _numbers(profiler: profile, cuda: bool) -> dict[str, float]:
    """By kind, the mean number a step; the first step is left out where there are several."""
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    # not profiler.events(), which builds a tree of them: 50 times as slow
    on_the_cpu = torch.autograd.DeviceType.CPU
    events = [event for event in profiler.profiler.kineto_results.events() if event.device_type() == on_the_cpu]
    steps = sorted((e.start_ns(), e.start_ns() + e.duration_ns()) for e in events if e.name() == STEP)
    steps = steps[1:] or steps
    numbers: Counter[str] = Counter()
    for event in events:
        if any(start <= event.start_ns() <= end for start, end in steps):
            numbers.update(kind for kind, names in KINDS.items() if event.name().startswith(names))
    kinds = KINDS if cuda else ("operators", "read-backs")
    return {kind: round(numbers[kind] / max(1, len(steps)), 1) for kind in kinds}
