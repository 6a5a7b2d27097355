"""From M-LSD's map to line segments."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..pictures.through_net import check_finite


def decode_segments(maps: Tensor, score: float, distance: float, most: int) -> list[np.ndarray]:
    """The line segments of each image, the surest first.

    [B, 5 or more, h, w], channels as `MLSDLarge` gives them  ->  B arrays [n, 4] float64: x and y of the start, x and
    y of the end, in pixels of the image, which is twice the size of the map. Ends may lie outside the image.

    A centre is a pixel whose probability is the largest in its 3 x 3. Of the `most` largest those stay whose
    probability is above `score` and whose length is above `distance` pixels of the map.

    Source: Gu et al. (2022), section 3.2, and `pred_lines` of the released annotator/mlsd/utils.py.

    Raises `ValueError` for a map that holds NaN or infinity.
    """
    maps = maps[:, :5].float()
    check_finite("M-LSD", maps)
    centre = maps[:, :1].sigmoid()
    peaks = centre * (centre == F.max_pool2d(centre, 3, stride=1, padding=1))
    width = maps.shape[3]
    scores, cells = peaks.flatten(1).topk(min(most, peaks[0].numel()))
    ends = maps[:, 1:].flatten(2).gather(2, cells[:, None].expand(-1, 4, -1))
    is_long = (ends[:, :2] - ends[:, 2:]).square().sum(1).sqrt() > distance
    is_line = ((scores > score) & is_long).cpu().numpy()
    # float64 from here: the pixel an end falls into is found by truncation, and a sum that is rounded twice may miss it
    centres = np.stack(((cells % width).cpu().numpy(), (cells // width).cpu().numpy()) * 2, axis=-1).astype(np.float64)
    segments = 2 * (centres + ends.movedim(1, 2).cpu().numpy())
    return [table[rows] for table, rows in zip(segments, is_line, strict=True)]
