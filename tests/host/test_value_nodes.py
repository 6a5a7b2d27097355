"""The nodes that hold values, and what they and Apply say: weights, schedules, stacks, the report."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_our_control
from host_graphs import Graph, node
from host_process import Host, NodeFailed

SOFT_SDXL = [0.1770, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615, 0.6806, 0.8250, 1.0]
RESOLUTION_SD = [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8]


def text(host: Host, graph: Graph, name: str, output: int = 1) -> str:
    return host.run(graph, keep={"text": [name, output]})["text"]


# ---- weights


def weights_table(
    host: Host, extra: Graph | None = None, **inputs: Any
) -> dict[str, list[tuple[str, int, int, float]]]:
    """Base -> stage, channels, downsample and weight of each connection, read from the table."""
    values = {"rule": "uniform", "base": "auto", "custom": "", **inputs}
    lines = text(host, {**(extra or {}), "weights": node("ZeroctlWeights", **values)}, "weights").splitlines()
    tables: dict[str, list[tuple[str, int, int, float]]] = {}
    for line in lines[1:]:
        if line.endswith(": connection, channels, cells, weight"):
            tables[line.split(":")[0]] = rows = []
        elif line.startswith((" ", "1")) and len(line.split()) == 5:
            place, stage, channels, cells, weight = line.split()
            rows.append((stage, int(channels), int(cells.removeprefix("1/")), float(weight)))
            assert int(place) == len(rows)
    return tables


def test_the_table_shows_both_bases_when_nothing_says_which(host) -> None:
    tables = weights_table(host, rule="resolution")
    assert list(tables) == ["sd15", "sdxl"]
    assert [row[3] for row in tables["sd15"]] == [row[2] for row in tables["sd15"]] == RESOLUTION_SD
    assert [row[0] for row in tables["sd15"]] == ["skip"] * 12 + ["middle"]
    assert [row[1] for row in tables["sdxl"]] == [320] * 4 + [640] * 3 + [1280] * 3


def test_the_table_of_one_base_and_rule(host) -> None:
    tables = weights_table(host, rule="soft", base="sdxl")
    assert list(tables) == ["sdxl"] and [row[3] for row in tables["sdxl"]] == SOFT_SDXL


def test_the_table_of_a_net_is_the_nets_own(host, our_net) -> None:
    tables = weights_table(
        host, rule="only_middle", extra={"net": host.give(our_net("narrowxl"))}, control_net=["net", 0]
    )
    assert tables == {
        "sdxl": [
            ("skip", 64, 1, 0.0),
            ("skip", 64, 1, 0.0),
            ("skip", 64, 2, 0.0),
            ("skip", 128, 2, 0.0),
            ("middle", 128, 2, 1.0),
        ]
    }


def test_custom_numbers_win_over_the_rule_and_fit_the_bases_with_so_many(host) -> None:
    numbers = [round(0.1 * place, 1) for place in range(1, 14)]
    custom = ",\n".join(map(str, numbers))
    tables = weights_table(host, rule="soft", custom=custom)
    assert {"sd15", "sd21"} <= set(tables) and "sdxl" not in tables
    assert [row[3] for row in tables["sd21"]] == numbers
    words = text(host, {"weights": node("ZeroctlWeights", rule="soft", base="auto", custom=custom)}, "weights")
    assert words.startswith("custom, shallow to deep, the middle last (custom numbers are used, not the rule soft)")


def test_custom_numbers_of_another_count_are_listed_for_other_nets(host) -> None:
    words = text(
        host, {"weights": node("ZeroctlWeights", rule="uniform", base="auto", custom="0.25, .62, 0.825, 1")}, "weights"
    )
    assert "for a net with 4 outputs; ControlNets for Stable Diffusion have 10 or 13" in words
    assert [line.split() for line in words.splitlines()[-4:]] == [
        ["1", "0.2500"],
        ["2", "0.6200"],
        ["3", "0.8250"],
        ["4", "1.0000"],
    ]


def test_two_million_numbers_give_a_short_table_and_a_short_report(host, graph_of, host_net) -> None:
    custom = node("ZeroctlWeights", rule="uniform", base="auto", custom="1," * 2_000_000 + "1")
    words = text(host, {"weights": custom}, "weights")
    assert "for a net with 2000001 outputs" in words and words.endswith("and 1999901 more") and len(words) < 2000
    net = host.run({"net": host_net("narrow")}, keep={"net": ["net", 0]})["net"]  # no file in the graph says its count
    graph = with_our_control(graph_of(), host.give(net), host.give(picture()), extra={"w": custom}, weights=["w", 0])
    del graph["sampler"]
    assert len(text(host, graph, "ours")) < 3000


# ---- schedules


def schedule_node(**inputs: Any) -> dict[str, Any]:
    values = {"start": 0.0, "end": 1.0, "unit": "timestep", "curve": "", "interpolation": "linear", **inputs}
    return node("ZeroctlSchedule", **values)


def schedule_table(host: Host, **inputs: Any) -> tuple[str, list[tuple[float, float]]]:
    lines = text(host, {"schedule": schedule_node(**inputs)}, "schedule").splitlines()
    first, second, *rows = [line for line in lines if WITHOUT_CONTROL not in line]
    assert [row.split()[0] for row in rows] == [str(10 * place) for place in range(11)]
    assert "in a run of ten steps" in second or inputs.get("unit", "timestep") in ("timestep", "sigma")
    return first, [(float(sigma), float(strength)) for _, _, sigma, strength in (row.split() for row in rows)]


def test_a_window_in_timesteps(host) -> None:
    words, rows = schedule_table(host, start=0.2, end=0.5)
    assert words == "0.2 to 0.5 in timestep"
    assert [strength for _, strength in rows] == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    # FORMATS: the noise levels of Stable Diffusion at these percentages
    for percent, sigma in ((1, 8.31), (2, 5.09), (5, 1.616), (9, 0.344)):
        assert rows[percent][0] == pytest.approx(sigma, abs=6e-3)


def test_a_curve_in_timesteps(host) -> None:
    words, rows = schedule_table(host, curve="1@0, 0.5@0.5, 0@0.8")
    assert words == "0 to 1 in timestep, curve 1@0, 0.5@0.5, 0@0.8 (linear)"
    assert [strength for _, strength in rows] == pytest.approx(
        [1, 0.9, 0.8, 0.7, 0.6, 0.5, 1 / 3, 1 / 6, 0, 0, 0], abs=1e-4
    )
    _, waves = schedule_table(host, curve="1@0, 0@1", interpolation="cosine")
    assert [waves[place][1] for place in (0, 5, 10)] == pytest.approx([1, 0.5, 0], abs=1e-3)
    assert waves[2][1] == pytest.approx(0.9045, abs=1e-3)


@pytest.mark.parametrize(("unit", "last"), [("steps", 5), ("steps_diffusers", 4)])
def test_a_window_in_steps(host, unit, last) -> None:
    _, rows = schedule_table(host, end=0.5, unit=unit)
    assert [strength for _, strength in rows] == [float(place <= last) for place in range(11)]


def test_a_window_in_sigma(host) -> None:
    words, rows = schedule_table(host, start=6.0, end=1.0, unit="sigma")
    assert words == "6 to 1 in sigma"
    assert [strength for _, strength in rows] == [0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0]


WITHOUT_CONTROL = "steps below sigma 1, on Stable Diffusion the last third of the timesteps, are without control"


@pytest.mark.parametrize(("end", "left_out"), [(1.0, True), (0.0, False), (2.0, False)])
def test_the_default_end_in_sigma_says_which_steps_it_leaves_out(host, graph_of, our_net, end, left_out) -> None:
    """Old workflows keep its meaning; whoever sets the unit alone reads it below the node and in Apply's report."""
    schedule = schedule_node(unit="sigma", end=end)
    lines = report(host, graph_of, our_net("narrow"), extra={"s": schedule}, schedule=["s", 0])
    for words in (text(host, {"schedule": schedule}, "schedule").splitlines(), lines):
        assert sum(WITHOUT_CONTROL in line and "Set end to 0" in line for line in words) == left_out
    _, rows = schedule_table(host, unit="sigma", end=end)
    assert [strength for _, strength in rows[-3:]] == [float(end == 0.0)] * 3


