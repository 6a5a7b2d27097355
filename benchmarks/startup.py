"""What the pack adds to the start of ComfyUI: seconds, CPU seconds and resident memory.

    COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> benchmarks/startup.py [--pairs 5] [--loads 7]

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

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import (
    RESULTS,
    ROOT,
    checkout,
    conditions,
    print_table,
    print_targets,
    spread,
    summary,
    target,
    with_tests_importable,
    write,
)

PACK = "zeroctl"  # the name of its folder below custom_nodes
MARK = "### the pack is loaded from here on"
IMPORTED = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|\s*(\S+)")  # own and cumulative microseconds, module


# ---- in the measured process


def measure_load(host: Path, base: Path) -> None:
    """Boot, load the pack, print what the loading took."""
    with_tests_importable()
    from host_process import boot

    booted = boot(host, base)
    import psutil

    process = psutil.Process()
    print(MARK, file=sys.stderr, flush=True)
    before = process.memory_info().rss
    cpu, wall = time.process_time(), time.perf_counter()
    nodes = booted.load_pack(ROOT)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = process.memory_info().rss - before
    print("RESULT", json.dumps({"seconds": wall, "cpu_seconds": cpu, "mb": grown / 1e6, "nodes": len(nodes)}))


# ---- in the process that starts them


def loaded(host: Path, options: tuple[str, ...] = ()) -> tuple[dict[str, float], str]:
    """One process that loads the pack: its figures, and what it wrote to stderr."""
    with tempfile.TemporaryDirectory() as base:
        done = subprocess.run(
            [sys.executable, *options, str(Path(__file__).resolve()), "--measure", base],
            capture_output=True,
            text=True,
            env={**os.environ, "COMFYUI_PATH": str(host)},
        )
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        raise RuntimeError(f"the host did not load the pack:\n{done.stderr[-4000:]}")
    return json.loads(results[-1].removeprefix("RESULT ")), done.stderr


def started(host: Path, with_pack: bool) -> dict[str, float]:
    """One whole start of the host, until all nodes are loaded.

    Raises: RuntimeError with the end of the log when it failed, or did not load the pack.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        with_tests_importable()
        from host_process import make_base

        make_base(base)
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
    found = {"seconds": wall, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss * unit / 1e6}
    return found if line is None else {**found, "line": float(line.group(1))}


def modules(stderr: str) -> list[dict[str, Any]]:
    """Modules that were imported while the pack was loaded, the slowest first, with the milliseconds of their own."""
    found = IMPORTED.findall(stderr.partition(MARK)[2])
    named = [
        (int(own) / 1000, name if name.startswith("zeroctl_core") else name.rpartition(str(ROOT))[2] or PACK)
        for own, _, name in found
    ]
    return [{"module": name.lstrip("."), "ms": own} for own, name in sorted(named, reverse=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="whole starts with and without the pack; 0: none")
    parser.add_argument("--loads", type=int, default=7, help="processes that load the pack into a booted host")
    parser.add_argument("--out", type=Path, default=RESULTS / "startup.json")
    parser.add_argument("--measure", type=Path, metavar="BASE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    host = checkout()
    if arguments.measure:
        measure_load(host, arguments.measure)
        return

    report: dict[str, Any] = {"benchmark": "startup", **conditions(host)}
    loaded(host)  # may write byte code
    loads = [loaded(host)[0] for _ in range(arguments.loads)]
    _, importtime = loaded(host, ("-X", "importtime"))
    report["load"] = {key: summary([load[key] for load in loads]) for key in ("seconds", "cpu_seconds", "mb")}
    report["load"]["nodes"] = loads[0]["nodes"]
    imported = modules(importtime)
    report["modules"] = {
        "number": len(imported),
        "ms": round(sum(row["ms"] for row in imported), 1),
        "slowest": imported[:15],
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
    if arguments.pairs:
        started(host, True)  # reads both from the disk, and writes byte code
        pairs = []
        for i in range(arguments.pairs):
            first = started(host, i % 2 == 0)  # whoever comes second finds warmer caches
            second = started(host, i % 2 == 1)
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
    if arguments.pairs:
        print(f"the host's own line: {spread(report['start']['host_line_seconds'], 1)} seconds")
    print(
        f"{len(imported)} modules in {report['modules']['ms']} ms; the slowest: "
        + ", ".join(f"{row['module']} {row['ms']:.1f}" for row in imported[:5])
    )
    print_targets(targets)
    write(arguments.out, report)


if __name__ == "__main__":
    main()
