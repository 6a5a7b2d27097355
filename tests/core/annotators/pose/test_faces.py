"""Faces of people: where they are looked for, how the points come back to the picture, and who gets none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zeroctl_core.annotators.networks.face_landmarks import FaceLandmarks
from zeroctl_core.annotators.pose import Frame, Person, find_faces
from zeroctl_core.annotators.pose.faces import ASTRAY, SMALL, UNSURE

GENERATOR = torch.Generator().manual_seed(0)
SHAPE = torch.rand(68, 2, generator=GENERATOR) * 0.7 - 0.35
"""A face around its middle, in sides of the square that shows it; its eyes lie where faces have them."""
SHAPE[36:42], SHAPE[42:48] = torch.tensor([-0.18, -0.12]), torch.tensor([0.18, -0.12])


class Seeing(FaceLandmarks):
    """Finds `SHAPE` around the brightest spot of what it sees, as large as the red that it sees there says."""

    def __init__(self, *, constant: bool = False, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.inputs, self.constant = list[Tensor](), constant
        self.to(dtype)

    def forward(self, image: Tensor) -> Tensor:
        self.inputs.append(image)
        if self.constant:
            return (0.5 + SHAPE)[None].to(image.dtype)
        row, column = divmod(int(image[0, 1].float().argmax()), 112)
        return (torch.tensor([column + 0.5, row + 0.5]) / 112 + SHAPE)[None].to(image.dtype)


def person(right: tuple[float, float], left: tuple[float, float], nose: tuple[float, float], score: float = 0.6):
    body = np.zeros((18, 3))
    for point, place in ((0, nose), (14, right), (15, left)):
        body[point] = (*place, score)
    return Person(body=body)


UPRIGHT = person((80.0, 90.0), (120.0, 90.0), (100.0, 110.0))


def faces(image: Tensor, *people: Person, net: nn.Module | None = None) -> tuple[list[np.ndarray], list[str]]:
    notes: list[str] = []
    (frame,) = find_faces(image, [Frame(people, *image.shape[2:])], net or Seeing(constant=True), notes.append)
    assert (frame.height, frame.width) == tuple(image.shape[2:])
    return [person.face for person in frame.people], notes


def test_points_come_back_to_where_the_square_was_cut_out() -> None:
    """A bright spot in the picture is where the network says that the middle of the face is."""
    image = torch.zeros(1, 3, 200, 240)
    image[0, 1, 97:104, 97:104] = 0.5
    image[0, 1, 100, 100] = 1.0
    net = Seeing()
    (face,), notes = faces(image, UPRIGHT, net=net)
    assert len(net.inputs) == 3 and all(square.shape == (1, 3, 112, 112) for square in net.inputs)
    eyes = np.stack([face[36:42, :2].mean(axis=0), face[42:48, :2].mean(axis=0)])
    assert not notes and np.abs(eyes - [(80, 88), (120, 88)]).max() < 6
    middle = face[:68, :2] - SHAPE.numpy() * (eyes[1, 0] - eyes[0, 0]) / 0.36
    assert np.abs(middle - 100).max() < 1.5


@pytest.mark.parametrize("angle", [0, 35, 90, 180, -120])
def test_a_turned_head_is_shown_upright(angle) -> None:
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    places = [tuple(matrix @ place + 150) for place in ((-20, -10), (20, -10), (0, 10))]
    image = torch.zeros(1, 3, 300, 300)
    forehead, chin = (matrix @ (0, -30) + 150).round().astype(int), (matrix @ (0, 40) + 150).round().astype(int)
    for channel, (x, y) in ((0, forehead), (2, chin)):
        image[0, channel, y - 3 : y + 4, x - 3 : x + 4] = 1.0
    net = Seeing(constant=True)
    faces(image, person(*places), net=net)
    for channel, is_there in ((0, lambda row: row < 45), (2, lambda row: row > 70)):
        row, column = divmod(int(net.inputs[0][0, channel].argmax()), 112)
        assert is_there(row) and abs(column - 56) < 8


def test_the_score_is_that_of_the_worst_of_nose_and_eyes_and_pupils_are_not_found() -> None:
    body = UPRIGHT.body.copy()
    body[15, 2] = 0.4
    (face,), _ = faces(torch.zeros(1, 3, 200, 200), Person(body=body))
    assert (face[:68, 2] == 0.4).all() and (face[68:] == 0).all()


@pytest.mark.parametrize(
    ("somebody", "cause"),
    [
        (person((80, 90), (120, 90), (100, 110), score=0.0), UNSURE),
        (person((120, 90), (80, 90), (100, 110)), UNSURE),  # from behind: the right eye is on the right
        (person((80, 90), (80, 90), (80, 100)), UNSURE),
        (person((97, 90), (103, 90), (100, 94)), SMALL),
        (person((60, 40), (140, 40), (100, 80)), None),
    ],
)
def test_who_has_no_face_is_told_and_kept(somebody, cause) -> None:
    (face,), notes = faces(torch.zeros(1, 3, 200, 200), somebody)
    assert notes == ([cause] if cause else []) and face.any() == (cause is None)


def test_points_that_do_not_settle_or_lie_elsewhere_are_left_out() -> None:
    class Restless(Seeing):
        def forward(self, image: Tensor) -> Tensor:
            self.inputs.append(image)
            return (0.5 + SHAPE + (0.1 if len(self.inputs) == 3 else 0.0))[None]

    class Elsewhere(Seeing):
        def forward(self, image: Tensor) -> Tensor:
            return (0.7 + SHAPE)[None]

    for net in (Restless(), Elsewhere()):
        (face,), notes = faces(torch.zeros(1, 3, 200, 200), UPRIGHT, net=net)
        assert notes == [ASTRAY] and not face.any()


def test_nobody_and_half_precision_and_the_edge_of_the_picture_are_fine() -> None:
    assert faces(torch.zeros(1, 3, 64, 64)) == ([], [])
    net = Seeing(constant=True, dtype=torch.bfloat16)
    (face,), _ = faces(torch.ones(1, 3, 100, 100), person((2, 0), (30, 0), (16, 15)), net=net)
    assert face.any() and net.inputs[0].dtype == torch.bfloat16
    assert net.inputs[0][0, 0, 0].eq(0).all() and net.inputs[0].eq(1).any()  # black beyond the picture


def test_a_large_face_is_averaged_and_not_sampled() -> None:
    fine = torch.zeros(1, 3, 1200, 1000)
    fine[..., ::2] = 1.0
    net = Seeing(constant=True)
    faces(fine, person((300, 400), (600, 400), (450, 550)), net=net)
    assert (net.inputs[0] - 0.5).abs().max() < 0.15


def test_another_network_or_number_of_frames_is_refused() -> None:
    image = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"is a Linear; expected load_network\('face_landmarks'"):
        find_faces(image, [Frame((), 64, 64)], nn.Linear(1, 1))
    with pytest.raises(ValueError, match="2 frames for 1 pictures; expected one a picture"):
        find_faces(image, [Frame((), 64, 64)] * 2, Seeing())
    broken = Seeing()
    broken.forward = lambda image: torch.full((1, 68, 2), float("nan"))
    with pytest.raises(ValueError, match="face of a pose.*NaN"):
        faces(torch.zeros(1, 3, 200, 200), UPRIGHT, net=broken)
