"""M-LSD's network and decoding beside the released ones, with random weights; test_mlsd_real.py has trained ones."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
import torch
from random_weights import random_state_dict
from skimage import data
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.mlsd import MLSDLarge
from zeroctl_core.annotators.networks.mlsd_decoding import decode_segments

lines = ANNOTATORS["lines"]

GAINS = [0.16, 1.53, 1.65, 1.15, 1.58]
OFFSETS = [-5.2, -15.9, 2.1, 31.1, -15.0]
"""For the last layer: without them every centre would be sure and the lines longer than the picture."""

# MobileV2_MLSD_Large and pred_lines of custom_controlnet_aux (Fannovel16/comfyui_controlnet_aux) with the weights of
# `seeded_mlsd` on `photo()`, padded to 128 x 192 as there: the first five channels at rows 16, 48 and columns 24, 72
MAP = [
    [[-1.789, -3.57], [-2.284, -2.556]],
    [[1.339, -6.472], [11.866, 1.568]],
    [[1.3, 6.197], [0.21, 2.857]],
    [[-6.03, -1.862], [-8.044, -4.124]],
    [[5.066, 4.168], [1.9, 4.265]],
]
# and the picture of the lines with a score above 0.3 and a length above 8: packed bits, compressed
DRAWN = (
    "c-rljK@Pz{6o%hZX=fowY)C}P3B<}msGCS!z|xMDGdNBU;1E4Rmt9B@K?mQWBUtsNi}uggf8M;Ad99d%Q0x|@nggl2-;&&FBfP}%x*@_l"
    "goiPyK8`1SRAq#!k7>x9J({Sh3oKYVF)nbG;Yi9T6#9kLH9uQj!%L2ERAo3S4p$fso!|<?VR2X)ZaTsGvt#@BGyV-Ya_%13XQgul(L1G}"
    "Hj)G_xK#(7O8k+<;>F_TV&^lyUazt*QkQo*7H|75j~@?#C0{Jo_k@yMj-~r}F|$mpdC&6Msx|K*zhBwgFw<L3wWlgfQ!LH~D>+e;d+5;M"
    "qT@F7a5Uu&!3nSVU!nYDl~F9tp{XuC"
)


def seeded_mlsd() -> MLSDLarge:
    """Weights that let the picture through, and a last layer of which some dozen lines come, about 20 pixels long."""
    weights = random_state_dict(NETWORKS["mlsd"].shapes(), spread=0.1)
    for key, tensor in weights.items():
        if key.endswith("running_var"):
            tensor.add_(1)
        elif key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros((), dtype=torch.long)
        elif tensor.ndim == 4:
            tensor.mul_(2**0.5)
    gain, offset = torch.tensor(GAINS), torch.tensor(OFFSETS)
    weights["block23.conv3.weight"][7:12] *= gain[:, None, None, None]
    weights["block23.conv3.bias"][7:12] = offset
    net = MLSDLarge()
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False)


class Given(nn.Module):
    """Returns a map of its own, whatever the picture; remembers its inputs."""

    def __init__(self, maps: Tensor, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=dtype))
        self.maps = maps
        self.shown: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        self.shown.append(image)
        return self.maps.to(image.dtype)


def photo(height: int = 123, width: int = 181) -> Tensor:
    picture = data.astronaut()[20 : 20 + height, 150 : 150 + width]
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def one_line(logit: float = 2.0, height: int = 32, width: int = 32) -> Tensor:
    """A centre at x 10, y 12 of the map, its ends 4.3 left and 5 right of it."""
    maps = torch.full((1, 9, height, width), -20.0)
    maps[:, 1:] = 0
    maps[0, :5, 12, 10] = torch.tensor([logit, -4.3, 0.0, 5.0, 1.0])
    return maps


@pytest.fixture(scope="module")
def net() -> MLSDLarge:
    return seeded_mlsd()


# ---- the network


def test_draws_the_map_of_the_released_architecture(net):
    image = torch.nn.functional.pad(photo(), (0, 11, 0, 5), mode="replicate")
    maps = net(image)
    assert maps.shape == (1, 9, 64, 96)
    assert torch.allclose(maps[0, :5, 16::32, 24::48], torch.tensor(MAP), rtol=0, atol=2e-3)


def test_the_smallest_picture_is_one_cell_of_the_coarsest_level(net):
    assert net(torch.rand(2, 3, 16, 32)).shape == (2, 9, 8, 16)


def test_refuses_sizes_that_its_levels_cannot_halve(net):
    with pytest.raises(ValueError, match="24 x 32; both must be multiples of 16"):
        net(torch.zeros(1, 3, 24, 32))


def test_computes_in_the_type_of_its_weights():
    assert seeded_mlsd().to(torch.bfloat16)(torch.rand(1, 3, 32, 32).bfloat16()).dtype == torch.bfloat16


# ---- decoding


def test_a_centre_and_its_ends_are_doubled():
    (segments,) = decode_segments(one_line(), score=0.1, distance=0.1, most=200)
    assert segments.dtype == np.float64
    assert segments == pytest.approx(np.array([[2 * 5.7, 24, 30, 26]]), abs=1e-5)


def test_score_and_distance_are_strict_and_in_pixels_of_the_map():
    assert len(decode_segments(one_line(0.0), score=0.49, distance=9.3, most=9)[0]) == 1
    assert len(decode_segments(one_line(0.0), score=0.5, distance=9.3, most=9)[0]) == 0
    assert len(decode_segments(one_line(0.0), score=0.49, distance=9.4, most=9)[0]) == 0
    assert len(decode_segments(one_line(50.0), score=1.5, distance=0.1, most=9)[0]) == 0


def test_a_neighbour_that_is_less_sure_is_no_centre():
    maps = one_line()
    maps[0, :5, 13, 11] = torch.tensor([1.9, -4.0, 0.0, 5.0, 1.0])
    maps[0, :5, 12, 12] = torch.tensor([1.8, -4.0, 0.0, 5.0, 1.0])  # two away from the first, but next to the second
    maps[0, :5, 12, 14] = torch.tensor([1.7, -4.0, 0.0, 5.0, 1.0])
    (segments,) = decode_segments(maps, score=0.1, distance=0.1, most=200)
    assert segments[:, 0] == pytest.approx([2 * 5.7, 2 * 10])


def test_the_surest_come_first_and_no_more_than_asked_for():
    maps = one_line()
    for column, logit in ((2, 0.5), (5, 1.0), (20, 3.0)):
        maps[0, :5, 20, column] = torch.tensor([logit, 0.0, 0.0, 9.0, 0.0])
    (segments,) = decode_segments(maps, score=0.1, distance=0.1, most=3)
    assert segments[:, 0] == pytest.approx([40, 2 * 5.7, 10])
    # the peers count before they measure: a short one takes a place
    maps[0, 3, 20, 20] = 0
    assert len(decode_segments(maps, score=0.1, distance=0.1, most=3)[0]) == 2


def test_each_map_of_a_batch_is_read_by_itself(net):
    maps = net(torch.cat([photo(128, 128), photo(128, 128).flip(3), torch.zeros(1, 3, 128, 128)]))
    together = decode_segments(maps, score=0.1, distance=0.1, most=200)
    singles = [decode_segments(maps[i : i + 1], score=0.1, distance=0.1, most=200)[0] for i in range(3)]
    assert [len(segments) for segments in together] == [len(segments) for segments in singles]
    assert all(np.array_equal(one, other) for one, other in zip(together, singles, strict=True))


def test_a_map_with_nan_is_refused():
    maps = one_line()
    maps[0, 2, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        decode_segments(maps, score=0.1, distance=0.1, most=200)


# ---- the annotator


def test_draws_the_lines_that_the_released_annotator_draws(net):
    bits = np.frombuffer(zlib.decompress(base64.b85decode(DRAWN)), np.uint8)
    expected = np.unpackbits(bits)[: 123 * 181].reshape(123, 181)
    condition = lines(photo(), method="mlsd", score=0.3, distance=8.0, net=net)[0, 0].numpy()
    equal = (condition == expected).mean()
    assert equal >= 0.999, f"{equal:.2%} of the pixels are equal"
    assert 0.01 < expected.mean() < 0.02


def test_the_net_sees_eight_bits_padded_by_repetition_to_multiples_of_64():
    net = Given(one_line(), torch.bfloat16)
    image = photo(63, 62) + 0.3 / 255
    lines(image, method="mlsd", net=net)
    (padded,) = net.shown
    assert padded.shape == (1, 3, 64, 64) and padded.dtype == torch.bfloat16
    assert torch.equal(padded[..., :63, :62], photo(63, 62).bfloat16())
    assert torch.equal(padded[..., 63, :62], padded[..., 62, :62]) and torch.equal(padded[..., 63], padded[..., 61])


def test_ends_are_truncated_and_lines_are_one_pixel_wide():
    condition = lines(photo(64, 64), method="mlsd", net=Given(one_line()))
    rows, columns = condition[0, 0].nonzero(as_tuple=True)
    # 2 * (10 - 4.3) = 11.4
    assert columns.tolist().count(11) == 1 and columns.min() == 11 and columns.max() == 30
    assert len(columns) == 20 and rows.min() == 24 and rows.max() == 26


def test_lines_that_leave_the_picture_are_cut_as_in_the_whole_one():
    """Drawn over the padding and cropped: a line that OpenCV cuts first goes through other pixels."""
    maps = one_line(height=32, width=64)
    maps[0, 1:5, 12, 10] = torch.tensor([-8.0, -3.0, 45.0, 16.0])
    whole = lines(photo(64, 128), method="mlsd", net=Given(maps))
    part = lines(photo(51, 77), method="mlsd", net=Given(maps))
    assert torch.equal(part, whole[..., :51, :77]) and part.sum() > 0


def test_max_lines_keeps_the_surest(net):
    few = lines(photo(), method="mlsd", max_lines=5, net=net)
    many = lines(photo(), method="mlsd", net=net)
    assert 0 < few.sum() < many.sum() and (few <= many).all()


def test_errors_of_the_net_are_not_hidden():
    class Full(Given):
        def forward(self, image: Tensor) -> Tensor:
            raise torch.cuda.OutOfMemoryError("no memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        lines(photo(), method="mlsd", net=Full(one_line()))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_keeps_any_size(net, size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    condition = lines(image, method="mlsd", net=net)
    assert condition.shape == image.shape and set(condition.unique().tolist()) <= {0, 1}


def test_no_line_is_black(net):
    assert lines(torch.full((2, 3, 33, 17), 0.7), method="mlsd", score=1.5, net=net).max() == 0
    assert lines(torch.full((2, 3, 33, 17), 0.7), method="mlsd", net=Given(one_line(-20.0))).max() == 0


def test_a_batch_equals_its_items_and_nothing_is_changed(net):
    images = torch.cat([photo(95, 111), photo(95, 111).flip(3), photo(95, 111).flip(2)])
    before = images.clone()
    condition = lines(images, method="mlsd", net=net)
    assert torch.equal(condition, torch.cat([lines(image[None], method="mlsd", net=net) for image in images]))
    assert torch.equal(images, before) and torch.equal(condition, lines(images, method="mlsd", net=net))
    assert condition[0].sum() > 0 and not torch.equal(condition[0], condition[1])
