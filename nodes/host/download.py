"""Fetch the file of an annotator's network, when a user asks for it: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from pathlib import Path

from zeroctl_core.annotators.networks import Network
from zeroctl_core.annotators.networks.loading import load_network

from .annotator_files import target_of

__all__ = ["download"]

log = logging.getLogger("zeroctl")

PUBLISHED = re.compile(r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


def download(network: Network) -> Path:
    """The file of a network, from where it is published to where it belongs.

    It is written aside, compared with the size and the SHA-256 that the server names, loaded once to see that it is
    what it should be, and only then moved to its place. HF_ENDPOINT, proxies and tokens are huggingface_hub's.

    Raises:
        ImportError: huggingface_hub is not installed.
        OSError: the server cannot be reached, or the file is not what it says.
        CheckpointError: the file holds other weights.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"Downloading needs huggingface_hub, which is not installed. Install it, or download {network.url} and "
            f"put it at {target_of(network)}.",
            name="huggingface_hub",
        ) from error
    parts = PUBLISHED.fullmatch(network.url)
    if parts is None:
        raise ValueError(
            f"{network.url} is not a file of a repository; download it and put it at {target_of(network)}."
        )
    repo, revision, name = parts["repo"], parts["revision"], parts["file"]
    target = target_of(network)
    target.parent.mkdir(parents=True, exist_ok=True)
    log.info("[zeroctl] downloading %s to %s", network.url, target)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as aside:
        try:
            where = {"revision": revision, "endpoint": os.environ.get("HF_ENDPOINT")}
            told = huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repo, name, **where))
            fetched = Path(huggingface_hub.hf_hub_download(repo, name, local_dir=aside, **where))
        except Exception as error:
            raise OSError(
                f"{network.url} could not be downloaded ({error}). Download it by hand and put it at {target}."
            ) from error
        _check(fetched, told.size, told.etag, network.url)
        load_network(network.name, fetched)
        os.replace(fetched, target)
    return target


def _check(path: Path, size: int | None, etag: str | None, url: str) -> None:
    """Raises `OSError` unless the file has the size, and where the server names a SHA-256 that one too."""
    found = path.stat().st_size
    if size is not None and found != size:
        raise OSError(f"{url}: {found} bytes came, {size} were announced. Try again.")
    if etag is not None and re.fullmatch(r"[0-9a-f]{64}", etag):
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        if digest != etag:
            raise OSError(f"{url}: the SHA-256 of what came is {digest}, announced was {etag}. Try again.")
