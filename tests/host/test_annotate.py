"""The nodes of the annotators: the core's maps, networks found on disk, downloads only when asked for."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import picture
from host_graphs import node
from host_process import Host, NodeFailed
from tiny_transformers import write_tiny
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS, Annotator
from zeroctl_core.annotators.class_colors import paint_classes
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.pose import draw_pose
from zeroctl_core.annotators.segment import segment_ids
from zeroctl_core.annotators.transformers_models import load_model

SIZE = 96
NODE_OF = {"softedge": "ZeroctlSoftEdge", "teed": "ZeroctlTEED"}
NEEDING = sorted({name for entry in ANNOTATORS.values() for name in entry.networks.values()})


def node_of(name: str) -> str:
    return NODE_OF.get(name) or "Zeroctl" + "".join(part.capitalize() for part in name.split("_"))


def settings(annotator: Annotator, **changed: Any) -> dict[str, Any]:
    return {**{param.name: param.default for param in annotator.params}, **changed}


def annotated(host: Host, name: str, images: Tensor, mask: Tensor | None = None, **inputs: Any) -> Tensor:
    entry = ANNOTATORS[name]
    values = {**settings(entry), "resolution": 0, entry.takes: ["image", 0], **inputs}
    if entry.networks or entry.task:
        values.setdefault("download", False)
    graph = {"image": host.give(images), "map": node(node_of(name), **values)}
    if mask is not None:
        graph["mask"] = host.give(mask)
        graph["map"]["inputs"]["mask"] = ["mask", 0]
    return host.run(graph, keep={"map": ["map", 0]})["map"]


def random_state(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: value.contiguous() for key, value in NETWORKS[name].build().state_dict().items()}


@pytest.fixture()
def images() -> Tensor:
    return picture(SIZE, SIZE, batch=2)


@pytest.fixture()
def files(host: Host) -> Iterator[Path]:
    """The host's folder of annotators, empty before and after."""
    folder = host.base / "models" / "annotators"
    folder.mkdir(exist_ok=True)
    yield folder
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if entry.kind == "image"])
def test_the_nodes_map_is_the_cores(host, images, name) -> None:
    expected = ANNOTATORS[name](images.movedim(-1, 1)).movedim(1, -1)
    assert torch.equal(annotated(host, name, images), expected)


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if entry.kind == "masked"])
def test_one_mask_serves_a_batch(host, images, name) -> None:
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 20:60, 30:70] = 1.0
    expected = ANNOTATORS[name](images.movedim(-1, 1), mask=mask[:, None].expand(2, -1, -1, -1)).movedim(1, -1)
    assert torch.equal(annotated(host, name, images, mask), expected)


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if entry.networks])
def test_a_network_on_disk_is_found_and_run(host, images, files, name) -> None:
    entry = ANNOTATORS[name]
    for option, network in entry.networks.items():
        chosen = {param.name: option for param in entry.params if option in getattr(param, "options", ())}
        path = files / "somewhere" / NETWORKS[network].file
        path.parent.mkdir(exist_ok=True)
        torch.save(random_state(network), path)
        net = NETWORKS[network].build().eval()
        net.load_state_dict(random_state(network))
        expected = entry(images.movedim(-1, 1), net=net, **chosen).movedim(1, -1)
        found = annotated(host, name, images, **chosen)
        assert found.shape == expected.shape and (found - expected).abs().mean() < 1e-3


@pytest.mark.parametrize("network", NEEDING)
def test_a_missing_file_is_named_with_its_source_place_and_licence(host, images, files, network) -> None:
    name, option = next(
        (name, option)
        for name, entry in ANNOTATORS.items()
        for option, needed in entry.networks.items()
        if needed == network
    )
    chosen = {param.name: option for param in ANNOTATORS[name].params if option in getattr(param, "options", ())}
    with pytest.raises(NodeFailed) as failed:
        annotated(host, name, images, **chosen)
    told = NETWORKS[network]
    for part in (told.file, told.url, str(files / told.file), told.licence, "set download to true"):
        assert part in str(failed.value)


def test_the_node_for_all_takes_settings_by_name(host, images) -> None:
    def run(**inputs: Any) -> Tensor:
        values = {"annotator": "canny", "resolution": 0, "settings": "", "download": False, **inputs}
        graph = {"image": host.give(images), "map": node("ZeroctlAnnotate", image=["image", 0], **values)}
        return host.run(graph, keep={"map": ["map", 0]})["map"]

    assert torch.equal(run(settings="low=20, high=60"), annotated(host, "canny", images, low=20, high=60))
    for wrong, said in (("lo=3", "no parameter is called 'lo'"), ("low", "expected name=value"), ("low=x", "low is")):
        with pytest.raises(NodeFailed, match=said):
            run(settings=wrong)
    with pytest.raises(NodeFailed, match="needs a mask"):
        run(annotator="inpaint")


