"""Canny, scribbles and the standard lineart: lines found without a network."""

from __future__ import annotations

from typing import Any

from benchmarks.differences.detectors import aux_detector, hf_detector
from benchmarks.differences.pictures import grey_mask, ink, odd_photo, photos
from benchmarks.differences.releases import demo
from benchmarks.differences.row import Row, row


def rows() -> list[Row]:
    canny: dict[str, Any] = {"low": 100, "high": 200}
    theirs = {"low_threshold": 100, "high_threshold": 200}
    released = demo("cn11", "gradio_canny", det="Canny", low_threshold=100, high_threshold=200)
    polarity = (
        "ours: white lines on black are what the ControlNet is given by the released gradio_scribble2image.py; aux "
        "hands out its inverse"
    )
    holes = (
        "ours: aux doubles a difference in 8 bits, so that 128 levels and more count for little and strong lines get "
        "holes; XDoG is in no release"
    )
    return [
        row("canny", "canny", "cn11", file="gradio_canny.py", theirs=released, pictures=photos(), **canny),
        row(
            "canny",
            "canny",
            "aux",
            file="canny",
            theirs=aux_detector("canny", "CannyDetector", **theirs),
            pictures=photos(),
            **canny,
        ),
        row(
            "canny",
            "canny",
            "hf",
            file="canny",
            theirs=hf_detector("canny", "CannyDetector", **theirs),
            pictures=photos(),
            **canny,
        ),
        row(
            "canny, odd size",
            "canny",
            "aux",
            file="canny",
            theirs=aux_detector("canny", "CannyDetector", **theirs),
            pictures=odd_photo(333, 517),
            why="ours: the released annotator/canny sees the picture alone; aux repeats its border to a multiple of 64 "
            "first, which changes edges in the last rows and columns",
            **canny,
        ),
        row(
            "scribble, drawing",
            "scribble",
            "cn10",
            file="gradio_scribble2image.py",
            theirs=demo("cn10", "gradio_scribble2image"),
            pictures=photos(),
            polarity="dark_on_light",
        ),
        row(
            "scribble, drawing, light lines",
            "scribble",
            "cn11",
            file="gradio_scribble_interactive.py",
            theirs=lambda picture: demo("cn11", "gradio_scribble_interactive", input_image={"mask": picture})(picture),
            pictures=grey_mask(),
            polarity="light_on_dark",
        ),
        row(
            "scribble, polarity",
            "scribble",
            "aux",
            file="scribble",
            theirs=aux_detector("scribble", "ScribbleDetector"),
            pictures=photos(),
            why=polarity,
            inverted=True,
            polarity="dark_on_light",
        ),
        *(
            row(
                title,
                "scribble",
                "aux",
                file="scribble",
                theirs=aux_detector("scribble", "ScribbleXDog_Detector", thr_a=32),
                pictures=pictures,
                why=holes,
                source="xdog",
                xdog_threshold=32,
            )
            for title, pictures in (("scribble, XDoG", photos()), ("scribble, XDoG, ink", ink()))
        ),
        *(
            row(
                "lineart, standard",
                "lineart",
                peer,
                file="lineart_standard",
                theirs=detector(
                    "lineart_standard", "LineartStandardDetector", guassian_sigma=6.0, intensity_threshold=8
                ),
                pictures=photos(),
                style="standard",
                sigma=6.0,
                intensity=8,
            )
            for peer, detector in (("aux", aux_detector), ("hf", hf_detector))
        ),
    ]
