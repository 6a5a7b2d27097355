"""Soft edges: steps, strokes, and pictures of any size."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pictures.grey_steps import safe_step

softedge = ANNOTATORS["softedge"]

# nms, GaussianBlur and threshold of custom_controlnet_aux on `curves`: packed bits, compressed
STROKES = {
    False: "c-pnn!41P83<Xe7Dsk)xjFQp9XpF)L962Cd4A^`%?Wro4yaV}wZDW315AYR~mZI8G+FK|K527M|64kwhNK^U>x}7A*v9tcFL7u&WPB2GOy"
    "Su~7VLklV4rbZ%_nMcmoVR@Nndf}vuoq{(Q__c{ojCGFbe>N^2R;y8zPR2U*-i65I*ppXdmQh?Wz-kkv<_Z8>QkX^1?riXYp-+M^<PcJUYua;BlZ{"
    "jj`M(X!l4c3s=&PA9PY7o+5Bz20Kd)cT>",
    True: "c-pnn!41P83<Xdk4&0g%7=_WoXc>hOIC4Pz1_v7_X-`!-Jw*;i-!|sQ^HScTa6u9~<XM8kv_NIAK$|51`yir}13TY%oGibBFZJEy($L+W-Y"
    "%}5n*qsAM>85P{oBT_V%vL$^Fd_K&izg4d}g}Zv3E&@Y)`LuFYMS|zPPG-?I!nsbfQe}ruL3qC|~6!Ie0eZQ&nz7<(Ws$E%5Lt|1ngW3!XF5bJX+IbJ"
    "zQz_oO#yYOnOZCAEihZCy5hJ8$K(?HT",
}


class Red(nn.Module):
    """Draws the red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[2] % 64 == 0 and image.shape[3] % 64 == 0
        return image[:, :1]


def curves() -> Tensor:
    """A soft ring and a soft slanting line, [1, 3, 72, 96]."""
    y, x = np.mgrid[:72, :96]
    ring = np.exp(-(((np.hypot(x - 40, y - 36) - 22) / 3.0) ** 2))
    line = np.exp(-(((x - 0.6 * y - 40) / 2.5) ** 2)) * 0.8
    edges = torch.from_numpy((ring + line).clip(0, 1).astype(np.float32))
    return edges.expand(1, 3, -1, -1)


def levels(*values: float) -> Tensor:
    return torch.tensor(values).expand(1, 3, 1, -1).contiguous()


def test_two_safe_steps_cut_at_thirds_and_clip_white():
    # safe_step of CN1.1 gives 0, 0, 0.5, 0.5, 0.5, 1, 1, 1.5 for these, and the 8-bit map 0, 0, 127 ..., 255
    steps = (0, 0.3333, 0.33334, 0.5, 0.6666, 0.66667, 0.999, 1)
    edges = levels(*steps)
    condition = softedge(edges, net=Red())
    assert condition[0, 0, 0].mul(255).round().tolist() == [0, 0, 127, 127, 127, 255, 255, 255]


def test_five_safe_steps_are_six_levels():
    condition = softedge(torch.linspace(0, 1, 100).expand(1, 3, 4, -1), net=Red(), safe_steps=5)
    assert condition[0, 0].mul(255).round().unique().tolist() == [0, 51, 102, 153, 204, 255]


def test_safe_step_of_one_is_a_threshold():
    assert safe_step(torch.tensor([0.0, 0.49, 0.5, 1.0]), 1).tolist() == [0, 0, 1, 1]


def test_without_steps_all_shades_stay_cut_off_to_eight_bits():
    condition = softedge(levels(0.0, 0.1, 0.5, 0.999, 1.0), net=Red(), safe=False)
    assert condition[0, 0, 0].mul(255).tolist() == pytest.approx([0, 25, 127, 254, 255])


@pytest.mark.parametrize("safe", [False, True])
def test_strokes_are_those_of_the_released_scribble(safe):
    condition = softedge(curves(), net=Red(), mode="scribble", safe_scribble=safe)[0, 0].numpy()
    assert set(np.unique(condition)) == {0, 1}
    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b85decode(STROKES[safe])), np.uint8))
    assert (condition == bits.reshape(condition.shape)).mean() >= 0.999


def test_a_scribble_ignores_safe_and_a_soft_edge_ignores_safe_scribble():
    picture = curves()
    scribbles = [softedge(picture, net=Red(), mode="scribble", safe=safe) for safe in (False, True)]
    assert torch.equal(*scribbles)
    edges = [softedge(picture, net=Red(), safe_scribble=safe) for safe in (False, True)]
    assert torch.equal(*edges)


def test_values_above_one_are_white_and_below_zero_black():
    assert softedge(levels(-0.2, 1.2), net=Red(), safe=False)[0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("mode", ["softedge", "scribble"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (133, 117)])
def test_takes_any_size_and_flat_pictures(mode, size):
    condition = softedge(torch.full((2, 3, *size), 0.5), net=Red(), mode=mode)
    assert condition.shape == (2, 3, *size) and condition.isfinite().all()


def test_keeps_its_contract_with_the_real_architecture(seeded_net):
    picture = torch.rand(3, 3, 133, 117, generator=torch.Generator().manual_seed(0)) * 1.02
    before, net = picture.clone(), seeded_net("hed")
    condition = softedge(picture, net=net, safe=False)
    assert torch.equal(picture, before)
    assert condition.shape == picture.shape and condition.dtype == torch.float32 and condition.is_contiguous()
    assert torch.equal(condition[:, 0], condition[:, 1]) and torch.equal(condition[:, 0], condition[:, 2])
    assert 0 <= condition.min() and condition.max() <= 1 and condition.std() > 0
    singles = torch.cat([softedge(one[None], net=net, safe=False) for one in picture])
    assert torch.allclose(condition, singles, rtol=0, atol=1e-5)
    assert softedge(picture[:1].half(), net=net).dtype == torch.float32
