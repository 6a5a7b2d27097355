"""The nodes of the annotators: the core's maps, from pictures, masks, key points and folders of models."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from annotator_graphs import SIZE, annotated, run_node, settings
from control_graphs import picture
from host_graphs import node
from host_process import Host, NodeFailed
from PIL import Image
from tiny_transformers import write_tiny
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors.class_colors import paint_classes
from zeroctl_core.annotators.pose import POSE_PARAMS, draw_pose
from zeroctl_core.annotators.segment import segment_ids
from zeroctl_core.annotators.transformers_models import load_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if entry.kind == "image"])
def test_the_nodes_map_is_the_cores(host, images, name) -> None:
    expected = ANNOTATORS[name](images.movedim(-1, 1)).movedim(1, -1)
    assert torch.equal(annotated(host, name, images), expected)


def test_the_map_is_shown_below_the_node_as_far_as_a_few_pictures(host, images) -> None:
    for count, number in ((2, 2), (20, 16)):
        result = run_node(host, "canny", images[:1].expand(count, -1, -1, -1))
        files = [Path(host.base, one["type"], one["subfolder"], one["filename"]) for one in result.ui["map"]["images"]]
        assert len(files) == number
        pixels_of_file = np.asarray(Image.open(files[0]).convert("RGB"), dtype=np.float32) / 255
        assert np.array_equal(pixels_of_file, result["map"][0].numpy())


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if entry.kind == "masked"])
def test_one_mask_serves_a_batch(host, images, name) -> None:
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 20:60, 30:70] = 1.0
    expected = ANNOTATORS[name](images.movedim(-1, 1), mask=mask[:, None].expand(2, -1, -1, -1)).movedim(1, -1)
    assert torch.equal(annotated(host, name, images, mask), expected)


def test_the_node_for_all_takes_settings_by_name(host, images) -> None:
    def run(**inputs: Any) -> Tensor:
        values = {"annotator": "canny", "resolution": 0, "settings": "", "download": False, **inputs}
        graph = {"image": host.give(images), "map": node("ZeroctlAnnotate", image=["image", 0], **values)}
        return host.run(graph, keep={"map": ["map", 0]})["map"]

    assert torch.equal(run(settings="low=20, high=60"), annotated(host, "canny", images, low=20, high=60))
    messages = {"lo=3": "no parameter is called 'lo'", "low": "expected name=value", "low=x": "low is"}
    for wrong, message in messages.items():
        with pytest.raises(NodeFailed, match=message):
            run(settings=wrong)
    with pytest.raises(NodeFailed, match="needs a mask"):
        run(annotator="inpaint")


def annotate(host: Host, images: Tensor, mask: Tensor | None = None, **inputs: Any) -> Tensor:
    """The condition of the node for all at its defaults, with some inputs changed."""
    values = {"annotator": "canny", "resolution": 512, "settings": "", "download": False, **inputs}
    graph = {"image": host.give(images), "map": node("ZeroctlAnnotate", image=["image", 0], **values)}
    if mask is not None:
        graph["mask"] = host.give(mask)
        graph["map"]["inputs"]["mask"] = ["mask", 0]
    return host.run(graph, keep={"map": ["map", 0]})["map"]


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if not entry.resizable])
def test_the_node_for_all_resizes_no_map_and_no_hole_unless_asked(host, name) -> None:
    image = picture(640, 640, batch=1)
    mask = (picture(640, 640, batch=1, seed=3)[..., 0] > 0.5).float() if ANNOTATORS[name].kind == "masked" else None
    condition = annotate(host, image, mask, annotator=name)
    assert condition.shape == image.shape
    assert torch.equal(condition, annotated(host, name, image, mask))
    assert annotate(host, image, mask, annotator=name, resolution=256).shape == (1, 256, 256, 3)


def test_the_node_for_all_resizes_pictures_by_default(host) -> None:
    assert annotate(host, picture(640, 320, batch=1)).shape == (1, 1024, 512, 3)


def test_a_drawn_mask_is_the_drawing(host, images) -> None:
    mask = torch.zeros(SIZE, SIZE)
    mask[10:20, 30:80] = 1.0
    drawing = mask[None, :, :, None].expand(-1, -1, -1, 3)
    assert torch.equal(annotated(host, "scribble", images, mask), drawing)
    values = {"annotator": "scribble", "resolution": 0, "settings": "", "download": False}
    graph = {
        "image": host.give(images),
        "mask": host.give(mask),
        "map": node("ZeroctlAnnotate", image=["image", 0], mask=["mask", 0], **values),
    }
    assert torch.equal(host.run(graph, keep={"map": ["map", 0]})["map"], drawing)
    graph["map"]["inputs"]["annotator"] = "canny"
    with pytest.raises(NodeFailed, match="canny has no use for a mask"):
        host.run(graph, keep={"map": ["map", 0]})


def test_resolution_is_the_short_side(host, images) -> None:
    assert annotated(host, "canny", images, resolution=64).shape == (2, 64, 64, 3)
    with pytest.raises(NodeFailed, match="resolution is 8"):
        annotated(host, "canny", images, resolution=8)


def test_the_resolution_for_a_picture_of_another_shape(host) -> None:
    values = {"image": ["image", 0], "width": 512, "height": 512}
    for mode, expected in (("crop", 512), ("fit", 256)):
        graph = {
            "image": host.give(torch.zeros(1, 100, 200, 3)),
            "size": node("ZeroctlHintSize", mode=mode, **values),
        }
        assert host.run(graph, keep={"size": ["size", 0]})["size"] == expected


def pose(host: Host, keypoints: Any, **inputs: Any) -> Tensor:
    values = {"body": True, "hands": False, "face": False, "threshold": 0.3, "stick_scale": "1", "limb_gain": 0.6}
    graph = {
        "found": host.give(keypoints),
        "drawn": node("ZeroctlPoseDraw", keypoints=["found", 0], **{**values, "resolution": 0, **inputs}),
    }
    return host.run(graph, keep={"drawn": ["drawn", 0]})["drawn"]


def frame(width: int, height: int, *people: list[float]) -> dict[str, Any]:
    """A frame of people with 18 points each, x and y as parts of the canvas."""
    numbers = [
        [n for x, y in zip(one[::2], one[1::2], strict=True) for n in (x * width, y * height, 1.0)] for one in people
    ]
    return {
        "canvas_width": width,
        "canvas_height": height,
        "people": [{"pose_keypoints_2d": row, "hand_left_keypoints_2d": None} for row in numbers],
    }


def test_key_points_are_scaled_and_not_the_drawing(host) -> None:
    person = [0.2 + 0.6 * (step * 7 % 18) / 18 for step in range(36)]
    small, large = frame(128, 192, person), frame(256, 384, person)
    pose_map = pose(host, [small], resolution=256)
    assert pose_map.shape == (1, 384, 256, 3)
    assert torch.equal(pose_map, pose(host, [large]))
    assert torch.equal(pose_map, draw_pose([large], 384, 256).movedim(1, -1))
    two = pose(host, [small, frame(128, 192)], resolution=64)
    assert two.shape == (2, 96, 64, 3) and two[0].any() and not two[1].any()


def test_what_holds_no_key_points_is_refused(host) -> None:
    with pytest.raises(NodeFailed, match="no frame"):
        pose(host, [])
    with pytest.raises(NodeFailed, match="expected people"):
        pose(host, [{"canvas_width": 4, "canvas_height": 4, "animals": []}])


# ---- folders of transformers models


@pytest.fixture()
def folders(files: Path) -> Iterator[Path]:
    """A tiny random model for every task."""
    pytest.importorskip("transformers", reason="the host has no transformers")
    for model_type in ("depth_anything", "upernet", "vitpose"):
        write_tiny(model_type, files / "tiny" / model_type)
    write_tiny("rt_detr", files / "tiny" / "rt_detr", id2label={0: "person", 1: "tie"})
    (files / "tiny" / "config.json").write_text("{}")  # of something else: it costs no node
    yield files
    shutil.rmtree(files / "tiny")


def test_depth_is_the_cores(host, images, folders) -> None:
    values = settings(ANNOTATORS["depth"], detect_size=126)
    depth = annotated(host, "depth", images, **values, model="tiny/depth_anything")
    net = load_model(folders / "tiny" / "depth_anything", "depth")
    assert (depth - ANNOTATORS["depth"](images.movedim(-1, 1), net=net, **values).movedim(1, -1)).abs().max() < 1e-5
    assert float(depth.min()) == 0.0 and float(depth.max()) == 1.0


@pytest.fixture()
def rooms(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pixels for which the host was asked to make room, call by call."""
    nets = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.annotators.nets"]
    load, pixels = nets.comfy.model_management.load_models_gpu, []

    def record(patchers: list[Any], memory_required: float, **options: Any) -> None:
        pixels.append(round(memory_required / nets.NUMBERS_A_PIXEL / 4))
        load(patchers, memory_required=memory_required, **options)

    monkeypatch.setattr(nets.comfy.model_management, "load_models_gpu", record)
    return pixels


