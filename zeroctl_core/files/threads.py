"""Work on memory that a few threads share, each of which takes the next piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

MOST_THREADS = 4
"""More of them wait for the memory."""

Piece = TypeVar("Piece")


def for_each(work: Callable[[Piece], None], pieces: Sequence[Piece], most: int = MOST_THREADS) -> None:
    """Call `work` once with each piece, in order, from as many threads as torch may use. Raises what `work` raises."""
    rest = iter(pieces)

    def run() -> None:
        for piece in rest:
            work(piece)

    threads = min(most, torch.get_num_threads(), len(pieces))
    if threads < 2:
        run()
        return
    with ThreadPoolExecutor(threads) as pool:
        for thread in [pool.submit(run) for _ in range(threads)]:
            thread.result()
