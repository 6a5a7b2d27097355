"""The published program of face-api's 68 points, run step by step on its published weights, in numpy and float64.

It has no graph in a file: the steps are those of faceFeatureExtractor/ and faceLandmarkNet/ in its source, by the
operations of `tfjs_graph`. It shares no line with the network of `zeroctl_core`.
"""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from tfjs_graph import OPERATIONS, published_weights


def _attributes(stride: int) -> dict[str, object]:
    padding = base64.b64encode(b"SAME").decode()
    return {"padding": {"s": padding}, "strides": {"list": {"i": [1, stride, stride, 1]}}}


def run_face(path: Path, picture: np.ndarray) -> np.ndarray:
    """[1, 112, 112, 3] in 0..255 -> [68, 2], parts of the picture."""
    weights = published_weights(path)

    def separable(x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        x = OPERATIONS["DepthwiseConv2dNative"](_attributes(stride), x, weights[f"{name}/depthwise_filter"])
        x = OPERATIONS["_FusedConv2D"](_attributes(1), x, weights[f"{name}/pointwise_filter"])
        return x + weights[f"{name}/bias"]

    x = (picture - np.array([122.782, 117.001, 104.298])) / 255
    for block in ("dense0", "dense1", "dense2", "dense3"):
        if block == "dense0":
            x = OPERATIONS["_FusedConv2D"](_attributes(2), x, weights["dense0/conv0/filters"])
            x = x + weights["dense0/conv0/bias"]
        else:
            x = separable(x, f"{block}/conv0", 2)
        one = np.maximum(x, 0)
        two = separable(one, f"{block}/conv1")
        three = separable(np.maximum(one + two, 0), f"{block}/conv2")
        four = separable(np.maximum(one + two + three, 0), f"{block}/conv3")
        x = np.maximum(one + two + three + four, 0)
    flat = x.mean(axis=(1, 2))
    return (flat @ weights["fc/weights"] + weights["fc/bias"]).reshape(68, 2)
