"""The parts of the run, the most valuable first. Each makes its own weights, so that none needs another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.sizes import Sizes

# What a part needs is imported when it runs: a process that cannot run it says so in the report.


SECONDS_OF_ROUNDS = 40
"""Of an injection, beside making its weights and running every row twice."""


@dataclass(frozen=True)
class Part:
    """`seconds` is what the part is expected to take on a card; it is not begun when less is left."""

    run: Callable[[Sizes, Path | None], dict[str, Any]]
    seconds: int


def _equalities(preset: str, dtype: str) -> Callable[[Sizes, Path | None], dict[str, Any]]:
    def run(sizes: Sizes, host: Path | None) -> dict[str, Any]:
        import torch

        from benchmarks.gpu.equalities import equalities

        narrow = {"sd15": "narrow", "sdxl": "narrowxl"}
        return equalities(sizes, narrow[preset] if sizes.is_cut else preset, getattr(torch, dtype))

    return run


def _injection(batch: int, *, in_host: bool) -> Callable[[Sizes, Path | None], dict[str, Any]]:
    def run(sizes: Sizes, host: Path | None) -> dict[str, Any]:
        from benchmarks.injection.run import Options
        from benchmarks.injection.run import run as measure

        options = Options(
            pairs=sizes.rounds,
            size=sizes.pixels,
            batch=batch,
            steps=sizes.steps,
            preset=sizes.preset,  # type: ignore[arg-type]
            only="host,ours,diffusers" if in_host else "ours,diffusers",
            seconds=SECONDS_OF_ROUNDS,
            count=batch == 1 or not sizes.is_cut,
        )
        return measure(options, host if in_host else None, sizes.torch_device)

    return run


def _training(sizes: Sizes, host: Path | None) -> dict[str, Any]:
    from benchmarks.gpu.training import training

    return training(sizes)


IN_THE_HOST = {f"injection in the host, batch {batch}": Part(_injection(batch, in_host=True), 80) for batch in (1, 4)}
"""Run where the folder holds a host, and said to be missing where it does not."""

PARTS = {
    "equalities, float16": Part(_equalities("sd15", "float16"), 30),
    "injection in the host, batch 1": IN_THE_HOST["injection in the host, batch 1"],
    "injection, batch 1": Part(_injection(1, in_host=False), 40),
    "training step": Part(_training, 60),
    "equalities, bfloat16": Part(_equalities("sd15", "bfloat16"), 30),
    "injection in the host, batch 4": IN_THE_HOST["injection in the host, batch 4"],
    "injection, batch 4": Part(_injection(4, in_host=False), 50),
    "equalities of SDXL, float16": Part(_equalities("sdxl", "float16"), 60),
}
