"""P5. Guidance without a prompt: control on both branches, on the conditional one, and with 64/h_i
(arXiv 2302.05543, 3.4 and Fig. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.proof.record import Proof
from zeroctl_core import MODES, RULES, ConnectionWeights, ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.following import background_colour, follow_scores, object_colour, object_mask
from zeroctl_core.demo.model import DemoModel, load_control
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.world import COLOURS, render, scenes

SCALES = (1.0, 3.0, 6.0, 9.0)
WAYS = {
    "both branches": ("uniform", "both"),
    "cond only, uniform": ("uniform", "cond"),
    "cond only, 64/h_i": MODES["paper"],
    "cond only, 64/h_i / 8": MODES["paper_normalised"],
}


def quality(pictures: Tensor) -> dict[str, float]:
    """How far a picture is from the world's look: distance of object and ground from the nearest of the world's colours
    (RGB, 0 is best), and the spread of the ground's pixels, which in the world is 0: blotches."""
    inside = object_mask(pictures)
    palette = torch.tensor(list(COLOURS.values()))
    off = [
        torch.cdist(colour, palette).min(dim=1).values.mean()
        for colour in (object_colour(pictures, inside), background_colour(pictures))
    ]
    ground = ~inside
    spread = torch.stack([p[:, g].std(dim=1).mean() for p, g in zip(pictures, ground, strict=True)])
    return {"off_palette": float((off[0] + off[1]) / 2), "blotches": float(spread.mean())}


def main() -> None:
    proof = Proof("p5_guidance", "64/h_i on the conditional branch gives guidance without a prompt.", n=48)
    model, net = DemoModel.load(), load_control("edges")
    results: dict[str, dict[str, dict[str, float]]] = {}
    pictures = {}
    for way, (rule, branches) in WAYS.items():
        for scale in SCALES:
            totals: dict[str, float] = {}
            for seed in proof.options.seeds:
                world = scenes(41 + seed, 0, proof.options.n, "held_out")
                edges = CONDITIONS["edges"](render(world))
                weights = ConnectionWeights(tuple(RULES[rule](net.base.connections)))
                unit = ControlUnit(net, edges, weights=weights, branches=branches)
                samples = control_samples(model, [unit], [""] * len(world), seed, guidance=scale)
                followed = follow_scores(samples, world)
                scores = {"iou": followed["iou"], "edge_f1": followed["edge_f1"], **quality(samples)}
                for key, value in scores.items():
                    totals[key] = totals.get(key, 0.0) + value / len(proof.options.seeds)
                pictures.setdefault((way, scale), (samples, edges))
            results.setdefault(way, {})[f"{scale:g}"] = {key: round(value, 4) for key, value in totals.items()}
            print(f"{way}, guidance {scale:g}: " + ", ".join(f"{k} {v:.3f}" for k, v in totals.items()))
    world = scenes(41, 0, proof.options.n, "held_out")
    results["(renders)"] = {"-": {key: round(value, 4) for key, value in quality(render(world).image).items()}}
    rows = []
    for way in WAYS:
        tiles = [Tile(pictures[way, SCALES[0]][1][0], "edges, no prompt")]
        for scale in SCALES:
            scores = results[way][f"{scale:g}"]
            label = f"guidance {scale:g}: IoU {scores['iou']:.2f}\noff palette {scores['off_palette']:.2f}"
            tiles.append(Tile(pictures[way, scale][0][0], label))
        rows.append((way, tiles))
    proof.sheet(rows)
    at = {way: results[way]["3"]["iou"] for way in WAYS}
    proof.write(results, "IoU at guidance 3: " + ", ".join(f"{way} {value:.2f}" for way, value in at.items()))


if __name__ == "__main__":
    main()
