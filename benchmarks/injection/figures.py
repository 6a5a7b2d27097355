"""Figures of all rounds summed up, the project's targets, and both as a table."""

from __future__ import annotations

import statistics
import sys
from typing import Any

from benchmarks.injection.rows import Rounds, Row
from benchmarks.machine import print_table, spread, summary, target

SAME = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}
"""Relative; larger differences mean that two rows do not compute the same."""


def paired(figures: Rounds, row: str, other: str, key: str) -> list[float]:
    """A figure of one row over that of another in the same round."""
    return [one[key] / two[key] for one, two in zip(figures[row], figures[other], strict=True)]


def summed_up(figures: Rounds, rows: list[Row], differences: dict[str, float]) -> list[dict[str, Any]]:
    table = []
    for row in rows:
        here = figures[row.name]
        line: dict[str, Any] = {"row": row.name, "nets": row.nets}
        keys = [key for key in here[0] if row.nets or key not in ("control", "encode", "control / unet", "first step")]
        line |= {key: summary([one[key] for one in here], 6) for key in keys}
        line["step / base"] = summary(paired(figures, row.name, "base", "step"))
        if row.like in figures:
            key = "control / unet" if "control / unet" in here[0] else "step"
            line["over " + row.like] = summary(paired(figures, row.name, row.like, key))
        if row.name in differences:
            line["relative difference from " + str(row.like)] = float(f"{differences[row.name]:.2e}")
        table.append(line)
    return table


def peak_memory() -> int:
    """The largest resident set of this process so far, in bytes; mapped files count."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def targets_of(figures: Rounds, cuda: bool) -> list[dict[str, Any]]:
    """The project's own targets, for the rows that were run."""
    targets = []
    for n, most, most_on_gpu in ((1, 0.20, 1.20), (3, 0.58, 1.55)):
        name = f"ours {n} cond"
        if name in figures and cuda:
            value = statistics.median(paired(figures, name, "base", "step"))
            targets.append(target(f"{name}: step / base", value, most_on_gpu))
        elif name in figures:
            value = statistics.median(one["control / unet"] for one in figures[name])
            targets.append(target(f"{name}: control / unet", value, most))
        if f"ours {n}" in figures and f"host {n}" in figures:
            key = "step" if cuda else "control / unet"
            value = statistics.median(paired(figures, f"ours {n}", f"host {n}", key))
            targets.append(target(f"ours {n} over host {n}: {key}", value, 1.02))
    return targets


def unequal(differences: dict[str, float], dtype: str) -> list[str]:
    """A sentence for every row that does not compute what the row beside it does."""
    return [
        f"NOT THE SAME: {name} differs by {difference:.1e}, its figures cannot be compared"
        for name, difference in differences.items()
        if not difference <= SAME[dtype]
    ]


def print_figures(table: list[dict[str, Any]]) -> None:
    columns = ["control / unet", "first step", "the rest", "step / base", "wall"]
    columns = [column for column in columns if any(column in line for line in table)]
    rows = []
    for line in table:
        difference = next((f"{value:.0e}" for key, value in line.items() if key.startswith("relative difference")), "")
        rows.append([line["row"], *(spread(line.get(column)) for column in columns), difference])
    print_table(["", *columns, "difference"], rows)
