"""From an image to a condition image: one node for every annotator of the registry, and one for all of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS, Annotator
from zeroctl_core.annotators.pictures.check import check_picture
from zeroctl_core.annotators.pictures.opencv import check_opencv
from zeroctl_core.annotators.pictures.pixels import over_white
from zeroctl_core.annotators.pictures.resolution import at_resolution, mask_at
from zeroctl_core.annotators.settings_text import parse_settings

from .host.annotators.folders import first_folder
from .host.annotators.inputs import (
    CATEGORY,
    description,
    download_input,
    model_input,
    resolution_input,
    setting_input,
)
from .host.annotators.nets import annotate_in_chunks, loaded, loaded_folders
from .host.inputs import check_choice, check_image, check_mask
from .host.preview import preview
from .host.schema import ComfyNode, NodeOutput, io, schema

NODE_IDS = {"softedge": "ZeroctlSoftEdge", "teed": "ZeroctlTEED"}  # where capitals do not follow from the name
OF_MAPS = ("normal", "normal_convert", "segment_snap")  # resized maps are no longer what they were: at their own size
MASK_AS_DRAWING = {"scribble": {"source": "drawing", "polarity": "light_on_dark"}}  # read so


def node_id(name: str) -> str:
    """The id of an annotator's node: normal_convert -> ZeroctlNormalConvert."""
    return NODE_IDS.get(name) or "Zeroctl" + "".join(part.capitalize() for part in name.split("_"))


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
        image = check_mask(mask, "drawn").reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3)
        params = params | MASK_AS_DRAWING[annotator.name]
    picture = over_white(check_image(image, annotator.takes, channels=(3, 4)))
    annotator.check(**params)
    at_size = at_resolution(picture, resolution, in_floats=annotator.takes == "depth")
    placed = None if annotator.kind != "masked" else mask_at(check_mask(mask, "to be drawn anew"), at_size)
    needed = annotator.network(**params)
    net = None
    if annotator.task or needed:
        check_picture(annotator.name, at_size)
        if "cv2" in annotator.needs:
            check_opencv(annotator.name)
        # a network may see the picture larger than it is
        pixels = max(at_size.shape[2] * at_size.shape[3], int(params.get("detect_size", 0)) ** 2)
        if needed:
            net = loaded(needed, download, pixels)
        else:
            net = loaded_folders({annotator.task: model}, download, pixels)[0]
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
                outputs=[io.Image.Output(display_name="condition", tooltip=annotator.summary)],
            )

        @classmethod
        def execute(
            cls, mask: Any = None, resolution: int = 512, model: str = "", download: bool = False, **rest: Any
        ) -> NodeOutput:
            image = rest.pop(annotator.takes)
            condition = _annotated(annotator, image, mask, resolution, model, download, rest)
            return NodeOutput(condition, ui=preview(condition, cls))

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
            takers = [name for name, entry in ANNOTATORS.items() if entry.kind == "masked" or name in MASK_AS_DRAWING]
            raise ValueError(f"{annotator} has no use for a mask. Disconnect it; {' and '.join(takers)} take one.")
        condition = _annotated(
            chosen, image, mask, resolution, _first_model(chosen), download, parse_settings(chosen, settings)
        )
        return NodeOutput(condition, ui=preview(condition, cls))


def _first_model(annotator: Annotator) -> str:
    return first_folder(annotator.task) if annotator.task else ""


NODES = [*(_node(annotator) for name, annotator in ANNOTATORS.items() if name != "segment"), ZeroctlAnnotate]
