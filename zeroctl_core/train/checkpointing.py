"""Checkpoints of a run: one folder each, whole or absent, from which a run goes on bit for bit."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor

from ..files.sha256 import file_sha256
from ..files.streamed_safetensors import n_bytes_of, stream_safetensors
from ..files.written_whole import folder_written_whole
from .surprise import Surprise

CHECKPOINTS = "checkpoints"  # in the folder of a run
PREFIX = "step-"
TENSORS, STATE = "tensors.safetensors", "state.json"
CHECK = "state_sha256"  # in the state: the digest of the rest of it
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
    threads: int | None = None  # of the CPU, which decide the last bits; None: not known


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-00000123`; all but this one and the one before it are removed once it stands under its name.

    A run that is killed at any moment leaves this one or the last one. Later ones are damaged, or their run would not
    be here.
    """
    name = f"{PREFIX}{checkpoint.step:08}"
    with folder_written_whole(folder / name, n_bytes_of(checkpoint.tensors)) as part:
        sha256 = stream_safetensors(part / TENSORS, checkpoint.tensors)
        state = {
            "step": checkpoint.step,
            "run": checkpoint.run,
            "threads": checkpoint.threads,
            "sha256": sha256,
        }
        (part / STATE).write_text(json.dumps({**state, CHECK: _digest(state)}), encoding="utf-8")
    paths = _by_step(folder)
    others = [path for path in paths if _step_of(path) <= checkpoint.step][:-N_CHECKPOINTS]
    others += [path for path in paths if _step_of(path) > checkpoint.step]
    others += [path for path in folder.iterdir() if path.name.startswith(f".{PREFIX}")]
    for path in others:  # what cannot be removed now is removed the next time
        shutil.rmtree(path, ignore_errors=True)
    return folder / name


def latest_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """The newest whole checkpoint in a folder; None when there is none. A damaged one is warned of and passed over.

    Raises `ResumeError` for a checkpoint of a run with other settings, those that decide no weight may differ, and
    where all checkpoints are damaged: whoever started the run decides whether it begins anew.
    """
    if not folder.is_dir():
        return None
    faults = []
    for path in reversed(_by_step(folder)):
        try:
            checkpoint = _read(path)
        except DamagedCheckpoint as error:
            faults.append(error)
            continue
        for fault in faults:
            warnings.warn(f"{fault}; going back to the checkpoint before it", Surprise, stacklevel=2)
        if _deciding(checkpoint.run) != _deciding(run):
            raise ResumeError(
                f"{path} was written with other settings: {_difference(_deciding(checkpoint.run), _deciding(run))}. "
                "Give the same settings to go on, or another name of the run to begin anew"
            )
        return checkpoint
    if faults:
        raise ResumeError(
            f"no checkpoint in {folder} is whole: {'; '.join(map(str, faults))}. To begin anew, give the run another "
            f"name, or delete {folder}"
        )
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint in a folder; None when there is none."""
    paths = _by_step(folder) if folder.is_dir() else []
    return _step_of(paths[-1]) if paths else None


def _by_step(folder: Path) -> list[Path]:
    paths = [path for path in folder.iterdir() if re.fullmatch(rf"{PREFIX}[0-9]{{8,}}", path.name)]
    return sorted(paths, key=_step_of)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix(PREFIX))


def _read(path: Path) -> Checkpoint:
    """Raises `DamagedCheckpoint` for what lacks a file, and for files that do not hold what was written."""
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        # checkpoints of earlier versions have neither the digest nor the threads
        if CHECK in state and state.pop(CHECK) != _digest(state):
            raise DamagedCheckpoint(f"{path / STATE} is not what was written")
        step, run, sha256 = state["step"], state["run"], state.get("sha256")
        if sha256 is not None and file_sha256(path / TENSORS) != sha256:
            raise DamagedCheckpoint(f"{path / TENSORS} is not what was written")
        if f"{PREFIX}{step:08}" != path.name or not isinstance(run, str):
            raise DamagedCheckpoint(f"{path / STATE} is not of this checkpoint")
        return Checkpoint(step, run, safetensors.torch.load_file(path / TENSORS), state.get("threads"))
    except DamagedCheckpoint:
        raise
    except (OSError, KeyError, TypeError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise DamagedCheckpoint(f"{path} is not a whole checkpoint ({error})") from error


def _digest(state: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _deciding(run: str) -> str:
    """What of a run's text decides its weights: not when it saves, and at a constant rate not how long it goes on."""
    run = re.sub(r"'checkpoint_every': \d+", "'checkpoint_every': any", run)
    return re.sub(r"'steps': \d+", "'steps': any", run) if "'decay': 'constant'" in run else run


def _difference(old_run: str, new_run: str) -> str:
    """The words that differ, each with the word before it, which names it."""
    old, new = old_run.split(), new_run.split()
    differences = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            name = old[a - 1 : a] if a else []
            differences.append(f"there {' '.join([*name, *old[a:b]])!r}, here {' '.join([*name, *new[c:d]])!r}")
    return "; ".join(differences)
