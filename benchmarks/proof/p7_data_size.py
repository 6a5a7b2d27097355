"""P7. Size of the data set: 100, 1 k and 10 k scenes (arXiv 2302.05543, Fig. 10: 1 k, 50 k and 3 M images)."""

from __future__ import annotations

from benchmarks.proof.record import Proof
from benchmarks.proof.training import config, train
from zeroctl_core import ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.following import follow_scores
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.source import World
from zeroctl_core.demo.world import render, scenes
from zeroctl_core.train.run import new_control

SIZES = (100, 1000, 10_000)


def main() -> None:
    proof = Proof("p7_data_size", "More data follows better; little data does not collapse.", steps=300, n=64)
    source = World()
    model = source.model
    world = scenes(61, 0, proof.options.n, "held_out")
    truth = render(world)
    edges = CONDITIONS["edges"](truth)
    prompts = [one.caption for one in world]
    results: dict[int, dict[int, dict[str, float]]] = {}
    pictures = {}
    for size in SIZES:
        for seed in proof.options.seeds:
            settings = config("edges", seed, proof.options.steps, size)
            net, losses = train(settings, source, new_control(settings, source))
            samples = control_samples(model, [ControlUnit(net, edges)], prompts, 61)
            scores = follow_scores(samples, world)
            results.setdefault(size, {})[seed] = {
                **{key: round(scores[key], 4) for key in ("iou", "edge_f1", "shading", "colour", "background")},
                "loss_last_50": sum(losses[-50:]) / 50,
            }
            pictures.setdefault(size, samples)
            print(f"{size} scenes, seed {seed}: {results[size][seed]}")
    rows = []
    for n in range(3):
        tiles = [Tile(edges[n], "condition")]
        for size in SIZES:
            runs = results[size].values()
            mean = sum(run["iou"] for run in runs) / len(runs)
            tiles.append(Tile(pictures[size][n], f"{size} scenes\nmean IoU {mean:.2f}"))
        rows.append((f'"{prompts[n]}"', tiles))
    proof.sheet(rows)
    figures = ", ".join(f"{size}: " + " ".join(f"{run['iou']:.3f}" for run in results[size].values()) for size in SIZES)
    proof.write(results, f"IoU on held-out scenes by number of scenes, {proof.options.steps} steps: {figures}")


if __name__ == "__main__":
    main()
