"""Run a toy training in processes that are killed until one gets to the end: kill_often.py FOLDER KILLS

Every other one kills itself at a random line of the loop or of the writing of checkpoints, the others are killed from
outside while they write one. Prints as JSON how often, and the fingerprints of the weights and of their averages, also
those of a run that nobody kills. The processes are forked from this one, which has imported torch, so that a life costs
no start.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from toy_training import HOW, at_line, new_task

from zeroctl_core.train.control import ControlTask
from zeroctl_core.train.fingerprint import fingerprint
from zeroctl_core.train.loop import fit

STEPS = 40
LINES = 2500  # of a life at most: resuming takes about 500, a step with its checkpoint about 700


def train(task: ControlTask, folder: Path | None, result: Path, dies_at: int | None = None) -> None:
    how = replace(HOW, steps=STEPS, checkpoint_every=1)
    if dies_at is None:
        averages = fit(task, how, folder=folder)
    else:
        with at_line(dies_at, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            averages = fit(task, how, folder=folder)
    prints = [fingerprint(task.net)]
    averages.swap()
    result.write_text(json.dumps([*prints, fingerprint(task.net)]))


def wait_for_writing(folder: Path, child: int, times: int) -> None:
    """Until a checkpoint is begun for the n-th time, or the process has ended."""
    names: set[str] = set()
    while len(names) < times and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        names |= {path.name for path in folder.glob(".step-*.part")}
        time.sleep(0.0005)


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    draw, task = random.Random(7), new_task()
    checkpoints, result = folder / "checkpoints", folder / "result.json"
    checkpoints.mkdir()
    killed = lives = left_half = 0
    while not result.is_file():
        by_itself = lives % 2 == 0
        lives += 1
        dies_at = draw.randint(1, LINES) if by_itself and killed < kills else None
        child = os.fork()
        if child == 0:
            train(task, checkpoints, result, dies_at)
            os._exit(0)
        if not by_itself and killed < kills:
            wait_for_writing(checkpoints, child, draw.randint(1, 2))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            left_half += any(checkpoints.glob(".step-*.part"))
        elif os.WEXITSTATUS(status):
            sys.exit(f"a training failed with exit status {os.WEXITSTATUS(status)}")
    train(task, None, folder / "whole.json")  # the start that all had: this process has not trained it yet
    prints = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("result", "whole")}
    print(json.dumps({"killed": killed, "left_half": left_half, **prints}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
