"""Fetch the file of an annotator's network, when a user asks for it: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils

from zeroctl_core.annotators.networks import Network
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.files.sha256 import file_sha256

from .roots import target_of

__all__ = ["download", "fetch"]

log = logging.getLogger("zeroctl")

FILE_OF_A_REPOSITORY = re.compile(
    r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)"
)


def download(network: Network) -> Path:
    """The file of a network, from where it is published to where it belongs.

    It is written aside, compared with the size and the hash that the server names and with the recorded hash, loaded
    once to see that it is what it should be, and only then moved to its place.

    Raises `ImportError` without huggingface_hub, `OSError` where the server cannot be reached or the file is not the
    announced or the recorded one, and `CheckpointError` where it holds other weights.
    """
    target = target_of(network.file)
    parts = FILE_OF_A_REPOSITORY.fullmatch(network.url)
    if parts is None:
        raise ValueError(
            f"{network.url} is not a file that can be fetched; download it by hand and put it at {target}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent, ignore_cleanup_errors=True) as aside:
        path = fetch(parts["repo"], parts["file"], Path(aside), parts["revision"], target=target, sha256=network.sha256)
        load_network(network.name, path)
        os.replace(path, target)
    return target


def fetch(
    repo: str, name: str, folder: Path, revision: str = "main", *, target: Path, sha256: str | None = None
) -> Path:
    """One file of a repository of Hugging Face into a folder, with the size and the hash that the server names.

    HF_ENDPOINT, proxies and tokens are huggingface_hub's. The host's progress bar goes with it, and it may be
    interrupted. `target` is where the file belongs in the end, for messages; `sha256` is the recorded hash.
    Raises the `ImportError` and the `OSError` of `download`.
    """
    url = f"https://huggingface.co/{repo}/resolve/{revision}/{name}"
    by_hand = f"download {url} by hand and put it at {target}"
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"Downloading needs huggingface_hub, which is not installed. Install it, or {by_hand}.",
            name="huggingface_hub",
        ) from error
    log.info("[zeroctl] downloading %s", url)
    where: dict[str, Any] = {"revision": revision, "endpoint": os.environ.get("HF_ENDPOINT")}
    try:
        metadata = huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repo, name, **where))
        if "tqdm_class" in inspect.signature(huggingface_hub.hf_hub_download).parameters:
            where["tqdm_class"] = _bar_of_the_host()
        path = Path(huggingface_hub.hf_hub_download(repo, name, local_dir=folder, **where))
    except comfy.model_management.InterruptProcessingException:
        raise
    except Exception as error:
        raise OSError(
            f"{url} could not be downloaded ({error}). Try again, set HF_ENDPOINT to a server that can be reached, "
            f"or {by_hand}."
        ) from error
    _check(path, metadata.size, metadata.etag, url)
    if sha256 is not None and (own := file_sha256(path)) != sha256:
        raise OSError(
            f"{url}: the SHA-256 of {name} is {own}, expected {sha256}, which is recorded for the published file. It "
            "was replaced by its publisher or changed on the way, and is not kept. Try again, update zeroctl, or put a "
            f"file of the expected hash at {target}."
        )
    return path


def _bar_of_the_host() -> type:
    """huggingface_hub's progress bar, which moves the host's and stops the download at an interruption."""
    base: Any = importlib.import_module("huggingface_hub.utils").tqdm

    class Bar(base):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.of_host = comfy.utils.ProgressBar(100)

        def update(self, n: float | None = 1) -> Any:
            comfy.model_management.throw_exception_if_processing_interrupted()
            result = super().update(n)
            if getattr(self, "total", None):  # a bar that is switched off has none
                self.of_host.update_absolute(int(100 * self.n / self.total), 100)
            return result

    return Bar


def _check(path: Path, size: int | None, etag: str | None, url: str) -> None:
    """Raises `OSError` unless the file has the size and the hash that the server names.

    Of large files a server names the SHA-256, of small ones git's SHA-1; another etag says nothing of the content.
    """
    own_size = path.stat().st_size
    if size is not None and own_size != size:
        raise OSError(f"{url}: {own_size} bytes came, {size} were announced. Try again.")
    if etag is None or not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", etag):
        return
    kind, own = ("SHA-256", file_sha256(path)) if len(etag) == 64 else ("SHA-1 of git", _git_sha1(path))
    if own != etag:
        raise OSError(f"{url}: the {kind} of what came is {own}, announced was {etag}. Try again.")


def _git_sha1(path: Path) -> str:
    """The hash that git has for a small file."""
    content = path.read_bytes()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
