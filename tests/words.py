"""What CONTRIBUTING says of words and shapes, counted: `python tests/words.py [FOLDER...]` names every place.

Participles as names of variables, "is no" for "is not a", American spelling, "answers" for "returns", Google's
`Raises:` blocks, calls with more than five positional arguments, dataclasses that take more than five fields so, ids of
nodes where a user reads.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = ("zeroctl_core", "nodes", "benchmarks", "tests", "__init__.py")
PROSE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "THIRD_PARTY.md", "docs", "web/docs")

PARTICIPLES = frozenset(
    "acted answered asked begun brought built called chosen computed counted done drawn felt found gained given gone "
    "got heard held kept known listed made meant measured needed noted picked placed said saved scored seen "
    "shown taken thought told took trained tried used wanted went written".split()
)
"""As the name of a variable they say what was done to a thing, and not what it is."""

IS_NO = re.compile(r"(?<!there )(?<!There )\b(?:is|are|was|were) no (?!longer\b|more\b)")
ANSWERS = re.compile(r"\banswers\b", re.IGNORECASE)
AMERICAN = re.compile(r"\b(?:colou?rful|gr[ae]y|cent(?:er|re)(?:s|ed)?|color(?:s|ed|ing)?|colour(?:s|ed|ing)?)\b")
BRITISH = re.compile(r"^(?:colour|grey|centre)")
IN_CODE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]+>|\b\w+[._/]\w[\w./]*", re.DOTALL)
NODE_ID = re.compile(r"\bZeroctl[A-Z]\w*")
ADDRESS = re.compile(r"\]\([^)]*\)")
READ_BY_USERS = ("README.md", "docs", "web/docs")
ONE_KIND = frozenset("max min zip print executor _affine joinpath Sequential line ellipse text".split())
MOST = 5  # positional arguments of a call, and fields of a dataclass by position

Fault = tuple[str, str, int, str]
"""Kind, file, line, text."""


def faults_of_code(file: Path) -> Iterator[Fault]:
    """Every fault of a Python file, its prose (docstrings, comments, messages) among it."""
    source = file.read_text(encoding="utf-8")
    name, tree = str(file.relative_to(ROOT)), ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in PARTICIPLES:
            yield "participle as a name", name, node.lineno, node.id
        if isinstance(node, ast.arg) and node.arg in PARTICIPLES:
            yield "participle as a name", name, node.lineno, node.arg
        if isinstance(node, ast.Call) and len(node.args) > MOST and not _is_plain(node):
            yield "call by position", name, node.lineno, ast.unparse(node.func)
        if isinstance(node, ast.ClassDef) and (number := _fields_by_position(node)) > MOST:
            yield "dataclass by position", name, node.lineno, f"{node.name} ({number} fields)"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _faults_of_text(node.value, name, node.lineno, is_prose=" " in node.value)
            if " " in node.value and id(node) not in docstrings and name.startswith(("nodes", "zeroctl_core")):
                yield from _node_ids(node.value, name, node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _faults_of_text(token.string, name, token.start[0], is_prose=True)


def faults_of_prose(file: Path) -> Iterator[Fault]:
    text, name = file.read_text(encoding="utf-8"), str(file.relative_to(ROOT))
    yield from _faults_of_text(text, name, 1, is_prose=True)
    if name.startswith(READ_BY_USERS):
        yield from _node_ids(ADDRESS.sub(lambda match: " " * len(match[0]), text), name, 1)


def _faults_of_text(text: str, name: str, line: int, is_prose: bool) -> Iterator[Fault]:
    def place(match: re.Match[str]) -> int:
        return line + text.count("\n", 0, match.start())

    for kind, pattern in (("is no", IS_NO), ("answers", ANSWERS)):
        for match in pattern.finditer(text):
            yield kind, name, place(match), text[match.start() : match.end() + 20].replace("\n", " ")
    if match := re.search(r"^\s*Raises:\s*$|^Raises:", text, re.MULTILINE):
        yield "Raises block", name, place(match), ""
    if is_prose:
        plain = IN_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        for match in AMERICAN.finditer(plain):
            is_option = text.strip() == match[0] or plain[match.end() : match.end() + 1] == ":"  # a name, not a word
            if not BRITISH.match(match[0]) and not is_option:
                yield "spelling", name, place(match), match[0]


def _node_ids(text: str, name: str, line: int) -> Iterator[Fault]:
    """A user sees titles, and finds no node by its id."""
    for match in NODE_ID.finditer(text):
        yield "id of a node", name, line + text.count("\n", 0, match.start()), match[0]


def _is_plain(call: ast.Call) -> bool:
    """Whether the arguments are of one kind, such as the sides of a shape, or the call is a host's own."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return function in {
        "max",
        "min",
        "zip",
        "print",
        "executor",
        "_affine",
        "joinpath",
        "Sequential",
        "line",
        "ellipse",
        "text",
    }


def _fields_by_position(node: ast.ClassDef) -> int:
    """The fields that a dataclass takes by position; 0 for every other class, and for one that takes them by name."""
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        function = call.func if call is not None else decorator
        if (function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")) != "dataclass":
            continue
        if call is not None and any(k.arg == "kw_only" for k in call.keywords):
            return 0
        number = 0
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                if "KW_ONLY" in ast.unparse(statement.annotation):
                    break
                text = ast.unparse(statement)
                number += "ClassVar" not in text and "init=False" not in text
        return number
    return 0


def branches_a_function(folder: Path) -> float:
    """Decisions (if, loop, except, and, or, conditional expression, filter) a function, plus one."""
    functions = decisions = 0
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            decisions += isinstance(node, ast.If | ast.For | ast.While | ast.ExceptHandler | ast.IfExp)
            decisions += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
            decisions += len(node.ifs) if isinstance(node, ast.comprehension) else 0
    return 1 + decisions / functions


def files(names: tuple[str, ...], pattern: str) -> list[Path]:
    paths = [ROOT / name for name in names]
    return sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob(pattern)))


def faults(code: tuple[str, ...] = CODE, prose: tuple[str, ...] = PROSE) -> list[Fault]:
    """Every fault of the files below these names; this file and its test, which spell them out, are left out."""
    spelt_out = {Path(__file__), Path(__file__).with_name("test_words.py")}
    result = [fault for file in files(code, "*.py") if file not in spelt_out for fault in faults_of_code(file)]
    return result + [fault for file in files(prose, "*.md") for fault in faults_of_prose(file)]


def main(names: list[str]) -> None:
    result = faults(tuple(names), tuple(names)) if names else faults()
    for kind, name, line, text in result:
        print(f"{name}:{line}: {kind}: {text}")
    print(", ".join(f"{kind} {number}" for kind, number in Counter(fault[0] for fault in result).items()) or "none")
    for folder in ("zeroctl_core", "nodes"):
        print(f"{folder}: {branches_a_function(ROOT / folder):.1f} branches a function")
    print(f"README.md: {len((ROOT / 'README.md').read_text(encoding='utf-8').split())} words")


if __name__ == "__main__":
    main(sys.argv[1:])
