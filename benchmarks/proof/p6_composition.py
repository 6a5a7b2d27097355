"""P6. Two controls compose by plain addition (arXiv 2302.05543, 3.4 and Fig. 6): edges carry the shape, a colour map
the colours, and no prompt says anything."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.proof.record import Proof
from benchmarks.proof.training import config, train
from zeroctl_core import ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.following import follow_scores
from zeroctl_core.demo.model import load_control
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.source import World
from zeroctl_core.demo.world import render, scenes
from zeroctl_core.train.run import new_control


def main() -> None:
    proof = Proof("p6_composition", "Added controls each give what they carry, without weights.", steps=900, n=64)
    source, edges_net = World(), load_control("edges")
    results: dict[str, dict[int, dict[str, float]]] = {}
    columns = {}
    for seed in proof.options.seeds:
        # always without a prompt, as it is used here: with half of the prompts it had learnt little after 600 steps
        settings = replace(config("colours", seed, proof.options.steps), prompt_dropout=1.0)
        colours_net, _ = train(settings, source, new_control(settings, source))
        world = scenes(51 + seed, 0, proof.options.n, "held_out")
        truth = render(world)
        edges, colours = CONDITIONS["edges"](truth), CONDITIONS["colours"](truth)
        # cond only: without a prompt the two branches differ by the controls alone, see p5_guidance
        shape, colour = (
            ControlUnit(edges_net, edges, branches="cond"),
            ControlUnit(colours_net, colours, branches="cond"),
        )
        units = {
            "edges alone": [shape],
            "colours alone": [colour],
            "edges + colours": [shape, colour],
            "colours + edges": [colour, shape],
        }
        pictures = {
            name: control_samples(source.model, some, [""] * len(world), 51 + seed) for name, some in units.items()
        }
        for name, samples in pictures.items():
            scores = follow_scores(samples, world)
            figures = {key: round(scores[key], 4) for key in ("iou", "edge_f1", "colour", "background")}
            results.setdefault(name, {})[seed] = figures
            print(f"seed {seed}, {name}: {figures}")
        apart = float((pictures["edges + colours"] - pictures["colours + edges"]).abs().max())
        results.setdefault("largest difference of the two orders", {})[seed] = {"pixels": apart}
        if not columns:
            columns = {"truth": truth.image, "edges": edges, "colours": colours, **pictures}
    names = ("truth", "edges", "colours", "edges alone", "colours alone", "edges + colours")
    proof.sheet([("no prompt", [Tile(columns[name][n], name) for name in names]) for n in range(4)])
    both, first = results["edges + colours"], proof.options.seeds[0]
    proof.write(
        results,
        f"both added: IoU {both[first]['iou']:.2f}, object colour {both[first]['colour']:.2f}, ground "
        f"{both[first]['background']:.2f}; edges alone: IoU {results['edges alone'][first]['iou']:.2f}, colour "
        f"{results['edges alone'][first]['colour']:.2f}; colours alone: IoU "
        f"{results['colours alone'][first]['iou']:.2f}, colour {results['colours alone'][first]['colour']:.2f}",
    )


if __name__ == "__main__":
    main()
