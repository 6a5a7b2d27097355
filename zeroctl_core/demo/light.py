"""How surfaces are lit: from the upper left, by Lambert's law with ambient light."""

from __future__ import annotations

import torch
from torch import Tensor

LIGHT = (-0.50, -0.58, 0.64)  # towards the light, of length 1: right, down, towards the eye
AMBIENT = 0.45  # share of the light that comes from everywhere
GLOSS = 0.25  # white light reflected beside the albedo, so that shading shows on black too


def brightness_of(normals: Tensor) -> Tensor:
    """Brightness of a surface over that of a flat one, by Lambert's law with ambient light: unit normals [B, 3, H, W]
    -> [B, H, W]."""
    light_right, light_down, light_eye = LIGHT
    lambert = normals[:, 0] * light_right - normals[:, 1] * light_down + normals[:, 2] * light_eye
    return AMBIENT + (1 - AMBIENT) * lambert.clamp(min=0) / light_eye


def surface_normals(height: Tensor) -> Tensor:
    """Unit normals (right, up, towards the eye) of a surface, by central differences; [B, H, W] -> [B, 3, H, W]."""
    padded = torch.nn.functional.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    slope_right = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    slope_down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    normal = torch.stack((-slope_right, slope_down, torch.ones_like(height)), dim=1)
    return normal / normal.norm(dim=1, keepdim=True)
