"""Decisions for a whole batch, for video: polarity, the range of depth, the brightness of line art."""

from __future__ import annotations

import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

scribble, lineart = ANNOTATORS["scribble"], ANNOTATORS["lineart"]


def growing_disc(count: int = 12) -> torch.Tensor:
    """Black ink on white paper that ends up on nearly all of it."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    distance = ((rows - 32) ** 2 + (columns - 32) ** 2).float().sqrt()
    frames = torch.stack([(distance > 4 + 36 * n / (count - 1)).float() for n in range(count)])
    return frames[:, None].repeat(1, 3, 1, 1)


def photo(gain: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(data.coffee()[:96, 100:228].copy()).movedim(-1, 0)[None].float() / 255 * gain


def in_parts(entry, image: torch.Tensor, **settings: object) -> torch.Tensor:
    """As a node does it: some pictures at a time, then what is made of all."""
    parts = [entry.draw(image[n : n + 5], **settings) for n in range(0, len(image), 5)]
    return entry.finished(torch.cat(parts), **settings)


def test_a_growing_drawing_keeps_its_polarity_in_a_batch():
    disc = growing_disc()
    assert not torch.equal(scribble(disc), 1 - disc), "picture by picture it flips"
    assert torch.equal(scribble(disc, polarity="batch"), 1 - disc)
    assert torch.equal(scribble(1 - disc, polarity="batch"), 1 - disc), "and chalk on a board"


def test_one_picture_or_many_alike_are_decided_as_by_auto():
    disc = growing_disc()[:3]
    for image in (disc, disc[:1], 1 - disc[:1], photo()):
        assert torch.equal(scribble(image, polarity="batch"), scribble(image))
    assert torch.equal(scribble(photo(), source="xdog", polarity="batch"), scribble(photo(), source="xdog"))


def test_mixed_polarities_are_told():
    disc = growing_disc()
    text = scribble.doubts(disc, scribble(disc))
    assert "of 12 pictures were taken for dark lines" in text and "polarity to batch" in text
    for settings in ({"polarity": "batch"}, {"polarity": "dark_on_light"}, {"source": "xdog"}):
        assert not scribble.doubts(disc, scribble(disc, **settings), **settings)
    assert not scribble.doubts(disc[:3], scribble(disc[:3]))


def test_line_art_of_a_batch_has_one_brightness():
    plain, other = photo(), photo()
    other[..., 48:, :] = 1
    other[..., 60:70, 10:110] = 0  # a caption enters below
    batch = torch.cat([plain, other])
    alone, together = lineart(batch), lineart(batch, style="standard_batch")
    above = (slice(None), slice(None), slice(0, 20))
    assert (alone[0][above[1:]] - alone[1][above[1:]]).abs().max() > 4 / 255
    assert (together[0][above[1:]] - together[1][above[1:]]).abs().max() < 2 / 255
    assert torch.equal(lineart(plain, style="standard_batch"), lineart(plain))


@pytest.mark.parametrize(
    ("name", "settings"), [("scribble", {"polarity": "batch"}), ("lineart", {"style": "standard_batch"})]
)
def test_a_batch_is_decided_as_a_whole_however_it_is_cut(name, settings):
    image = torch.cat([growing_disc(), growing_disc().flip(0)])
    entry = ANNOTATORS[name]
    assert torch.equal(in_parts(entry, image, **settings), entry(image, **settings))
