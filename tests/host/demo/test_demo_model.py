"""The embedded model as a MODEL: it equals the core's, and the host's samplers and conds do with it what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents
from demo_graphs import PROMPT, controlled, demo_graph, edges_of_a_scene
from host_graphs import Graph, node
from host_process import Host, NodeFailed
from safetensors.torch import load_file

from zeroctl_core import ControlStack, ControlUnit
from zeroctl_core.demo.autoencoder import SCALE
from zeroctl_core.demo.model import AUTOENCODER, MODEL, DemoModel, load_control
from zeroctl_core.demo.scene import SIZE
from zeroctl_core.demo.words import MAX_TOKENS
from zeroctl_core.sampling import noise_of, normal_sigmas, sample, timestep_of

SAME_RUN = 5e-4
"""Largest difference of two latents of spread 1 after up to 20 steps. On both hosts 1.5e-6 was measured with random
weights and at most 1.2e-4 (RMS 6e-6) with the trained ones: what noise that is rounded otherwise makes too (1.4e-4)."""
SAME_CALL = 1e-5  # of two calls of the UNet
FELT = 1e-2
BY = ["nobody", "ours", "host"]


@pytest.fixture(scope="module")
def demo(host: Host) -> Any:
    """MODEL, CLIP, VAE and info, as the node gives them."""
    keep = {name: ["demo", place] for place, name in enumerate(("model", "clip", "vae", "info"))}
    return host.run({"demo": node("ZeroctlDemoModel")}, keep=keep)


def test_it_makes_a_picture(host: Host) -> None:
    graph = demo_graph()
    graph["decode"] = node("VAEDecode", samples=["sampler", 0], vae=["demo", 2])
    picture = host.run(graph, keep={"picture": ["decode", 0]})["picture"]
    assert picture.shape == (1, SIZE, SIZE, 3) and torch.isfinite(picture).all()
    assert picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.001


def test_info_says_what_it_knows_and_where_it_ends(demo: Any) -> None:
    for text in ("red", "star", "cat", "left of", "background", "16 tokens", "96 to 192", "128x128"):
        assert text in demo["info"]


@pytest.mark.parametrize("height, width", [(16, 16), (12, 24), (9, 7)])
def test_the_hosts_network_equals_ours(demo: Any, demo_weights: Path, height: int, width: int) -> None:
    """The same weights, in the host's network whose norms have our number of groups."""
    unet = DemoModel.load(demo_weights).unet
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, height, width, generator=generator)
    t = torch.tensor([7.0, 981.0])
    context = torch.randn(2, MAX_TOKENS, 64, generator=generator)
    result = demo["model"].model.diffusion_model(x, t, context=context)
    assert (result - unet(x, t, context)).abs().max() <= SAME_CALL


def test_the_core_takes_the_hosts_steps(demo: Any) -> None:
    """To the bit: 3, 7 or 19 steps lie halfway between two timesteps, and the last bit decides which one it is."""
    from comfy.samplers import calculate_sigmas

    sampling = demo["model"].get_model_object("model_sampling")
    for steps in range(1, 61):
        theirs = calculate_sigmas(sampling, "normal", steps)
        assert torch.equal(normal_sigmas(steps), theirs), steps
        timesteps = [float(sampling.timestep(sigma[None])) for sigma in theirs[:-1]]
        assert [float(timestep_of(sigma)) for sigma in theirs[:-1]] == timesteps, steps


@pytest.mark.parametrize("steps, cfg", [(20, 3.0), (7, 1.0)])
@pytest.mark.parametrize("by", ["nobody", "ours"])
def test_a_run_of_the_core_gives_the_same_latents(
    host: Host, demo_weights: Path, steps: int, cfg: float, by: str
) -> None:
    parts = DemoModel.load(demo_weights)
    edges = edges_of_a_scene().movedim(-1, 1)
    stack = None if by == "nobody" else ControlStack([ControlUnit(load_control("edges", demo_weights), edges)])
    expected = sample(
        parts.unet,
        noise_of([11], (SIZE, SIZE)),
        parts.context([PROMPT]),
        parts.context([""]),
        stack=stack,
        guidance=cfg,
        steps=steps,
    )
    result = latents(host, controlled(host, demo_graph(seed=11, steps=steps, cfg=cfg), by)) * SCALE
    assert (result - expected).abs().max() <= SAME_RUN * max(1.0, expected.std())


def test_our_apply_equals_the_hosts(host: Host) -> None:
    graph = demo_graph()
    ours = latents(host, controlled(host, graph, "ours"))
    assert largest_difference(ours, latents(host, controlled(host, graph, "host"))) <= CLOSE
    assert largest_difference(ours, latents(host, graph)) > FELT


