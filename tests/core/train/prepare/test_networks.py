"""Conditions that a network draws: its file is found or named, and other weights draw other conditions."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_transformers import write_tiny
from toy_base import HELD_OUT, ToyBase, toy_samples

from zeroctl_core.annotator_files import annotator_net
from zeroctl_core.annotator_files.annotator_net import AnnotatorFolder
from zeroctl_core.annotator_files.published import OFFERED
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.demo.source import World
from zeroctl_core.train import run as running
from zeroctl_core.train.__main__ import main as train
from zeroctl_core.train.prepare.__main__ import main
from zeroctl_core.train.prepare.cache import CachedData, read_index
from zeroctl_core.train.prepare.preparing import Drawing, prepare, prepare_share, share_of
from zeroctl_core.train.prepare.sample import FilePicture

N, SIZE = 6, 64
TEED = NETWORKS["teed"]
NEEDS = [
    (name, param.name, option, network)
    for name, annotator in ANNOTATORS.items()
    for option, network in annotator.networks.items()
    for param in annotator.params
    if option in getattr(param, "options", ())
] + [(name, "", "", annotator.networks[""]) for name, annotator in ANNOTATORS.items() if "" in annotator.networks]


def write_teed(folder: Path, seed: int = 0) -> Path:
    """Random weights in the published form: a .pth of keys and tensors."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(TEED.build().state_dict()), folder / TEED.file)
    return folder / TEED.file


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(N):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((SIZE, SIZE)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red star")
    return folder


@pytest.fixture
def files(tmp_path) -> Path:
    """The folder of the annotators' files."""
    (tmp_path / "annotators").mkdir()
    return tmp_path / "annotators"


def line(pictures: Path, files: Path, output: Path, *more: str, annotator: str = "teed") -> list[str]:
    options = ["--annotator", annotator, "--annotators", str(files), "--held-out", "2"]
    return [str(pictures), "--output", str(output), *options, "--height", str(SIZE), "--width", str(SIZE), *more]


def refusal(words: list[str], capsys, command=main) -> str:
    try:
        status = command(words)
    except SystemExit as stopped:
        status = stopped.code
    output = capsys.readouterr()
    assert status == 2 and "Traceback" not in output.err
    return " ".join((output.out + output.err).replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())


def conditions_of(output: Path) -> torch.Tensor:
    index = read_index(output)
    parts = [CachedData(output, index, held_out=held_out) for held_out in (True, False)]
    return torch.cat([part.batch(range(len(part))).condition for part in parts])


@pytest.mark.parametrize(("name", "setting", "option", "network"), NEEDS)
def test_a_file_that_is_nowhere_is_named_before_a_picture_is_read(
    pictures, files, tmp_path, capsys, monkeypatch, name, setting, option, network
):
    monkeypatch.setattr(FilePicture, "read", lambda self: pytest.fail("a picture is read"))
    settings = ["--settings", f"{setting}={option}"] if setting else []
    message = refusal(line(pictures, files, tmp_path / "out", *settings, annotator=name), capsys)
    published = NETWORKS[network]
    for part in (published.file, published.url, str(files / published.file), published.licence):
        assert part in message
    assert "--annotators" in message and "--download" in message


@pytest.mark.parametrize(("name", "task"), [("depth", "depth"), ("segment", "segmentation")])
def test_a_folder_that_is_nowhere_is_named_before_a_picture_is_read(
    pictures, files, tmp_path, capsys, monkeypatch, name, task
):
    monkeypatch.setattr(FilePicture, "read", lambda self: pytest.fail("a picture is read"))
    message = refusal(line(pictures, files, tmp_path / "out", annotator=name), capsys)
    assert OFFERED[task].url in message and str(files / OFFERED[task].name) in message and "--download" in message


def test_a_file_of_other_weights_is_named_before_a_picture_is_read(pictures, files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FilePicture, "read", lambda self: pytest.fail("a picture is read"))
    save_file({"a": torch.zeros(2)}, files / "other.safetensors")
    shutil.copy(files / "other.safetensors", files / TEED.file)
    message = refusal(line(pictures, files, tmp_path / "out"), capsys)
    assert f"Delete {files / TEED.file}, or fetch it again with --download" in message


def test_conditions_are_what_the_annotator_draws_with_the_network(pictures, files, tmp_path):
    net = load_network("teed", write_teed(files / "deep" / "down"))
    assert main(line(pictures, files, tmp_path / "out", "--settings", "safe_steps=0")) == 0
    index = read_index(tmp_path / "out")
    for row, condition in zip(index.names, conditions_of(tmp_path / "out"), strict=True):
        picture = FilePicture(pictures / f"{row}.png").read()[None]
        assert torch.equal(condition, ANNOTATORS["teed"](picture, net=net, safe_steps=0)[0])


def test_other_weights_draw_the_conditions_anew_and_nothing_else(pictures, files, tmp_path, monkeypatch):
    encoded = []
    encode = World.encode
    monkeypatch.setattr(World, "encode", lambda self, pixels: (encoded.append(len(pixels)), encode(self, pixels))[1])
    names = []
    condition = Drawing.condition
    monkeypatch.setattr(Drawing, "condition", lambda self, one: (names.append(one.name), condition(self, one))[1])
    indices, numbers = [], []
    for seed in (0, 1, 0):
        write_teed(files, seed)
        encoded.clear(), names.clear()
        assert main(line(pictures, files, tmp_path / "out")) == 0
        indices.append(read_index(tmp_path / "out"))
        numbers.append((sum(encoded), len(names)))
    assert numbers == [(N, N), (0, N), (0, 0)]
    first, second, third = indices
    assert first == third and first.key != second.key and first.network != second.network
    assert first.latents == second.latents and first.conditions != second.conditions


def test_a_preparation_that_was_stopped_and_shares_end_in_the_same_files(files, tmp_path, monkeypatch):
    write_teed(files)
    net = AnnotatorFolder(files).net(ANNOTATORS["teed"], {})
    drawing, samples = Drawing(size=(16, 16), annotator="teed", net=net), toy_samples(130)

    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}

    prepare(samples, drawing, ToyBase(), tmp_path / "whole", held_out=HELD_OUT)
    draw = Drawing.drawn
    with monkeypatch.context() as patch:
        left = iter(range(90))

        def stopped(self, picture):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return draw(self, picture)

        patch.setattr(Drawing, "drawn", stopped)
        with pytest.raises(KeyboardInterrupt):
            prepare(samples, drawing, ToyBase(), tmp_path / "stopped", held_out=HELD_OUT)
    assert len(list((tmp_path / "stopped").glob("conditions-*"))) == 1
    for number in (1, 2):
        part = share_of(samples, (number, 2))
        prepare_share(part, drawing, ToyBase(), tmp_path / "shares")
    count = []
    monkeypatch.setattr(Drawing, "drawn", lambda self, picture: (count.append(1), draw(self, picture))[1])
    prepare(samples, drawing, ToyBase(), tmp_path / "stopped", held_out=HELD_OUT)
    assert len(count) == 130 - 64
    count.clear()
    prepare(samples, drawing, ToyBase(), tmp_path / "shares", held_out=HELD_OUT)
    assert not count and digests(tmp_path / "stopped") == digests(tmp_path / "whole") == digests(tmp_path / "shares")


