"""Run tests/host in every ComfyUI found: `python tests/host/run.py [pytest arguments]`.

Hosts come from COMFYUI_PATH (several, separated like PATH), else every checkout below ~/comfy. Each runs with a Python
of its own (`.venv` or `venv` in the checkout, the portable build's `python_embeded` beside it), else with this one.

Hosts run side by side and share the cores: most of a test is one thread's work. What each printed comes when it ends.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = (
    ".venv/bin/python",
    "venv/bin/python",
    ".venv/Scripts/python.exe",
    "venv/Scripts/python.exe",
    "../python_embeded/python.exe",
)


def is_host(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfyui_version.py").is_file()


def find_hosts() -> list[Path]:
    """The checkouts to test, in order.

    Raises `SystemExit` when COMFYUI_PATH names a folder that does not exist: leaving it out would look like a pass.
    """
    named = os.environ.get("COMFYUI_PATH")
    if named:
        folders = [Path(p).expanduser().resolve() for p in named.split(os.pathsep) if p]
        wrong = [str(f) for f in folders if not is_host(f)]
        if wrong:
            sys.exit(f"COMFYUI_PATH names {', '.join(wrong)}, which holds no main.py and comfyui_version.py.")
        return folders
    return [f.resolve() for f in sorted(Path.home().glob("comfy/*")) if is_host(f)]


def python_of(host: Path) -> Path:
    # not resolved: a venv's python is a link, and following it would leave the venv
    return next((host / p for p in PYTHONS if (host / p).is_file()), Path(sys.executable))


def version_of(host: Path) -> str:
    version = re.search(r'__version__ = "([^"]+)"', (host / "comfyui_version.py").read_text())
    return version.group(1) if version else "of unknown version"


def run_tests(host: Path, arguments: list[str], side_by_side: int) -> bool:
    """Whether the tests passed in a host."""
    # an ini option and no path: a path among the arguments must narrow the run and not add to it
    command = [str(python_of(host)), "-m", "pytest", "-o", "testpaths=tests/host", *arguments]
    threads = max(1, (os.cpu_count() or 1) // side_by_side)
    env = {**os.environ, "ZEROCTL_HOST": str(host), "OMP_NUM_THREADS": str(threads)}
    began = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - began
    print(f"\n=== ComfyUI {version_of(host)}, {seconds:.0f} s, {threads} threads ===\n{ended.stdout}", flush=True)
    return ended.returncode == 0


def main(arguments: list[str]) -> int:
    hosts = find_hosts()
    if not hosts:
        print(
            "*** NO HOST TESTS RAN: no ComfyUI found. Set COMFYUI_PATH to a checkout (several separated by "
            f"'{os.pathsep}'), or put checkouts below ~/comfy. ***"
        )
        return 0
    for host in hosts:
        print(f"host: ComfyUI {version_of(host)} in {host}, {python_of(host)}")
    side_by_side = min(len(hosts), os.cpu_count() or 1)
    with ThreadPoolExecutor(side_by_side) as pool:
        runs = [pool.submit(run_tests, host, arguments, side_by_side) for host in hosts]
        failed = [version_of(host) for host, run in zip(hosts, runs, strict=True) if not run.result()]
    print(
        f"\nhost tests: {len(hosts) - len(failed)} of {len(hosts)} hosts passed"
        + (f"; failed on {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
