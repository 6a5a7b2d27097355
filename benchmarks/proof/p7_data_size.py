"""P7. Size of the data set, each scene of it seen (arXiv 2302.05543, 4.4 and Fig. 10: 1 k, 50 k and 3 M images)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.criterion import Figure, at_least
from benchmarks.proof.following import Rows, add, control, figures_of, mean_of, over_seeds
from benchmarks.proof.record import Common, Proof
from benchmarks.proof.training import settings_of, train
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.source import Request, World
from zeroctl_core.train.data import ControlBatch, ControlData
from zeroctl_core.train.run import new_control

BATCH = 10  # of every size: the smallest set has no more
ENOUGH, HALF, ERRORS = 0.9, 0.5, 2.0
CLAIM = "Little data does not collapse, and more data does not follow worse"
CRITERION = (
    f"by equal numbers of steps: the second largest set follows at least {ENOUGH:g} times as well as the largest, the "
    f"smallest by at least {HALF:g}; and no set follows worse than a smaller one by more than {ERRORS:g} standard "
    "errors of the difference"
)
SEED = 61  # of held-out scenes


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    sizes: tuple[int, ...] = (10, 100, 1000, 4096)
    """training scenes, rising"""
    steps: int = 500
    """optimiser steps of each run, of 10 scenes: enough to see each scene of the largest set"""
    n: int = 64
    """held-out scenes of each score"""

    @property
    def scenes(self) -> int:
        """Those of the largest set, of which the smaller ones are the first."""
        return max(self.sizes)


class FirstScenes:
    """The first scenes of a set, as a `ControlData`."""

    def __init__(self, data: ControlData, count: int) -> None:
        self.data, self.count = data, count
        self.name, self.empty = f"{data.name} first {count}", data.empty

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        return self.data.batch(indices)


class SmallWorld(World):
    """The world with a part of its training scenes."""

    def __init__(self, source: World, size: int) -> None:
        super().__init__(source.folder, emoji=source.package, work=source.work, parts=source.model)
        self.size = size

    def data(self, condition: str, *, seed: int, count: int | None, cache: Path | None) -> ControlData:
        """`count` scenes are prepared, once for all sizes."""
        return FirstScenes(super().data(condition, seed=seed, count=count, cache=cache), self.size)


def main() -> None:
    proof = Proof("p7_data_size", Options, claim=CLAIM, criterion=CRITERION)
    options, source = proof.options, proof.source
    sizes = options.sizes
    if list(sizes) != sorted(set(sizes)) or len(sizes) < 2 or sizes[0] < BATCH:
        sys.exit(f"error: sizes are {sizes}; expected at least two, rising, none below {BATCH}, which a step takes")
    if options.steps * BATCH < sizes[-1]:
        sys.exit(
            f"error: {options.steps} steps of {BATCH} scenes do not show each of {sizes[-1]}; expected at least "
            f"{-(-sizes[-1] // BATCH)} steps"
        )
    request = Request(n=options.n, seed=SEED)
    rows: dict[int, Rows] = {size: {} for size in sizes}
    losses: dict[int, Rows] = {size: {} for size in sizes}
    first_samples: dict[int, Tensor] = {}
    for seed in proof.seeds:
        for size in sizes:
            config = replace(settings_of(proof, "edges", str(size), seed, options.steps), batch_size=BATCH)
            small = SmallWorld(source, size)
            net, log = train(config, small, new_control(config, source), proof.say)
            series = [loss for _, loss in log.series("loss")]
            add(losses[size], {"first_20": mean_of(series[:20]), "last_50": mean_of(series[-50:])})
            pictures = source.samples(request, control(net, "edges"))
            add(rows[size], figures_of(source, "edges", request, pictures))
            first_samples.setdefault(size, pictures[:3])
            proof.say(f"seed {seed}, {size} scenes: following {rows[size]['follow'][-1]:.2f}")
    follow = {size: Figure.of(some["follow"]) for size, some in rows.items()}
    least, second, most = sizes[0], sizes[-2], sizes[-1]
    parts = [
        at_least(f"following of {second} scenes over that of {most}", follow[second] / follow[most], ENOUGH),
        at_least(f"following of {least} scenes", follow[least], HALF),
    ]
    for fewer, more in zip(sizes, sizes[1:], strict=False):
        parts.append(
            at_least(
                f"following of {more} scenes less that of {fewer}", follow[more] - follow[fewer], 0, errors=-ERRORS
            )
        )
    proof.conclude(
        parts,
        f"following of held-out scenes after {options.steps} steps of {BATCH}: "
        + ", ".join(f"{size} scenes {figure}" for size, figure in follow.items()),
    )

    def draw(axes: Any) -> None:
        axes.errorbar(
            sizes, [f.mean for f in follow.values()], [f.error or 0 for f in follow.values()], fmt="o-", capsize=4
        )
        axes.set_xscale("log")
        axes.set_xlabel("training scenes, each seen")
        axes.set_ylabel("following of held-out scenes, ± standard error over the seeds")

    proof.curves(draw)
    world = source.world(request)[:3]
    edges = CONDITIONS["edges"](source.render(world))
    proof.sheet(
        [
            (
                f'"{prompt}"',
                [Tile(edges[n], "condition")]
                + [Tile(first_samples[size][n], f"{size} scenes: {figure}") for size, figure in follow.items()],
            )
            for n, prompt in enumerate(request.prompts(world))
        ],
        "_samples.png",
    )
    proof.write(
        {
            "following": follow,
            "times_that_a_scene_was_seen": {size: options.steps * BATCH / size for size in sizes},
            "loss": {size: over_seeds(some) for size, some in losses.items()},
            "others": {size: over_seeds(some) for size, some in rows.items()},
        }
    )


if __name__ == "__main__":
    main()