def test_a_long_curve_is_cut_in_the_table_and_in_the_report(host, graph_of, our_net) -> None:
    long = schedule_node(unit="steps", curve=", ".join(f"1@{place / 10**5}" for place in range(10**5)))
    assert len(text(host, {"schedule": long}, "schedule")) < 1000
    assert len("".join(report(host, graph_of, our_net("narrow"), extra={"s": long}, schedule=["s", 0]))) < 2000


# ---- stacks


@pytest.fixture(scope="session")
def three(host, graph_of, our_net) -> Graph:
    """Three controls beside a graph, not connected to it."""
    graph = graph_of()
    for place in range(3):
        part = with_our_control(
            graph,
            host.give(our_net("narrow", place % 2)),
            host.give(picture(seed=place)),
            name=f"c{place}",
            strength=0.5 + 0.2 * place,
        )
        del part[f"c{place}"]
        graph = {**graph, **part, "sampler": graph["sampler"]}
    return graph


def applied(graph: Graph, link: list[Any], **extra: Any) -> Graph:
    sampler = graph["sampler"]
    return {
        **graph,
        **extra,
        "apply": node("ZeroctlApply", model=["model", 0], stack=link, if_never_applied="warn"),
        "sampler": {**sampler, "inputs": {**sampler["inputs"], "model": ["apply", 0]}},
    }


