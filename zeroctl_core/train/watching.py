"""What is measured of a run while it goes: scores by sampling, the paired gap, the jump; as lines and as a JSON log."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from ..checkpoint import save_controlnet
from ..files.full_disk import full_disk_named
from ..files.plural import plural
from ..files.written_whole import written_whole
from ..network.controlnet import ControlNet
from .averages import Averages
from .config import ControlConfig
from .control import ControlTask
from .display import Say, duration
from .jump import Jump, JumpDetector
from .loop import Progress
from .source import Source
from .surprise import Surprise

BEST = "best.safetensors"  # in the folder of a run: the control of the best score
SCORE_SEED = 7  # of the held-out scenes and the noise of scores: the same ones at every step and in every run

ANNOUNCEMENT = "*** "
"""Before what is said of a jump."""

RUINED = 0.05  # share of burnt-out channels, beyond those without control, that is told

UNSCORED = {"step", "lr", "seconds", "loss", "gap"}
"""What a line holds of a step without a score."""

Line = dict[str, float]
"""`step`, `loss` of the batch, `lr`, `seconds` of training up to it in all processes of the run; where measured `gap`,
and the scores, of which `follow` is the one to watch."""


class Log:
    """One JSON object a line and step, which a resumed run continues without a gap or a repeat.

    A line that is not whole and a step that was logged before are left out. A warning says so, unless it is the last
    line alone, as a killed run leaves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[Line] = []
        texts = path.read_bytes().splitlines() if path.is_file() else []
        lost = []
        for number, text in enumerate(texts):
            line = _line(text)
            if line is not None and (not self.lines or line["step"] > self.lines[-1]["step"]):
                self.lines.append(line)
            else:
                lost.append(number)
        if lost and lost != [len(texts) - 1]:
            message = f"{path}: {plural(len(lost), 'line')} not as a run writes them are left out"
            warnings.warn(message, Surprise, stacklevel=2)

    def cut(self, step: int) -> None:
        """Drop the lines of this step and later ones: a killed run logged more than its last checkpoint knows."""
        self.lines[:] = [line for line in self.lines if line["step"] < step]
        self._rewrite()

    def _rewrite(self) -> None:
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        with written_whole(self.path, len(text)) as part:
            part.write_text(text, encoding="utf-8")

    def replace_last(self, line: Line) -> None:
        """Write another line in the place of the last one."""
        self.lines[-1] = line
        self._rewrite()

    def add(self, line: Line) -> None:
        self.lines.append(line)
        text = json.dumps(line) + "\n"
        with full_disk_named(self.path, len(text)), self.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def series(self, key: str) -> list[tuple[int, float]]:
        """(step, value) of every line that has the value."""
        return [(int(line["step"]), line[key]) for line in self.lines if key in line]


