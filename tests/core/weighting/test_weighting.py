"""Weighting rules by value: SD1.5 (12 skips and the middle), SDXL (9 and the middle), every base for the contract."""

from __future__ import annotations

import math

import pytest

from zeroctl_core import BASES, MODES, RULES, Connection, ConnectionWeights
from zeroctl_core.control.rows import BRANCHES


def connections(downsamples: list[int]) -> tuple[Connection, ...]:
    skips = [Connection("skip", 320, downsample) for downsample in downsamples[:-1]]
    return (*skips, Connection("middle", 1280, downsamples[-1]))


SD = connections([1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8])
SDXL = connections([1, 1, 1, 2, 2, 2, 4, 4, 4, 4])

DECAY = [0.0994, 0.1205, 0.1461, 0.1770, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615, 0.6806, 0.8250, 1.0]

GOLDEN = {
    "uniform": ([1.0] * 13, [1.0] * 10),
    "resolution": ([1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8], [1, 1, 1, 2, 2, 2, 4, 4, 4, 4]),
    "resolution_normalised": (
        [0.125] * 3 + [0.25] * 3 + [0.5] * 3 + [1.0] * 4,
        [0.25] * 3 + [0.5] * 3 + [1.0] * 4,
    ),
    "soft": (DECAY, [0.1770, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615, 0.6806, 0.8250, 1.0]),
    "a1111_prompt": (DECAY, [0.0994, 0.1205, 0.1461, 0.1770, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615]),
    "diffusers_guess": (
        [0.1000, 0.1212, 0.1468, 0.1778, 0.2154, 0.2610, 0.3162, 0.3831, 0.4642, 0.5623, 0.6813, 0.8254, 1.0],
        [0.1000, 0.1292, 0.1668, 0.2154, 0.2783, 0.3594, 0.4642, 0.5995, 0.7743, 1.0],
    ),
    "only_middle": ([0.0] * 12 + [1.0], [0.0] * 9 + [1.0]),
}


def test_every_rule_has_golden_values():
    assert set(GOLDEN) == set(RULES)


@pytest.mark.parametrize("name", GOLDEN)
def test_rule_has_its_published_values(name):
    for net, expected in zip((SD, SDXL), GOLDEN[name], strict=True):
        assert RULES[name](net) == pytest.approx(expected, abs=5e-5), name


def test_the_papers_ratio_is_eight_and_the_released_codes_is_ten():
    assert RULES["resolution"](SD)[-1] / RULES["resolution"](SD)[0] == 8
    assert RULES["soft"](SD)[-1] / RULES["soft"](SD)[0] == pytest.approx(10.06, abs=5e-3)


def test_soft_is_1_781_times_a1111_on_every_connection_of_sdxl():
    ratios = [a / b for a, b in zip(RULES["soft"](SDXL), RULES["a1111_prompt"](SDXL), strict=True)]
    assert ratios == pytest.approx([1.781] * 10, abs=5e-4)
    assert RULES["soft"](SD) == RULES["a1111_prompt"](SD)


def test_a1111_has_no_weights_beyond_thirteen_connections():
    with pytest.raises(ValueError, match="13 weights and this control 14 connections; use the rule soft"):
        RULES["a1111_prompt"](connections([1] * 14))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("rule", RULES)
def test_rule_gives_every_base_one_finite_weight_a_connection(rule, base):
    weights = RULES[rule](BASES[base].connections)
    assert len(weights) == len(BASES[base].connections)
    assert all(type(weight) is float and math.isfinite(weight) and weight >= 0 for weight in weights)
    assert weights[-1] == max(weights), "no rule gives a skip more than the middle"
    ConnectionWeights(tuple(weights))


@pytest.mark.parametrize(("name", "net"), [("sd15", SD), ("sd21", SD), ("sdxl", SDXL), ("tiny", SD)])
def test_bases_inject_where_the_golden_values_say(name, net):
    places = [(connection.stage, connection.downsample) for connection in BASES[name].connections]
    assert places == [(connection.stage, connection.downsample) for connection in net]


def test_modes_are_the_pairs_that_people_know():
    assert dict(MODES) == {
        "balanced": ("uniform", "both"),
        "prompt": ("a1111_prompt", "both"),
        "control": ("a1111_prompt", "cond"),
        "paper": ("resolution", "cond"),
        "paper_normalised": ("resolution_normalised", "cond"),
        "guess": ("soft", "cond"),
        "guess_diffusers": ("diffusers_guess", "cond"),
        "middle": ("only_middle", "both"),
    }
    for rule, branches in MODES.values():
        assert rule in RULES and branches in BRANCHES
