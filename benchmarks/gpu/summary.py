"""The report in lines that one reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SHOWN = ("launches a step", "synchronisations a step", "read-backs a step", "peak_mb")


def summary(report: dict[str, Any]) -> Iterator[str]:
    """What came out of every part, and last what does not hold."""
    for name, part in report["parts"].items():
        yield f"{name}: {part['status']}" + (f" in {part['seconds']} s" if "seconds" in part else "")
        result = part.get("result", {})
        for check in result.get("checks", ()):
            yield f"    {check['check']}: {check['error']:g}, at most {check['bound']:g}"
        for row in result.get("rows", ()):
            yield f"    {_row(row)}"
    yield from (f"DOES NOT HOLD: {line}" for line in broken(report))


def broken(report: dict[str, Any]) -> list[str]:
    """What is not equal that should be, and the parts that failed."""
    lines = []
    for name, part in report["parts"].items():
        result = part.get("result", {})
        lines += [f"{name}: {check['check']}" for check in result.get("checks", ()) if not check["holds"]]
        lines += [f"{name}: {line}" for line in result.get("not_the_same", ())]
        if part["status"] in ("failed", "out of time"):
            lines.append(f"{name}: {part['status']}: {part['reason']}")
    return lines


def _row(row: dict[str, Any]) -> str:
    """A row of the injection, or a precision of the training step."""
    if "precision" in row:
        ways = (f"{way} {row[way]}" for way in ("control", "finetune the base"))
        return f"{row['precision']}: {', '.join(ways)}, ratios {row.get('time ratio')} and {row.get('memory ratio')}"
    step = row["step"]
    figures = [f"step {1000 * step['median']:.1f} ms ({1000 * step['min']:.1f}..{1000 * step['max']:.1f})"]
    figures.append(f"step / base {row['step / base']['median']:.3f}")
    return f"{row['row']}: " + ", ".join(figures + [f"{key} {row[key]:g}" for key in SHOWN if key in row])
