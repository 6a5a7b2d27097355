"""Import files and folders that are not installed: by their path, with `sys.path` left as it is."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

import torch

from benchmarks.machine import ROOT


class FolderFinder:
    """Finds top-level modules in one folder, before or behind those that are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self.folder], target) if path is None else None


def install_folder(folder: Path, *, first: bool) -> FolderFinder:
    """Let imports find the modules of a folder for the rest of the process, or until it is taken from `meta_path`."""
    finder = FolderFinder(folder)
    sys.meta_path.insert(0 if first else len(sys.meta_path), finder)
    return finder


class MockFinder:
    """Makes a mock of every module of some packages: for what others import and a measurement does not need."""

    def __init__(self, packages: Iterable[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in self.packages else None

    def create_module(self, spec: ModuleSpec) -> Any:
        return MagicMock(name=spec.name)

    def exec_module(self, module: Any) -> None:
        """A mock is complete as it is."""


def mock_missing(*packages: str) -> None:
    """Let imports of these packages give mocks for the rest of the process, where they are not installed."""
    if names := missing(*packages):
        sys.meta_path.append(MockFinder(names))


@contextmanager
def importing(folder: Path, package: str, stubs: Iterable[str] = ()) -> Iterator[None]:
    """Import from a folder, with mocks for `stubs`; afterwards the package's name is free again.

    Both releases of ControlNet call their package `annotator`. `cuda()` does nothing, so that all runs on the CPU.
    """
    before = dict(sys.modules)
    sys.modules.update({name: MagicMock() for name in stubs})
    finder = install_folder(folder, first=True)
    stay = patch.object(torch.Tensor, "cuda", lambda self: self)
    stay_too = patch.object(torch.nn.Module, "cuda", lambda self: self)
    try:
        with stay, stay_too, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.meta_path.remove(finder)
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


def from_tests(path: str) -> ModuleType:
    """A file below `tests/`, named without its suffix, under the bare name by which the tests import each other."""
    file = ROOT / "tests" / f"{path}.py"
    loaded = sys.modules.get(file.stem)
    if loaded is not None and Path(loaded.__file__ or "") == file:
        return loaded
    return single_file(file, file.stem)


def missing(*names: str) -> list[str]:
    """Of packages and their modules those whose package is not installed."""
    return [name for name in names if importlib.util.find_spec(name.partition(".")[0]) is None]
