"""`python -m benchmarks.tables`: write the tables of docs/ anew, from the code and from the records of benchmarks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.criterion import Figure
from benchmarks.proof.__main__ import NAMES
from zeroctl_core import BASES, RULES
from zeroctl_core.demo.build import LOG
from zeroctl_core.files.plural import plural

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
SEEN = {"thing": "thing", "both": "both of two", "sides": "on their sides", "colour": "colour", "ground": "ground"}
NOT_YET = "not recorded yet"
INJECTION = {
    "one control, both conds": {"zeroctl": "ours 1", "ComfyUI": "host 1", "diffusers": "diffusers 1"},
    "one control, cond only": {
        "zeroctl": "ours 1 cond",
        "ComfyUI": "host 1 positive",
        "diffusers": "diffusers 1 guess",
    },
    "three controls, both conds": {"zeroctl": "ours 3", "ComfyUI": "host 3", "diffusers": "diffusers 3"},
    "three controls, cond only": {
        "zeroctl": "ours 3 cond",
        "ComfyUI": "host 3 positive",
        "diffusers": "diffusers 3 guess",
    },
}


def rules() -> str:
    rows = [
        (f"`{name}`", *(_weights(rule(BASES[base].connections)) for base in ("sd15", "sdxl")))
        for name, rule in RULES.items()
    ]
    return _table(("rule", "SD 1.5 and 2.1: 12 skips, middle", "SDXL: 9 skips, middle"), rows)


def _weights(values: list[float]) -> str:
    """`1 (3x) 2 (3x), 4`: equal neighbours together, the middle behind the comma."""
    *skips, middle = [f"{value:.4f}".rstrip("0").rstrip(".") for value in values]
    groups = [(text, len(list(group))) for text, group in groupby(skips)]
    return " ".join(text if n == 1 else f"{text} ({n}x)" for text, n in groups) + f", {middle}"


def build() -> str:
    stages = _record(ROOT / LOG)["stages"]
    rows = [_stage(name, entry, stages) for name, entry in stages.items()]
    size = sum(entry["bytes"] for entry in stages.values()) / 1e6
    minutes = sum(entry["seconds"] for entry in stages.values()) / 60
    table = _table(("", "score", "ceiling", "training"), rows)
    return f"{table}\n\n{size:.1f} MB of weights; {minutes:.0f} minutes of training in all, scores apart."


def _stage(name: str, entry: dict[str, Any], stages: dict[str, Any]) -> tuple[str, str, str, str]:
    scores = entry["scores"]
    training = f"{entry['losses'][-1][0]} steps, {entry['seconds'] / 60:.1f} min"
    if name == "autoencoder":
        text = f"PSNR {scores['psnr']:.1f} dB, of things never trained on {scores['psnr_new_things']:.1f}"
        return name, text, "", training
    if name == "judge":
        return "judge, on reconstructions", _seen(scores, "reconstruction_"), _seen(scores, "scene_"), training
    if name == "base":
        return name, _seen(scores, ""), _seen(stages["judge"]["scores"], "reconstruction_"), training
    text = (
        f"following {scores['follow']:.3f}; no prompt, cond side {scores['follow_no_prompt']:.3f}; things never "
        f"trained on {scores['follow_new_things']:.3f}"
    )
    range_ = f"score {scores['floor']:.3f} to {scores['ceiling']:.3f}"
    return name.replace("control-", "control "), text, range_, training


def _seen(scores: dict[str, Any], mark: str) -> str:
    """What the judge sees right, in shares."""
    return ", ".join(f"{SEEN[key]} {scores[mark + key]:.3f}" for key in SEEN if mark + key in scores)


def verdicts() -> str:
    """Every claim, with the word of its record."""
    rows = []
    for name, module in _claims().items():
        record = _measured(name)
        word = f"**{record['verdict']}**" if record else NOT_YET
        rows.append((f"[`{name}`](#{name})", module.CLAIM, word))
    return _table(("", "claim", ""), rows)


def proofs() -> str:
    """A section for every claim: what was to be met, what was measured, what fails."""
    return "\n\n".join(_section(name, module) for name, module in _claims().items())


def _claims() -> dict[str, Any]:
    """Name of a proof -> its module, and the drawings, which state theirs in the same way."""
    modules = {name: import_module(f"benchmarks.proof.{name}") for name in NAMES}
    return modules | {"drawings": import_module("benchmarks.drawings.__main__")}


def _measured(name: str) -> dict[str, Any]:
    """The record of a claim; empty where there is none yet."""
    path = (RESULTS if name == "drawings" else RESULTS / "proof") / f"{name}.json"
    return _record(path) if path.is_file() else {}


def _section(name: str, module: Any) -> str:
    record = _measured(name)
    lines = [f"### {name}", "", f"{module.CLAIM}.", "", f"* Criterion: {module.CRITERION}."]
    if not record:
        return "\n".join([*lines, f"* {NOT_YET.capitalize()}."])
    n_seeds = len(record["options"]["seeds"] if "options" in record else record["seeds"])
    measured_on = f", {record['scenes']}" if "scenes" in record else ""
    lines.append(f"* Measured ({plural(n_seeds, 'seed')}, ± standard error{measured_on}): {record['summary']}.")
    holding = sum(part["holds"] for part in record["parts"])
    word = f"* **{record['verdict']}**: {holding} of {plural(len(record['parts']), 'part')} hold"
    lines.append(f"{word}; not {record['fails']}." if record["fails"] else f"{word}.")
    folder = RESULTS if name == "drawings" else RESULTS / "proof"
    figures = [f"[{path.stem}]({_from_docs(path)})" for path in sorted(folder.glob(f"{name}*.png"))]
    return "\n".join([*lines, f"* Figures: {', '.join(figures)}; [record]({_from_docs(folder / name)}.json)."])


def guidance() -> str:
    """Following and burnt-out channels of every way to weigh a control without a prompt."""
    record = _measured("p5_guidance")
    if not record:
        return f"{NOT_YET.capitalize()}."
    rows = [
        (way, _figure(figures["follow"], ".2f"), _figure(figures["saturated"], ".2%"))
        for way, figures in record["results"]["ways"].items()
    ]
    return _table(("control on", "following", "burnt-out channels"), rows)


def _figure(record: dict[str, Any], spec: str) -> str:
    return format(Figure.of(record["seeds"]), spec)


def injection() -> str:
    """The median of a control's CPU time over the UNet's, and of a step over one without control: one thread (two)."""
    one, two = (
        {row["row"]: row for row in _record(RESULTS / f"{name}.json")["rows"]}
        for name in ("injection-cpu-1-thread", "injection-cpu")
    )
    rows = []
    for configuration, names in INJECTION.items():
        for figure, title in (("control / unet", "control / UNet"), ("step / base", "step / step without control")):
            cells = [
                " ".join([_median(one, row, figure), f"({_median(two, row, figure)})"]).strip()
                for row in names.values()
            ]
            rows.append((f"{configuration}: {title}", *cells))
    return _table(("", *INJECTION["one control, both conds"]), rows)


def _median(rows: dict[str, Any], row: str, figure: str) -> str:
    return f"{rows[row][figure]['median']:.3f}" if row in rows else ""


def loading() -> str:
    rows = [
        (row["loader"], f"{row['seconds_median']:.2f} s", f"{row['peak_over_file_median']:.2f}")
        for row in _record(RESULTS / "loading.json")["rows"]
    ]
    return _table(("loader", "time", "peak memory / size of the file"), rows)


def annotators() -> str:
    rows = []
    for name, row in _record(RESULTS / "annotators_speed.json")["results"].items():
        if "512" in row:
            times = [f"{row[size][key]:.2f} ms" for size in ("512", "1024") for key in ("zeroctl_ms", "aux_ms")]
            rows.append((f"`{name}`", *times))
    return _table(("", "zeroctl, 512", "controlnet_aux, 512", "zeroctl, 1024", "controlnet_aux, 1024"), rows)


def sweep() -> str:
    """Of each kind how many were compared, how many are equal to the bit, and those that are not."""
    rows = []
    for kind, entries in _record(RESULTS / "sweep.json")["rows"].items():
        compared = [row for row in entries if "error" not in row]
        others = [f"`{row['name']}` {row['difference']:.1e}" for row in compared if row["difference"] != 0.0]
        least = min(row["control"] for row in compared)
        rows.append(
            (kind, str(len(compared)), str(len(compared) - len(others)), ", ".join(others) or "none", f"{least:.2g}")
        )
    return _table(
        ("", "compared", "equal to the bit", "others, largest difference", "least effect of the control"), rows
    )


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "rules.md": {"RULES": rules},
    "modes.md": {"GUIDANCE": guidance},
    "training.md": {"BUILD": build},
    "proofs.md": {"VERDICTS": verdicts, "PROOFS": proofs},
    "measurements.md": {"INJECTION": injection, "LOADING": loading, "ANNOTATORS": annotators, "SWEEP": sweep},
}
"""Page -> mark -> table. A table stands between `<!-- MARK -->` and `<!-- /MARK -->`."""


def filled(page: str) -> str:
    """The text of a page with its tables as the code and the records have them."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for mark, table in TABLES[page].items():
        before, rest = text.split(f"<!-- {mark} -->\n")
        text = f"{before}<!-- {mark} -->\n{table()}\n<!-- /{mark} -->{rest.split(f'<!-- /{mark} -->')[1]}"
    return text


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(re.sub(r"  +", " ", f"| {' | '.join(cells)} |") for cells in lines).replace("| --- ", "|---")


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _from_docs(path: Path) -> str:
    return f"../{path.relative_to(ROOT).as_posix()}"


if __name__ == "__main__":
    for page in TABLES:
        (DOCS / page).write_text(filled(page), encoding="utf-8")
