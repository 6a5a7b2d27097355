"""Checkpoints of a run: one folder each, whole or absent, from which a run goes on bit for bit."""

from __future__ import annotations

import difflib
import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor

from ..files.sha256 import file_sha256
from ..files.written_whole import folder_written_whole

PREFIX = "step-"
TENSORS, STATE = "tensors.safetensors", "state.json"
N_CHECKPOINTS = 2  # in a folder; the older one serves when a disk damages the newer one


class ResumeError(ValueError):
    """A checkpoint that does not belong to the run that wants to go on from it."""


class DamagedCheckpoint(ValueError):
    """A folder with the name of a checkpoint that does not hold what was written."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on: no random state, because draws depend on the step alone."""

    step: int  # optimiser steps that were taken
    run: str  # what the run is, as text: another text is another run
    tensors: Mapping[str, Tensor]  # weights, optimiser state, averages


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-00000123`; all but the two newest are removed once it stands under its name.

    A run that is killed at any moment leaves this one or the last one.
    """
    name = f"{PREFIX}{checkpoint.step:08}"
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in checkpoint.tensors.items()}
    with folder_written_whole(folder / name) as part:
        safetensors.torch.save_file(tensors, part / TENSORS)
        state = {"step": checkpoint.step, "run": checkpoint.run, "sha256": file_sha256(part / TENSORS)}
        (part / STATE).write_text(json.dumps(state))
    newest = _by_step(folder)[-N_CHECKPOINTS:]
    for other in folder.iterdir():
        if other not in newest and other.name.startswith((PREFIX, f".{PREFIX}")):
            shutil.rmtree(other, ignore_errors=True)  # what cannot be removed now is removed the next time
    return folder / name


def latest_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """The newest whole checkpoint in a folder; None when there is none. A damaged one is warned of and passed over.

    Raises `ResumeError` for a checkpoint of a run with other settings.
    """
    if not folder.is_dir():
        return None
    for path in reversed(_by_step(folder)):
        try:
            checkpoint = _read(path)
        except DamagedCheckpoint as error:
            warnings.warn(f"{error}; going back to the checkpoint before it", stacklevel=2)
            continue
        if checkpoint.run != run:
            raise ResumeError(
                f"{path} was written with other settings: {_difference(checkpoint.run, run)}. "
                "Give the same settings to go on, or another folder to begin anew"
            )
        return checkpoint
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint in a folder; None when there is none."""
    paths = _by_step(folder) if folder.is_dir() else []
    return int(paths[-1].name.removeprefix(PREFIX)) if paths else None


def _by_step(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith(PREFIX))


def _read(path: Path) -> Checkpoint:
    """Raises `DamagedCheckpoint` for a folder that lacks a file, or whose tensors are not those that were written."""
    try:
        state = json.loads((path / STATE).read_text())
        step, run, sha256 = state["step"], state["run"], state.get("sha256")
        if sha256 is not None and file_sha256(path / TENSORS) != sha256:
            raise DamagedCheckpoint(f"{path / TENSORS} is not what was written")
        return Checkpoint(step, run, safetensors.torch.load_file(path / TENSORS))
    except (OSError, KeyError, TypeError, json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise DamagedCheckpoint(f"{path} is not a whole checkpoint ({error})") from error


def _difference(old_run: str, new_run: str) -> str:
    """The words that differ, each with the word before it, which names it."""
    old, new = old_run.split(), new_run.split()
    differences = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            name = old[a - 1 : a] if a else []
            differences.append(f"there {' '.join([*name, *old[a:b]])!r}, here {' '.join([*name, *new[c:d]])!r}")
    return "; ".join(differences)
