"""One ComfyUI inside the pytest process: its real server object, node loader, validator and executor, no HTTP.

A process holds one host for good: `comfy` parses its options and picks its device when it is imported.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import logging
import os
import shlex
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

BASE_FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models/checkpoints", "models/controlnet")


class PackNotLoaded(RuntimeError):
    """The host refused a pack; the message is what the host logged."""


class PromptRefused(RuntimeError):
    """`validate_prompt` said no; the message holds the host's own, `node_errors` all of it."""

    def __init__(self, error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> None:
        self.error, self.node_errors = error, node_errors
        lines = [f"{error.get('message')} {error.get('details', '')}".strip()]
        for node_id, faults in node_errors.items():
            lines += [f"{node_id} ({faults['class_type']}): {e['message']}: {e['details']}" for e in faults["errors"]]
        super().__init__("\n".join(lines))


class NodeFailed(RuntimeError):
    """A node raised while the prompt ran; the message is that of its exception."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.node_id, self.node_type = data["node_id"], data["node_type"]
        self.exception_type = data.get("exception_type", "InterruptProcessingException")
        self.trace = "".join(data.get("traceback", ()))
        super().__init__(
            f"{self.node_id} ({self.node_type}): {self.exception_type}: {data.get('exception_message', 'interrupted')}"
        )


class AnyType(str):
    """A socket type that equals every other: the host compares types with `!=`."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = AnyType("*")


class BenchKeep:
    """Output node that hands a value of the graph to the test."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "keep"
    CATEGORY = "bench"
    values: dict[str, Any] = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": (ANY,), "name": ("STRING", {})}}

    def keep(self, value: Any, name: str) -> dict[str, Any]:
        self.values[name] = value
        return {}


class BenchGive:
    """Node that puts an object of the test into a graph, such as a MODEL that no file describes."""

    RETURN_TYPES = (ANY,)
    FUNCTION = "give"
    CATEGORY = "bench"
    values: list[Any] = []

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"index": ("INT", {"default": 0, "min": 0, "max": 1 << 30})}}

    def give(self, index: int) -> tuple[Any]:
        return (self.values[index],)


@dataclass(frozen=True)
class Result:
    """What a prompt left behind: `ui` by node id, `values` by the names asked for, `events` as sent to the browser."""

    ui: dict[str, dict[str, Any]]
    values: dict[str, Any]
    events: list[tuple[str, Any]]
    executed: list[str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def sent(self, event: str) -> list[Any]:
        """The data of every event of this name, in order."""
        return [data for name, data in self.events if name == event]


@dataclass(kw_only=True)
class Host:
    """A booted host; `nodes`, `execution`, `folder_paths` are its own modules, `base` holds models, input, output."""

    checkout: Path
    base: Path
    version: str
    nodes: ModuleType
    execution: ModuleType
    folder_paths: ModuleType
    server: Any
    loop: asyncio.AbstractEventLoop
    events: list[tuple[str, Any]] = field(default_factory=list)
    _executor: Any = None

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the host's loop, which nothing else runs."""
        return self.loop.run_until_complete(coroutine)

    def load_pack(self, path: Path) -> list[str]:
        """Load a node pack with the host's own `load_custom_node`; return its node ids.

        Raises `PackNotLoaded` with the host's log lines, which are all that the host says about it.
        """
        lines: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger().addHandler(handler)
        before = set(self.nodes.NODE_CLASS_MAPPINGS)
        try:
            loaded = self.wait(self.nodes.load_custom_node(str(path), before, module_parent="custom_nodes"))
        finally:
            logging.getLogger().removeHandler(handler)
        if not loaded:
            raise PackNotLoaded(f"{path} did not load in ComfyUI {self.version}:\n" + "\n".join(lines))
        return [node_id for node_id in self.nodes.NODE_CLASS_MAPPINGS if node_id not in before]

    def pack_module(self, path: Path) -> ModuleType:
        """The module that the host made of a pack's folder, under the name that the host gives it."""
        return sys.modules[str(path).replace(".", "_x_")]

    def give(self, value: Any) -> dict[str, Any]:
        """A node for a graph whose output 0 is this very object, whatever its type."""
        BenchGive.values.append(value)
        return {"class_type": "BenchGive", "inputs": {"index": len(BenchGive.values) - 1}}

    def run(self, prompt: Mapping[str, Any], keep: Mapping[str, list[Any]] | None = None, fresh: bool = True) -> Result:
        """Validate and execute a prompt in the API format, as the server does after `POST /prompt`.

        `keep` names links whose values come back in the result. With `fresh` no node is answered from the cache of
        an earlier run; without it, the runs that said so share one cache, as in one session of a user.

        Raises `PromptRefused` before anything ran, and `NodeFailed` with the message of the node's exception.
        """
        prompt = copy.deepcopy(dict(prompt))  # the host writes defaults into it
        for name, link in (keep or {}).items():
            prompt[f"keep {name}"] = {"class_type": "BenchKeep", "inputs": {"value": list(link), "name": name}}
        valid = self.wait(self.execution.validate_prompt("bench", prompt, None))
        if not valid[0]:
            raise PromptRefused(valid[1], valid[3])
        if fresh:
            self._forget_clones()
        executor = self._new_executor()
        if not fresh:
            executor = self._executor = self._executor or executor
        BenchKeep.values = {}
        self.events.clear()
        self.wait(executor.execute_async(prompt, "bench", {"client_id": "bench"}, valid[2]))
        events = list(self.events)
        for event, data in executor.status_messages:
            if event in ("execution_error", "execution_interrupted"):
                raise NodeFailed(data)
        executed = [data["node"] for event, data in events if event == "executing" and data.get("node")]
        return Result(executor.history_result["outputs"], dict(BenchKeep.values), events, executed)

    def _forget_clones(self) -> None:
        """Take MODELs that are gone off the host's list of loaded ones. Their network is a fixture's and stays, so the
        host would look for garbage in the whole process at every run, which takes longer than most of them."""
        loaded = importlib.import_module("comfy.model_management").current_loaded_models
        loaded[:] = [one for one in loaded if not one.is_dead()]

    def _new_executor(self) -> Any:
        executor = self.execution.PromptExecutor
        if "cache_args" in inspect.signature(executor).parameters:
            return executor(self.server, cache_args={"lru": 0, "ram": 0, "ram_inactive": 0})
        return executor(self.server)


def host_options() -> list[str]:
    """Command line of the host; `ZEROCTL_HOST_OPTIONS` replaces `--cpu`, for a run on a GPU."""
    return shlex.split(os.environ.get("ZEROCTL_HOST_OPTIONS", "--cpu"))


def make_base(base: Path) -> Path:
    """Make the folders that the host expects below its base directory."""
    for folder in BASE_FOLDERS:
        (base / folder).mkdir(parents=True, exist_ok=True)
    return base


def _report_progress(host: Host) -> None:
    """Install the progress hook as `main.py` does: it is also where a sampler notices that it was interrupted."""
    model_management, progress_bars = (
        importlib.import_module(f"comfy.{name}") for name in ("model_management", "utils")
    )

    def hook(value: int, total: int, preview: Any, node_id: str | None = None, **_: Any) -> None:
        model_management.throw_exception_if_processing_interrupted()
        node = node_id if node_id is not None else host.server.last_node_id
        host.events.append(("progress", {"value": value, "max": total, "node": node}))

    progress_bars.set_progress_bar_global_hook(hook)


def boot(checkout: Path, base: Path) -> Host:
    """Start the host of this checkout in this process, without custom nodes; all its files go below `base`.

    Raises `FileNotFoundError` for a folder that is not a checkout of ComfyUI.
    """
    if not (checkout / "comfyui_version.py").is_file():
        raise FileNotFoundError(f"{checkout} holds no ComfyUI; set ZEROCTL_HOST to a checkout that has main.py.")
    make_base(base)
    # `python -m pytest` puts the working directory first, and our own `nodes` folder would hide the host's module
    sys.path[:] = [str(checkout), *(p for p in sys.path if Path(p or ".").resolve() != Path.cwd().resolve())]
    argv, sys.argv = (
        sys.argv,
        [
            "main.py",
            *host_options(),
            "--base-directory",
            str(base),
            "--database-url",
            "sqlite:///:memory:",
            "--disable-api-nodes",
        ],
    )
    try:
        importlib.import_module("comfy.options").enable_args_parsing()
        importlib.import_module("comfy.cli_args")
    finally:
        sys.argv = argv
    # before nodes, or the host's comfy/utils.py takes the name of the package
    importlib.import_module("utils.extra_config")
    folder_paths, nodes, server, execution = (
        importlib.import_module(name) for name in ("folder_paths", "nodes", "server", "execution")
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    prompt_server = server.PromptServer(loop)
    host = Host(
        checkout=checkout,
        base=base,
        version=importlib.import_module("comfyui_version").__version__,
        nodes=nodes,
        execution=execution,
        folder_paths=folder_paths,
        server=prompt_server,
        loop=loop,
    )
    prompt_server.send_sync = lambda event, data, sid=None: host.events.append((event, data))
    _report_progress(host)
    host.wait(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    nodes.NODE_CLASS_MAPPINGS.update(BenchKeep=BenchKeep, BenchGive=BenchGive)
    sys.path.insert(0, str(checkout / "comfy"))  # the host does this before it loads custom nodes
    return host
