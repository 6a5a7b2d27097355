"""The embedded controls in the list of ZeroctlLoadControlNet, beside a user's own files, and the scenes for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import latents
from demo_graphs import EDGES, controlled, demo_graph
from host_graphs import node
from host_process import Host, NodeFailed, PromptRefused

from zeroctl_core.demo.captions import caption
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import control_files
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes
from zeroctl_core.demo.words import tokenise


def loader(host: Host) -> Any:
    return host.nodes.NODE_CLASS_MAPPINGS["ZeroctlLoadControlNet"]


def listed(host: Host) -> list[str]:
    return list(loader(host).INPUT_TYPES()["required"]["control_net_name"][1]["options"])


@pytest.fixture
def own_file(host: Host, controlnet_file: Any) -> Iterator[str]:
    """A control of the user's for Stable Diffusion 1.5, under the name of an embedded one; as the host lists it."""
    path = host.base / "models" / "controlnet" / "zeroctl" / "edges.safetensors"
    path.parent.mkdir()
    path.symlink_to(controlnet_file("thin"))
    yield os.path.join("zeroctl", "edges.safetensors")
    shutil.rmtree(path.parent)


def test_they_stand_behind_the_users_files(host: Host, demo_weights: Path, own_file: str) -> None:
    embedded = [f"zeroctl/{name}" for name in control_files(demo_weights)]
    assert "zeroctl/edges" in embedded
    names = listed(host)
    assert names[-len(embedded) :] == embedded and own_file in names[: -len(embedded)]


@pytest.mark.parametrize("name", ["edges", "scribble", "depth", "colours"])
def test_each_loads_and_says_what_it_is(host: Host, name: str) -> None:
    load = node("ZeroctlLoadControlNet", control_net_name=f"zeroctl/{name}")
    info = host.run({"net": load}, keep={"info": ["net", 1]})["info"]
    assert "family: zeroctl tiny (tiny)" in info and f"file: {name}.safetensors" in info


def test_a_file_of_the_users_in_a_folder_of_that_name_is_still_reached(host: Host, own_file: str) -> None:
    nets = {"own": node("ZeroctlLoadControlNet", control_net_name=own_file), "embedded": EDGES}
    result = host.run(nets, keep={name: [name, 1] for name in nets})
    assert "family: SD 1.5" in result["own"]
    assert "family: zeroctl tiny" in result["embedded"]


def test_a_name_that_is_not_there_is_refused_with_those_that_are(host: Host) -> None:
    load = node("ZeroctlLoadControlNet", control_net_name="zeroctl/poses")
    with pytest.raises((NodeFailed, PromptRefused), match="zeroctl/poses|not in list"):
        host.run({"net": load}, keep={"net": ["net", 0]})
    with pytest.raises(ValueError, match="zeroctl/poses.*zeroctl/edges"):
        loader(host).execute("zeroctl/poses")


def test_the_fingerprint_follows_the_file(
    host: Host, demo_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(demo_weights, tmp_path / "weights")
    monkeypatch.setenv("ZEROCTL_DEMO_WEIGHTS", str(copy))
    before = loader(host).fingerprint_inputs("zeroctl/edges")
    assert before == loader(host).fingerprint_inputs("zeroctl/edges")
    os.utime(copy / "controls" / "edges.safetensors", (1, 1))
    assert before != loader(host).fingerprint_inputs("zeroctl/edges")


def test_the_hosts_list_has_no_such_name(host: Host) -> None:
    assert not [name for name in host.folder_paths.get_filename_list("controlnet") if name == "zeroctl/edges"]


def test_a_control_for_stable_diffusion_is_refused(host: Host, our_net: Any) -> None:
    graph = controlled(host, demo_graph(), "ours")
    graph["ours net"] = host.give(our_net("thin"))
    with pytest.raises(NodeFailed, match="is a control for .*the MODEL is ZeroctlTiny"):
        latents(host, graph)


# ---- scenes


@pytest.mark.parametrize("condition", list(CONDITIONS))
def test_a_scene_comes_with_its_mask_condition_and_caption(
    host: Host, caplog: pytest.LogCaptureFixture, condition: str
) -> None:
    names = ("image", "mask", "condition", "caption")
    graph = {"scene": node("ZeroctlDemoScene", seed=5, split="held_out", condition=condition)}
    result = host.run(graph, keep={name: ["scene", place] for place, name in enumerate(names)})
    again = host.run(graph, keep={name: ["scene", place] for place, name in enumerate(names)})
    assert result["image"].shape == result["condition"].shape == (1, 192, 192, 3)
    assert result["mask"].shape == (1, 192, 192)
    for name in names[:3]:
        assert result[name].min() >= 0 and result[name].max() <= 1 and result[name].std() > 0
        assert torch.equal(result[name], again[name])
    assert result["caption"] == again["caption"]
    tokens = tokenise(result["caption"])
    assert not tokens.unknown and not tokens.cut


def test_seed_and_split_choose_the_scene(host: Host) -> None:
    choices = [(0, "held_out"), (1, "held_out"), (0, "train"), (2**32 - 1, "train")]
    graph = {
        str(place): node("ZeroctlDemoScene", seed=seed, split=split, condition="edges")
        for place, (seed, split) in enumerate(choices)
    }
    result = host.run(graph, keep={name: [name, 0] for name in graph})
    pictures = [result[name] for name in graph]
    assert not any(torch.equal(one, other) for place, one in enumerate(pictures) for other in pictures[:place])


def test_several_scenes_are_lists_in_the_order_of_their_seed(host: Host) -> None:
    draw = host.nodes.NODE_CLASS_MAPPINGS["ZeroctlDemoScene"].execute
    inputs = {"seed": 5, "split": "train", "condition": "edges"}
    single, several = draw(**inputs).result, draw(**inputs, count=66).result
    assert [len(rows) for rows in single] == [1] * 4 and [len(rows) for rows in several] == [66] * 4
    for place in range(3):
        assert torch.equal(single[place][0], several[place][0])
        assert {len(row) for row in several[place]} == {1}
    world = scenes(5, 0, 66, shapes_only=True)
    assert several[3] == [caption(one) for one in world]
    assert torch.equal(several[0][65], render(world[65:]).image.movedim(1, -1))


def test_a_list_of_scenes_comes_with_its_captions_into_training_data(host: Host) -> None:
    graph = {
        "demo": node("ZeroctlDemoModel"),
        "scenes": node("ZeroctlDemoScene", seed=5, split="train", condition="edges", count=3),
        "data": node(
            "ZeroctlTrainingData",
            clip=["demo", 1],
            vae=["demo", 2],
            name="list",
            folder="",
            conditions_folder="",
            annotator="given",
            settings="",
            width=192,
            height=192,
            held_out=1,
            images=["scenes", 0],
            conditions=["scenes", 2],
            captions=["scenes", 3],
        ),
    }
    result = host.run(graph, keep={"data": ["data", 0], "report": ["data", 1]})
    assert len(result["data"].index.names) == 3 and len(set(result["data"].index.captions)) == 3
    assert "caption" not in result["report"]


@pytest.mark.parametrize("count", [0, 1025])
def test_a_number_of_scenes_out_of_range_is_refused(host: Host, count: int) -> None:
    graph = {"scene": node("ZeroctlDemoScene", seed=5, split="train", condition="edges", count=["n", 0])}
    with pytest.raises(NodeFailed, match=f"count is {count}; expected 1 to 1024"):
        host.run({**graph, "n": host.give(count)}, keep={"image": ["scene", 0]})
