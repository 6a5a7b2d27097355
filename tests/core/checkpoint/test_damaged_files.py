"""Files that are not whole, that contradict themselves, or that hold what no state dict holds: one kind of error."""

from __future__ import annotations

import json
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import random_state_dict
from safetensors.torch import save_file
from torch import Tensor

from zeroctl_core import BASES, CheckpointError, ControlNet, UNet, load_controlnet, save_controlnet
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.demo.model import control_files
from zeroctl_core.network.random_weights import random_controlnet

TINY = BASES["tiny"]
State = dict[str, Tensor]
CONV = "input_blocks.1.0.in_layers.2.weight"
HINT = "input_hint_block.0.weight"
BOTH_WAYS = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "read"])


@pytest.fixture(scope="module")
def state() -> State:
    shapes = {key: tuple(value.shape) for key, value in ControlNet(TINY, device="meta").state_dict().items()}
    return random_state_dict(shapes, dtype=torch.float16, spread=0.1)


def _data_start(path: Path) -> int:
    return 8 + int(struct.unpack("<Q", path.read_bytes()[:8])[0])


def _fetched(path: Path, begin: float, end: float) -> None:
    """Leave zeros in this share of a file's data, as a program that reserved the file first and was interrupted."""
    start, size = _data_start(path), path.stat().st_size
    first, last = (start + int(share * (size - start)) for share in (begin, end))
    with path.open("r+b") as file:
        file.seek(first)
        file.write(bytes(last - first))


# ---- zeros of an interrupted download


@BOTH_WAYS
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.97, 0.995])
def test_an_incomplete_download_is_refused(share, mapped, tmp_path):
    path = tmp_path / "edges.safetensors"
    path.write_bytes(control_files()["edges"].read_bytes())
    load_controlnet(path, mapped=mapped)
    _fetched(path, share, 1.0)
    with pytest.raises(CheckpointError, match=r"the download of edges.safetensors is not complete.*Download it again"):
        load_controlnet(path, mapped=mapped)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.98])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_an_incomplete_torch_file_is_refused(zipped, share, state, tmp_path):
    path = tmp_path / "edges.pth"
    last = {key: value for key, value in state.items() if key != "zero_convs.0.0.bias"}
    for content in (state, last | {"zero_convs.0.0.bias": torch.zeros(32, dtype=torch.float16)}):
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        load_controlnet(path)
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(int(share * size))
        file.write(bytes(size - int(share * size)))
    with pytest.raises(CheckpointError, match=r"the download of edges.pth is not complete: the last \d+ of its"):
        load_controlnet(path)


def test_a_part_in_the_middle_that_was_never_fetched_is_refused(tmp_path):
    path = tmp_path / "edges.safetensors"
    path.write_bytes(control_files()["edges"].read_bytes())
    _fetched(path, 0.4, 0.6)
    with pytest.raises(CheckpointError, match="not complete: of its layers, .* are all zeros"):
        load_controlnet(path)


