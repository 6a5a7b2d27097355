"""The node ControlNet: the same samples as the nodes that it stands for, and its settings as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from annotator_graphs import settings
from control_graphs import CONTROL, picture
from host_graphs import Graph, node
from host_process import Host, NodeFailed, Result
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS

ROOT = Path(__file__).resolve().parents[2]
FACE = {
    "enabled": True,
    "annotator": "canny",
    "strength": 0.8,
    "start": 0.0,
    "end": 0.9,
    "mode": "control",
    "resize": "fit",
    "settings": '{"low": 50, "resolution": 64}',
}
OUTPUTS = {"latent": ["sampler", 0], "condition": ["cn", 1], "report": ["cn", 2]}
NEEDS_NO_FILE = [name for name, entry in ANNOTATORS.items() if entry.network() is None and not entry.task]
NEEDS_FILES = [name for name in [*ANNOTATORS, "pose"] if name not in NEEDS_NO_FILE]


@pytest.fixture()
def one_node(host: Host, graph_of: Callable[..., Graph], controlnet_file: Callable[..., Path]) -> Callable[..., Graph]:
    """`one_node(image=..., **inputs)`: a graph with the node before the sampler's MODEL; tensors become nodes."""

    def make(image: Tensor | None = None, seed: int = 0, **inputs: Any) -> Graph:
        graph = graph_of()
        net = controlnet_file("narrow", seed, torch.float32).name
        values = {**FACE, "control_net_name": net, **inputs}
        values["image"] = picture(96, 64) if image is None else image
        for key in ("image", "mask"):
            if isinstance(values.get(key), Tensor):
                graph[f"give {key}"] = host.give(values[key])
                values[key] = [f"give {key}", 0]
        graph["cn"] = node("ZeroctlControlNet", model=["model", 0], **values)
        graph["sampler"]["inputs"]["model"] = ["cn", 0]
        return graph

    return make


def separate(graph: Graph, annotator: dict[str, Any] | None, resolution: Any = None, **control: Any) -> Graph:
    """The same with the nodes that it stands for; the annotator's image and resolution are filled in."""
    inputs = graph["cn"]["inputs"]
    graph = {key: value for key, value in graph.items() if key != "cn"}
    condition = inputs["image"]
    if annotator is not None:
        graph["annotate"], condition = annotator, ["annotate", 0]
    graph["load"] = node("ZeroctlLoadControlNet", control_net_name=inputs["control_net_name"])
    shared = {key: inputs[key] for key in ("strength", "start", "end", "mode", "resize", "enabled")}
    graph["control"] = node(
        "ZeroctlControl", **{**CONTROL, **shared, "control_net": ["load", 0], "image": condition, **control}
    )
    graph["cn"] = node("ZeroctlApply", model=["model", 0], stack=["control", 0], if_never_applied="warn")
    return graph


def canny(**changed: Any) -> dict[str, Any]:
    inputs = {**settings(ANNOTATORS["canny"]), "image": ["give image", 0], "low": 50, "resolution": 64, **changed}
    return node("ZeroctlCanny", **inputs)


def ran(result: Result) -> list[str]:
    """The nodes of the expansion that ran, by their names in it."""
    return sorted(name.rpartition(".")[2] for name in result.executed if name.startswith("cn."))


def compare(host: Host, graph: Graph, other: Graph) -> tuple[Result, Result]:
    """Both runs; samples and reports must be equal to the bit."""
    result = host.run(graph, keep=OUTPUTS)
    expected = host.run(other, keep={"latent": ["sampler", 0], "report": ["cn", 1]})
    assert torch.equal(result["latent"]["samples"], expected["latent"]["samples"])
    assert result["report"] == expected["report"]
    return result, expected


