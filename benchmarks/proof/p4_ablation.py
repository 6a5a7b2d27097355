"""P4. Where the convolutions between copy and UNet start, and whether the copy is deep: zero, Gaussian, torch's own
start, and ControlNet-lite, in four prompt settings (arXiv 2302.05543, 4.4 and Fig. 8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.criterion import Figure, above
from benchmarks.proof.following import Rows, add, control, figures_of, mean_of, over_seeds
from benchmarks.proof.record import Proof, Training
from benchmarks.proof.training import settings_of, train
from benchmarks.proof.wording import SETTINGS, Worded
from benchmarks.proof.zero_convolutions import zero_convolutions
from zeroctl_core import ConditionEncoder, ControlNet, Residuals
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.control.rows import Branches
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.train.run import new_control

BROAD, NARROW = 1.0, 0.1
"""Standard deviations of the Gaussian starts, in 1 / sqrt(channels). torch's own is uniform, of .58."""
ERRORS = 2.0
CLAIM = (
    "In every prompt setting a control that starts from zero convolutions follows better than one that starts from "
    "others, and than ControlNet-lite"
)
CRITERION = (
    f"in each of the settings {', '.join(SETTINGS)} the mean following of zero convolutions is above that of each "
    f"other variant by {ERRORS:g} standard errors of their difference over the seeds"
)
SEED = 31  # of held-out scenes


@dataclass(frozen=True, kw_only=True)
class Options(Training):
    steps: int = 300
    """optimiser steps of each run"""
    n: int = 64
    """held-out scenes of each score"""


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


def with_starts(net: ControlNet, start: Callable[[nn.Conv2d], None]) -> ControlNet:
    """The same network with other values in the place of the zeros."""
    for conv in zero_convolutions(net):
        start(conv)
    return net


@torch.no_grad()
def gaussian(conv: nn.Conv2d, spread: float) -> None:
    """Weights alone; biases stay 0."""
    conv.weight.normal_(std=spread / math.sqrt(conv.in_channels))


VARIANTS: dict[str, Callable[[ControlNet], nn.Module]] = {
    "zero": lambda net: net,
    f"Gaussian {BROAD:g}": lambda net: with_starts(net, lambda conv: gaussian(conv, BROAD)),
    f"Gaussian {NARROW:g}": lambda net: with_starts(net, lambda conv: gaussian(conv, NARROW)),
    "torch's own": lambda net: with_starts(net, lambda conv: conv.reset_parameters()),
    "ControlNet-lite": Lite,
}
ZERO, *OTHERS = VARIANTS


def branches_of(setting: str) -> Branches:
    """With the same empty prompt on both sides there would be no guidance to follow by."""
    return "cond" if setting == "no prompt" else "both"


def main() -> None:
    proof = Proof("p4_ablation", Options, claim=CLAIM, criterion=CRITERION)
    options, source = proof.options, proof.source
    requests = {setting: Worded(n=options.n, seed=SEED, setting=setting) for setting in SETTINGS}
    rows: dict[tuple[str, str], Rows] = {(name, setting): {} for name in VARIANTS for setting in SETTINGS}
    losses: dict[str, Rows] = {name: {} for name in VARIANTS}
    first_samples: dict[tuple[str, str], Tensor] = {}
    for seed in proof.seeds:
        for name, variant in VARIANTS.items():
            config = settings_of(proof, "edges", name.replace(" ", "-").replace("'", ""), seed, options.steps)
            start = new_control(config, source)
            torch.manual_seed(seed)
            net, log = train(config, source, variant(start), proof.say)
            series = [loss for _, loss in log.series("loss")]
            add(losses[name], {"first_20": mean_of(series[:20]), "last_50": mean_of(series[-50:])})
            for setting, request in requests.items():
                pictures = source.samples(request, control(net, "edges", branches=branches_of(setting)))
                add(rows[name, setting], figures_of(source, "edges", request, pictures))
                first_samples.setdefault((name, setting), pictures[0])
            text = ", ".join(f"{setting} {rows[name, setting]['follow'][-1]:.2f}" for setting in SETTINGS)
            proof.say(f"seed {seed}, {name}: following {text}")
    table = {setting: {name: Figure.of(rows[name, setting]["follow"]) for name in VARIANTS} for setting in SETTINGS}
    proof.conclude(
        [
            above(f"{setting}: zero over {other}", figures[ZERO] - figures[other], 0, errors=ERRORS)
            for setting, figures in table.items()
            for other in OTHERS
        ],
        "following, "
        + "; ".join(
            f"{setting}: " + ", ".join(f"{name} {figure}" for name, figure in figures.items())
            for setting, figures in table.items()
        ),
    )
    world = source.world(requests["perfect"])
    edges = CONDITIONS["edges"](source.render(world[:1]))[0]
    proof.sheet(
        [
            (
                f'{setting}: "{requests[setting].prompts(world)[0]}"',
                [Tile(edges, "condition")]
                + [Tile(first_samples[name, setting], f"{name}\nfollowing {figures[name]}") for name in VARIANTS],
            )
            for setting, figures in table.items()
        ]
    )
    proof.write(
        {
            "following": table,
            "loss": {name: over_seeds(some) for name, some in losses.items()},
            "others": {setting: {name: over_seeds(rows[name, setting]) for name in VARIANTS} for setting in SETTINGS},
        }
    )


if __name__ == "__main__":
    main()
