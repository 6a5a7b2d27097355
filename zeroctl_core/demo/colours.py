"""The colours that the world names."""

from __future__ import annotations

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.78, 0.10, 0.12),
    "green": (0.10, 0.56, 0.16),
    "blue": (0.10, 0.20, 0.76),
    "yellow": (0.78, 0.72, 0.12),
    "purple": (0.50, 0.12, 0.62),
    "cyan": (0.12, 0.70, 0.74),
    "white": (0.76, 0.76, 0.76),
    "black": (0.10, 0.10, 0.10),
}
"""Albedo of a colour's name; any two differ by at least .35 in Euclidean distance, so that a thing can be told from
its ground."""
