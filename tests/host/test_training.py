"""Training in the graph: pictures to data, data to a control, interrupted, gone on with, finished by the command."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from annotator_graphs import random_state
from control_graphs import latents
from demo_graphs import demo_graph
from host_graphs import Graph, node
from host_process import Host, NodeFailed
from PIL import Image
from scene_files import write_scenes
from torch import Tensor

from zeroctl_core import UNet, load_controlnet
from zeroctl_core.annotator_files.annotator_net import AnnotatorFolder
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.train import run as running
from zeroctl_core.train.__main__ import Options, of_data
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.prepare import cache
from zeroctl_core.train.prepare.cache import CachedData
from zeroctl_core.train.prepare.pairs import find_samples
from zeroctl_core.train.prepare.preparing import Drawing, prepare
from zeroctl_core.train.prepare.source import PreparedSource
from zeroctl_core.train.run import train_control
from zeroctl_core.train.source import WORLD, load_source

ROOT = Path(__file__).resolve().parents[2]
N = 20
FOLDER = "zeroctl_training_pictures"
SAMPLING_STEPS = 3
"""Of scores and sheets, in place of 10: here it matters when they are taken, and not how good they are."""


@pytest.fixture(autouse=True)
def _few_sampling_steps(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("long"):
        yield
        return
    samples = PreparedSource.samples

    def quick(self: PreparedSource, *args: Any, **options: Any) -> Tensor:
        return samples(self, *args, **{**options, "steps": SAMPLING_STEPS})

    with pytest.MonkeyPatch.context() as patch:  # not the fixture, which tests undo
        patch.setattr(PreparedSource, "samples", quick)
        yield


@pytest.fixture(scope="module")
def pictures(host: Host) -> Any:
    """Scenes of the world in the host's input folder, with captions beside."""
    folder = Path(host.folder_paths.get_input_directory()) / FOLDER
    folder.mkdir(parents=True)
    write_scenes(folder, N)
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(Path(host.folder_paths.get_output_directory()) / "zeroctl", ignore_errors=True)


def training_graph(run: str, steps: int, **data: Any) -> Graph:
    inputs = {
        "clip": ["demo", 1],
        "vae": ["demo", 2],
        "name": "scenes",
        "folder": FOLDER,
        "conditions_folder": "",
        "annotator": "canny",
        "settings": "",
        "width": 192,
        "height": 192,
        "held_out": 4,
    }
    return {
        "demo": node("ZeroctlDemoModel"),
        "data": node("ZeroctlTrainingData", **{**inputs, **data}),
        "train": node(
            "ZeroctlTrainControlNet",
            model=["demo", 0],
            data=["data", 0],
            run=run,
            steps=steps,
            learning_rate=1e-3,
            batch_size=4,
            seed=0,
        ),
    }


def outputs(host: Host, graph: Graph, name: str, n: int) -> list[Any]:
    """What a node of a graph gives out; nodes behind it do not run."""
    graph = graph if name == "train" else {key: value for key, value in graph.items() if key != "train"}
    result = host.run(graph, keep={str(number): [name, number] for number in range(n)})
    return [result[str(number)] for number in range(n)]


def test_a_folder_becomes_a_control_whose_samples_and_report_are_handed_on(host: Host, pictures: Path) -> None:
    control, samples, report = outputs(host, training_graph("first", 2), "train", 3)
    assert samples.shape == (3, 192, 3 * 192, 3) and 0 <= float(samples.min()) <= float(samples.max()) <= 1
    assert "2 steps on 16 samples" in report and "python -m zeroctl_core.train --data" in report
    assert control.control_model.net.base.name == "tiny"


def test_the_data_of_the_graph_are_those_of_the_command(host: Host, pictures: Path, tmp_path: Path) -> None:
    data, _ = outputs(host, training_graph("x", 1, name="same"), "data", 2)
    drawing = Drawing(size=(192, 192), annotator="canny")
    index = prepare(find_samples(pictures).samples, drawing, load_source(WORLD), tmp_path, held_out=4)
    assert index.latents == data.index.latents and index.key == data.index.key


