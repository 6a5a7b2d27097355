"""SDXL's sizes of pictures in prepared data: each sample has its own, and samples of a score are drawn with them."""

from __future__ import annotations

import pytest
import torch
from toy_base import ToyBase

from zeroctl_core.network.picture_sizes import with_sizes
from zeroctl_core.train.data import Prompts
from zeroctl_core.train.prepare import source as source_module
from zeroctl_core.train.prepare.cache import CachedData
from zeroctl_core.train.prepare.preparing import Drawing, prepare
from zeroctl_core.train.prepare.sample import Sample, TensorPicture
from zeroctl_core.train.prepare.source import PreparedSource

PICTURES = {"wide": (96, 160), "high": (200, 64), "square": (64, 64)}
EXPECTED = {"wide": (96, 160, 0, 21, 64, 64), "high": (200, 64, 68, 0, 64, 64), "square": (64, 64, 0, 0, 64, 64)}


class SizedBase(ToyBase):
    """A toy whose `y` is a pooled prompt of four numbers and the sizes."""

    takes_sizes, prediction, schedule = True, "eps", "stable_diffusion"

    def encode_prompts(self, prompts):
        return Prompts(super().encode_prompts(prompts).context, torch.full((len(prompts), 4), float(len(prompts[0]))))

    def decode(self, latents):
        return latents[:, :3]


def prepared(folder, base):
    draw = torch.Generator().manual_seed(0)
    samples = [
        Sample(name=name, picture=TensorPicture(torch.rand(3, *size, generator=draw)), caption=name)
        for name, size in PICTURES.items()
    ]
    return prepare(samples, Drawing(size=(64, 64), annotator="canny"), base, folder, held_out=0)


def test_each_sample_has_the_sizes_of_its_own_picture(tmp_path):
    index = prepared(tmp_path, SizedBase())
    prompts = CachedData(tmp_path, index).batch(range(3)).prompts
    assert {name: tuple(row.tolist()) for name, row in zip(index.names, prompts.sizes, strict=True)} == EXPECTED
    assert torch.equal(prompts.whole_y, with_sizes(prompts.y, prompts.sizes)) and prompts.whole_y.shape == (3, 1540)


def test_a_base_without_them_has_the_data_that_it_always_had(tmp_path):
    plain, sized = prepared(tmp_path / "plain", ToyBase()), prepared(tmp_path / "sized", SizedBase())
    assert CachedData(tmp_path / "plain", plain).batch([0]).prompts.sizes is None
    assert plain.latents != sized.latents and plain.conditions == sized.conditions
    both = prepared(tmp_path / "plain", SizedBase())  # in one folder: the latents without sizes are not taken
    assert both.latents == sized.latents
    assert CachedData(tmp_path / "plain", both).batch([0]).prompts.sizes is not None


@pytest.mark.parametrize("n", [1, 3])
def test_samples_are_drawn_with_the_sizes_on_both_branches(n, tmp_path, monkeypatch):
    base = SizedBase()
    base.unet = torch.nn.Linear(1, 1)
    index = prepared(tmp_path, base)
    batch = CachedData(tmp_path, index).batch(range(n))
    calls = []
    monkeypatch.setattr(
        source_module, "sample", lambda unet, noise, context, empty, **options: calls.append(options) or noise
    )
    PreparedSource(base, tmp_path).samples(None, batch.condition, batch.prompts, seed=0, steps=2)
    with_prompt, without = calls[0]["y"], calls[0]["empty_y"]
    assert torch.equal(with_prompt[:, 4:], without[:, 4:]) and with_prompt.shape == without.shape == (n, 1540)
    assert not without[:, :4].any() and bool(with_prompt[:, :4].all())