def rows(*enabled: bool) -> dict[str, bool]:
    return {f"enabled_{row}": enabled[row - 1] if row <= len(enabled) else True for row in range(1, 7)}


def test_a_stack_of_rows_equals_a_chain(host, three) -> None:
    chain = dict(three)
    for place in (1, 2):
        control = chain[f"c{place} control"]
        chain[f"c{place} control"] = {**control, "inputs": {**control["inputs"], "stack": [f"c{place - 1} control", 0]}}
    links = {f"stack_{row}": [f"c{place} control", 0] for row, place in ((1, 0), (4, 1), (6, 2))}
    stacked = applied(three, ["stack", 0], stack=node("ZeroctlStack", **rows(), **links))
    assert torch.equal(latents(host, applied(chain, ["c2 control", 0])), latents(host, stacked))


def test_a_row_that_is_off_is_left_out_with_all_its_controls(host, three) -> None:
    chained = dict(three)
    control = chained["c1 control"]
    chained["c1 control"] = {**control, "inputs": {**control["inputs"], "stack": ["c0 control", 0]}}
    links = {"stack_1": ["c1 control", 0], "stack_2": ["c2 control", 0]}
    stacked = applied(chained, ["stack", 0], stack=node("ZeroctlStack", **rows(False), **links))
    result = host.run(stacked, keep={"latent": ["sampler", 0], "report": ["apply", 1]})
    alone = latents(host, applied(three, ["c2 control", 0]))
    assert largest_difference(alone, result["latent"]["samples"]) <= CLOSE
    assert [line for line in result["report"].splitlines() if "switched off" in line] == ["  switched off"] * 2
    assert "control 3:" in result["report"] and "control 4:" not in result["report"]


def test_every_row_off_passes_the_model_through(host, three) -> None:
    links = {f"stack_{row}": [f"c{row - 1} control", 0] for row in (1, 2, 3)}
    off = applied(three, ["stack", 0], stack=node("ZeroctlStack", **rows(False, False, False), **links))
    result = host.run(off, keep={"latent": ["sampler", 0], "model": ["apply", 0], "given": ["model", 0]})
    assert result["model"] is result["given"]
    assert torch.equal(result["latent"]["samples"], latents(host, three))