def test_more_steps_go_on_to_the_bits_of_one_run_and_of_the_command(host: Host, pictures: Path) -> None:
    for steps in (2, 4):
        host.run(training_graph("parts", steps))
    host.run(training_graph("whole", 4))
    work = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train"
    data = work.parent / "data" / "scenes"
    options = Options(data=data, work=work, run="command", steps=4, batch_size=4)
    with torch.inference_mode(False), torch.enable_grad():  # the host switches gradients off in its process
        train_control(*of_data(options, load_source(WORLD)), say=lambda text: None)
    for run in ("parts", "command"):
        assert_equal_weights(weights_of(host, "whole"), weights_of(host, run))


def test_a_run_goes_from_the_graph_to_the_command_and_back_to_the_bits_of_the_command_alone(
    host: Host, pictures: Path, interrupted_at: Callable[..., None]
) -> None:
    """The short form of the thousand pictures below, and the other way round."""
    interrupted_at(training_graph("to the command", 4), "_View", "__call__", lambda now: now.step == 2)
    assert checkpoints(host, "to the command") == ["step-00000002"]
    work = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train"
    options = Options(data=work.parent / "data" / "scenes", work=work, steps=4, batch_size=4)
    for run, steps in (("to the command", 4), ("alone", 4), ("to the graph", 2)):
        with torch.inference_mode(False), torch.enable_grad():
            train_control(*of_data(replace(options, run=run, steps=steps), load_source(WORLD)), say=lambda text: None)
    host.run(training_graph("to the graph", 4))
    for run in ("to the command", "to the graph"):
        assert_equal_weights(weights_of(host, "alone"), weights_of(host, run))