@BOTH_WAYS
def test_a_piece_inside_one_weight_that_was_never_fetched_is_refused(mapped, tmp_path):
    net = random_controlnet(TINY)
    path = save_controlnet(net, tmp_path / "a.safetensors")
    load_controlnet(path, mapped=mapped)
    key, weight = max(net.state_dict().items(), key=lambda item: item[1].numel())
    row = weight[0].numel()
    with torch.no_grad():
        weight.view(-1)[3 * row + row // 2 :][: 36_000 // row * row] = 0
    save_controlnet(net, path)
    with pytest.raises(CheckpointError, match=r"a.safetensors is not complete: a piece .* middle of 1 weight \(" + key):
        load_controlnet(path, mapped=mapped)


def test_zeros_in_place_of_a_whole_file_are_an_incomplete_download(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(bytes(4096))
    with pytest.raises(CheckpointError, match=r"the download of a.safetensors is not complete: it begins with zeros"):
        load_controlnet(tmp_path / "a.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_an_incomplete_network_of_an_annotator_is_refused(share, tmp_path):
    path = tmp_path / "teed.safetensors"
    save_file(random_state_dict(NETWORKS["teed"].shapes()), path)
    load_network("teed", path)
    _fetched(path, share, 1.0)
    with pytest.raises(CheckpointError, match="not complete"):
        load_network("teed", path)


def test_a_network_with_nan_is_refused(tmp_path):
    state = random_state_dict(NETWORKS["teed"].shapes())
    torch.save(state | {"block_1.conv1.weight": state["block_1.conv1.weight"] * float("nan")}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="NaN or infinite numbers in 1 of"):
        load_network("teed", tmp_path / "x.pth")


def test_what_was_never_trained_is_whole(tmp_path):
    """Zero convolutions and the last convolution of the condition encoder start at zero."""
    torch.manual_seed(0)
    for name, net in {
        "copy": ControlNet.trainable_copy(UNet(TINY)),
        "paper": ControlNet.trainable_copy(UNet(TINY), condition_form="paper"),
        "half": ControlNet(TINY, dtype=torch.float16),
        "random": random_controlnet(TINY),
    }.items():
        for layout in ("ldm",) if name == "paper" else ("ldm", "diffusers"):
            load_controlnet(save_controlnet(net, tmp_path / f"{name}-{layout}.safetensors", layout))
    for path in control_files().values():
        load_controlnet(path)


# ---- safetensors that do not keep what their header promises


def _header(change: Callable[[dict], object]) -> Callable[[State, Path], object]:
    def write(state: State, path: Path) -> None:
        save_file(state, path)
        content, start = path.read_bytes(), _data_start(path)
        header = json.loads(content[8:start])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[start:])

    return write


def _repeated(state: State, path: Path) -> None:
    save_file(state, path)
    content, start = path.read_bytes(), _data_start(path)
    text = content[8:start].rstrip()
    text = text[:-1] + b"," + json.dumps({CONV: json.loads(text)[CONV]}).encode()[1:-1] + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[start:])


DAMAGED = "cannot be read as safetensors .* cut off or damaged: download it again"
UNSOUND: dict[str, tuple[Callable[[State, Path], object], str]] = {
    "dtype": (_header(lambda h: h[CONV].update(dtype="F4")), "has the dtype F4, which is not read here"),
    "dtype_a_list": (_header(lambda h: h[CONV].update(dtype=["F16"])), rf"{CONV} has the dtype \['F16'\]"),
    "shape": (_header(lambda h: h[CONV].update(shape=[2**40, 2**40])), "needs another number"),
    "negative": (_header(lambda h: h[CONV].update(shape=[-32, -32, 3, 3])), "not whole numbers from 0 on"),
    "shape_a_word": (_header(lambda h: h[CONV].update(shape="wide")), f"the shape of {CONV} is not a list"),
    "offsets_swapped": (_header(lambda h: h[CONV]["data_offsets"].reverse()), DAMAGED),
    "overlap": (_header(lambda h: h.update({CONV: h["input_blocks.1.0.out_layers.3.weight"]})), "begins at byte"),
    "entry_a_number": (_header(lambda h: h.update({CONV: 3})), f"the entry of {CONV} is not dtype"),
    "metadata": (_header(lambda h: h.update(__metadata__={"author": 3})), "its metadata are not strings"),
    "metadata_a_list": (_header(lambda h: h.update(__metadata__=[1])), "its metadata are not strings"),
    "three_offsets": (_header(lambda h: h[CONV]["data_offsets"].append(3)), f"{CONV} is not a list, or its data_off"),
    "repeated": (_repeated, "a key of its header is there twice"),
    "longer": (
        lambda s, p: (save_file(s, p), p.write_bytes(p.read_bytes() + b"x" * 9)),
        "its tensors end at byte .*, the file at",
    ),
    "deep": (lambda s, p: p.write_bytes(struct.pack("<Q", 200_006) + b'{"a":' + b"[" * 200_001), DAMAGED),
    "no_text": (lambda s, p: p.write_bytes(struct.pack("<Q", 40) + b"{" + b"\xff" * 39), DAMAGED),
    "crowd": (
        lambda s, p: _crowd(p, 200_000),
        "holds 200000 tensors; no network that is read here has more than 50000",
    ),
}


def _crowd(path: Path, number: int) -> None:
    text = json.dumps({f"zero_convs.{i}.0.weight": _entry(i) for i in range(number)}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(2 * number))


def _entry(place: int) -> dict[str, object]:
    return {"dtype": "F16", "shape": [1], "data_offsets": [2 * place, 2 * place + 2]}


@BOTH_WAYS
@pytest.mark.parametrize("name", UNSOUND)
def test_a_header_that_promises_something_else_is_refused(name, mapped, state, tmp_path):
    write, message = UNSOUND[name]
    path = tmp_path / f"{name}.safetensors"
    write(state, path)
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match=message) as error:
        load_controlnet(path, mapped=mapped)
    assert path.name in str(error.value) and time.perf_counter() - start < 20


# ---- torch files that hold more, less or other things than a state dict


def _cycle() -> dict:
    content: dict = {"x": {}}
    content["x"]["again"] = content
    return content


def _shared(depth: int) -> dict:
    content: dict = {"w": torch.ones(1)}
    for _ in range(depth):
        content = {"a": content, "b": content}
    return content


def _deep(depth: int) -> dict:
    content: dict = {"w": torch.ones(1)}
    for _ in range(depth):
        content = {"a": content}
    return content


