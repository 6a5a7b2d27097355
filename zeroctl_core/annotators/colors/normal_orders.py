"""Which way each colour of a normal map points, for the four orders in use."""

from __future__ import annotations

import numpy as np

ORDERS = {
    "bae": ("left", "top", "front"),
    "midas_cn10": ("front", "top", "left"),
    "opengl": ("right", "top", "front"),
    "directx": ("right", "bottom", "front"),
}
"""Order -> where a surface faces, seen from the camera, when its red, green and blue are 255. Faces opposite are 0.

Sources. `bae`: README of ControlNet 1.1, Normal: "blue is front, red is left, green is top". `midas_cn10`: the released
annotator/midas makes (left, top, front) of the Sobel x and y of a depth where near is large, and
gradio_normal2image.py turns the channels round for the model. `opengl` and `directx`: x right, z to the viewer, y up
(Y+) or down (Y-), as in Adobe's "What is the difference between the OpenGL and DirectX normal format".
"""

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def reorder(pixels: np.ndarray, source: str, target: str) -> np.ndarray:
    """The same normals in another order: channels change places, and x becomes 255 - x where they face the other way.

    [..., 3] uint8  ->  [..., 3] uint8, new

    Black stands for an empty background, not for a normal, and stays black. A colour that would become black, say
    (255, 0, 0) from opengl to bae, is not a normal either (all three axes at their end); it gets the colour that black
    gave up, so that there and back is the identity for every colour.
    """
    have, want = ORDERS[source], ORDERS[target]
    planes, empty = [], []
    for face in want:
        same = face in have
        plane = pixels[..., have.index(face if same else OPPOSITE[face])]
        planes.append(plane if same else 255 - plane)
        empty.append(0 if same else 255)
    result = np.stack(planes, axis=-1)
    result[_black(result)] = empty
    result[_black(pixels)] = 0
    return result


def _black(pixels: np.ndarray) -> np.ndarray:
    """[..., 3] -> [...] bool."""
    return (pixels[..., 0] | pixels[..., 1] | pixels[..., 2]) == 0
