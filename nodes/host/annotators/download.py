"""Fetching for the host: into its folder of annotators, with its bar, and an interruption is heard at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils

from zeroctl_core.annotator_files.fetching import Fetching
from zeroctl_core.annotators.networks import Network

from .roots import target_of

__all__ = ["download", "download_folder"]

POLL_SECONDS = 0.2


def download(network: Network) -> Path:
    """The file of a network, put where it belongs. Raises what `Fetching.network` raises."""
    return _fetching().network(network)


def download_folder(task: str, broken: Sequence[Path]) -> Path:
    """The folder of the published model of a task; one of the `broken` is replaced. Raises what `Fetching.folder`
    raises."""
    return _fetching().folder(task, broken)


def _fetching() -> Fetching:
    return Fetching(
        target_of=target_of,
        elsewhere="name that under annotators in extra_model_paths.yaml",
        wait=_interruptible,
        interruptions=(comfy.model_management.InterruptProcessingException,),
    )


def _interruptible(work: Callable[[], Any], share: Callable[[], float]) -> Any:
    """What `work` returns or raises, from a thread of its own, which an interruption by the user leaves behind."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    bar = comfy.utils.ProgressBar(100)
    thread = threading.Thread(target=run, name="zeroctl download", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(int(100 * share()), 100)
    if errors:
        raise errors[0]
    return results[0]
