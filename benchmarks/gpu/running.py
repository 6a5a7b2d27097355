"""One part after the other within a number of seconds; one that fails does not lose the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import IN_THE_HOST, PARTS
from benchmarks.gpu.sizes import Sizes
from benchmarks.machine import ROOT

Report = dict[str, Any]
RUN_PART = "import sys; from benchmarks.gpu.running import print_part; print_part(*sys.argv[1:])"
MARK = "RESULT "
LINES_OF_AN_ERROR = 12


def run_parts(
    names: Iterable[str],
    sizes: Sizes,
    host: Path | None,
    *,
    seconds: float,
    isolated: bool,
    after_each: Callable[[dict[str, Report]], None],
) -> dict[str, Report]:
    """The report of every part by its name; `after_each` gets all reports so far.

    `isolated` runs each in a process of its own, which is ended when the time is up and whose crash is its own.
    """
    end = time.monotonic() + seconds
    reports: dict[str, Report] = {}
    for name in names:
        left = end - time.monotonic()
        if name in IN_THE_HOST and host is None:
            reports[name] = {"status": "left out", "reason": "the folder holds no host"}
        elif not sizes.is_cut and left < PARTS[name].seconds:
            reports[name] = {
                "status": "left out",
                "reason": f"takes about {PARTS[name].seconds} s, and {max(0, left):.0f} s were left",
            }
        else:
            began = time.monotonic()
            run = run_in_process if isolated else run_here
            reports[name] = run(name, sizes, host, left)
            reports[name]["seconds"] = round(time.monotonic() - began, 1)
        print(f"{name}: {reports[name]['status']} {reports[name].get('reason', '')}".rstrip(), flush=True)
        after_each(reports)
    return reports


def run_here(name: str, sizes: Sizes, host: Path | None, seconds: float) -> Report:
    """A part in this process, without a limit of time."""
    try:
        return {"status": "done", "result": PARTS[name].run(sizes, host)}
    except Exception:  # whatever it is, the other parts are still worth their time
        return {"status": "failed", "reason": _last_lines(traceback.format_exc())}


def run_in_process(name: str, sizes: Sizes, host: Path | None, seconds: float) -> Report:
    """A part in a process of its own, ended after so many seconds."""
    command = [sys.executable, "-c", RUN_PART, name, json.dumps(sizes.to_json()), str(host or "")]
    try:
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"status": "out of time", "reason": f"ended after {seconds:.0f} s"}
    results = [line for line in process.stdout.splitlines() if line.startswith(MARK)]
    if process.returncode or not results:
        return {"status": "failed", "reason": _last_lines(process.stderr) or f"exit status {process.returncode}"}
    return {"status": "done", "result": json.loads(results[-1].removeprefix(MARK))}


def print_part(name: str, sizes: str, host: str) -> None:
    """In the process of a part: run it and print its result."""
    result = PARTS[name].run(Sizes(**json.loads(sizes)), Path(host) if host else None)
    print(MARK + json.dumps(result))


def _last_lines(text: str) -> str:
    return "\n".join(line[:400] for line in text.strip().splitlines()[-LINES_OF_AN_ERROR:])