def test_its_samples_are_those_of_the_separate_nodes(host: Host, one_node: Callable[..., Graph]) -> None:
    graph = one_node()
    result, _ = compare(host, graph, separate(graph, canny()))
    alone = host.run({"give image": graph["give image"], "canny": canny()}, keep={"condition": ["canny", 0]})
    assert torch.equal(result["condition"], alone["condition"]) and result["condition"].shape == (1, 96, 64, 3)
    plain = {**graph, "sampler": node("KSampler", **{**graph["sampler"]["inputs"], "model": ["model", 0]})}
    without = host.run(plain, keep={"latent": ["sampler", 0]})["latent"]["samples"]
    assert not torch.equal(result["latent"]["samples"], without)


def test_with_none_the_image_is_the_condition(host: Host, one_node: Callable[..., Graph]) -> None:
    image = picture(64, 64, batch=2)
    graph = one_node(image, annotator="none", settings="{}")
    result, _ = compare(host, graph, separate(graph, None))
    assert torch.equal(result["condition"], image)


def test_mask_and_stack_are_those_of_the_control(host: Host, one_node: Callable[..., Graph]) -> None:
    mask = torch.zeros(1, 96, 64)
    mask[:, :40] = 1.0
    first = {
        "first net": node(
            "ZeroctlLoadControlNet", control_net_name=one_node(seed=3)["cn"]["inputs"]["control_net_name"]
        ),
        "first image": host.give(picture(seed=5)),
        "first": node("ZeroctlControl", **CONTROL, control_net=["first net", 0], image=["first image", 0]),
    }
    graph = {**first, **one_node(mask=mask, stack=["first", 0])}
    result, _ = compare(host, graph, separate(graph, canny(), mask=["give mask", 0], stack=["first", 0]))
    assert "control 2" in result["report"] and "mask covers 41.7 %" in result["report"]


def test_two_in_a_row_are_two_controls(host: Host, one_node: Callable[..., Graph]) -> None:
    graph = one_node()
    other = {**one_node(seed=3)["cn"]["inputs"], "annotator": "luminance", "settings": "{}", "strength": 0.3}
    graph["second"] = node("ZeroctlControlNet", **{**other, "model": ["cn", 0], "image": ["give image", 0]})
    graph["sampler"]["inputs"]["model"] = ["second", 0]
    result = host.run(graph, keep={"latent": ["sampler", 0], "report": ["second", 2]})
    apart = separate(graph, canny())
    del apart["second"]
    apart["load 2"] = node("ZeroctlLoadControlNet", control_net_name=other["control_net_name"])
    luminance = {**settings(ANNOTATORS["luminance"]), "image": ["give image", 0], "resolution": 512}
    apart["annotate 2"] = node("ZeroctlLuminance", **luminance)
    changed = {"strength": 0.3, "control_net": ["load 2", 0], "image": ["annotate 2", 0]}
    apart["control 2"] = node("ZeroctlControl", **{**apart["control"]["inputs"], **changed})
    apart["cn 2"] = node("ZeroctlApply", **{**apart["cn"]["inputs"], "model": ["cn", 0], "stack": ["control 2", 0]})
    apart["sampler"]["inputs"]["model"] = ["cn 2", 0]
    expected = host.run(apart, keep={"latent": ["sampler", 0], "report": ["cn 2", 1]})
    assert torch.equal(result["latent"]["samples"], expected["latent"]["samples"])
    assert result["report"] == expected["report"] and "control 2" in result["report"]


@pytest.mark.parametrize("resize", ["crop", "fit"])
def test_a_latent_gives_the_resolution_that_fits_it(host: Host, one_node: Callable[..., Graph], resize: str) -> None:
    graph = one_node(latent=["latent", 0], resize=resize)
    graph["latent"]["inputs"].update(width=128, height=96)
    fitting = node("ZeroctlHintSize", image=["give image", 0], width=512, height=512, mode=resize, latent=["latent", 0])
    other = separate(graph, canny(resolution=["size", 0]))
    result, _ = compare(host, graph, {**other, "size": fitting})
    assert min(result["condition"].shape[1:3]) == {"crop": 128, "fit": 64}[resize]


