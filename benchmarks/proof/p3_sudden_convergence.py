"""P3. Sudden convergence: the control does not learn to follow step by step, it begins to at once, and its pictures are
good throughout (arXiv 2302.05543, 3.3 and Fig. 4)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.criterion import Figure, at_least, at_most
from benchmarks.proof.record import Proof, Training
from benchmarks.proof.training import settings_of, train
from zeroctl_core import ControlNet, ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile, write_picture
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.picture_file import read_picture
from zeroctl_core.demo.source import Request, World
from zeroctl_core.train.loop import Progress
from zeroctl_core.train.run import new_control
from zeroctl_core.train.watching import Log, detector_of

EVERY = 10  # steps between two samples of the strip
AROUND = 3  # samples before and after the jump on the strip
ROWS = 3
GROUND, BURNT = 0.9, 0.02
CLAIM = "A control begins to follow at once, and its pictures are good before, while and after it does"
CRITERION = (
    "by the settings of the embedded edge control the trainer announces a jump of following in every seed; at every "
    f"scored step at least {GROUND:g} times as many grounds have the prompt's colour as without control, and at most "
    f"{BURNT:g} more of the pixels' channels are burnt out"
)
STRIP = Request(n=ROWS, seed=121, steps=10)


@dataclass(frozen=True, kw_only=True)
class Options(Training):
    steps: int = 300
    """optimiser steps of a run; the embedded control has more, at the same constant rate"""
    n: int = 24
    """held-out scenes of a score"""


class Strip:
    """A callback of the loop that keeps samples of the same scenes and noise, every 10 steps, as files."""

    def __init__(self, source: World, net: ControlNet, folder: Path) -> None:
        self.source, self.net, self.folder = source, net, folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, step: int, row: int) -> Path:
        return self.folder / f"{step:04}-{row}.png"

    def __call__(self, now: Progress) -> None:
        if now.step % EVERY:
            return
        self.net.eval()
        with nullcontext() if now.averaged is None else now.averaged.applied():
            pictures = self.source.samples(STRIP, lambda truth: [ControlUnit(self.net, CONDITIONS["edges"](truth))])
        self.net.train()
        for row, picture in enumerate(pictures):
            write_picture(self.path(now.step, row), picture)

    def picture(self, step: int, row: int) -> Tensor:
        return read_picture(self.path(step, row))[0]


def scored_at(steps: int) -> tuple[int, ...]:
    """As the trainer scores, and every 10 steps beyond: the jump may come late."""
    return tuple(range(EVERY, min(steps, 200) + 1, EVERY))


def losses_of(log: Log) -> tuple[float, float]:
    """The mean loss of the first and of the last tenth."""
    losses = [loss for _, loss in log.series("loss")]
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


def main() -> None:
    proof = Proof("p3_sudden_convergence", Options, claim=CLAIM, criterion=CRITERION)
    options, source = proof.options, proof.source
    logs: dict[int, Log] = {}
    strip: Strip | None = None
    for seed in proof.seeds:
        config = replace(
            settings_of(proof, "edges", "run", seed, options.steps),
            score_every=50,
            score_steps=scored_at(options.steps),
            n_score=options.n,
            gap_every=EVERY,
        )
        net = new_control(config, source)
        own = Strip(source, net, config.folder / "strip")
        _, logs[seed] = train(config, source, net, proof.say, [own] if strip is None else [])
        strip = strip or own
    jumps = {seed: detector_of(log).jump for seed, log in logs.items()}
    per_seed = {seed: _quality(log) for seed, log in logs.items()}
    grounds = Figure.of(quality["ground"] for quality in per_seed.values())
    burnt = Figure.of(quality["burnt"] for quality in per_seed.values())
    announced = Figure.of(jump is not None for jump in jumps.values())
    losses = {seed: losses_of(log) for seed, log in logs.items()}
    last = Figure.of(log.series("follow")[-1][1] for log in logs.values())
    steps = ", ".join("none" if jump is None else f"step {jump.step}" for jump in jumps.values())
    left = Figure.of(after / before for before, after in losses.values())
    proof.conclude(
        [
            at_least("share of seeds with a jump announced", announced, 1.0),
            at_least("lowest share of right grounds over that without control", grounds, GROUND),
            at_most("most burnt-out channels beyond those without control", burnt, BURNT, spec=".3f"),
        ],
        f"jumps: {steps}; following {last} after {options.steps} steps; the loss fell to {left} of what it was",
    )
    proof.curves(lambda *axes: _draw(axes, logs, jumps), panels=3)
    assert strip is not None
    proof.sheet(_strip_rows(strip, jumps[proof.seeds[0]], options.steps, source), "_strip.png")
    proof.write(
        {
            "jumps": {seed: None if jump is None else asdict(jump) for seed, jump in jumps.items()},
            "following_at_the_end": last,
            "lowest_share_of_right_grounds_over_without": grounds,
            "most_burnt_out_beyond_without": burnt,
            "loss_of_the_last_tenth_over_the_first": left,
            "curves": {
                seed: {
                    key: log.series(key)
                    for key in ("follow", "follow_error", "n_follow", "ground", "thing", "saturated", "gap")
                }
                for seed, log in logs.items()
            },
            "saturated_without": Figure.of(log.series("saturated_without")[0][1] for log in logs.values()),
        }
    )


def _quality(log: Log) -> dict[str, float]:
    """The worst of all scored steps, beside the samples without control, which step 0 is."""
    grounds = [share for _, share in log.series("ground")]
    without = dict(log.series("saturated_without"))
    burnt = max(share - without[step] for step, share in log.series("saturated"))
    return {"ground": min(grounds) / max(grounds[0], 1e-9), "burnt": burnt}


def _draw(axes: Any, logs: dict[int, Log], jumps: dict[int, Any]) -> None:
    follow, quality, loss = axes
    _band(follow, logs, "follow", "mean")
    for seed, log in logs.items():
        steps, scores = zip(*log.series("follow"), strict=True)
        follow.plot(steps, scores, ".-", linewidth=0.8, label=f"seed {seed}")
        if jumps[seed] is not None:
            follow.axvline(jumps[seed].step, color="grey", linestyle=":")
    follow.set_ylabel("following (dotted: jump announced)")
    for key, label in (("ground", "right grounds"), ("thing", "right things"), ("saturated", "burnt-out channels")):
        if all(log.series(key) for log in logs.values()):
            _band(quality, logs, key, label)
    quality.set_ylabel("share of the same samples")
    quality.set_ylim(0, 1.02)
    _band(loss, logs, "gap", "paired gap", scale=True)
    _band(loss, logs, "loss", "loss, mean of 10 steps", scale=True)
    loss.set_ylabel("over the mean loss of the first tenth")
    for panel in axes:
        panel.set_xlabel("optimiser step")
        panel.legend(fontsize=8)


def _band(axes: Any, logs: dict[int, Log], key: str, label: str, *, scale: bool = False) -> None:
    """Mean and standard error over the seeds at every step that all of them have."""
    rows = []
    for log in logs.values():
        series = log.series(key)
        if key == "loss":
            series = _smooth(series)
        unit = losses_of(log)[0] if scale else 1.0
        rows.append({step: value / unit for step, value in series})
    steps = sorted(set.intersection(*map(set, rows)))
    figures = [Figure.of(row[step] for row in rows) for step in steps]
    means, errors = [f.mean for f in figures], [f.error or 0.0 for f in figures]
    (line,) = axes.plot(steps, means, label=f"{label}, ± standard error", linewidth=2)
    low, high = ([m + sign * e for m, e in zip(means, errors, strict=True)] for sign in (-1, 1))
    axes.fill_between(steps, low, high, alpha=0.25, color=line.get_color())


def _smooth(series: list[tuple[int, float]], count: int = 10) -> list[tuple[int, float]]:
    values = torch.tensor([value for _, value in series])
    means = values.unfold(0, min(count, len(values)), 1).mean(dim=1)
    return [(step, float(mean)) for (step, _), mean in zip(series[-len(means) :], means, strict=True)]


def _strip_rows(strip: Strip, jump: Any, steps: int, source: World) -> list[tuple[str, list[Tile]]]:
    """Samples every 10 steps around the jump of the first seed; around the middle where there is none."""
    last = steps // EVERY * EVERY
    middle = (jump.step if jump else steps // 2) // EVERY * EVERY
    around = range(middle - AROUND * EVERY, middle + (AROUND + 1) * EVERY, EVERY)
    places = [step for step in around if 0 <= step <= last]
    world = source.world(STRIP)
    edges = CONDITIONS["edges"](source.render(world))
    prompts = STRIP.prompts(world)
    return [
        (
            f'"{prompts[row]}"',
            [Tile(edges[row], "condition")]
            + [Tile(strip.picture(step, row), f"step {step}") for step in dict.fromkeys([*places, last])],
        )
        for row in range(len(world))
    ]


if __name__ == "__main__":
    main()
