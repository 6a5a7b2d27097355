"""The run for a GPU, tried on the CPU with cut widths, and what it does when a part fails or time is short."""

from __future__ import annotations

import importlib.metadata
import json
import os
import zipfile

import pytest
import torch

from benchmarks.gpu import running
from benchmarks.gpu.__main__ import Options, run
from benchmarks.gpu.folder import HOST, WHEELS, missing, unpacked_host, wheels_to_install
from benchmarks.gpu.parts import IN_THE_HOST, PARTS, Part
from benchmarks.gpu.prepare import archive_host, pinned
from benchmarks.gpu.running import run_here, run_in_process, run_parts
from benchmarks.gpu.sizes import DRY, ON_A_CARD
from benchmarks.gpu.summary import broken, summary


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu") / "report.json"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = run(Options(dry_run=True, out=out), isolated=False)
    torch.set_num_threads(threads)
    assert json.loads(out.read_text()) == result, "what was returned is what was written"
    return result


def result_of(report, name):
    part = report["parts"][name]
    assert part["status"] == "done", part.get("reason")
    return part["result"]


def test_a_dry_run_runs_every_part_that_needs_no_host(report):
    for name, part in report["parts"].items():
        if name in IN_THE_HOST:
            assert part == {"status": "left out", "reason": "the folder holds no host"}
        else:
            assert part["status"] == "done", part.get("reason")
    assert list(report["parts"]) == list(PARTS)


def test_the_report_says_under_which_conditions_it_was_made(report):
    assert report["dry_run"] and report["sizes"]["device"] == "cpu" and report["sizes"]["preset"] == "narrow"
    assert report["machine"]["cpu"] and report["versions"]["torch"] == torch.__version__
    assert any("--folder" in line for line in report["missing"])


@pytest.mark.parametrize("part", [name for name in PARTS if name.startswith("equalities")])
def test_the_equalities_of_the_core_hold(report, part):
    checks = result_of(report, part)["checks"]
    errors = {check["check"]: check["error"] for check in checks}
    assert len(errors) == 6 and all(check["holds"] for check in checks)
    assert errors["residuals equal those in float32"] > 0, "the two are of different dtypes, so they differ a little"
    for exact in ("the side without control gets zeros", "two halves equal a whole"):
        assert errors[exact] == 0


@pytest.mark.parametrize("batch", [1, 4])
def test_the_injection_measures_ours_and_diffusers_on_the_same_weights(report, batch):
    result = result_of(report, f"injection, batch {batch}")
    rows = {row["row"]: row for row in result["rows"]}
    names = [f"{name} {n}{kind}" for n in (1, 3) for name, kind in NAMES]
    assert list(rows) == ["base", *names] and result["latent"][0] == batch and not result["not_the_same"]
    assert all(rows[f"diffusers {n}"][f"relative difference from ours {n}"] < 1e-5 for n in (1, 3))


NAMES = (("ours", ""), ("ours", " cond"), ("diffusers", ""), ("diffusers", " guess"))


def test_a_step_of_ours_reads_nothing_back_and_costs_operators_a_net(report):
    rows = {row["row"]: row for row in result_of(report, "injection, batch 1")["rows"]}
    assert all(rows[f"ours {n}{kind}"]["read-backs a step"] == 0 for n in (1, 3) for kind in ("", " cond"))
    operators = [rows[name]["operators a step"] for name in ("base", "ours 1", "ours 3")]
    assert operators[0] < operators[1] < operators[2]


def test_a_training_step_is_measured_beside_finetuning(report):
    rows = result_of(report, "training step")["rows"]
    assert [row["precision"] for row in rows] == ["float32", "bfloat16 autocast"]
    assert all(row["control"]["seconds a step"] > 0 and row["time ratio"] > 0 for row in rows)


def test_the_summary_names_every_row_and_what_does_not_hold(report):
    lines = list(summary(report))
    assert not broken(report) and not any("DOES NOT HOLD" in line for line in lines)
    assert sum(line.startswith("    ours 3 cond: step ") for line in lines) == 2
    assert any(line.startswith("    bfloat16 autocast: control {") for line in lines)
    check = {"check": "a batch equals its items", "error": float("nan"), "bound": 1.0, "holds": False}
    parts = {"a": {"status": "done", "result": {"checks": [check]}}, "b": {"status": "failed", "reason": "why"}}
    assert list(summary({"parts": parts}))[-2:] == [
        "DOES NOT HOLD: a: a batch equals its items",
        "DOES NOT HOLD: b: failed: why",
    ]


