"""Base architectures: one family of models a file, recognised by what a file holds and never by its name.

A base file reads the spec from the shapes itself, so cut-down nets of a family need no entry of their own.
"""

from __future__ import annotations

from ..network.base import Base, Shapes
from ..registry import Registry, import_files_of

__all__ = ["BASES", "Base", "Shapes", "recognise"]

BASES: Registry[Base] = Registry("base")


def recognise(shapes: Shapes) -> Base | None:
    """The base that these keys and shapes belong to, with the spec read from them; None when no family claims them.

    Raises `ValueError` when a family claims them but they fit no spec at all.
    """
    claims = [base for base in BASES.values() if base.detect(shapes)]
    if len(claims) > 1:
        raise ValueError(f"several bases claim these keys: {', '.join(base.name for base in claims)}")
    if not claims:
        return None
    return claims[0].with_spec(claims[0].read_spec(shapes))


import_files_of(__name__, __path__)
