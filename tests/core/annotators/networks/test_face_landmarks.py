"""The network of faces and its published names, with random weights; test_face_landmarks_real.py has trained ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_graph import run_face
from random_weights import random_state_dict
from tfjs_graph import write_tfjs
from torch import Tensor

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.face_landmarks import published_names
from zeroctl_core.annotators.networks.loading import CheckpointError, load_network

NETWORK = NETWORKS["face_landmarks"]
NAMES = dict(published_names())


def listed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as the published list has them."""
    tensors = {}
    for key, weight in weights.items():
        if weight.ndim == 4:
            weight = weight.permute((2, 3, 0, 1) if "depthwise" in key else (2, 3, 1, 0))
        tensors[NAMES[key]] = (weight.T if weight.ndim == 2 else weight).contiguous()
    return tensors


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return random_state_dict(NETWORK.shapes(), spread=0.1)


def written(folder: Path, weights: dict[str, Tensor]) -> Path:
    return write_tfjs(folder / NETWORK.file, listed(weights), stored="uint8")


def test_computes_what_the_published_program_computes_of_the_same_file(weights, tmp_path) -> None:
    path, image = written(tmp_path, weights), torch.rand(2, 3, 112, 112)
    net = load_network(NETWORK.name, path)
    assert sum(file.size for file in NETWORK.files) == 365_325 and net.state_dict().keys() == weights.keys()
    points = net(image)
    assert points.shape == (2, 68, 2)
    for row in range(2):
        expected = torch.from_numpy(run_face(path, image[row : row + 1].movedim(1, -1).double().numpy() * 255))
        assert expected.std() > 0.1 and torch.allclose(points[row].double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("blocks.2.rest.1.pointwise.bias"), r"1 key missing \(blocks.2.rest.1.pointwise.bias\)"),
        (lambda t: t.update({"places.bias": torch.ones(140)}), r"places.bias \[140\] instead of \[136\]"),
        (lambda t: t["blocks.0.first.weight"].fill_(float("nan")), "NaN"),
    ],
)
def test_another_list_is_refused_by_name(weights, tmp_path, change, message) -> None:
    changed = {key: weight.clone() for key, weight in weights.items()}
    change(changed)
    path = write_tfjs(tmp_path / NETWORK.file, listed(changed), stored="float32")
    with pytest.raises(CheckpointError, match=message):
        load_network(NETWORK.name, path)


def test_the_tiny_sister_is_refused(weights, tmp_path) -> None:
    """face-api publishes a smaller network for the same points, with names that begin alike."""
    fewer = {key: weight for key, weight in weights.items() if not key.startswith(("blocks.3", "blocks.0.rest.2"))}
    path = written(tmp_path, fewer)
    with pytest.raises(CheckpointError, match="keys missing"):
        load_network(NETWORK.name, path)


def test_another_size_is_refused(seeded_net) -> None:
    with pytest.raises(ValueError, match=r"expected \[B, 3, 112, 112\]"):
        seeded_net(NETWORK.name)(torch.zeros(1, 3, 128, 128))
