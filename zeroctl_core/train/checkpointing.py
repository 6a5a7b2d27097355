"""Checkpoints of a run: one folder each, whole or absent, from which a run goes on bit for bit."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor

from ..files.sha256 import file_sha256

PREFIX = "step-"
UNFINISHED = "tmp-"
TENSORS, STATE = "tensors.safetensors", "state.json"
KEPT = 2  # checkpoints; the older one serves when a disk damages the newer one


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

    Written aside, flushed to the disk and renamed: a run that is killed at any moment leaves this one or the last one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{PREFIX}{checkpoint.step:08}"
    aside = folder / f"{UNFINISHED}{name}-{os.getpid()}"
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir()
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in checkpoint.tensors.items()}
    safetensors.torch.save_file(tensors, aside / TENSORS)
    state = {"step": checkpoint.step, "run": checkpoint.run, "sha256": file_sha256(aside / TENSORS)}
    (aside / STATE).write_text(json.dumps(state))
    for path in (aside / TENSORS, aside / STATE, aside):
        _flush(path)
    final = folder / name
    if _is_whole(final, state):  # the same step of a run that was stopped while it cleared up
        shutil.rmtree(aside)
    else:
        if final.exists():
            shutil.rmtree(final)
        os.replace(aside, final)
    _flush(folder)
    kept = _by_step(folder)[-KEPT:]
    for other in folder.iterdir():
        if other not in kept and other.name.startswith((PREFIX, UNFINISHED)):
            shutil.rmtree(other, ignore_errors=True)  # what cannot be removed now is removed the next time
    return final


def latest_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """The newest whole checkpoint in a folder; None when there is none. A damaged one is warned of and passed over.

    Raises:
        ResumeError: the checkpoint was written by a run with other settings.
    """
    if not folder.is_dir():
        return None
    for path in reversed(_by_step(folder)):
        try:
            found = _read(path)
        except DamagedCheckpoint as error:
            warnings.warn(f"{error}; going back to the checkpoint before it", stacklevel=2)
            continue
        if found.run != run:
            raise ResumeError(
                f"{path} was written with other settings: {_difference(found.run, run)}. "
                "Give the same settings to go on, or another folder to begin anew"
            )
        return found
    return None


def _by_step(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith(PREFIX))


def _read(path: Path) -> Checkpoint:
    """Raises `DamagedCheckpoint` for a folder that lacks a file, or whose tensors are not those that were written."""
    try:
        state = json.loads((path / STATE).read_text())
        step, run, written = state["step"], state["run"], state.get("sha256")
        if written is not None and file_sha256(path / TENSORS) != written:
            raise DamagedCheckpoint(f"{path / TENSORS} is not what was written")
        return Checkpoint(step, run, safetensors.torch.load_file(path / TENSORS))
    except (OSError, KeyError, TypeError, json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise DamagedCheckpoint(f"{path} is no whole checkpoint ({error})") from error


def _is_whole(path: Path, state: Mapping[str, object]) -> bool:
    """Whether a folder holds what a checkpoint with this state would."""
    try:
        return bool(json.loads((path / STATE).read_text()) == state and file_sha256(path / TENSORS) == state["sha256"])
    except (OSError, json.JSONDecodeError):
        return False


def _difference(there: str, here: str) -> str:
    """The words that differ, each with the word before it, which names it."""
    old, new = there.split(), here.split()
    told = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            name = old[a - 1 : a] if a else []
            told.append(f"there {' '.join([*name, *old[a:b]])!r}, here {' '.join([*name, *new[c:d]])!r}")
    return "; ".join(told)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if path.is_file():  # some systems cannot flush a folder
            raise
    finally:
        os.close(handle)
