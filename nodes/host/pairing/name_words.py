"""What a ControlNet was trained on, as far as the name of its file says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["OTHERS", "words_in"]

OTHERS = ("animalopenpose", "densepose", "facemesh", "face", "ip2p", "pix2pix", "qrcode", "qrpattern", "mask")
"""In the names of nets for conditions that no annotator here draws."""
SHORTEST = 5
"""Letters of a word that may be a part of another, as in `softedges`; a shorter one stands alone, as in `sd15_seg`."""
BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[\W_]+")

Span = tuple[int, int]


def words_in(name: str, words: Iterable[str]) -> list[str]:
    """Those of the words that are in a name, in their order; of words that overlap, the longest counts.

    `lineartanime` is in `control_v11p_sd15s2_lineart_anime` and in `LineArtAnime`; `lineart` then is not.
    """
    parts = [part.lower() for part in BETWEEN_WORDS.split(name) if part]
    text, ends = "".join(parts), [0]
    for part in parts:
        ends.append(ends[-1] + len(part))
    places = {word: spans for word in words if (spans := _spans(word, text, ends))}
    return [word for word, spans in places.items() if not all(_is_covered(span, places) for span in spans)]


def _spans(word: str, text: str, ends: Sequence[int]) -> list[Span]:
    begins = [match.start() for match in re.finditer(f"(?={re.escape(word)})", text)]
    spans = [(begin, begin + len(word)) for begin in begins]
    return spans if len(word) >= SHORTEST else [span for span in spans if set(span) <= set(ends)]


def _is_covered(span: Span, places: Mapping[str, Sequence[Span]]) -> bool:
    """Whether a longer word has some of the same letters."""
    length = span[1] - span[0]
    return any(
        end - begin > length and begin < span[1] and span[0] < end for spans in places.values() for begin, end in spans
    )
