"""What is refused of a picture, and what is said to do about it."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.annotators.pictures.check import check_picture


@pytest.mark.parametrize(
    ("values", "remedy"),
    [((0.0, 4.0), "HDR picture"), ((0.0, 15.0), "HDR picture"), ((0.0, 255.0), "divide 8-bit values by 255"),
     ((-1.0, 1.0), r"\(image \+ 1\) / 2")],
)  # fmt: skip
def test_the_remedy_is_that_of_the_range(values, remedy):
    image = torch.linspace(*values, 192).reshape(1, 3, 8, 8)
    with pytest.raises(ValueError, match=f"^map: the values of an image lie in .*{remedy}"):
        check_picture("map", image)
