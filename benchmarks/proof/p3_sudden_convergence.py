"""P3. Sudden convergence: the control does not learn to follow step by step, it begins to at once (arXiv 2302.05543,
Fig. 4)."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.proof.record import Proof
from zeroctl_core import ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.source import World
from zeroctl_core.demo.world import render, scenes
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.run import train_control


def main() -> None:
    proof = Proof("p3_sudden_convergence", "The score of following jumps; the loss hardly moves.", steps=450)
    source = World()
    results = {}
    runs = {}
    for seed in proof.options.seeds:
        with tempfile.TemporaryDirectory() as work:
            config = ControlConfig(
                condition="edges",
                seed=seed,
                snr_gamma=None,
                steps=proof.options.steps,
                n_score=24,
                gap_every=25,
                work=Path(work),
            )
            run = train_control(config, source)
        runs[seed] = run
        rows = [line for line in run.log if "follow" in line]
        losses = [line["loss"] for line in run.log if "loss" in line]
        tenth = max(1, len(losses) // 10)
        results[seed] = {
            "score": [[line["step"], line["iou"]] for line in rows],
            "following": [[line["step"], line["follow"]] for line in rows],
            "edge_f1": [[line["step"], line["edge_f1"]] for line in rows],
            "jump": None if run.jump is None else dataclasses.asdict(run.jump),
            "loss_first_tenth": sum(losses[:tenth]) / tenth,
            "loss_last_tenth": sum(losses[-tenth:]) / tenth,
            "seconds_of_training": rows[-1]["seconds"],
        }
    world = scenes(21, 0, 4, "held_out")
    truth = render(world)
    edges = CONDITIONS["edges"](truth)
    net = runs[proof.options.seeds[0]].net
    prompts = [one.caption for one in world]
    before, after = (control_samples(source.model, units, prompts, 21) for units in ([], [ControlUnit(net, edges)]))
    proof.sheet(
        [
            (
                f'"{prompts[n]}"',
                [Tile(edges[n], "condition"), Tile(before[n], "step 0"), Tile(after[n], f"step {proof.options.steps}")],
            )
            for n in range(len(world))
        ],
        "_samples.png",
    )

    def draw(axes: Any) -> None:
        for seed, result in results.items():
            steps, scores = zip(*result["score"], strict=True)
            axes.plot(steps, scores, "o-", label=f"IoU of samples, seed {seed}")
            jump = runs[seed].jump
            if jump is not None:
                axes.axvline(jump.step, color="grey", linestyle=":", label=f"jump announced, seed {seed}")
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("IoU with the renderer's mask, 24 held-out scenes")
        axes.set_ylim(0, 1)
        axes.legend()

    proof.curves(draw)
    jumps = [result["jump"] for result in results.values()]
    proof.write(results, f"a jump was announced in {sum(j is not None for j in jumps)} of {len(jumps)} runs")


if __name__ == "__main__":
    main()
