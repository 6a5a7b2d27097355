"""Run tests/host in every ComfyUI found: `python tests/host/run.py [pytest arguments]`.

Hosts come from COMFYUI_PATH (several, separated like PATH), else every checkout below ~/comfy. Each runs with a Python
of its own (`.venv` or `venv` in the checkout, the portable build's `python_embeded` beside it), else with this one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
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

    Raises: SystemExit when COMFYUI_PATH names a folder that is none: leaving it out would look like a pass.
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
    found = re.search(r'__version__ = "([^"]+)"', (host / "comfyui_version.py").read_text())
    return found.group(1) if found else "of unknown version"


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
    failed = []
    for host in hosts:
        print(f"\n=== ComfyUI {version_of(host)} ===", flush=True)
        # an ini option and no path: a path among the arguments must narrow the run and not add to it
        command = [str(python_of(host)), "-m", "pytest", "-o", "testpaths=tests/host", *arguments]
        if subprocess.run(command, cwd=ROOT, env={**os.environ, "ZEROCTL_HOST": str(host)}).returncode:
            failed.append(version_of(host))
    print(
        f"\nhost tests: {len(hosts) - len(failed)} of {len(hosts)} hosts passed"
        + (f"; failed on {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