@pytest.fixture
def interrupted_at(host: Host, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a graph, and interrupt it at a call of a method of the pack's training: where `when` says so."""
    run_module = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.training.run"]

    def interrupt(graph: Graph, owner: str, method: str, when: Callable[..., bool]) -> None:
        place = getattr(run_module, owner)
        call = getattr(place, method)

        def interrupting(self: Any, *args: Any, **options: Any) -> Any:
            if when(*args):
                host.nodes.interrupt_processing()
            return call(self, *args, **options)

        monkeypatch.setattr(place, method, interrupting)
        with pytest.raises(NodeFailed, match="interrupted"):
            host.run(graph)
        monkeypatch.undo()

    return interrupt


def checkpoints(host: Host, run: str) -> list[str]:
    folder = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train" / run / "checkpoints"
    return sorted(path.name for path in folder.iterdir())


def weights_of(host: Host, run: str) -> dict[str, Tensor]:
    folder = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train" / run
    return load_controlnet(folder / "canny.safetensors").state_dict()


def assert_equal_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_an_interrupt_writes_a_checkpoint_and_queued_again_it_goes_on(
    host: Host, pictures: Path, interrupted_at: Callable[..., None]
) -> None:
    interrupted_at(training_graph("interrupted", 5), "_View", "__call__", lambda now: now.step == 3)
    assert checkpoints(host, "interrupted") == ["step-00000003"]
    for run in ("interrupted", "not interrupted"):
        host.run(training_graph(run, 5))
    assert_equal_weights(weights_of(host, "interrupted"), weights_of(host, "not interrupted"))


def test_an_interrupt_is_heard_while_a_score_is_sampled(
    host: Host, pictures: Path, interrupted_at: Callable[..., None]
) -> None:
    """At the next call of the UNet of many, with the checkpoint of the step that is scored."""
    n_samples = 0

    def is_second_score(*_: object) -> bool:
        nonlocal n_samples
        n_samples += 1
        return n_samples == 5  # at step 0 a score and the sheet, both without and with the control; then the last score

    calls = []
    unet_call = UNet.forward

    def counted(self: UNet, *args: Any, **options: Any) -> Any:
        calls.append(n_samples)
        return unet_call(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UNet, "forward", counted)
        interrupted_at(training_graph("scored", 2), "_ShownSource", "samples", is_second_score)
    assert calls.count(1) == SAMPLING_STEPS and calls.count(5) == 0
    assert checkpoints(host, "scored") == ["step-00000002"]
    log = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train" / "scored" / "log.jsonl"
    host.run(training_graph("scored", 3))
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [0, 1, 2, 3]


def test_the_node_shows_the_newest_line_first(host: Host, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(host.server, "send_progress_text", lambda text, node_id, *_: texts.append(text))
    host.run(training_graph("shown", 1))
    assert texts[0] == "preparing the samples" and texts[1] == "16 samples;\npreparing the samples"
    assert texts[3].startswith("step 1/1: ") and "following" in texts[3].splitlines()[0]


def test_the_announced_jump_stays_in_view_to_the_end_with_the_whole_rise(
    host: Host, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen before the rise is over, and many lines come after it. One sheet is drawn for each score, no more, and
    shown."""
    import comfy.utils

    rise = [*[0.0] * 7, 0.46, 0.48, 0.50, 0.70, 0.84, 0.86, 0.87, 0.86, 0.86, 0.86]
    scores, texts, sheets = iter(rise), [], []
    run_module = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.training.run"]
    sheet = run_module._View.sheet
    monkeypatch.setattr(ControlConfig, "is_scored", lambda self, step: True)
    monkeypatch.setattr(PreparedSource, "score", lambda self, *_, **__: {"follow": next(scores)})
    monkeypatch.setattr(PreparedSource, "samples", lambda self, net, condition, *_, **__: condition * (net is not None))
    monkeypatch.setattr(run_module._View, "sheet", lambda self, net: (sheets.append(1), sheet(self, net))[1])
    monkeypatch.setattr(host.server, "send_progress_text", lambda text, node_id, *_: texts.append(text))
    bar, previews = comfy.utils.ProgressBar, []
    update = bar.update_absolute
    monkeypatch.setattr(bar, "update_absolute", lambda self, *now: (previews.extend(now[2:]), update(self, *now))[1])
    graph = training_graph("jumps", len(rise) - 1)
    graph["train"]["inputs"]["batch_size"] = 1
    _, samples, report = outputs(host, graph, "train", 3)
    first = next(place for place, text in enumerate(texts) if "***" in text)
    assert all(text.startswith("*** sudden convergence at step ") for text in texts[first:])
    assert all(text.count("***") == 1 for text in texts[first:]) and len(texts) - first > 6
    assert "from 0.00 to 0.48" in texts[first] and "from 0.00 to 0.86" in texts[-1].splitlines()[0]
    assert "from 0.00 to 0.86" in report.splitlines()[1]
    assert len(sheets) == len(previews) == len(rise) and samples.shape == (3, 192, 3 * 192, 3)


def test_what_a_node_says_of_a_run_names_no_option_of_the_command(host: Host, pictures: Path) -> None:
    host.run(training_graph("damaged", 2))
    for other, change in (("damaged", {"seed": 1}), ("damaged", {"steps": 1})):
        graph = training_graph(other, 2)
        graph["train"]["inputs"].update(change)
        with pytest.raises(NodeFailed, match="another name") as refusal:
            host.run(graph)
        assert "--" not in str(refusal.value)
    folder = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train" / "damaged"
    for path in folder.rglob("state.json"):
        path.write_bytes(b"damaged")
    with pytest.raises(NodeFailed, match="another name, or delete") as refusal:
        host.run(training_graph("damaged", 3))
    assert "--" not in str(refusal.value)


def test_a_training_takes_the_data_of_its_own_node_where_two_share_a_name(host: Host, pictures: Path) -> None:
    graph = training_graph("own data", 1)
    graph["other"] = node("ZeroctlTrainingData", **{**graph["data"]["inputs"], "held_out": 8})
    first, _ = outputs(host, graph, "data", 2)
    other = host.run({"demo": graph["demo"], "other": graph["other"]}, keep={"data": ["other", 0]})["data"]
    assert first.folder == other.folder and first.index.key != other.index.key
    graph["data"] = host.give(first)
    report = outputs(host, {key: graph[key] for key in ("demo", "data", "train")}, "train", 3)[2]
    assert "1 step on 16 samples" in report


def test_the_model_draws_the_same_picture_before_and_after(host: Host, pictures: Path) -> None:
    graph = {**training_graph("unchanged", 2), **demo_graph()}
    after = host.run(graph, keep={"latent": ["sampler", 0], "report": ["train", 2]})["latent"]["samples"]
    assert torch.equal(after, latents(host, demo_graph()))


def test_lists_of_pictures_and_captions_are_paired_in_order(host: Host, pictures: Path) -> None:
    graph = training_graph("x", 1, folder="", images=["pictures", 0], name="lists", held_out=2)
    data, report = outputs(host, {**graph, "pictures": host.give(torch.rand(6, 64, 96, 3))}, "data", 2)
    assert len(data.index.names) == 6 and data.index.size == (192, 192) and "6 samples" in report
    assert "6 x empty caption (stops nothing): 000000, 000001" in report


def pairs_of(data: Any) -> list[tuple[Tensor, Tensor]]:
    """The latent and the context of every sample of the socket's data, in order."""
    parts = [CachedData(data.folder, data.index, held_out=held_out) for held_out in (True, False)]
    batches = [part.batch(range(len(part))) for part in parts]
    return [
        pair
        for batch in batches
        for pair in zip(batch.latent.flatten(1), batch.prompts.context.flatten(1), strict=True)
    ]


def test_the_hosts_loader_of_folders_gives_the_pairs_that_the_folder_gives(host: Host, pictures: Path) -> None:
    """A list of IMAGE, of several sizes, and a list of STRING. An older host has one batch, and no texts."""
    has_texts = "LoadImageTextDataSetFromFolder" in host.nodes.NODE_CLASS_MAPPINGS
    loader = "LoadImageTextDataSetFromFolder" if has_texts else "LoadImageSetFromFolderNode"
    caption = "a red star on a blue background"
    captions = ["loader", 1] if has_texts else caption
    graph = training_graph("x", 1, folder="", images=["loader", 0], captions=captions, name="loaded")
    names = ["wide.png", "wide.txt"] if has_texts else []
    try:
        if names:
            Image.open(pictures / "0000.png").resize((200, 150)).save(pictures / names[0])
            (pictures / names[1]).write_text(caption)
        data, report = outputs(
            host,
            {**graph, "loader": node(loader, folder=FOLDER, **({} if has_texts else {"resize_method": "None"}))},
            "data",
            2,
        )
        expected, _ = outputs(host, training_graph("x", 1, name="beside"), "data", 2)
    finally:
        for name in names:
            (pictures / name).unlink()
    n = N + bool(names)
    assert f"{n} samples" in report and len(data.index.names) == n

    def numbers(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[float, ...]]:
        return sorted((*latent.tolist(), *(context.tolist() if has_texts else ())) for latent, context in pairs)

    assert numbers(pairs_of(data)) == numbers(pairs_of(expected))
    if not has_texts:
        assert len(data.index.prompts) == 1 and set(data.index.captions) == {1}


def test_what_is_damaged_is_made_anew_and_said_in_the_reports(host: Host, pictures: Path) -> None:
    graph = training_graph("said", 2, name="said")
    data, _ = outputs(host, graph, "data", 2)
    host.run(graph)
    for name in ("index.json", "looks.json", data.index.conditions[0]):
        (data.folder / name).write_bytes(b"damaged")
    again, report = outputs(host, graph, "data", 2)
    assert again.index == data.index
    for name in ("index.json", "looks.json", data.index.conditions[0]):
        assert f"{name} is damaged" in report
    log = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train" / "said" / "log.jsonl"
    log.write_text(log.read_text().replace('"step": 1', '"st'))
    report = outputs(host, graph, "train", 3)[2]
    assert "log.jsonl: 1 line not as a run writes them" in report


def loaded_models() -> set[int]:
    """Which models the host holds in memory for sampling, by their patchers."""
    import comfy.model_management

    return {id(entry.model) for entry in comfy.model_management.current_loaded_models if entry.model is not None}


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_training_gives_its_memory_back(
    host: Host, pictures: Path, interrupted_at: Callable[..., None], is_interrupted: bool
) -> None:
    """At its end, while its control, samples and report are still held: the trainable copy and its weights, the state
    of the optimiser, the latents; and the host has no more models loaded than before."""
    alive: dict[str, list[weakref.ref[Any]]] = {}

    def remember(kind: str, *things: Any) -> None:
        alive.setdefault(kind, []).extend(weakref.ref(thing) for thing in things)

    new_control, step, columns = running.new_control, torch.optim.AdamW.step, cache._columns

    def new_remembered(*args: Any) -> Any:
        net = new_control(*args)
        remember("copies", net)
        remember("weights", *net.parameters())
        return net

    def step_remembered(optimiser: Any, *args: Any) -> Any:
        result = step(optimiser, *args)
        remember("optimisers", optimiser)
        remember("moments", *(value for state in optimiser.state.values() for value in state.values()))
        return result

    def columns_remembered(path: Path) -> dict[str, Tensor]:
        table = columns(path)
        remember("latents", *table.values())
        return table

    graph, loaded = training_graph(f"freed {is_interrupted}", 3), loaded_models()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "new_control", new_remembered)
        patch.setattr(torch.optim.AdamW, "step", step_remembered)
        patch.setattr(cache, "_columns", columns_remembered)
        if is_interrupted:
            interrupted_at(graph, "_View", "__call__", lambda now: now.step == 2)
            results = []
        else:
            results = outputs(host, graph, "train", 3)
    gc.collect()
    assert set(alive) == {"copies", "weights", "optimisers", "moments", "latents"} and all(alive.values())
    left = {kind: sum(reference() is not None for reference in things) for kind, things in alive.items()}
    assert set(left.values()) == {0}, left
    assert loaded_models() <= loaded and len(results) == (0 if is_interrupted else 3)


def test_what_cannot_be_used_is_skipped_and_named_in_the_report(host: Host, pictures: Path) -> None:
    names = ["broken.png", "again.png", "odd.txt"]
    (pictures / names[0]).write_bytes((pictures / "0000.png").read_bytes()[:300])
    shutil.copy(pictures / "0003.png", pictures / names[1])
    (pictures / names[2]).write_text("of no picture")
    try:
        data, report = outputs(host, training_graph("x", 1, name="faulty"), "data", 2)
        with pytest.raises(NodeFailed, match="20 samples can be used, and 20 .*unreadable picture.*broken"):
            outputs(host, training_graph("x", 1, name="faulty", held_out=20), "data", 2)
    finally:
        for name in names:
            (pictures / name).unlink()
    assert len(data.index.names) == N and not {"broken", "again"} & set(data.index.names)
    assert "1 x unreadable picture (cannot be used): broken" in report
    assert "1 x same picture as another (cannot be used): again (as 0003)" in report
    assert "1 x caption without a picture (stops nothing): odd" in report


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"folder": "no_such_folder"}, "there is no folder 'no_such_folder'"),
        ({"folder": "../.."}, "is not below"),
        ({"folder": ""}, "either by folder or by images"),
        ({"annotator": "given"}, "conditions come either from an annotator"),
        ({"held_out": 20}, "20 samples were found, and 20 are to be held out"),
        ({"settings": "lowest=3"}, "lowest"),
        ({"name": "a/b"}, "expected the name of a folder"),
    ],
)
def test_what_cannot_be_prepared_is_refused_in_words(host: Host, pictures: Path, inputs: Any, message: str) -> None:
    with pytest.raises(NodeFailed, match=message):
        host.run(training_graph("x", 1, **inputs), keep={"data": ["data", 0]})


