"""A registry names things once, in order, and says what it knows."""

from __future__ import annotations

import pytest

from zeroctl_core import Registry


def test_entries_come_back_in_the_order_of_registration():
    rules: Registry[int] = Registry("rule")
    rules.register("second_by_name")(1)
    rules.register("first_by_name")(2)
    assert list(rules) == ["second_by_name", "first_by_name"]
    assert dict(rules) == {"second_by_name": 1, "first_by_name": 2}
    assert len(rules) == 2
    assert "first_by_name" in rules and "third" not in rules


def test_register_hands_back_the_object_unchanged():
    rules: Registry[object] = Registry("rule")

    @rules.register("double")
    def double(x: int) -> int:
        return 2 * x

    assert double(2) == 4
    assert rules["double"] is double


def test_a_name_taken_twice_is_refused_and_the_first_stays():
    rules: Registry[int] = Registry("rule")
    rules.register("uniform")(1)
    with pytest.raises(ValueError, match="rule 'uniform' is registered twice"):
        rules.register("uniform")(2)
    assert rules["uniform"] == 1


def test_an_unknown_name_lists_the_known_ones():
    rules: Registry[int] = Registry("rule")
    rules.register("uniform")(1)
    rules.register("soft")(2)
    with pytest.raises(KeyError, match="no rule is called 'sfot'; known are: uniform, soft"):
        rules["sfot"]
    assert rules.get("sfot") is None
