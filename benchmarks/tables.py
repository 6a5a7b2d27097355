"""`python -m benchmarks.tables`: write the tables of docs/ anew, from the code and from the records of benchmarks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from zeroctl_core import BASES, RULES
from zeroctl_core.demo.build import LOG

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
CEILING = "autoencoder"  # the stage whose scores no sample can pass
SCORES = {"iou": "IoU", "edge_f1": "edge F1", "shading": "shading"}
CLAIMS = {
    "p1_no_op": "an untrained control is a bit-exact no-op",
    "p2_three_steps": "a control wakes in three steps",
    "p3_sudden_convergence": "sudden convergence",
    "p4_ablation": "zero against Gaussian convolutions and ControlNet-lite, four prompt settings (Fig. 8)",
    "p5_guidance": "guidance without a prompt (Fig. 5)",
    "p6_composition": "composition by addition (Fig. 6)",
    "p7_data_size": "size of the data set (Fig. 10)",
    "p8_cost": "cost of a training step",
}
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
    if name == CEILING:
        return name, f"PSNR {scores['psnr']:.1f} dB", "", training
    if name == "judge":
        return "judge, on reconstructions", f"shape {scores['reconstruction_shape']:.3f}", "", training
    if name == "base":
        text = ", ".join(f"{scores[key]:.3f}" for key in ("judge_colour", "judge_background", "judge_shape"))
        ceiling = f"{stages['judge']['scores']['reconstruction_shape']:.3f}"
        return "base: object colour, ground, shape", text, ceiling, training
    keys = [key for key in SCORES if key != "shading" or "shading_flat_map" in scores]
    text = ", ".join(f"{SCORES[key]} {scores[key]:.3f}" for key in keys)
    if "shading_flat_map" in scores:
        text += f" (flat map {scores['shading_flat_map']:.3f})"
    if "iou_at_strength_0" in scores:
        text += f" (strength 0: IoU {scores['iou_at_strength_0']:.3f})"
    ceiling = ", ".join(f"{stages[CEILING]['scores'][key]:.3f}" for key in keys)
    return name.replace("control-", "control "), text, ceiling, training


def proofs() -> str:
    rows = []
    for name, claim in CLAIMS.items():
        record = RESULTS / "proof" / f"{name}.json"
        verdict = _record(record)["verdict"] if record.is_file() else "not recorded yet"
        link = f"[`{name}`]({_from_docs(record.with_suffix('.png'))})" if record.is_file() else f"`{name}`"
        rows.append((f"{link}: {claim}", verdict))
    return _table(("proof", "result"), rows)


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
    "training.md": {"BUILD": build},
    "proofs.md": {"PROOFS": proofs},
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
