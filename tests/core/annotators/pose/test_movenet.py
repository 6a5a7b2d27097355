"""People by MoveNet: what the network is shown, and where its people are in the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from zeroctl_core.annotators.networks.movenet import MoveNetMultiPose
from zeroctl_core.annotators.networks.movenet_graph import HEADS
from zeroctl_core.annotators.pose import detect_poses, draw_pose, poses_by_movenet


class Placed(MoveNetMultiPose):
    """Finds people at places of its own, whatever the picture: parts of the height and width of what it sees."""

    def __init__(self, *people: tuple[float, float, float], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.people, self.inputs = people, list[Tensor]()
        self.to(dtype)

    def forward(self, image: Tensor) -> Tensor:
        self.inputs.append(image)
        height, width = image.shape[2] // 4, image.shape[3] // 4
        heads = {name: torch.zeros(count, height, width) for name, count in HEADS.items()}
        for name in ("center", "kpt_heatmap"):
            heads[name].fill_(-20)
        for y, x, logit in self.people:
            row, column = int(y * height), int(x * width)
            heads["center"][0, row, column] = logit
            heads["box_scale"][:, row, column] = 6
            heads["kpt_heatmap"][:12, row, column] = 4.0  # knees and feet are not found
            heads["kpt_offset"][0::2, row, column] = y * height - row
            heads["kpt_offset"][1::2, row, column] = x * width - column
        return torch.cat(list(heads.values()))[None].expand(len(image), -1, -1, -1).to(image.dtype)


@pytest.mark.parametrize(
    ("size", "expected"), [((512, 1024), (128, 256)), ((333, 517), (192, 256)), ((720, 1280), (160, 256))]
)
def test_the_longer_side_is_256_and_black_makes_multiples_of_32(size, expected) -> None:
    for height, width in (size, size[::-1]):
        net = Placed()
        poses_by_movenet(torch.ones(2, 3, height, width), net, 0.5, 0.3, 20)
        assert [tuple(image.shape) for image in net.inputs] == [
            (1, 3, *(expected if height < width else expected[::-1]))
        ] * 2
        small = round(256 * min(size) / max(size))
        bright = net.inputs[0][0, 0]
        rows, columns = (small, 256) if height < width else (256, small)
        assert bright[:rows, :columns].eq(1).all() and bright.sum() == rows * columns


def test_a_strip_is_shown_at_least_one_pixel_wide() -> None:
    net = Placed()
    poses_by_movenet(torch.ones(1, 3, 1000, 1), net, 0.5, 0.3, 20)
    assert net.inputs[0].shape == (1, 3, 256, 32) and net.inputs[0][..., 0].eq(1).all()


@pytest.mark.parametrize("size", [(256, 256), (512, 1024), (333, 517), (1200, 700), (64, 80)])
def test_people_are_found_in_pixels_of_the_picture(size) -> None:
    height, width = size
    longer = max(size)
    small = [int(256 * side / longer + 0.5) for side in size]
    padded = [side + -side % 32 for side in small]
    net = Placed((0.4, 0.3, 5.0))
    (frame,) = detect_poses(torch.rand(1, 3, height, width), net)
    x, y = 0.3 * padded[1] * width / small[1], 0.4 * padded[0] * height / small[0]
    (person,) = frame.people
    assert (frame.height, frame.width) == size
    assert np.allclose(person.body[0, :2], (x, y), atol=0.01) and np.allclose(person.body[1, :2], (x, y), atol=0.01)
    is_there = person.body[:, 2] > 0
    assert is_there.sum() == 13 and (person.body[~is_there] == 0).all()  # 12 of COCO, and the neck
    assert draw_pose([frame], height, width).any()


def test_people_count_from_half_of_the_threshold_on_and_the_surest_come_first() -> None:
    net = Placed((0.2, 0.2, -1.5), (0.5, 0.5, 3.0), (0.8, 0.8, 0.0))
    image = torch.zeros(1, 3, 256, 256)
    scores = [torch.tensor(logit).sigmoid().item() * torch.tensor(4.0).sigmoid().item() for logit in (-1.5, 3.0, 0.0)]
    assert scores[0] < 0.25 < scores[2] < 0.5 < scores[1]

    def places(**settings: float) -> list[int]:
        (frame,) = detect_poses(image, net, **settings)
        return [round(person.body[0, 0] / 256 * 10) for person in frame.people]

    assert places() == [5, 8]
    assert places(person_threshold=0.3) == [5, 8, 2]
    assert places(person_threshold=1.0) == [5]
    assert places(person_threshold=0.3, max_people=2) == [5, 8]
    assert places(keypoint_threshold=0.99) == []
    (frame,) = detect_poses(torch.zeros(1, 3, 256, 256), net, keypoint_threshold=0.99)
    assert frame.note == "no point of the people whom MoveNet finds scores the keypoint_threshold of 0.99"


def test_a_batch_is_a_frame_each_and_nobody_is_fine() -> None:
    frames = detect_poses(torch.rand(3, 3, 96, 64), Placed())
    assert [frame.people for frame in frames] == [()] * 3
    assert all(frame.note.endswith("count from half of the person_threshold of 0.5 on") for frame in frames)
    assert detect_poses(torch.rand(1, 3, 96, 64), Placed((0.5, 0.5, 5.0)))[0].note == ""


def test_boxes_are_refused_and_a_detector_is_not_asked() -> None:
    image = torch.zeros(1, 3, 256, 256)
    with pytest.raises(ValueError, match="MoveNet finds people by itself and takes no boxes.*or use ViTPose"):
        detect_poses(image, Placed(), boxes=[np.array([[0, 0, 10, 10]])])
    assert len(detect_poses(image, Placed((0.5, 0.5, 5.0)), torch.nn.Linear(1, 1))[0].people) == 1


def test_refuses_what_is_not_a_picture_and_a_net_that_gives_nan() -> None:
    with pytest.raises(ValueError, match="divide 8-bit values by 255"):
        detect_poses(torch.full((1, 3, 64, 64), 255.0), Placed())
    with pytest.raises(ValueError, match="MoveNet: the network gives NaN"):
        detect_poses(torch.zeros(1, 3, 64, 64), Placed((0.5, 0.5, float("nan"))))
    with pytest.raises(ValueError, match="person_threshold"):
        detect_poses(torch.zeros(1, 3, 64, 64), Placed(), person_threshold=1.5)


def test_an_overshoot_is_clamped_and_levels_are_those_of_8_bits() -> None:
    net = Placed(dtype=torch.bfloat16)
    detect_poses(torch.full((1, 3, 256, 256), 1.2), net)
    assert net.inputs[0].dtype == torch.bfloat16 and net.inputs[0].eq(1).all()
    net = Placed()
    detect_poses(torch.full((1, 3, 256, 256), 0.501), net)
    assert net.inputs[0].mul(255).sub(128).abs().max() < 1e-4
