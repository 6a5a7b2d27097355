"""A network built for its keys and shapes alone: the same ones, without a start value and without a compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from zeroctl_core import BASES, ControlNet, UNet
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.demo.model import control_files
from zeroctl_core.files.on_meta import on_meta

ROOT = Path(__file__).resolve().parents[3]
LOAD = """
import sys
from zeroctl_core import load_controlnet
load_controlnet(sys.argv[1])
print("compiler" if "torch._dynamo" in sys.modules else "none")
"""


@pytest.mark.parametrize("kind", [ControlNet, UNet])
@pytest.mark.parametrize("base", BASES)
def test_keys_shapes_and_dtypes_are_those_of_a_network_with_values(kind, base):
    expected = kind(BASES[base], dtype=torch.float16, device="meta").state_dict()
    with on_meta():
        state = kind(BASES[base], dtype=torch.float16).state_dict()
    assert {key: (value.shape, value.dtype, value.device) for key, value in state.items()} == {
        key: (value.shape, value.dtype, value.device) for key, value in expected.items()
    }


def test_the_first_load_of_a_process_imports_no_compiler():
    command = [sys.executable, "-c", LOAD, str(control_files()["edges"])]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "none\n"


@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_of_an_annotator_needs_one(name, monkeypatch):
    """Whatever its layers start with: a start value that is not left out is one that torch works through."""
    for method in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, method, lambda *_, **__: pytest.fail("a start value was drawn"))
    with on_meta():
        NETWORKS[name].build()


def test_outside_and_on_other_devices_layers_start_as_always():
    with on_meta():
        layer = nn.Linear(64, 64, device="cpu")
        weight = torch.zeros(3, device="cpu").fill_(2)
    for start in (layer.weight, nn.Linear(64, 64).weight):
        assert 0.05 < float(start.detach().std()) < 0.1
    assert weight.tolist() == [2, 2, 2]
    assert not nn.Linear(2, 2).weight.is_meta
