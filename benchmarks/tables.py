"""`python -m benchmarks.readme`: write the README's tables of the build and of the proofs anew from their records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zeroctl_core.demo.build import LOG

ROOT = Path(__file__).resolve().parents[1]
PROOFS = Path("benchmarks/results/proof")
CEILING = "autoencoder"  # the stage whose scores no sample can pass
SHOWN = {"iou": "IoU", "edge_f1": "edge F1", "shading": "shading"}
TITLES = {
    "p1_no_op": "an untrained control is a bit-exact no-op",
    "p2_three_steps": "a control wakes in three steps",
    "p3_sudden_convergence": "sudden convergence",
    "p4_ablation": "zero against Gaussian convolutions and ControlNet-lite, four prompt settings (Fig. 8)",
    "p5_guidance": "guidance without a prompt (Fig. 5)",
    "p6_composition": "composition by addition (Fig. 6)",
    "p7_data_size": "size of the data set (Fig. 10)",
    "p8_cost": "cost of a training step",
}


def build_table(stages: dict[str, Any]) -> str:
    ceiling = stages[CEILING]["scores"]
    lines = ["| | score | ceiling | training |", "|---|---|---|---|"]
    for name, entry in stages.items():
        scores, best = entry["scores"], ""
        if name == CEILING:
            said = f"PSNR {scores['psnr']:.1f} dB"
        elif name == "judge":
            name, said = "judge, on reconstructions", f"shape {scores['reconstruction_shape']:.3f}"
        elif name == "base":
            keys = ("judge_colour", "judge_background", "judge_shape")
            name, said = "base: object colour, ground, shape", ", ".join(f"{scores[key]:.3f}" for key in keys)
            best = f"{stages['judge']['scores']['reconstruction_shape']:.3f}"
        else:
            name, said, best = _control(name, scores, ceiling)
        lines.append(f"| {name} | {said} | {best} | {_steps(entry)} |")
    size = sum(entry["bytes"] for entry in stages.values()) / 1e6
    minutes = sum(entry["seconds"] for entry in stages.values()) / 60
    lines += ["", f"{size:.1f} MB of weights; {minutes:.0f} minutes of training in all, scores apart."]
    return "\n".join(lines)


def _control(name: str, scores: dict[str, float], ceiling: dict[str, float]) -> tuple[str, str, str]:
    keys = [key for key in SHOWN if key != "shading" or "shading_flat_map" in scores]
    said = ", ".join(f"{SHOWN[key]} {scores[key]:.3f}" for key in keys)
    if "shading_flat_map" in scores:
        said += f" (flat map {scores['shading_flat_map']:.3f})"
    if "iou_at_strength_0" in scores:
        said += f" (strength 0: IoU {scores['iou_at_strength_0']:.3f})"
    return name.replace("control-", "control "), said, ", ".join(f"{ceiling[key]:.3f}" for key in keys)


def _steps(entry: dict[str, Any]) -> str:
    return f"{entry['losses'][-1][0]} steps, {entry['seconds'] / 60:.1f} min"


def proof_table() -> str:
    lines = ["| proof | what came out |", "|---|---|"]
    for name, title in TITLES.items():
        record = ROOT / PROOFS / f"{name}.json"
        said = json.loads(record.read_text())["verdict"] if record.is_file() else "not recorded yet"
        link = f"[`{name}`]({(PROOFS / name).as_posix()}.png)" if record.is_file() else f"`{name}`"
        lines.append(f"| {link}: {title} | {said} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """The text with its two tables as the records say."""
    tables = {"BUILD": build_table(json.loads((ROOT / LOG).read_text())["stages"]), "PROOFS": proof_table()}
    for mark, table in tables.items():
        before, rest = text.split(f"<!-- {mark} -->\n")
        text = f"{before}<!-- {mark} -->\n{table}\n<!-- /{mark} -->{rest.split(f'<!-- /{mark} -->')[1]}"
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
