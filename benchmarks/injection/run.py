"""One measurement, by its options."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.injection.counting import count
from benchmarks.injection.figures import peak_memory, summed_up, targets_of, unequal
from benchmarks.injection.peers.core import CoreBench
from benchmarks.injection.peers.host import HostBench, boot
from benchmarks.injection.rows import Bench, measure
from benchmarks.machine import ROOT
from benchmarks.random_networks import spec_of

FAMILIES = ("host", "ours", "diffusers", "acn")
IN_A_HOST = ("host", "acn")


@dataclass(frozen=True, kw_only=True)
class Options:
    pairs: int = 10
    """measured rounds; each holds every row once"""
    size: int = 256
    """side of the picture in pixels"""
    batch: int = 1
    """latents of a run"""
    nets: str = "1,3"
    """numbers of nets, such as 1 or 1,3"""
    only: str = ""
    """of host, ours, diffusers, acn, separated by commas"""
    preset: Literal["sd15", "thin", "narrow"] = "sd15"
    """thin: few layers, to try the script; narrow: few channels too, which no host takes for a Stable Diffusion"""
    device: Literal["cpu", "cuda"] | None = None
    """the GPU where there is one"""
    steps: int | None = None
    """steps of a round: 1 on the CPU, 12 on a GPU"""
    threads: int | None = None
    """threads of torch on the CPU"""
    count: bool = False
    """run every row once under the profiler, as is always done on a GPU"""
    seconds: float = float("inf")
    """no further round is begun that would not end within these"""
    out: Path | None = None
    """the JSON file; results/injection-<device>.json for full-size weights"""

    @property
    def numbers(self) -> list[int]:
        """Raises `SystemExit` for numbers that are not 1 to 3."""
        if not set(self.nets.split(",")) <= {"1", "2", "3"}:
            sys.exit(f"--nets is {self.nets!r}, expected numbers from 1 to 3")
        return sorted({int(n) for n in self.nets.split(",")})

    @property
    def families(self) -> list[str]:
        """Raises `SystemExit` for a name that is not one of them."""
        families = [name.strip() for name in self.only.split(",") if name.strip()] or list(FAMILIES)
        if unknown := [name for name in families if name not in FAMILIES]:
            sys.exit(f"--only has {', '.join(unknown)}, expected {', '.join(FAMILIES)}")
        return [name for name in FAMILIES if name in families]


def available(families: list[str], host: Path | None) -> list[str]:
    """The families that can be measured here; what is left out is printed."""
    reasons: dict[str, str] = {}
    if host is None:
        reasons |= dict.fromkeys(IN_A_HOST, "COMFYUI_PATH does not name a host")
    elif not os.environ.get("ZEROCTL_ACN"):
        reasons["acn"] = "ZEROCTL_ACN does not name its folder"
    if importlib.util.find_spec("diffusers") is None:
        reasons["diffusers"] = "it is not installed"
    for name in families:
        if name in reasons:
            print(f"{name}: left out, {reasons[name]}")
    return [name for name in families if name not in reasons]


@contextmanager
def ready(options: Options, families: list[str], host: Path | None, device: torch.device) -> Iterator[Bench]:
    """The networks on their device, in the host where there is one."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    sizes = {"size": options.size, "batch": options.batch, "steps": options.steps or (12 if is_gpu(device) else 1)}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base, torch.inference_mode():
        if host is None:
            yield CoreBench(spec_of(options.preset), **sizes, dtype=dtype, device=device)
            return
        # any folder will do as a front end: the package of the real one need not be installed
        host_options = [
            "--use-pytorch-cross-attention",
            "--front-end-root",
            base,
            *([] if is_gpu(device) else ["--cpu"]),
        ]
        os.environ["ZEROCTL_HOST_OPTIONS"] = shlex.join(host_options)
        packs = [ROOT]
        if "acn" in families:
            packs.append(Path(os.environ["ZEROCTL_ACN"]).expanduser().resolve())
        yield HostBench(boot(host, Path(base), packs), spec_of(options.preset), **sizes, dtype=dtype)


def is_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


def run(options: Options, host: Path | None, device: torch.device) -> dict[str, Any]:
    """The whole measurement; the report without machine and versions."""
    families, cuda = available(options.families, host), is_gpu(device)
    counts: dict[str, dict[str, Any]] = {}
    with ready(options, families, host, device) as bench:
        rows = bench.rows(families, options.numbers)
        differences = bench.compare(rows)
        figures = measure(bench, rows, options.pairs, seconds=options.seconds, cuda=cuda)
        if cuda or options.count:
            counts = {row.name: count(bench, row, device) for row in rows}
    table = [line | counts.get(line["row"], {}) for line in summed_up(figures, rows, differences)]
    dtype = "float16" if cuda else "float32"
    return {
        "device": device.type,
        "dtype": dtype,
        "preset": options.preset,
        "latent": [options.batch, 4, options.size // 8, options.size // 8],
        "cfg": 7.0,
        "sampler": "euler" if host else "none: the same latent at every step",
        "steps_a_round": options.steps or (12 if cuda else 1),
        "rounds": len(figures["base"]),
        "unit": "wall seconds" if cuda else "CPU seconds; wall: wall seconds",
        "rows": table,
        "targets": targets_of(figures, cuda) if options.preset == "sd15" else [],
        "not_the_same": unequal(differences, dtype),
        "peak_memory_gb": round(peak_memory() / 1e9, 2),
    }
