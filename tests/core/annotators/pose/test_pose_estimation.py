"""Key points of people in boxes, by ViTPose."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroctl_core.annotators.pose import (
    POSE_PARAMS,
    detect_poses,
    draw_pose,
    estimate_poses,
    read_keypoints,
    write_keypoints,
)
from zeroctl_core.annotators.pose.coco import FROM_COCO
from zeroctl_core.annotators.pose.heatmaps import points_from_heatmaps
from zeroctl_core.annotators.transformers_models import TransformersModel, load_model
from zeroctl_core.annotators.transformers_models.preprocessing import AS_IT_IS, IMAGENET, Preprocessing

FOUND_IN_COCO = [point for point in range(18) if point != 1]

# a person in COCO's order, 200 pixels wide and 380 high
PERSON = np.array(
    [
        [100, 25], [122, 2], [78, 3], [150, 20], [50, 21], [160, 90], [40, 92], [180, 160], [22, 158],
        [198, 230], [2, 228], [140, 220], [62, 222], [145, 300], [55, 298], [150, 378], [48, 377],
    ],
    dtype=np.float64,
)  # fmt: skip


MARKS = (torch.arange(17) + 1) / 18
"""How much red is in the mark of each of COCO's points on a picture of `marked_picture`, for one of green."""

MARK, BLUR = 4.0, 6.0
"""Standard deviations, in pixels: of the marks, and of what `see_marks` smooths its maps with."""


def marked_picture(height: int, width: int, people: list[np.ndarray]) -> Tensor:
    """Each person [17, 2] as 17 soft marks with a colour of their own on black: [1, 3, height, width] in 0..1."""
    down, across = np.mgrid[:height, :width]
    x, y = np.concatenate(people).T[:, :, None, None]
    green = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * MARK**2))
    nearest = torch.from_numpy(green.argmax(axis=0) % 17)
    strongest = torch.from_numpy(green.max(axis=0)).float()
    return torch.stack([strongest * MARKS[nearest], strongest, torch.zeros(height, width)])[None]


def see_marks(crops: Tensor) -> Tensor:
    """What a perfect estimator draws of such pictures: [N, 3, 256, 192] normalised -> [N, 17, 64, 48]."""
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in IMAGENET)
    red, green, _ = (crops * std + mean).clamp(0, 1).split(1, dim=1)
    of_point = ((red / green.clamp(min=0.01) - MARKS[:, None, None]).abs() < 0.5 / 18) & (green > 0.05)
    taps = torch.exp(-0.5 * (torch.arange(-18, 19) / BLUR) ** 2)
    taps = (taps / taps.sum()).expand(17, 1, 1, -1)
    dots = torch.where(of_point, green, 0.0)
    soft = F.conv2d(F.conv2d(dots, taps, padding=(0, 18), groups=17), taps.mT, padding=(18, 0), groups=17)
    maps = F.interpolate(soft, (64, 48), mode="bilinear", align_corners=True)
    return maps / maps.amax(dim=(2, 3), keepdim=True).clamp(min=0.01)


class Answering(nn.Module):
    """A model that notes what it was shown."""

    def __init__(self, answer: Callable[[Tensor], dict[str, Tensor]], dtype: torch.dtype, **config: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=dtype))
        self.config = SimpleNamespace(**config)
        self.answer = answer
        self.shown: list[Tensor] = []
        self.experts: list[list[int]] = []

    def forward(self, pixel_values: Tensor, dataset_index: Tensor | None = None) -> SimpleNamespace:
        assert not torch.is_grad_enabled()
        self.shown.append(pixel_values)
        if dataset_index is not None:
            self.experts.append(dataset_index.tolist())
        return SimpleNamespace(**self.answer(pixel_values))


def estimator(
    answer: Callable[[Tensor], Tensor], experts: int = 1, dtype: torch.dtype = torch.float32
) -> TransformersModel:
    backbone = SimpleNamespace(image_size=[256, 192], num_experts=experts)
    model = Answering(lambda crops: {"heatmaps": answer(crops)}, dtype, backbone_config=backbone)
    return TransformersModel(model, "vitpose", Preprocessing(*IMAGENET))


