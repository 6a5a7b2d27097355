"""Import from a folder that is not installed, without what it imports besides, and leave its names free again."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock, patch

import torch


@contextmanager
def importing(folder: Path, package: str, stubs: Iterable[str] = ()) -> Iterator[None]:
    """Import from a folder, with mocks for `stubs`; afterwards the package's name is free again.

    Both releases of ControlNet call their package `annotator`. `cuda()` does nothing, so that all runs on the CPU.
    """
    before = dict(sys.modules)
    sys.modules.update({name: MagicMock() for name in stubs})
    sys.path.insert(0, str(folder))
    stay = patch.object(torch.Tensor, "cuda", lambda self: self)
    stay_too = patch.object(torch.nn.Module, "cuda", lambda self: self)
    try:
        with stay, stay_too, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == package or name in stubs]:
            del sys.modules[name]
            if name in before:
                sys.modules[name] = before[name]


def empty_package(name: str, folder: Path) -> None:
    """A package whose __init__.py, which imports every detector, is not run."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def single_file(path: Path, name: str) -> ModuleType:
    """The module of one file, under a name of our own."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def missing(*names: str) -> list[str]:
    """Of packages and their modules those whose package is not installed."""
    return [name for name in names if importlib.util.find_spec(name.partition(".")[0]) is None]
