"""The model of the things: the shapes' networks, with a text encoder and a judge of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..autoencoder import Autoencoder
from ..model import JUDGE, DemoModel, load_autoencoder, read_weights
from ..text import TextEncoder
from ..words import Tokens
from .judge import ThingsJudge
from .text import ThingsTextEncoder
from .words import tokenise

WORK = Path("build/things")
"""Where the build of the things keeps what it needs, by default."""

WEIGHTS = WORK / "weights"


AUTOENCODER_WIDTHS = (48, 96, 128)
"""Wider than that of the shapes: eyes and stripes are more than corners."""


class ThingsModel(DemoModel):
    """The UNet, its text encoder and its autoencoder, for inference in float32."""

    autoencoder_widths: ClassVar[tuple[int, int, int]] = AUTOENCODER_WIDTHS

    @staticmethod
    def new_text() -> TextEncoder:
        return ThingsTextEncoder()

    @staticmethod
    def tokens(prompt: str) -> Tokens:
        return tokenise(prompt)


def load_things_autoencoder(folder: Path = WEIGHTS) -> Autoencoder:
    return load_autoencoder(folder, AUTOENCODER_WIDTHS)


def load_things_judge(folder: Path = WEIGHTS) -> ThingsJudge:
    judge = ThingsJudge()
    read_weights(folder / JUDGE, {"": judge})
    return judge.eval().requires_grad_(False)
