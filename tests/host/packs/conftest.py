"""Other packs, where their checkouts are: ZEROCTL_PACKS names folders that hold them, or the checkouts themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from host_process import Host


def checkouts() -> list[Path]:
    named = [Path(p).expanduser().resolve() for p in os.environ.get("ZEROCTL_PACKS", "").split(os.pathsep) if p]
    return [
        path for folder in named for path in (folder, *sorted(folder.iterdir())) if (path / "__init__.py").is_file()
    ]


@pytest.fixture(scope="session")
def load_pack(host: Host) -> Callable[[str], None]:
    """`load_pack(folder)`: another pack in the host, once; skips loudly where its checkout is not named."""
    loaded: set[str] = set()

    def load(folder: str) -> None:
        if folder in loaded:
            return
        path = next((path for path in checkouts() if path.name == folder), None)
        if path is None:
            pytest.skip(f"*** {folder} WAS NOT TRIED: name the folder of its checkout in ZEROCTL_PACKS ***")
        host.load_pack(path)
        loaded.add(folder)

    return load
