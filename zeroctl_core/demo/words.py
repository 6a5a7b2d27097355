"""The language of the embedded model: every word that it knows, and the way from a prompt to token numbers.

It was trained on one sentence, "a red star on a blue background", and draws no thing at all for some sentences with a
hole. So two general words, which stand for any shape and for any colour, fill the holes that unknown words leave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from .shapes import SHAPES
from .world import COLOURS

BOS, EOS, ON, BACKGROUND = "<bos>", "<eos>", "on", "background"
WORDS: tuple[str, ...] = (BOS, EOS, "a", ON, BACKGROUND, *COLOURS, *SHAPES)
"""The words with a vector of their own."""

THING, COLOURED = "thing", "coloured"
GENERAL: Mapping[str, tuple[str, ...]] = {THING: tuple(SHAPES), COLOURED: tuple(COLOURS)}
"""A general word -> the words whose mean vector is its own: no training saw it."""

VOCABULARY: tuple[str, ...] = (*WORDS, *GENERAL)
NUMBERS = {word: number for number, word in enumerate(VOCABULARY)}

MAX_TOKENS = 12  # <bos> and <eos> among them; shorter prompts are filled with <eos>, as CLIP's are


@dataclass(frozen=True)
class Tokens:
    """A prompt as numbers, and its words that have none."""

    numbers: tuple[int, ...]  # MAX_TOKENS
    places: tuple[int | None, ...] = ()  # of every number between <bos> and <eos>: which word of the text it is, if any
    unknown: tuple[str, ...] = ()  # words that are not in VOCABULARY
    read_as: Mapping[str, str] = field(default_factory=dict)  # those of them that stand for a noun -> the general one
    cut: tuple[str, ...] = ()  # words beyond the last place: left out


def words_of(text: str) -> list[str]:
    """The words of a text in order: lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def tokenise(text: str) -> Tokens:
    """Numbers of a prompt. The empty prompt is <bos> and <eos>, and so is one of which no word is known.

    Unknown words are left out, but for a noun: where the thing has no other, it is read as `thing`, and where the
    ground has no other, as `background`. A thing without a known colour is `coloured`. An article that has lost its
    noun is left out.
    """
    words = words_of(text)
    nouns = _unknown_nouns(words)
    sentence: Sentence = [(place, nouns.get(place, word)) for place, word in enumerate(words)]
    sentence = [(place, word) for place, word in sentence if word in NUMBERS]
    pairs = _with_colour(_without_idle_articles(sentence))
    room = MAX_TOKENS - 2
    numbers = [NUMBERS[BOS], *(NUMBERS[word] for _, word in pairs[:room])]
    numbers += [NUMBERS[EOS]] * (MAX_TOKENS - len(numbers))
    return Tokens(
        numbers=tuple(numbers),
        places=tuple(place for place, _ in pairs[:room]),
        unknown=tuple(dict.fromkeys(word for word in words if word not in NUMBERS)),
        read_as={words[place]: general for place, general in nouns.items()},
        cut=tuple(word for _, word in pairs[room:]),
    )


def unknown_message(tokens: Tokens, vocabulary: Sequence[str] = VOCABULARY[2:]) -> str:
    """What became of the unknown words of a prompt, and which words the model knows, the nearest first; empty where all
    are known."""
    if not tokens.unknown:
        return ""
    fates = [
        f"{word!r} (read as {tokens.read_as[word]!r})" if word in tokens.read_as else f"{word!r} (left out)"
        for word in tokens.unknown
    ]
    words = ", ".join(nearest(tokens.unknown, vocabulary))
    return f"the model does not know {', '.join(fates)}. It knows, the nearest first: {words}"


def nearest(unknown: Sequence[str], vocabulary: Sequence[str] = VOCABULARY[2:]) -> list[str]:
    """Every word of the model, those first that are written like one of the given."""

    def likeness(word: str) -> float:
        return max(SequenceMatcher(None, word, other).ratio() for other in unknown)

    return sorted(vocabulary, key=likeness, reverse=True)


Sentence = list[tuple[int | None, str]]
"""Known words with their places in the text; None for one that fills a hole."""


def _unknown_nouns(words: Sequence[str]) -> dict[int, str]:
    """Place -> general noun, of the unknown words that stand where a noun is missing: at most one for the thing, which
    is named before "on", and one for its ground."""
    if not any(word in NUMBERS for word in words):
        return {}
    end = words.index(ON) if ON in words else len(words)
    nouns: dict[int, str] = {}
    for places, own, general in (
        (range(end), {*SHAPES, THING}, THING),
        (range(end, len(words)), {BACKGROUND}, BACKGROUND),
    ):
        unknown = [place for place in places if words[place] not in NUMBERS]
        if unknown and own.isdisjoint(words[place] for place in places):
            nouns[_noun_of(words, unknown)] = general
    return nouns


def _noun_of(words: Sequence[str], unknown: Sequence[int]) -> int:
    """Of the places of unknown words the last one of those that follow a colour, or else an article."""
    for before in (COLOURS, ("a",)):
        for place in unknown:
            if place and words[place - 1] in before:
                while place + 1 in unknown:
                    place += 1
                return place
    return unknown[-1]


def _without_idle_articles(sentence: Sentence) -> Sentence:
    """Without articles that have lost their noun: those before another article, before "on" and at the end."""
    following = [word for _, word in sentence[1:]] + [ON] * bool(sentence)
    return [pair for pair, after in zip(sentence, following, strict=True) if pair[1] != "a" or after not in ("a", ON)]


def _with_colour(sentence: Sentence) -> Sentence:
    """With `coloured` before the thing, where nothing before it names its colour."""
    for n, (_, word) in enumerate(sentence):
        if word in SHAPES or word == THING:
            before = {word for _, word in sentence[:n]}
            if before.isdisjoint({*COLOURS, COLOURED}):
                return [*sentence[:n], (None, COLOURED), *sentence[n:]]
            break
    return sentence
