"""`python -m zeroctl_core.demo.build`: train the embedded model from nothing, stage by stage.

Stages that are finished are not repeated, a stage that was interrupted goes on where it was. A build is recorded in a
log: losses, seconds, the scores beside their targets, and the hash of every file. `--check` repeats 50 steps of
every stage from the weights that are there and compares the losses with those in the log.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from ..command_line import read_options, run_command
from ..files.sha256 import file_sha256
from ..files.written_whole import check_writable, written_whole
from ..train.lock import sole_run
from ..train.loop import Callback, Progress, Task, fit
from ..train.memory import keep_memory
from ..train.ranges import check_at_least
from .model import MODEL, WEIGHTS
from .pictures import SHA256, get_package
from .source import WORK
from .stages import STAGES
from .stages.stage import Stage, losses_from, use_averages

TOLERANCE = 1e-3  # by which a repeated loss may differ
LOG = Path("benchmarks/results/demo-build.json")
"""Of the weights that are shipped."""


class Log:
    """The record of a build as one JSON file, rewritten whole at every entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"stages": {}}
        except ValueError as error:
            raise ValueError(f"{path} is not the log of a build ({error}); move it away or name another log") from error

    def stage(self, name: str) -> dict[str, Any]:
        return self.content["stages"].setdefault(name, {"losses": [], "seconds": 0.0})

    def ran(self, began: datetime, stages: Sequence[str]) -> None:
        """Note a run that came to its end: a log with one run over every stage is of one that nothing interrupted."""
        seconds = round((datetime.now(timezone.utc) - began).total_seconds())
        run = {"began": began.isoformat(timespec="seconds"), "seconds": seconds, "stages": list(stages)}
        self.content.setdefault("runs", []).append({**run, "conditions": conditions()})
        self.write()

    def write(self) -> None:
        with written_whole(self.path) as part:
            part.write_text(json.dumps(self.content, indent=1) + "\n")


