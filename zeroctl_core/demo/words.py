"""The language of the embedded model: every word that the model knows, and the way from a prompt to token numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from .colours import COLOURS
from .names import THINGS
from .scene import DRAWN

BOS, EOS, ON, BACKGROUND = "<bos>", "<eos>", "on", "background"

THING = "thing"
"""Any thing, or one whose noun is not known: captions of training say it too."""

SILENT = frozenset({"a", "an", "the", "of", "to"})
"""Words that carry nothing: no token stands for them, and nothing is missed where they are not written."""

WORDS: tuple[str, ...] = (
    BOS, EOS, ON, BACKGROUND, "and", "left", "right", "above", "below", THING, *COLOURS, *DRAWN, *THINGS
)  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(WORDS)}

_SYNONYMS = """
kitten cat         kitty cat          puppy dog          piglet pig         bumblebee bee
tortoise turtle    snowperson snowman bot robot          android robot      blossom tulip
toadstool mushroom melon watermelon   hamburger burger   cheeseburger burger donut doughnut
mug cup            teacup cup         coffee cup         spaceship rocket   automobile car
cottage house      home house         watch clock        tiara crown        circle ball
disc ball          sphere ball        box square         crescent moon      crimson red
scarlet red        lime green         navy blue          gold yellow        golden yellow
violet purple      lilac purple       turquoise cyan     teal cyan          over above
atop above         under below        underneath below   beneath below      beside and
with and           near and           plus and           next and           backdrop background
ground background  floor background   wall background
"""


def _read(table: str) -> dict[str, str]:
    cells = table.split()
    return dict(zip(cells[::2], cells[1::2], strict=True))


SYNONYMS: Mapping[str, str] = _read(_SYNONYMS)
"""A word that people type -> the word of the model that it is read as."""

MAX_TOKENS = 16
"""<bos> and <eos> among them: three coloured things with two relations on a ground are 13. Shorter prompts are filled
with <eos>, as CLIP's are."""

NOUNS = frozenset({THING, *DRAWN, *THINGS})
BETWEEN = frozenset({"and", "left", "right", "above", "below"})


@dataclass(frozen=True)
class Tokens:
    """A prompt as numbers, and its words that have none."""

    numbers: tuple[int, ...]  # MAX_TOKENS
    places: tuple[int, ...] = ()  # of every number between <bos> and <eos>: which word of the text it is
    unknown: tuple[str, ...] = ()  # words that are not in WORDS
    read_as: Mapping[str, str] = field(default_factory=dict)  # a word -> the one that it is read as
    cut: tuple[str, ...] = ()  # words beyond the last place: left out


def words_of(text: str) -> list[str]:
    """The words of a text in order: lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def tokenise(text: str) -> Tokens:
    """Numbers of a prompt. The empty prompt is <bos> and <eos>, and so is one of which no word is known.

    A synonym or a plural is read as the model's word. Other unknown words are left out, but for the last one where a
    thing has no other noun, which is read as `thing`.
    """
    words = words_of(text)
    read_as = {word: other for word in words if (other := _known_as(word)) not in (None, word)}
    places = [place for place, word in enumerate(words) if word not in SILENT]
    sentence = [_known_as(words[place]) for place in places]
    if any(sentence):
        for n in _unknown_nouns(sentence):
            sentence[n] = read_as[words[places[n]]] = THING
    pairs = [(place, word) for place, word in zip(places, sentence, strict=True) if word is not None]
    room = MAX_TOKENS - 2
    numbers = [NUMBERS[BOS], *(NUMBERS[word] for _, word in pairs[:room])]
    numbers += [NUMBERS[EOS]] * (MAX_TOKENS - len(numbers))
    return Tokens(
        numbers=tuple(numbers),
        places=tuple(place for place, _ in pairs[:room]),
        unknown=tuple(dict.fromkeys(words[place] for place in places if words[place] not in NUMBERS)),
        read_as={word: other for word, other in read_as.items() if other is not None},
        cut=tuple(word for _, word in pairs[room:]),
    )


def unknown_message(tokens: Tokens, vocabulary: Sequence[str] = WORDS[2:]) -> str:
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


def nearest(unknown: Sequence[str], vocabulary: Sequence[str] = WORDS[2:]) -> list[str]:
    """Every word of the model, those first that are written like one of the given."""

    def likeness(word: str) -> float:
        return max(SequenceMatcher(None, word, other).ratio() for other in unknown)

    return sorted(vocabulary, key=likeness, reverse=True)


def _known_as(word: str) -> str | None:
    """The word of the model that a word is or stands for."""
    singular = f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("es")
    for form in (word, word.removesuffix("s"), singular):
        if form in NUMBERS:
            return form
        if form in SYNONYMS:
            return SYNONYMS[form]
    return None


def _unknown_nouns(sentence: Sequence[str | None]) -> set[int]:
    """The places of unknown words, None, that stand for a thing: of every part of the sentence that names none, the
    last."""
    nouns: set[int] = set()
    unknown, has_noun, is_ground = -1, False, False
    for place, word in enumerate([*sentence, "and"]):
        if word in BETWEEN or word in (ON, BACKGROUND):
            if unknown >= 0 and not has_noun and not is_ground:
                nouns.add(unknown)
            unknown, has_noun, is_ground = -1, False, word == ON
        elif word in NOUNS:
            has_noun = True
        elif word is None:
            unknown = place
    return nouns
