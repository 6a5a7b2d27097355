"""`python -m zeroctl_core.demo`: pictures of one's own are read as they look, and what cannot be done is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFile

from zeroctl_core.annotators.canny import canny
from zeroctl_core.annotators.pictures.pixels import over_white
from zeroctl_core.demo.__main__ import main
from zeroctl_core.demo.drawing import read_drawing
from zeroctl_core.demo.following import edge_f1
from zeroctl_core.demo.model import DemoModel
from zeroctl_core.demo.picture_file import read_picture
from zeroctl_core.demo.scene import SIZE

LEVEL = 1 / 255
RAMP = np.tile(np.linspace(0, 1, SIZE), (SIZE, 1))


def test_a_drawing_of_ones_own_is_followed_without_a_prompt(tmp_path, capsys):
    drawing = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(drawing).polygon([(150, 40), (215, 160), (85, 160)], outline="black", width=6)
    drawing.save(tmp_path / "mine.png")
    out, samples = tmp_path / "out.png", tmp_path / "samples"
    options = ["--condition", str(tmp_path / "mine.png"), "--seed", "3", "--count", "2", "--samples", str(samples)]
    assert main([*options, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for note in ("it is dark on light: inverted", "ground was added to make it a square", "thinned to one"):
        assert f"mine.png: {note}" in printed or note in printed
    with Image.open(out) as sheet:
        assert sheet.width > 500 and sheet.height > 128
    assert sorted(path.name for path in samples.iterdir()) == ["mine-3.png", "mine-4.png"]
    lines = read_drawing(tmp_path / "mine.png", "edges").condition[:, 0] > 0.5
    for path in samples.iterdir():
        with Image.open(path) as sample:
            assert sample.size == (SIZE, SIZE) and sample.mode == "RGB"
            pixels = torch.from_numpy(np.asarray(sample, dtype=np.float32) / 255).movedim(-1, 0)[None]
        assert float(edge_f1(canny(pixels)[:, 0] > 0.5, lines)) > 0.6  # by chance .2


def test_a_prompt_of_another_thing_gives_its_colours_and_not_its_shape(tmp_path, capsys):
    drawing = Image.new("RGB", (300, 300))
    ImageDraw.Draw(drawing).polygon([(150, 80), (235, 230), (65, 230)], outline="white", width=4)
    drawing.save(tmp_path / "mine.png")
    options = ["--condition", str(tmp_path / "mine.png"), "--prompt", "a shiny red dragon on a white background"]
    samples = tmp_path / "samples"
    assert main([*options, "--samples", str(samples), "--count", "1", "--out", str(tmp_path / "out.png")]) == 0
    assert "does not know 'shiny' (left out), 'dragon' (read as 'thing')" in capsys.readouterr().out
    with Image.open(samples / "mine-0.png") as sample:
        assert np.asarray(sample)[2, 2].min() > 150
        red, green, blue = np.asarray(sample)[80, 64].tolist()
    assert red > 120 and max(green, blue) < 100


def grey(picture: torch.Tensor) -> np.ndarray:
    assert picture.shape == (1, 3, SIZE, SIZE) and picture.dtype == torch.float32
    assert torch.equal(picture[:, 0], picture[:, 1]) and torch.equal(picture[:, 0], picture[:, 2])
    return picture[0, 0].numpy()


def ink(mode: str) -> Image.Image:
    """A black disc that fades at its rim, on nothing."""
    alpha = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(alpha).ellipse((40, 40, 90, 90), fill=255)
    ImageDraw.Draw(alpha).ellipse((30, 30, 40, 40), fill=128)
    picture = Image.new("RGBA", (SIZE, SIZE))
    picture.putalpha(alpha)
    return picture.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white_as_in_the_nodes(tmp_path, mode):
    ink(mode).save(tmp_path / "ink.png")
    pixels = torch.from_numpy(np.asarray(ink("RGBA"), dtype=np.float32) / 255).movedim(-1, 0)[None]
    assert float((read_picture(tmp_path / "ink.png") - over_white(pixels)).abs().max()) <= LEVEL


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_a_transparent_level_or_colour_is_white(tmp_path, mode):
    disc = Image.new("L", (SIZE, SIZE), 255)
    ImageDraw.Draw(disc).ellipse((40, 40, 90, 90), fill=0)
    picture = Image.fromarray(np.where(np.asarray(disc) > 0, 0, 200).astype(np.uint8)).convert(mode)
    black = (0, 0, 0) if mode == "RGB" else picture.getpixel((0, 0))
    picture.save(tmp_path / "ink.png", transparency=black)
    with Image.open(tmp_path / "ink.png") as file:
        assert "transparency" in file.info
    levels = grey(read_picture(tmp_path / "ink.png"))
    assert levels[0, 0] == 1.0 and levels[64, 64] == (1.0 if mode == "1" else pytest.approx(200 / 255))


@pytest.mark.parametrize(("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("a.tif", "I;16B")])
def test_16_bits_are_scaled(tmp_path, name, mode):
    levels = (RAMP * 65535).round().astype(">u2" if mode == "I;16B" else "<u2")
    Image.frombytes(mode, (SIZE, SIZE), levels.tobytes()).save(tmp_path / name)
    assert np.abs(grey(read_picture(tmp_path / name)) - RAMP).max() <= LEVEL


def test_a_transparent_level_of_16_bits_is_white(tmp_path):
    levels = np.full((SIZE, SIZE), 1000, "<u2")
    levels[:, :64] = 30000
    Image.frombytes("I;16", (SIZE, SIZE), levels.tobytes()).save(tmp_path / "a.png", transparency=1000)
    with Image.open(tmp_path / "a.png") as file:
        if "transparency" not in file.info:
            pytest.skip("this Pillow does not write it")
    levels = grey(read_picture(tmp_path / "a.png"))
    assert levels[0, 127] == 1.0 and abs(levels[0, 0] - 30000 / 65535) <= LEVEL


@pytest.mark.parametrize(
    ("mode", "name", "apart"), [("L", "a.png", 0), ("1", "a.png", 0), ("P", "a.gif", 0), ("CMYK", "a.jpg", 0.02)]
)
def test_other_modes_of_8_bits_look_as_they_do(tmp_path, mode, name, apart):
    square = np.zeros((SIZE, SIZE), np.uint8)
    square[32:96, 32:96] = 255
    Image.fromarray(square).convert("RGB").convert(mode).save(tmp_path / name)
    assert np.abs(read_picture(tmp_path / name)[0].numpy() - square / 255).max() <= apart


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_of_an_unknown_range_are_refused(tmp_path, mode):
    Image.new(mode, (SIZE, SIZE)).save(tmp_path / "depth.tif")
    with pytest.raises(ValueError, match=rf"depth.tif has pixels of Pillow's mode {mode}, .*save it as a PNG"):
        read_picture(tmp_path / "depth.tif")


def test_of_several_frames_the_first_is_used_with_a_word(tmp_path, capsys):
    frames = [Image.new("L", (SIZE, SIZE), level) for level in (255, 0, 128)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert grey(read_picture(tmp_path / "a.gif")).min() == 1.0
    assert "a.gif has 3 frames; only the first is used" in capsys.readouterr().out


@pytest.fixture
def no_weights(monkeypatch):
    """Whatever is refused is refused before weights are read."""

    def load(folder):
        raise AssertionError("weights are read")

    monkeypatch.setattr(DemoModel, "load", load)


def refused(options: list[str], capsys) -> str:
    """What a command writes that ends with status 2."""
    try:
        status = main(options)
    except SystemExit as stopped:  # by tyro, for what the options themselves refuse
        status = stopped.code
    output = capsys.readouterr()
    assert status == 2 and "Traceback" not in output.err
    return " ".join((output.out + output.err).replace("│", " ").split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--control", "canny"], "control is canny; the embedded controls are: colours, depth, edges"),
        (["--condition", "nothing.png"], "condition is nothing.png; there is no such file"),
        (["--condition", "."], "condition is .; there is no such file"),
        (["--out", "x.foo"], "x.foo does not end like a picture"),
        (["--out", "x"], "x does not end like a picture"),
        (["--out", "x.xbm"], "x.xbm does not end like a picture"),
        (["--out", "FOLDER"], "FOLDER is a folder; give the name of a file"),
        (["--out", "FILE/y.png"], "FILE/y.png cannot be written ("),
        (["--seed", "99999999999999999999"], "seed is 99999999999999999999; expected 0 to 4611686018427387903"),
        (["--seed", "-1"], "seed is -1; expected 0 to"),
        (["--count", "0"], "count is 0; expected 1"),
        (["--prompt", "a red star"], "prompt is a red star; it needs --condition"),
        (["--samples", "s"], "samples is s; it needs --condition"),
        (["--condition", "FILE", "--samples", "FILE"], "FILE/sample.png cannot be written ("),
    ],
)
def test_what_cannot_be_done_is_refused_before_weights_are_read(tmp_path, no_weights, capsys, options, message):
    folder, file = tmp_path / "folder.png", tmp_path / "file"
    folder.mkdir()
    file.touch()

    def placed(text: str) -> str:
        return text.replace("FOLDER", str(folder)).replace("FILE", str(file))

    assert placed(message) in refused([placed(option) for option in options], capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no picture", "is not a picture that Pillow can read"), (None, "cannot be read as a picture")],
    ids=["text", "half a PNG"],
)
def test_a_file_that_is_not_a_picture_is_named_without_a_traceback(tmp_path, no_weights, capsys, content, message):
    path = tmp_path / "mine.png"
    Image.effect_noise((SIZE, SIZE), 50).save(path)
    path.write_bytes(content or path.read_bytes()[:5000])
    assert f"{path} {message}" in refused(["--condition", str(path), "--out", str(tmp_path / "o.png")], capsys)


def huge_png(side: int) -> bytes:
    """The header of a PNG of `side` x `side` pixels, and as good as nothing after it."""
    chunks = (b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0]), b"IDAT" + zlib.compress(b"\0" * 100))
    parts = [(len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_header_of_3_6_billion_pixels_is_refused_before_memory_is_taken(tmp_path, no_weights, monkeypatch, capsys):
    path = tmp_path / "mine.png"
    path.write_bytes(huge_png(60_000))

    def load(self):
        raise AssertionError("pixels are read")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    message = refused(["--condition", str(path), "--out", str(tmp_path / "o.png")], capsys)
    assert f"{path} cannot be read as a picture" in message and "3600000000 pixels" in message


@pytest.mark.parametrize("length", [8, 20, 33, 45, 100, 2000])
def test_a_png_that_is_cut_off_anywhere_is_named(tmp_path, no_weights, capsys, length):
    path = tmp_path / "mine.png"
    Image.effect_noise((SIZE, SIZE), 50).save(path)
    path.write_bytes(path.read_bytes()[:length])
    assert str(path) in refused(["--condition", str(path), "--out", str(tmp_path / "o.png")], capsys)
