"""Anime and manga line art: white on black, of pictures of any size."""

from __future__ import annotations

import pytest
import torch
from skimage import data
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS

NAMES = ["lineart_anime", "lineart_manga"]


class Paper(nn.Module):
    """Hands the red channel on as a drawing: dark on white stays dark on white."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.multiple = multiple

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[2] % self.multiple == 0 and image.shape[3] % self.multiple == 0
        return image[:, :1]


def photos(height: int, width: int) -> Tensor:
    pictures = (data.astronaut(), data.coffee(), data.chelsea())
    stacked = torch.stack([torch.from_numpy(picture[20 : 20 + height, 100 : 100 + width]) for picture in pictures])
    return stacked.movedim(-1, 1).float() / 255


@pytest.mark.parametrize(("name", "multiple"), [("lineart_anime", 256), ("lineart_manga", 16)])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (133, 117)])
def test_inverts_and_takes_any_size(name, multiple, size):
    paper = torch.ones(2, 3, *size)
    paper[..., -1] = 0.25
    lines = ANNOTATORS[name](paper, net=Paper(multiple))
    assert lines.shape == paper.shape
    assert (lines[..., -1] == 0.75).all() and (lines[..., :-1] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_keeps_its_contract_with_the_real_architecture(name, seeded_net):
    picture = photos(133, 117) * 1.02
    before, net = picture.clone(), seeded_net(name)
    lines = ANNOTATORS[name](picture, net=net)
    assert torch.equal(picture, before)
    assert lines.shape == picture.shape and lines.dtype == torch.float32 and lines.is_contiguous()
    assert torch.equal(lines[:, 0], lines[:, 1]) and torch.equal(lines[:, 0], lines[:, 2])
    assert 0 <= lines.min() and lines.max() <= 1 and lines.std() > 0
    single = ANNOTATORS[name](picture[1:2], net=net)
    assert torch.allclose(lines[1:2], single, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_takes_flat_pictures_and_half_precision(name, seeded_net):
    lines = ANNOTATORS[name](torch.full((1, 3, 5, 7), 0.5, dtype=torch.float16), net=seeded_net(name))
    assert lines.shape == (1, 3, 5, 7) and lines.dtype == torch.float32 and lines.isfinite().all()
