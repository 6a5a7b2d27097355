"""Poses from key points: what OpenPose ControlNets were trained on, from whatever found the people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from zeroctl_core.annotators.pictures.resolution import RESOLUTIONS, size_at_resolution
from zeroctl_core.annotators.pose import (
    DIALECTS,
    POSE_PARAMS,
    Frame,
    canvas_of,
    detect_poses,
    draw_pose,
    drawn_parts,
    find_faces,
    on_one_canvas,
    read_boxes,
    read_keypoints,
    read_text,
    write_keypoints,
)

from .host.annotators.annotated import annotate_batch, read_picture
from .host.annotators.estimators import FACES, MOVENET, NETWORK, estimator_input, files_of, load_pose_nets
from .host.annotators.folders import offered
from .host.annotators.inputs import (
    CATEGORY,
    condition_output,
    download_input,
    model_input,
    resolution_input,
    setting_input,
)
from .host.annotators.poses import tell_of_poses
from .host.inputs import check_choice, check_number
from .host.preview import preview
from .host.schema import BoxesSocket, ComfyNode, NodeOutput, PoseKeypointsSocket, io, option, schema

STICK_SCALES = ["1", "auto_xinsir", "2", "3", "4", "6", "8"]


def _side(name: str) -> Any:
    return option(
        io.Int,
        name,
        advanced=True,
        default=0,
        min=0,
        max=RESOLUTIONS[1],
        optional=True,
        tooltip="Of the picture of the key points, pixels, where they do not name it, as in the files of OpenPose.",
    )


def _canvas(width: int, height: int) -> tuple[int, int] | None:
    """(height, width), or None where neither is given."""
    if (width > 0) != (height > 0):
        raise ValueError(
            f"width is {width} and height {height}. Give both in pixels, or leave both at 0 where the key points name "
            "their canvas."
        )
    return (height, width) if width else None


def _given(keypoints: Any, text: str) -> Any:
    """The key points of the socket or of the text."""
    if keypoints is None and not text.strip():
        raise ValueError(
            "there are no key points. Connect a pose node to keypoints, or paste the JSON of a pose editor into text."
        )
    if keypoints is not None and text.strip():
        raise ValueError("keypoints are connected and text is filled in: use one of them, and empty the other.")
    return read_text(text) if keypoints is None else keypoints


class ZeroctlPoseDraw(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlPoseDraw",
            display_name="Draw Pose",
            category=CATEGORY,
            description="Draws key points of people as OpenPose ControlNets expect them: coloured limbs at .6 of their "
            "brightness, joints at full, on black. Key points are scaled, not the drawing.",
            search_aliases=["openpose", "dwpose", "skeleton", "pose keypoint"],
            inputs=[
                PoseKeypointsSocket.Input(
                    "keypoints",
                    optional=True,
                    tooltip="POSE_KEYPOINT of ComfyUI's pose nodes, or of the OpenPose or DWPose nodes of "
                    "comfyui_controlnet_aux; one picture a frame. Or write text.",
                ),
                io.Boolean.Input("body", default=True, tooltip="Draw limbs and joints."),
                io.Boolean.Input(
                    "hands", default=False, tooltip="Draw hands. The ControlNet 1.0 model never saw any; 1.1 did."
                ),
                io.Boolean.Input(
                    "face", default=False, tooltip="Draw points of the face. The ControlNet 1.0 model never saw any."
                ),
                io.Float.Input(
                    "threshold",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Points of a lower score are left out.",
                ),
                io.Combo.Input(
                    "stick_scale",
                    options=STICK_SCALES,
                    default="1",
                    tooltip="Factor on OpenPose's width of limbs and joints, 4 pixels. auto_xinsir: that of xinsir's "
                    "SDXL model, 2 from 500 pixels on.",
                ),
                option(
                    io.Float,
                    "limb_gain",
                    advanced=True,
                    default=0.6,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Brightness of limbs relative to that of joints: .6 in the training data of ControlNet.",
                ),
                resolution_input(
                    512, "Pixels of the short side of the drawing, 64 or more; 0: the size named by the key points."
                ),
                io.String.Input(
                    "text",
                    default="",
                    optional=True,
                    tooltip="In place of keypoints: the JSON that a pose editor or OpenPose saves, pasted here.",
                ),
                _side("width"),
                _side("height"),
            ],
            outputs=[condition_output()],
        )

    @classmethod
    def execute(
        cls,
        body: bool,
        hands: bool,
        face: bool,
        threshold: float,
        stick_scale: str,
        limb_gain: float,
        resolution: int,
        keypoints: Any = None,
        text: str = "",
        width: int = 0,
        height: int = 0,
    ) -> NodeOutput:
        check_choice("stick_scale", stick_scale, STICK_SCALES)
        notes: list[str] = []
        parts = drawn_parts(body, hands, face)
        frames = read_keypoints(_given(keypoints, text), parts, _canvas(width, height), notes.append)
        if not frames:
            raise ValueError("keypoints hold no frame. Connect a pose node that has run on a picture.")
        size = size_at_resolution(*canvas_of(frames), resolution)
        condition = draw_pose(
            on_one_canvas(frames, notes.append),
            *size,
            limb_gain=check_number("limb_gain", limb_gain),
            stick_scale="auto_xinsir" if stick_scale == "auto_xinsir" else int(stick_scale),
            hands=hands,
            face=face,
            body=body,
            threshold=check_number("threshold", threshold),
        ).movedim(1, -1)
        tell_of_poses("Draw Pose", notes, condition, frames, parts=parts, threshold=threshold)
        return NodeOutput(condition, ui=preview(condition, cls))


class ZeroctlPose(ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroctlPose",
            display_name="Pose",
            category=CATEGORY,
            description="Finds people (RT-DETR) and the points of their bodies (ViTPose), or both by one small network "
            "(MoveNet), and draws them as OpenPose ControlNets expect them; the points of faces, if asked for, by a "
            "third. Hands: ComfyUI's pose nodes find them, Draw Pose draws them. Files: folders such as "
            f"{offered('people')} and {offered('pose')}; or {files_of(NETWORK)}; for faces {files_of(FACES)}.",
            search_aliases=["openpose", "openpose preprocessor", "dwpose", "vitpose", "rt-detr", "movenet"],
            inputs=[
                io.Image.Input("image", tooltip="The picture with people; alpha is laid over white."),
                model_input("people", "detector"),
                estimator_input(),
                *(setting_input(param) for param in POSE_PARAMS),
                resolution_input(512),
                download_input(),
                option(
                    io.Combo,
                    "keypoints_as",
                    advanced=True,
                    options=list(DIALECTS),
                    default=DIALECTS[0],
                    tooltip="The form of the key points: for ComfyUI's nodes, or for those of comfyui_controlnet_aux "
                    "that read the output of its OpenPose or its DWPose node.",
                ),
                BoxesSocket.Input(
                    "bboxes",
                    optional=True,
                    tooltip="Boxes of the people, in pixels or 0 to 1; with them nothing is detected.",
                    extra_dict={"forceInput": True},  # newer front ends would draw an editor of boxes
                ),
                io.Boolean.Input(
                    "face",
                    default=False,
                    optional=True,
                    tooltip="Find and draw the 68 points of each face that shows nose and both eyes, by a small "
                    "network of its own. The ControlNet 1.0 model never saw any; 1.1 did.",
                ),
            ],
            outputs=[
                condition_output(),
                PoseKeypointsSocket.Output(
                    display_name="keypoints", tooltip="For Draw Pose and for ComfyUI's pose nodes."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Any,
        detector: str,
        estimator: str,
        person_threshold: float,
        keypoint_threshold: float,
        max_people: int,
        resolution: int,
        download: bool,
        keypoints_as: str,
        bboxes: Any = None,
        face: bool = False,
    ) -> NodeOutput:
        check_choice("keypoints_as", keypoints_as, DIALECTS)
        picture = read_picture(image)
        height, width = picture.shape[2:]
        notes: list[str] = []
        if estimator == MOVENET and bboxes is not None:
            raise ValueError(
                f"bboxes say where people are, but {MOVENET} finds them by itself. Disconnect bboxes, or choose a "
                "folder of ViTPose as estimator."
            )
        boxes = None if bboxes is None else read_boxes(bboxes, (height, width), notes.append)
        if boxes is not None and len(boxes) not in (1, len(picture)):
            raise ValueError(
                f"bboxes are of {len(boxes)} pictures, image has {len(picture)}; expected as many, or one."
            )
        for param, value in zip(POSE_PARAMS, (person_threshold, keypoint_threshold, max_people), strict=True):
            param.check("pose", value)

        def run(part: slice, pictures: Tensor, nets: Sequence[nn.Module]) -> list[Frame]:
            finders = nets[:-1] if face else nets
            frames = detect_poses(
                pictures,
                finders[0],
                finders[1] if len(finders) > 1 else None,
                boxes=boxes if boxes is None or len(boxes) == 1 else boxes[part],
                person_threshold=person_threshold,
                keypoint_threshold=keypoint_threshold,
                max_people=max_people,
            )
            return find_faces(pictures, frames, nets[-1], notes.append) if face else frames

        folder = None if boxes is not None else detector
        load = partial(load_pose_nets, estimator, folder, face=face, may_download=download, size=(height, width))
        parts = annotate_batch("pose", picture, run, load=load, needs=("cv2",))
        frames = [frame for part in parts for frame in part]
        size = size_at_resolution(height, width, resolution)
        condition = draw_pose(frames, *size, threshold=keypoint_threshold, face=face).movedim(1, -1)
        parts_drawn = drawn_parts(body=True, hands=False, face=face)
        tell_of_poses("Pose", notes, condition, frames, parts=parts_drawn, threshold=keypoint_threshold)
        points = write_keypoints(frames, keypoints_as, keypoint_threshold)
        return NodeOutput(condition, points, ui=preview(condition, cls))


NODES = [ZeroctlPoseDraw, ZeroctlPose]
