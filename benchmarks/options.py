"""The options of a benchmark, from a dataclass."""

from __future__ import annotations

import sys
from typing import TypeVar

T = TypeVar("T")


def read_options(kind: type[T], module: str, doc: str | None) -> T:
    """The command line as `kind`; `--help` prints the module's docstring and the defaults.

    tyro is imported here, because processes that measure under the Python of a host have no need of it. Raises
    `SystemExit` where it is not installed.
    """
    try:
        import tyro
    except ModuleNotFoundError as error:
        if error.name != "tyro":
            raise
        sys.exit("the options need tyro in this Python: pip install tyro")
    return tyro.cli(kind, prog=f"python -m benchmarks.{module}", description=doc)
