"""The self-check passes, fails when something is wrong, and says so by its exit status."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from PIL import Image

from zeroctl_core import selfcheck
from zeroctl_core.annotators.pictures.sheet import MARGIN
from zeroctl_core.bases import BASES
from zeroctl_core.network.random_weights import random_controlnet
from zeroctl_core.selfcheck import EDGES_NAME, SelfCheck
from zeroctl_core.weighting import RULES


def test_passes_on_the_small_base(tmp_path):
    lines: list[str] = []
    assert SelfCheck(BASES["tiny"], 128, tmp_path, seed=0, say=lines.append).run()
    text = "\n".join(lines)
    assert "all checks passed" in text and "FAIL" not in text
    for rule in RULES:
        assert rule in text
    assert (
        text.count("skip 11") == 2 and sum(line.startswith("  middle ") for line in text.splitlines()) == 2
    )  # residuals and weights
    with Image.open(tmp_path / EDGES_NAME) as sheet:
        left, top = MARGIN, sheet.height - MARGIN - 128
        photo, edges = (sheet.crop((x, top, x + 128, top + 128)) for x in (left, left + 128 + MARGIN))
        assert len(photo.getcolors(128 * 128)) > 1000
        assert [level for _, level in sorted(edges.convert("L").getcolors())] == [255, 0], "edges are the rarer colour"


def test_as_a_command(tmp_path):
    command = [sys.executable, "-m", "zeroctl_core.selfcheck", "--base", "tiny", "--size", "64", "--out", str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    assert (tmp_path / EDGES_NAME).stat().st_size > 0


def test_a_wrong_round_trip_fails_the_command(tmp_path, monkeypatch, capsys):
    load = selfcheck.load_controlnet

    def load_with_one_bit_off(path):
        net = load(path)
        net.zero_convs[3][0].weight.data = net.zero_convs[3][0].weight.data.nextafter(torch.tensor(1.0))
        return net

    monkeypatch.setattr(selfcheck, "load_controlnet", load_with_one_bit_off)
    assert selfcheck.main(["--base", "tiny", "--size", "64", "--out", str(tmp_path)]) == 1
    assert "FAILED: 2 (ldm: all" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["0", "100", "-64"])
def test_refuses_a_size_that_is_not_a_canvas(size, capsys):
    with pytest.raises(SystemExit) as refused:
        selfcheck.main(["--size", size])
    assert refused.value.code == 2
    output = capsys.readouterr()
    assert "multiple of 64" in output.out + output.err


def test_random_nets_are_repeatable_and_differ_by_seed():
    first, again, other = (dict(random_controlnet(BASES["tiny"], seed).named_parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["input_blocks.0.0.weight"], other["input_blocks.0.0.weight"])
    assert all(bool(torch.isfinite(value).all()) for value in first.values())
