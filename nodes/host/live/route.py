"""POST /zeroctl/preview: the condition that a node would make with its settings as they are, of a picture known here.

Nothing comes from the caller but names and settings: the picture is a file of ComfyUI's folders, or what the node was
last given. One picture is drawn at a time, so that a run in the queue loses one thread at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from server import PromptServer

from zeroctl_core.annotators import Annotator

from ..json_request import Refused, read_texts
from ..one_at_a_time import OneAtATime
from .render import render
from .small import last_of, small_file

__all__ = ["ROUTE", "serve_previews"]

ROUTE = "/zeroctl/preview"
Settings = Callable[[str, str], tuple[Annotator | None, Mapping[str, Any]]]
"""(name of an annotator, its settings as JSON) -> the annotator and its checked settings; `ValueError` otherwise."""

log = logging.getLogger("zeroctl")


@dataclass(frozen=True)
class Wish:
    """node_id: of the canvas. annotator: its name, settings: JSON. file: as Load Image names it, or empty."""

    node_id: str
    annotator: str
    settings: str
    file: str


class Previews:
    """The one place where conditions are drawn for pages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._worker = OneAtATime("previews")

    async def respond(self, request: web.Request) -> web.Response:
        try:
            wish = Wish(**await read_texts(request, ("node_id", "annotator", "settings", "file")))
            body = await self._worker.run(lambda: self._draw(wish, request))
        except Refused as refused:
            return web.json_response({"message": str(refused)}, status=refused.status)
        except (ValueError, ImportError) as error:  # no picture, settings, a package that is missing
            return web.json_response({"message": str(error)})  # a page would log another status than 200 as an error
        return web.Response(body=body, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    def _draw(self, wish: Wish, request: web.Request) -> bytes:
        if request.transport is None or request.transport.is_closing():
            return b""  # nobody is there to see it
        annotator, settings = self._settings(wish.annotator, wish.settings)
        small = small_file(wish.file) if wish.file else last_of(wish.node_id)
        return render(small, annotator, settings)


def serve_previews(settings: Settings) -> None:
    """Add the route to the host's server, once."""
    server = getattr(PromptServer, "instance", None)
    if server is None or any(getattr(route, "path", "") == ROUTE for route in server.routes):
        return
    server.routes.post(ROUTE)(Previews(settings).respond)
