"""The example workflows: each makes a picture on the real server, and its two forms say the same.

`ZEROCTL_EXAMPLE_CARDS=example_workflows python tests/host/run.py -k first_workflow` takes the card of start_here
anew, from what is drawn here, and with `-m long -k as_the_example` that of train_your_first_control.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from host_server import HostServer
from PIL import Image, ImageDraw, ImageOps
from tiny_transformers import write_tiny
from torch import Tensor

from zeroctl_core import ControlStack, ControlUnit
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.demo.following import background_colour, colour_names
from zeroctl_core.demo.model import DemoModel, load_control
from zeroctl_core.demo.scene import SIZE
from zeroctl_core.sampling import noise_of, sample
from zeroctl_core.train.score import line_score

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "example_workflows"  # as the browser saves them; the host offers every one as a template
API_FORMS = ROOT / "tests" / "workflows"
NAMES = sorted(path.stem for path in API_FORMS.glob("*.json"))
NOTES = {"MarkdownNote", "Note"}  # of the frontend alone: no prompt holds them
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
OF_THE_DEMO = {"start_here", "train_your_first_control"}  # its model draws no 64 pixels
EMBEDDED = "zeroctl/"  # before the names of the controls that come with the pack
PIXELS = 64
CARD, INSET, BORDER = 480, 150, 3  # pixels: sides of a card and of a small picture on it, and the white around that
TITLE_HEIGHT = 30  # a node's pos is below its title
BADGE_HEIGHT = 40  # Nodes 2.0 adds the pack's name at the foot of our nodes


@pytest.fixture(scope="module")
def bench(
    server: HostServer, thin_checkpoint_name: str, controlnet_file: Callable[..., Path], scratch: Path
) -> Iterator[HostServer]:
    """The server with a thin file under every name that the examples ask for, and with the host's example picture."""
    checkpoints = server.base / "models" / "checkpoints"
    links = []
    for number, (kind, name) in enumerate(sorted(_files())):
        target = checkpoints / thin_checkpoint_name if kind == "checkpoints" else controlnet_file("thin", seed=number)
        links.append(server.base / "models" / kind / name)
        links[-1].symlink_to(target.resolve())
    folders = server.base / "models" / "annotators"
    for task, name in sorted(_folders()):
        write_tiny(task, folders / name, **({"id2label": {0: "person", 1: "tie"}} if task == "people" else {}))
    picture = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(picture).ellipse((20, 12, 70, 80), fill="navy", outline="red", width=4)
    picture.save(server.base / "input" / "example.png")
    yield server
    for link in links:
        link.unlink()
    shutil.rmtree(folders, ignore_errors=True)


def _api(name: str) -> dict[str, Any]:
    return json.loads((API_FORMS / f"{name}.json").read_text())


def _ui(name: str) -> dict[str, Any]:
    return json.loads((EXAMPLES / f"{name}.json").read_text())


def _files() -> set[tuple[str, str]]:
    """(folder, name) of every model file that the examples name and that does not come with the pack."""
    inputs = [node["inputs"] for name in NAMES for node in _api(name).values()]
    return {("checkpoints", i["ckpt_name"]) for i in inputs if "ckpt_name" in i} | {
        ("controlnet", i["control_net_name"])
        for i in inputs
        if "control_net_name" in i and not i["control_net_name"].startswith(EMBEDDED)
    }


def _folders() -> set[tuple[str, str]]:
    """(task, name) of every folder of a transformers model that the examples name."""
    tasks = {"detector": "people", "estimator": "pose"}
    folders = set()
    for node in (node for name in NAMES for node in _api(name).values()):
        inputs = node["inputs"]
        folders |= {(task, inputs[key]) for key, task in tasks.items() if key in inputs}
        if node["class_type"] == "ZeroctlDepth":
            folders.add(("depth", inputs["model"]))
    return folders


def _small(graph: dict[str, Any]) -> dict[str, Any]:
    """The workflow at 64 pixels and a few steps; nothing else of it is changed."""
    small = {
        "width": PIXELS,
        "height": PIXELS,
        "steps": 4,
        "resolution": PIXELS,
        "scale_by": PIXELS / 96,
        "detect_size": 126,
    }
    for node in graph.values():
        own_size = {"resolution": 0} if node["inputs"].get("resolution") == 0 else {}
        node["inputs"].update({key: value for key, value in small.items() if key in node["inputs"]}, **own_size)
    return graph


def _by_type(graph: dict[str, Any], class_type: str) -> list[str]:
    return [node_id for node_id, node in graph.items() if node["class_type"] == class_type]