def two_people() -> TransformersModel:
    """A detector of a person on the left and one on the right, whom it is surer of."""
    boxes = torch.tensor([[0.25, 0.5, 0.4, 0.8], [0.75, 0.5, 0.4, 0.8]])
    logits = torch.tensor([[0.5], [2.0]])
    model = Answering(
        lambda pixel_values: {
            "logits": logits.expand(len(pixel_values), -1, -1),
            "pred_boxes": boxes.expand(len(pixel_values), -1, -1),
        },
        torch.float32,
        id2label={0: "person"},
    )
    return TransformersModel(model, "rt_detr", Preprocessing(*AS_IT_IS))


def tiny_estimator(experts: int = 1, simple: bool = True) -> dict[str, Any]:
    """What a tiny random ViTPose differs in from the usual one; with `experts` it is a ViTPose++."""
    transformers = pytest.importorskip("transformers", reason="runs an estimator of transformers")
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[256, 192],
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        num_experts=experts,
        part_features=8 if experts > 1 else 0,
        out_indices=[2],
    )
    return {"backbone_config": backbone, "use_simple_decoder": simple}


def around(points: np.ndarray) -> np.ndarray:
    return np.array([[*points.min(axis=0), *points.max(axis=0)]])


def gaussians(peaks: np.ndarray) -> np.ndarray:
    """[..., 2] x and y in pixels of the map -> [..., 64, 48] float32, as wide as ViTPose was trained on."""
    down, across = np.mgrid[:64, :48]
    x, y = peaks[..., 0, None, None], peaks[..., 1, None, None]
    maps: np.ndarray = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 2.0**2)).astype(np.float32)
    return maps


def flat(crops: Tensor) -> Tensor:
    """An estimator that finds nothing."""
    return torch.zeros(len(crops), 17, 64, 48)


def everywhere(crops: Tensor) -> Tensor:
    """An estimator that finds all points in the middle of the crop."""
    return torch.from_numpy(gaussians(np.full((len(crops), 17, 2), (23.5, 31.5))))


def test_planted_points_come_back_to_a_quarter_of_a_pixel() -> None:
    where = [PERSON + (30.25, 40.5), PERSON * 0.9 + (370, 90.75), PERSON * [1.2, 1.1] + (100, 60)]
    picture = torch.cat([marked_picture(560, 640, where[:2]), marked_picture(560, 640, where[2:])])
    before = picture.clone()
    boxes = [np.concatenate([around(where[0]), around(where[1])]), around(where[2])]
    frames = estimate_poses(picture, boxes, estimator(see_marks))
    assert torch.equal(picture, before)
    assert [(len(frame.people), frame.height, frame.width) for frame in frames] == [(2, 560, 640), (1, 560, 640)]
    for points, person in zip(where, [person for frame in frames for person in frame.people], strict=True):
        planted = points[list(FROM_COCO)]
        assert np.abs(person.body[FOUND_IN_COCO, :2] - planted[FOUND_IN_COCO]).max() < 0.25
        np.testing.assert_allclose(person.body[1, :2], (points[5] + points[6]) / 2, atol=0.5)
        assert person.body[:, 2].min() > 0.9


def test_drawn_and_written() -> None:
    points = PERSON + (30, 40)
    frames = detect_poses(marked_picture(500, 320, [points]), estimator(see_marks), boxes=[around(points)])
    condition = draw_pose(frames, 500, 320)
    assert condition.shape == (1, 3, 500, 320)
    assert condition[0, :, 65, 130].sum() > 0  # the nose
    (again,) = read_keypoints(write_keypoints(frames))
    np.testing.assert_array_equal(again.people[0].body, frames[0].people[0].body)


def test_points_lie_at_the_peaks_of_heatmaps() -> None:
    peaks = np.random.default_rng(0).uniform((3, 3), (44, 60), (4, 17, 2))
    points = points_from_heatmaps(gaussians(peaks) * np.float32(0.8))
    np.testing.assert_allclose(points[..., :2], peaks, atol=1e-3)
    assert points[..., 2].min() > 0.7 and points[..., 2].max() <= 0.8


def test_strange_heatmaps() -> None:
    maps = np.zeros((1, 4, 6, 4), dtype=np.float32)
    maps[0, 1] = -1
    maps[0, 2] = 0.5
    maps[0, 3, 5, 3] = 1
    points = points_from_heatmaps(maps)[0]
    np.testing.assert_array_equal(points[[0, 1]], 0)
    np.testing.assert_allclose(points[2], [0, 0, 0.5], atol=1e-6)
    assert np.isfinite(points).all() and points[3, 2] == 1


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """Pseudorandom numbers in 0..1 that no library may change."""
    count = np.arange(int(np.prod(shape)), dtype=np.float64)
    return ((np.sin(count * 12.9898) * 43758.5453) % 1).reshape(shape).astype(np.float32)


