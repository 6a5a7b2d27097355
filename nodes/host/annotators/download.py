"""Fetch the file of an annotator's network, when a user asks for it: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils

from zeroctl_core.annotators.networks import Network
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.files.sha256 import file_sha256
from zeroctl_core.files.written_whole import check_writable, written_whole

from .roots import target_of

__all__ = ["check_place", "download", "fetch", "link_to_nothing", "repository"]

log = logging.getLogger("zeroctl")

FILE_OF_A_REPOSITORY = re.compile(
    r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)"
)
POLL_SECONDS = 0.2
LONGEST_PATH = 255  # characters that Windows takes without a setting of its own
OLD_LEFTOVERS, A_DAY = ".download-*", 86400  # folders in which earlier versions fetched


def download(network: Network) -> Path:
    """The file of a network, from where it is published to where it belongs; what lies there is replaced.

    It is written aside, compared with the size and the hash that the server names and with the recorded hash, loaded
    once to see that it is what it should be, and only then gets its name. Of several files, which are nothing without
    each other, the recorded hashes decide; the first is fetched last.

    Raises `ImportError` without huggingface_hub, `OSError` where the place cannot be written, the server cannot be
    reached or the file is not the announced or the recorded one, and `CheckpointError` where it holds other weights.
    """
    for file in network.files:
        check_place(target_of(file.file), file.url)
    for file in reversed(network.files):
        target = target_of(file.file)
        with written_whole(target) as part:
            fetch(file.url, part, target=target, sha256=file.sha256)
            if not network.beside:
                load_network(network.name, part)
    return target


def repository(network: Network) -> dict[str, str] | None:
    """The repo, revision and file of a network on Hugging Face; None for one from elsewhere."""
    match = FILE_OF_A_REPOSITORY.fullmatch(network.url)
    return None if match is None else match.groupdict()


def check_place(target: Path, source: str) -> None:
    """Raises `OSError` where a file or folder cannot be written, before anything is fetched for it.

    What earlier versions left half fetched is removed.
    """
    dangling = next((text for folder in target.parents if (text := link_to_nothing(folder))), None)
    try:
        if dangling:
            raise ValueError(dangling)
        check_writable(target)
    except (OSError, ValueError) as error:
        raise OSError(
            f"{source} cannot be put at {target}: {error}. Make that place writable, or download it by hand into "
            "another folder and name that under annotators in extra_model_paths.yaml."
        ) from error
    for folder in target.parent.glob(OLD_LEFTOVERS):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > A_DAY:
            shutil.rmtree(folder, ignore_errors=True)


def link_to_nothing(path: Path) -> str | None:
    """What is wrong with a link whose target is not there; None for all other paths."""
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {os.readlink(path)}, which does not exist"
    return None


def fetch(url: str, path: Path, *, target: Path, sha256: str | None = None) -> None:
    """Write one file to `path`: of a repository of Hugging Face, with the size and the hash that the server names, or
    from any other address, where the recorded hash alone decides.

    Proxies are huggingface_hub's, for its own files HF_ENDPOINT and tokens, too; nobody else is shown a token. The
    host's progress bar goes with it, and an interruption is heard at once. `target` is where the file belongs in the
    end, for messages; `sha256` is the recorded hash.
    Raises the `ImportError` and the `OSError` of `download`.
    """
    by_hand = f"download {url} by hand and put it at {target}"
    try:
        from huggingface_hub.file_download import http_get
    except ImportError as error:
        raise ImportError(
            f"Downloading needs huggingface_hub, which is not installed. Install it, or {by_hand}.",
            name="huggingface_hub",
        ) from error
    log.info("[zeroctl] downloading %s", url)
    try:
        source = _source(url)
        bar = comfy.utils.ProgressBar(100)

        def show() -> None:
            if source.size:
                bar.update_absolute(int(100 * path.stat().st_size / source.size), 100)

        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:  # closed at an interruption, which ends the thread at its next write
            _interruptible(lambda: http_get(source.address, file, headers=source.headers), show)
    except comfy.model_management.InterruptProcessingException:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and len(str(path)) > LONGEST_PATH:
            raise OSError(
                f"{path} is too long, {len(str(path))} characters: move ComfyUI to a shorter folder, turn on long "
                f"paths in Windows, or {by_hand}."
            ) from error
        way = "set HF_ENDPOINT to a server that can be reached, " if FILE_OF_A_REPOSITORY.fullmatch(url) else ""
        raise OSError(f"{url} could not be downloaded ({error}). Try again, {way}or {by_hand}.") from error
    _check(path, source.size, source.etag, url)
    if sha256 is not None and (own := file_sha256(path)) != sha256:
        raise OSError(
            f"{url}: the SHA-256 of {url.rsplit('/', 1)[1]} is {own}, expected {sha256}, which is recorded for the "
            "published file. It was replaced by its publisher or changed on the way, and is not kept. Try again, "
            f"update zeroctl, or put a file of the expected hash at {target}."
        )


@dataclass(frozen=True)
class _Source:
    """Where a file is fetched from, and what its server says of it beforehand."""

    address: str
    headers: dict[str, str]
    size: int | None = None
    etag: str | None = None


def _source(url: str) -> _Source:
    """A repository of Hugging Face is asked; any other server is not, and is shown no token.

    Raises what huggingface_hub raises for a server that cannot be reached.
    """
    match = FILE_OF_A_REPOSITORY.fullmatch(url)
    if match is None:
        return _Source(url, {"Accept-Encoding": "identity"})  # packed, a text would have another size than announced
    hub = importlib.import_module("huggingface_hub")
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    address = hub.hf_hub_url(match["repo"], match["file"], revision=match["revision"], endpoint=endpoint)
    metadata = _interruptible(lambda: hub.get_hf_file_metadata(address))
    headers = importlib.import_module("huggingface_hub.utils").build_hf_headers()
    return _Source(address, headers, metadata.size, metadata.etag)


def _interruptible(work: Callable[[], Any], show: Callable[[], None] = lambda: None) -> Any:
    """What `work` returns or raises, from a thread of its own, which an interruption by the user leaves behind."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="zeroctl download", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        comfy.model_management.throw_exception_if_processing_interrupted()
        show()
    if errors:
        raise errors[0]
    return results[0]


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