def test_strength_0_changes_nothing(host: Host) -> None:
    graph = demo_graph()
    assert torch.equal(latents(host, controlled(host, graph, "ours", strength=0.0)), latents(host, graph))


# ---- samplers


def _custom(graph: Graph) -> Graph:
    """SamplerCustom in the place of the graph's KSampler."""
    inputs = graph["sampler"]["inputs"]
    return {
        **graph,
        "kind": node("KSamplerSelect", sampler_name=inputs["sampler_name"]),
        "sigmas": node(
            "BasicScheduler",
            model=inputs["model"],
            scheduler=inputs["scheduler"],
            steps=inputs["steps"],
            denoise=inputs["denoise"],
        ),
        "sampler": node(
            "SamplerCustom",
            add_noise=True,
            noise_seed=inputs["seed"],
            sampler=["kind", 0],
            sigmas=["sigmas", 0],
            **{name: inputs[name] for name in ("model", "positive", "negative", "latent_image", "cfg")},
        ),
    }


def _in_two_halves(graph: Graph) -> Graph:
    """Two KSamplerAdvanced in the place of the graph's KSampler, which hand over a noisy latent."""
    inputs = {name: value for name, value in graph["sampler"]["inputs"].items() if name not in ("seed", "denoise")}
    seed, steps = graph["sampler"]["inputs"]["seed"], inputs["steps"]
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": 2, "return_with_leftover_noise": "enable"}
    second = {"add_noise": "disable", "start_at_step": 2, "end_at_step": steps, "return_with_leftover_noise": "disable"}
    return {
        **graph,
        "first": node("KSamplerAdvanced", noise_seed=seed, **inputs, **first),
        "sampler": node("KSamplerAdvanced", noise_seed=seed, **{**inputs, "latent_image": ["first", 0]}, **second),
    }


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("other", [_custom, _in_two_halves])
def test_the_other_samplers_equal_ksampler(host: Host, other: Any, by: str) -> None:
    graph = controlled(host, demo_graph(steps=4), by)
    assert largest_difference(latents(host, graph), latents(host, other(graph))) <= CLOSE


@pytest.mark.parametrize(
    "sampler, scheduler", [("dpmpp_2m", "karras"), ("ddim", "ddim_uniform"), ("euler_ancestral", "simple")]
)
def test_it_samples_by_other_rules_too(host: Host, sampler: str, scheduler: str) -> None:
    result = latents(host, demo_graph(sampler_name=sampler, scheduler=scheduler))
    assert result.shape == (1, 4, 24, 24) and torch.isfinite(result).all()


@pytest.mark.parametrize("by", BY)
def test_a_batch_equals_its_rows(host: Host, by: str) -> None:
    graph = controlled(host, demo_graph(), by)
    graph["two"] = node("RepeatLatentBatch", samples=["latent", 0], amount=2)
    graph["sampler"]["inputs"]["latent_image"] = ["two", 0]
    both = latents(host, graph)
    graph["second"] = node("LatentFromBatch", samples=["two", 0], batch_index=1, length=1)
    graph["sampler"]["inputs"]["latent_image"] = ["second", 0]
    assert largest_difference(both[1:], latents(host, graph)) <= SAME_RUN  # 1.5e-4 seen


# ---- conds


def _with_positive(graph: Graph, added: Graph, link: list[Any]) -> Graph:
    sampler = graph["sampler"]
    return {**graph, **added, "sampler": {**sampler, "inputs": {**sampler["inputs"], "positive": link}}}


@pytest.mark.parametrize("by", BY)
def test_combined_conds_act_both(host: Host, by: str) -> None:
    plain = demo_graph()
    other = node("CLIPTextEncode", text="a white moon on a black background", clip=["demo", 1])

    def combined(second: Any) -> torch.Tensor:
        nodes = {
            "other": second,
            "both": node("ConditioningCombine", conditioning_1=["positive", 0], conditioning_2=["other", 0]),
        }
        return latents(host, controlled(host, _with_positive(plain, nodes, ["both", 0]), by))

    alone = latents(host, controlled(host, plain, by))
    assert largest_difference(combined(plain["positive"]), alone) <= CLOSE
    assert not torch.allclose(combined(other), alone, atol=CLOSE)


