"""`python -m benchmarks.proof`: every proof in its order, each in a process of its own, with one log.

A proof that is killed, or fails to run, does not stop the others. Started again, trainings go on where they were; the
others begin anew. `--only` runs some of them.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.criterion import FAIL, PASS
from benchmarks.options import read_options
from benchmarks.proof.record import WORK, Common

MODULES = {
    path.stem: int(match[1])
    for path in Path(__file__).parent.glob("p*.py")
    if (match := re.match(r"p(\d+)_", path.stem)) is not None
}
NAMES = tuple(sorted(MODULES, key=lambda name: MODULES[name]))
"""Of the proofs, in their order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Common):
    only: tuple[str, ...] = ()
    """names of proofs, or their beginnings such as p3; none: all"""
    log: Path = WORK / "proofs.log"
    """file that gets what all of them print"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.only:
            if not chosen_by((name,)):
                raise ValueError(f"only names {name!r}; expected the beginning of one of {', '.join(NAMES)}")


def chosen_by(only: tuple[str, ...]) -> list[str]:
    """The names that one of `only` begins, up to an underscore: p1 is not p10."""
    return [name for name in NAMES if not only or any(f"{name}_".startswith(f"{start}_") for start in only)]


def arguments_of(options: Options) -> list[str]:
    """The options that every proof has, as a proof takes them."""
    arguments: list[str] = []
    for field in dataclasses.fields(Common):
        value = getattr(options, field.name)
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            arguments += [f"--{field.name}", *map(str, values)]
    return arguments


def run(name: str, options: Options) -> str:
    """Run one proof, its output on the screen and in the log; its verdict."""
    command = [sys.executable, "-m", f"benchmarks.proof.{name}", *arguments_of(options)]
    word = "did not finish"
    with (
        options.log.open("a", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            log.write(line)
            log.flush()
            if match := re.match(rf"({PASS}|{FAIL}): ", line):
                word = match[1]
    return word if process.returncode == 0 else f"did not finish (exit status {process.returncode})"


def main() -> None:
    options = read_options(Options, "proof", __doc__)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in chosen_by(options.only):
        began = time.monotonic()
        word = run(name, options)
        lines.append(f"{name}: {word}, {(time.monotonic() - began) / 60:.1f} min")
        print(lines[-1], flush=True)
        with options.log.open("a", encoding="utf-8") as log:
            log.write(f"{lines[-1]}\n\n")
    print("\n".join(["", *lines]))
    sys.exit(1 if any("did not finish" in line for line in lines) else 0)


if __name__ == "__main__":
    main()