def _picture(server: HostServer, graph: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    outputs = server.run(graph)
    (save,) = _by_type(graph, "SaveImage")
    (picture,) = server.images(outputs, save)
    assert picture.format == "PNG" and picture.size == (PIXELS, PIXELS)
    return np.asarray(picture).astype(float), outputs


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_THE_DEMO])
def test_the_workflow_makes_a_picture_that_follows_its_control(bench: HostServer, name: str) -> None:
    graph = _small(_api(name))
    controlled, outputs = _picture(bench, graph)
    assert np.isfinite(controlled).all() and controlled.std() > 1.0
    for node_id in _by_type(graph, "PreviewAny"):
        assert len(outputs[node_id]["text"][0]) > 40
    for node in graph.values():  # the same without any control
        node["inputs"].update({key: 0.0 for key in ("strength",) if key in node["inputs"]})
    plain, _ = _picture(bench, graph)
    assert np.abs(controlled - plain).mean() > 0.5


@pytest.fixture(scope="module")
def first_workflow(server: HostServer, demo_weights: Path) -> dict[str, Tensor]:
    """The pictures of start_here, as it is; it asks for no file that does not come with the pack."""
    graph = _api("start_here")
    assert not {"ckpt_name", "lora_name", "vae_name"} & {key for node in graph.values() for key in node["inputs"]}
    (control,), (save,) = (_by_type(graph, kind) for kind in ("ZeroctlControlNet", "SaveImage"))
    links = {
        "first": graph[control]["inputs"]["image"],
        "condition": [control, 1],
        "result": graph[graph[save]["inputs"]["images"][0]]["inputs"]["image"],
    }
    extra = {name: {"class_type": "PreviewImage", "inputs": {"images": link}} for name, link in links.items()}
    outputs = server.run({**graph, **extra})
    (enlarged,) = server.images(outputs, save)
    assert enlarged.size == (4 * SIZE, 4 * SIZE)
    pictures = {name: _pixels(server.images(outputs, name)[0]) for name in links}
    _write_card("start_here", pictures["result"], pictures["first"], pictures["condition"])
    return pictures


def _write_card(name: str, *pictures: Tensor) -> None:
    """The card of an example, where one is asked for: its result, and in the left corners what led to it."""
    folder = os.environ.get("ZEROCTL_EXAMPLE_CARDS")
    if not folder:
        return
    result, *others = (Image.fromarray((one[0].movedim(0, -1) * 255).to(torch.uint8).numpy()) for one in pictures)
    card = result.resize((CARD, CARD), Image.Resampling.LANCZOS)
    for place, other in enumerate(others):
        framed = ImageOps.expand(other.resize((INSET, INSET), Image.Resampling.LANCZOS), BORDER, "white")
        card.paste(framed, (BORDER, BORDER if place == 0 else CARD - framed.height - BORDER))
    card.save(ROOT / folder / f"{name}.jpg", quality=92)


def _pixels(picture: Image.Image) -> Tensor:
    """[1, 3, H, W] in 0..1"""
    return torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0)[None] / 255


def _samplers(graph: dict[str, Any]) -> tuple[str, str]:
    """Of start_here: the one without control, and the one with it."""
    names, (control,) = _by_type(graph, "KSampler"), _by_type(graph, "ZeroctlControlNet")
    plain, controlled = sorted(names, key=lambda name: graph[name]["inputs"]["model"][0] == control)
    return plain, controlled


def _prompts(graph: dict[str, Any], sampler: str) -> list[str]:
    return [graph[graph[sampler]["inputs"][side][0]]["inputs"]["text"] for side in ("positive", "negative")]


def test_the_first_workflow_gives_the_cores_pictures_from_nothing_but_the_pack(
    first_workflow: dict[str, Tensor], demo_weights: Path
) -> None:
    graph, parts = _api("start_here"), DemoModel.load(demo_weights)

    def of_the_core(sampler: str, stack: ControlStack | None) -> Tensor:
        run = graph[sampler]["inputs"]
        positive, negative = parts.context(_prompts(graph, sampler)).chunk(2)
        noise = noise_of([run["seed"]], (SIZE, SIZE))
        return parts.picture(
            sample(parts.unet, noise, positive, negative, stack=stack, guidance=run["cfg"], steps=run["steps"])
        )

    plain, controlled = _samplers(graph)
    stack = ControlStack([ControlUnit(load_control("edges", demo_weights), first_workflow["condition"])])
    first = of_the_core(plain, None)
    for name, expected in (("first", first), ("result", of_the_core(controlled, stack))):
        # the host cuts off what is behind the point
        assert (first_workflow[name] * 255 + 0.5 - expected * 255).abs().max() <= 1.0, name
    # rounding in a picture can move an edge
    assert (ANNOTATORS["canny"](first) == first_workflow["condition"]).float().mean() > 0.99


def test_the_first_workflow_keeps_the_outline_and_paints_the_ground_of_its_prompt(
    first_workflow: dict[str, Tensor],
) -> None:
    again = ANNOTATORS["canny"](first_workflow["result"])
    assert float(line_score(again, first_workflow["condition"])) > 0.7
    graph = _api("start_here")
    for name, sampler in zip(("first", "result"), _samplers(graph), strict=True):
        (ground,) = colour_names(background_colour(first_workflow[name]))
        assert f"on a {ground} background" in _prompts(graph, sampler)[0], name


