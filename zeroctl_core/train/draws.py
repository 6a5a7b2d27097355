"""Random numbers that depend on the seed and the step alone, so that a resumed run draws what it would have drawn."""

from __future__ import annotations

import functools

import numpy as np
import torch

STREAMS = ("order", "timestep", "noise", "dropout", "start", "augment", "latent")
"""What numbers are drawn for; each has a stream of its own, so that more draws of one do not shift another."""


def generator(seed: int, stream: str, step: int) -> torch.Generator:
    """A generator for one use at one step.

    Raises `ValueError` for a stream that is not known.
    """
    if stream not in STREAMS:
        raise ValueError(f"there is no stream {stream!r} of random numbers; known are: {', '.join(STREAMS)}")
    words = np.random.SeedSequence((seed, STREAMS.index(stream), step)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)


def batch_indices(seed: int, step: int, batch_size: int, n_samples: int) -> list[int]:
    """The samples of step 0, 1, 2...: every epoch is a new permutation, and a batch may run into the next one.

    A function of its arguments alone: it needs no state to resume, and no more memory than two permutations.
    """
    first = step * batch_size
    return [
        int(_permutation(seed, position // n_samples, n_samples)[position % n_samples])
        for position in range(first, first + batch_size)
    ]


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n_samples: int) -> torch.Tensor:
    return torch.randperm(n_samples, generator=generator(seed, "order", epoch))