# ---- conditions that a network draws


@pytest.fixture
def teed(host: Host) -> Iterator[Path]:
    """The file of a network with random weights, where the annotators' nodes find theirs."""
    path = Path(host.folder_paths.models_dir) / "annotators" / NETWORKS["teed"].file
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(random_state("teed"), path)
    yield path
    path.unlink(missing_ok=True)


def test_a_network_draws_the_conditions_and_scores_as_by_the_command(
    host: Host, pictures: Path, teed: Path, tmp_path: Path
) -> None:
    graph = training_graph("drawn", 1, annotator="teed", name="drawn")
    data, _ = outputs(host, graph, "data", 2)
    net = AnnotatorFolder(teed.parent).net(ANNOTATORS["teed"], {})
    drawing = Drawing(size=(192, 192), annotator="teed", net=net)
    index = prepare(find_samples(pictures).samples, drawing, load_source(WORLD), tmp_path, held_out=4)
    assert index == data.index and index.network
    report = outputs(host, graph, "train", 3)[2]
    assert "step 1/1" in report and "has no score, nothing draws it again" not in report

    torch.save({key: value * 0.5 for key, value in random_state("teed").items()}, teed)
    changed, _ = outputs(host, graph, "data", 2)
    assert changed.index.latents == index.latents and changed.index.conditions != index.conditions


