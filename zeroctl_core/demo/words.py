"""The language of the embedded model: every word that it knows, and the way from a prompt to token numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .shapes import SHAPES
from .world import COLOURS

BOS, EOS = "<bos>", "<eos>"
WORDS: tuple[str, ...] = (BOS, EOS, "a", "on", "background", *COLOURS, *SHAPES)
NUMBERS = {word: number for number, word in enumerate(WORDS)}

MAX_TOKENS = 12  # <bos> and <eos> among them; shorter prompts are filled with <eos>, as CLIP's are


@dataclass(frozen=True)
class Tokens:
    """A prompt as numbers, and its words that have none."""

    numbers: tuple[int, ...]  # MAX_TOKENS
    unknown: tuple[str, ...] = ()  # words that are not in WORDS: left out
    cut: tuple[str, ...] = ()  # words beyond the last place: left out


def words_of(text: str) -> list[str]:
    """The words of a text in order: lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def tokenise(text: str) -> Tokens:
    """Numbers of a prompt. The empty prompt is <bos> and <eos>."""
    words = words_of(text)
    vocabulary = [word for word in words if word in NUMBERS]
    room = MAX_TOKENS - 2
    numbers = [NUMBERS[BOS], *(NUMBERS[word] for word in vocabulary[:room])]
    numbers += [NUMBERS[EOS]] * (MAX_TOKENS - len(numbers))
    unknown = dict.fromkeys(word for word in words if word not in NUMBERS)
    return Tokens(tuple(numbers), tuple(unknown), tuple(vocabulary[room:]))
