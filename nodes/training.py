"""Training in the graph: pictures to prepared data, prepared data to a control."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zeroctl_core.files.key_faults import short
from zeroctl_core.files.plural import plural
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.prepare.config import PrepareConfig, usable_annotators
from zeroctl_core.train.prepare.fault import Fault, lines_of
from zeroctl_core.train.prepare.pairs import find_samples
from zeroctl_core.train.prepare.sample import Sample

from .host.annotators.inputs import download_input
from .host.schema import LARGEST_SEED, ComfyNode, NodeOutput, TrainingDataSocket, io, option, schema
from .host.training.data import TrainingData, checked, prepared, samples_of, with_net
from .host.training.folders import data_folder, input_folder
from .host.training.run import train

GIVEN = "given"  # the conditions are connected, or in a folder
NAMED = 20  # of each kind of fault, in the report


class ZeroctlTrainingData(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlTrainingData",
            display_name="Training Data",
            category="zeroctl/train",
            description="Encodes pictures, conditions and captions for training, once: a folder below ComfyUI's input "
            "folder, or lists of other nodes. What did not change since the last time is kept.",
            search_aliases=["dataset", "train controlnet", "prepare dataset"],
            is_input_list=True,
            inputs=[
                io.Clip.Input("clip", tooltip="Encodes the captions. This version: the CLIP of Load Demo Model."),
                io.Vae.Input("vae", tooltip="Encodes the pictures. This version: the VAE of Load Demo Model."),
                io.String.Input(
                    "name",
                    default="my_data",
                    tooltip="Name of the prepared data: a folder in output/zeroctl/data.",
                ),
                io.String.Input(
                    "folder",
                    default="",
                    tooltip="Folder of pictures below ComfyUI's input folder, subfolders too; the caption of cat.png "
                    "is in cat.txt beside it. Empty: the pictures are connected.",
                ),
                io.String.Input(
                    "conditions_folder",
                    default="",
                    tooltip="Folder of condition images below the input folder, by the same names. Empty: the "
                    "annotator draws them, or they are connected.",
                ),
                io.Combo.Input(
                    "annotator",
                    options=[*usable_annotators(), GIVEN],
                    default="canny",
                    tooltip="What draws the conditions from the pictures; the help page says which need a file. given: "
                    "they are connected, or in conditions_folder.",
                ),
                io.String.Input(
                    "settings", default="", tooltip="Settings of the annotator: low=50, high=150. Empty: its defaults."
                ),
                io.Int.Input("width", default=192, min=64, max=2048, step=8, tooltip="Of the pictures, in pixels."),
                io.Int.Input(
                    "height",
                    default=192,
                    min=64,
                    max=2048,
                    step=8,
                    tooltip="Of the pictures, in pixels. The middle of each picture with these proportions is used.",
                ),
                io.Int.Input(
                    "held_out",
                    default=32,
                    min=0,
                    max=4096,
                    tooltip="Pictures that no training sees: the scores are theirs.",
                ),
                io.Image.Input("images", optional=True, tooltip="Pictures, as a batch or a list."),
                io.String.Input(
                    "captions",
                    default="",
                    optional=True,
                    force_input=True,
                    tooltip="One for each picture, or one for all.",
                ),
                io.Image.Input("conditions", optional=True, tooltip="One for each picture, in the same order."),
                download_input(optional=True),
            ],
            outputs=[
                TrainingDataSocket.Output(display_name="data", tooltip="For Train ControlNet."),
                io.String.Output(display_name="report", tooltip="How many samples there are, and what was left out."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: list[str] | None = None, **inputs: Any) -> float:
        return float("nan")  # pictures in the folder may have changed; what did not is kept by the preparation

    @classmethod
    def execute(
        cls,
        clip: list[Any],
        vae: list[Any],
        name: list[str],
        folder: list[str],
        conditions_folder: list[str],
        annotator: list[str],
        settings: list[str],
        width: list[int],
        height: list[int],
        held_out: list[int],
        images: list[Tensor] | None = None,
        captions: list[str] | None = None,
        conditions: list[Tensor] | None = None,
        download: list[bool] | None = None,
    ) -> NodeOutput:
        is_given = annotator[0] == GIVEN
        if bool(folder[0]) == bool(images):
            raise ValueError("give pictures either by folder or by images, not both and not neither")
        if is_given != bool(conditions_folder[0] or conditions):
            raise ValueError(
                f"annotator is {short(repr(annotator[0]))}: conditions come either from an annotator, or, "
                f"with {GIVEN}, from conditions_folder or conditions"
            )
        config = PrepareConfig(
            pictures=input_folder(folder[0]),
            conditions=input_folder(conditions_folder[0]) if is_given else None,
            annotator="" if is_given else annotator[0],
            settings=settings[0],
            width=width[0],
            height=height[0],
            held_out=held_out[0],
        )
        target = data_folder(name[0])
        drawing = with_net(config.drawing, bool(download and download[0]))
        if folder[0]:
            samples, faults = _samples(config)
        else:
            samples, faults = samples_of(images or [], conditions or [], captions or []), []
        lines: list[str] = []
        samples, more = checked(samples, drawing, target, clip=clip[0], vae=vae[0], say=lines.append)
        faults += more
        if len(samples) <= config.held_out and any(fault.is_unusable for fault in faults):
            raise ValueError(
                f"{plural(len(samples), 'sample')} can be used, and {config.held_out} are to be held out for scores; "
                f"{'; '.join(lines_of(faults, NAMED))}"
            )
        data = prepared(
            samples,
            drawing,
            target,
            held_out=config.held_out,
            clip=clip[0],
            vae=vae[0],
            say=lines.append,
        )
        return NodeOutput(data, "\n".join([_report(data, faults), *lines]))


class ZeroctlTrainControlNet(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        defaults = ControlConfig()
        return schema(
            node_id="ZeroctlTrainControlNet",
            display_name="Train ControlNet",
            category="zeroctl/train",
            description="Trains a ControlNet on prepared data. The score and samples show while it trains. An "
            "interrupt writes a checkpoint; queued again, or with more steps, it goes on. The MODEL is not changed.",
            search_aliases=["training", "finetune", "train controlnet"],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input("model", tooltip="The base. This version: the MODEL of Load Demo Model."),
                TrainingDataSocket.Input("data", tooltip="Of Training Data."),
                io.String.Input(
                    "run",
                    default="my_control",
                    tooltip="Name of the run: a folder in output/zeroctl/train.",
                ),
                io.Int.Input(
                    "steps",
                    default=defaults.steps,
                    min=1,
                    max=10_000_000,
                    tooltip="Optimiser steps: a goal. A finished run goes on to a higher one.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=defaults.learning_rate,
                    min=1e-7,
                    max=1.0,
                    step=1e-5,
                    tooltip="Of AdamW. 0.001 for the demo model, 0.00001 for Stable Diffusion.",
                ),
                io.Int.Input("batch_size", default=defaults.batch_size, min=1, max=1024, tooltip="Samples a step."),
                option(
                    io.Int,
                    "seed",
                    default=0,
                    min=0,
                    max=LARGEST_SEED,
                    control_after_generate=False,
                    tooltip="Of the start, the order of the data, timesteps, noise and dropped prompts.",
                ),
            ],
            outputs=[
                io.ControlNet.Output(display_name="control_net", tooltip="The trained ControlNet."),
                io.Image.Output(
                    display_name="samples",
                    tooltip="Held-out samples: the condition, without and with the control, side by side.",
                ),
                io.String.Output(display_name="report", tooltip="Scores, losses, the jump, and where the file is."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        data: TrainingData,
        run: str,
        steps: int,
        learning_rate: float,
        batch_size: int,
        seed: int,
    ) -> NodeOutput:
        config = ControlConfig(run=run, steps=steps, learning_rate=learning_rate, batch_size=batch_size, seed=seed)
        result = train(model, data, config, str(cls.hidden.unique_id))
        return NodeOutput(result.control_net, result.samples, result.report)


def _report(data: TrainingData, faults: list[Fault]) -> str:
    index = data.index
    lines = [f"{plural(len(index.names), 'sample')} in {data.folder}, {index.held_out} of them held out for scores"]
    return "\n".join([*lines, *lines_of(faults, NAMED)])


def _samples(config: PrepareConfig) -> tuple[list[Sample], list[Fault]]:
    folder = find_samples(config.pictures, config.conditions, background=config.background)
    return list(folder.samples), list(folder.faults)


NODES = [ZeroctlTrainingData, ZeroctlTrainControlNet]
