"""P4. Zero convolutions against Gaussian ones, and against ControlNet-lite, in four prompt settings (arXiv 2302.05543,
Fig. 8)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.proof.record import Proof
from benchmarks.proof.training import config, train
from zeroctl_core import ConditionEncoder, ControlNet, ControlUnit, Residuals
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.following import follow_scores
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.shapes import SHAPES
from zeroctl_core.demo.source import World
from zeroctl_core.demo.world import COLOURS, Scene, render, scenes
from zeroctl_core.train.run import new_control

VARIANTS = ("ControlNet", "Gaussian convolutions", "ControlNet-lite")


class Lite(nn.Module):
    """The paper's ControlNet-lite: every block's copy is replaced by one convolution layer on the condition's feature.

    Called like a `ControlNet`. The convolutions start as torch starts them: the condition encoder already ends in a
    zero convolution, and two zeros in a row would never wake.
    """

    def __init__(self, like: ControlNet) -> None:
        super().__init__()
        self.base = like.base
        spec = like.base.spec
        self.encoder = ConditionEncoder(
            spec.condition_channels, spec.model_channels, spec.condition_form, spec.condition_widths
        )
        self.convs = nn.ModuleList(nn.Conv2d(spec.model_channels, c.channels, 3, padding=1) for c in spec.connections)

    def encode(self, image: Tensor) -> Tensor:
        return self.encoder(image)

    def forward(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Tensor, y: Tensor | None = None) -> Residuals:
        maps = []
        for connection, conv in zip(self.base.connections, self.convs, strict=True):
            small = F.avg_pool2d(feature, connection.downsample)
            maps.append(conv(small).expand(x.shape[0], -1, -1, -1))
        return Residuals.of(maps)


def gaussian(net: ControlNet) -> ControlNet:
    """Gaussian weights, spread 1 / sqrt(channels), in the place of the zeros between copy and UNet."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(("zero_convs.", "middle_block_out.")) and name.endswith("weight"):
                parameter.normal_(std=1 / math.sqrt(parameter.shape[1]))
    return net


def conflicting(one: Scene) -> str:
    """A caption that is wrong in every name."""
    shape = list(SHAPES)[(list(SHAPES).index(one.shape) + 3) % len(SHAPES)]
    others = [name for name in COLOURS if name not in (one.colour, one.background)]
    return f"a {others[0]} {shape} on a {others[3]} background"


SETTINGS = {
    "no prompt": lambda one: "",
    "insufficient": lambda one: "a shape on a background",  # "shape" is not a word of the model: nothing is said
    "conflicting": conflicting,
    "perfect": lambda one: one.caption,
}


def main() -> None:
    proof = Proof(
        "p4_ablation", "Zero convolutions and the deep copy are what makes a control follow.", steps=300, n=64
    )
    source = World()
    model = source.model
    results = {}
    pictures: dict[tuple[str, str], Tensor] = {}
    world = scenes(31, 0, proof.options.n, "held_out")
    truth = render(world)
    edges = CONDITIONS["edges"](truth)
    for seed in proof.options.seeds:
        for variant in VARIANTS:
            settings = config("edges", seed, proof.options.steps)
            net: nn.Module = new_control(settings, source)
            if variant == "Gaussian convolutions":
                torch.manual_seed(seed)
                net = gaussian(net)
            elif variant == "ControlNet-lite":
                torch.manual_seed(seed)
                net = Lite(net)
            print(f"seed {seed}, {variant}: {sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters")
            net, losses = train(settings, source, net)
            result = {"loss_first_20": sum(losses[:20]) / 20, "loss_last_50": sum(losses[-50:]) / 50}
            for name, prompt in SETTINGS.items():
                samples = control_samples(model, [ControlUnit(net, edges)], [prompt(one) for one in world], 31)
                scores = follow_scores(samples, world)
                result[name] = {key: round(scores[key], 4) for key in ("iou", "edge_f1", "colour", "background")}
                pictures.setdefault((variant, name), samples)
                print(f"  {variant}, {name}: IoU {scores['iou']:.3f}, edge F1 {scores['edge_f1']:.3f}")
            results.setdefault(variant, {})[seed] = result
    rows = []
    for name in SETTINGS:
        tiles = [Tile(edges[0], "condition")]
        tiles += [
            Tile(pictures[variant, name][0], f"{variant}\nIoU {_mean(results[variant], name):.2f}")
            for variant in VARIANTS
        ]
        rows.append((f"{name}: {SETTINGS[name](world[0])!r}", tiles))
    proof.sheet(rows)
    best = {name: max(VARIANTS, key=lambda v: _mean(results[v], name)) for name in SETTINGS}
    proof.write(results, "follows best (mean IoU over seeds): " + ", ".join(f"{k}: {v}" for k, v in best.items()))


def _mean(runs: dict[int, dict[str, dict[str, float]]], setting: str) -> float:
    return sum(run[setting]["iou"] for run in runs.values()) / len(runs)


if __name__ == "__main__":
    main()
