"""The machine and the versions that a figure was measured on, and how figures are summed up, written and printed."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "safetensors", "diffusers", "transformers")


def checkout() -> Path:
    """The one ComfyUI that COMFYUI_PATH names. Raises `SystemExit`, with what to do, where it names none or several."""
    name = os.environ.get("COMFYUI_PATH", "")
    folder = Path(name).expanduser().resolve()
    if not name or not (folder / "main.py").is_file():
        sys.exit(
            f"COMFYUI_PATH is {name!r}, expected one checkout of ComfyUI, the folder with its main.py. Run\n"
            "COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> -m benchmarks.<name>"
        )
    return folder


def conditions(host: Path | None = None) -> dict[str, Any]:
    """Machine, versions (the host's where there is one) and date.

    Call it before measuring: the load average is what others did to the machine.
    """
    import torch

    facts: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            **_memory(),
            "torch_threads": torch.get_num_threads(),
            "load_average_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "system": platform.system(),
        },
        "versions": {
            **({} if host is None else {"host": _host_version(host)}),
            "zeroctl": _commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,  # with the build, such as +cu128
            **{name: version for name in PACKAGES if (version := _version(name)) is not None},
        },
    }
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        facts["machine"] |= {"gpu": card.name, "gpu_memory_gb": round(card.total_memory / 1e9, 1)}
    return facts


def _cpu() -> str:
    """The processor's name and, where Linux tells it, family and model: virtual machines hide the name."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in text.partition("\n\n")[0].splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    name = values.get("model name", platform.machine())
    return f"{name} (family {values['cpu family']}, model {values['model']})" if "cpu family" in values else name


def _memory() -> dict[str, float]:
    """The machine's memory, where the system says it."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return {}
    return {"memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)}


def _host_version(host: Path) -> str:
    namespace: dict[str, str] = {}
    for line in (host / "comfyui_version.py").read_text().splitlines():
        key, _, value = line.partition("=")
        namespace[key.strip()] = value.strip().strip("\"'")
    return f"ComfyUI {namespace.get('__version__', 'of unknown version')}"


def _commit() -> str:
    """The pack's version and, in a checkout with git, its commit; "modified" where files that run differ from it."""
    version = next(
        line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    )
    try:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "nodes", "zeroctl_core", "__init__.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return version
    if commit.returncode:
        return version
    return f"{version} at {commit.stdout.strip()}{', modified' if changed.stdout.strip() else ''}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def summary(values: Sequence[float], digits: int = 4) -> dict[str, float | int]:
    """Median, extremes and number of what was measured."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "n": len(values),
    }


def spread(figures: Mapping[str, float] | None, digits: int = 3) -> str:
    """A summary as text for a table."""
    if figures is None:
        return "-"
    return f"{figures['median']:.{digits}f} ({figures['min']:.{digits}f}..{figures['max']:.{digits}f})"


def target(name: str, value: float, most: float) -> dict[str, Any]:
    """One target and whether it was met."""
    return {"target": f"{name} <= {most:g}", "measured": round(value, 4), "met": value <= most}


def print_targets(targets: Sequence[Mapping[str, Any]]) -> None:
    for row in targets:
        print(f"{'met   ' if row['met'] else 'MISSED'} {row['target']}: {row['measured']:g}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def write(path: Path, report: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path}")
