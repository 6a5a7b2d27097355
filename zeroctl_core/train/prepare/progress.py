"""How far a preparation is: a bar with rate and time left, or a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..display import duration
from .preparing import Report

LINE_EVERY = 10.0  # seconds, where nobody watches


@contextmanager
def shown_progress(unit: str = "row") -> Iterator[Report]:
    """A report for `prepare` and `check_samples`: a bar where a person watches the terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield _lines(unit)
        return
    from tqdm import tqdm

    with tqdm(unit=unit, dynamic_ncols=True) as bar:

        def report(n: int, all_rows: int) -> None:
            bar.total = all_rows
            bar.update(n - bar.n)

        yield report


def _lines(unit: str) -> Report:
    began = last = time.monotonic()

    def report(n: int, all_rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY or n == all_rows:
            rate, last = n / max(now - began, 1e-9), now
            left = duration((all_rows - n) / rate)
            print(f"{n} of {all_rows} {unit}s, {rate:.0f} a second, {left} left", flush=True)

    return report
