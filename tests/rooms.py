"""The structure of the code, read from its imports: rooms, the floors that they stand on, the arrows between them.

`python tests/rooms.py` prints both packages. A room is a folder, or a file beside the folders; inside a room files may
import each other in any order that has no circle. Late imports and those for types count like all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE, NODES, HOST = ROOT / "zeroctl_core", ROOT / "nodes", ROOT / "nodes" / "host"

CORE_ORDER = (
    {"files", "canvas", "command_line", "connections", "registry", "version"},
    {"residuals", "annotators"},
    {"annotator_files", "network", "control"},
    {"bases", "weighting", "sampling"},
    {"checkpoint"},
    {"train"},
    {"demo", "selfcheck"},
)
"""The core's rooms, from the ground floor up: a room imports rooms of lower floors only."""

ANNOTATORS_SEE = {"files", "registry"}
"""The annotators are a room that could stand alone: pictures in, pictures out."""

FLOOR_OF_THE_CORE = {room: floor for floor, rooms in enumerate(CORE_ORDER) for room in rooms}

Arrows = Mapping[str, set[str]]


@dataclass(frozen=True)
class Import:
    """`module` is absolute, or relative with its dots; `at_load` says whether importing the file runs it."""

    file: Path
    line: int
    module: str
    at_load: bool

    @property
    def package(self) -> str:
        return self.module.split(".")[0]

    @property
    def target(self) -> Path | None:
        """The file of this repository that is imported, where it is one: `a/b.py`, or `a/b/__init__.py` as `a/b`."""
        dots = len(self.module) - len(self.module.lstrip("."))
        start = ROOT if not dots else self.file.parents[dots - 1]
        path = start.joinpath(*(part for part in self.module.lstrip(".").split(".") if part))
        # a name without a file of its own is in the file before it
        for candidate in (path, path.parent):
            if candidate.with_suffix(".py").is_file() and candidate != ROOT:
                return candidate.with_suffix(".py")
            if (candidate / "__init__.py").is_file() and candidate != ROOT:
                return candidate / "__init__.py"
        return None

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports(file: Path, source: str | None = None) -> Iterator[Import]:
    """Every import of a file, of the source given in its place where there is one."""
    return _imports(file, ast.parse(file.read_text(encoding="utf-8") if source is None else source), at_load=True)


def _imports(file: Path, node: ast.AST, at_load: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(file, node.lineno, alias.name, at_load)
    elif isinstance(node, ast.ImportFrom):
        stem = "." * node.level + (node.module or "")
        if node.module:
            yield Import(file, node.lineno, stem, at_load)
        else:
            for alias in node.names:
                yield Import(file, node.lineno, stem + alias.name, at_load)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        at_load = False
    only_for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _imports(file, child, at_load and not (only_for_types and name == "body"))


def files_below(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def room_of(file: Path, package: Path) -> str:
    """The name of the room of a file below a package: `network` of network/unet.py, `registry` of registry.py."""
    first = file.relative_to(package).parts[0]
    return first.removesuffix(".py")


def arrows(package: Path) -> dict[str, set[str]]:
    """Which room imports which; the package's own `__init__`, which hands names on, is not a room."""
    rooms: dict[str, set[str]] = {}
    for file in files_below(package):
        room = room_of(file, package)
        if room == "__init__":
            continue
        rooms.setdefault(room, set())
        for target in targets(file):
            if target.is_relative_to(package) and (other := room_of(target, package)) not in (room, "__init__"):
                rooms[room].add(other)
    return rooms


def targets(file: Path) -> set[Path]:
    return {target for one in imports(file) if (target := one.target) is not None and target != file}


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """The names of one circle, in order; empty where there is none."""
    walked: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in walked:
            return []
        for other in sorted(graph.get(name, ())):
            if way := walk(other, [*path, name]):
                return way
        walked.add(name)
        return []

    for name in sorted(graph):
        if way := walk(name, []):
            return way
    return []


def file_graph(package: Path) -> dict[str, set[str]]:
    """Which file imports which, below a package; a folder's `__init__` that only hands names on is left out."""
    return {
        str(file.relative_to(package)): {
            str(target.relative_to(package))
            for target in targets(file)
            if target.is_relative_to(package) and target.name != "__init__.py"
        }
        for file in files_below(package)
        if file.name != "__init__.py"
    }


def floors(graph: Arrows) -> list[list[str]]:
    """Rooms by the longest way down: the first floor imports no other room."""
    level: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in level:
            level[room] = 0  # in a circle: it counts as the ground
            level[room] = 1 + max((height(other) for other in graph.get(room, ())), default=-1)
        return level[room]

    for room in graph:
        height(room)
    return [sorted(room for room in graph if level[room] == n) for n in range(max(level.values(), default=-1) + 1)]


def core_offences(arrows_: Iterable[Import]) -> list[str]:
    """Imports that go up, or sideways, in the core."""
    wrong = []
    for one in arrows_:
        target = one.target
        if target is None or not target.is_relative_to(CORE) or not one.file.is_relative_to(CORE):
            continue
        here, there = room_of(one.file, CORE), room_of(target, CORE)
        if here in (there, "__init__"):  # the root hands names on, and nothing inside asks it for them
            continue
        allowed = there in FLOOR_OF_THE_CORE and FLOOR_OF_THE_CORE[there] < FLOOR_OF_THE_CORE[here]
        if not allowed or (here == "annotators" and there not in ANNOTATORS_SEE):
            wrong.append(f"{one}: {here} may not see {there}")
    return wrong


def main() -> None:
    for package in (CORE, HOST, NODES):
        graph = arrows(package)
        files = files_below(package)
        longest = max(files, key=lambda file: len(file.read_text(encoding="utf-8").splitlines()))
        print(
            f"{package.relative_to(ROOT)}: {len(graph)} rooms on {len(floors(graph))} floors, "
            f"{sum(len(others) for others in graph.values())} arrows, {len(files)} files, the longest "
            f"{longest.relative_to(ROOT)} with {len(longest.read_text(encoding='utf-8').splitlines())} lines; "
            f"circle of rooms: {' -> '.join(circle(graph)) or 'none'}; "
            f"circle of files: {' -> '.join(circle(file_graph(package))) or 'none'}"
        )
        for number, floor in enumerate(floors(graph)):
            print(f"  {number}: {' '.join(floor)}")


if __name__ == "__main__":
    main()
