"""A small JSON object of texts that a page of ours sends; whatever else comes is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aiohttp import ClientError, web

from .sockets import in_words

__all__ = ["Refused", "read_texts"]

MOST_BYTES = 64 * 1024
"""Of a request: names and settings."""


class Refused(Exception):
    """A request that is answered with this status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_texts(request: web.Request, names: Sequence[str]) -> dict[str, str]:
    """The texts of these names, empty for those that are not there.

    Raises `Refused` for what is not a request of a page of ours.
    """
    if request.content_type != "application/json":  # a foreign page can send forms and texts, and no JSON
        raise Refused(415, "Expected JSON.")
    if (request.content_length or 0) > MOST_BYTES:
        raise Refused(413, f"Expected {MOST_BYTES} bytes at most.")
    body = bytearray()
    try:
        async for chunk in request.content.iter_chunked(MOST_BYTES):
            body += chunk
            if len(body) > MOST_BYTES:
                raise Refused(413, f"Expected {MOST_BYTES} bytes at most.")
    except (OSError, ClientError, web.RequestPayloadError):  # the caller went away, or sends what is not HTTP
        raise Refused(400, "Expected the whole request.") from None
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "Expected JSON.") from None
    if not isinstance(values, dict):
        raise Refused(400, "Expected a JSON object.")
    texts = {}
    for name in names:
        texts[name] = values.get(name, "")
        if not isinstance(texts[name], str):
            raise Refused(400, f"{name} is {in_words(texts[name])}, expected a text.")
    return texts
