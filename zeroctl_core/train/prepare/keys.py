"""Digits that stand for what something was made from."""

from __future__ import annotations

import hashlib
import json

FORMAT = 1
"""Of the rows: a change here makes every cache anew."""


def key_of(*parts: object) -> str:
    """32 hexadecimal digits of numbers, texts and lists of them: other parts, other digits."""
    return hashlib.sha256(json.dumps([FORMAT, *parts], sort_keys=True).encode()).hexdigest()[:32]