def test_a_drawn_mask_is_the_drawing(host, images) -> None:
    mask = torch.zeros(SIZE, SIZE)
    mask[10:20, 30:80] = 1.0
    drawing = mask[None, :, :, None].expand(-1, -1, -1, 3)
    assert torch.equal(annotated(host, "scribble", images, mask), drawing)
    assert torch.equal(annotated(host, "scribble", images, mask, source="xdog"), drawing)
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
    drawn = pose(host, [small], resolution=256)
    assert drawn.shape == (1, 384, 256, 3)
    assert torch.equal(drawn, pose(host, [large])) and torch.equal(drawn, draw_pose([large], 384, 256).movedim(1, -1))
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
    found = annotated(host, "depth", images, **values, model="tiny/depth_anything")
    net = load_model(folders / "tiny" / "depth_anything", "depth")
    assert (found - ANNOTATORS["depth"](images.movedim(-1, 1), net=net, **values).movedim(1, -1)).abs().max() < 1e-5
    assert float(found.min()) == 0.0 and float(found.max()) == 1.0


def test_segmentation_has_colours_and_a_mask(host, images, folders) -> None:
    values = {"model": "tiny/upernet", "palette": "ade20k", "resolution": 0, "download": False}
    ids = segment_ids(images.movedim(-1, 1), load_model(folders / "tiny" / "upernet", "segmentation"))
    for mask_class in (0, int(ids[0, 0, 0])):
        graph = {
            "image": host.give(images),
            "map": node("ZeroctlSegment", image=["image", 0], **{**values, "mask_class": mask_class}),
        }
        kept = host.run(graph, keep={"map": ["map", 0], "mask": ["map", 1]})
        assert torch.equal(kept["map"].movedim(-1, 1), paint_classes(ids))
        assert torch.equal(
            kept["mask"], torch.ones_like(kept["mask"]) if mask_class < 0 else (ids == mask_class).float()
        )


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
    kept = host.run(graph, keep={"map": ["pose", 0], "points": ["pose", 1]})
    assert kept["map"].shape == images.shape and len(kept["points"]) == len(images)
    assert all(len(frame["people"]) <= 3 for frame in kept["points"])
    graph["boxes"] = host.give([[{"x": 10, "y": 10, "width": 40, "height": 80}]])
    graph["pose"]["inputs"]["bboxes"] = ["boxes", 0]
    kept = host.run(graph, keep={"map": ["pose", 0], "points": ["pose", 1]})
    assert [len(frame["people"]) for frame in kept["points"]] == [1, 1]
    assert kept["points"][0]["canvas_width"] == SIZE and kept["map"].any()


def test_a_missing_folder_is_named_with_its_source_and_place(host, images, files) -> None:
    with pytest.raises(NodeFailed, match=r"Depth-Anything-V2-Small-hf is not at .*annotators.*huggingface.*Apache-2.0"):
        annotated(host, "depth", images, model="Depth-Anything-V2-Small-hf")


# ---- downloads


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with the files of one repository."""

    files: dict[str, bytes] = {}
    etag = ""  # "": that of each file
    asked: list[str] = []

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        self.asked.append(self.path)
        body = self.files.get(self.path.split("/")[-1], b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.etag or hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        return body

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture()
def hub(monkeypatch) -> Iterator[type[Hub]]:
    class Own(Hub):
        asked: list[str] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Own
    server.shutdown()


def test_a_file_is_fetched_only_when_asked_for_and_then_whole(host, images, files, hub) -> None:
    told = NETWORKS["hed"]
    body = _pickled(random_state("hed"))
    hub.files = {told.file: body}
    with pytest.raises(NodeFailed, match="set download to true"):
        annotated(host, "softedge", images)
    assert hub.asked == []
    annotated(host, "softedge", images, download=True)
    assert (files / told.file).read_bytes() == body
    asked = len(hub.asked)
    assert asked > 0
    annotated(host, "softedge", images, download=True)
    assert len(hub.asked) == asked


@pytest.mark.parametrize("what", ["damaged", "another file"])
def test_a_wrong_file_leaves_nothing_behind(host, images, files, hub, what) -> None:
    body = _pickled(random_state("hed")) if what == "damaged" else b"<html>not here</html>"
    hub.files = {NETWORKS["hed"].file: body}
    hub.etag = hashlib.sha256(b"other").hexdigest() if what == "damaged" else ""
    with pytest.raises(NodeFailed):
        annotated(host, "softedge", images, download=True)
    assert not [path for path in files.rglob("*") if path.is_file()]


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_is_fetched_whole_or_not_at_all(host, images, files, hub, tmp_path, whole) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    name = "Depth-Anything-V2-Small-hf"
    hub.files = {path.name: path.read_bytes() for path in write_tiny("depth", tmp_path / "depth", {}).iterdir()}
    if not whole:
        del hub.files["model.safetensors"]
    values = settings(ANNOTATORS["depth"], detect_size=126)
    if whole:
        found = annotated(host, "depth", images, **values, model=name, download=True)
        assert found.shape == images.shape and {path.name for path in (files / name).iterdir()} >= set(hub.files)
        asked = len(hub.asked)
        annotated(host, "depth", images, **values, model=name, download=True)
        assert len(hub.asked) == asked
    else:
        with pytest.raises(NodeFailed, match=r"model\.safetensors could not be downloaded"):
            annotated(host, "depth", images, **values, model=name, download=True)
    shutil.rmtree(files / name, ignore_errors=True)
    assert not [path for path in files.rglob("*") if path.is_file()]


def _pickled(state: dict[str, Tensor]) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
