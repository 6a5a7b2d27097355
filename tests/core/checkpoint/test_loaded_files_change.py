"""A file that is cut, overwritten or deleted after it was loaded changes nothing of what was read from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from random_weights import random_state_dict
from safetensors.torch import save_file

from zeroctl_core import BASES, ControlNet, load_controlnet, save_controlnet
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network

ROOT = Path(__file__).resolve().parents[3]
CONTROL = "load_controlnet(path, mapped=False{dtype})"
LOADERS = {
    "fp32.safetensors": CONTROL.format(dtype=""),
    "fp16.safetensors": CONTROL.format(dtype=""),
    "fp16.pth": CONTROL.format(dtype=""),
    "fp32.pt": CONTROL.format(dtype=""),
    "fp32_as_fp16.safetensors": CONTROL.format(dtype=", dtype=torch.float16"),
    "network.safetensors": "load_network('teed', path)",
    "network.pth": "load_network('teed', path)",
}
DAMAGES = {
    "truncated": "open(path, 'wb').close()",
    "overwritten": "open(path, 'r+b').write(b'\\xff' * os.path.getsize(path))",
    "deleted": "os.unlink(path)",
}
CHILD = """
import os, sys, torch
from zeroctl_core import load_controlnet
from zeroctl_core.annotators.networks.loading import load_network

def weights_of(net):
    return {key: value.numpy().tobytes() for key, value in net.state_dict().items()}
"""
CASE = """
path = {path!r}
net = {load}
before = weights_of({load})
mapped = os.path.basename(path) in open("/proc/self/maps").read()
print(os.path.basename(path), "MAPPED" if mapped else "FREE", end=" ", flush=True)
{damage}
print("EQUAL" if weights_of(net) == before else "CHANGED", flush=True)
"""


def _write(path: Path) -> None:
    if "network" in path.name:
        state = random_state_dict(NETWORKS["teed"].shapes())
    else:
        shapes = {
            key: tuple(value.shape) for key, value in ControlNet(BASES["tiny"], device="meta").state_dict().items()
        }
        state = random_state_dict(shapes, dtype=torch.float16 if "fp16." in path.name else torch.float32)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=path.suffix == ".pth")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """File -> what a process of its own, which a map would end, says of it: one for all, each costs seconds."""
    folder, program = tmp_path_factory.mktemp("change"), CHILD
    for damage, change in DAMAGES.items():
        for name, load in LOADERS.items():
            path = folder / f"{damage}-{name}"
            _write(path)
            program += CASE.format(path=str(path), load=load, damage=change)
    child = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, f"{child.stdout}\n{child.stderr}"
    return {file: words for file, *words in map(str.split, child.stdout.splitlines())}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", LOADERS)
def test_what_was_read_stays_equal_to_the_bit(results, name, damage):
    assert results[f"{damage}-{name}"] == ["FREE", "EQUAL"]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_reading_and_mapping_give_equal_weights(suffix, tmp_path):
    path = tmp_path / f"fp16{suffix}"
    _write(path)
    one, other = (load_controlnet(path, mapped=mapped).state_dict() for mapped in (True, False))
    assert list(one) == list(other)
    for key, value in one.items():
        assert value.dtype == other[key].dtype == torch.float16 and torch.equal(value, other[key]), key


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_a_mapped_net_is_off_its_file_before_it_replaces_it(tmp_path, monkeypatch):
    """Windows replaces no file that is mapped."""
    path = tmp_path / "own.safetensors"
    _write(path)
    net = load_controlnet(path)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    parameters = list(net.parameters())
    assert "own.safetensors" in Path("/proc/self/maps").read_text()
    save_controlnet(net, path)
    assert "own.safetensors" not in Path("/proc/self/maps").read_text()
    assert all(one is other for one, other in zip(net.parameters(), parameters, strict=True))
    after = load_controlnet(path, mapped=False).state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_under_windows_rules_a_file_that_was_read_can_be_replaced_and_removed(suffix, tmp_path, windows_files):
    path, other = tmp_path / f"fp32{suffix}", tmp_path / "other.safetensors"
    _write(path)
    _write(other)
    net = load_controlnet(path, mapped=False)
    os.replace(other, path)
    save_controlnet(net, tmp_path / "fp32.safetensors")
    os.unlink(tmp_path / "fp32.safetensors")
    _write(tmp_path / "network.pth")
    network = load_network("teed", tmp_path / "network.pth")
    os.unlink(tmp_path / "network.pth")
    assert len(network.state_dict()) == len(NETWORKS["teed"].shapes())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_under_windows_rules_a_mapped_net_replaces_its_own_file(tmp_path, windows_files):
    path = tmp_path / "own.safetensors"
    _write(path)
    net = load_controlnet(path)
    with pytest.raises(PermissionError):
        os.replace(path, path)
    save_controlnet(net, path)
    assert load_controlnet(path, mapped=False).state_dict().keys() == net.state_dict().keys()
