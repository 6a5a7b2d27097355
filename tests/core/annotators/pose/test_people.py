"""People are found by RT-DETR and RT-DETRv2, and their boxes read from ComfyUI's BOUNDING_BOX."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zeroctl_core.annotators.pose import find_people, read_boxes
from zeroctl_core.annotators.pose.boxes import boxes_for_each, surest
from zeroctl_core.annotators.transformers_models import TransformersModel, load_model
from zeroctl_core.annotators.transformers_models.preprocessing import AS_IT_IS, Preprocessing

BOX = {"x": 10, "y": 20.5, "width": 30, "height": 40, "label": "person", "score": 0.75}
ROW = [10, 20.5, 40, 60.5, 0.75]


COCO = {number: "person" if number == 0 else f"thing {number}" for number in range(80)}


MORE = {"id2label": COCO, "num_queries": 400}
"""What the tiny detectors differ in. Random ones like the 316 places on the border best, where all boxes are one."""


class Answering(nn.Module):
    """A model that says the same of every picture, and notes what it was shown."""

    def __init__(
        self, answer: Callable[[Tensor], dict[str, Tensor]], labels: dict[int, str], dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=dtype))
        self.config = SimpleNamespace(id2label=labels)
        self.answer = answer
        self.shown: list[Tensor] = []

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        assert not torch.is_grad_enabled()
        self.shown.append(pixel_values)
        return SimpleNamespace(**self.answer(pixel_values))


def detector(
    answer: Callable[[Tensor], dict[str, Tensor]], labels: dict[int, str] = COCO, dtype: torch.dtype = torch.float32
) -> TransformersModel:
    return TransformersModel(Answering(answer, labels, dtype), "rt_detr", Preprocessing(*AS_IT_IS))


def tiny_detector(model_type: str) -> TransformersModel:
    pytest.importorskip("transformers", reason="runs a detector of transformers")
    from tiny_transformers import tiny_model

    return TransformersModel(tiny_model(model_type, **MORE), model_type, Preprocessing(*AS_IT_IS))


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def answering(*queries: tuple[tuple[float, float, float, float], tuple[float, float, float]]) -> Any:
    """The same boxes (centre and size in 0..1) and probabilities of three labels for every picture."""
    boxes = torch.tensor([box for box, _ in queries]).reshape(-1, 4)
    logits = torch.tensor([[logit(p) for p in chances] for _, chances in queries]).reshape(-1, 3)

    def answer(pictures: Tensor) -> dict[str, Tensor]:
        count = len(pictures)
        return {"logits": logits.expand(count, -1, -1), "pred_boxes": boxes.expand(count, -1, -1)}

    return answer


THREE = answering(
    ((0.25, 0.5, 0.5, 1.0), (0.6, 0.1, 0.1)),
    ((0.5, 0.5, 0.2, 0.4), (0.1, 0.9, 0.1)),  # a bicycle
    ((0.75, 0.5, 0.5, 0.5), (0.9, 0.1, 0.95)),  # a person, or even surer a car
)


def test_boxes_are_in_pixels_and_the_surest_come_first() -> None:
    people = find_people(torch.rand(2, 3, 100, 200), detector(THREE))
    assert len(people) == 2
    for boxes in people:
        assert boxes.dtype == np.float64
        np.testing.assert_allclose(boxes, [[100, 25, 200, 75, 0.9], [0, 0, 100, 100, 0.6]], atol=1e-4)


def test_threshold_and_number_of_people() -> None:
    picture = torch.rand(1, 3, 100, 200)
    assert find_people(picture, detector(THREE), threshold=0.95)[0].shape == (0, 5)
    assert find_people(picture, detector(THREE), threshold=0.05)[0].shape == (3, 5)
    (one,) = find_people(picture, detector(THREE), max_people=1)
    assert one[:, 4] == pytest.approx([0.9])


def test_the_label_is_looked_up_by_its_name() -> None:
    other = detector(THREE, {"0": "cup", "1": "Person", "2": "car"})  # type: ignore[dict-item]
    (boxes,) = find_people(torch.rand(1, 3, 100, 200), other)
    np.testing.assert_allclose(boxes, [[80, 30, 120, 70, 0.9]], atol=1e-4)
    with pytest.raises(ValueError, match=r"no label 'person' among its 1 \(cat\)"):
        find_people(torch.rand(1, 3, 9, 9), detector(THREE, {0: "cat"}))


def test_pictures_are_squeezed_and_not_normalised() -> None:
    net = detector(THREE)
    picture = torch.tensor([0.2, 0.5, 1.2])[None, :, None, None].expand(3, 3, 33, 57)
    before = picture.clone()
    find_people(picture, net)
    assert torch.equal(picture, before)
    assert [tuple(call.shape) for call in net.model.shown] == [(1, 3, 640, 640)] * 3
    torch.testing.assert_close(net.model.shown[0][0, :, 5, 7], torch.tensor([0.2, 0.5, 1.0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_any_size_and_any_precision(size: tuple[int, int]) -> None:
    net = detector(THREE, dtype=torch.bfloat16)
    for picture in (torch.rand(2, 3, *size), torch.zeros(2, 3, *size, dtype=torch.float16)):
        people = find_people(picture, net)
        assert [boxes.shape for boxes in people] == [(2, 5), (2, 5)]
        assert all(np.isfinite(boxes).all() for boxes in people)
    assert {call.dtype for call in net.model.shown} == {torch.bfloat16}


def test_a_score_that_is_no_number_is_an_error() -> None:
    def broken(pictures: Tensor) -> dict[str, Tensor]:
        return {"logits": torch.full((1, 4, 3), math.nan), "pred_boxes": torch.rand(1, 4, 4)}

    with pytest.raises(ValueError, match="gives NaN or infinity"):
        find_people(torch.rand(1, 3, 20, 20), detector(broken))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="the channels seem to come last"):
        find_people(torch.rand(1, 20, 20, 3), detector(THREE))


@pytest.mark.parametrize("model_type", ["rt_detr", "rt_detr_v2"])
def test_boxes_are_those_of_the_processor_of_transformers(model_type: str) -> None:
    net = tiny_detector(model_type)
    processor = _processor()
    picture = _eight_bits(2, 640, 640)
    people = find_people(picture, net, threshold=0.0, max_people=1000)
    with torch.no_grad():
        output = net(pixel_values=processor(_pixels(picture), return_tensors="pt")["pixel_values"])
    output.logits = output.logits[..., :1]  # of the other labels it would report boxes, too
    theirs = processor.post_process_object_detection(output, threshold=0.0, target_sizes=torch.tensor([[640, 640]] * 2))
    for ours, their in zip(people, theirs, strict=True):
        np.testing.assert_allclose(ours[:, :4], their["boxes"].numpy(), atol=0.01)
        np.testing.assert_allclose(ours[:, 4], their["scores"].numpy(), atol=1e-5)
        assert np.ptp(ours[:, 0]) > 100  # not all boxes are one


def test_pictures_are_resized_as_by_the_processor_of_transformers() -> None:
    pytest.importorskip("transformers", reason="compares with its processor")
    for size in ((90, 120), (1000, 700), (333, 1517)):
        picture = _eight_bits(1, *size)
        net = detector(THREE)
        find_people(picture, net)
        theirs = _processor()(_pixels(picture), return_tensors="pt")["pixel_values"]
        # it rounds to 8 bits after each of the two directions
        assert (net.model.shown[0] - theirs).abs().max() < 1.01 / 255


def _eight_bits(*size: int) -> Tensor:
    count, height, width = size
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(1)).float() / 255


def _pixels(picture: Tensor) -> list[np.ndarray]:
    return list((picture * 255).round().byte().movedim(1, -1).numpy())


def _processor() -> Any:
    """The one that needs no torchvision: of its own name in transformers 5, the only one before."""
    try:
        from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil
    except ImportError:
        from transformers import RTDetrImageProcessor

        return RTDetrImageProcessor()
    return RTDetrImageProcessorPil()


@pytest.mark.parametrize("model_type", ["rt_detr", "rt_detr_v2"])
def test_from_a_folder_without_a_network(model_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = tiny_detector(model_type)
    from tiny_transformers import write_tiny

    # as in the released folder: numbers of ImageNet that are not to be used
    released = {"do_normalize": False, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    write_tiny(model_type, tmp_path, {**released, "size": {"height": 640, "width": 640}}, **MORE)

    def refuse(*_: object) -> None:
        raise AssertionError("this must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    picture = torch.rand(1, 3, 90, 120, generator=torch.Generator().manual_seed(1))
    (loaded,) = find_people(picture, load_model(tmp_path, "people"), threshold=0.0, max_people=1000)
    (output,) = find_people(picture, net, threshold=0.0, max_people=1000)
    np.testing.assert_allclose(loaded, output, atol=1e-3)


def test_a_network_for_something_else_is_refused() -> None:
    other = TransformersModel(nn.Linear(1, 1), "vitpose", Preprocessing(*AS_IT_IS))
    with pytest.raises(ValueError, match="people: the net is a vitpose"):
        find_people(torch.rand(1, 3, 20, 20), other)


# One box (PrimitiveBoundingBox), a list of them, and a list a picture (RTDETR_detect, SAM3_Detect, MediaPipe).
@pytest.mark.parametrize("value", [BOX, [BOX], [[BOX]], (BOX,), [(BOX,)], np.array([ROW]), [np.array([ROW])]])
def test_boxes_of_the_host_are_read(value: object) -> None:
    (boxes,) = read_boxes(value)
    assert boxes.dtype == np.float64
    np.testing.assert_array_equal(boxes, [ROW])


def test_boxes_of_several_pictures() -> None:
    plain = {"x": 0, "y": 0, "width": 5, "height": 6}
    first, nobody, none, two = read_boxes([[BOX], [], None, [plain, BOX]])
    assert (first.shape, nobody.shape, none.shape) == ((1, 5), (0, 5), (0, 5))
    np.testing.assert_array_equal(two, [[0, 0, 5, 6, 1], ROW])
    assert [boxes.shape for boxes in read_boxes([])] == [(0, 5)]
    assert [boxes.shape for boxes in read_boxes([[]])] == [(0, 5)]
    np.testing.assert_array_equal(read_boxes(torch.tensor([[0, 0, 5, 6]]))[0], [[0, 0, 5, 6, 1]])


def test_boxes_around_other_things_and_around_nothing_are_left_out() -> None:
    dog, face = {**BOX, "label": "dog"}, {**BOX, "label": "face"}
    flat, turned, unnamed = {**BOX, "width": 0}, {**BOX, "height": -4}, {**BOX, "label": None, "score": None}
    (boxes,) = read_boxes([[dog, face, flat, turned, unnamed, {**BOX, "label": "Person "}]])
    np.testing.assert_array_equal(boxes, [[*ROW[:4], 1], ROW])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("left", "boxes are the text 'left'; expected BOUNDING_BOX"),
        (None, "boxes are nothing"),
        ([3], "boxes of picture 0 are the number 3; expected a list of boxes"),
        ([[BOX], [7]], "boxes of picture 1: box 0 is the number 7; expected an object with x, y, width, height"),
        ([BOX, [BOX]], "boxes of picture 0: box 1 is a list"),
        ({"x": 1, "y": 2, "w": 3}, "box 0 has the entries x, y, w; expected x, y, width, height in pixels"),
        ({**BOX, "x": "left"}, "box 0: x is the text 'left'; expected a number"),
        ({**BOX, "score": math.nan}, "box 0: score is nan; expected a finite number"),
        (np.zeros((2, 3)), r"boxes of picture 0 have the shape \(2, 3\); expected \[n, 4\] or \[n, 5\]"),
        ([np.full((1, 4), math.inf)], "boxes of picture 0 hold NaN or infinity"),
    ],
)
def test_other_values_are_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_boxes(value)


def test_one_list_is_for_every_picture() -> None:
    boxes = np.array([ROW])
    assert len(boxes_for_each([boxes], 3)) == 3
    with pytest.raises(ValueError, match="boxes for 2 pictures, but 3 pictures"):
        boxes_for_each([boxes, boxes], 3)


def test_the_surest_of_equals_is_the_first() -> None:
    boxes = np.array([[0, 0, 1, 1, 0.5], [1, 0, 2, 1, 0.9], [2, 0, 3, 1, 0.5]])
    np.testing.assert_array_equal(surest(boxes, 2)[:, 0], [1, 0])
