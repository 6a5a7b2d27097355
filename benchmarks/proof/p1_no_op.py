"""P1. An untrained control is a bit-exact no-op: zero convolutions add exactly 0 (arXiv 2302.05543, 3.1)."""

from __future__ import annotations

import torch

from benchmarks.proof.record import Proof, same
from zeroctl_core import ControlNet, ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import DemoModel
from zeroctl_core.demo.scoring import control_samples
from zeroctl_core.demo.world import render, scenes

N = 8


def main() -> None:
    proof = Proof("p1_no_op", "An untrained control changes no bit of the picture.")
    model = DemoModel.load()
    results = {}
    for seed in proof.options.seeds:
        world = scenes(seed, 0, N, "held_out")
        truth = render(world)
        prompts = [one.caption for one in world]
        edges = CONDITIONS["edges"](truth)
        torch.manual_seed(seed)
        net = ControlNet.trainable_copy(model.unet)
        calls = 0

        def counted(module: torch.nn.Module, arguments: object, output: object) -> None:
            nonlocal calls
            calls += 1

        handle = net.register_forward_hook(counted)
        plain = control_samples(model, [], prompts, seed)
        untrained = control_samples(model, [ControlUnit(net.eval(), edges)], prompts, seed)
        handle.remove()
        results[seed] = {"equal_to_the_bit": same(plain, untrained), "runs_of_the_network": calls, "pictures": N}
    rows = [
        (
            f'"{prompts[n]}"',
            [
                Tile(edges[n], "condition"),
                Tile(plain[n], "without control"),
                Tile(untrained[n], "untrained control"),
                Tile((plain[n] - untrained[n]).abs() * 1000, "difference x 1000"),
            ],
        )
        for n in range(2)
    ]
    proof.sheet(rows)
    good = all(result["equal_to_the_bit"] and result["runs_of_the_network"] for result in results.values())
    proof.write(results, f"every picture equal to the bit, the network ran: {good}")


if __name__ == "__main__":
    main()