def test_what_is_read_pixel_by_pixel_keeps_its_size(host: Host, one_node: Callable[..., Graph]) -> None:
    graph = one_node(annotator="normal_convert", settings="{}", latent=["latent", 0])
    assert host.run(graph, keep=OUTPUTS)["condition"].shape == (1, 96, 64, 3)


def test_inpaint_takes_the_mask_and_then_acts_everywhere(host: Host, one_node: Callable[..., Graph]) -> None:
    mask = torch.zeros(1, 96, 64)
    mask[:, 20:50, 10:40] = 1.0
    graph = one_node(annotator="inpaint", settings="{}", mask=mask)
    inpaint = {**settings(ANNOTATORS["inpaint"]), "image": ["give image", 0], "mask": ["give mask", 0], "resolution": 0}
    result, _ = compare(host, graph, separate(graph, node("ZeroctlInpaint", **inpaint)))
    assert float(result["condition"].min()) < 0 and "mask covers" not in result["report"]
    del graph["cn"]["inputs"]["mask"]
    with pytest.raises(NodeFailed, match="cn .*inpaint needs a mask: connect one"):
        host.run(graph, keep=OUTPUTS)


def test_off_it_passes_the_model_and_loads_nothing(host: Host, one_node: Callable[..., Graph]) -> None:
    graph = one_node(enabled=False)
    result = host.run(graph, keep=OUTPUTS)
    graph["sampler"]["inputs"]["model"] = ["model", 0]
    without = host.run(graph, keep={"latent": ["sampler", 0]})
    assert torch.equal(result["latent"]["samples"], without["latent"]["samples"])
    assert ran(result) == ["annotate", "apply", "control"]
    assert "control 1: no ControlNet is loaded" in result["report"] and "switched off" in result["report"]


@pytest.fixture()
def session(host: Host) -> Iterator[Host]:
    """The host with a cache that begins empty: tests number their objects anew, and a cache knows them by number."""
    host._executor = None
    yield host
    host._executor = None


def test_what_did_not_change_is_not_run_again(session: Host, one_node: Callable[..., Graph]) -> None:
    graph = one_node()

    def run(**changed: Any) -> list[str]:
        inputs = {**graph["cn"]["inputs"], **changed}
        return ran(session.run({**graph, "cn": node("ZeroctlControlNet", **inputs)}, keep=OUTPUTS, fresh=False))

    assert run() == ["annotate", "apply", "control", "load"]
    assert run() == []
    assert run(strength=0.5) == ["apply", "control"]
    assert run(strength=0.5, settings='{"low": 20, "resolution": 64}') == ["annotate", "apply", "control"]
    assert run(strength=0.5, settings='{"resolution": 64, "low": 20}') == []  # the same settings


def test_a_file_that_changed_is_loaded_again(
    session: Host, one_node: Callable[..., Graph], controlnet_file: Callable[..., Path]
) -> None:
    original = controlnet_file("narrow", 7, torch.float32)
    path = original.with_name("changes.safetensors")
    path.write_bytes(original.read_bytes())
    graph = one_node(control_net_name=path.name)
    try:
        before = session.run(graph, keep=OUTPUTS, fresh=False)["latent"]["samples"]
        path.unlink()  # what is mapped stays as it was
        path.write_bytes(controlnet_file("narrow", 8, torch.float32).read_bytes())
        result = session.run(graph, keep=OUTPUTS, fresh=False)
        assert ran(result) == ["apply", "control", "load"]
        assert not torch.equal(result["latent"]["samples"], before)
    finally:
        path.unlink()