def test_data_without_a_network_keep_the_key_that_they_had(tmp_path):
    """A run on data that an earlier version prepared goes on."""
    index = prepare(toy_samples(8), Drawing(size=(16, 16), annotator="canny"), ToyBase(), tmp_path, held_out=2)
    assert "network" not in (tmp_path / "index.json").read_text() and read_index(tmp_path) == index


# ---- transformers models


def test_a_model_is_chosen_by_its_folder(pictures, files, tmp_path, capsys):
    pytest.importorskip("transformers")
    write_tiny("depth", files / "a", {})
    write_tiny("depth_anything_metric", files / "deep" / "b", {})
    small = ["--settings", "detect_size=126"]
    for model, output in (("", "first"), ("a", "a"), ("deep/b", "b")):
        assert main(line(pictures, files, tmp_path / output, *small, "--model", model, annotator="depth")) == 0
    first, a, b = (read_index(tmp_path / output) for output in ("first", "a", "b"))
    assert first == a and a.network != b.network and a.conditions != b.conditions
    message = refusal(line(pictures, files, tmp_path / "c", "--model", "c", annotator="depth"), capsys)
    assert "model is 'c'" in message and "there are: a, deep/b" in message
    assert "model is 'a'; it is of depth and segment alone" in refusal(
        line(pictures, files, tmp_path / "d", "--model", "a"), capsys
    )


