"""Times the parts of a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

STEP = "sampling step"
"""What the profiler calls a step."""


@dataclass
class Step:
    """Seconds of one step by part; `wall` beside the parts' own clock."""

    parts: dict[str, float] = field(default_factory=dict)
    wall: float = 0.0


class Clock:
    """Times parts of a step: CPU seconds of all threads, or wall seconds with the GPU's work done.

    While `silent` it marks the steps for the profiler and neither times them nor waits for the GPU.
    """

    def __init__(self, cuda: bool) -> None:
        self._cuda = cuda
        self._running: set[str] = set()
        self.steps: list[Step] = []
        self.silent = False

    def now(self) -> float:
        if not self._cuda:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def step(self) -> Iterator[None]:
        if self.silent:
            with torch.profiler.record_function(STEP):
                yield
            return
        self.steps.append(Step())
        wall = time.perf_counter()
        with self.part("step"):
            yield
        self.steps[-1].wall = time.perf_counter() - wall

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add to a part of the current step; a part inside itself (a chain of nets) counts once."""
        # on a GPU nothing inside a step waits for it, or the parts could not overlap
        if self.silent or name in self._running or (self._cuda and name != "step"):
            yield
            return
        self._running.add(name)
        start = self.now()
        try:
            yield
        finally:
            self._running.discard(name)
            parts = self.steps[-1].parts
            parts[name] = parts.get(name, 0.0) + self.now() - start

    def watch(self, owner: Any, function: str, part: str) -> None:
        """Time every call of a method or function from now on."""
        original = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.step() if part == "step" else self.part(part):
                return original(*args, **kwargs)

        setattr(owner, function, timed)
