"""Say something loudly: in the log, and in the browser of whoever started the run."""

from __future__ import annotations

import logging

from server import PromptServer

__all__ = ["notice"]

log = logging.getLogger("zeroctl")


def notice(title: str, text: str, severity: str = "warn") -> None:
    """Log `text` and send the event `zeroctl.notice` to the browser (web/js/notice.js shows it).

    severity: `info`, `warn` or `error`, as the frontend's toasts name them.
    """
    level = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}[severity]
    log.log(level, "[zeroctl] %s: %s", title, text)
    server = getattr(PromptServer, "instance", None)
    if server is not None:  # absent when the host's code is used as a library
        server.send_sync("zeroctl.notice", {"title": title, "text": text, "severity": severity}, server.client_id)
