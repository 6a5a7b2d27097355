"""MoveNet on the node Pose: found, fetched and run; its two files whole or not at all."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from host_graphs import node
from host_process import Host, NodeFailed, Result
from random_weights import random_state_dict
from tfjs_graph import write_tfjs
from torch import Tensor

from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.face_landmarks import published_names as face_names
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.annotators.networks.movenet_graph import published_names
from zeroctl_core.annotators.pose import (
    POSE_PARAMS,
    Frame,
    Person,
    detect_poses,
    draw_pose,
    find_faces,
    write_keypoints,
)

ROOT = Path(__file__).resolve().parents[3]
NETWORK = NETWORKS["movenet_multipose"]
FILES = [file.file for file in NETWORK.files]


SURE = {"center": 2.0, "box_scale": 40.0, "kpt_heatmap": 2.0}


def write_movenet(folder: Path) -> Path:
    """Random weights in the published form. Heads that are sure, and boxes of the size of the picture: six people."""
    names = dict(published_names())
    tensors = {}
    for key, weight in random_state_dict(NETWORK.shapes(), spread=0.1).items():
        head = key.split(".")[1] if key.endswith(".out.bias") else ""
        weight = weight + SURE.get(head, 0.0)
        if weight.ndim == 4:
            weight = weight.permute((2, 3, 0, 1) if "depthwise" in key else (2, 3, 1, 0)).contiguous()
        tensors[names[key]] = weight
    folder.mkdir(parents=True, exist_ok=True)
    return write_tfjs(folder / NETWORK.file, tensors)


def module_of(host: Host, name: str) -> ModuleType:
    return sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.annotators.{name}"]


def pose(host: Host, images: Tensor, bboxes: Any = None, **inputs: Any) -> Result:
    values = {param.name: param.default for param in POSE_PARAMS}
    values |= {"keypoints_as": "comfyui", "resolution": 0, "download": False, "estimator": "movenet-multipose"}
    values |= {"detector": "rtdetr_r50vd_coco_o365", "person_threshold": 0.0, **inputs}
    graph = {"image": host.give(images), "pose": node("ZeroctlPose", image=["image", 0], **values)}
    if bboxes is not None:
        graph["boxes"] = host.give(bboxes)
        graph["pose"]["inputs"]["bboxes"] = ["boxes", 0]
    return host.run(graph, keep={"map": ["pose", 0], "points": ["pose", 1]})


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    return write_movenet(tmp_path_factory.mktemp("movenet"))


@pytest.fixture()
def on_disk(pair, files) -> Path:
    folder = files / "somewhere"
    folder.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copy(pair.with_name(name), folder)
    return folder / NETWORK.file


def test_the_poses_are_those_of_the_core_and_no_detector_is_needed(host, images, on_disk) -> None:
    frames = detect_poses(images.movedim(-1, 1), load_network(NETWORK.name, on_disk), person_threshold=0.0)
    assert any(frame.people for frame in frames)
    outputs = pose(host, images)
    expected = draw_pose(frames, *images.shape[1:3]).movedim(1, -1)
    assert (outputs["map"] - expected).abs().mean() < 1e-2
    counts = [len(frame["people"]) for frame in outputs["points"]]
    assert counts == [len(frame["people"]) for frame in write_keypoints(frames)]


def test_boxes_are_refused_before_anything_is_loaded(host, images, files) -> None:
    with pytest.raises(NodeFailed, match="movenet-multipose finds them by itself. Disconnect bboxes, or choose"):
        pose(host, images, bboxes=[[{"x": 1, "y": 1, "width": 9, "height": 9}]])


def test_missing_files_are_named_with_their_sources_places_and_licence(host, images, files) -> None:
    with pytest.raises(NodeFailed) as failure:
        pose(host, images)
    for file in NETWORK.files:
        for part in (file.file, file.url, str(files / file.file)):
            assert part in str(failure.value)
    assert "9.7 MB" in str(failure.value) and "Apache-2.0 (Google)" in str(failure.value)


def test_the_list_without_its_bytes_is_named(host, images, on_disk) -> None:
    on_disk.with_suffix(".bin").unlink()
    with pytest.raises(NodeFailed, match="names the file movenet-multipose.bin, which is not beside it.*Delete"):
        pose(host, images)


class Shelf(http.server.BaseHTTPRequestHandler):
    """A plain server: it knows no hashes and packs texts for whoever takes them packed."""

    files: dict[str, bytes] = {}
    requests: list[tuple[str, str, str | None]] = []

    def do_GET(self) -> None:
        name = self.path.split("/")[-1]
        self.requests.append((self.command, name, self.headers.get("Authorization")))
        assert self.headers.get("Accept-Encoding") == "identity"
        body = self.files.get(name, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture()
def shelf(host, pair, monkeypatch) -> Iterator[type[Shelf]]:
    """The files of `pair`, published at a plain address with their hashes."""

    class Own(Shelf):
        files = {name: pair.with_name(name).read_bytes() for name in FILES}
        requests: list[tuple[str, str, str | None]] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/models"

    def published(file: Any) -> dict[str, Any]:
        digest = hashlib.sha256(Own.files[file.file]).hexdigest()
        return {"url": f"{address}/{file.file}", "sha256": digest}

    beside = tuple(replace(file, **published(file)) for file in NETWORK.beside)
    recorded = replace(NETWORK, beside=beside, **published(NETWORK))
    monkeypatch.setattr(module_of(host, "nets"), "NETWORKS", {**NETWORKS, NETWORK.name: recorded})
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield Own
    server.shutdown()


def test_both_files_are_fetched_when_asked_for_and_no_token_is_shown(host, images, files, shelf) -> None:
    with pytest.raises(NodeFailed, match="set download to true"):
        pose(host, images)
    assert shelf.requests == []
    assert pose(host, images, download=True)["map"].shape == images.shape
    assert shelf.requests == [("GET", name, None) for name in reversed(FILES)]
    assert all((files / name).read_bytes() == shelf.files[name] for name in FILES)
    pose(host, images, download=True)
    assert len(shelf.requests) == 2


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("kind", "message"), [("missing", "could not be downloaded"), ("other", "the SHA-256 of")])
def test_a_file_that_is_not_the_recorded_one_is_not_kept(host, images, files, shelf, name, kind, message) -> None:
    shelf.files[name] = b"" if kind == "missing" else b"{}"
    with pytest.raises(NodeFailed, match=f"{name}.*{message}|{message} {name}") as failure:
        pose(host, images, download=True)
    assert "HF_ENDPOINT" not in str(failure.value) and not (files / name).exists()
    assert not (files / NETWORK.file).exists()  # without the list, the bytes are nothing


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_heals_with_download(host, images, files, shelf, name) -> None:
    for other in FILES:
        (files / other).write_bytes(shelf.files[other])
    (files / name).write_bytes(shelf.files[name][:5000])
    with pytest.raises(NodeFailed, match="or set download to true to fetch it again"):
        pose(host, images)
    assert pose(host, images, download=True)["map"].shape == images.shape
    assert (files / name).read_bytes() == shelf.files[name]


def test_other_bytes_beside_the_same_list_are_loaded_anew(host, images, on_disk) -> None:
    before = pose(host, images)["points"]
    path = on_disk.with_suffix(".bin")
    numbers = np.frombuffer(path.read_bytes(), "<f2") * np.float16(0.9)
    path.write_bytes(numbers.tobytes())
    assert before[0]["people"] and pose(host, images)["points"] != before


def test_the_best_that_is_on_disk_comes_first(host, files, pair, monkeypatch) -> None:
    """A new node then runs as it is; names that workflows have saved stay what they are."""
    estimators = module_of(host, "estimators")

    def options(*tasks: str) -> list[str]:
        monkeypatch.setattr(estimators, "is_there", lambda task: task in tasks)
        info = host.nodes.NODE_CLASS_MAPPINGS["ZeroctlPose"].GET_NODE_INFO_V1()
        return list(info["input"]["required"]["estimator"][1]["options"])

    assert options() == ["vitpose-base-simple", "movenet-multipose"]
    for name in FILES:
        shutil.copy(pair.with_name(name), files)
    assert options() == options("pose") == ["movenet-multipose", "vitpose-base-simple"]
    assert options("pose", "people") == ["vitpose-base-simple", "movenet-multipose"]


def write_faces(folder: Path) -> Path:
    """Tiny random weights in the published form: whatever the picture, the points are nearly the same, and the eyes lie
    where a person in the middle of it has them.
    """
    network = NETWORKS["face_landmarks"]
    places = torch.full((68, 2), 0.5) + (torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) - 0.5) * 0.6
    places[36:42], places[42:48] = torch.tensor([0.32, 0.38]), torch.tensor([0.68, 0.38])
    weights = random_state_dict(network.shapes(), spread=0.1)
    weights["places.weight"] *= 1e-6
    weights["places.bias"] = places.flatten()
    names, tensors = dict(face_names()), {}
    for key, weight in weights.items():
        if weight.ndim == 4:
            weight = weight.permute((2, 3, 0, 1) if "depthwise" in key else (2, 3, 1, 0))
        tensors[names[key]] = (weight.T if weight.ndim == 2 else weight).contiguous()
    return write_tfjs(folder / network.file, tensors, stored="float32")


def test_faces_are_found_and_drawn_when_asked_for(host, images, on_disk, monkeypatch) -> None:
    """The bodies stay as they are; the outputs are those of the core."""
    without = pose(host, images)
    assert not any(any(one["face_keypoints_2d"]) for frame in without["points"] for one in frame["people"])
    faces = load_network("face_landmarks", write_faces(on_disk.parent))
    people = [upright(frame) for frame in detect_poses(images.movedim(-1, 1), load_network(NETWORK.name, on_disk))]
    monkeypatch.setattr(pose_module(host), "detect_poses", lambda *args, **kwargs: people[: len(args[0])])
    outputs = pose(host, images, face=True)
    expected = find_faces(images.movedim(-1, 1), people, faces)
    assert all(person.face[:68].all() for frame in expected for person in frame.people)
    drawing = draw_pose(expected, *images.shape[1:3], face=True).movedim(1, -1)
    assert (outputs["map"] - drawing).abs().mean() < 1e-4
    assert [frame["people"] for frame in outputs["points"]] == [f["people"] for f in write_keypoints(expected)]


def upright(frame: Frame) -> Frame:
    """One person who looks into the camera, in the middle of the frame."""
    body = np.zeros((18, 3))
    x, y = frame.width / 2, frame.height / 2
    for point, place in ((0, (x, y + 8)), (14, (x - 10, y)), (15, (x + 10, y))):
        body[point] = (*place, 0.9)
    return Frame((Person(body=body),), frame.height, frame.width)


def pose_module(host: Host) -> ModuleType:
    return sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.pose"]


def test_a_face_that_is_turned_away_is_told(host, images, on_disk, monkeypatch, caplog) -> None:
    write_faces(on_disk.parent)
    nobody = [Frame((Person(body=np.full((18, 3), 0.9)),), 10, 10)]
    monkeypatch.setattr(pose_module(host), "detect_poses", lambda *args, **kwargs: nobody * len(args[0]))
    pose(host, images, face=True)
    assert caplog.text.count("nose and both eyes are not all found") == 1


def test_the_missing_file_of_faces_is_named_before_anything_runs(host, images, on_disk) -> None:
    with pytest.raises(NodeFailed) as failure:
        pose(host, images, face=True)
    for file in NETWORKS["face_landmarks"].files:
        assert file.file in str(failure.value) and file.url in str(failure.value)
    assert "0.4 MB" in str(failure.value) and "MIT (face-api)" in str(failure.value)