def processor() -> Any:
    """The one that needs no torchvision: of its own name in transformers 5, the only one before."""
    pytest.importorskip("transformers", reason="compares with its processor")
    pytest.importorskip("scipy", reason="transformers' processor needs it")
    try:
        from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil
    except ImportError:
        from transformers import VitPoseImageProcessor

        return VitPoseImageProcessor()
    return VitPoseImageProcessorPil()


def processed(heatmaps: Tensor, boxes: np.ndarray) -> np.ndarray:
    """Key points by transformers: [N, 17, 3]."""
    corners_and_sizes = [[[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes.tolist()]]
    output = SimpleNamespace(heatmaps=heatmaps)
    (people,) = processor().post_process_pose_estimation(output, corners_and_sizes, threshold=None)
    return np.stack([np.concatenate([person["keypoints"], person["scores"][:, None]], axis=1) for person in people])


BOXES = np.array([[100, 20, 330, 500], [0, 0, 512, 512], [-40.3, 300.7, 90.2, 420.1]])


@pytest.mark.parametrize("kind", ["gaussians", "noisy", "noise", "edge"])
def test_points_are_those_of_the_processor_of_transformers(kind: str) -> None:
    random = np.random.default_rng(0)
    peaks = random.uniform((3, 3), (44, 60), (3, 17, 2))
    if kind == "edge":
        peaks = np.where(random.random((3, 17, 2)) < 0.5, 0, (47, 63)).astype(np.float64)
    maps = gaussians(peaks) if kind != "noise" else random.normal(0, 1, (3, 17, 64, 48)).astype(np.float32)
    if kind == "noisy":
        maps = maps * np.float32(0.8) + random.uniform(0, 0.05, maps.shape).astype(np.float32)
    heatmaps = torch.from_numpy(maps)
    frames = estimate_poses(torch.rand(1, 3, 512, 512), [BOXES], estimator(lambda _: heatmaps), keypoint_threshold=0)
    theirs = processed(heatmaps, BOXES)
    ours = np.stack([person.body for person in frames[0].people])[:, FOUND_IN_COCO]
    np.testing.assert_allclose(ours, theirs[:, [FROM_COCO[point] for point in FOUND_IN_COCO]], atol=2e-3)


# Recorded from transformers 4.50.3, VitPoseImageProcessor.post_process_pose_estimation, which 5.24 repeats.
RECORDED = [
    [213.441, 29.07, 1.019], [25.199, 326.725, 1.015], [400.298, 329.661, 1.07],
    [113.655, 544.426, 1.061], [308.86, 547.117, 1.05], [116.907, 22.657, 1.025],
]  # fmt: skip


def test_recorded_points_of_the_processor_of_transformers() -> None:
    heatmaps = torch.from_numpy(noise((1, 17, 64, 48)) * 0.1)
    heatmaps += torch.from_numpy(gaussians(PERSON[None] / (5, 6.5) + (3.3, 3.4)))
    (frame,) = estimate_poses(torch.rand(1, 3, 512, 512), [BOXES[:1]], estimator(lambda _: heatmaps))
    np.testing.assert_allclose(frame.people[0].body[[0, 4, 7, 10, 13, 16]], RECORDED, atol=2e-3)


def test_crops_are_those_of_the_processor_of_transformers() -> None:
    data = pytest.importorskip("skimage.data", reason="needs a photograph")
    compared = processor()
    photograph = data.astronaut()
    corners_and_sizes = [[[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in BOXES.tolist()]]
    theirs = compared(photograph, boxes=corners_and_sizes, do_rescale=False, do_normalize=False, return_tensors="np")
    net = estimator(everywhere)
    picture = torch.from_numpy(photograph).movedim(-1, 0)[None].float() / 255
    estimate_poses(picture, [BOXES], net)
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    ours = (torch.cat(net.model.shown) * std + mean) * 255
    off = np.abs(ours.numpy() - np.stack(list(theirs["pixel_values"])).astype(np.float32)).max(axis=1)
    # OpenCV blends the border of the picture with the black around it, SciPy does not
    assert (off > 1.01).mean() < 0.01


def test_crops_of_all_pictures_go_together_a_few_at_once() -> None:
    net = estimator(everywhere)
    boxes = np.array([[5 * n, 0, 5 * n + 40, 60] for n in range(3)], dtype=np.float64)
    frames = estimate_poses(torch.rand(3, 3, 64, 96), [boxes, boxes[:0], boxes[:2]], net)
    assert [len(call) for call in net.model.shown] == [4, 1]
    assert [len(frame.people) for frame in frames] == [3, 0, 2]
    np.testing.assert_allclose(frames[2].people[1].body[0, :2], (25, 30), atol=0.01)
    assert net.model.experts == []


def test_without_boxes_each_picture_is_one_person() -> None:
    frames = detect_poses(torch.rand(2, 3, 60, 100), estimator(everywhere))
    assert [len(frame.people) for frame in frames] == [1, 1]
    np.testing.assert_allclose(frames[1].people[0].body[:, :2], np.tile((50, 30), (18, 1)), atol=0.01)


def test_where_nobody_is_found_the_frame_says_why() -> None:
    picture = torch.rand(1, 3, 100, 200)
    (one,) = detect_poses(picture, estimator(everywhere), two_people())
    assert len(one.people) == 2 and one.note == ""
    (one,) = detect_poses(picture, estimator(everywhere), two_people(), person_threshold=0.95)
    assert one.note == "the detector is of nobody surer than the person_threshold of 0.95"
    (one,) = detect_poses(picture, estimator(flat), two_people())
    assert one.note == "no point in any box scores the keypoint_threshold of 0.3"
    (one,) = detect_poses(picture, estimator(everywhere), boxes=[{"x": 300, "y": 1, "width": 30, "height": 40}])
    assert one.note == "there is no box around a person"


def test_a_box_in_fractions_is_one_in_pixels() -> None:
    picture = torch.rand(1, 3, 100, 200)
    boxes = {"x": 0.25, "y": 0.5, "width": 0.5, "height": 0.25}, {"x": 50, "y": 50, "width": 100, "height": 25}
    (first,), (second,) = (detect_poses(picture, estimator(everywhere), boxes=box) for box in boxes)
    np.testing.assert_array_equal(first.people[0].body, second.people[0].body)


def test_nobody() -> None:
    net = estimator(everywhere)
    for boxes in ([], [[]], [[], []], [None, None]):
        frames = detect_poses(torch.rand(2, 3, 60, 100), net, boxes=boxes)
        assert [frame.people for frame in frames] == [(), ()]
    assert net.model.shown == []
    assert not draw_pose(frames, 60, 100).any()
    # boxes, in which no point is found
    assert [frame.people for frame in detect_poses(torch.rand(2, 3, 60, 100), estimator(flat))] == [(), ()]


def test_points_below_the_threshold_are_not_found() -> None:
    strength = torch.linspace(0.05, 0.85, 17)[:, None, None]
    net = estimator(lambda crops: everywhere(crops) * strength)
    scores = points_from_heatmaps((everywhere(torch.zeros(1)) * strength).numpy())[0, :, 2]
    (frame,) = estimate_poses(torch.rand(1, 3, 60, 100), None, net, keypoint_threshold=0.3)
    body = frame.people[0].body
    for point in FOUND_IN_COCO:
        score = scores[FROM_COCO[point]]
        assert body[point, 2] == pytest.approx(score if score >= 0.3 else 0)
        assert (body[point] == 0).all() or score >= 0.3
    assert (body[1] == 0).all()  # the left shoulder scores 0.29
    (frame,) = estimate_poses(torch.rand(1, 3, 60, 100), None, net, keypoint_threshold=0.1)
    assert frame.people[0].body[1, 2] == pytest.approx(scores[5])


def test_a_detector_says_where_people_are() -> None:
    people = two_people()
    frames = detect_poses(torch.rand(2, 3, 60, 100), estimator(everywhere), people)
    assert [[round(person.body[0, 0]) for person in frame.people] for frame in frames] == [[75, 25]] * 2
    (frame, _) = detect_poses(torch.rand(2, 3, 60, 100), estimator(everywhere), people, max_people=1)
    assert [round(person.body[0, 0]) for person in frame.people] == [75]
    (frame, _) = detect_poses(torch.rand(2, 3, 60, 100), estimator(everywhere), people, person_threshold=0.9)
    assert frame.people == ()


def test_boxes_go_before_the_detector() -> None:
    people = two_people()
    boxes = [{"x": 10, "y": 10, "width": 20, "height": 30, "score": score} for score in (0.1, 0.2)]
    (frame,) = detect_poses(torch.rand(1, 3, 60, 100), estimator(everywhere), people, boxes, max_people=1)
    assert len(frame.people) == 1
    np.testing.assert_allclose(frame.people[0].body[0, :2], (20, 25), atol=0.01)
    assert people.model.shown == []


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_any_size_and_any_precision(size: tuple[int, int]) -> None:
    net = estimator(everywhere, dtype=torch.bfloat16)
    for picture in (torch.rand(2, 3, *size), torch.zeros(2, 3, *size, dtype=torch.float16)):
        for frame in detect_poses(picture, net):
            assert np.isfinite(frame.people[0].body).all()
    assert {call.dtype for call in net.model.shown} == {torch.bfloat16}
    assert {tuple(call.shape[1:]) for call in net.model.shown} == {(3, 256, 192)}


def test_experts_get_the_number_of_the_data_set() -> None:
    net = estimator(everywhere, experts=6)
    detect_poses(torch.rand(2, 3, 60, 100), net)
    assert net.model.experts == [[0, 0]]


def test_other_networks_and_settings_are_refused() -> None:
    picture = torch.rand(1, 3, 20, 20)
    with pytest.raises(ValueError, match="finds 133 points; expected the 17 of COCO"):
        detect_poses(picture, estimator(lambda crops: torch.rand(len(crops), 133, 64, 48)))
    for wrong in ({"max_people": 0}, {"person_threshold": 1.5}, {"keypoint_threshold": -1}):
        with pytest.raises(ValueError, match=f"pose: {next(iter(wrong))} is"):
            detect_poses(picture, estimator(everywhere), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="boxes for 2 pictures, but 1 picture"):
        detect_poses(picture, estimator(everywhere), boxes=[[], []])
    with pytest.raises(ValueError, match="the channels seem to come last"):
        detect_poses(torch.rand(1, 20, 20, 3), estimator(everywhere))


def test_the_settings_are_explained() -> None:
    assert [param.name for param in POSE_PARAMS] == ["person_threshold", "keypoint_threshold", "max_people"]
    assert all(param.help.endswith(".") for param in POSE_PARAMS)


def test_networks_for_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match="pose: the net is a rt_detr"):
        detect_poses(torch.rand(1, 3, 20, 20), two_people())
    with pytest.raises(ValueError, match="people: the net is a vitpose"):
        detect_poses(torch.rand(1, 3, 20, 20), estimator(flat), estimator(flat))


@pytest.mark.parametrize(("experts", "simple"), [(1, True), (1, False), (3, True)])
def test_a_tiny_network_of_transformers(experts: int, simple: bool) -> None:
    changes = tiny_estimator(experts, simple)
    from tiny_transformers import tiny_model

    model = tiny_model("vitpose", **changes)
    picture = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(2))
    heatmaps: list[Tensor] = []
    model.register_forward_hook(lambda _, __, output: heatmaps.append(output.heatmaps))
    net = TransformersModel(model, "vitpose", Preprocessing(*IMAGENET))
    (frame,) = estimate_poses(picture, [BOXES], net, keypoint_threshold=0)
    theirs = processed(torch.cat(heatmaps), BOXES)
    assert len(frame.people) == 3
    for person, points in zip(frame.people, theirs, strict=True):
        expected = points[list(FROM_COCO)]
        visible = [point for point in FOUND_IN_COCO if expected[point, 2] > 0]
        assert visible
        np.testing.assert_allclose(person.body[visible], expected[visible], atol=5e-3)


@pytest.mark.parametrize("experts", [1, 3])
def test_from_a_folder_without_a_network(experts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = tiny_estimator(experts)
    from tiny_transformers import tiny_model, write_tiny

    write_tiny("vitpose", tmp_path, {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, **changes)

    def refuse(*_: object) -> None:
        raise AssertionError("this must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    picture = torch.rand(1, 3, 120, 90, generator=torch.Generator().manual_seed(2))
    (loaded,) = detect_poses(picture, load_model(tmp_path, "pose"), keypoint_threshold=0)
    net = TransformersModel(tiny_model("vitpose", **changes), "vitpose", Preprocessing((0.5,) * 3, (0.5,) * 3))
    (output,) = detect_poses(picture, net, keypoint_threshold=0)
    np.testing.assert_allclose(loaded.people[0].body, output.people[0].body, atol=0.05)
