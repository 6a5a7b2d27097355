"""A training run of a control, from its settings to a file that hosts load."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import save_controlnet
from ..files.written_whole import check_writable, remove_folder
from ..network.controlnet import ControlNet
from ..network.noise_levels import STABLE_DIFFUSION
from .checkpointing import CHECKPOINTS, newest_step
from .config import ControlConfig
from .control import ControlTask
from .disk import check_space
from .display import Say, display, duration
from .interrupt import deferred_interrupts
from .jump import Jump
from .lock import sole_run
from .loop import Callback, fit
from .source import Source
from .watching import Line, Log, Watch, detector_of

LOG, LATENTS = "log.jsonl", "latents"


@dataclass(frozen=True)
class TrainedControl:
    """What a run leaves."""

    net: ControlNet  # float32, for inference; the averaged weights where an average was kept
    log: tuple[Line, ...]  # what log.jsonl holds
    jump: Jump | None
    path: Path  # of the file in float16


def check_config(config: ControlConfig, source: Source) -> None:
    """Refuse what can be refused before weights are read.

    Raises `ValueError` for an unknown condition, a base whose prediction or noise schedule is unknown, a device that
    is not there, and an output or a log that cannot be written.
    """
    if config.condition not in source.conditions:
        raise ValueError(f"there is no condition {config.condition!r}; there are: {', '.join(source.conditions)}")
    config.objective(source.prediction, source.schedule)
    try:
        torch.ones(1, device=config.device).item()  # on meta there is a tensor, but no number
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without CUDA asserts
        raise ValueError(f"the device {config.device!r} cannot be used ({error}); cpu always can") from error
    for path in (config.target, config.folder / LOG):
        check_writable(path)


def new_control(config: ControlConfig, source: Source) -> ControlNet:
    """The trainable copy. The condition encoder, which no base has, starts from the seed; torch's own stays."""
    with torch.random.fork_rng(devices=[]):
        unet = source.unet  # before the seed: reading it may draw numbers
        torch.manual_seed(config.seed)
        return ControlNet.trainable_copy(unet, condition_form=config.form, dtype=torch.float32)


def new_task(config: ControlConfig, source: Source, net: nn.Module) -> ControlTask:
    """What is trained, and on what; encoded pictures stay in `config.work` for the next run."""
    return ControlTask(
        source.unet,
        net,
        source.data(config.condition, seed=config.data_seed, count=config.n_scenes, cache=config.work / LATENTS),
        config.objective(source.prediction, source.schedule),
        seed=config.seed,
        batch_size=config.batch_size,
        device=config.device,
        label=f"form {config.form}" + (f" {source.schedule}" if source.schedule != STABLE_DIFFUSION else ""),
    )


def read_log(config: ControlConfig) -> Log:
    return Log(config.folder / LOG)


def save_trained(config: ControlConfig, source: Source, net: ControlNet, log: Log) -> Path:
    """Write a trained control in float16 and the LDM layout, with its settings and its training in the header."""
    scores, losses, jump = log.series("follow"), log.series("loss"), detector_of(log).jump
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
    settings = {**config.record(), "prediction": source.prediction}
    provenance = {"config": settings, "training": training}
    return save_controlnet(net, config.target, dtype=torch.float16, provenance=provenance)


def train_control(
    config: ControlConfig, source: Source, *, callbacks: Sequence[Callback] = (), say: Say = print
) -> TrainedControl:
    """Train a control on a source by its settings, or go on with the run that they name, and write its file.

    Every step is logged in `config.folder`; samples are scored as it goes, and a sudden convergence is announced.
    Ctrl-C and SIGTERM stop after the step with a checkpoint; the same call then goes on, to weights that are equal to
    the bit.

    Raises `ValueError` for settings that cannot be run, and for a folder that another run is using;
    `FileNotFoundError` for weights that are missing, `ResumeError` for a folder that holds a run with other settings,
    `KeyboardInterrupt` when somebody stopped the run, `OSError` where the disk is full, or too small before the start.
    """
    check_config(config, source)
    with sole_run(config.folder), _threads(config.threads):
        net = new_control(config, source)
        say(f"{config.condition}: preparing the samples")
        task = new_task(config, source, net)
        check_space(config, net)
        if not config.resume:  # only now: what is there is worth more than a run that cannot begin
            remove_folder(config.folder)
        say(f"{config.condition}: {len(task.data)} samples")
        progress = display(config.condition, config.steps, say)
        watch = Watch(
            config,
            task,
            source,
            log=config.folder / LOG,
            say=lambda line: progress.say(f"{config.condition}: {line}"),
        )
        with deferred_interrupts(progress.say) as interruption:
            try:
                averages = fit(
                    task,
                    config.optimisation,
                    folder=config.folder / CHECKPOINTS,
                    callbacks=[watch, progress, *callbacks, interruption],
                    resumed=watch.resumed,
                )
            except KeyboardInterrupt:
                progress.close()
                say(_interruption_message(config, watch.step))
                raise
            finally:
                progress.close()
        if averages is not None:
            averages.swap()
        net.eval().requires_grad_(False)
        path = save_trained(config, source, net, watch.log)
    time = f", after {duration(watch.lines[-1]['seconds'])} of training" if watch.lines else ""  # a log can be lost
    say(f"{config.condition}: {path}, {path.stat().st_size / 1e6:.1f} MB{time}")
    return TrainedControl(net, tuple(watch.lines), watch.detector.jump, path)


def _interruption_message(config: ControlConfig, step: int) -> str:
    """What is left of an interrupted run, and how it goes on."""
    interruption = f"interrupted after step {step} of {config.steps}"
    checkpoint = newest_step(config.folder / CHECKPOINTS)
    if checkpoint is None:
        return f"{interruption}; there is no checkpoint yet: started again it begins anew"
    again = "started again" if config.resume else "started again without --no-resume"
    return f"{interruption}; the checkpoint of step {checkpoint} is in {config.folder}: {again} it goes on from there"


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