def _old(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/data/0", bytes(50_000_000))


TORCH_FILES: dict[str, tuple[Callable[[State, Path], object], str]] = {
    "sparse.pth": (lambda s, p: torch.save(s | {CONV: torch.ones(3, 3).to_sparse()}, p), "as a sparse tensor"),
    "meta.pth": (lambda s, p: torch.save(s | {CONV: torch.ones(3, 3, device="meta")}, p), r"as a empty|empty \(meta\)"),
    "quantised.pth": (
        lambda s, p: torch.save(s | {CONV: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, p),
        "as a quantised tensor",
    ),
    "nested.pth": (
        lambda s, p: torch.save(s | {CONV: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, p),
        "nested.pth",
    ),
    "complex.pth": (lambda s, p: torch.save(s | {CONV: s[CONV].to(torch.complex64)}, p), "complex64"),
    "cycle.pth": (lambda s, p: torch.save(_cycle(), p), "holds no tensors"),
    "shared.pth": (lambda s, p: torch.save(_shared(12), p), "cannot be loaded as a ControlNet"),
    "deep.pth": (lambda s, p: torch.save(_deep(40), p), "dicts more than 16 deep"),
    "twice.pth": (lambda s, p: torch.save({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)}, p), "holds a.b twice"),
    "expanded.pth": (
        lambda s, p: torch.save(s | {HINT: torch.ones(1).expand(4, 2**34, 3, 3)}, p),
        r"input_hint_block.0.weight of shape \[4, 17179869184, 3, 3\] is larger than the whole file",
    ),
    "zip_bomb.pth": (lambda s, p: _bomb(p), "is compressed or damaged: its entries are larger than the file"),
    "no_output.pth": (lambda s, p: torch.save(s | {HINT: torch.ones(0, 3, 3, 3)}, p), "1 weight without a number"),
    "huge_empty.pth": (lambda s, p: torch.save(s | {HINT: torch.ones(0, 2**31, 3, 3)}, p), "without a number"),
    "flat.pth": (lambda s, p: torch.save(s | {HINT: torch.ones(3)}, p), "not that of a weight|another shape"),
    "long_key.pth": (lambda s, p: torch.save(s | {"x" * 10_000_000: torch.ones(2)}, p), "1 key too many"),
    "many_keys.pth": (
        lambda s, p: torch.save({f"{i:0500}": s[HINT] for i in range(70_000)}, p),
        "MiB, or a million operations",
    ),
    "many_tensors.pt": (lambda s, p: _old({f"{i}": s[HINT] for i in range(60_000)}, p), "more than 50000 tensors"),
    "many_numbers.pt": (lambda s, p: _old(dict.fromkeys(range(600_000), 1), p), "a million operations"),
    "many_numbers.pth": (lambda s, p: torch.save(dict.fromkeys(range(600_000), 1), p), "a million operations"),
    "long_key.pt": (lambda s, p: _old(s | {"x" * (1 << 25): s[HINT]}, p), "MiB, or a million operations"),
    "deep_by_number.pth": (
        lambda s, p: torch.save(s | {f"middle_block.1.transformer_blocks.{i}.x": s[HINT] for i in range(20_000)}, p),
        "transformer blocks are numbered, which is too many for",
    ),
    "function.pth": (lambda s, p: torch.save({"x": os.getcwd}, p), r"Python objects beside its weights \(.*getcwd"),
}


def test_a_quantised_tensor_is_called_one_where_torch_reads_none(state, tmp_path, monkeypatch):
    torch.save(state | {CONV: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, tmp_path / "a.pth")

    def of_torch_2_3(*args: object, **kwargs: object) -> None:
        reason = "WeightsUnpickler error: Unsupported class torch._utils._rebuild_qtensor"
        raise pickle.UnpicklingError(f"Weights only load failed. {reason}")

    monkeypatch.setattr(torch, "load", of_torch_2_3)
    with pytest.raises(CheckpointError, match="as a quantised tensor"):
        load_controlnet(tmp_path / "a.pth")


@BOTH_WAYS
@pytest.mark.parametrize("name", TORCH_FILES)
def test_a_torch_file_of_something_else_is_refused(name, mapped, state, tmp_path):
    write, message = TORCH_FILES[name]
    write(state, tmp_path / name)
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match=message) as error:
        load_controlnet(tmp_path / name, mapped=mapped)
    assert name in str(error.value) and len(str(error.value)) < 1500 and time.perf_counter() - start < 20


def test_a_torch_file_that_is_cut_off_is_not_accused_of_code(state, tmp_path):
    torch.save(state, tmp_path / "whole.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "whole.pt").read_bytes()
    for length in (20, 200, 5000, len(content) // 2, len(content) - 100):
        (tmp_path / "cut.pt").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="cut off or damaged: download it again") as error:
            load_controlnet(tmp_path / "cut.pt")
        assert "code" not in str(error.value)


@BOTH_WAYS
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_a_torch_file_called_safetensors_loads(zipped, mapped, state, tmp_path):
    path = tmp_path / "a.safetensors"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    net = load_controlnet(path, mapped=mapped)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    network = random_state_dict(NETWORKS["teed"].shapes())
    torch.save(network, path, _use_new_zipfile_serialization=zipped)
    assert load_network("teed", path).state_dict().keys() == network.keys()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_every_mutant_loads_or_is_refused(suffix, tmp_path):
    """Of a net with all kinds of layers and a quarter of the keys, so that more of the flipped bits are not weights."""
    spec = replace(TINY.spec, channel_mult=(1, 2), num_res_blocks=(1, 1), transformer_depth=(1, 0))
    state = {k: v.half() for k, v in random_controlnet(TINY.with_spec(spec)).state_dict().items()}
    path, mutant = tmp_path / f"whole{suffix}", tmp_path / f"mutant{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == ".pth")
    content = path.read_bytes()
    generator = torch.Generator().manual_seed(12)
    refused = 0
    for number in range(60):
        data = bytearray(content)
        for _ in range(1 + number % 3):
            region = min(len(data), 30_000 if number % 2 else len(data))
            place = int(torch.randint(region, (1,), generator=generator))
            place = place if number % 4 else len(data) - 1 - place
            data[place] ^= 1 << int(torch.randint(8, (1,), generator=generator))
        mutant.write_bytes(data)
        for mapped in (True, False):
            try:
                load_controlnet(mutant, mapped=mapped)
            except CheckpointError as error:
                refused += 1
                assert len(str(error)) < 1500
    assert refused > 10


# ---- files of the disk


def test_files_that_cannot_be_opened_are_named(state, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="cannot be opened .*File name too long"):
        load_controlnet(tmp_path / ("x" * 300))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="pipe is a device or a pipe"):
        load_controlnet(tmp_path / "pipe")

    save_file(state, tmp_path / "a.safetensors")

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("zeroctl_core.files.weight_file.Path.open", refuse)
    with pytest.raises(
        CheckpointError, match=r"a.safetensors cannot be opened \(Permission denied\); check the rights"
    ):
        load_controlnet(tmp_path / "a.safetensors")


def test_a_file_that_cannot_be_mapped_says_that_it_can_be_read(state, tmp_path, monkeypatch):
    save_file(state, tmp_path / "a.safetensors")

    def no_pages(*args: object, **options: object) -> None:
        raise OSError("The paging file is too small (os error 1455)")

    monkeypatch.setattr("zeroctl_core.files.safetensors_file.safe_open", no_pages)
    with pytest.raises(CheckpointError, match=r"a.safetensors cannot be mapped .*1455.*; load it with mapped=False"):
        load_controlnet(tmp_path / "a.safetensors")
    load_controlnet(tmp_path / "a.safetensors", mapped=False)


def test_parts_and_gguf_are_refused_in_those_words(state, tmp_path):
    save_file(state, tmp_path / "net-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="is part 1 of 2 of a file: parts are not read here"):
        load_controlnet(tmp_path / "net-00001-of-00002.safetensors")
    save_file(state, tmp_path / "net-00001-of-00001.safetensors")
    load_controlnet(tmp_path / "net-00001-of-00001.safetensors")
    (tmp_path / "net.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(CheckpointError, match="is a GGUF file, which is quantised"):
        load_controlnet(tmp_path / "net.gguf")


# ---- contradictions


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"zeroctl.base": "sdxl"}, "header says the base sdxl, its shapes are those of tiny"),
        ({"zeroctl.spec": '{"model_channels": 320}'}, "header says model_channels 320, its shapes say 32"),
        ({"zeroctl.spec": "[" * 100_000}, "holds zeroctl.spec that cannot be read"),
        ({"zeroctl.global_average_pooling": "TRUE"}, "global_average_pooling 'TRUE'; expected true or false"),
        ({"zeroctl.global_average_pooling": "x" * 10_000_000}, "expected true or false"),
    ],
)
def test_a_header_that_contradicts_the_weights_is_refused(metadata, message, state, tmp_path):
    save_file(state, tmp_path / "a.safetensors", metadata)
    with pytest.raises(CheckpointError, match=message) as error:
        load_controlnet(tmp_path / "a.safetensors")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("input_blocks.4.1.", "incomplete: its level 1 has transformers of 0, 1 blocks"),
        ("middle_block.1.transformer_blocks.", "the transformer of its middle has no blocks"),
        ("input_blocks.2.1.transformer_blocks.", "incomplete: its level 0 has transformers of 1, 0 blocks"),
    ],
)
def test_a_transformer_that_is_missing_whole_is_missed(lost, message, state, tmp_path):
    save_file({key: value for key, value in state.items() if not key.startswith(lost)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_controlnet(tmp_path / "a.safetensors")
