"""What lies in place of a file when a download or a checkout went wrong, told by its first bytes."""

from __future__ import annotations

__all__ = ["FIRST", "impostor"]

FIRST = 64
"""So many bytes tell it."""


def impostor(start: bytes) -> str | None:
    """What a file that begins so is, in words: a Git LFS pointer, a web page or a JSON text; None for anything else.

    A safetensors file is not taken for a JSON text: eight bytes come before its own.
    """
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page"
    if head.startswith(b"{") and start[8:9] != b"{":
        return "a JSON text"
    return None
