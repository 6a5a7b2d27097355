"""The folder with what a machine without network lacks: `wheels/*.whl`, and a host's code in `host.zip`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WHEELS, HOST = "wheels", "host.zip"
WITH_WHEELS = "ZEROCTL_GPU_WHEELS"
"""Set to the folder of the unpacked wheels once they are on PYTHONPATH."""

HOST_NEEDS = ("torchvision", "torchaudio")
"""What a host imports at its start and must belong to the machine's torch."""
NEEDS = {
    "torch": "everything; with CUDA",
    "numpy": "everything",
    "safetensors": "everything",
    "tyro": "the command line",
    "diffusers": "the figures of diffusers",
}
"""Packages, and what needs them."""


def folder_named(arguments: list[str]) -> Path | None:
    """The value of --folder, read before tyro is there to read it."""
    for place, argument in enumerate(arguments):
        if argument.startswith("--folder="):
            return Path(argument.partition("=")[2]).expanduser()
        if argument == "--folder" and place + 1 < len(arguments):
            return Path(arguments[place + 1]).expanduser()
    return None


def wheels_to_install(folder: Path) -> list[Path]:
    """Wheels of packages that this Python does not have."""
    installed = {plain_name(package.name) for package in importlib.metadata.distributions()}
    return [
        wheel
        for wheel in sorted((folder / WHEELS).glob("*.whl"))
        if plain_name(wheel.name.split("-")[0]) not in installed
    ]


def start_again_with_wheels(folder: Path) -> None:
    """Unpack the wheels that are needed into a folder of their own, and start this command again with it; once."""
    if WITH_WHEELS in os.environ or not (wheels := wheels_to_install(folder)):
        return
    with tempfile.TemporaryDirectory(prefix="zeroctl-wheels-", ignore_cleanup_errors=True) as site:
        _unpack(wheels, site)
        path = [site, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, WITH_WHEELS: site, "PYTHONPATH": os.pathsep.join(path)}
        command = [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:]]
        status = subprocess.run(command, env=environment).returncode
    sys.exit(status)


def _unpack(wheels: list[Path], site: str) -> None:
    print(f"unpacking {', '.join(wheel.name.split('-')[0] for wheel in wheels)}", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    if subprocess.run([*pip, "--target", site, *map(str, wheels)]).returncode:
        for wheel in wheels:  # one that does not fit this machine must not cost the others
            if subprocess.run([*pip, "--target", site, "--upgrade", str(wheel)]).returncode:
                print(f"{wheel.name} does not fit this Python and is left out", flush=True)


def has_host(folder: Path | None) -> bool:
    return folder is not None and (folder / HOST).is_file()


@contextmanager
def unpacked_host(folder: Path | None) -> Iterator[Path | None]:
    """The folder's host in a temporary place; None where it holds none."""
    if folder is None or not has_host(folder):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="zeroctl-host-", ignore_cleanup_errors=True) as place:
        with zipfile.ZipFile(folder / HOST) as archive:
            archive.extractall(place)
        yield Path(place)


def missing(folder: Path | None) -> list[str]:
    """A sentence for everything that is not at hand."""
    lines = [
        f"{name} is not installed; it is needed for {use}"
        for name, use in NEEDS.items()
        if importlib.util.find_spec(name) is None
    ]
    if has_host(folder):
        absent = [name for name in HOST_NEEDS if importlib.util.find_spec(name) is None]
        lines += [f"{name} is not installed; it is needed for the host, and must belong to torch" for name in absent]
    else:
        where = "no --folder is given" if folder is None else f"{folder / HOST} is not there"
        lines.append(f"{where}; it is needed for the figures of the host and of the hook inside it")
    return lines


def plain_name(name: str) -> str:
    """The name of a distribution in the one spelling that all its spellings share."""
    return name.lower().replace("_", "-").replace(".", "-")
