"""Pairs that were looked at are not read again, unless they changed or the file of glances is damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from zeroctl_core.train.prepare import fault as kinds
from zeroctl_core.train.prepare.checking import check_samples
from zeroctl_core.train.prepare.looks import LOOKS
from zeroctl_core.train.prepare.preparing import Drawing
from zeroctl_core.train.prepare.sample import Sample
from zeroctl_core.train.surprise import Surprise

DRAWING = Drawing(size=(64, 64), annotator="canny", settings={"low": 50})


class CountingPicture:
    def __init__(self, key, value):
        self.key, self.value, self.reads = key, value, 0

    def read(self):
        self.reads += 1
        return torch.full((3, 32, 32), self.value)


@pytest.fixture
def samples():
    return [Sample(name=f"{n}", picture=CountingPicture(f"k{n}", n / 8), caption="a star") for n in range(4)]


def reads(samples, drawing, folder):
    before = [sample.picture.reads for sample in samples]
    names, faults = check_samples(samples, drawing, folder=folder)
    return [sample.picture.reads - n for sample, n in zip(samples, before, strict=True)], names, faults


def test_the_second_check_reads_nothing_and_finds_the_same(samples, tmp_path):
    samples.append(Sample(name="again", picture=CountingPicture("other file", 0.0)))
    first, names, faults = reads(samples, DRAWING, tmp_path)
    assert first == [1] * 5 and {kinds.DOUBLED, kinds.SMALL_PICTURE, kinds.ONE_COLOUR} < {one.kind for one in faults}
    assert reads(samples, DRAWING, tmp_path) == ([0] * 5, names, faults)


def test_what_changed_is_looked_at_again(samples, tmp_path):
    reads(samples, DRAWING, tmp_path)
    samples[1] = replace(samples[1], picture=CountingPicture("new", 0.9))
    assert reads(samples, DRAWING, tmp_path)[0] == [0, 1, 0, 0]
    assert reads(samples, replace(DRAWING, settings={"low": 60}), tmp_path)[0] == [1] * 4
    assert reads(samples, DRAWING, None)[0] == [1] * 4


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"a": 1}',
        '{"digest": "", "looks": {}}',
        '{"digest": "", "looks": {"a": [{}, {}]}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_of_glances_is_said_and_counts_as_none(samples, tmp_path, content):
    (tmp_path / LOOKS).write_text(content)
    with pytest.warns(Surprise, match=f"{LOOKS} is damaged .* looked at anew"):
        assert reads(samples, DRAWING, tmp_path)[0] == [1] * 4
    assert reads(samples, DRAWING, tmp_path)[0] == [0] * 4


def test_a_number_that_was_changed_in_the_file_of_glances_is_not_used(samples, tmp_path):
    reads(samples, DRAWING, tmp_path)
    content = json.loads((tmp_path / LOOKS).read_text())
    next(iter(content["looks"].values()))[1]["light"] = 0.9
    (tmp_path / LOOKS).write_text(json.dumps(content))
    with pytest.warns(Surprise, match="does not hold what was written"):
        assert reads(samples, DRAWING, tmp_path)[0] == [1] * 4


def test_an_interrupted_check_goes_on(samples, tmp_path):
    def interrupt(n, number):
        if n == 2:
            raise KeyboardInterrupt

    reads(samples[3:], DRAWING, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        check_samples(samples, DRAWING, None, interrupt, folder=tmp_path)
    assert reads(samples, DRAWING, tmp_path)[0] == [0, 0, 1, 0]
