"""Connection weights: one finite number a connection, read from text with plain errors."""

from __future__ import annotations

import dataclasses

import pytest

from zeroctl_core import Connection, ConnectionWeights


def test_text_is_read_shallow_to_deep():
    weights = ConnectionWeights.parse("1, .5,\n-0.25 , 1e-1", 4)
    assert weights.values == (1.0, 0.5, -0.25, 0.1)
    assert list(weights) == [1.0, 0.5, -0.25, 0.1]
    assert len(weights) == 4 and weights[1] == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1, 1", r"expected 3 numbers as custom weights, .*; got 2"),
        ("1, 1, 1, 1", r"expected 3 numbers as custom weights, .*; got 4"),
        ("1, one, 1", r"'one' is not a number at place 2; write 3 numbers, separated by commas"),
        ("1, , 1", r"nothing is written at place 2"),
        ("1, 1, 1,", r"nothing is written at place 4"),
        ("", r"nothing is written at place 1"),
        ("1 1 1", r"'1 1 1' is not a number at place 1"),
        ("1, nan, 1", r"weight 2 of 3 is nan; give a finite number"),
        ("1, 1, -inf", r"weight 3 of 3 is -inf; give a finite number"),
        ("1, 1e30, 1", r"weight 2 of 3 is 1e\+30; give a number from -1000 to 1000"),
        ("1, -1001, 1", r"weight 2 of 3 is -1001; give"),
        ("1, " + "x" * 10_000_000, r"'x{100}' is not a number at place 2"),
    ],
)
def test_bad_text_says_what_was_given_and_what_to_write(text, message):
    with pytest.raises(ValueError, match=message):
        ConnectionWeights.parse(text, 3)


def test_without_a_net_no_number_of_weights_is_demanded():
    """What was typed says nothing of how many there must be."""
    assert ConnectionWeights.parse("1, .5") == ConnectionWeights((1.0, 0.5))
    words = {text: "" for text in ("1 1 1", "1," * 13, "1," * 2_000_000, "soft, 1")}
    for text in words:
        with pytest.raises(ValueError, match="write one number a connection, separated by commas") as caught:
            ConnectionWeights.parse(text)
        words[text] = str(caught.value)
    assert "'1 1 1' is not a number at place 1" in words["1 1 1"]
    assert "nothing is written at place 14" in words["1," * 13]
    assert max(map(len, words.values())) < 300


def test_weights_that_are_not_finite_are_refused_however_they_come():
    with pytest.raises(ValueError, match="weight 1 of 2 is inf"):
        ConnectionWeights((float("inf"), 1.0))
    with pytest.raises(ValueError, match="connection weights are missing"):
        ConnectionWeights(())


def test_uniform_repeats_one_value():
    assert ConnectionWeights.uniform(3).values == (1.0, 1.0, 1.0)
    assert ConnectionWeights.uniform(2, 0.5).values == (0.5, 0.5)


def test_values_are_frozen_and_comparable():
    weights = ConnectionWeights([1, 2])
    assert weights == ConnectionWeights((1.0, 2.0)) and hash(weights) == hash(ConnectionWeights((1.0, 2.0)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        weights.values = (2.0,)
    assert Connection("skip", 320, 1) == Connection("skip", 320, 1) != Connection("middle", 320, 1)
