"""Where the host keeps its files, and where ours are: names in lists, full paths for loading and saving."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from zeroctl_core.demo.model import WEIGHTS, control_files
from zeroctl_core.files.key_faults import short

__all__ = ["controlnet_names", "controlnet_path", "controlnet_paths", "demo_weights", "fingerprint", "new_model_path"]

LONGEST_PREFIX, LONGEST_NAME = 1000, 200
"""Linux allows 4095 bytes of path and 255 of a name; a number and an extension follow, and the output folder comes
first."""
SPACE = 32
"""Below it are the control characters."""
EMBEDDED = "zeroctl/"
"""Prefix of the embedded controls in the list. They have no file extension and the host lists no file without one, so
that `zeroctl/edges` is ours and `zeroctl/edges.safetensors` is a file of the user's."""


def demo_weights() -> Path:
    """The folder of the embedded model: of the package, or what ZEROCTL_DEMO_WEIGHTS names, to try others."""
    return Path(os.environ.get("ZEROCTL_DEMO_WEIGHTS") or WEIGHTS)


def controlnet_names() -> list[str]:
    """The files in the host's controlnet folders, in the host's order, and then the embedded controls."""
    embedded = [EMBEDDED + name for name in control_files(demo_weights())]
    return [*folder_paths.get_filename_list("controlnet"), *embedded]


def controlnet_paths() -> dict[str, Path | None]:
    """The full path of every name in the list; None for a file that is gone since the list was made."""
    embedded = {EMBEDDED + stem: path for stem, path in control_files(demo_weights()).items()}
    paths = {
        name: folder_paths.get_full_path("controlnet", name) for name in folder_paths.get_filename_list("controlnet")
    }
    return {**{name: None if path is None else Path(path) for name, path in paths.items()}, **embedded}


def controlnet_path(name: str) -> Path:
    """The full path of a file in the host's controlnet folders, or of an embedded control.

    Raises `ValueError` for a name that is not in the list, which is read when the page loads: press R after adding a
    file.
    """
    embedded = {EMBEDDED + stem: path for stem, path in control_files(demo_weights()).items()}
    if name in embedded:
        return embedded[name]
    path = folder_paths.get_full_path("controlnet", name)
    if path is None:
        folders = ", ".join(folder_paths.get_folder_paths("controlnet"))
        raise ValueError(
            f"There is no ControlNet file {short(name)!r} in {folders}, and the embedded controls are "
            f"{', '.join(embedded) or 'missing'}. Put the file there and refresh the node list, or choose another."
        )
    return Path(path)


def fingerprint(path: Path) -> str:
    """Changes when the file does."""
    stat = path.stat()
    return f"{path}:{stat.st_mtime_ns}:{stat.st_size}"


def new_model_path(prefix: str, extension: str) -> Path:
    """The next free numbered path for `prefix` in the host's output folder: `controlnet/zeroctl_00001_.safetensors`.

    Raises `ValueError` for a prefix that names no file or none that a disk can hold, and the host's own exception for
    one that leads out of the output folder.
    """
    fault = ""
    if Path(prefix).name in ("", ".", ".."):
        fault = "names no file"
    elif any(ord(character) < SPACE or "\ud800" <= character <= "\udfff" for character in prefix):
        fault = "holds a character that no file name may hold"
    elif len(prefix) > LONGEST_PREFIX or max(len(part.encode()) for part in Path(prefix).parts) > LONGEST_NAME:
        fault = f"is longer than a path may be: {LONGEST_PREFIX} characters, and {LONGEST_NAME} bytes a name"
    if fault:
        raise ValueError(
            f"filename_prefix is {short(prefix)!r}, which {fault}. Write a name, such as controlnet/zeroctl."
        )
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    return Path(folder) / f"{name}_{counter:05}_{extension}"
