"""P2. A control wakes in three steps: first the zero convolutions learn, then the copy, then the condition encoder.

At step 1 all zero convolutions are 0, so only they get a gradient. At step 2 what lies behind them gets one: the copy,
and the last (zero) convolution of the condition encoder. At step 3 that one is not 0 any more, and the rest of the
encoder wakes (the argument is that of the released docs/faq.md; the three steps follow from the network's depth).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.criterion import Figure, at_least
from benchmarks.proof.record import Proof, Training
from benchmarks.proof.training import settings_of
from zeroctl_core.train.loop import Progress, fit
from zeroctl_core.train.run import new_control, new_task

STEPS = 4
EXPECTED = {"zero convolutions": 1, "copy": 2, "encoder's last": 2, "encoder's rest": 3}
"""Part of the network -> the step that first gives it a gradient."""

CLAIM = "Zero convolutions learn at step 1, the copy and the encoder's end at step 2, the rest of the encoder at step 3"
CRITERION = (
    "under the settings by which the embedded edge control was trained, every tensor of every part gets its first "
    f"gradient that is not 0 at that very step ({STEPS} steps are looked at)"
)


@dataclass(frozen=True, kw_only=True)
class Options(Training):
    pass


def part_of(name: str, last: str) -> str:
    """The part of the network that a parameter belongs to; `last` begins the names of the encoder's last layer."""
    zero, copy, end, rest = EXPECTED
    if name.startswith(("zero_convs.", "middle_block_out.")):
        return zero
    if name.startswith("input_hint_block."):
        return end if name.startswith(last) else rest
    return copy


Norms = list[dict[str, float]]
"""Of every step the L2 norm of each tensor's gradient."""


def gradient_norms(proof: Proof[Options], seed: int) -> tuple[Norms, dict[str, str]]:
    """And of every tensor its part."""
    config = settings_of(proof, "edges", "waking", seed, STEPS)
    net = new_control(config, proof.source)
    last = f"input_hint_block.{len(net.input_hint_block) - 1}."
    parts = {name: part_of(name, last) for name, _ in net.named_parameters()}
    current: dict[str, float] = {}
    steps: Norms = []

    def note(parameter: Tensor, name: str) -> None:
        assert parameter.grad is not None
        current[name] = float(parameter.grad.norm())

    def step_ended(now: Progress) -> None:
        if now.loss is not None:
            steps.append(dict(current))
        current.clear()

    for name, parameter in net.named_parameters():
        parameter.register_post_accumulate_grad_hook(functools.partial(note, name=name))
    fit(new_task(config, proof.source, net), config.optimisation, callbacks=[step_ended])
    return steps, parts


def first_steps(steps: Norms, parts: Mapping[str, str]) -> dict[str, int]:
    """Tensor -> the first step whose gradient is not 0; 0: none was."""
    return {name: next((n for n, norms in enumerate(steps, 1) if norms.get(name, 0.0) > 0), 0) for name in parts}


def main() -> None:
    proof = Proof("p2_three_steps", Options, claim=CLAIM, criterion=CRITERION)
    in_time: dict[str, list[float]] = {part: [] for part in EXPECTED}
    awake: dict[str, list[list[float]]] = {part: [] for part in EXPECTED}
    others: dict[str, dict[str, int]] = {}
    counts: dict[str, int] = {}
    for seed in proof.seeds:
        steps, parts = gradient_norms(proof, seed)
        first = first_steps(steps, parts)
        others[str(seed)] = {name: n for name, n in first.items() if n != EXPECTED[parts[name]]}
        for part, step in EXPECTED.items():
            names = [name for name in parts if parts[name] == part]
            counts[part] = len(names)
            in_time[part].append(sum(first[name] == step for name in names) / len(names))
            awake[part].append([sum(norms.get(name, 0.0) > 0 for name in names) / len(names) for norms in steps])
        proof.say(f"seed {seed}: {len(first)} tensors, {len(others[str(seed)])} of them at another step")
    parts = [
        at_least(f"share of the {counts[part]} tensors of {part} that wake at step {step}", Figure.of(in_time[part]), 1)
        for part, step in EXPECTED.items()
    ]
    n_others = sum(map(len, others.values()))
    proof.conclude(
        parts,
        f"{sum(counts.values())} tensors, {len(proof.seeds)} seeds: {n_others} first gradients at another step",
    )

    def draw(axes: Any) -> None:
        for n, (part, rows) in enumerate(awake.items()):
            columns = [Figure.of(column) for column in zip(*rows, strict=True)]
            axes.errorbar(
                [step + 0.04 * (n - 1.5) for step in range(1, STEPS + 1)],
                [figure.mean for figure in columns],
                [figure.error or 0.0 for figure in columns],
                fmt="o-",
                capsize=3,
                label=f"{part}: {counts[part]} tensors",
            )
        axes.set_xticks(range(1, STEPS + 1))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("share of tensors with a gradient that is not 0")
        axes.legend()

    proof.curves(draw)
    proof.write(
        {
            "tensors": counts,
            "share_in_time": {part: Figure.of(values) for part, values in in_time.items()},
            "share_awake_by_step": {
                part: [Figure.of(column) for column in zip(*rows, strict=True)] for part, rows in awake.items()
            },
            "first_gradient_at_another_step": others,
        }
    )


if __name__ == "__main__":
    main()
