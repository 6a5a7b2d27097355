"""POST /zeroctl/pairing: what the ControlNet files are, and which of them fit the MODEL of a loader.

Only names that the host lists are looked up, only headers are read, and only what they show is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from server import PromptServer

from ..family import Family
from ..json_request import Refused, read_texts
from ..one_at_a_time import OneAtATime
from .files import Condition, Net, nets, source_family

__all__ = ["ROUTE", "serve_pairing"]

ROUTE = "/zeroctl/pairing"
Conditions = Callable[[], Mapping[str, Condition]]
"""-> what each annotator draws, by its name."""


class Pairing:
    """The one place where headers are read for pages, for one request after the other."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._worker = OneAtATime("lists")

    async def respond(self, request: web.Request) -> web.Response:
        try:
            texts = await read_texts(request, ("folder", "name"))
            body = await self._worker.run(lambda: self._look_up(texts))
        except Refused as refused:
            return web.json_response({"message": str(refused)}, status=refused.status)
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    def _look_up(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """model: the title of its family, empty where it is not known. files: in the order of the node's list."""
        family = source_family(texts["folder"], texts["name"])
        entries = [_entry(net, family) for net in nets(self._conditions())]
        return {"model": "" if family is None else family.name, "files": entries}


def _entry(net: Net, family: Family | None) -> dict[str, Any]:
    """fits: whether the MODEL takes it; None where one of the two families is not known."""
    fits = None if net.family is None or family is None else family.takes(net.family)
    return {
        "name": net.name,
        "family": "" if net.family is None else net.family.name,
        "kind": net.kind,
        "fits": fits,
        "fault": net.fault,
        "reads": net.reads,
        "annotators": dict(net.annotators),
    }


def serve_pairing(conditions: Conditions) -> None:
    """Add the route to the host's server, once."""
    server = getattr(PromptServer, "instance", None)
    if server is None or any(getattr(route, "path", "") == ROUTE for route in server.routes):
        return
    server.routes.post(ROUTE)(Pairing(conditions).respond)
