"""A whole checkpoint of Stable Diffusion as the locked base of a run on prepared data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from ..checkpoint.whole import open_checkpoint
from ..network.unet import UNet
from ..sampling import Prediction
from .fingerprint import fingerprint_of


class CheckpointBase:
    """A `TrainingBase` of a file; its keys and shapes are looked at here, its weights where they are first used.

    Encoding and decoding are refused: the encoders of the file tell which data is its own, and nothing more.

    Raises what `open_checkpoint` raises.
    """

    def __init__(self, path: Path, dtype: torch.dtype = torch.float32) -> None:
        self.checkpoint, self.dtype = open_checkpoint(path), dtype

    @cached_property
    def unet(self) -> UNet:
        return self.checkpoint.unet(self.dtype)

    @property
    def prediction(self) -> Prediction:
        return self.checkpoint.noise.prediction

    @property
    def schedule(self) -> str:
        return self.checkpoint.noise.schedule

    @cached_property
    def encoders(self) -> tuple[str, str]:
        parts = (self.checkpoint.autoencoder_weights, self.checkpoint.text_weights)
        autoencoder, text = (fingerprint_of(dict(sorted(part.items()))) for part in parts)
        return autoencoder, text

    def encode(self, pictures: Tensor) -> NoReturn:
        """Raises `ValueError`."""
        self._refuse("encode pictures")

    def decode(self, latents: Tensor) -> NoReturn:
        """Raises `ValueError`."""
        self._refuse("decode latents")

    def encode_prompts(self, prompts: Sequence[str]) -> NoReturn:
        """Raises `ValueError`."""
        self._refuse("encode prompts")

    def _refuse(self, action: str) -> NoReturn:
        raise ValueError(
            f"{self.checkpoint.path.name} is given as a file, whose autoencoder and text encoder are not run here, so "
            f"it cannot {action}; train on prepared data, without scores (--score-every 0)"
        )
