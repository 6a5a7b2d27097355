"""How the keys and shapes of a file differ from what a network has, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .plural import plural

NAMED_KEYS = 3
"""So many keys of each kind are named in an error."""
LONGEST_TEXT = 100
"""Characters of a key, a value or a reason that comes from a file, in a message."""
LONGEST_REASON = 400
"""Characters of an error that is passed on in a message."""

Shapes = Mapping[str, tuple[int, ...]]


def short(text: str, length: int = LONGEST_TEXT) -> str:
    """A text from a file for a message: cut where it is long, without line breaks and what cannot be printed."""
    cut = text if len(text) <= length else text[: length - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in cut)


def named(keys: Collection[str]) -> str:
    """The first keys, and how many more there are."""
    rest = len(keys) - NAMED_KEYS
    return ", ".join(short(key) for key in list(keys)[:NAMED_KEYS]) + (f" and {rest} more" if rest > 0 else "")


def key_faults(expected: Shapes, shapes: Shapes) -> list[str]:
    """What is missing, too much or in another shape, one phrase each; empty where the two are the same."""
    missing = [key for key in expected if key not in shapes]
    extra = [key for key in shapes if key not in expected]
    reshaped = [
        f"{short(key)} {short(str(list(shapes[key])))} instead of {list(shape)}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    faults = []
    if missing:
        faults.append(f"{plural(len(missing), 'key')} missing ({named(missing)})")
    if extra:
        faults.append(f"{plural(len(extra), 'key')} too many ({named(extra)})")
    if reshaped:
        faults.append(f"{plural(len(reshaped), 'key')} in another shape ({named(reshaped)})")
    return faults
