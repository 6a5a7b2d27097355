"""Say something loudly: in the log, and in the browser of whoever started the run."""

from __future__ import annotations

import logging

from server import PromptServer

from .on_canvas import canvas_node, title_here

__all__ = ["beginning", "notice", "own_notice"]

log = logging.getLogger("zeroctl")


def notice(title: str, text: str, severity: str = "warn", node: str = "") -> None:
    """Log `text` and send the event `zeroctl.notice` to the browser, which shows it (web/js/messages.js).

    severity: `info`, `warn` or `error`, as the frontend's toasts name them. node: id of the node of the canvas that the
    text is about, which shows it too; empty for none.
    """
    level = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}[severity]
    log.log(level, "[zeroctl] %s: %s", title, text)
    here = canvas_node()
    of_run = here is None or here.id != node
    _send("zeroctl.notice", {"title": title, "text": text, "severity": severity, "node": node, "of_run": of_run})


def own_notice(title: str, text: str, severity: str = "warn") -> None:
    """A notice of the node that is being run. title: of the node, where the canvas shows no other."""
    here = canvas_node()
    notice(title_here(title), text, severity, node=here.id if here else "")


def beginning(nodes: list[str]) -> None:
    """A sampling run begins with the controls of these nodes of the canvas: what the last run noticed is over."""
    _send("zeroctl.run", {"nodes": nodes})


def _send(event: str, data: dict[str, object]) -> None:
    server = getattr(PromptServer, "instance", None)
    if server is not None:  # absent when the host's code is used as a library
        server.send_sync(event, data, server.client_id)
