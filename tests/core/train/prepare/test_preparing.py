"""What is made anew after a change, and what is kept; and the pixels that files of every sort give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.train.data import Prompts
from zeroctl_core.train.prepare import preparing
from zeroctl_core.train.prepare.preparing import Drawing, prepare
from zeroctl_core.train.prepare.sample import FilePicture, Sample, TensorPicture

N = 5
DRAWING = Drawing(size=(64, 64), annotator="canny", settings={"low": 50, "high": 150})


class CountingBase:
    """Encoders that are known by digits, and remember what they encoded."""

    def __init__(self, encoders=("autoencoder", "text")):
        self.encoders, self.pictures, self.prompts = encoders, [], []

    def encode(self, pictures):
        self.pictures += list(pictures)
        latent = torch.nn.functional.avg_pool2d(pictures, 8)
        return torch.cat([latent, latent[:, :1]], 1), torch.ones(1, 4, *latent.shape[2:])

    def encode_prompts(self, prompts):
        self.prompts += prompts
        return Prompts(torch.full((len(prompts), 2, 3), float(len(prompts[0]))))


def samples():
    return [
        Sample(
            name=f"{number}",
            picture=TensorPicture(torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(number))),
            caption=f"caption {'x' * number}",
        )
        for number in range(N)
    ]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Prepares into one folder: how many latents, conditions and prompts were made, and the key of the index."""
    settings_used = []

    def annotate(picture, **settings):
        settings_used.append(settings)
        return ANNOTATORS["canny"](picture, **settings)

    monkeypatch.setattr(preparing, "ANNOTATORS", {"canny": annotate})

    def prepared(rows, drawing=DRAWING, encoders=("autoencoder", "text")):
        base = CountingBase(encoders)
        settings_used.clear()
        index = prepare(rows, drawing, base, tmp_path, held_out=1)
        return (len(base.pictures), len(settings_used), len(base.prompts)), index.key

    return prepared


def other_picture(rows):
    return [replace(rows[0], picture=TensorPicture(1 - rows[0].picture.pixels)), *rows[1:]]


CHANGES = {
    "autoencoder": (dict(encoders=("another", "text")), (N, 0, 0)),
    "text encoder": (dict(encoders=("autoencoder", "another")), (0, 0, N + 1)),
    "size": (dict(drawing=replace(DRAWING, size=(48, 72))), (N, N, 0)),
    "crop": (dict(drawing=replace(DRAWING, size=(64, 96))), (N, N, 0)),
    "setting": (dict(drawing=replace(DRAWING, settings={"low": 60, "high": 150})), (0, N, 0)),
    "picture": (dict(rows=other_picture(samples())), (1, 1, 0)),
    "caption": (dict(rows=[replace(samples()[0], caption="another"), *samples()[1:]]), (0, 0, 1)),
    "one more": (dict(rows=[*samples(), replace(other_picture(samples())[0], name="new")]), (1, 1, 0)),
    "one less": (dict(rows=samples()[1:]), (0, 0, 0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed_and_only_what_it_touches_is_made_anew(run, change):
    options, expected = CHANGES[change]
    first, key = run(samples())
    assert first == (N, N, N + 1)  # the empty prompt, too
    assert run(samples()) == ((0, 0, 0), key)
    numbers, other_key = run(**{"rows": samples(), **options})
    assert numbers == expected and other_key != key
    assert run(samples()) == ((0, 0, 0), key)  # back again: all of it is still there


def test_a_given_condition_is_noticed_alone(run):
    rows = [replace(row, condition=row.picture) for row in samples()]
    drawing = Drawing(size=(64, 64))
    _, key = run(rows, drawing)
    rows[0] = replace(rows[0], condition=rows[1].condition)
    numbers, other_key = run(rows, drawing)
    assert numbers == (0, 0, 0) and other_key != key


def test_a_pair_is_cut_alike(tmp_path):
    pixels = np.zeros((80, 200, 3), dtype=np.uint8)
    pixels[:, 60:140] = 255  # the middle of the proportions of the size
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).resize((100, 40), Image.Resampling.NEAREST).save(tmp_path / "half.png")
    one = Sample(name="a", picture=FilePicture(tmp_path / "a.png"), condition=FilePicture(tmp_path / "half.png"))
    drawing = Drawing(size=(64, 64))
    assert float(drawing.picture(one).min()) > 0.999 and float(drawing.condition(one).min()) == 1.0


def levels(picture):
    return [round(float(value) * 255) for value in FilePicture(picture, "#0000ff").read()[:, 0, 0]]


def test_files_of_every_sort_give_the_pixels_that_people_see(tmp_path):
    upright = np.zeros((4, 8, 3), dtype=np.uint8)
    upright[:, 0] = 200, 10, 0  # the left side
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by 90 degrees clockwise to show
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "exif.png", exif=exif)
    assert FilePicture(tmp_path / "exif.png").read().shape == (3, 4, 8) and levels(tmp_path / "exif.png") == [
        200,
        10,
        0,
    ]

    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "alpha.png")
    Image.fromarray(np.full((4, 4), 32768, dtype=np.uint16)).save(tmp_path / "deep.png")
    palette = Image.new("RGB", (4, 4), (10, 200, 30)).quantize(4)
    palette.save(tmp_path / "palette.png")
    assert levels(tmp_path / "alpha.png") == [0, 0, 255]
    assert levels(tmp_path / "deep.png") == [128, 128, 128] and levels(tmp_path / "palette.png") == [10, 200, 30]
