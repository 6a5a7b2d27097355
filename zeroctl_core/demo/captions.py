"""What is said of a scene: all of it, or a part; never something that is not so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .scene import ACROSS, DOWN, Scene, Thing
from .words import THING

OPPOSITE = {ACROSS: "right of", DOWN: "below"}

EMPTY, FULL = 0.15, 0.45
"""Shares of captions that say nothing and all; of the others each part is left out by itself."""
LEFT_OUT = 0.4  # of the ground, and of each thing's colour or noun
REVERSED = 0.3  # told from the other end: b right of a, for a left of b
GROUND_FIRST = 0.2


def caption(scene: Scene) -> str:
    """Everything: "a cat left of a red ball on a yellow background"."""
    return _sentence([_noun_phrase(thing) for thing in scene.things], scene.relation or "", scene.ground)


def damaged_caption(scene: Scene, draw: np.random.Generator) -> str:
    """What a step of training says of a scene: all, nothing, or a part in one of several orders."""
    kind = draw.uniform()
    if kind < EMPTY:
        return ""
    names_parts = kind >= EMPTY + FULL

    def is_left_out() -> bool:
        return names_parts and bool(draw.uniform() < LEFT_OUT)

    phrases = [
        _noun_phrase(thing, no_colour=is_left_out(), no_noun=bool(is_left_out() and draw.uniform() < 0.5))
        for thing in scene.things
    ]
    relation = scene.relation or ""
    if draw.uniform() < REVERSED:
        phrases, relation = phrases[::-1], OPPOSITE.get(relation, "")
    if is_left_out():
        relation = "and"
    ground = "" if is_left_out() else scene.ground
    return _sentence(phrases, relation, ground, ground_first=bool(names_parts and draw.uniform() < GROUND_FIRST))


def _noun_phrase(thing: Thing, *, no_colour: bool = False, no_noun: bool = False) -> str:
    words = [THING if no_noun else thing.name]
    if thing.colour is not None and not no_colour:
        words.insert(0, thing.colour)
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _sentence(phrases: Sequence[str], relation: str, ground: str, *, ground_first: bool = False) -> str:
    things = f" {relation} ".join(phrases)
    if not ground:
        return things
    where = f"on {'an' if ground[0] in 'aeiou' else 'a'} {ground} background"
    return f"{where} {things}" if ground_first else f"{things} {where}"
