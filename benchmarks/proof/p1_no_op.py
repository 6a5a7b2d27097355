"""P1. An untrained control is a bit-exact no-op: zero convolutions add exactly 0 (arXiv 2302.05543, 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.criterion import Figure, at_least
from benchmarks.proof.record import Common, Proof
from benchmarks.proof.zero_convolutions import zero_convolutions
from zeroctl_core import ControlNet, ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.rendering import Rendering
from zeroctl_core.demo.source import Request

CLAIM = "An untrained control changes no bit of the picture"
LITTLE = 1e-6
CRITERION = (
    "every picture equals the one without control to the bit although the network runs; and, so that this could fail, "
    f"a single zero convolution of weights {LITTLE:g}, the first, moves pixels in every picture"
)
SEED = 101  # of held-out scenes, with each seed a hundred further


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    n: int = 8
    """pictures of each seed"""
    steps: int = 10
    """sampling steps (Euler)"""


def moved(pictures: Tensor, plain: Tensor) -> Tensor:
    """Which pictures differ in a bit: bool [n]."""
    return (pictures != plain).flatten(1).any(dim=1)


def main() -> None:
    proof = Proof("p1_no_op", Options, claim=CLAIM, criterion=CRITERION)
    source, calls = proof.source, [0]
    connections = source.unet.base.connections
    equal, runs, negative, by_connection, tiles = [], [], [], {}, []
    for seed in proof.seeds:
        request = Request(n=proof.options.n, seed=SEED + 100 * seed, steps=proof.options.steps)
        torch.manual_seed(seed)
        net = ControlNet.trainable_copy(source.unet).eval().requires_grad_(False)
        calls[0] = 0
        net.register_forward_hook(lambda module, inputs, output: calls.__setitem__(0, calls[0] + 1))

        def units(truth: Rendering, net: ControlNet = net) -> list[ControlUnit]:
            return [ControlUnit(net, CONDITIONS["edges"](truth))]

        plain, untrained = source.without(request), source.samples(request, units)
        equal.append(1 - float(moved(untrained, plain).float().mean()))
        runs.append(float(calls[0]))
        for place, conv in enumerate(zero_convolutions(net)):
            conv.weight.fill_(LITTLE)
            pictures = source.samples(request, units)
            conv.weight.zero_()
            by_connection.setdefault(place, []).append(float((pictures - plain).abs().max()))
            if place == 0:
                negative.append(float(moved(pictures, plain).float().mean()))
                first = pictures
        proof.say(f"seed {seed}: equal {equal[-1]:.0%}, moved by the first zero convolution {negative[-1]:.0%}")
        if not tiles:
            edges = CONDITIONS["edges"](source.render(source.world(request)))
            tiles = [(edges[n], plain[n], untrained[n], first[n]) for n in range(min(2, request.n))]
    largest = {
        f"{place} ({connections[place].stage}, 1/{connections[place].downsample})": Figure.of(values)
        for place, values in by_connection.items()
    }
    acting = sum(figure.mean > 0 for figure in largest.values())
    proof.conclude(
        [
            at_least("share of pictures equal to the bit", Figure.of(equal), 1.0),
            at_least("runs of the network a seed", Figure.of(runs), 1.0, spec=".0f"),
            at_least("share of pictures that one zero convolution moves", Figure.of(negative), 1.0),
        ],
        f"{len(proof.seeds) * proof.options.n} pictures, equal to the bit {Figure.of(equal):.0%}; of the "
        f"{len(largest)} zero convolutions, each at {LITTLE:g} alone, {acting} move pixels",
    )
    proof.sheet(
        [
            (
                f"held-out scene {n}",
                [
                    Tile(edges, "condition"),
                    Tile(plain, "without control"),
                    Tile(untrained, "untrained control"),
                    Tile((untrained - plain).abs() * 1000, "difference, 1000 times"),
                    Tile(_bright(first - plain), f"one zero convolution at {LITTLE:g}: difference, the largest white"),
                ],
            )
            for n, (edges, plain, untrained, first) in enumerate(tiles)
        ]
    )
    proof.write(
        {
            "share_equal_to_the_bit": Figure.of(equal),
            "runs_of_the_network": Figure.of(runs),
            f"share_moved_by_the_first_zero_convolution_at_{LITTLE:g}": Figure.of(negative),
            f"largest_difference_by_zero_convolution_at_{LITTLE:g}": largest,
        }
    )


def _bright(difference: Tensor) -> Tensor:
    return difference.abs() / difference.abs().max().clamp(min=1e-12)


if __name__ == "__main__":
    main()
