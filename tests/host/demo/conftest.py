"""The embedded model is loaded once a file, as once a session of a user: every run of a graph is a fresh executor's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_process import Host

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def _model_is_loaded_once(host: Host) -> Iterator[None]:
    """A folder's: those that a test names are loaded, and missing ones refused."""
    demo = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.demo"]
    load, models = demo.load_demo, dict[str, Any]()

    def load_once() -> Any:
        folder = os.environ.get("ZEROCTL_DEMO_WEIGHTS", "")
        if folder not in models:
            models[folder] = load()
        return models[folder]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "load_demo", load_once)
        yield
