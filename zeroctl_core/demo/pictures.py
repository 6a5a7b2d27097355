"""The pictures of the things: Fluent 3D emoji by Microsoft, out of a package of npm, never part of this repository."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .names import PICTURES

PACKAGE, VERSION = "@lobehub/fluent-emoji-3d", "1.1.0"
FILE = f"lobehub-fluent-emoji-3d-{VERSION}.tgz"  # the name that npm gives it
SHA256 = "e831c25905acf9a1654ce27d08fc62f2c0a90fac4dc512a1c559023d6bab86d1"
"""Of the files of all things together, in the order of the table."""

VARIABLE = "ZEROCTL_EMOJI"
"""Environment variable: the package as a file or unpacked, where it is not in the folder of the build."""

LEVELS = (256, 128, 64)  # sides at which pictures are kept: the one nearest above the size on the canvas is taken
RIM = 0.35  # of half a thing's size: how far its pretended relief rises from the outline

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Cutout:
    """One thing. Colours are multiplied by the coverage, so that they can be resized."""

    levels: tuple[Pixels, ...]  # [side, side, 5]: red, green, blue, coverage, relief; 0..1
    centre: tuple[float, float]  # of its bounding box, right and down, in shares of the side
    size: float  # the longer side of its bounding box, in shares of the side


def emoji_path(folder: Path) -> Path:
    """The package, as a file or a folder: what the environment variable names, else the file in `folder`.

    Raises `FileNotFoundError` where there is neither.
    """
    path = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else folder / FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: the pictures of the things are {PACKAGE} {VERSION} of npm. Get it with "
            f"python -m zeroctl_core.demo.build, or by npm pack {PACKAGE}@{VERSION}, and name the file, "
            f"or the folder it unpacks to, with the environment variable {VARIABLE}"
        )
    return path


def package_of(emoji: Path | None) -> Path | None:
    """The package that is named: by a file, by a folder that holds it or is it, or by the environment variable; None
    where nothing is named.

    Raises `FileNotFoundError` for a name that leads nowhere.
    """
    if emoji is None:
        return emoji_path(Path()) if os.environ.get(VARIABLE) else None
    if emoji.is_dir() and not any(emoji.rglob("*.webp")):
        return emoji_path(emoji)
    if not emoji.exists():
        raise FileNotFoundError(f"{emoji} is missing: expected {PACKAGE} {VERSION} of npm, as a file or unpacked")
    return emoji


def get_package(folder: Path) -> Path:
    """Get the package by npm into a folder, unless it is there, or the environment variable names one.

    Raises `OSError` where npm is missing or fails.
    """
    if os.environ.get(VARIABLE) or (folder / FILE).is_file():
        return emoji_path(folder)
    npm = shutil.which("npm")
    if npm is None:
        raise OSError(
            f"npm is missing, which gets the pictures: install it, or get {PACKAGE} {VERSION} in another way and name "
            f"it with the environment variable {VARIABLE}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder.resolve()), "--silent"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise OSError(f"npm could not get {PACKAGE}@{VERSION}: {result.stderr.strip()}")
    return folder / FILE


def read_files(path: Path) -> dict[str, bytes]:
    """Noun -> the file of its picture, out of the package as npm packs it or as a folder.

    Raises `ValueError` for a package that lacks a picture, or holds others than those that the model is made from.
    """
    names = {f"{code}.webp": name for name, code in PICTURES.items()}
    files: dict[str, bytes] = {}
    if path.is_dir():
        for file in path.rglob("*.webp"):
            if file.name in names:
                files[names[file.name]] = file.read_bytes()
    else:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    name = names.get(Path(member.name).name)
                    if name is not None and (content := archive.extractfile(member)) is not None:
                        files[name] = content.read()
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{path} is not a package of npm ({error}); get it anew") from error
    if missing := [name for name in PICTURES if name not in files]:
        raise ValueError(f"{path} lacks the pictures of {', '.join(missing)}; expected {PACKAGE} {VERSION}")
    digest = hashlib.sha256(b"".join(files[name] for name in PICTURES)).hexdigest()
    if digest != SHA256:
        raise ValueError(f"the pictures in {path} have the SHA-256 {digest}; expected {SHA256}, {PACKAGE} {VERSION}")
    return files


@lru_cache(maxsize=2)
def read_cutouts(path: Path) -> dict[str, Cutout]:
    """Every thing of the table. Raises what `read_files` raises."""
    return {name: _cutout(content) for name, content in read_files(path).items()}


def _cutout(content: bytes) -> Cutout:
    import cv2
    from PIL import Image

    with Image.open(io.BytesIO(content)) as file:
        rgba = np.asarray(file.convert("RGBA"), dtype=np.float32) / 255
    coverage = rgba[:, :, 3:]
    down, across = (np.flatnonzero((coverage[:, :, 0] > 0.5).any(axis=axis)) for axis in (1, 0))
    height, width = down[-1] + 1 - down[0], across[-1] + 1 - across[0]
    inside = (coverage[:, :, 0] > 0.5).astype(np.uint8)
    from_rim = cv2.distanceTransform(inside, cv2.DIST_L2, 5).astype(np.float32)
    reach = RIM * max(height, width) / 2
    relief = np.sqrt(1 - (1 - np.clip(from_rim / reach, 0, 1)) ** 2)[:, :, None]
    planes = np.concatenate([rgba[:, :, :3] * coverage, coverage, relief], axis=2).astype(np.float32)
    levels = tuple(np.dstack([_shrunk(planes[:, :, n], side) for n in range(5)]) for side in LEVELS)
    centre = (across[0] + across[-1] + 1) / 2 / len(rgba), (down[0] + down[-1] + 1) / 2 / len(rgba)
    return Cutout(levels, centre, max(height, width) / len(rgba))


def _shrunk(plane: Pixels, side: int) -> Pixels:
    import cv2

    return np.asarray(cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA), np.float32)
