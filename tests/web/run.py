"""Run tests/web in a real browser on every ComfyUI found: `python tests/web/run.py [pytest arguments]`.

Hosts are found as tests/host/run.py finds them, and each server runs in its host's own Python. This Python needs pytest
and playwright (the extra `web`); the browser is a Chromium of the system, or the one that ZEROCTL_CHROMIUM names.
Screenshots go to ZEROCTL_SCREENSHOTS, else to a folder of their own below the temporary one.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _hosts_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("host_run", ROOT / "tests" / "host" / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_chromium() -> str | None:
    """The browser to use, or None.

    Raises `SystemExit` when ZEROCTL_CHROMIUM does not name a program: leaving it out would look like a pass.
    """
    name = os.environ.get("ZEROCTL_CHROMIUM")
    if name:
        path = shutil.which(name)
        if path is None:
            sys.exit(f"ZEROCTL_CHROMIUM names {name}, which is not a program.")
        return path
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), None)


def _not_run(reason: str) -> int:
    print(f"*** NO BROWSER TESTS RAN: {reason} ***")
    return 0


def main(arguments: list[str]) -> int:
    module = _hosts_module()
    hosts = module.find_hosts()
    if not hosts:
        return _not_run("no ComfyUI found. Set COMFYUI_PATH to a checkout, or put checkouts below ~/comfy")
    if importlib.util.find_spec("playwright") is None:
        return _not_run(f"{sys.executable} has no playwright: pip install -e '.[test,web]'")
    chromium = find_chromium()
    if chromium is None:
        return _not_run(f"none of {', '.join(CHROMIUMS)} is installed; ZEROCTL_CHROMIUM names one elsewhere")
    pictures = os.environ.get("ZEROCTL_SCREENSHOTS") or tempfile.mkdtemp(prefix="zeroctl-web-")
    failed = []
    for host in hosts:
        version = module.version_of(host)
        print(f"\n=== browser: ComfyUI {version} in {host}, {chromium} ===", flush=True)
        command = [sys.executable, "-m", "pytest", "-o", "testpaths=tests/web", *arguments]
        variables = {
            "ZEROCTL_WEB_HOST": str(host),
            "ZEROCTL_WEB_PYTHON": str(module.python_of(host)),
            "ZEROCTL_CHROMIUM": chromium,
            "ZEROCTL_SCREENSHOTS": str(Path(pictures) / version),
        }
        if subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}).returncode:
            failed.append(version)
    print(
        f"\nbrowser tests: {len(hosts) - len(failed)} of {len(hosts)} hosts passed"
        + (f"; failed on {', '.join(failed)}" if failed else "")
        + f"; screenshots in {pictures}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
