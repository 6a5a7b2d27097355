"""P6. Controls compose by plain addition, without weights (arXiv 2302.05543, 3.4 and Fig. 6): edges carry the outline,
a colour map the colours, a depth map the place, and no prompt says anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from benchmarks.criterion import Figure, Part, at_least, at_most
from benchmarks.proof.following import Rows, add, figures_of, over_seeds, unit_of
from benchmarks.proof.record import Common, Proof
from zeroctl_core import ControlNet, ControlUnit
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import load_control
from zeroctl_core.demo.rendering import Rendering
from zeroctl_core.demo.source import Request

CONTROLS = ("edges", "colours", "depth")
SUMS = (("edges", "colours"), ("edges", "colours", "depth"))
MENDING: tuple[Mapping[str, float], ...] = ({"colours": 1.5}, {"colours": 2.0}, {"edges": 1.5}, {"depth": 1.5})
"""Strengths, other than 1, of the second row: is what plain addition loses only a matter of weights?"""

SHARE, ROUNDING = 0.9, 1e-3
CLAIM = "Of two and of three controls that are plainly added each gives what it gives alone"
CRITERION = (
    "for edges + colours and for edges + colours + depth, without weights and without a prompt: the sum follows each "
    f"of its conditions at least {SHARE:g} times as well as the better one of its controls alone follows that "
    f"condition; the order of two changes no pixel by more than {ROUNDING:g}"
)
SEED = 51  # of held-out scenes, with each seed a hundred further
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    n: int = 64
    """held-out scenes of each seed"""
    steps: int = 10
    """sampling steps (Euler)"""


def name_of(sum_: tuple[str, ...], strengths: Mapping[str, float]) -> str:
    """`edges + 2 colours`."""
    return " + ".join(name if strengths.get(name, 1.0) == 1.0 else f"{strengths[name]:g} {name}" for name in sum_)


def added(
    nets: Mapping[str, ControlNet], names: tuple[str, ...], strengths: Mapping[str, float]
) -> Callable[[Rendering], list[ControlUnit]]:
    """On the cond branch: without a prompt the two branches differ by the controls alone, see p5_guidance."""
    return lambda truth: [
        unit_of(nets[name], name, truth, strength=strengths.get(name, 1.0), branches="cond") for name in names
    ]


def shares(rows: Mapping[str, Mapping[str, Rows]], sum_: tuple[str, ...], name: str) -> dict[str, Figure]:
    """Condition -> following of a sum over that of the best of its controls alone, seed by seed."""
    result = {}
    for condition in sum_:
        best = Figure.of(map(max, zip(*(rows[alone][condition]["follow"] for alone in sum_), strict=True)))
        result[condition] = Figure.of(rows[name][condition]["follow"]) / best
    return result


def main() -> None:
    proof = Proof("p6_composition", Options, claim=CLAIM, criterion=CRITERION)
    source = proof.source
    nets = {name: load_control(name, proof.options.weights) for name in CONTROLS}
    plain: dict[str, float] = {}
    ways = {name: ((name,), plain) for name in CONTROLS}
    ways |= {name_of(sum_, plain): (sum_, plain) for sum_ in SUMS}
    for sum_ in SUMS:
        ways |= {name_of(sum_, some): (sum_, some) for some in MENDING if some.keys() <= set(sum_)}
    rows: dict[str, dict[str, Rows]] = {way: {name: {} for name in CONTROLS} for way in ways}
    apart: list[float] = []
    first_samples: dict[str, Tensor] = {}
    for seed in proof.seeds:
        request = Request(n=proof.options.n, seed=SEED + 100 * seed, steps=proof.options.steps, prompt="")
        for way, (names, strengths) in ways.items():
            pictures = source.samples(request, added(nets, names, strengths))
            for condition in CONTROLS:
                add(rows[way][condition], figures_of(source, condition, request, pictures))
            text = ", ".join(f"{name} {rows[way][name]['follow'][-1]:.2f}" for name in CONTROLS)
            proof.say(f"seed {seed}, {way}: following {text}")
            first_samples.setdefault(way, pictures[:SHOWN])
            if way == name_of(SUMS[0], plain):
                other = source.samples(request, added(nets, names[::-1], strengths))
                apart.append(float((pictures - other).abs().max()))
    parts: list[Part] = [
        at_least(f"{name_of(sum_, plain)} follows {condition} over the better one alone", figure, SHARE)
        for sum_ in SUMS
        for condition, figure in shares(rows, sum_, name_of(sum_, plain)).items()
    ]
    parts.append(at_most("largest difference of a pixel by the order", Figure.of(apart), ROUNDING, spec=".1e"))
    mends = {sum_: _best(rows, sum_) for sum_ in SUMS}
    text = [
        f"{name_of(sum_, plain)}: " + ", ".join(f"{k} {v}" for k, v in shares(rows, sum_, name_of(sum_, plain)).items())
        for sum_ in SUMS
    ]
    text += [f"with the best weights tried, {way}: least {least:.2f}" for way, least in mends.values()]
    proof.conclude(parts, "following over that of the better control alone, " + "; ".join(text))
    truth = source.render(source.world(Request(n=SHOWN, seed=SEED + 100 * proof.seeds[0], prompt="")))
    conditions = {name: CONDITIONS[name](truth) for name in CONTROLS}
    sheet = []
    for n in range(min(SHOWN, proof.options.n)):
        tiles = [Tile(truth.image[n], "true picture")]
        tiles += [Tile(image[n], name) for name, image in conditions.items()]
        tiles += [Tile(first_samples[name][n], f"{name} alone") for name in CONTROLS]
        tiles += [Tile(first_samples[name_of(sum_, plain)][n], name_of(sum_, plain)) for sum_ in SUMS]
        sheet.append((f"held-out scene {n}, no prompt, plain sums", tiles))
        second = [Tile(first_samples[way][n], way) for way in ways if way in first_samples and ways[way][1]]
        sheet.append(("with weights", second))
    proof.sheet(sheet)
    proof.write(
        {
            "following": {
                way: {condition: Figure.of(some["follow"]) for condition, some in of_way.items()}
                for way, of_way in rows.items()
            },
            "over_the_better_one_alone": {
                way: shares(rows, names, way) for way, (names, _) in ways.items() if len(names) > 1
            },
            "largest_difference_by_order": Figure.of(apart),
            "others": {way: over_seeds(of_way["edges"]) for way, of_way in rows.items()},
        }
    )


def _best(rows: Mapping[str, Mapping[str, Rows]], sum_: tuple[str, ...]) -> tuple[str, float]:
    """The weighted sum whose least share is the highest, and that share."""
    least = {
        way: min((figure.mean for figure in shares(rows, sum_, way).values()), default=math.nan)
        for way in (name_of(sum_, some) for some in MENDING if some.keys() <= set(sum_))
    }
    way = max(least, key=lambda name: least[name])
    return way, least[way]


if __name__ == "__main__":
    main()
