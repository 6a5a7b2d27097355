"""How many training pairs a second come from a folder of pictures, at each stage: looked at, encoded, read by a run.

    python -m benchmarks.data_path --pictures FOLDER [--number 3391] [--sheet sheet.png]

Conditions are Canny's edges, the encoders are those of the embedded model at 192x192 pixels. Stages:

* look: every picture is read, decoded and judged before anything is encoded;
* look again: nothing has changed;
* encode: latents, conditions and captions into shards;
* encode again: nothing has changed, every shard is compared with its digest;
* batches: 16 samples at a time in the order of a run, from shards that are not in memory yet.

Seconds of the processor stand beside those of the clock: on a machine with other work trust them. The record was made
from the 3,391 pictures of the package @lobehub/fluent-emoji-3d (MIT, 256x256 pixels, transparent), which is not part of
this repository: `npm pack @lobehub/fluent-emoji-3d`, then its folder `assets`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, conditions, print_table, write
from benchmarks.options import read_options

BATCH = 16
HELD_OUT = 32


@dataclass(frozen=True, kw_only=True)
class Options:
    pictures: Path
    """Folder of pictures."""

    number: int | None = None
    """How many of them, the first by name. None: all."""

    sheet: Path | None = None
    """PNG for the contact sheet, for whoever looks."""

    threads: int = 1
    """CPU threads of torch."""

    out: Path = RESULTS / "data_path.json"
    """File for the record."""


def timed(stage: str, n: int, act: Callable[[], Any], rows: list[dict[str, Any]]) -> Any:
    """Do it, and add a row of the record."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = act()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rows.append(
        {
            "stage": stage,
            "pairs": n,
            "pairs_per_second": round(n / wall, 1),
            "pairs_per_cpu_second": round(n / cpu, 1),
        }
    )
    print(rows[-1], flush=True)
    return result


def measure(options: Options, folder: Path) -> dict[str, Any]:
    import torch

    from zeroctl_core.demo.source import World
    from zeroctl_core.train.draws import batch_indices
    from zeroctl_core.train.prepare.cache import CachedData
    from zeroctl_core.train.prepare.checking import check_samples
    from zeroctl_core.train.prepare.contact_sheet import tiles_of, write_contact_sheet
    from zeroctl_core.train.prepare.fault import lines_of
    from zeroctl_core.train.prepare.pairs import find_samples
    from zeroctl_core.train.prepare.preparing import Drawing, prepare

    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    facts = conditions()
    from zeroctl_core.demo.scene import SIZE

    base, drawing = World(), Drawing(size=(SIZE, SIZE), annotator="canny")
    _ = base.encoders  # reads the weights
    names = find_samples(options.pictures)
    samples = list(names.samples)[: options.number]
    usable, faults = timed("look", len(samples), lambda: check_samples(samples, drawing, folder=folder), rows)
    print("\n".join(lines_of(faults, 5)))
    timed("look again", len(samples), lambda: check_samples(samples, drawing, folder=folder), rows)
    if options.sheet is not None:
        write_contact_sheet(options.sheet, tiles_of(names, faults)[0], drawing)
    index = timed("encode", len(usable), lambda: prepare(usable, drawing, base, folder, held_out=HELD_OUT), rows)
    timed("encode again", len(usable), lambda: prepare(usable, drawing, base, folder, held_out=HELD_OUT), rows)
    data = CachedData(folder, index)
    steps = len(data) // BATCH
    batches = [batch_indices(0, step, BATCH, len(data)) for step in range(steps)]
    timed("batches", steps * BATCH, lambda: [data.batch(batch) for batch in batches], rows)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return {
        "benchmark": "data_path",
        **facts,
        "pictures": len(samples),
        "faults": {kind: sum(fault.kind == kind for fault in faults) for kind in {fault.kind for fault in faults}},
        "bytes_per_pair": round(size / len(usable)),
        "stages": rows,
    }


def main() -> int:
    options = read_options(Options, "data_path", __doc__)
    with tempfile.TemporaryDirectory() as folder:
        report = measure(options, Path(folder))
    header = ("stage", "pairs/s", "pairs/CPU s")
    print_table(
        header,
        [(row["stage"], str(row["pairs_per_second"]), str(row["pairs_per_cpu_second"])) for row in report["stages"]],
    )
    write(options.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
