"""Resizing by area: the mean of what a pixel covers, whatever the sizes, the layout in memory and the window."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.canvas.by_area import resize_by_area


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def shares(n_in: int, n_out: int, start: float, stop: float) -> torch.Tensor:
    """[n_out, n_in] float64: how much of each cell lies in each of n_out equal parts of start..stop."""
    edges = start + (stop - start) / n_out * torch.arange(n_out + 1, dtype=torch.float64)
    cells = torch.arange(n_in, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return overlap.clamp(min=0) / (edges[1:] - edges[:-1])[:, None]


@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
@pytest.mark.parametrize("seed", range(30))
def test_the_mean_of_what_is_covered(seed, last):
    chance = torch.Generator().manual_seed(seed)
    H, W, h, w = (int(side) for side in torch.randint(1, 200, (4,), generator=chance))
    image = noise(2, 3, H, W, seed=seed)
    if last:
        image = image.movedim(1, -1).contiguous().movedim(-1, 1)
    window = (0.13 * H, 0.88 * H, 0.4 * W, W) if seed % 3 == 0 else (0, H, 0, W)
    rows, columns = shares(H, h, *window[:2]), shares(W, w, *window[2:])
    result = resize_by_area(image, h, w, window)
    assert result.shape == (2, 3, h, w)
    assert (result - rows @ image.double() @ columns.T).abs().max() < 1e-6


def test_a_plane_is_not_resized_by_the_others():
    image = noise(1, 4, 60, 50)
    planes = torch.cat([resize_by_area(image[:, [n]], 17, 23) for n in range(4)], dim=1)
    # not to the bit: a matrix product of more rows may add in another order on several threads
    assert (resize_by_area(image, 17, 23) - planes).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_is_kept(dtype):
    image = noise(1, 3, 40, 30).to(dtype)
    result = resize_by_area(image, 7, 9)
    assert result.dtype == dtype
    assert torch.equal(result, resize_by_area(image.float(), 7, 9).to(dtype))