def test_the_room_asked_for_is_that_of_what_the_net_sees(host, folders, rooms) -> None:
    """A net that enlarges a small picture works on more pixels than it has, by default and by setting."""
    small = picture(128, 128)
    annotate(host, small, annotator="depth", resolution=0)
    annotate(host, small, annotator="depth", resolution=0, settings="detect_size=126")
    annotated(host, "depth", small, model="tiny/depth_anything")
    run_node(host, "segment", small, model="tiny/upernet", mask_class=0)
    assert rooms == [518 * 518, 128 * 128, 518 * 518, 512 * 512]


def test_the_room_asked_for_people_is_that_of_the_detector(host, folders, rooms) -> None:
    values = {param.name: param.default for param in POSE_PARAMS} | {"keypoints_as": "comfyui", "download": False}
    values |= {"detector": "tiny/rt_detr", "estimator": "tiny/vitpose", "resolution": 0}
    graph = {"image": host.give(picture(128, 128)), "pose": node("ZeroctlPose", image=["image", 0], **values)}
    host.run(graph, keep={"map": ["pose", 0]})
    assert rooms == [640 * 640]


def test_segmentation_has_colours_and_a_mask(host, images, folders) -> None:
    values = {"model": "tiny/upernet", "palette": "ade20k", "resolution": 0, "download": False}
    ids = segment_ids(images.movedim(-1, 1), load_model(folders / "tiny" / "upernet", "segmentation"))
    for mask_class in (149, int(ids[0, 0, 0])):
        graph = {
            "image": host.give(images),
            "map": node("ZeroctlSegment", image=["image", 0], **{**values, "mask_class": mask_class}),
        }
        outputs = host.run(graph, keep={"map": ["map", 0], "mask": ["map", 1]})
        assert torch.equal(outputs["map"].movedim(-1, 1), paint_classes(ids))
        assert torch.equal(outputs["mask"], (ids == mask_class).float())
        absent = [row for row in range(len(ids)) if not (ids[row] == mask_class).any()]
        notices = [data["text"] for data in outputs.sent("zeroctl.notice") if "mask_class" in data["text"]]
        assert len(notices) == bool(absent)
        if absent:
            largest = str(int(ids[absent[0]].flatten().bincount().argmax()))
            assert f"nothing of mask_class {mask_class}: the mask is 0 everywhere" in notices[0]
            assert largest in notices[0].rpartition(" are ")[2].rstrip(".").split(", ")


