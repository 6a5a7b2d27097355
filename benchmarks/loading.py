"""Warm load of a 1.45 GB SD 1.5 ControlNet in fp32: time and peak memory, ours beside diffusers and the host's loader.

    python benchmarks/loading.py [--n 7] [--out benchmarks/results/loading.json]

The file holds random weights, is written once into a temporary folder (`--folder` to choose; 1.45 GB) and read once, so
that it lies in the page cache. Every measurement is a process of its own, and the loaders take turns, so that a slow
minute of the machine meets all of them. Each process first loads a small control, so imports are not counted. Time is
wall time of the one call. Memory is the peak of the resident set during the call minus the resident set before it;
pages of a mapped file count once they are touched. Without the scan the weights of a mapped file are read at their
first use, which is then slower by about what the scan costs; a loader that copies has read them all.

The host's loader runs in each ComfyUI that tests/host/run.py finds, with that ComfyUI's own Python, on the CPU.
Targets: ours without the scan <= 0.3 s, and with it <= 1.1 times the file in peak memory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
LOADERS = ("zeroctl, no scan", "zeroctl, scan", "diffusers")


def by_path(name: str, path: Path) -> ModuleType:
    """Import one file without putting its folder on the path."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- in the measured process


def loader(name: str, host: str | None) -> Callable[[str], object]:
    """The call that is measured, its imports done."""
    if host is not None:
        sys.path.insert(0, host)
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
    by_path("zeroctl_pack", ROOT / "__init__.py").bind_core()
    from zeroctl_core import load_controlnet

    return lambda path: load_controlnet(path, check_finite=name == "zeroctl, scan")


def status(field: str) -> int:
    """A size from /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def measure(name: str, host: str | None, small: str, large: str) -> None:
    load = loader(name, host)
    load(small)
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
    weights = by_path("random_weights", ROOT / "tests" / "random_weights.py")
    import torch

    small, large = folder / "small" / "control.safetensors", folder / "large" / "control.safetensors"
    config = {"_class_name": "ControlNetModel", "cross_attention_dim": 768, "attention_head_dim": 8}
    down = "CrossAttnDownBlock2D"
    thin = {"block_out_channels": [320] * 2, "layers_per_block": 1, "down_block_types": [down, "DownBlock2D"]}
    full = {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "down_block_types": [*[down] * 3, "DownBlock2D"],
    }
    weights.save_controlnet_file(small, "thin", dtype=torch.float32)
    weights.save_controlnet_file(large, "sd15", dtype=torch.float32)
    (small.parent / "config.json").write_text(json.dumps(config | thin))
    (large.parent / "config.json").write_text(json.dumps(config | full))
    with large.open("rb") as file:
        while file.read(1 << 24):
            pass
    return small, large


def run_once(python: Path, name: str, host: Path | None, small: Path, large: Path) -> dict[str, float | str]:
    command = [str(python), str(Path(__file__).resolve()), "--measure", name, str(small), str(large)]
    command += ["--host", str(host)] if host else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        raise RuntimeError(f"{name} in {python} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float | str] = json.loads(results[-1].removeprefix("RESULT "))
    return result


def machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "load_average_at_start": os.getloadavg()[0],
        "system": platform.platform(terse=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=7, help="measurements of each loader")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "loading.json")
    parser.add_argument("--folder", type=Path, help="where the 1.5 GB of files are written for the time of the run")
    parser.add_argument("--measure", nargs=3, metavar=("LOADER", "SMALL", "LARGE"), help=argparse.SUPPRESS)
    parser.add_argument("--host", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], arguments.host, *arguments.measure[1:])
        return

    hosts = by_path("host_runner", ROOT / "tests" / "host" / "run.py")
    runs: list[tuple[str, Path, Path | None]] = [(name, Path(sys.executable), None) for name in LOADERS]
    if importlib.util.find_spec("diffusers") is None:
        print("diffusers is not installed: left out")
        runs = [run for run in runs if run[0] != "diffusers"]
    for host in hosts.find_hosts():
        runs.append((f"ComfyUI {hosts.version_of(host)}", hosts.python_of(host), host))

    report: dict[str, object] = {"benchmark": "loading", "machine": machine(), "n": arguments.n}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        small, large = write_files(Path(folder))
        size = large.stat().st_size
        found: dict[str, list[dict[str, float | str]]] = {name: [] for name, _, _ in runs}
        for _ in range(arguments.n):
            for name, python, host in runs:
                found[name].append(run_once(python, name, host, small, large))
    rows = []
    for name, results in found.items():
        seconds = sorted(float(result["seconds"]) for result in results)
        times = sorted(float(result["bytes"]) / size for result in results)
        rows.append(
            {
                "loader": name,
                "seconds_median": round(statistics.median(seconds), 3),
                "seconds_min": round(seconds[0], 3),
                "seconds_max": round(seconds[-1], 3),
                "peak_over_file_median": round(statistics.median(times), 3),
                "peak_over_file_max": round(times[-1], 3),
                "torch": results[0]["torch"],
            }
        )
    versions = {"python": platform.python_version()}
    for package in ("torch", "safetensors", "diffusers"):
        if importlib.util.find_spec(package) is not None:
            versions[package] = importlib.metadata.version(package)
    report |= {"file": {"bytes": size, "dtype": "float32", "layout": "ldm", "page_cache": "warm"}}
    report |= {"versions": versions, "rows": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{'loader':<20} {'seconds (median, min..max)':<32} {'peak / file'}")
    for row in rows:
        spread = f"{row['seconds_median']:.3f}  ({row['seconds_min']:.3f} .. {row['seconds_max']:.3f})"
        print(f"{row['loader']:<20} {spread:<32} {row['peak_over_file_median']:.2f}")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
