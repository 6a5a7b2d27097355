"""From an image to a condition image: one node for every annotator of the registry, and one for all of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS, Annotator, Choice, Param, Switch
from zeroctl_core.annotators.hint_size import RESOLUTIONS
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.pixels import over_white
from zeroctl_core.annotators.resolution import at_resolution, mask_at
from zeroctl_core.annotators.settings_text import parse_settings

from .host.annotator_files import add_folder
from .host.annotator_folders import folder_names, offered
from .host.annotator_nets import annotate_in_chunks, loaded, loaded_folder
from .host.schema import ComfyNode, NodeOutput, check_choice, io, option, schema, ui
from .host.units import check_image, check_mask

NODE_IDS = {"softedge": "ZeroctlSoftEdge", "teed": "ZeroctlTEED"}  # where capitals do not follow from the name
CATEGORY = "zeroctl/annotate"
OF_MAPS = ("normal", "normal_convert", "segment_snap")  # resized maps are no longer what they were: at their own size
MASK_AS_DRAWING = {"scribble": {"source": "drawing", "polarity": "light_on_dark"}}  # read so

add_folder()


def node_id(name: str) -> str:
    """The id of an annotator's node: normal_convert -> ZeroctlNormalConvert."""
    return NODE_IDS.get(name) or "Zeroctl" + "".join(part.capitalize() for part in name.split("_"))


def setting_input(param: Param | Choice | Switch) -> Any:
    if isinstance(param, Choice):
        return io.Combo.Input(param.name, options=list(param.options), default=param.default, tooltip=param.help)
    if isinstance(param, Switch):
        return io.Boolean.Input(param.name, default=param.default, tooltip=param.help)
    kind: Any = io.Int if isinstance(param.default, int) else io.Float
    # front ends put this widget beside every seed; it has to be told, or saved values would be off by one
    seed = {"control_after_generate": True} if param.name == "seed" else {}
    return option(
        kind,
        param.name,
        default=param.default,
        min=param.min,
        max=param.max,
        step=param.step,
        tooltip=param.help,
        **seed,
    )


def resolution_input(
    default: int,
    tooltip: str = "Pixels of the short side to annotate at, 64 or more; 0 keeps the picture's size. "
    "Use the short side of the picture that you generate.",
) -> Any:
    return io.Int.Input("resolution", default=default, min=0, max=RESOLUTIONS[1], step=8, tooltip=tooltip)


def download_input() -> Any:
    return io.Boolean.Input(
        "download",
        default=False,
        tooltip="Fetch the files of the network when they are not on disk. Off: nothing is ever fetched, and what is "
        "missing is an error that says where it belongs.",
    )


def description(annotator: Annotator) -> str:
    """What it draws, and the files that it needs with the licences of their weights."""
    files = [f"{NETWORKS[name].file} (weights: {NETWORKS[name].licence})" for name in annotator.networks.values()]
    if annotator.task:
        files.append(f"a folder such as {offered(annotator.task)}")
    return annotator.summary + (f" Files: {'; '.join(files)}." if files else "")


def model_input(task: str, name: str = "model") -> Any:
    """The folder of a transformers model."""
    return io.Combo.Input(
        name,
        options=folder_names(task),
        tooltip="A folder with config.json and model.safetensors of a transformers model, below ComfyUI's "
        "models/annotators.",
    )


def _annotated(
    annotator: Annotator,
    image: Any,
    mask: Any,
    resolution: int,
    model: str,
    download: bool,
    params: dict[str, Any],
) -> Tensor:
    """The condition image [B, H, W, 3]. Everything is checked before a network is loaded."""
    if mask is not None and annotator.name in MASK_AS_DRAWING:
        image = check_mask(mask).reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3)
        params = params | MASK_AS_DRAWING[annotator.name]
    picture = over_white(check_image(image, channels=(3, 4)))
    annotator.check(**params)
    at_size = at_resolution(picture, resolution)
    placed = None if annotator.kind != "masked" else mask_at(check_mask(mask), at_size)
    net = None
    if annotator.task:
        net = loaded_folder(annotator.task, model, download)
    elif needed := annotator.network(**params):
        net = loaded(needed, download)
    return annotate_in_chunks(annotator, at_size, net, placed, **params).movedim(1, -1)


