"""Scenes of the things and what is said of them, without a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from zeroctl_core.demo.captions import EMPTY, caption, damaged_caption
from zeroctl_core.demo.colours import COLOURS
from zeroctl_core.demo.names import NEW_THINGS, THINGS
from zeroctl_core.demo.scene import (
    DRAWN,
    GROUNDS,
    KNOWN,
    NEW_GROUNDS,
    SIZE,
    SPLITS,
    Scene,
    held_out_grounds,
    held_out_pairs,
    pair_of,
    scene,
    scenes,
)
from zeroctl_core.demo.words import (
    MAX_TOKENS,
    NUMBERS,
    SILENT,
    THING,
    WORDS,
    tokenise,
    words_of,
)

SOME = scenes(1, 0, 300)
RELATIONS = {"left": ("x", 1), "right": ("x", -1), "above": ("y", 1), "below": ("y", -1)}


def test_a_scene_depends_on_its_arguments_alone():
    assert scenes(1, 5, 3) == [scene(1, 5), scene(1, 6), scene(1, 7)]
    assert len({repr(scene(seed, 3, split)) for seed in (1, 2) for split in SPLITS}) == 2 * len(SPLITS)
    with pytest.raises(ValueError, match="split is 'test'; expected one of train"):
        scene(1, 0, "test")


def pairs_of(one: Scene) -> list[tuple[str, str]]:
    names = [thing.name for thing in one.things]
    return [pair_of(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]


def test_training_shows_nothing_that_is_held_out():
    for one in SOME:
        assert one.ground not in NEW_GROUNDS and not held_out_pairs().intersection(pairs_of(one))
        for thing in one.things:
            assert thing.name not in NEW_THINGS and (thing.name, one.ground) not in held_out_grounds()


def test_every_held_out_scene_is_new():
    for one in scenes(1, 0, 200, "held_out"):
        names = {thing.name for thing in one.things}
        assert names <= set(KNOWN) and one.ground in COLOURS
        new_pair = bool(held_out_pairs().intersection(pairs_of(one)))
        assert new_pair if len(one.things) > 1 else (one.things[0].name, one.ground) in held_out_grounds()
    assert all(thing.name in NEW_THINGS for one in scenes(1, 0, 50, "new_things") for thing in one.things)
    assert all(one.ground in NEW_GROUNDS for one in scenes(1, 0, 50, "new_grounds"))


def test_tables_do_not_overlap_and_every_thing_is_trained_on_most_grounds():
    assert not set(THINGS) & set(NEW_THINGS) and not set(KNOWN) & set(GROUNDS)
    counts = Counter(name for name, _ in held_out_grounds())
    assert max(counts.values()) <= len(COLOURS) - 3
    for names in (DRAWN, tuple(THINGS), tuple(NEW_THINGS), tuple(GROUNDS)):
        assert len(set(names)) == len(names) and not [name for name in names if name != name.lower() or " " in name]


def test_things_stand_whole_and_apart_in_the_picture():
    for one in SOME:
        boxes = []
        for thing in one.things:
            reach = thing.size / 2
            if thing.colour is None:
                reach *= abs(np.cos(thing.turn)) + abs(np.sin(thing.turn))
            assert min(thing.x, thing.y) - reach >= 1 and max(thing.x, thing.y) + reach <= SIZE - 1
            boxes.append((thing.x if one.relation == "left of" else thing.y, reach))
        assert all(a + r <= b - s for (a, r), (b, s) in zip(boxes, boxes[1:], strict=False))


def is_true(text: str, one: Scene) -> bool:
    """Whether a caption says nothing that is not so: things in their order, colours, relations, the ground."""
    words = [word for word in words_of(text) if word not in SILENT]
    if "on" in words:
        where = words.index("on")
        if words[where + 1 : where + 3] != [one.ground, "background"]:
            return False
        del words[where : where + 3]
    phrases: list[list[str]] = [[]]
    relations = []
    for word in words:
        if word in RELATIONS or word == "and":
            relations.append(word)
            phrases.append([])
        else:
            phrases[-1].append(word)
    if not words:
        return True
    return any(tells(phrases, relations, things) for things in (one.things, one.things[::-1]))


def tells(phrases: Sequence[Sequence[str]], relations: Sequence[str], things: Sequence) -> bool:
    if len(phrases) != len(things):
        return False
    for phrase, thing in zip(phrases, things, strict=True):
        if phrase[-1] not in (thing.name, THING) or phrase[:-1] not in ([], [thing.colour]):
            return False
    for relation, a, b in zip(relations, things[:-1], things[1:], strict=True):
        if relation != "and":
            axis, sign = RELATIONS[relation]
            if sign * (getattr(b, axis) - getattr(a, axis)) <= 0:
                return False
    return True


def test_a_caption_says_all_and_nothing_that_is_not_so():
    for one in SOME:
        text = caption(one)
        assert is_true(text, one)
        assert {thing.name for thing in one.things} <= set(words_of(text)) and f"{one.ground} background" in text
        for thing in one.things:
            assert thing.colour is None or f"{thing.colour} {thing.name}" in text


def test_the_judgement_of_captions_knows_lies():
    one = next(one for one in SOME if one.relation == "left of" and len({thing.name for thing in one.things}) == 2)
    assert not is_true(caption(one).replace("left", "right"), one)
    assert not is_true(caption(one).replace(f"{one.ground} background", "pink background"), one)
    assert not is_true(caption(one).replace(one.things[0].name, "tiger"), one)


def test_a_damaged_caption_says_a_part_and_nothing_that_is_not_so():
    draw = np.random.default_rng(3)
    texts = [(damaged_caption(one, draw), one) for one in SOME for _ in range(4)]
    assert all(is_true(text, one) for text, one in texts)
    share_empty = sum(not text for text, _ in texts) / len(texts)
    assert abs(share_empty - EMPTY) < 0.04
    assert sum(text == caption(one) for text, one in texts) > 0.2 * len(texts)
    for part in ("on a", " and ", THING, "right of", "below"):
        assert sum(part in text for text, _ in texts) > 0.03 * len(texts), part
    assert sum(text.startswith("on a") for text, _ in texts) > 0.01 * len(texts)


def test_every_caption_is_known_word_by_word_and_fits():
    draw = np.random.default_rng(4)
    for one in SOME:
        for text in (caption(one), damaged_caption(one, draw)):
            tokens = tokenise(text)
            assert not tokens.unknown and not tokens.cut and len(tokens.numbers) == MAX_TOKENS
            content = [WORDS[n] for n in tokens.numbers if WORDS[n] not in ("<bos>", "<eos>")]
            assert content == [word for word in words_of(text) if word not in SILENT]
    assert len(NUMBERS) == len(WORDS)


def test_the_longest_caption_fits():
    text = " left of ".join(["a red star"] * 3) + " on a yellow background"
    assert not tokenise(text).cut
