"""Whom we are compared with: where each peer is, which version, and its modules."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import cv2

from benchmarks.importing import empty_package, importing, missing

FOLDERS = {"aux": "ZEROCTL_AUX", "cn11": "ZEROCTL_CN11", "cn10": "ZEROCTL_CN10"}
NAMES = {
    "aux": "comfyui_controlnet_aux",
    "cn11": "lllyasviel/ControlNet-v1-1-nightly",
    "cn10": "lllyasviel/ControlNet",
    "hf": "controlnet-aux (PyPI)",
    "opencv": "OpenCV",
}


def folder_of(peer: str) -> Path:
    """The checkout of a peer. Raises `FileNotFoundError` where its variable names none."""
    named = os.environ.get(FOLDERS[peer], "")
    folder = Path(named).expanduser().resolve()
    if not named or not folder.is_dir():
        raise FileNotFoundError(f"{FOLDERS[peer]} names no checkout of {NAMES[peer]}")
    return folder


def version_of(peer: str) -> str:
    """Commit, or version where there is no git."""
    try:
        if peer == "opencv":
            return str(cv2.__version__)
        if peer == "hf":
            return importlib.metadata.version("controlnet-aux")
        folder = folder_of(peer)
    except (FileNotFoundError, importlib.metadata.PackageNotFoundError) as error:
        return f"not there ({error})"
    if (folder / ".git").exists():
        git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True)
        if git.returncode == 0:
            return git.stdout.strip()
    lines = (folder / "pyproject.toml").read_text().splitlines() if (folder / "pyproject.toml").is_file() else []
    return next((line.split('"')[1] for line in lines if line.startswith("version")), "unknown, no git")


@cache
def aux(module: str) -> ModuleType:
    """A module of comfyui_controlnet_aux."""
    folder = folder_of("aux") / "src"
    with importing(folder, "", missing("torchvision", "torchvision.transforms")):
        if "custom_controlnet_aux" not in sys.modules:
            empty_package("custom_controlnet_aux", folder / "custom_controlnet_aux")
        return importlib.import_module(f"custom_controlnet_aux.{module}")


@cache
def hf_folder() -> Path:
    spec = importlib.util.find_spec("controlnet_aux")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("controlnet-aux is not installed")
    return Path(spec.submodule_search_locations[0])


@cache
def hf(module: str) -> ModuleType:
    """A module of controlnet-aux."""
    folder = hf_folder()
    with importing(folder.parent, "", missing("torchvision", "torchvision.transforms")):
        if "controlnet_aux" not in sys.modules:
            empty_package("controlnet_aux", folder)
        return importlib.import_module(f"controlnet_aux.{module}")
