"""Figures of several seeds, and when a claim over them holds."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.criterion import Figure, Verdict, above, at_least, at_most, recorded


def test_a_figure_has_the_standard_error_of_its_mean_and_a_single_seed_has_none():
    figure = Figure.of([0.7, 0.8, 0.9])
    assert figure.mean == pytest.approx(0.8) and figure.error == pytest.approx(0.1 / math.sqrt(3))
    assert f"{figure}" == "0.80 ± 0.06" and f"{figure:.0%}" == "80% ± 6%"
    assert Figure.of([0.8]).error is None and f"{Figure.of([0.8])}" == "0.80"


def test_figures_are_compared_seed_by_seed():
    first, second = Figure.of([0.5, 0.9]), Figure.of([0.4, 0.8])
    assert (first - second).error == pytest.approx(0), "what the seeds have in common drops out of the difference"
    assert (first / second).values == pytest.approx((1.25, 1.125))
    with pytest.raises(ValueError):
        first - Figure.of([0.1])


def test_a_part_holds_at_its_bound_and_by_its_standard_errors():
    figure = Figure.of([0.8, 1.0])  # 0.9 +- 0.1
    assert at_least("", figure, 0.9).holds and at_most("", figure, 0.9).holds
    assert not at_least("", figure, 0.91).holds and not at_most("", figure, 0.89).holds
    assert at_least("", figure, 0.7, errors=2).holds and not at_least("", figure, 0.75, errors=2).holds
    assert at_least("", figure, 1.0, errors=-2).holds, "not below the bound by more than two"


def test_equal_figures_are_not_above_each_other_and_a_single_seed_clears_no_standard_error():
    figure = Figure.of([0.8, 0.9])
    assert at_least("", figure - figure, 0, errors=2).holds and not above("", figure - figure, 0, errors=2).holds
    assert above("", figure, 0.6, errors=2).holds
    assert not above("", Figure.of([0.9]), 0.5, errors=2).holds and above("", Figure.of([0.9]), 0.5).holds


def test_what_is_not_a_number_holds_nothing_and_is_null_in_the_record():
    part = at_least("ratio", Figure.of([1.0]) / Figure.of([0.0]), 0.0)
    assert not part.holds and not at_most("", Figure.of([1.0, math.nan]), 5.0).holds
    assert json.loads(json.dumps(recorded({1: part.figure, "x": math.nan}), allow_nan=False)) == {
        "1": {"mean": None, "standard_error": None, "seeds": [None]},
        "x": None,
    }


def test_a_verdict_passes_when_every_part_holds_and_says_which_do_not():
    good, bad = at_least("good", Figure.of([1.0]), 1), at_most("bad", Figure.of([1.0]), 0.5)
    assert Verdict("It holds", [good], "").heading == "PASS: It holds"
    verdict = Verdict("It holds", [good, bad], "numbers")
    assert verdict.heading == "FAIL: It holds" and verdict.faults == "bad 1.00 (at most 0.5)"
    assert [part["holds"] for part in verdict.record()["parts"]] == [True, False]
    assert Verdict("Nothing was looked at", [], "").word == "FAIL"