@pytest.mark.parametrize("by", BY)
def test_an_area_of_all_is_no_area_and_one_of_half_is_half(host: Host, by: str) -> None:
    plain = demo_graph(steps=1)  # after one step the halves have not met in the UNet

    def within(width: int) -> torch.Tensor:
        area = node(
            "ConditioningSetArea", conditioning=["positive", 0], width=width, height=SIZE, x=0, y=0, strength=1.0
        )
        return latents(host, controlled(host, _with_positive(plain, {"area": area}, ["area", 0]), by))

    alone = latents(host, controlled(host, plain, by))
    assert largest_difference(within(SIZE), alone) <= CLOSE
    assert not torch.allclose(within(SIZE // 2), alone, atol=CLOSE)


@pytest.mark.parametrize("by", BY)
def test_a_cond_acts_within_its_mask(host: Host, by: str) -> None:
    plain = demo_graph(steps=1)

    def within(mask: torch.Tensor) -> torch.Tensor:
        nodes = {
            "mask": host.give(mask),
            "masked": node(
                "ConditioningSetMask",
                conditioning=["positive", 0],
                mask=["mask", 0],
                strength=1.0,
                set_cond_area="default",
            ),
        }
        return latents(host, controlled(host, _with_positive(plain, nodes, ["masked", 0]), by))

    alone = latents(host, controlled(host, plain, by))
    left = torch.zeros(1, SIZE, SIZE)
    left[..., : SIZE // 2] = 1
    assert largest_difference(within(torch.ones(1, SIZE, SIZE)), alone) <= CLOSE
    half = within(left)
    assert largest_difference(half[..., :8], alone[..., :8]) <= CLOSE * 10
    assert not torch.allclose(half[..., 8:], alone[..., 8:], atol=CLOSE)


# ---- sizes


@pytest.mark.parametrize("size, is_noticed", [(144, False), (192, False), (256, False), (136, True), (264, True)])
def test_a_size_that_it_was_not_made_for_is_named(
    host: Host, caplog: pytest.LogCaptureFixture, size: int, is_noticed: bool
) -> None:
    result = host.run(demo_graph(size=size, steps=1), keep={"latent": ["sampler", 0]})
    assert bool(result.sent("zeroctl.notice")) == is_noticed
    assert (f"{size}x{size} pixels" in caplog.text) == is_noticed


# ---- files


@pytest.mark.parametrize("by", ["nobody", "ours"])
def test_model_save_writes_the_unet_under_its_published_names(host: Host, demo_weights: Path, by: str) -> None:
    graph = controlled(host, demo_graph(), by)
    model = graph["sampler"]["inputs"]["model"]
    host.run({**graph, "save": node("ModelSave", model=model, filename_prefix=f"demo-{by}")})
    (path,) = (host.base / "output").glob(f"demo-{by}_*.safetensors")
    weights = load_file(path)
    shipped = {key: value for key, value in load_file(demo_weights / MODEL).items() if key.startswith("model.")}
    assert weights.keys() == shipped.keys()
    assert all(torch.equal(value.float(), shipped[key].float()) for key, value in weights.items())
    path.unlink()


def test_checkpoint_save_writes_all_three_parts(host: Host, demo_weights: Path) -> None:
    graph = {"demo": node("ZeroctlDemoModel")}
    graph["save"] = node(
        "CheckpointSave", model=["demo", 0], clip=["demo", 1], vae=["demo", 2], filename_prefix="demo-all"
    )
    host.run(graph)
    (path,) = (host.base / "output").glob("demo-all_*.safetensors")
    autoencoder = {f"first_stage_model.{key}": value for key, value in load_file(demo_weights / AUTOENCODER).items()}
    shipped = {**load_file(demo_weights / MODEL), **autoencoder}
    weights = load_file(path)
    assert weights.keys() == shipped.keys()
    assert all(torch.equal(value.float(), shipped[key].float()) for key, value in weights.items())
    path.unlink()


def test_weights_that_are_missing_are_named(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROCTL_DEMO_WEIGHTS", str(tmp_path))
    with pytest.raises(NodeFailed, match=f"{MODEL} is missing"):
        host.run(demo_graph(), keep={"latent": ["sampler", 0]})


@pytest.mark.parametrize("disable_dynamic", [False, True])
def test_newer_hosts_make_further_copies(demo: Any, disable_dynamic: bool) -> None:
    for patcher in (demo["model"], demo["clip"].patcher, demo["vae"].patcher):
        make, arguments = patcher.cached_patcher_init
        clone = make(*arguments, disable_dynamic=disable_dynamic)
        assert clone.model is not patcher.model
        assert not (disable_dynamic and getattr(clone, "is_dynamic", lambda: False)())
        weights = patcher.model.state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in clone.model.state_dict().items())
