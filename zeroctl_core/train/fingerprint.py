"""Digits that stand for all weights of a network."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint(module: nn.Module) -> str:
    """16 hexadecimal digits of names, shapes and values in float16.

    In one dtype, so that the float16 file of a base and the float32 copy in memory are the same base.
    """
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        value = value.detach().cpu()
        value = value.to(torch.float16) if value.is_floating_point() else value
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
