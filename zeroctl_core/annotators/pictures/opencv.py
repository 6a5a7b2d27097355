"""OpenCV, checked before its first use: everything that does not need it works without it."""

from __future__ import annotations


def check_opencv(owner: str) -> None:
    """Raises `ImportError` where `import cv2` would fail, with the cause and the remedy: not installed, a system
    library that a server lacks, or files that went missing when another flavour of the package was uninstalled."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        raise ImportError(
            f"{owner} needs OpenCV, which is not installed: pip install opencv-python", name="cv2"
        ) from error
    except ImportError as error:
        if "cannot open shared object file" in str(error):
            raise ImportError(
                f"{owner} needs OpenCV, which is installed but lacks a library of the system ({error}). "
                "On a machine without a screen: pip uninstall -y opencv-python opencv-contrib-python; "
                "pip install --force-reinstall opencv-python-headless",
                name="cv2",
            ) from error
        raise ImportError(
            f"{owner} needs OpenCV, which is installed but cannot be imported ({error}): "
            "pip install --force-reinstall opencv-python-headless",
            name="cv2",
        ) from error
    # the flavours share one folder: uninstalling one leaves an empty cv2 that imports and holds nothing
    if not hasattr(cv2, "Canny"):
        raise ImportError(
            f"{owner} needs OpenCV; there is a folder cv2, but it is empty, as after uninstalling one of two flavours: "
            "pip install --force-reinstall opencv-python",
            name="cv2",
        )
