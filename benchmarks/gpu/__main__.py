"""All figures that need a GPU, in one run of under eight minutes on one card, without network and without downloads.

    python -m benchmarks.gpu [--folder F] [--seconds 450]

Random weights are made here. What is measured, the most valuable first (`benchmarks/gpu/parts.py`):
  equalities      what the core promises, in float16 and bfloat16: residuals against float32 and a batch against its
                  items to rounding, an untrained control and two half controls to the bit
  injection       what a control costs a step at float16, 512 pixels: batch 1 and 4, 1 and 3 nets, cond only and both;
                  in the host where there is one, and without a host beside diffusers. The profiler counts launches,
                  copies, synchronisations and values read back a step; memory is what a row adds to the weights
  training step   time and memory at the size of Stable Diffusion 1.5, beside finetuning the base

It needs torch with CUDA. What a card has no memory for is reported as failed, the rest is measured. Where tyro,
diffusers or the host are missing, prepare a folder on a machine with a network:

    <the Python of a ComfyUI> -m benchmarks.gpu.prepare --folder F --host <ComfyUI>

and take it along: `--folder F` unpacks the wheels of what is not installed (with pip, into a temporary folder) and
the host from F/host.zip. Without a folder the figures in the host are left out.

Every part is a process of its own with a time limit, and the report is written after each, so that nothing that was
measured is lost. `--dry-run` goes the same way on the CPU with cut widths: its numbers mean nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.folder import folder_named, has_host, missing, start_again_with_wheels, unpacked_host
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.running import Report, run_parts
from benchmarks.gpu.sizes import DRY, DRY_IN_A_HOST, ON_A_CARD
from benchmarks.gpu.summary import broken, summary
from benchmarks.machine import RESULTS, conditions, write
from benchmarks.options import read_options


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: Path | None = None
    """what the machine lacks, as `python -m benchmarks.gpu.prepare` collects it"""
    seconds: float = 450
    """parts that do not fit into these are left out, and the report says so"""
    only: tuple[str, ...] = ()
    """some parts, by how their names begin, such as `training`"""
    dry_run: bool = False
    """on the CPU with cut widths"""
    out: Path | None = None
    """the report; results/gpu.json, or gpu-dry-run.json here for a dry run"""

    @property
    def parts(self) -> list[str]:
        """Raises `SystemExit` for a name that no part begins with."""
        if unknown := [name for name in self.only if not any(part.startswith(name) for part in PARTS)]:
            sys.exit(f"--only has {', '.join(unknown)}, expected the beginnings of {'; '.join(PARTS)}")
        return [part for part in PARTS if not self.only or part.startswith(self.only)]


def run(options: Options, *, isolated: bool = True) -> dict[str, Any]:
    """Run all parts and write the report after each; the whole report."""
    sizes = ON_A_CARD
    if options.dry_run:
        sizes = DRY_IN_A_HOST if has_host(options.folder) else DRY
    out = options.out or (Path("gpu-dry-run.json") if options.dry_run else RESULTS / "gpu.json")
    names, lines = options.parts, missing(options.folder)
    for line in lines:
        print(f"missing: {line}", flush=True)
    report: dict[str, Any] = {}

    def save(parts: dict[str, Report]) -> None:
        report["parts"] = parts
        write(out, report)

    with unpacked_host(options.folder) as host:
        report |= {
            "benchmark": "gpu",
            **conditions(host),
            "dry_run": options.dry_run,
            "sizes": sizes.to_json(),
            "seconds": options.seconds,
            "missing": lines,
        }
        run_parts(names, sizes, host, seconds=options.seconds, isolated=isolated, after_each=save)
    return report


def main() -> None:
    if (folder := folder_named(sys.argv)) is not None:
        start_again_with_wheels(folder)
    options = read_options(Options, "gpu", __doc__)
    if options.folder is not None and not options.folder.is_dir():
        sys.exit(f"--folder is {options.folder}, which is not a folder")
    import torch

    if not options.dry_run and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device. Run this on a machine with a card, or try it with --dry-run")
    report = run(options)
    print("\n".join(summary(report)))
    sys.exit(1 if broken(report) else 0)


if __name__ == "__main__":
    main()
