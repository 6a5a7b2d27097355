"""Collect what a machine with a card and without network lacks: a host's code, and wheels.

    <the Python of a ComfyUI> -m benchmarks.gpu.prepare --folder F --host <ComfyUI> [--python 3.12]

Packs the host's code into F/host.zip and downloads wheels into F/wheels: tyro, diffusers and what the host asks for, in
the versions that this Python has, with all that they need in turn. Torch and what belongs to it is never taken along,
as it must fit the card. `--without` names what the other machine has anyway, such as transformers: its own is used.
Needs pip and tyro. Then, on the other machine: `python -m benchmarks.gpu --folder F`.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.folder import HOST, WHEELS, plain_name
from benchmarks.options import read_options

ROOTS = ("tyro", "diffusers")
NEVER = (
    *("torch", "torchvision", "torchaudio", "triton", "nvidia-"),
    *("comfyui-frontend-package", "comfyui-workflow-templates", "comfyui-embedded-docs"),  # no browser is served
    *("av", "kornia", "kornia-rs", "spandrel", "comfy-angle", "pyopengl"),  # videos, upscalers, shaders
)
"""Packages that are not taken along, by name or, with a hyphen at the end, by how the name begins."""
PURE = {"comfy-kitchen"}
"""Packages whose wheel of pure Python is taken: compiled for quantised weights, this one has 58 MB."""
NOT_CODE = {
    *("venv", "models", "custom_nodes", "input", "output", "temp", "user"),
    *("blueprints", "tests", "tests-unit", "script_examples"),
}
"""Folders at the top of a host that a run does not need; hidden ones are left out too."""
PURE_TARGET = ["--implementation=py", "--abi=none", "--platform=any"]
NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: Path
    """where all is put; its wheels and its host.zip are made anew"""
    host: Path | None = None
    """a checkout of ComfyUI; without one only tyro and diffusers are collected"""
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    """the Python of the machine with the card"""
    platform: tuple[str, ...] = tuple(f"manylinux_2_{n}_x86_64" for n in (34, 31, 28, 27, 24, 17, 12, 5))
    """that machine's platforms, as pip calls them"""
    without: tuple[str, ...] = ()
    """packages that are there already"""


def archive_host(host: Path, archive: Path) -> None:
    """The host's code as a zip: a fifth of its size, and one file to take along."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(host.rglob("*")):
            parts = path.relative_to(host).parts
            is_code = parts[0] not in NOT_CODE and not parts[0].startswith(".") and "__pycache__" not in parts
            if is_code and path.is_file():
                file.write(path, path.relative_to(host))


def pinned(host: Path | None, without: Iterable[str]) -> list[str]:
    """`name==version` of everything to download: the roots, and all that they need, as far as this Python has it."""
    left_out = {plain_name(name) for name in (*NEVER, *without)}
    prefixes = tuple(name for name in NEVER if name.endswith("-"))
    lines = list(ROOTS)
    if host is not None:
        lines += (host / "requirements.txt").read_text(encoding="utf-8").splitlines()
    versions = {plain_name(package.name): package.version for package in importlib.metadata.distributions()}
    pins: dict[str, str] = {}
    while lines:
        name = _name(lines.pop())
        if name in versions and name not in pins and name not in left_out and not name.startswith(prefixes):
            pins[name] = f"{name}=={versions[name]}"
            lines += [line for line in importlib.metadata.requires(name) or () if "extra ==" not in line]
    return sorted(pins.values())


def _name(requirement: str) -> str:
    """The name of a requirement; empty for a comment."""
    match = NAME.match(requirement.strip())
    return plain_name(match[0]) if match else ""


def main() -> None:
    options = read_options(Options, "gpu.prepare", __doc__)
    wheels = options.folder / WHEELS
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    if options.host is not None:
        archive_host(options.host.expanduser().resolve(), options.folder / HOST)
    target = [f"--python-version={options.python}", *(f"--platform={name}" for name in options.platform)]
    failures = []
    for pin in pinned(options.host, options.without):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += PURE_TARGET if pin.partition("==")[0] in PURE else target
        if subprocess.run([*command, "--dest", str(wheels), pin]).returncode:
            failures.append(pin)
    size = sum(file.stat().st_size for file in options.folder.rglob("*") if file.is_file())
    print(f"{options.folder}: {len(list(wheels.glob('*.whl')))} wheels, {size / 2**20:.1f} MiB with the host")
    if failures:
        sys.exit(f"there is no wheel for that machine of {', '.join(failures)}: name them in --without if it has them")


if __name__ == "__main__":
    main()
