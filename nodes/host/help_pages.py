"""Help pages under the address that a front end asks for first: that of a page in its own language.

There is one page a node, `web/docs/<node>.md`, in English. A front end asks for `docs/<node>/en.md` before it, or for
`zh.md` and so on, and each such page that is missing is an error in the browser's console.
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from server import PromptServer

__all__ = ["serve_help_pages"]

PACK = Path(__file__).absolute().parents[2]
"""As the host has found it, links not followed: it serves our files under the name of this folder."""
ROUTE = f"/extensions/{PACK.name}/docs/{{node}}/{{locale}}.md"


async def _respond(request: web.Request) -> web.StreamResponse:
    pages = {page.stem: page for page in (PACK / "web" / "docs").glob("*.md")}
    page = pages.get(request.match_info["node"])
    if page is None:
        raise web.HTTPNotFound
    return web.FileResponse(page)


def serve_help_pages() -> None:
    """Add the route to the host's server, once."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and not any(getattr(route, "path", "") == ROUTE for route in server.routes):
        server.routes.get(ROUTE)(_respond)
