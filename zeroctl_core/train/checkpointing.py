"""Checkpoints of a run: one folder each, whole or absent, from which a run goes on bit for bit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor

PREFIX = "step-"
UNFINISHED = "tmp-"
TENSORS, STATE = "tensors.safetensors", "state.json"


class ResumeError(ValueError):
    """A checkpoint that does not belong to the run that wants to go on from it."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on: no random state, because draws depend on the step alone."""

    step: int  # optimiser steps that were taken
    run: str  # what the run is, as text: another text is another run
    tensors: Mapping[str, Tensor]  # weights, optimiser state, averages


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-00000123`; older ones are removed once it stands under its name.

    Written aside, flushed to the disk and renamed: a run that is killed at any moment leaves this one or the last one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{PREFIX}{checkpoint.step:08}"
    aside = folder / f"{UNFINISHED}{name}-{os.getpid()}"
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir()
    tensors = {key: value.detach().contiguous().clone() for key, value in checkpoint.tensors.items()}
    safetensors.torch.save_file(tensors, aside / TENSORS)
    (aside / STATE).write_text(json.dumps({"step": checkpoint.step, "run": checkpoint.run}))
    for path in (aside / TENSORS, aside / STATE, aside):
        _flush(path)
    final = folder / name
    if final.exists():  # the same step again: what it holds is the same
        shutil.rmtree(aside)
    else:
        os.replace(aside, final)
    _flush(folder)
    for other in folder.iterdir():
        if other != final and other.name.startswith((PREFIX, UNFINISHED)):
            shutil.rmtree(other, ignore_errors=True)
    return final


def latest_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """The newest whole checkpoint in a folder; None when there is none.

    Raises:
        ResumeError: the checkpoint was written by a run with other settings.
    """
    if not folder.is_dir():
        return None
    names = sorted(path for path in folder.iterdir() if path.name.startswith(PREFIX))
    if not names:
        return None
    state = json.loads((names[-1] / STATE).read_text())
    if state["run"] != run:
        raise ResumeError(
            f"{names[-1]} was written with other settings:\n  there: {state['run']}\n  here:  {run}\n"
            "Give the same settings to go on, or another folder to begin anew."
        )
    return Checkpoint(state["step"], state["run"], safetensors.torch.load_file(names[-1] / TENSORS))


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
