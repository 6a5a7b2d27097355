"""P2. A control wakes in three steps: first the zero convolutions learn, then the copy, then the condition encoder.

At step 1 all zero convolutions are 0, so only they get a gradient. At step 2 what lies behind them gets one: the copy,
and the last (zero) convolution of the condition encoder. At step 3 that one is not 0 any more, and the rest of the
encoder wakes (the argument is that of the released docs/faq.md; the three steps follow from the network's depth).
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from benchmarks.proof.record import Proof
from zeroctl_core.demo.source import World
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.loop import Progress, fit
from zeroctl_core.train.optimisation import Optimisation
from zeroctl_core.train.run import new_control, new_task

STEPS = 4
PARTS = ("zero convolutions", "copy", "encoder's last", "encoder's rest")


def part_of(name: str, last: str) -> str:
    if name.startswith(("zero_convs.", "middle_block_out.")):
        return PARTS[0]
    if name.startswith("input_hint_block."):
        return PARTS[2] if name.startswith(last) else PARTS[3]
    return PARTS[1]


def gradients(source: World, seed: int) -> list[dict[str, float]]:
    """The L2 norm of the gradients of every part, one dictionary a step."""
    config = ControlConfig(seed=seed, n_scenes=256)
    net = new_control(config, source)
    last = f"input_hint_block.{len(net.input_hint_block) - 1}."
    squares = dict.fromkeys(PARTS, 0.0)
    norms: list[dict[str, float]] = []

    def note(parameter: torch.Tensor, part: str) -> None:
        assert parameter.grad is not None
        squares[part] += float(parameter.grad.square().sum())

    def step_ended(now: Progress) -> None:
        if now.loss is not None:
            norms.append({part: square**0.5 for part, square in squares.items()})
        squares.update(dict.fromkeys(PARTS, 0.0))

    for name, parameter in net.named_parameters():
        parameter.register_post_accumulate_grad_hook(functools.partial(note, part=part_of(name, last)))
    # without warm-up, so that the first step already moves; without decay, which would move nothing from 0
    how = Optimisation(steps=STEPS, learning_rate=1e-3, warmup_steps=1, weight_decay=0.0, checkpoint_every=STEPS + 1)
    fit(new_task(config, source, net), how, callbacks=[step_ended])
    return norms


def main() -> None:
    proof = Proof("p2_three_steps", "Zero convolutions learn at step 1, the copy at step 2, the encoder at step 3.")
    results = {}
    expected = dict(zip(PARTS, (1, 2, 2, 3), strict=True))
    for seed in proof.options.seeds:
        norms = gradients(World(), seed)
        woke = {part: next((n + 1 for n, row in enumerate(norms) if row[part] > 0), None) for part in PARTS}
        results[seed] = {"first_step_with_a_gradient": woke, "gradient_norms": norms}
    norms = results[proof.options.seeds[0]]["gradient_norms"]

    def draw(axes: Any) -> None:
        for part in PARTS:
            axes.plot(range(1, STEPS + 1), [row[part] for row in norms], "o-", label=part)
        axes.set_yscale("symlog", linthresh=1e-6)
        axes.set_xticks(range(1, STEPS + 1))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("L2 norm of the gradient (0 at the bottom)")
        axes.legend()
        axes.set_title("A control wakes in three steps")

    proof.curves(draw)
    good = all(result["first_step_with_a_gradient"] == expected for result in results.values())
    proof.write(results, f"zero convolutions at step 1, copy at 2, the encoder's inside at 3: {good}")


if __name__ == "__main__":
    main()
