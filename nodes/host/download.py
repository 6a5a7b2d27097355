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

__all__ = ["download", "fetch"]

log = logging.getLogger("zeroctl")

PUBLISHED = re.compile(r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


def download(network: Network) -> Path:
    """The file of a network, from where it is published to where it belongs.

    It is written aside, compared with the size and the SHA-256 that the server names, loaded once to see that it is
    what it should be, and only then moved to its place.

    Raises:
        ImportError: huggingface_hub is not installed.
        OSError: the server cannot be reached, or the file is not what it says.
        CheckpointError: the file holds other weights.
    """
    target = target_of(network)
    parts = PUBLISHED.fullmatch(network.url)
    if parts is None:
        raise ValueError(
            f"{network.url} is not a file that can be fetched; download it by hand and put it at {target}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as aside:
        fetched = fetch(parts["repo"], parts["file"], Path(aside), parts["revision"])
        load_network(network.name, fetched)
        os.replace(fetched, target)
    return target


def fetch(repo: str, name: str, folder: Path, revision: str = "main") -> Path:
    """One file of a repository of Hugging Face into a folder, with the size and the SHA-256 that the server names.

    HF_ENDPOINT, proxies and tokens are huggingface_hub's, and so is the progress bar. Raises what `download` raises.
    """
    url = f"https://huggingface.co/{repo}/resolve/{revision}/{name}"
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"Downloading needs huggingface_hub, which is not installed. Install it, or download {url} by hand.",
            name="huggingface_hub",
        ) from error
    log.info("[zeroctl] downloading %s", url)
    where = {"revision": revision, "endpoint": os.environ.get("HF_ENDPOINT")}
    try:
        told = huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repo, name, **where))
        path = Path(huggingface_hub.hf_hub_download(repo, name, local_dir=folder, **where))
    except Exception as error:
        raise OSError(f"{url} could not be downloaded ({error}). Download it by hand.") from error
    _check(path, told.size, told.etag, url)
    return path


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
