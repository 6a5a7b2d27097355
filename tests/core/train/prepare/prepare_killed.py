"""Prepare a set in processes that are killed until one gets to the end: prepare_killed.py FOLDER KILLS

Every other one kills itself at a random line of the preparation or of the writing of files, the others are killed from
outside while a file is half written. Prints as JSON how often, and the digests of all files, also those of a
preparation that nobody kills. The processes are forked from this one, which has imported torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from toy_base import DRAWING, HELD_OUT, ToyBase, toy_samples

from zeroctl_core.files import written_whole
from zeroctl_core.train.prepare import cache, preparing, table

SAMPLES = 320  # five shards of each table
TRACED = {module.__file__ for module in (preparing, table, cache, written_whole)}


@contextmanager
def killed_at_line(number: int | None) -> Iterator[list[int]]:
    """SIGKILL just before the n-th line of the traced files that is run inside the block; 0: never, None: untraced.

    Yields a list whose one entry counts the lines.
    """
    count = [0]

    def on_line(frame: FrameType, event: str, argument: object) -> object:
        count[0] += event == "line"
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> object:
        return on_line if frame.f_code.co_filename in TRACED else None

    sys.settrace(on_call if number is not None else None)
    try:
        yield count
    finally:
        sys.settrace(None)


def prepare(folder: Path) -> None:
    preparing.prepare(toy_samples(SAMPLES), DRAWING, ToyBase(), folder, held_out=HELD_OUT)


def digests(folder: Path) -> dict[str, str]:
    """Of every file, hidden ones too."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def wait_for_writing(folder: Path, child: int, times: int) -> None:
    """Until a file is begun for the n-th time, or the process has ended."""
    names: set[str] = set()
    while len(names) < times and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        names |= {path.name for path in folder.glob(".*.part")} if folder.is_dir() else set()
        time.sleep(0.0002)


def life(folder: Path, dies_at: int | None, dies_writing: int | None) -> int:
    """Fork a preparation; its status."""
    child = os.fork()
    if child == 0:
        with killed_at_line(dies_at):
            prepare(folder)
        os._exit(0)
    if dies_writing is not None:
        wait_for_writing(folder, child, dies_writing)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    draw = random.Random(7)
    killed = left_half = rounds = 0
    with killed_at_line(0) as lines:
        prepare(folder / "whole")
    expected, results = digests(folder / "whole"), []
    while killed < kills:  # a set that came to its end early is begun anew
        rounds += 1
        target = folder / f"killed-{rounds}"
        while not (target / cache.INDEX).is_file():
            outside = killed < kills and draw.random() < 0.5
            dies_at = None if outside or killed >= kills else draw.randint(1, lines[0])
            status = life(target, dies_at, draw.randint(1, 3) if outside else None)
            if os.WIFSIGNALED(status):
                killed += 1
                left_half += target.is_dir() and any(target.glob(".*.part"))
            elif os.WEXITSTATUS(status):
                sys.exit(f"a preparation failed with exit status {os.WEXITSTATUS(status)}")
        prepare(target)
        results.append(digests(target) == expected)
    print(json.dumps({"killed": killed, "left_half": left_half, "rounds": rounds, "equal": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
