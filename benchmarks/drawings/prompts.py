"""Prompts as people write them, damaged in one way each, and whether a picture shows a thing on a ground."""

from __future__ import annotations

import torch
from torch import Tensor

from zeroctl_core.demo.following import BORDER, background_colour
from zeroctl_core.demo.judge import Judge

THINGS = (
    ("cat", "red"), ("rocket", "black"), ("tree", "cyan"), ("apple", "white"), ("car", "green"), ("penguin", "yellow"),
    ("balloon", "blue"),
)  # fmt: skip
"""Noun, ground."""
SHAPES = (
    ("red", "star", "blue"), ("green", "ring", "white"), ("yellow", "moon", "purple"), ("blue", "triangle", "cyan"),
    ("white", "square", "black"), ("purple", "ball", "green"), ("cyan", "star", "red"),
)  # fmt: skip
"""Colour, noun, ground."""
UNKNOWN = (
    "wombat", "submarine", "violin", "skateboard", "teacher", "volcano", "lamp", "spoon", "sofa", "ladder", "kite",
    "glove", "pumpkin", "anchor",
)  # fmt: skip
"""Nouns that are not words of the model."""
NOUNS = tuple(noun for _, noun, _ in SHAPES)
GROUNDS = tuple(ground for _, ground in THINGS) + tuple(ground for *_, ground in SHAPES)
COUNT = len(GROUNDS)

PROMPTS: dict[str, list[str]] = {
    "no colour": [f"a {noun} on a {ground} background" for noun, ground in zip(2 * NOUNS, GROUNDS, strict=True)],
    "no noun": [f"a on a {ground} background" for _, ground in THINGS]
    + [f"a {colour} on a {ground} background" for colour, _, ground in SHAPES],
    "the word thing": [f"a thing on a {ground} background" for ground in GROUNDS],
    "no ground": [f"a {noun}" for noun, _ in THINGS] + [f"a {colour} {noun}" for colour, noun, _ in SHAPES],
    "other order": [f"on a {ground} background a {noun}" for noun, ground in THINGS]
    + [f"a {noun}, {colour}, on a {ground} background" for colour, noun, ground in SHAPES],
    "unknown noun": [f"a {noun} on a {ground} background" for noun, ground in zip(UNKNOWN, GROUNDS, strict=True)],
    "empty": [""] * COUNT,
}
"""Damage -> 14 prompts."""

CELLS = (13.0, 450.0)  # of 576: the least and the most that things take of a true scene
NEAR, PLAIN = 0.12, 0.85
"""The share of the border that is to be nearer than this to its median colour, in RGB: light slopes, shadows reach it,
and a thing may touch it."""


@torch.no_grad()
def thing_on_ground(judge: Judge, pictures: Tensor) -> Tensor:
    """Whether the judge sees things that take a part of a picture, and the border is plain: bool [B]. Whether anyone
    would know the things is not asked; `certainty` stands beside it."""
    cells = 1 - judge(pictures).softmax(dim=1)[:, 0]
    area = cells.sum(dim=(1, 2))
    inner = torch.zeros(pictures.shape[-2:], dtype=torch.bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    away = (pictures[:, :, ~inner] - background_colour(pictures)[:, :, None]).norm(dim=1)
    plain = (away < NEAR).float().mean(dim=1)
    return (area > CELLS[0]) & (area < CELLS[1]) & (plain > PLAIN)


@torch.no_grad()
def certainty(judge: Judge, pictures: Tensor) -> Tensor:
    """How sure the judge is which things it sees, the mean over their area, [B] in 0..1: of blobs it is not."""
    shares = judge(pictures).softmax(dim=1)
    area = 1 - shares[:, 0]
    return (shares[:, 1:].amax(dim=1) * area).sum(dim=(1, 2)) / area.sum(dim=(1, 2)).clamp(min=1e-9)
