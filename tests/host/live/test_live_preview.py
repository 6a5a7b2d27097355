"""The condition that a page asks for while a setting changes: that of a run, small, from pictures known here."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from annotator_graphs import settings
from control_graphs import picture
from host_graphs import node
from host_process import Host
from PIL import Image
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS

ROOT = Path(__file__).resolve().parents[3]
FROM_THE_PICTURE = [name for name, entry in ANNOTATORS.items() if entry.kind == "image"]
NEEDS_NO_FILE = [name for name in FROM_THE_PICTURE if ANNOTATORS[name].network() is None]


@pytest.fixture()
def module(host: Host) -> Callable[[str], ModuleType]:
    package = host.pack_module(ROOT).__name__
    return lambda name: sys.modules[f"{package}.nodes.{name}"]


@pytest.fixture()
def draw(host: Host, module: Callable[[str], ModuleType]) -> Callable[..., Tensor]:
    """`draw("a.png", "canny", low=50)`: what a page gets, as [H, W, 3] in 0..1."""
    import importlib

    read = importlib.import_module(f"{host.pack_module(ROOT).__name__}.nodes.live").wanted

    def make(file: str, name: str, **values: Any) -> Tensor:
        jpeg = module("host.live.render").render(
            module("host.live.small").small_file(file), *read(name, json.dumps(values))
        )
        return torch.from_numpy(np.array(Image.open(io.BytesIO(jpeg)))).float() / 255

    return make


def put(host: Host, name: str, height: int = 96, width: int = 64, **options: Any) -> Path:
    """A smooth picture in the input folder."""
    rows, columns = torch.meshgrid(torch.linspace(0, 9, height), torch.linspace(0, 6, width), indexing="ij")
    pixels = torch.stack([rows.sin(), columns.cos(), (rows + columns).sin()], -1).mul(0.5).add(0.5)
    path = Path(host.folder_paths.get_input_directory()) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels * 255).byte().numpy()).save(path, **options)
    return path


@pytest.mark.parametrize("name", NEEDS_NO_FILE)
def test_a_preview_is_the_condition_of_a_run(host: Host, draw: Callable[..., Tensor], name: str) -> None:
    put(host, "preview.png")
    entry = ANNOTATORS[name]
    inputs = {**settings(entry), "resolution": 128}
    graph = {
        "load": node("LoadImage", image="preview.png"),
        "a": node(entry.node_id, **inputs, **{entry.takes: ["load", 0]}),
    }
    if entry.networks:
        graph["a"]["inputs"]["download"] = False
    run = host.run(graph, keep={"map": ["a", 0]})["map"][0]
    small = draw("preview.png", name, resolution=128)
    assert small.shape == run.shape
    assert float((small - run).abs().mean()) < 0.03, "as far apart as a JPEG is"


def test_a_large_picture_is_drawn_at_512(host: Host, draw: Callable[..., Tensor]) -> None:
    put(host, "large.jpg", 1500, 1000)
    for resolution, expected in (
        (0, (512, 341)),
        (1024, (512, 341)),
        (512, (512, 341)),
        (256, (384, 256)),
        (64, (96, 64)),
    ):
        assert draw("large.jpg", "canny", resolution=resolution).shape[:2] == expected, resolution
    assert draw("large.jpg", "none").shape[:2] == (512, 341)


def test_a_turned_photograph_stands_as_load_image_reads_it(host: Host, draw: Callable[..., Tensor]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    put(host, "turned.jpg", 96, 64, exif=exif)
    run = host.run({"load": node("LoadImage", image="turned.jpg")}, keep={"image": ["load", 0]})["image"]
    assert draw("turned.jpg", "none").shape == run.shape[1:] == (64, 96, 3)


def test_what_is_transparent_is_read_as_load_image_reads_it(host: Host, draw: Callable[..., Tensor]) -> None:
    alpha = np.zeros((64, 64, 4), np.uint8)
    alpha[..., 0], alpha[:32, :, 3] = 200, 255
    Image.fromarray(alpha).save(Path(host.folder_paths.get_input_directory()) / "alpha.png")
    run = host.run({"load": node("LoadImage", image="alpha.png")}, keep={"image": ["load", 0]})["image"][0]
    assert float((draw("alpha.png", "none") - run).abs().mean()) < 0.02


def test_16_bits_of_grey_are_read_whole(host: Host, draw: Callable[..., Tensor]) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(Path(host.folder_paths.get_input_directory()) / "grey16.png")
    expected = torch.from_numpy(ramp.astype(np.float32) / 65535)[..., None]
    assert float((draw("grey16.png", "none") - expected).abs().mean()) < 0.02


def test_a_file_that_changed_is_read_again(host: Host, draw: Callable[..., Tensor]) -> None:
    put(host, "again.png")
    before = draw("again.png", "none")
    put(host, "again.png", 64, 96)
    assert draw("again.png", "none").shape != before.shape


def test_a_node_that_ran_has_a_small_copy_of_what_it_was_given(host: Host, module) -> None:
    small = module("host.live.small")
    image = picture(600, 900, batch=2)
    host.run(
        {
            "image": host.give(image),
            "7": node("ZeroctlCanny", **settings(ANNOTATORS["canny"]), resolution=512, image=["image", 0]),
        },
        keep={"map": ["7", 0]},
    )
    copy = small.last_of("7")
    assert copy.pixels.shape == (341, 512, 3) and copy.pixels.dtype == torch.uint8
    assert (copy.height, copy.width) == (600, 900)
    assert abs(float(copy.pixels.float().mean()) / 255 - float(image[0].mean())) < 0.01
    with pytest.raises(small.NoPicture, match="Run the graph once"):
        small.last_of("8")


def test_copies_are_bounded(module) -> None:
    small = module("host.live.small")
    copies = small._Copies()
    for number in range(small.MOST_COPIES + 3):
        copies.put(number, small.Small(torch.zeros(1, 1, 3, dtype=torch.uint8), 1, 1))
    assert copies.get(2) is None and copies.get(3) is not None


@pytest.mark.parametrize(
    ("name", "channels", "words"),
    [
        (None, 1, "1 channel.*, expected 3 "),
        (None, 4, "4 channels .with alpha., expected 3 "),
        ("canny", 2, "grey with alpha.*, expected 1, 3 .RGB. or 4 "),
        ("canny", 5, "5 channels, expected 1, 3 .RGB. or 4 "),
    ],
)
def test_channels_that_a_run_refuses_are_refused(module, name: str | None, channels: int, words: str) -> None:
    small = module("host.live.small").Small(torch.zeros(8, 8, channels, dtype=torch.uint8), 8, 8)
    with pytest.raises(ValueError, match=f"image has .*{words}"):
        module("host.live.render").render(small, name and ANNOTATORS[name], {})


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("lineart", {"style": "realistic"}, "shows after a run"),
        ("depth", {}, "needs more than a picture"),
        ("inpaint", {}, "needs more than a picture"),
        ("pose", {}, "needs more than a picture"),
        ("canny", {"low": "x"}, "low is 'x'"),
        ("canny", {"lo": 1}, "settings name 'lo'"),
        ("nothing", {}, "annotator is 'nothing', which is not a choice"),
    ],
)
def test_what_cannot_be_drawn_is_said(host: Host, draw: Callable[..., Tensor], name, values, words) -> None:
    put(host, "preview.png")
    with pytest.raises(ValueError, match=words):
        draw("preview.png", name, **values)


def test_names_that_lead_out_of_the_folders_are_no_pictures(host: Host, module, tmp_path: Path) -> None:
    small = module("host.live.small")
    inside = put(host, "sub/inside.png")
    outside = tmp_path / "outside.png"
    outside.write_bytes(inside.read_bytes())
    (inside.parent / "link.png").symlink_to(outside)
    (inside.parent / "within.png").symlink_to(inside)
    (inside.parent / "folder").symlink_to(tmp_path, target_is_directory=True)
    output = Path(host.folder_paths.get_output_directory()) / "made.png"
    output.write_bytes(inside.read_bytes())
    for name in ("sub/inside.png", "sub/inside.png [input]", "sub/within.png", "made.png [output]"):
        assert small.small_file(name).height == 96, name
    bad = ["", "..", "../x.png", f"../{inside.name}", str(outside), str(inside.parent), "sub", "sub/link.png"]
    bad += [
        "sub/folder/outside.png",
        "made.png",
        "a\0b.png",
        "x" * 5000,
        "no.png",
        "../input/../../etc/passwd",
        "/etc/passwd",
    ]
    bad += ["sub/inside.png [output]", "//server/share/x.png", "\ud800.png", "sub/../../input2/x.png"]
    for name in bad:
        with pytest.raises(small.NoPicture, match="Choose another in Load Image"):
            small.small_file(name)


def test_a_huge_or_damaged_picture_is_not_decoded(host: Host, module) -> None:
    small = module("host.live.small")
    folder = Path(host.folder_paths.get_input_directory())
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    Image.new("1", (8_000, 8_000)).save(folder / "big.png")
    for name in ("huge.png", "big.png"):
        with pytest.raises(small.NoPicture, match="too large for a preview"):
            small.small_file(name)
    whole = put(host, "whole.png").read_bytes()
    for name, data in {"cut.png": whole[:300], "text.png": b"not a picture", "empty.png": b""}.items():
        (folder / name).write_bytes(data)
        with pytest.raises(small.NoPicture, match="cannot be read as a picture"):
            small.small_file(name)
