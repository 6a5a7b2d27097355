"""Files that other programs have fetched into Hugging Face's cache; looking costs no network call."""

from __future__ import annotations

import importlib
from pathlib import Path


def in_hub_cache(repo: str, name: str, revision: str = "main") -> Path | None:
    """A file of a repository where the cache has it; None where it does not, and without huggingface_hub."""
    try:
        path = importlib.import_module("huggingface_hub").try_to_load_from_cache(repo, name, revision=revision)
    except Exception:  # not installed, not importable, or a cache that it cannot read
        return None
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None
