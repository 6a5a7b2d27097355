"""How soon a preview follows a slider, and what it costs a run that goes on meanwhile.

    COMFYUI_PATH=<ComfyUI> OMP_NUM_THREADS=1 <the Python of that ComfyUI> -m benchmarks.preview

That Python needs tyro: `pip install tyro`. Linux alone, whose /proc has the CPU time of each thread.

A server of its own with the pack, one page's worth of requests over one connection, Canny on the host's example picture
at 512, each request with another threshold:

* idle: seconds from request to picture, one after the other.
* slider: an event every 30 ms for two seconds, one request in flight, the newest wins, as web/js/live_preview.js does
  it. The time between pictures, and whether the last one is that of the last value.
* busy: as idle, while a prompt of the demo model samples.
* run: CPU seconds of the thread that samples, with a slider that moves throughout and without, in turns. torch must
  have one thread, or the work is spread.

The browser part, decoding and drawing, is in tests/web/test_live_preview.py. Wall times are those of the machine as
it is: its load stands in the record.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import tempfile
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.importing import from_tests
from benchmarks.machine import RESULTS, ROOT, checkout, conditions, print_targets, summary, target, write
from benchmarks.options import read_options

EVENT, EVENTS = 0.03, 67
"""Seconds between events of a slider, and how many are two seconds of them."""
PICTURE = "example.png"


class Page:
    """One connection to a server, as a page that asks for one preview at a time."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=120)

    def preview(self, low: int) -> tuple[float, str]:
        """Seconds until the picture was there, and its hash.

        Raises `RuntimeError` for an answer that is not a picture.
        """
        wish = {"node_id": "1", "annotator": "canny", "settings": json.dumps({"low": low}), "file": PICTURE}
        begin = time.perf_counter()
        self.connection.request("POST", "/zeroctl/preview", json.dumps(wish), {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - begin
        if response.headers.get_content_type() != "image/jpeg":
            raise RuntimeError(f"expected a JPEG, got {response.status} {body[:200]!r}")
        return seconds, hashlib.sha256(body).hexdigest()


def slide(page: Page) -> dict[str, Any]:
    """Two seconds of events: milliseconds between pictures, and whether the last is that of the last value."""
    begin = time.perf_counter()
    times, asked_for, name = [0.0], -1, ""
    while asked_for < EVENTS:
        event = min(EVENTS, int((time.perf_counter() - begin) / EVENT))
        if event == asked_for:
            time.sleep(EVENT / 10)
            continue
        _, name = page.preview(20 + event)
        asked_for = event
        times.append(time.perf_counter() - begin)
    gaps = [1000 * (b - a) for a, b in zip(times, times[1:], strict=False)]
    return {**summary(gaps, 1), "last_is_of_the_last_value": name == page.preview(20 + EVENTS)[1]}


def prompt(steps: int, seed: int) -> dict[str, Any]:
    """The first example, its picture not saved."""
    path = ROOT / "tests" / "workflows" / "ControlNet 1 - Start here (no download).json"
    nodes: dict[str, Any] = json.loads(path.read_text())
    sampler = next(node for node in nodes.values() if node["class_type"] == "KSampler")
    sampler["inputs"] |= {"steps": steps, "seed": seed}
    return nodes


def thread_seconds(process_id: int) -> dict[str, float]:
    """CPU seconds of each thread."""
    result = {}
    for folder in Path(f"/proc/{process_id}/task").iterdir():
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        result[folder.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return result


def seconds_by_thread(server: Any, nodes: dict[str, Any]) -> dict[str, float]:
    """CPU seconds of each thread during a prompt."""
    before = thread_seconds(server._process.pid)
    server.run(nodes)
    return {name: seconds - before.get(name, 0.0) for name, seconds in thread_seconds(server._process.pid).items()}


def while_it_runs(server: Any, nodes: dict[str, Any], page: Page) -> tuple[dict[str, float], list[float]]:
    """CPU seconds of each thread during a prompt, and the milliseconds of previews that were asked for meanwhile."""
    times: list[float] = []
    is_done = threading.Event()

    def ask() -> None:
        while not is_done.is_set():
            times.append(1000 * page.preview(20 + len(times) % 200)[0])
            time.sleep(EVENT)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        return seconds_by_thread(server, nodes), times
    finally:
        is_done.set()
        thread.join()


@dataclass(frozen=True)
class Options:
    n: int = 100
    """requests to an idle server"""
    pairs: int = 5
    """runs with and without previews"""
    steps: int = 40
    """of each run"""
    out: Path = RESULTS / "preview.json"


def main() -> None:
    options = read_options(Options, "preview", __doc__)
    host = checkout()
    report: dict[str, Any] = {"benchmark": "preview", **conditions(host)}
    with tempfile.TemporaryDirectory() as folder:
        from_tests("host/host_process")  # which the other imports by its name
        server = from_tests("host/host_server").HostServer(host, Path(folder), ROOT, "zeroctl")
        shutil.copy(host / "input" / PICTURE, Path(folder) / "input")
        with server:
            page = Page(server.url)
            page.preview(1)  # what is imported once
            server.run(prompt(2, 0))
            threads = seconds_by_thread(server, prompt(options.steps, 0))
            runs_prompts = max(threads, key=lambda name: threads[name])  # one thread of the host runs them all
            report["idle_ms"] = summary([1000 * page.preview(20 + n % 200)[0] for n in range(options.n)], 1)
            report["slider_gap_ms"] = slide(page)
            without, beside, busy = [], [], []
            for n in range(options.pairs):
                without.append(seconds_by_thread(server, prompt(options.steps, 2 * n + 1))[runs_prompts])
                seconds, times = while_it_runs(server, prompt(options.steps, 2 * n + 2), page)
                beside.append(seconds[runs_prompts])
                busy += times
    report["busy_ms"] = summary(busy, 1)
    report["run_cpu_seconds"] = {"without": summary(without, 3), "with": summary(beside, 3)}
    growth = 100 * (report["run_cpu_seconds"]["with"]["median"] / report["run_cpu_seconds"]["without"]["median"] - 1)
    report["load_average_at_end"] = round(os.getloadavg()[0], 2)
    report["targets"] = [
        target("slider, longest gap, ms", report["slider_gap_ms"]["max"], 150),
        target("idle, median, ms", report["idle_ms"]["median"], 60),
        target("while a prompt samples, median, ms", report["busy_ms"]["median"], 300),
        target("CPU of the run, more by %", growth, 3),
    ]
    write(options.out, report)
    print_targets(report["targets"])


if __name__ == "__main__":
    main()
