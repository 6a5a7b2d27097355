"""A training run of a control of the embedded model, from its settings to a file that hosts load."""

from __future__ import annotations

import copy
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import save_controlnet
from ..demo.conditions import CONDITIONS
from ..demo.data import WorldData
from ..demo.model import WEIGHTS, DemoModel
from ..network.controlnet import ControlNet
from .config import ControlConfig
from .control import ControlTask
from .display import Say, display, duration
from .interrupt import deferred_interrupts
from .jump import Jump
from .loop import Callback, fit
from .watching import Line, Log, Watch, detector_of

LOG, CHECKPOINTS, LATENTS = "log.jsonl", "checkpoints", "latents"


@dataclass(frozen=True)
class TrainedControl:
    """What a run leaves."""

    net: ControlNet  # float32, for inference; the averaged weights where an average was kept
    log: tuple[Line, ...]  # what log.jsonl holds
    jump: Jump | None
    path: Path  # of the file in float16


def check_config(config: ControlConfig) -> None:
    """Refuse what can be refused before weights are read.

    Raises `ValueError` for an unknown condition, and for a device that is not there.
    """
    if config.condition not in CONDITIONS:
        raise ValueError(f"the world has no condition {config.condition!r}; it has: {', '.join(CONDITIONS)}")
    try:
        torch.empty(1, device=config.device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise ValueError(f"the device {config.device!r} cannot be used ({error}); cpu always can") from error


def new_control(config: ControlConfig, model: DemoModel) -> ControlNet:
    """The trainable copy. What has nothing to be copied from starts as the seed says; torch's own state is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ControlNet.trainable_copy(model.unet, condition_form=config.form, dtype=torch.float32)


def new_task(config: ControlConfig, model: DemoModel, net: nn.Module) -> ControlTask:
    """What is trained, and on what; encoded scenes are kept in `config.work` for the next run."""
    data = WorldData(config.condition, config.data_seed, config.n_scenes, model, config.work / LATENTS)
    return ControlTask(
        model.unet,
        net,
        data,
        config.objective,
        seed=config.seed,
        batch_size=config.batch_size,
        device=config.device,
        label=f"form {config.form}",
    )


def read_log(config: ControlConfig) -> Log:
    return Log(config.folder / LOG)


def save_trained(config: ControlConfig, net: ControlNet, log: Log) -> Path:
    """Write a trained control in float16 and the LDM layout, with its settings and its training in the header."""
    scores, losses, jump = log.series("follow"), log.series("loss"), detector_of(log).found
    training = {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "seconds": round(log.lines[-1]["seconds"]) if log.lines else None,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {config.device}",
        "torch": torch.__version__,
        "last_loss": losses[-1][1] if losses else None,
        "follow": scores,
        "jump": None if jump is None else jump.step,
    }
    config.target.parent.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(net).to("cpu", torch.float16)
    return save_controlnet(half, config.target, provenance={"config": config.record(), "training": training})


def train_control(config: ControlConfig, *, callbacks: Sequence[Callback] = (), say: Say = print) -> TrainedControl:
    """Train a control by its settings, or go on with the run that they name, and write its file.

    Every step is logged in `config.folder`; samples are scored as it goes, and a sudden convergence is announced.
    Ctrl-C and SIGTERM stop after the step with a checkpoint; the same call then goes on, to weights that are equal to
    the bit.

    Raises:
        ValueError: settings that cannot be run.
        FileNotFoundError: the embedded model is not there.
        ResumeError: the folder holds a run with other settings.
        KeyboardInterrupt: somebody stopped the run.
    """
    check_config(config)
    if not config.resume:
        shutil.rmtree(config.folder, ignore_errors=True)
    with _threads(config.threads):
        model = DemoModel.load(config.weights or WEIGHTS)
        say(f"{config.condition}: preparing {config.n_scenes} scenes")
        net = new_control(config, model)
        task = new_task(config, model, net)
        shown = display(config.condition, config.steps, say)
        watch = Watch(config, task, model, config.folder / LOG, lambda line: shown.say(f"{config.condition}: {line}"))
        with deferred_interrupts(shown.say) as interruption:
            try:
                averages = fit(
                    task,
                    config.optimisation,
                    folder=config.folder / CHECKPOINTS,
                    callbacks=[watch, shown, *callbacks, interruption],
                )
            except KeyboardInterrupt:
                shown.close()
                say(
                    f"interrupted after step {watch.step} of {config.steps}; the checkpoint is in {config.folder}: "
                    "the same command goes on from there"
                )
                raise
            finally:
                shown.close()
        if averages is not None:
            averages.swap()
        net.eval().requires_grad_(False)
        path = save_trained(config, net, watch.log)
    took = duration(watch.lines[-1]["seconds"])
    say(f"{config.condition}: {path}, {path.stat().st_size / 1e6:.1f} MB, after {took} of training")
    return TrainedControl(net, tuple(watch.lines), watch.detector.found, path)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