def _trained(server: HostServer, graph: dict[str, Any], timeout: float) -> tuple[Tensor, Tensor, str]:
    """The picture at the end, the edges of the other scene, and the report of the training."""
    outputs = server.run(graph, timeout=timeout)
    (save,), (edges,), (report,) = (_by_type(graph, kind) for kind in ("SaveImage", "ZeroctlCanny", "PreviewAny"))
    picture, lines = (_pixels(server.images(outputs, node)[0]) for node in (save, edges))
    return picture, lines, outputs[report]["text"][0]


def test_a_first_control_is_trained_from_nothing_but_the_pack(server: HostServer) -> None:
    """The example with fewer scenes and steps."""
    graph = _api("train_your_first_control")
    assert not {"ckpt_name", "lora_name", "vae_name"} & {key for node in graph.values() for key in node["inputs"]}
    (training,), (data,) = (_by_type(graph, kind) for kind in ("ZeroctlTrainControlNet", "ZeroctlTrainingData"))
    graph[graph[data]["inputs"]["images"][0]]["inputs"]["count"] = 12
    graph[data]["inputs"].update(held_out=2, name="few_scenes")
    graph[training]["inputs"].update(steps=2, batch_size=4, run="few_steps")
    _, _, report = _trained(server, graph, timeout=600)
    assert "2 steps on 10 samples" in report and "following" in report


@pytest.mark.long
def test_a_first_control_as_the_example_trains_it_follows(server: HostServer) -> None:
    picture, lines, report = _trained(server, _api("train_your_first_control"), timeout=3600)
    _write_card("train_your_first_control", picture, lines)
    scores = [float(score) for score in re.findall(r"following (-?[\d.]+)", report)]
    assert scores[0] < 0.1 and max(scores) > 0.65, report
    assert "sudden convergence at step" in report
    assert float(line_score(ANNOTATORS["canny"](picture), lines)) > 0.7


def test_a_switched_off_row_of_the_stack_changes_the_picture(bench: HostServer) -> None:
    graph = _small(_api("stacked_controls"))
    both, _ = _picture(bench, graph)
    (stack,) = _by_type(graph, "ZeroctlStack")
    graph[stack]["inputs"]["enabled_2"] = False
    first, _ = _picture(bench, graph)
    assert np.abs(both - first).mean() > 0.1


def test_the_host_offers_the_examples_as_templates(bench: HostServer) -> None:
    assert sorted(bench.get("/workflow_templates")["zeroctl"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_the_browser_saved_is_what_the_api_form_says(bench: HostServer, name: str) -> None:
    assert _as_prompt(_ui(name), bench.get("/object_info")) == _api(name)


def _as_prompt(ui: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The API form of a saved workflow, as the browser makes it from the host's description of the nodes."""
    links = {link[0]: [str(link[1]), link[2]] for link in ui["links"]}
    prompt = {}
    for node in ui["nodes"]:
        if node["type"] in NOTES:
            continue
        inputs = {slot["name"]: links[slot["link"]] for slot in node["inputs"] if slot["link"] is not None}
        inputs |= _widget_values(node, info[node["type"]]["input"])
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
        if "title" in node:
            prompt[str(node["id"])]["_meta"] = {"title": node["title"]}
    return prompt


def _widget_values(node: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """Saved values are positional, with two that are the browser's own: after a seed, and of the upload button.

    Optional inputs that a later version added at the end have no value in what an earlier one saved.
    """
    contents = node.get("widgets_values", ())
    values = iter(contents)
    inputs: dict[str, Any] = {}
    for name, (kind, *options) in {**described.get("required", {}), **described.get("optional", {})}.items():
        has_widget = isinstance(kind, list) or (kind in WIDGETS and not (options and options[0].get("forceInput")))
        if not has_widget:
            continue
        if name in described.get("optional", {}) and len(inputs) >= len(contents):
            continue
        inputs[name] = next(values)
        if options and (options[0].get("control_after_generate") or options[0].get("image_upload")):
            next(values)
    assert list(values) == [], f"{node['type']} holds more values than it has widgets"
    return inputs


@pytest.mark.parametrize("name", NAMES)
def test_no_two_nodes_overlap(name: str) -> None:
    boxes = {}
    for node in _ui(name)["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        boxes[node["id"]] = x, y, width, height + (BADGE_HEIGHT if node["type"].startswith("Zeroctl") else 0)
    for (one, (x1, y1, w1, h1)), (two, (x2, y2, w2, h2)) in combinations(boxes.items(), 2):
        beside = x1 + w1 <= x2 or x2 + w2 <= x1
        above = y1 + h1 <= y2 - TITLE_HEIGHT or y2 + h2 <= y1 - TITLE_HEIGHT
        assert beside or above, f"{name}: nodes {one} and {two}"


def test_every_example_has_both_forms() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.json")) == NAMES
    assert sorted(path.stem for path in EXAMPLES.glob("*.jpg")) == NAMES