def test_poses_of_given_boxes_are_drawn_and_handed_on(host, images, folders) -> None:
    values = {
        "detector": "tiny/rt_detr",
        "estimator": "tiny/vitpose",
        "person_threshold": 0.0,
        "keypoint_threshold": 0.0,
        "max_people": 3,
        "keypoints_as": "comfyui",
        "resolution": 0,
        "download": False,
    }
    graph = {"image": host.give(images), "pose": node("ZeroctlPose", image=["image", 0], **values)}
    outputs = host.run(graph, keep={"map": ["pose", 0], "points": ["pose", 1]})
    assert outputs["map"].shape == images.shape and len(outputs["points"]) == len(images)
    assert all(len(frame["people"]) <= 3 for frame in outputs["points"])
    graph["boxes"] = host.give([[{"x": 10, "y": 10, "width": 40, "height": 80}]])
    graph["pose"]["inputs"]["bboxes"] = ["boxes", 0]
    outputs = host.run(graph, keep={"map": ["pose", 0], "points": ["pose", 1]})
    assert [len(frame["people"]) for frame in outputs["points"]] == [1, 1]
    assert outputs["points"][0]["canvas_width"] == SIZE and outputs["map"].any()


def test_boxes_in_fractions_are_those_in_pixels_and_boxes_of_nobody_are_told(host, images, folders) -> None:
    values = {param.name: param.default for param in POSE_PARAMS} | {"keypoints_as": "comfyui", "download": False}
    values |= {"detector": "tiny/rt_detr", "estimator": "tiny/vitpose", "resolution": 0, "keypoint_threshold": 0.0}
    graph = {"image": host.give(images), "pose": node("ZeroctlPose", image=["image", 0], **values)}

    def run(box: dict[str, Any]) -> tuple[Any, list[str]]:
        graph["boxes"] = host.give([[box]])
        graph["pose"]["inputs"]["bboxes"] = ["boxes", 0]
        result = host.run(graph, keep={"map": ["pose", 0], "points": ["pose", 1]})
        return result, [data["text"] for data in result.sent("zeroctl.notice") if data["title"] == "Pose"]

    pixels, notices = run({"x": SIZE / 4, "y": SIZE / 4, "width": SIZE / 2, "height": SIZE / 2})
    assert pixels["map"].any() and notices == []
    fractions, notices = run({"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5})
    assert torch.equal(fractions["map"], pixels["map"]) and fractions["points"] == pixels["points"]
    face, (text,) = run({"x": 10, "y": 10, "width": 40, "height": 40, "label": "face"})
    assert not face["map"].any()
    assert "2 of 2 pictures are black: there is no box around a person (0, 1)" in text
    assert "boxes are left out: 1 labelled face" in text
