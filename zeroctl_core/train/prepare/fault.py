"""What can be wrong with a data set, by kind: what cannot be used, and what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NO_CONDITION = "picture without a condition"
NO_PICTURE = "condition without a picture"
SAME_NAME = "two pictures of one name"
UNREADABLE_PICTURE = "unreadable picture"
UNREADABLE_CONDITION = "unreadable condition"
TOO_NARROW = "picture of which a cut to the size leaves nothing"
DOUBLED = "same picture as another"
PROPORTIONS = "condition of other proportions than its picture"

SMALL_PICTURE = "picture smaller than the size, enlarged"
SMALL_CONDITION = "condition smaller than the size, enlarged"
ONE_COLOUR = "condition of one colour"
INVERTED = "mostly white condition, where white lines on black are expected"
GREY = "grey condition, where most have colours"
COLOURED = "condition with colours, where most are grey"
NO_CAPTION = "empty caption"
CAPTION_ALONE = "caption without a picture"
NOT_UTF8 = "caption that is not UTF-8"
UNKNOWN_WORDS = "caption with words that the tokenizer does not know"
CUT = "caption cut by the tokenizer"
NOT_THERE = "name to leave out that does not exist"

UNUSABLE = frozenset(
    {
        NO_CONDITION,
        NO_PICTURE,
        SAME_NAME,
        UNREADABLE_PICTURE,
        UNREADABLE_CONDITION,
        TOO_NARROW,
        DOUBLED,
        PROPORTIONS,
    }
)
"""Kinds that stop a preparation, or are skipped where that is asked for. All others are told."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one sample. `kind` is one of the texts above."""

    kind: str
    name: str
    detail: str = ""

    @property
    def is_unusable(self) -> bool:
        return self.kind in UNUSABLE

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


def lines_of(faults: Sequence[Fault], most: int | None = None) -> list[str]:
    """A line for each kind with its number and the names that have it, what cannot be used first; `most` names."""
    ordered = sorted(faults, key=lambda fault: not fault.is_unusable)
    lines = []
    for kind in dict.fromkeys(fault.kind for fault in ordered):
        names = [str(fault) for fault in ordered if fault.kind == kind]
        rest = f" and {len(names) - most} more" if most is not None and len(names) > most else ""
        use = "cannot be used" if kind in UNUSABLE else "stops nothing"
        lines.append(f"{len(names)} x {kind} ({use}): {', '.join(names[:most])}{rest}")
    return lines