def test_a_part_that_fails_does_not_lose_the_others(monkeypatch):
    def fail(sizes, host):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(running, "PARTS", {"a": Part(fail, 1), "b": Part(lambda sizes, host: {"value": 1}, 1)})
    lengths = []
    reports = run_parts("ab", DRY, None, seconds=9, isolated=False, after_each=lambda parts: lengths.append(len(parts)))
    assert reports["a"]["status"] == "failed" and reports["a"]["reason"].endswith("RuntimeError: out of memory")
    assert reports["b"]["result"] == {"value": 1} and lengths == [1, 2], "the report is written after each"


def test_what_does_not_fit_into_the_time_is_said(monkeypatch):
    monkeypatch.setattr(running, "PARTS", {"long": Part(run_here, 60), "short": Part(lambda sizes, host: {}, 5)})
    reports = run_parts(["long", "short"], ON_A_CARD, None, seconds=20, isolated=False, after_each=lambda parts: None)
    assert reports["long"]["status"] == "left out" and reports["long"]["reason"].startswith(
        "takes about 60 s, and 20 s"
    )
    assert reports["short"]["status"] == "done"


def test_a_part_in_a_process_of_its_own_reports_how_it_ended():
    crash = run_in_process("not a part", DRY, None, 60)
    assert crash["status"] == "failed" and crash["reason"].endswith("KeyError: 'not a part'")
    assert run_in_process("training step", DRY, None, 0.01)["status"] == "out of time"


def test_all_parts_fit_into_the_time_that_is_promised():
    assert sum(part.seconds for part in PARTS.values()) <= Options().seconds


def test_a_host_is_packed_without_its_models_and_unpacked_whole(tmp_path):
    host = tmp_path / "ComfyUI"
    for name in ("comfyui_version.py", "comfy/ldm/models/autoencoder.py", "comfy_api/input/basic.py"):
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_text("pass\n")
    for name in ("models/a.safetensors", ".venv/lib/b.py", "input/c.png", "comfy/__pycache__/d.pyc"):
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_text("")
    archive_host(host, tmp_path / HOST)
    with unpacked_host(tmp_path) as place:
        files = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        assert files == {"comfyui_version.py", "comfy/ldm/models/autoencoder.py", "comfy_api/input/basic.py"}
    assert not place.exists() and any("torch" in line or "host" in line for line in missing(None))
    with unpacked_host(None) as place:
        assert place is None


def test_the_wheels_to_take_along_are_what_is_needed_and_never_torch(tmp_path):
    (tmp_path / "requirements.txt").write_text("torch\nsafetensors>=0.4\n# a comment\nav\n")
    names = {pin.split("==")[0] for pin in pinned(tmp_path, without=["numpy"])}
    assert {"tyro", "diffusers", "safetensors"} <= names, "and what tyro and diffusers need in turn:"
    assert {"docstring-parser", "huggingface-hub"} <= names and not names & {"torch", "numpy", "av"}


def test_only_wheels_of_missing_packages_are_unpacked(tmp_path):
    (tmp_path / WHEELS).mkdir()
    for name in ("a_package_nobody_has-1.0-py3-none-any.whl", "huggingface_hub-0.1-py3-none-any.whl"):
        with zipfile.ZipFile(tmp_path / WHEELS / name, "w"):
            pass
    assert importlib.metadata.version("huggingface_hub")
    assert [wheel.name.split("-")[0] for wheel in wheels_to_install(tmp_path)] == ["a_package_nobody_has"]


def test_a_run_without_a_card_is_refused_at_once(monkeypatch, tmp_path):
    from benchmarks.gpu.__main__ import main

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu", "--out", os.fspath(tmp_path / "report.json")])
    with pytest.raises(SystemExit, match="no CUDA device"):
        main()
    assert not list(tmp_path.iterdir())
