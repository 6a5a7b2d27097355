"""Warm load of a 1.45 GB SD 1.5 ControlNet in fp32: time and peak memory, ours beside diffusers and the host's loader.

    python -m benchmarks.loading [--n 7] [--out benchmarks/results/loading.json]

The file holds random weights, is written once into a temporary folder (`--folder` to choose; 1.45 GB) and read once, so
that it lies in the page cache. Every measurement is a process of its own, and the loaders take turns, so that a slow
minute of the machine meets all of them. Each process first loads a small control, so imports are not counted, and uses
free memory of three times the file and lets it go: a virtual machine has given its free pages back, and makes them anew
at many times what a page costs.

Time is wall time of the one call. Memory is the peak of the resident set during the call minus the resident set before
it; pages of a mapped file count once they are touched. Without the scan the weights of a mapped file are read at their
first use, which is then slower by about what the scan costs; a loader that copies has read them all, and the host's
does so, on the CPU, in its default mode.

The host's loader runs in each ComfyUI that tests/host/run.py finds, with that ComfyUI's own Python, on the CPU.
The nodes read and scan; a mapped file is the option of the core.
Targets: mapped without the scan <= 0.3 s; read and scanned <= 0.6 of the host's time, and <= 1.05 times the file in
peak memory.
"""

from __future__ import annotations

import importlib.util
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import RESULTS, ROOT, conditions, print_table, write
from benchmarks.options import read_options

LOADERS = ("zeroctl, mapped, no scan", "zeroctl, mapped, scan", "zeroctl, read, scan", "diffusers")


MEASURE = "import sys; from benchmarks.loading import measure; measure(*sys.argv[1:])"


# ---- in the measured process


def loader(name: str) -> Callable[[str], object]:
    """The call that is measured, its imports done. A host's is on PYTHONPATH."""
    if name not in LOADERS:
        import comfy.options

        comfy.options.enable_args_parsing()
        sys.argv = ["main.py", "--cpu"]  # read once, at the next import
        import comfy.controlnet

        return comfy.controlnet.load_controlnet
    if name == "diffusers":
        sys.modules.setdefault("torchaudio", None)  # type: ignore[arg-type]  # one built for another torch fails
        from diffusers import ControlNetModel

        def load(path: str) -> object:
            return ControlNetModel.from_single_file(path, config=str(Path(path).parent))

        return load
    from zeroctl_core import load_controlnet

    return lambda path: load_controlnet(path, mapped="mapped" in name, check_finite="no scan" not in name)


def status(field: str) -> int:
    """A size from /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def touch_memory(size: int) -> None:
    """Use free memory and let it go, so that the system has it at hand."""
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
        pages.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, size, mmap.PAGESIZE):
            pages[at] = 1


def measure(name: str, small: str, large: str) -> None:
    load = loader(name)
    load(small)
    touch_memory(3 * Path(large).stat().st_size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = status("VmRSS")
    start = time.perf_counter()
    net = load(large)
    seconds = time.perf_counter() - start
    peak = status("VmHWM")
    assert net is not None
    import torch

    print("RESULT", json.dumps({"seconds": seconds, "bytes": peak - before, "torch": torch.__version__}))


# ---- in the process that runs them


def write_files(folder: Path) -> tuple[Path, Path]:
    """A control to warm up with and the one to measure; diffusers finds its config beside both."""
    import torch

    from benchmarks.importing import from_tests

    save_controlnet_file = from_tests("random_weights").save_controlnet_file
    small, large = folder / "small" / "control.safetensors", folder / "large" / "control.safetensors"
    config = {"_class_name": "ControlNetModel", "cross_attention_dim": 768, "attention_head_dim": 8}
    down = "CrossAttnDownBlock2D"
    thin = {"block_out_channels": [320] * 2, "layers_per_block": 1, "down_block_types": [down, "DownBlock2D"]}
    full = {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "down_block_types": [*[down] * 3, "DownBlock2D"],
    }
    save_controlnet_file(small, "thin", dtype=torch.float32)
    save_controlnet_file(large, "sd15", dtype=torch.float32)
    (small.parent / "config.json").write_text(json.dumps(config | thin))
    (large.parent / "config.json").write_text(json.dumps(config | full))
    with large.open("rb") as file:
        while file.read(1 << 24):
            pass
    return small, large


def run_once(python: Path, name: str, host: Path | None, small: Path, large: Path) -> dict[str, float | str]:
    """One measurement in a process of its own. Raises `RuntimeError` with the end of its log where it failed."""
    command = [str(python), "-c", MEASURE, name, str(small), str(large)]
    environment = {**os.environ, **({"PYTHONPATH": str(host)} if host else {})}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    results = [line for line in process.stdout.splitlines() if line.startswith("RESULT ")]
    if process.returncode or not results:
        raise RuntimeError(f"{name} in {python} failed:\n{process.stderr[-2000:]}")
    result: dict[str, float | str] = json.loads(results[-1].removeprefix("RESULT "))
    return result


def summed_up(name: str, results: list[dict[str, float | str]], size: int) -> dict[str, float | str]:
    """The row of one loader; `size` of the file in bytes."""
    seconds = sorted(float(result["seconds"]) for result in results)
    times = sorted(float(result["bytes"]) / size for result in results)
    return {
        "loader": name,
        "seconds_median": round(statistics.median(seconds), 3),
        "seconds_min": round(seconds[0], 3),
        "seconds_max": round(seconds[-1], 3),
        "peak_over_file_median": round(statistics.median(times), 3),
        "peak_over_file_max": round(times[-1], 3),
        "torch": results[0]["torch"],
    }


@dataclass(frozen=True)
class Options:
    n: int = 7
    """measurements of each loader"""
    out: Path = RESULTS / "loading.json"
    folder: Path | None = None
    """where the 1.5 GB of files are written for the time of the run"""


def main() -> None:
    options = read_options(Options, "loading", __doc__)
    from benchmarks.importing import single_file

    hosts = single_file(ROOT / "tests" / "host" / "run.py", "host_runner")
    runs: list[tuple[str, Path, Path | None]] = [(name, Path(sys.executable), None) for name in LOADERS]
    if importlib.util.find_spec("diffusers") is None:
        print("diffusers is not installed: left out")
        runs = [run for run in runs if run[0] != "diffusers"]
    for host in hosts.find_hosts():
        runs.append((f"ComfyUI {hosts.version_of(host)}", hosts.python_of(host), host))

    report: dict[str, object] = {"benchmark": "loading", **conditions(), "n": options.n}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        small, large = write_files(Path(folder))
        size = large.stat().st_size
        results: dict[str, list[dict[str, float | str]]] = {name: [] for name, _, _ in runs}
        for _ in range(options.n):
            for name, python, host in runs:
                results[name].append(run_once(python, name, host, small, large))
    rows = [summed_up(name, figures, size) for name, figures in results.items()]
    report |= {"file": {"bytes": size, "dtype": "float32", "layout": "ldm", "page_cache": "warm"}, "rows": rows}
    print_table(
        ("loader", "seconds (median, min..max)", "peak / file"),
        [
            [
                str(row["loader"]),
                f"{row['seconds_median']:.3f}  ({row['seconds_min']:.3f} .. {row['seconds_max']:.3f})",
                f"{row['peak_over_file_median']:.2f}",
            ]
            for row in rows
        ],
    )
    write(options.out, report)


if __name__ == "__main__":
    main()