def conditions() -> dict[str, object]:
    """What the figures of a run depend on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def build_stage(stage: Stage[Any], weights: Path, work: Path, log: Log, *, every: int, rescore: bool) -> bool:
    """Train, save, score; whether every target was reached. A stage whose file the log knows is left as it is, or is
    scored again."""
    entry = log.stage(stage.name)
    if "sha256" in entry and _is(weights / entry["file"], entry["sha256"]):
        print(f"{stage.name}: finished before, {entry['file']}", flush=True)
        if rescore:
            entry["check_losses"] = [round(loss, 6) for loss in losses_from(stage.shipped(weights, work))]
        if rescore or "reached" not in entry:
            return _judge_stage(stage, weights, work, log)
        return bool(entry["reached"])
    print(f"{stage.name}: {stage.how.steps} steps of {stage.batch_size}", flush=True)
    began, cpu, before = time.monotonic(), time.process_time(), float(entry["seconds"])
    task: Task = stage.new(weights, work)

    def note(now: Progress) -> None:
        if now.loss is None or (now.step % every and now.step != now.steps):
            return
        entry["seconds"] = round(before + time.monotonic() - began, 1)
        # steps that a killed process logged after its last checkpoint are taken again
        entry["losses"] = [line for line in entry["losses"] if line[0] < now.step]
        entry["losses"].append([now.step, round(now.loss, 6), entry["seconds"]])
        left = f", {now.seconds_left / 60:.1f} min left" if now.seconds_left is not None else ""
        print(f"{stage.name}: step {now.step}/{now.steps}, loss {now.loss:.5f}{left}", flush=True)
        log.write()

    watcher = None if stage.watch is None else stage.watch(task, weights, work)
    callbacks: list[Callback] = [note] if watcher is None else [note, watcher]
    use_averages(fit(task, stage.how, folder=work / stage.name, callbacks=callbacks))
    seconds = before + time.monotonic() - began
    record = {"stage": stage.name, "steps": stage.how.steps, "batch_size": stage.batch_size, "task": task.name}
    path = stage.save(task, weights, work, record)
    entry.update(
        file=str(path.relative_to(weights)),
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        optimisation=repr(stage.how),
        seconds=round(seconds, 1),
        cpu_seconds=round(time.process_time() - cpu, 1),
        check_losses=[round(loss, 6) for loss in losses_from(stage.shipped(weights, work))],
    )
    if watcher is not None:
        entry["scored"] = [line for line in watcher.lines if "follow" in line]
    log.write()
    print(f"{stage.name}: {seconds / 60:.1f} min", flush=True)
    return _judge_stage(stage, weights, work, log)


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _judge_stage(stage: Stage[Any], weights: Path, work: Path, log: Log) -> bool:
    """Score what a stage saved; whether every target was reached."""
    scores = stage.score(weights, work)
    reached = all(scores[key] >= target for key, target in stage.targets.items())
    reached &= all(scores[key] <= target for key, target in stage.at_most.items())
    log.stage(stage.name).update(
        scores={key: round(value, 4) for key, value in scores.items()},
        targets=dict(stage.targets),
        at_most=dict(stage.at_most),
        reached=reached,
    )
    log.write()
    texts = [f"{key} {value:.3f}{_against(stage, key)}" for key, value in scores.items()]
    print(f"{stage.name}: {', '.join(texts)}{'' if reached else '; TARGET MISSED'}", flush=True)
    return reached


def _against(stage: Stage[Any], key: str) -> str:
    if key in stage.targets:
        return f" (at least {stage.targets[key]:g})"
    return f" (at most {stage.at_most[key]:g})" if key in stage.at_most else ""


def check_stage(stage: Stage[Any], weights: Path, work: Path, log: Log) -> bool:
    """Whether 50 further steps from the shipped weights have the losses that the log has."""
    entry = log.stage(stage.name)
    if "check_losses" not in entry:
        print(f"{stage.name}: the log {log.path} has no losses to compare with; run the build first")
        return False
    if not _is(weights / entry["file"], entry["sha256"]):
        print(f"{stage.name}: {entry['file']} is not the file that the log {log.path} names")
        return False
    losses = losses_from(stage.shipped(weights, work))
    apart = max(abs(a - b) for a, b in zip(losses, entry["check_losses"], strict=True))
    print(f"{stage.name}: {len(losses)} losses, at most {apart:.1e} apart (tolerance {TOLERANCE:g})", flush=True)
    return bool(apart <= TOLERANCE)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Raises `ValueError` for an unknown stage and for a number out of its range."""

    weights: Path = WEIGHTS
    """Folder for the weights."""

    work: Path = WORK
    """Folder for checkpoints, latents and the pictures of things: npm gets them, or the environment variable
    ZEROCTL_EMOJI names the package."""

    log: Path = LOG
    """The record of the build."""

    stages: tuple[str, ...] = ()
    """Only these. Empty: all."""

    threads: int | None = None
    """CPU threads. `None`: as many as torch chooses."""

    every: int = 50
    """Steps between two lines of the log."""

    rescore: bool = False
    """Score finished stages once more, and record losses to check."""

    check: bool = False
    """Repeat 50 steps of each stage and compare the losses."""

    def __post_init__(self) -> None:
        for name in self.stages:
            if name not in STAGES:
                raise ValueError(f"there is no stage {name!r}; there are: {', '.join(STAGES)}")
        check_at_least("every", self.every, 1)
        if self.threads is not None:
            check_at_least("threads", self.threads, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(Options, "demo.build", "Train the embedded model and its controls from nothing.", arguments)
    keep_memory()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    return run_command(lambda: 0 if run(options) else 1)


def run(options: Options) -> bool:
    check_writable(options.work / "checkpoint")
    if not options.check:
        check_writable(options.log)
        check_writable(options.weights / MODEL)
    with sole_run(options.work):
        log = Log(options.log)
        get_package(options.work)
        log.content["inputs"] = {"pictures of the things": SHA256}
        return _build_or_check(options, [STAGES[name] for name in options.stages or STAGES], log)


def _build_or_check(options: Options, stages: Sequence[Stage[Any]], log: Log) -> bool:
    """Whether every loss repeats, or every target was reached."""
    began, good = datetime.now(timezone.utc), True
    for stage in stages:
        if options.check:
            good &= check_stage(stage, options.weights, options.work, log)
        else:
            good &= build_stage(stage, options.weights, options.work, log, every=options.every, rescore=options.rescore)
    if not options.check:
        log.ran(began, [stage.name for stage in stages])
    print(_closing(good, options.check, log.content["stages"]))
    return good


def _closing(good: bool, check: bool, stages: Mapping[str, Any]) -> str:
    if check:
        return "all losses repeat" if good else "some losses do NOT repeat"
    size = sum(entry.get("bytes", 0) for entry in stages.values())
    return f"{size / 1e6:.1f} MB of weights; " + ("every target reached" if good else "some targets were MISSED")


if __name__ == "__main__":
    sys.exit(main())
