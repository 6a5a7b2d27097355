"""Batches in chunks: what does not fit is halved, progress is told, an interruption is heard."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from host_process import Host

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture()
def chunks(host: Host) -> ModuleType:
    return sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.annotators.chunks"]


def test_on_a_cpu_pictures_go_one_by_one(chunks) -> None:
    assert chunks.in_chunks(3, torch.device("cpu"), lambda part: (part.start, part.stop)) == [(0, 1), (1, 2), (2, 3)]


def test_a_chunk_that_does_not_fit_is_halved(chunks, monkeypatch) -> None:
    import comfy.model_management as management

    def fitting(first, device) -> int:
        first()
        return 8

    def run(part: slice) -> list[int]:
        if part.stop - part.start > 3:
            raise management.OOM_EXCEPTION("full")
        return list(range(part.start, part.stop))

    monkeypatch.setattr(chunks, "_fitting", fitting)
    results = chunks.in_chunks(8, torch.device("cuda"), run)
    assert [len(part) for part in results] == [1, 2, 2, 2, 1] and sum(results, []) == list(range(8))

    def never(part: slice) -> None:
        raise management.OOM_EXCEPTION("full")

    with pytest.raises(management.OOM_EXCEPTION):
        chunks.in_chunks(2, torch.device("cuda"), never)


def test_an_interruption_is_heard_between_chunks(chunks) -> None:
    import comfy.model_management as management

    starts = []

    def run(part: slice) -> None:
        starts.append(part.start)
        management.interrupt_current_processing()

    with pytest.raises(management.InterruptProcessingException):
        chunks.in_chunks(3, torch.device("cpu"), run)
    assert starts == [0]
