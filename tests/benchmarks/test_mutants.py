"""The sweep over damaged files says the truth: the same mutants of a seed, and what is wrong is found."""

from __future__ import annotations

import random

import pytest

from benchmarks import mutants


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    mutants.originals(folder)
    return folder


@pytest.mark.parametrize("kind", mutants.KINDS)
def test_a_mutant_is_the_same_for_a_seed_and_differs_from_the_file(folder, kind):
    content = (folder / kind).read_bytes()
    for seed in range(30):
        damaged = mutants.mutant(content, kind, random.Random(seed))
        assert damaged == mutants.mutant(content, kind, random.Random(seed)) and damaged
    assert all(0 <= start < stop <= len(content) for start, stop in mutants.frame_of(content, kind))


def test_sixty_mutants_are_refused_or_run(folder):
    lines = mutants.watch(folder, seed=1, n=60)
    assert [line["number"] for line in lines] == list(range(60))
    assert all(mutants.held(mutants.summed_up(lines)).values()), mutants.summed_up(lines)


def test_what_must_not_be_is_found(folder, monkeypatch):
    body = """
import os, zeroctl_core
from benchmarks import mutants
from zeroctl_core import load_controlnet
n = [0]
def load(path, **options):
    n[0] += 1
    if n[0] == 3: os.system("true")
    if n[0] == 4: raise KeyError("a")
    if n[0] == 5 and not os.path.exists(os.path.dirname(path) + "/died.once"):
        open(os.path.dirname(path) + "/died.once", "w").close()
        os._exit(11)
    return load_controlnet(mutants.CONTROL)
zeroctl_core.load_controlnet = load
"""
    monkeypatch.setattr(mutants, "WORKER", body + mutants.WORKER)
    results = mutants.summed_up(mutants.watch(folder, seed=0, n=5))
    assert results["code"] == [1] and results["errors"] == {"KeyError": 1}
    assert [line["number"] for line in results["ended"]] == [3] and results["ended"][0]["result"] == "crash"
    assert list(mutants.held(results).values())[:3] == [False, False, False]
