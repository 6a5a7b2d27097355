"""The language of the things: every word that the model knows, and the way from a prompt to token numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ..words import BOS, EOS, Tokens, words_of
from ..world import COLOURS
from .names import THINGS
from .scene import DRAWN

THING = "thing"
"""Any thing, or one whose noun is not known: captions of training say it too."""

SILENT = frozenset({"a", "an", "the", "of"})
"""Words that carry nothing: no token stands for them, and nothing is missed where they are not written."""

WORDS: tuple[str, ...] = (
    BOS, EOS, "on", "background", "and", "left", "right", "above", "below", THING, *COLOURS, *DRAWN, *THINGS
)  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(WORDS)}

MAX_TOKENS = 16
"""<bos> and <eos> among them: three coloured things with two relations on a ground are 13. Shorter prompts are filled
with <eos>, as CLIP's are."""


NOUNS = frozenset({THING, *DRAWN, *THINGS})
BETWEEN = frozenset({"and", "left", "right", "above", "below"})


def tokenise(text: str) -> Tokens:
    """Numbers of a prompt. The empty prompt is <bos> and <eos>, and so is one of which no word is known.

    Unknown words are left out, but for the last one where a thing has no other noun, which is read as `thing`.
    """
    words = [word for word in words_of(text) if word not in SILENT]
    nouns = _unknown_nouns(words) if any(word in NUMBERS for word in words) else set()
    content = [
        THING if place in nouns else word for place, word in enumerate(words) if place in nouns or word in NUMBERS
    ]
    room = MAX_TOKENS - 2
    numbers = [NUMBERS[BOS], *(NUMBERS[word] for word in content[:room])]
    numbers += [NUMBERS[EOS]] * (MAX_TOKENS - len(numbers))
    unknown = dict.fromkeys(word for word in words if word not in NUMBERS)
    return Tokens(numbers=tuple(numbers), unknown=tuple(unknown), cut=tuple(content[room:]))


def _unknown_nouns(words: Sequence[str]) -> set[int]:
    """The places of unknown words that stand for a thing: of every part of the sentence that names none, the last."""
    nouns: set[int] = set()
    unknown, has_noun, is_ground = -1, False, False
    for place, word in enumerate([*words, "and"]):
        if word in BETWEEN or word in ("on", "background"):
            if unknown >= 0 and not has_noun and not is_ground:
                nouns.add(unknown)
            unknown, has_noun, is_ground = -1, False, word == "on"
        elif word in NOUNS:
            has_noun = True
        elif word not in NUMBERS:
            unknown = place
    return nouns