@pytest.mark.parametrize("name", NEEDS_NO_FILE)
def test_every_annotator_draws_what_its_own_node_draws(host: Host, name: str, one_node: Callable[..., Graph]) -> None:
    entry = ANNOTATORS[name]
    image, mask = picture(80, 72), torch.ones(1, 80, 72)
    mask[:, 30:] = 0
    graph = one_node(
        image, annotator=name, settings='{"resolution": 64}', **({"mask": mask} if name == "inpaint" else {})
    )
    condition = host.run(graph, keep={"condition": ["cn", 1]})["condition"]
    inputs = {**settings(entry), "resolution": 64, entry.takes: ["give image", 0]}
    if name == "inpaint":
        inputs["mask"] = ["give mask", 0]
    if entry.networks:
        inputs["download"] = False
    graph["alone"] = node(entry.node_id, **inputs)
    assert torch.equal(condition, host.run(graph, keep={"map": ["alone", 0]})["map"])


@pytest.mark.parametrize("name", NEEDS_FILES)
def test_without_its_file_an_annotator_says_where_it_belongs(
    host: Host, name: str, one_node: Callable[..., Graph], files: Path
) -> None:
    with pytest.raises(NodeFailed, match=r"cn \(ZeroctlControlNet\): FileNotFoundError: .*annotators"):
        host.run(one_node(annotator=name, settings="{}"), keep=OUTPUTS)


def declared(host: Host, name: str) -> dict[str, Any]:
    """What the node of an annotator declares, by the name of the setting, as the node ControlNet reads it."""
    pack = host.pack_module(ROOT).__name__
    entry = sys.modules[f"{pack}.nodes.node_classes"].ANNOTATOR_NODES[name]
    inputs = sys.modules[f"{pack}.nodes.host.settings_json"].setting_inputs(
        entry.node.GET_SCHEMA().inputs, entry.unused
    )
    return {one.id: one for one in inputs}


def test_every_annotator_is_offered_with_all_its_settings(host: Host) -> None:
    (choice,) = (
        one for one in host.nodes.NODE_CLASS_MAPPINGS["ZeroctlControlNet"].GET_SCHEMA().inputs if one.id == "annotator"
    )
    assert choice.options == ["none", *sorted([*ANNOTATORS, "pose"])]
    for name, entry in ANNOTATORS.items():
        names = {param.name for param in entry.params} | {"resolution"}
        names |= {"download"} if entry.networks or entry.task else set()
        names |= {"model"} if entry.task else set()
        assert set(declared(host, name)) == names, name
    assert {"detector", "estimator", "face", "download"} <= set(declared(host, "pose"))


@pytest.mark.parametrize(
    ("annotator", "text", "words"),
    [
        ("canny", '{"lo": 5}', "settings name 'lo', which canny does not have; known are: low, high, blur_sigma"),
        ("none", '{"low": 5}', "settings name 'low', which the annotator none does not have; known are: none"),
        ("blur", '{"low": 5}', "settings name 'low', which blur does not have"),
        ("canny", '{"low": 5, "low": 6}', "'low' stands there twice"),
        ("canny", '{"low": "5"}', "settings of canny: low is '5', expected"),
        ("canny", '{"low": true}', "settings of canny: low is True, expected a number"),
        ("canny", '{"low": NaN}', "settings of canny: low is nan, expected"),
        ("canny", '{"resolution": 64.5}', "settings of canny: resolution is 64.5, expected a whole number"),
        ("canny", '{"resolution": -1}', "settings of canny: resolution is -1, expected a number from 0 to 16384"),
        ("canny", '{"low": [1, 2]}', "settings of canny: low is of the type list, expected"),
        ("canny", "[1, 2]", "settings are '[1, 2]', expected a JSON object with settings of canny"),
        ("canny", "low=5", "settings are 'low=5', expected a JSON object with settings of canny"),
        ("canny", "[" * 100_000, "expected a JSON object with settings of canny"),
        ("canny", '{"low": ' + "9" * 5000 + "}", "expected a JSON object with settings of canny"),
        ("tile", '{"mode": "x"}', "settings of tile: mode is 'x', which is not a choice here. Use one of"),
        ("lineart", '{"download": 1}', "settings of lineart: download is 1, expected true or false"),
        ("segment", '{"mask_class": 1}', "settings name 'mask_class', which segment does not have"),
    ],
)
def test_settings_that_no_annotator_takes_are_refused_by_name(
    host: Host, one_node: Callable[..., Graph], annotator: str, text: str, words: str
) -> None:
    with pytest.raises(NodeFailed) as caught:
        host.run(one_node(annotator=annotator, settings=text), keep=OUTPUTS)
    assert caught.value.node_id == "cn" and words in str(caught.value) and len(str(caught.value)) < 1500