def test_what_needs_a_mask_or_no_annotator_draws_is_refused_with_the_way_to_go(pictures, files, tmp_path, capsys):
    for name, way in (("inpaint", "by Inpaint Hole, and give"), ("pose", "poses and whatever else")):
        message = refusal(line(pictures, files, tmp_path / "out", annotator=name), capsys)
        assert f"annotator is '{name}'" in message and way in message and "folder as conditions" in message


# ---- fetched


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with one file."""

    body = b""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("ETag", f'"{hashlib.sha256(self.body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_file_is_fetched_when_asked_for_and_only_the_recorded_one_is_kept(
    pictures, files, tmp_path, capsys, monkeypatch
):
    pytest.importorskip("huggingface_hub")
    body = write_teed(tmp_path / "published").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Hub,), {"body": body}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    for sha256 in ("0" * 64, hashlib.sha256(body).hexdigest()):
        recorded = replace(TEED, url="https://huggingface.co/a/b/resolve/main/teed.pth", sha256=sha256)
        monkeypatch.setattr(annotator_net, "NETWORKS", {**NETWORKS, "teed": recorded})
        words = line(pictures, files, tmp_path / "out", "--download")
        if sha256 == "0" * 64:
            assert "expected 0000" in refusal(words, capsys) and not list(files.iterdir())
        else:
            assert main(words) == 0 and (files / TEED.file).read_bytes() == body
    server.shutdown()


# ---- trained on


@pytest.fixture
def prepared(pictures, files, tmp_path) -> Path:
    write_teed(files)
    assert main(line(pictures, files, tmp_path / "data")) == 0
    return tmp_path / "data"


def training(data: Path, files: Path, work: Path, *more: str) -> list[str]:
    sizes = ["--steps", "1", "--batch-size", "2", "--n-score", "2", "--score-sampling-steps", "2", "--threads", "1"]
    return ["--data", str(data), "--annotators", str(files), "--work", str(work), "--run", "x", *sizes, *more]


def test_a_training_scores_with_the_network_that_drew_its_data(prepared, files, tmp_path):
    assert train(training(prepared, files, tmp_path / "work")) == 0
    text = (tmp_path / "work" / "x" / "log.jsonl").read_text()
    assert text.count('"saturated"') == 2  # scores of step 0 and 1 were taken


@pytest.mark.parametrize("change", ["no file", "other weights"])
def test_scores_without_that_network_are_refused_before_a_step_is_taken(
    prepared, files, tmp_path, capsys, monkeypatch, change
):
    if change == "no file":
        (files / TEED.file).unlink()
    else:
        write_teed(files, 1)
    words = training(prepared, files, tmp_path / "work")
    with monkeypatch.context() as patch:
        patch.setattr(running, "fit", lambda *_, **__: pytest.fail("the training starts"))
        message = refusal(words, capsys, train)
    assert TEED.file in message and "--annotators" in message and "--score-every 0" in message
    assert train([*words, "--score-every", "0"]) == 0