# ---- the numbers of controls


def chained(graph: Graph, *units: dict[str, Any]) -> Graph:
    """c0, c1 and c2 of `three` in one chain, each with some inputs of its own."""
    graph = dict(graph)
    for place, inputs in enumerate(units):
        control = graph[f"c{place} control"]
        link = {"stack": [f"c{place - 1} control", 0]} if place else {}
        graph[f"c{place} control"] = {**control, "inputs": {**control["inputs"], **link, **inputs}}
    return graph


NEVER = {"schedule": ["never", 0]}
ABOVE_ALL_SIGMAS = node("ZeroctlSchedule", start=20.0, end=15.0, unit="sigma", curve="", interpolation="linear")


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"control (\d+)", text)]


def test_a_control_has_the_number_of_the_report_behind_one_that_is_off(host, three) -> None:
    graph = applied(chained(three, {"enabled": False}, NEVER), ["c1 control", 0], never=ABOVE_ALL_SIGMAS)
    result = host.run(graph, keep={"latent": ["sampler", 0], "report": ["apply", 1]})
    (notice,) = result.sent("zeroctl.notice")
    assert numbers(result["report"]) == [1, 2] and numbers(notice["text"]) == [2]
    assert "control 1: narrow-0-float32.safetensors\n  switched off" in result["report"]
    graph["apply"]["inputs"]["if_never_applied"] = "error"
    with pytest.raises(NodeFailed, match=r"NeverApplied: control 2 \(narrow-1-float32.safetensors\) cannot act"):
        latents(host, graph)


