"""Fetch the files of an annotator's network, when a user asks for it: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..annotators.networks import Network
from ..annotators.networks.loading import load_network
from ..annotators.transformers_models import check_transformers, load_model
from ..files.sha256 import file_sha256
from ..files.written_whole import check_writable, folder_written_whole, written_whole
from .finding import link_to_nothing
from .published import FILE_OF_A_REPOSITORY, FILES, OFFERED, WEIGHTS

log = logging.getLogger("zeroctl")

LONGEST_PATH = 255  # characters that Windows takes without a setting of its own
OLD_LEFTOVERS, A_DAY = ".download-*", 86400  # folders in which earlier versions fetched

Wait = Callable[[Callable[[], Any], Callable[[], float]], Any]
"""Gets work and a function that says which share of it is done, 0..1; returns what the work returns or raises."""


def wait_for(work: Callable[[], Any], share: Callable[[], float]) -> Any:
    return work()


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """Where fetched files are put, and how it is waited for them.

    target_of: the place of a file or folder of this name. elsewhere: the remedy where that cannot be written.
    wait: runs what takes long. interruptions: what it raises where the user has had enough, which is handed on.
    """

    target_of: Callable[[str], Path]
    elsewhere: str
    wait: Wait = wait_for
    interruptions: tuple[type[BaseException], ...] = ()

    def network(self, network: Network) -> Path:
        """The file of a network, from where it is published to where it belongs; what lies there is replaced.

        It is written aside, compared with the size and the hash that the server names and with the recorded hash,
        loaded once to see that it is what it should be, and only then gets its name. Of several files, which are
        nothing without each other, the recorded hashes decide; the first is fetched last.

        Raises `ImportError` without huggingface_hub, `OSError` where the place cannot be written, the server cannot be
        reached or the file is not the announced or the recorded one, and `CheckpointError` where it holds other
        weights.
        """
        for file in network.files:
            self._check_place(self.target_of(file.file), file.url)
        for file in reversed(network.files):
            target = self.target_of(file.file)
            with written_whole(target) as part:
                self._fetch(file.url, part, target=target, sha256=file.sha256)
                if not network.beside:
                    load_network(network.name, part)
        return target

    def folder(self, task: str, broken: Sequence[Path] = ()) -> Path:
        """All files of the published model of a task, written aside, loaded once, and given their name together.

        A folder of its name is replaced where it is one of the `broken`, a link to nothing always. What would make it
        fail after minutes of fetching is checked first. Raises what `network` and `load_model` raise.
        """
        published = OFFERED[task]
        target = self.target_of(published.name)
        if target.exists() and target not in broken:
            raise FileExistsError(
                f"There is a {target}, but it is not a folder with a model for {task}: perhaps a download by hand that "
                "is not complete. Complete it or remove it, and try again."
            )
        check_transformers(task)
        self._check_place(target / FILES[0] if target.exists() else target, published.url)
        with folder_written_whole(target) as part:
            for name in FILES:
                sha256 = published.sha256 if name == WEIGHTS else None
                self._fetch(f"{published.url}/resolve/main/{name}", part / name, target=target / name, sha256=sha256)
            load_model(part, task)
        return target

    def _check_place(self, target: Path, source: str) -> None:
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
                f"another folder and {self.elsewhere}."
            ) from error
        for folder in target.parent.glob(OLD_LEFTOVERS):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > A_DAY:
                shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, url: str, path: Path, *, target: Path, sha256: str | None = None) -> None:
        """Write one file to `path`: of a repository of Hugging Face, with the size and the hash that the server names,
        or from any other address, where the recorded hash alone decides.

        Proxies are huggingface_hub's, for its own files HF_ENDPOINT and tokens, too; nobody else is shown a token.
        `target` is where the file belongs in the end, for messages; `sha256` is the recorded hash.
        Raises the `ImportError` and the `OSError` of `network`.
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
            source = self._source(url)

            def share() -> float:
                return path.stat().st_size / source.size if source.size else 0.0

            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:  # closed at an interruption, which ends the thread at its next write
                self.wait(lambda: http_get(source.address, file, headers=source.headers), share)
        except self.interruptions:
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and len(str(path)) > LONGEST_PATH:
                raise OSError(
                    f"{path} is too long, {len(str(path))} characters: move its folder to a shorter one, turn on long "
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

    def _source(self, url: str) -> _Source:
        """A repository of Hugging Face is asked; any other server is not, and is shown no token.

        Raises what huggingface_hub raises for a server that cannot be reached.
        """
        match = FILE_OF_A_REPOSITORY.fullmatch(url)
        if match is None:
            return _Source(
                url, {"Accept-Encoding": "identity"}
            )  # packed, a text would have another size than announced
        hub = importlib.import_module("huggingface_hub")
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        address = hub.hf_hub_url(match["repo"], match["file"], revision=match["revision"], endpoint=endpoint)
        metadata = self.wait(lambda: hub.get_hf_file_metadata(address), lambda: 0.0)
        headers = importlib.import_module("huggingface_hub.utils").build_hf_headers()
        return _Source(address, headers, metadata.size, metadata.etag)


@dataclass(frozen=True)
class _Source:
    """Where a file is fetched from, and what its server says of it beforehand."""

    address: str
    headers: dict[str, str]
    size: int | None = None
    etag: str | None = None


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
