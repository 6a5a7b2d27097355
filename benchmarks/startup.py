"""What the pack adds to the start of ComfyUI: seconds, CPU seconds and resident memory.

    COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> -m benchmarks.startup [--pairs 5] [--loads 7]

That Python needs tyro: `pip install tyro`.

Three measurements, all on the CPU, each process with a base directory of its own, so that no other pack is there:

* load: a process boots the host without custom nodes and then loads the pack with the host's own `load_custom_node`.
  The seconds, the CPU seconds and the growth of the resident set of this one call are what the pack adds, without the
  noise of a whole start. The targets are checked here: < 0.15 s and < 5 MB at the median of `--loads` processes. The
  first process is left out: it may write byte code. Reading a pack from a cold disk is not measured.
* start: `main.py --quick-test-for-ci`, which exits when all nodes are loaded, with and without the pack, in turns. The
  median of the paired differences; a start takes 8 CPU seconds and more, so their spread is large. Memory is the peak
  resident set. The host's own line in "Import times for custom nodes" stands beside it.
* modules: one more process under `-X importtime`: the modules that loading the pack imports, by the time of their own.

`python -X importtime` and the host's line count wall time. On a machine with other work trust CPU seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import (
    RESULTS,
    ROOT,
    checkout,
    conditions,
    print_table,
    print_targets,
    spread,
    summary,
    target,
    write,
)
from benchmarks.options import read_options

PACK = "zeroctl"  # the name of its folder below custom_nodes
MEASURE_LOAD = "import sys; from benchmarks.startup import measure_load; measure_load(*sys.argv[1:])"
MARK = "### the pack is loaded from here on"
IMPORT_LINE = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|\s*(\S+)")  # own and cumulative microseconds, module


# ---- in the measured process


def measure_load(host: str, base: str) -> None:
    """Boot, load the pack, print what the loading took."""
    from benchmarks.importing import from_tests

    booted = from_tests("host/host_process").boot(Path(host), Path(base))
    import psutil

    process = psutil.Process()
    print(MARK, file=sys.stderr, flush=True)
    before = process.memory_info().rss
    cpu, wall = time.process_time(), time.perf_counter()
    nodes = booted.load_pack(ROOT)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    growth = process.memory_info().rss - before
    print("RESULT", json.dumps({"seconds": wall, "cpu_seconds": cpu, "mb": growth / 1e6, "nodes": len(nodes)}))


# ---- in the process that starts them


def load_in_process(host: Path, options: tuple[str, ...] = ()) -> tuple[dict[str, float], str]:
    """One process that loads the pack: its figures, and what it wrote to stderr.

    Raises `RuntimeError` with the end of its log where it failed.
    """
    with tempfile.TemporaryDirectory() as base:
        process = subprocess.run(
            [sys.executable, *options, "-c", MEASURE_LOAD, str(host), base], cwd=ROOT, capture_output=True, text=True
        )
    results = [line for line in process.stdout.splitlines() if line.startswith("RESULT ")]
    if process.returncode or not results:
        raise RuntimeError(f"the host did not load the pack:\n{process.stderr[-4000:]}")
    return json.loads(results[-1].removeprefix("RESULT ")), process.stderr


def start(host: Path, with_pack: bool) -> dict[str, float]:
    """One whole start of the host, until all nodes are loaded.

    Raises `RuntimeError` with the end of the log when it failed, or did not load the pack.
    """
    from benchmarks.importing import from_tests

    with tempfile.TemporaryDirectory() as folder:
        base = from_tests("host/host_process").make_base(Path(folder))
        if with_pack:
            (base / "custom_nodes" / PACK).symlink_to(ROOT, target_is_directory=True)
        log_path = base / "log"
        with log_path.open("wb") as log:
            wall = time.perf_counter()
            process = subprocess.Popen(
                [
                    sys.executable,
                    "main.py",
                    "--cpu",
                    "--quick-test-for-ci",
                    "--base-directory",
                    str(base),
                    "--database-url",
                    "sqlite:///:memory:",
                    "--disable-api-nodes",
                ],
                cwd=host,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - wall
            process.returncode = os.waitstatus_to_exitcode(status)
        text = log_path.read_text(errors="replace")
    line = re.search(rf"([\d.]+) seconds( \(IMPORT FAILED\))?: .*{PACK}\s*$", text, re.MULTILINE)
    if process.returncode or (line is not None and line.group(2)) or with_pack != (line is not None):
        raise RuntimeError(f"the host did not start as it should (exit status {process.returncode}):\n{text[-4000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    figures = {"seconds": wall, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss * unit / 1e6}
    return figures if line is None else {**figures, "line": float(line.group(1))}


def modules(stderr: str) -> list[dict[str, Any]]:
    """Modules that were imported while the pack was loaded, the slowest first, with the milliseconds of their own."""
    times = [
        (int(own) / 1000, name if name.startswith("zeroctl_core") else name.rpartition(str(ROOT))[2] or PACK)
        for own, _, name in IMPORT_LINE.findall(stderr.partition(MARK)[2])
    ]
    return [{"module": name.lstrip("."), "ms": own} for own, name in sorted(times, reverse=True)]


@dataclass(frozen=True)
class Options:
    pairs: int = 5
    """whole starts with and without the pack; 0: none"""
    loads: int = 7
    """processes that load the pack into a booted host"""
    out: Path = RESULTS / "startup.json"


def main() -> None:
    options = read_options(Options, "startup", __doc__)
    host = checkout()

    report: dict[str, Any] = {"benchmark": "startup", **conditions(host)}
    load_in_process(host)  # may write byte code
    loads = [load_in_process(host)[0] for _ in range(options.loads)]
    _, importtime = load_in_process(host, ("-X", "importtime"))
    report["load"] = {key: summary([load[key] for load in loads]) for key in ("seconds", "cpu_seconds", "mb")}
    report["load"]["nodes"] = loads[0]["nodes"]
    slowest = modules(importtime)
    report["modules"] = {
        "number": len(slowest),
        "ms": round(sum(row["ms"] for row in slowest), 1),
        "slowest": slowest[:15],
    }
    targets = [
        target("seconds that loading the pack adds", report["load"]["seconds"]["median"], 0.15),
        target("MB that loading the pack adds", report["load"]["mb"]["median"], 5.0),
    ]

    rows = [
        [
            "load the pack",
            spread(report["load"]["seconds"]),
            spread(report["load"]["cpu_seconds"]),
            spread(report["load"]["mb"], 1),
        ]
    ]
    if options.pairs:
        start(host, True)  # reads both from the disk, and writes byte code
        pairs = []
        for i in range(options.pairs):
            first = start(host, i % 2 == 0)  # whoever comes second finds warmer caches
            second = start(host, i % 2 == 1)
            pairs.append((first, second) if i % 2 else (second, first))
        keys = ("seconds", "cpu_seconds", "peak_mb")
        report["start"] = {
            "without": {key: summary([without[key] for without, _ in pairs], 3) for key in keys},
            "with": {key: summary([with_[key] for _, with_ in pairs], 3) for key in keys},
            "difference": {key: summary([with_[key] - without[key] for without, with_ in pairs], 3) for key in keys},
            "host_line_seconds": summary([with_["line"] for _, with_ in pairs]),
        }
        for name in ("without", "with", "difference"):
            figures = report["start"][name]
            rows.append([f"whole start: {name}", *(spread(figures[key], 1 if key == "peak_mb" else 2) for key in keys)])
    report["targets"] = targets

    print(f"{report['versions']['host']} on {report['machine']['cpu']}; median (min..max)")
    print_table(["", "seconds", "CPU seconds", "MB"], rows)
    if options.pairs:
        print(f"the host's own line: {spread(report['start']['host_line_seconds'], 1)} seconds")
    print(
        f"{len(slowest)} modules in {report['modules']['ms']} ms; the slowest: "
        + ", ".join(f"{row['module']} {row['ms']:.1f}" for row in slowest[:5])
    )
    print_targets(targets)
    write(options.out, report)


if __name__ == "__main__":
    main()
