"""P10. One sheet of conditions, without a prompt: those of the paper's Fig. 1 and 7 that the embedded world has, on
things that the networks were trained on beside things that none of them ever saw (arXiv 2302.05543)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from torch import Tensor, nn

from benchmarks.criterion import Figure, at_least
from benchmarks.proof.following import Rows, add, control, figures_of, mode, over_seeds
from benchmarks.proof.record import Proof, Training
from benchmarks.proof.training import settings_of, train
from zeroctl_core import MODES
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import control_files, load_control
from zeroctl_core.demo.scene import Split
from zeroctl_core.demo.source import Request
from zeroctl_core.train.run import new_control

IN_THE_PAPER = {
    "edges": "Canny edges",
    "scribble": "user's sketch",
    "depth": "depth map",
    "normals": "normal map",
    "mask": "segmentation, of two classes",
    "colours": "colour squares, not in the paper",
}
"""Condition -> its name in the paper's Fig. 1 and 7. Of those there the world has no straight lines (M-LSD), no soft
edges (HED) and no people."""

SPLITS: dict[Split, str] = {"held_out": "trained on", "new_things": "never trained on"}
KNOWN, NEW = SPLITS
FOLLOWS, AS_WELL, OF_CEILING = 0.75, 0.9, 0.97
SHOWN = 2
CLAIM = "Without a prompt each condition is followed, on things never trained on as well as on those trained on"
CRITERION = (
    f"in each condition following is at least {FOLLOWS:g} for things trained on, and for others at least {AS_WELL:g} "
    f"times that; edges of things never trained on are found again {OF_CEILING:g} times as well as in true pictures"
)
SEED = 71  # of scenes, with each seed a hundred further


@dataclass(frozen=True, kw_only=True)
class Options(Training):
    steps: int = 300
    """optimiser steps of the conditions that have no embedded control"""
    n: int = 64
    """scenes of each kind and seed"""


def net_of(proof: Proof[Options], condition: str) -> tuple[nn.Module, str]:
    """The embedded control, or one that is trained here, by the same settings; and which of them it is."""
    options = proof.options
    if condition in control_files(options.weights):
        return load_control(condition, options.weights), "embedded"
    config = settings_of(proof, condition, condition, 0, options.steps)
    net, _ = train(config, proof.source, new_control(config, proof.source), proof.say)
    return net, f"trained here, {options.steps} steps"


def main() -> None:
    assert set(SPLITS) <= set(get_args(Split))
    proof = Proof("p10_conditions", Options, claim=CLAIM, criterion=CRITERION)
    proof.needs_things()
    options, source = proof.options, proof.source
    rows: dict[str, dict[Split, Rows]] = {name: {split: {} for split in SPLITS} for name in IN_THE_PAPER}
    first_samples: dict[tuple[str, Split], Tensor] = {}
    origin: dict[str, str] = {}
    for name in IN_THE_PAPER:
        net, origin[name] = net_of(proof, name)
        settings = mode(net, *MODES["paper"])
        for seed in proof.seeds:
            for split in SPLITS:
                request = Request(split=split, n=options.n, seed=SEED + 100 * seed, prompt="")
                pictures = source.samples(request, control(net, name, **settings))
                add(rows[name][split], figures_of(source, name, request, pictures))
                first_samples.setdefault((name, split), pictures[:SHOWN])
        text = ", ".join(f"{text} {rows[name][split]['follow'][-1]:.2f}" for split, text in SPLITS.items())
        proof.say(f"{name}, {origin[name]}: following of things {text}")
    follow = {name: {s: Figure.of(some["follow"]) for s, some in of.items()} for name, of in rows.items()}
    edges = rows["edges"][NEW]
    parts = []
    for name, figures in follow.items():
        parts.append(at_least(f"{name}: following, things trained on", figures[KNOWN], FOLLOWS))
        parts.append(at_least(f"{name}: things never trained on over those", figures[NEW] / figures[KNOWN], AS_WELL))
    of_ceiling = Figure.of(edges.get("score", [])) / Figure.of(edges.get("ceiling", []))
    parts.append(at_least("edges of things never trained on, F1 over that of true pictures", of_ceiling, OF_CEILING))
    proof.conclude(
        parts,
        "following, things trained on and never trained on: "
        + "; ".join(f"{name} {figures[KNOWN]} and {figures[NEW]}" for name, figures in follow.items()),
    )
    sheet = []
    truth = {
        split: source.render(source.world(Request(split=split, n=SHOWN, seed=SEED + 100 * proof.seeds[0])))
        for split in SPLITS
    }
    for name, title in IN_THE_PAPER.items():
        tiles = []
        for split, text in SPLITS.items():
            images = CONDITIONS[name](truth[split])
            for n in range(min(SHOWN, options.n)):
                tiles += [Tile(images[n], name), Tile(first_samples[name, split][n], text)]
        figures = follow[name]
        heading = f"{title} ({origin[name]}): following {figures[KNOWN]}; never trained on {figures[NEW]}"
        sheet.append((heading, tiles))
    proof.sheet(sheet)
    proof.write(
        {
            "controls": origin,
            "following": {name: {SPLITS[s]: figure for s, figure in of.items()} for name, of in follow.items()},
            "edges_of_things_never_trained_on_over_the_ceiling": of_ceiling,
            "others": {
                name: {SPLITS[split]: over_seeds(some) for split, some in of.items()} for name, of in rows.items()
            },
        }
    )


if __name__ == "__main__":
    main()