def _node(annotator: Annotator) -> type[ComfyNode]:
    class Annotate(ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            masked = annotator.kind == "masked"
            picture = io.Image.Input(
                annotator.takes,
                tooltip="The picture to annotate. A batch is annotated picture by picture; alpha is laid over white.",
            )
            mask = io.Mask.Input("mask", tooltip="1 where the picture is to be drawn anew; one for all, or one each.")
            drawn = io.Mask.Input(
                "mask", optional=True, tooltip="A drawn mask: where it is connected it is the drawing, not the picture."
            )
            return schema(
                node_id=cls.__name__,
                display_name=annotator.title,
                category=CATEGORY,
                description=description(annotator),
                search_aliases=[annotator.name, "preprocessor", "annotator", "controlnet"],
                inputs=[
                    picture,
                    *([mask] if masked else []),
                    *([model_input(annotator.task)] if annotator.task else []),
                    *(setting_input(param) for param in annotator.params),
                    resolution_input(0 if masked or annotator.name in OF_MAPS else 512),
                    *([download_input()] if annotator.networks or annotator.task else []),
                    *([drawn] if annotator.name in MASK_AS_DRAWING else []),
                ],
                outputs=[io.Image.Output(display_name="condition", tooltip="The condition image for ZeroctlControl.")],
            )

        @classmethod
        def execute(
            cls, mask: Any = None, resolution: int = 512, model: str = "", download: bool = False, **rest: Any
        ) -> NodeOutput:
            image = rest.pop(annotator.takes)
            condition = _annotated(annotator, image, mask, resolution, model, download, rest)
            return NodeOutput(condition, ui=ui.PreviewImage(condition.clamp(0, 1), cls=cls))

    Annotate.__name__ = Annotate.__qualname__ = node_id(annotator.name)
    return Annotate


class ZeroctlAnnotate(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlAnnotate",
            display_name="Annotate",
            category=CATEGORY,
            description="Any annotator by name, to try one after another. Settings that are not named have their "
            "defaults; each annotator also has a node of its own with all of them.",
            search_aliases=["aio preprocessor", "preprocessor", "annotator"],
            inputs=[
                io.Image.Input("image", tooltip="The picture to annotate; alpha is laid over white."),
                io.Combo.Input("annotator", options=list(ANNOTATORS), default="canny", tooltip="What to draw."),
                resolution_input(512),
                io.String.Input(
                    "settings",
                    default="",
                    tooltip="Settings by name, such as low=50, high=150; the names are those of the annotator's node.",
                ),
                download_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="For inpaint: where to draw anew. For scribble: the drawing, instead of the picture.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="condition", tooltip="The condition image for ZeroctlControl."),
            ],
        )

    @classmethod
    def execute(
        cls, image: Any, annotator: str, resolution: int, settings: str, download: bool, mask: Any = None
    ) -> NodeOutput:
        chosen = ANNOTATORS[check_choice("annotator", annotator, ANNOTATORS)]
        if mask is None and chosen.kind == "masked":
            raise ValueError(f"{annotator} needs a mask: connect one.")
        if mask is not None and chosen.kind != "masked" and annotator not in MASK_AS_DRAWING:
            raise ValueError(f"{annotator} has no use for a mask.")
        condition = _annotated(
            chosen, image, mask, resolution, _first_model(chosen), download, parse_settings(chosen, settings)
        )
        return NodeOutput(condition, ui=ui.PreviewImage(condition.clamp(0, 1), cls=cls))


def _first_model(annotator: Annotator) -> str:
    """The first folder that the node of an annotator offers."""
    return folder_names(annotator.task)[0] if annotator.task else ""


NODES = [*(_node(annotator) for name, annotator in ANNOTATORS.items() if name != "segment"), ZeroctlAnnotate]
