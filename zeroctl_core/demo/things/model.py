"""The model of the things: the shapes' networks, with a text encoder and a judge of its own."""

from __future__ import annotations

from pathlib import Path

from ..model import JUDGE, DemoModel, read_weights
from ..text import TextEncoder
from ..words import Tokens
from .judge import ThingsJudge
from .text import ThingsTextEncoder
from .words import tokenise

WORK = Path("build/things")
"""Where the build of the things keeps what it needs, by default."""

WEIGHTS = WORK / "weights"


class ThingsModel(DemoModel):
    """The UNet, its text encoder and its autoencoder, for inference in float32."""

    @staticmethod
    def new_text() -> TextEncoder:
        return ThingsTextEncoder()

    @staticmethod
    def tokens(prompt: str) -> Tokens:
        return tokenise(prompt)


def load_things_judge(folder: Path = WEIGHTS) -> ThingsJudge:
    judge = ThingsJudge()
    read_weights(folder / JUDGE, {"": judge})
    return judge.eval().requires_grad_(False)
