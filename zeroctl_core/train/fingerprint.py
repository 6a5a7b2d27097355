"""Digits that stand for all weights of a network, or of a part of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def fingerprint(module: nn.Module) -> str:
    """16 hexadecimal digits of names, shapes and values in float16.

    In one dtype, so that the float16 file of a base and the float32 copy in memory are the same base.
    """
    return fingerprint_of(module.state_dict())


def fingerprint_of(weights: Mapping[str, Tensor]) -> str:
    """As `fingerprint`, of weights by name, in their order."""
    digest = hashlib.sha256()
    for name, value in weights.items():
        value = value.detach().cpu()
        value = value.to(torch.float16) if value.is_floating_point() else value
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
