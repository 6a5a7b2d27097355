"""The network that an annotator needs with its settings, from one folder: found, or fetched into it, and loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from ..annotators import Annotator
from ..annotators.networks import NETWORKS, Network
from ..annotators.networks.loading import load_network
from ..annotators.params import Value
from ..annotators.transformers_models import load_model
from ..annotators.transformers_models.weights import weight_files
from ..files.key_faults import short
from ..files.sha256 import file_sha256
from ..files.weight_file import CheckpointError
from .fetching import Fetching
from .finding import (
    first_folder,
    first_that_loads,
    folder_copies,
    folders_for,
    missing_folder,
    missing_network,
    model_folders,
    network_copies,
)
from .published import FILES, OFFERED

ELSEWHERE = "name that folder with --annotators"
REMEDY = f"or {ELSEWHERE}, or fetch what is missing with --download"


@dataclass(frozen=True, eq=False)
class AnnotatorNet:
    """What an annotator takes as its `net`.

    name: of its file or folder, for people. digest: of the content of its files: other digits, other conditions.
    load: the module, where it computes at the moment; called before every use.
    """

    name: str
    digest: str
    load: Callable[[], nn.Module]


def network_files(network: Network, path: Path) -> list[Path]:
    """A copy of a network's file, and those beside it that belong to it."""
    return [path, *(place for file in network.beside if (place := path.with_name(file.file)).exists())]


def folder_files(folder: Path) -> list[Path]:
    """The files of a folder that decide what its model computes.

    Raises `CheckpointError` for a folder without weights.
    """
    return [*(folder / name for name in FILES[:-1] if (folder / name).is_file()), *weight_files(folder)]


def digest_of(files: Sequence[Path]) -> str:
    """Digits of the content of files in order: other bytes, other digits. Names and places do not count."""
    return hashlib.sha256(" ".join(map(file_sha256, files)).encode()).hexdigest()


def default_folder() -> Path:
    """ComfyUI's models/annotators where this repository lies in its custom_nodes, else models/annotators here."""
    packs = Path(__file__).absolute().parents[2].parent
    return (packs.parent if packs.name == "custom_nodes" else Path()) / "models" / "annotators"


@dataclass(frozen=True)
class AnnotatorFolder:
    """A folder with files of annotators, subfolders too; Hugging Face's cache is looked into beside it.

    may_download: whether what is missing is fetched into it. say: tells of copies that are passed over.
    """

    root: Path
    may_download: bool = False
    say: Callable[[str], None] = print

    def net(self, annotator: Annotator, settings: Mapping[str, Value], model: str = "") -> AnnotatorNet | None:
        """The network of an annotator with these settings, loaded; None where it needs none.

        `model`: the folder of a transformers model, its path below `root`; empty: the published one, else the first.

        Raises `FileNotFoundError` for what is nowhere and may not be fetched, `ValueError` for a model that does not
        exist, and what `load_network`, `load_model` and `Fetching` raise.
        """
        if annotator.task:
            return self._of_folder(annotator.task, model)
        name = annotator.network(**settings)
        return None if name is None else self._of_network(NETWORKS[name])

    def same_net(self, annotator: Annotator, settings: Mapping[str, Value], digest: str) -> AnnotatorNet:
        """The network whose files have this digest, and no other of its kind. Nothing is fetched.

        Raises `ValueError` where it is not there.
        """
        for path, files, load in self._copies(annotator, settings):
            if all(file.is_file() for file in files) and digest_of(files) == digest:
                return _loaded(path, files, load)
        name = annotator.network(**settings)
        what = f"a folder for {annotator.task}" if name is None else " and ".join(f.file for f in NETWORKS[name].files)
        raise ValueError(
            f"{self.root} does not hold the network that drew the conditions of {annotator.name} ({what}, digits "
            f"{digest[:12]}), and scores draw them again with it: name the folder that holds it with --annotators, or "
            "train without scores by --score-every 0"
        )

    def _copies(
        self, annotator: Annotator, settings: Mapping[str, Value]
    ) -> Iterator[tuple[Path, list[Path], Callable[[Path], nn.Module]]]:
        """Every copy of an annotator's network: its file or folder, all of its files, and what loads it."""
        if annotator.task:
            folders = folders_for(annotator.task, model_folders([self.root]))
            copies = [*folders.values(), *folder_copies(annotator.task, OFFERED[annotator.task].name, folders)]
            for folder in dict.fromkeys(copies):
                try:
                    yield folder, folder_files(folder), lambda path: load_model(path, annotator.task)
                except CheckpointError as error:
                    self.say(f"passed over: {error}")
        elif (name := annotator.network(**settings)) is not None:
            network = NETWORKS[name]
            for path in network_copies(network, [self.root]):
                yield path, network_files(network, path), lambda path: load_network(network.name, path)

    def _of_network(self, network: Network) -> AnnotatorNet:
        return first_that_loads(
            network_copies(network, [self.root]),
            lambda path: _loaded(path, network_files(network, path), lambda path: load_network(network.name, path)),
            fetch=(lambda broken: self._fetching().network(network)) if self.may_download else None,
            missing=lambda: missing_network(network, [self.root], self._target_of, REMEDY),
            remedy="or fetch it again with --download",
            say=self.say,
        )

    def _of_folder(self, task: str, model: str) -> AnnotatorNet:
        folders = folders_for(task, model_folders([self.root]))
        name = model or first_folder(task, folders)
        is_published = name == OFFERED[task].name
        may_fetch = self.may_download and is_published
        if name not in folders and not is_published:
            raise ValueError(
                f"model is {short(repr(name))}; {self.root} has no folder of that name with a model for {task}; there "
                f"are: {', '.join(folders) or 'none'}"
            )
        return first_that_loads(
            folder_copies(task, name, folders),
            lambda folder: _loaded(folder, folder_files(folder), lambda path: load_model(path, task)),
            fetch=(lambda broken: self._fetching().folder(task, broken)) if may_fetch else None,
            missing=lambda: missing_folder(task, folders, self._target_of, REMEDY),
            remedy="or fetch it again with --download" if is_published else "and download it again",
            say=self.say,
        )

    def _target_of(self, name: str) -> Path:
        return self.root / name

    def _fetching(self) -> Fetching:
        return Fetching(target_of=self._target_of, elsewhere=ELSEWHERE)


def _loaded(path: Path, files: Sequence[Path], load: Callable[[Path], nn.Module]) -> AnnotatorNet:
    module = load(path)
    return AnnotatorNet(path.name, digest_of(files), lambda: module)
