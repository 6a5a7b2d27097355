"""What SDXL is told of a picture's size, against the training script of diffusers and its embedding."""

from __future__ import annotations

import pytest
import torch
from diffusers_twins import diffusers

from zeroctl_core.canvas.placing import crop_box
from zeroctl_core.network.picture_sizes import SIZE_CHANNELS, sizes_of_crop, with_sizes


@pytest.mark.parametrize(
    ("original", "target", "crop"),
    [
        ((96, 160), (64, 64), (0, 21)),  # 64x106.7 after the resize: 42.7 columns go
        ((1600, 900), (1024, 1024), (398, 0)),  # 1820.4 rows: 796.4 go
        ((1200, 1000), (768, 1344), (422, 0)),  # 1612.8 rows at a width of 1344
        ((512, 512), (1024, 1024), (0, 0)),
    ],
)
def test_the_crop_is_counted_in_the_picture_that_is_resized_first(original, target, crop):
    """As the script does: resized until the target fits, then half of what is too much at either side."""
    scale = max(target[0] / original[0], target[1] / original[1])
    theirs = tuple((scale * side - t) / 2 for side, t in zip(original, target, strict=True))
    sizes = sizes_of_crop(original, crop_box(*original, *target), target)
    assert sizes == (original, crop, target) and sizes.numbers == (*original, *crop, *target)
    assert all(abs(ours - exact) <= 1 for ours, exact in zip(sizes.crop, theirs, strict=True))


def test_y_is_the_pooled_prompt_and_the_embedding_of_diffusers():
    diffusers()
    from diffusers.models.embeddings import Timesteps

    sizes = torch.tensor([[96, 160, 0, 21, 64, 64], [1600, 900, 398, 0, 1024, 1024]])
    pooled = torch.randn(2, 1280, generator=torch.Generator().manual_seed(0))
    theirs = Timesteps(SIZE_CHANNELS, flip_sin_to_cos=True, downscale_freq_shift=0)(sizes.flatten().float())
    y = with_sizes(pooled, sizes)
    assert y.shape == (2, 2816) and torch.equal(y[:, :1280], pooled)
    assert torch.allclose(y[:, 1280:], theirs.reshape(2, -1), atol=2e-4)  # sines of angles up to 1600
    assert with_sizes(pooled.bfloat16(), sizes).dtype == torch.bfloat16
