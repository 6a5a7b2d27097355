"""zeroctl: ControlNet for ComfyUI, to annotate, load, apply, stack and train.

The host imports this folder by path and under a name of its own. Importing does nothing; the host calls
`comfy_entrypoint`, which puts the core of this checkout under its one name and then loads the nodes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import ZeroctlExtension

WEB_DIRECTORY = "./web"


def bind_core() -> ModuleType:
    """Make `import zeroctl_core` mean the core beside this file, for the host, the tests and training alike.

    `sys.path` stays as it is: the root on it would put our `nodes` before the host's. Calling it again is free.

    Raises: ImportError when another copy already holds the name; the two could not share their types.
    """
    init = Path(__file__).resolve().parent / "zeroctl_core" / "__init__.py"
    core = sys.modules.get("zeroctl_core")
    if core is not None:
        loaded = getattr(core, "__file__", None)
        if loaded is None or Path(loaded).resolve() != init:
            raise ImportError(
                f"zeroctl_core is already loaded from {loaded}, but this pack needs {init}. "
                "Remove or disable one of the two copies."
            )
        return core
    spec = importlib.util.spec_from_file_location("zeroctl_core", init)
    if spec is None or spec.loader is None:
        raise ImportError(f"{init} cannot be imported; the checkout is incomplete, install zeroctl again.")
    core = sys.modules["zeroctl_core"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(core)
    except BaseException:
        del sys.modules["zeroctl_core"]  # a half-loaded core would hide the reason from the next import
        raise
    return core


async def comfy_entrypoint() -> ZeroctlExtension:
    """Called by the host to get the nodes."""
    bind_core()
    from .nodes import ZeroctlExtension

    return ZeroctlExtension()
