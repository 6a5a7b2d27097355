"""The next batch is read while a step is computed; the numbers are those without a thread."""

from __future__ import annotations

import threading

import pytest

from zeroctl_core.train.ahead import Ahead


def test_the_following_step_is_made_in_another_thread_before_it_is_asked_for():
    calls, ready = [], threading.Event()

    def make(step: int) -> int:
        calls.append((step, threading.current_thread() is threading.main_thread()))
        if step == 4:
            ready.set()
        return step * 10

    ahead = Ahead(make)
    assert ahead(3) == 30 and ready.wait(10)
    assert ahead(4) == 40
    assert calls[:2] == [(3, True), (4, False)]


def test_a_step_out_of_order_is_made_when_it_is_asked_for():
    ahead = Ahead(lambda step: step)
    assert [ahead(step) for step in (5, 2, 3, 3)] == [5, 2, 3, 3]


def test_what_fails_ahead_is_told_at_its_own_step_and_tried_anew():
    calls = []

    def make(step: int) -> int:
        calls.append(step)
        if calls.count(1) == 1 and step == 1:
            raise OSError("the disk is gone")
        return step

    ahead = Ahead(make)
    assert ahead(0) == 0
    with pytest.raises(OSError, match="the disk is gone"):
        ahead(1)
    assert ahead(1) == 1