@pytest.mark.parametrize("text", ["", " ", "{}"])
def test_without_settings_an_annotator_has_its_defaults(host: Host, one_node: Callable[..., Graph], text: str) -> None:
    graph = one_node(settings=text)
    compare(host, graph, separate(graph, canny(low=100, resolution=512)))


def test_every_setting_of_every_annotator_can_be_given(host: Host) -> None:
    pack = host.pack_module(ROOT).__name__
    read = sys.modules[f"{pack}.nodes.host.settings_json"].read_settings
    for name in [*ANNOTATORS, "pose"]:
        inputs = declared(host, name)
        defaults = read("{}", list(inputs.values()), name)
        assert list(defaults) == list(inputs) and None not in defaults.values(), name
        others = {
            key: not value
            if isinstance(value, bool)
            else inputs[key].options[-1]
            if isinstance(value, str)
            else value + 1
            for key, value in defaults.items()
            if isinstance(value, (bool, str)) or value + 1 <= inputs[key].max
        }
        assert read(json.dumps(others), list(inputs.values()), name) == {**defaults, **others}, name
    assert type(read('{"low": 64.0}', list(declared(host, "canny").values()), "canny")["low"]) is int


def test_a_list_of_pictures_is_refused_with_what_to_do(host: Host, one_node: Callable[..., Graph]) -> None:
    graph = one_node(["scenes", 0])
    graph["scenes"] = node("ZeroctlDemoScene", seed=0, split="train", condition="edges", count=2)
    with pytest.raises(NodeFailed, match="image is a list of 2, expected one: ControlNet is run once. Make a batch"):
        host.run(graph, keep=OUTPUTS)


def test_an_error_of_a_node_inside_is_that_of_the_node(host: Host, one_node: Callable[..., Graph]) -> None:
    with pytest.raises(NodeFailed, match="start .*0.9.* end .*0.1") as caught:
        host.run(one_node(start=0.9, end=0.1), keep=OUTPUTS)
    assert (caught.value.node_id, caught.value.node_type) == ("cn", "ZeroctlControlNet")


def test_the_condition_is_shown_on_the_node(host: Host, one_node: Callable[..., Graph]) -> None:
    result = host.run(one_node(), keep=OUTPUTS)
    previews = [data for data in result.sent("executed") if data["output"] and data["output"].get("images")]
    assert {data["display_node"] for data in previews} == {"cn"}
    assert len({image["filename"] for data in previews for image in data["output"]["images"]}) == 1


def test_with_none_the_image_is_shown_on_the_node(host: Host, one_node: Callable[..., Graph]) -> None:
    result = host.run(one_node(annotator="none", settings="{}"), keep=OUTPUTS)
    last = [data["output"] for data in result.sent("executed") if data["display_node"] == "cn" and data["output"]][-1]
    assert len(last["images"]) == 1 and last["zeroctl_line"]


def test_with_none_what_is_no_picture_is_refused(host: Host, one_node: Callable[..., Graph]) -> None:
    with pytest.raises(NodeFailed, match=r"cn .*image has 4 channels \(with alpha\), expected 3 \(RGB\). Lay it over"):
        host.run(one_node(torch.rand(1, 64, 64, 4), annotator="none", settings="{}"), keep=OUTPUTS)