def test_a_network_that_is_nowhere_is_named_before_anything_is_encoded(host: Host, pictures: Path) -> None:
    for download in ({}, {"download": False}):
        with pytest.raises(NodeFailed, match=f"needs the file {NETWORKS['teed'].file}, .*set download to true"):
            outputs(host, training_graph("x", 1, annotator="teed", name="nowhere", **download), "data", 2)
    assert not (Path(host.folder_paths.get_output_directory()) / "zeroctl" / "data" / "nowhere").exists()


# ---- the whole chain

MANY, GOAL, CHAIN_BATCH = 1000, 400, 8
"""Pictures, steps and samples a step after which the control of edges follows them: F1 .80 at step 300 already."""


@pytest.fixture
def many_pictures(host: Host) -> Iterator[str]:
    name = "zeroctl_many_pictures"
    folder = Path(host.folder_paths.get_input_directory()) / name
    folder.mkdir(parents=True)
    write_scenes(folder, MANY)
    yield name
    shutil.rmtree(folder)


@pytest.mark.long
def test_a_thousand_pictures_become_a_control_that_follows_begun_in_the_graph_and_finished_by_the_command(
    host: Host, many_pictures: str, interrupted_at: Callable[..., None]
) -> None:
    """Equal to the bit to a run by the command alone, and the MODEL draws the same as before."""
    before = latents(host, demo_graph())
    graph = training_graph("chain", GOAL, folder=many_pictures, held_out=32, name="many")
    graph["train"]["inputs"]["batch_size"] = CHAIN_BATCH
    interrupted_at(graph, "_View", "__call__", lambda now: now.step == GOAL // 4)
    work = Path(host.folder_paths.get_output_directory()) / "zeroctl" / "train"
    options = Options(data=work.parent / "data" / "many", work=work, steps=GOAL, batch_size=CHAIN_BATCH)
    for run in ("chain", "alone"):
        with torch.inference_mode(False), torch.enable_grad():
            train_control(*of_data(replace(options, run=run), load_source(WORLD)), say=lambda text: None)
    assert_equal_weights(weights_of(host, "chain"), weights_of(host, "alone"))
    assert torch.equal(latents(host, demo_graph()), before)
    log = [json.loads(line) for line in (work / "chain" / "log.jsonl").read_text().splitlines()]
    scores = [line["score"] for line in log if "score" in line]
    assert scores[0] <= 0.25 and scores[-1] >= 0.8, scores