def test_a_second_apply_counts_on(host, three, our_net) -> None:
    """The first Apply has controls 1 and 2, of which the last is off; the second one's only control is 3."""
    graph = applied(chained(three, {}, {"enabled": False}), ["c1 control", 0], never=ABOVE_ALL_SIGMAS)
    graph["c2 control"] = {**three["c2 control"], "inputs": {**three["c2 control"]["inputs"], **NEVER}}
    graph["second"] = node("ZeroctlApply", model=["apply", 0], stack=["c2 control", 0], if_never_applied="warn")
    graph["sampler"] = {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"], "model": ["second", 0]}}
    result = host.run(graph, keep={"latent": ["sampler", 0], "one": ["apply", 1], "two": ["second", 1]})
    (notice,) = result.sent("zeroctl.notice")
    assert (numbers(result["one"]), numbers(result["two"]), numbers(notice["text"])) == ([1, 2], [3], [3])
    unfit = {**graph, "c2 net": host.give(our_net("narrowxl"))}
    with pytest.raises(NodeFailed, match=r"control 3: narrowxl-0-float32.safetensors is a control for SDXL"):
        latents(host, unfit)


def test_an_apply_of_which_nothing_can_act_takes_no_numbers(host, three) -> None:
    graph = applied(chained(three, {"strength": 0.0}), ["c0 control", 0])
    graph["second"] = node("ZeroctlApply", model=["apply", 0], stack=["c1 control", 0], if_never_applied="warn")
    result = host.run(graph, keep={"report": ["second", 1]})
    assert numbers(result["report"]) == [1]


# ---- the report


def report(
    host: Host, graph_of: Any, net: Any, image: Any = None, extra: Graph | None = None, **inputs: Any
) -> list[str]:
    graph = with_our_control(
        graph_of(), host.give(net), host.give(picture() if image is None else image), extra=extra, **inputs
    )
    del graph["sampler"]
    return text(host, graph, "ours").splitlines()


def test_the_report_of_a_plain_control(host, graph_of, our_net) -> None:
    lines = report(host, graph_of, our_net("narrow"), end=0.5)
    assert lines[:6] == [
        "MODEL: SD15 (5 connections, context 768, no y)",
        "",
        "control 1: narrow-0-float32.safetensors",
        "  family SD 1.5, 5 connections",
        "  strength 1, mode balanced, branches both",
        "  weights (uniform), shallow to deep, middle last: 1 1 1 1 1",
    ]
    assert lines[6].startswith("  cost: ") and lines[6].endswith(
        " % of the UNet's work in an active step with CFG, counted at a 64x64 latent"
    )
    assert lines[7] == "  active timesteps 999 to 500 (sigma 14.61 to 1.616)"
    # FORMATS 2.5: what the host's percentages make of 20 steps
    assert lines[8] == (
        "  active steps of 20: normal 1-10; karras 1-9; exponential 1-7; sgm_uniform 1-11; simple 1-10; beta 1-11"
    )
    assert lines[9:] == [
        "  condition image 64x64, resize crop",
        "  a square canvas keeps all of it, a 3:2 one loses 33.3 %",
    ]


def test_the_report_of_a_mode(host, graph_of, our_net) -> None:
    both, cond = (report(host, graph_of, our_net("narrow"), mode=mode) for mode in ("balanced", "paper"))
    assert "  strength 1, mode paper, branches cond" in cond
    assert "  weights (resolution), shallow to deep, middle last: 1 1 2 2 2" in cond
    whole, half = (float(next(line for line in lines if "cost: " in line).split()[1]) for lines in (both, cond))
    assert half == pytest.approx(whole / 2, abs=0.06)
    assert f"({whole} % without CFG)" in next(line for line in cond if "cost: " in line)


def test_the_report_says_which_socket_wins(host, graph_of, our_net) -> None:
    extra = {
        "w": node("ZeroctlWeights", rule="uniform", base="auto", custom="1, 2, 3, 4, -5"),
        "m": host.give(torch.ones(1, 8, 8) / 4),
        "s": node("ZeroctlSchedule", start=0.1, end=0.6, unit="steps", curve="1@0, 0.5@1", interpolation="cosine"),
    }
    lines = report(
        host,
        graph_of,
        our_net("narrow"),
        picture(48, 96, batch=2),
        extra,
        mode="paper",
        weights=["w", 0],
        schedule=["s", 0],
        mask=["m", 0],
        start=0.3,
        mask_invert=True,
        mask_feather=4.0,
        resize="fit",
    )
    assert "  the weights socket (custom) wins over the mode's rule (resolution)" in lines
    assert "  weights (custom), shallow to deep, middle last: 1 2 3 4 -5" in lines
    assert "  the schedule socket wins over start 0.3 and end 1" in lines
    assert "  window 0.1 to 0.6 in steps" in lines and "  times the curve 1@0, 0.5@1 (cosine)" in lines
    assert "  condition image 96x48, 2 images, resize fit" in lines
    assert "  mask covers 25.0 %, inverted, feather 4 px" in lines
    steps = next(line for line in lines if "active steps" in line)
    assert steps == "  active steps of 20: " + "; ".join(
        f"{name} 3-13" for name in ("normal", "karras", "exponential", "sgm_uniform", "simple", "beta")
    )


def test_the_report_of_a_foreign_net(host, graph_of, host_net) -> None:
    graph = with_our_control(graph_of(), host_net("narrow"), host.give(picture(64, 96)), mode="guess")
    del graph["sampler"]
    lines = text(host, graph, "ours").splitlines()
    assert "control 1: controlnet.ControlNet around ControlNet" in lines
    assert "  runs through its own get_control, on the rows that see it; its cost is not estimated" in lines
    assert "  weights (soft), in the order of its outputs: 0.4633 0.5615 0.6806 0.825 1" in lines
    assert "  a canvas of 96:64 keeps all of it, a square one loses 33.3 %" in lines


def test_the_report_of_sdxl_counts_at_its_own_size(host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of("narrowxl"), host.give(our_net("narrowxl")), host.give(picture()))
    del graph["sampler"]
    words = text(host, graph, "ours")
    assert (
        words.startswith("MODEL: SDXL (5 connections, context 2048, y 2816)") and "counted at a 128x128 latent" in words
    )
