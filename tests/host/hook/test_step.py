"""The path of a step through the hook, with tensors that hold no numbers: nothing is read back, nothing is moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from control_graphs import picture, with_our_control
from host_graphs import Graph, node
from host_models import cut_model
from host_process import Host
from readbacks import Transfers
from torch import Tensor

ROOT = Path(__file__).resolve().parents[3]
STEPS, CONNECTIONS = 3, 5
HALF = node("ZeroctlSchedule", start=0.0, end=0.5, unit="timestep", curve="", interpolation="linear")
MASKED = {"mask": ["mask", 0], "mask_feather": 4.0}


class Executor:
    """What the host hands to a wrapper: its object, and what comes next."""

    def __init__(self, class_obj: Any, call: Callable[..., Any]) -> None:
        self.class_obj = class_obj
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


@pytest.fixture
def transfers_of(host: Host, controlnet_file: Callable[..., Any], conditioning_of: Callable[..., Any]) -> Any:
    """`transfers_of(device, *controls)`: what crosses in each step of a run, and the number of residuals."""

    def run(device: str, *controls: dict[str, Any], extra: Graph | None = None) -> tuple[list[Transfers], list[int]]:
        path = controlnet_file("narrow", 0, torch.float32)
        graph: Graph = {"sampler": node("KSampler", model=["model", 0]), "model": host.give(cut_model("narrow"))}
        for number, control in enumerate(controls):
            net = node("ZeroctlLoadControlNet", control_net_name=path.name)
            inputs = {"net": net, "name": f"c{number}", "resize": "fit", **control}
            graph = with_our_control(graph, image=host.give(picture(96, 64)), extra=extra, **inputs)
        ends = {"model": [f"c{len(controls) - 1}", 0]}
        nets = {f"net {number}": [f"c{number} net", 0] for number in range(len(controls))}
        result = host.run({key: value for key, value in graph.items() if key != "sampler"}, keep={**ends, **nets})
        for name in nets:
            result[name].control_model.to(device)
        patched = result["model"]
        model = patched.model.to(device)
        hook = patched.get_attachment("zeroctl")
        guider = SimpleNamespace(model_patcher=patched, model_options={}, inner_model=model, conds=None)
        sigmas = torch.tensor([14.0, 3.0, 1.0, 0.0])
        context = conditioning_of("narrow")[0][0].repeat(2, 1, 1).to(device)
        steps: list[Transfers] = []
        residuals: list[int] = []

        def unet(
            x: Tensor, t: Tensor, concat: Any, context: Tensor, control: Any, options: Any, **extra: Any
        ) -> Tensor:
            lists = [control["middle"], control["output"]] if control else []
            residuals.append(sum(len(values) for values in lists))
            for values in lists:
                while values:
                    assert values.pop().device.type == device
            return x

        def sample(noise: Tensor, *args: Any, **kwargs: Any) -> None:
            options = {**guider.model_options["transformer_options"], "cond_or_uncond": [1, 0]}
            x = noise.repeat(2, 1, 1, 1).to(device)
            for sigma in sigmas[:-1].to(device):
                # a read-back of a tensor of inference mode is not seen
                with torch.inference_mode(False), torch.no_grad():
                    levels = sigma.clone().expand(2)
                    with Transfers() as transfers:
                        hook.apply_model(
                            Executor(model, unet), x, levels, c_crossattn=context, transformer_options=options
                        )
                steps.append(transfers)

        hook.outer_sample(Executor(guider, sample), torch.zeros(1, 4, 8, 8), None, None, sigmas)
        return steps, residuals

    return run


@pytest.fixture(autouse=True)
def plain_attention(bare_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's other ways ask a device for its free memory."""
    import comfy.ldm.modules.attention as attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)


@pytest.mark.parametrize(
    "controls",
    [[{}], [{"branches": "cond"}], [MASKED], [{}, {"strength": 0.5}], [MASKED, {"mode": "paper"}]],
    ids=["both", "cond", "masked", "two", "masked and cond"],
)
def test_an_open_control_reads_nothing_back_and_moves_nothing(host, transfers_of, controls) -> None:
    steps, residuals = transfers_of("meta", *controls, extra={"mask": host.give(torch.rand(1, 96, 64))})
    assert residuals == [CONNECTIONS] * STEPS
    assert not [str(transfer) for step in steps[1:] for transfer in (*step.read_backs, *step.copies)]


def test_the_rows_of_a_foreign_net_are_picked_without_a_copy(host, transfers_of, host_net) -> None:
    """Its own code may read back what it likes."""
    steps, residuals = transfers_of("cpu", {"net": host_net("narrow"), "branches": "cond"})
    assert residuals == [CONNECTIONS] * STEPS
    transfers = [transfer for step in steps[1:] for transfer in (*step.read_backs, *step.copies)]
    assert not [str(transfer) for transfer in transfers if transfer.is_below(ROOT)]


def test_a_window_costs_one_read_a_call_however_many_controls_have_one(transfers_of) -> None:
    window = {"schedule": ["window", 0]}
    steps, residuals = transfers_of("cpu", window, {"strength": 0.5, **window}, {}, extra={"window": HALF})
    assert [len(step.read_backs) for step in steps[1:]] == [1] * (STEPS - 1)
    assert residuals == [CONNECTIONS] * STEPS
    steps, residuals = transfers_of("cpu", window, extra={"window": HALF})
    assert [len(step.read_backs) for step in steps[1:]] == [1] * (STEPS - 1)
    assert residuals == [CONNECTIONS, CONNECTIONS, 0]