class Watch:
    """A callback of the loop that measures, logs and announces."""

    def __init__(self, config: ControlConfig, task: ControlTask, source: Source, *, log: Path, say: Say) -> None:
        self.config, self.task, self.source, self.say = config, task, source, say
        self.log = Log(log)
        self.detector = detector_of(self.log)
        self.step = int(self.lines[-1]["step"]) if self.lines else 0
        self._has_told = False  # that there is no score
        self._announced: Jump | None = None
        self._before: float | None = None  # seconds of training in earlier processes; None until the first call

    @property
    def lines(self) -> list[Line]:
        return self.log.lines

    def __call__(self, now: Progress) -> None:
        before = self._begun_at(now.step) if self._before is None else self._before
        self.step = now.step
        line: Line = {"step": now.step, "lr": now.learning_rate, "seconds": round(before + now.seconds, 2)}
        if now.loss is not None:
            line["loss"] = round(now.loss, 6)
        try:
            line |= self._figures(now)
        finally:  # also of a step whose score was interrupted: the next process takes it
            self.log.add(line)
        self._tell(line, now)

    def resumed(self, now: Progress) -> None:
        """Measure of the step that a run goes on from what was not measured because it was interrupted there."""
        self._begun_at(now.step + 1)
        line = self.lines[-1] if self.lines else None
        if line is None or line["step"] != now.step:  # the log was lost
            return
        is_short = self.config.has_gap(now.step) and "gap" not in line
        if is_short or (self.config.is_scored(now.step) and not line.keys() - UNSCORED):
            line = line | self._figures(now)
            self.log.replace_last(line)
            self._tell(line, now)

    def _begun_at(self, step: int) -> float:
        """Take up the log before a step; the seconds of earlier processes."""
        self.log.cut(step)
        self.detector = detector_of(self.log)
        self._before = self.lines[-1]["seconds"] if self.lines else 0.0
        return self._before

    def _figures(self, now: Progress) -> Line:
        """What is measured after a step."""
        line: Line = {}
        is_scored, has_gap = self.config.is_scored(now.step), self.config.has_gap(now.step)
        if is_scored or has_gap:
            with _averages_in_place(now.averaged):
                if has_gap:
                    line["gap"] = round(self.task.paired_gap(), 6)
                if is_scored:
                    line |= {key: round(value, 4) for key, value in self.scores().items()}
                    self._keep_best({"step": now.step, **line})
        return line

    def _samples_at(self, jump: Jump) -> str:
        """How many single samples began to follow in a jump."""
        counts = dict(self.log.series("n_follow"))
        if jump.foot not in counts or jump.top not in counts:
            return ""
        return f"; {counts[jump.foot]:.0f} of the samples followed before, {counts[jump.top]:.0f} after"

    def scores(self) -> dict[str, float]:
        """How well samples of held-out scenes follow the condition."""
        net = self.task.net.eval()
        try:
            return self.source.score(
                net,
                self.config.condition,
                n=self.config.n_score,
                seed=SCORE_SEED,
                steps=self.config.score_sampling_steps,
            )
        finally:
            net.train()

    def _keep_best(self, line: Line) -> None:
        """Keep the control of the best score so far, as hosts load it; training moves on, and may move away from it."""
        before = [score for step, score in self.log.series("follow") if step]
        if line["step"] == 0 or "follow" not in line or line["follow"] <= max(before, default=-1.0):
            return
        if isinstance(self.task.net, ControlNet):
            training = {key: line[key] for key in ("step", "follow")}
            provenance = {"config": self.config.record(), "training": training}
            path = self.log.path.with_name(BEST)
            save_controlnet(self.task.net, path, dtype=torch.float16, provenance=provenance)

    def _tell(self, line: Line, now: Progress) -> None:
        """Say what was measured of a scored step, and whether it shows the jump."""
        if not self.config.is_scored(now.step):
            return
        figures = [f"{key} {line[key]:.4f}" for key in ("loss", "gap") if key in line]
        if "follow" in line:
            figures.append(following_text(line, in_full=now.step in (0, now.steps)))
        figures += [f"{key} {line[key]:.3f}" for key in ("iou", "edge_f1", "shading") if key in line]
        left = f", {duration(now.seconds_left)} left" if now.seconds_left else ""
        self.say(f"step {now.step}/{now.steps}: {', '.join(figures)}{left}")
        if "follow" not in line and not self._has_told:
            self._has_told = True
            cause = "true pictures score no more than chance" if "saturated" in line else "nothing draws it again"
            self.say(f"this condition has no score, {cause}: the gap and the samples tell what is learnt")
        if "follow" in line:
            self._announce(now, is_new=self.detector.add(now.step, line["follow"]) is not None)

    def _announce(self, now: Progress, *, is_new: bool) -> None:
        """Say the jump when a score shows it, and all of it once the rise is over; in a run that goes on, once more."""
        jump = self.detector.jump
        is_whole = self.detector.is_over or now.step == now.steps
        if jump is not None and jump != self._announced and (is_new or is_whole):
            self._announced = jump
            self.say(f"{ANNOUNCEMENT}{jump}{self._samples_at(jump)}")


def following_text(line: Line, *, in_full: bool) -> str:
    """The score of a line in words; in full with what it is measured between."""
    text = f"following {line['follow']:.2f}"
    if "n_follow" in line:
        text += f" ({line['n_follow']:.0f} of {line['n_scored']:.0f} samples)"
    if in_full and "floor" in line:
        text += (
            f", error {line['follow_error']:.2f}: score {line['score']:.3f}, without control {line['floor']:.3f}, "
            f"beside another's condition {line['other']:.3f}, of true pictures {line['ceiling']:.3f}"
        )
    if line.get("saturated", 0.0) > line.get("saturated_without", 0.0) + RUINED:
        text += f", {line['saturated']:.0%} of the pixels' channels burnt out"
    return text


def _line(text: bytes) -> Line | None:
    """A line of a log; None for what a run cannot have written."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_whole = isinstance(line, dict) and isinstance(line.get("step"), int) and "seconds" in line
    return line if is_whole and all(isinstance(value, int | float) for value in line.values()) else None


def detector_of(log: Log) -> JumpDetector:
    """A detector that has taken the scores of a log."""
    detector = JumpDetector()
    for step, score in log.series("follow"):
        detector.add(step, score)
    return detector


@contextmanager
def _averages_in_place(averages: Averages | None) -> Iterator[None]:
    """The averaged weights in the place of the last ones, for as long as something is measured."""
    with nullcontext() if averages is None else averages.applied():
        yield
