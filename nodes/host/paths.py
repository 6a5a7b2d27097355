"""Where the host keeps its files: names in lists, full paths for loading and saving."""

from __future__ import annotations

from pathlib import Path

import folder_paths

__all__ = ["controlnet_names", "controlnet_path", "new_model_path"]


def controlnet_names() -> list[str]:
    """The files in the host's controlnet folders, in the host's order."""
    return list(folder_paths.get_filename_list("controlnet"))


def controlnet_path(name: str) -> Path:
    """The full path of a file in the host's controlnet folders.

    Raises:
        ValueError: the name is not in the list (the list is read when the page loads: press R after adding a file).
    """
    path = folder_paths.get_full_path("controlnet", name)
    if path is None:
        folders = ", ".join(folder_paths.get_folder_paths("controlnet"))
        raise ValueError(
            f"There is no ControlNet file {name!r} in {folders}. Put the file there and refresh the node list, "
            "or choose another."
        )
    return Path(path)


def new_model_path(prefix: str, extension: str) -> Path:
    """The next free numbered path for `prefix` in the host's output folder: `controlnet/zeroctl_00001_.safetensors`.

    Raises:
        ValueError: the prefix names no file.
        Exception: the host's own, when the prefix leads out of the output folder.
    """
    if Path(prefix).name in ("", ".", ".."):
        raise ValueError(
            f"filename_prefix is {prefix!r}, which names no file. Write a name, such as controlnet/zeroctl."
        )
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    return Path(folder) / f"{name}_{counter:05}_{extension}"
