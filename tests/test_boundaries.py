"""Who imports whom, read from the sources, and that importing does nothing.

The arrows are: nodes/*.py -> nodes/host -> the host, and nodes -> zeroctl_core -> torch. None turns back. Inside the
core rooms stand on floors (`rooms.CORE_ORDER`).
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rooms import CORE, HOST, NODES, ROOT, Import, arrows, circle, core_offences, file_graph, files_below, imports

HOST_MODULES = {"comfy", "comfy_api", "comfy_config", "comfy_execution", "comfy_extras"}
HOST_MODULES |= {"app", "execution", "folder_paths", "latent_preview", "node_helpers", "nodes", "server"}
CORE_LIBRARIES = {"torch", "numpy", "safetensors"}
INSIDE_FUNCTIONS = {"cv2", "huggingface_hub", "skimage", "PIL"}  # an extra, asked for by who calls the function
EXTRAS = {
    "train": {"accelerate", "datasets", "ray", "tensorboard", "tqdm"},
    "command_line.py": {"tyro"},
}  # room -> libraries of its extra
VAGUE_NAMES = {"utils", "util", "helper", "helpers", "common", "manager", "misc", "new", "v2"}


def offences(files: list[Path], *, allowed) -> list[str]:
    return [str(one) for file in files for one in imports(file) if not allowed(one)]


def is_standard(package: str) -> bool:
    return package in sys.stdlib_module_names or package == "__future__"


def stays_within(one: Import, folder: Path) -> bool:
    """Whether a relative import names something inside this folder."""
    dots = len(one.module) - len(one.module.lstrip("."))
    start = one.file.parent
    for _ in range(dots - 1):
        start = start.parent
    return dots > 0 and start.is_relative_to(folder)


def test_the_core_knows_no_host():
    assert not offences(files_below(CORE), allowed=lambda one: one.package not in HOST_MODULES)


def test_the_core_imports_its_own_libraries_and_extras_inside_functions():
    def allowed(one: Import) -> bool:
        if one.module.startswith("."):
            return stays_within(one, CORE)
        part = one.file.relative_to(CORE).parts[0]
        if one.package in CORE_LIBRARIES | EXTRAS.get(part, set()) | {"zeroctl_core"} or is_standard(one.package):
            return True
        return one.package in INSIDE_FUNCTIONS and not one.at_load

    assert not offences(files_below(CORE), allowed=allowed)


def test_the_rooms_of_the_core_import_lower_floors_only():
    assert not core_offences(one for file in files_below(CORE) for one in imports(file))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("files/weight_file.py", "from ..registry import Registry"),
        ("network/unet.py", "from ..bases import BASES"),
        ("network/unet.py", "if TYPE_CHECKING:\n    from ..bases import BASES"),
        ("annotators/canny.py", "from ..canvas import resize_condition"),
        ("checkpoint/loading.py", "def late():\n    from zeroctl_core.train.loop import fit"),
        ("train/run.py", "from ..demo.model import DemoModel"),
        ("train/run.py", "from .. import __version__"),
        ("control/stack.py", "from ..a_new_room import something"),
    ],
)
def test_an_import_that_goes_up_is_found(file, source):
    wrong = core_offences(imports(CORE / file, source))
    assert len(wrong) == 1 and wrong[0].startswith(f"zeroctl_core/{file}:")


@pytest.mark.parametrize("package", [CORE, HOST, NODES], ids=lambda p: p.name)
def test_neither_rooms_nor_files_import_each_other_in_a_circle(package):
    assert not circle(arrows(package)) and not circle(file_graph(package))


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"] and not circle({"a": {"b", "c"}, "b": {"c"}})


def test_node_files_import_the_adapter_and_the_core_only():
    def allowed(one: Import) -> bool:
        if one.module.startswith("."):
            return stays_within(one, NODES)
        return one.package in {"zeroctl_core", "torch"} or is_standard(one.package)

    files = [file for file in files_below(NODES) if not file.is_relative_to(HOST)]
    assert not offences(files, allowed=allowed)


def test_the_adapter_never_looks_back_at_the_nodes():
    def allowed(one: Import) -> bool:
        if one.module.startswith("."):
            return stays_within(one, HOST)
        return one.package not in {"nodes"}

    assert not offences(files_below(HOST), allowed=allowed)


def test_comfy_api_reaches_the_nodes_through_the_schema_alone():
    files = [file for file in files_below(NODES) if file != HOST / "schema.py"]
    assert not offences(files, allowed=lambda one: one.package != "comfy_api")


def test_the_entry_imports_nothing_but_the_standard_library_at_load():
    assert not offences([ROOT / "__init__.py"], allowed=lambda one: not one.at_load or is_standard(one.package))


def test_no_file_imports_everything_or_has_a_name_that_says_nothing():
    for file in files_below(CORE, NODES):
        assert file.stem not in VAGUE_NAMES, f"{file.relative_to(ROOT)}: name the file after its one idea"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            star = isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
            assert not star, f"{file.relative_to(ROOT)}:{node.lineno} imports *"


EDITS_THE_PATH = {"tests/host/host_process.py"}
"""It starts a host in this process, which puts its own folders on the path."""


def path_edits(source: str) -> list[int]:
    """The lines of a file that change `sys.path`: by an assignment, a deletion or one of its methods."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            targets = [node.func.value]
        targets = [target.value if isinstance(target, ast.Subscript) else target for target in targets]
        lines += [node.lineno for target in targets if ast.unparse(target) == "sys.path"]
    return lines


def test_no_file_edits_the_path():
    folders = ("zeroctl_core", "nodes", "benchmarks", "tests", "web")
    files = [ROOT / "__init__.py", *files_below(*(ROOT / folder for folder in folders))]
    edits = {str(file.relative_to(ROOT)) for file in files if path_edits(file.read_text(encoding="utf-8"))}
    assert edits == EDITS_THE_PATH, "import by path, as tests/conftest.py and benchmarks/importing.py do"


@pytest.mark.parametrize(
    "line", ["sys.path.insert(0, x)", "sys.path += [x]", "sys.path[:] = [x]", "del sys.path[0]", "sys.path = []"]
)
def test_an_edit_of_the_path_is_found(line):
    assert path_edits(f"import sys\n{line}") == [2] and not path_edits("import sys\nprint(sys.path, list(sys.path))")


def in_a_fresh_process(code: str, folder: Path) -> dict[str, object]:
    """Run code that fills `out`, in a folder of its own, with the root found by path as bind_core finds it."""
    prelude = f"""
import importlib.util, json, os, sys
def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
out = {{}}
root = {str(ROOT)!r}
before = (list(sys.path), os.getcwd(), dict(os.environ))
{code}
out["unchanged"] = (list(sys.path), os.getcwd(), dict(os.environ)) == before
out["files"] = sorted(os.listdir())
print("\\n" + json.dumps(out))
"""
    process = subprocess.run(
        [sys.executable, "-B", "-c", prelude], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert process.returncode == 0, process.stderr
    *printed, last = process.stdout.strip().splitlines()
    assert not [line for line in printed if line], f"importing printed {printed}"
    result: dict[str, object] = json.loads(last)
    return result


def test_importing_the_core_loads_no_extra_and_leaves_no_trace(tmp_path):
    out = in_a_fresh_process(
        """
import torch
grad, dtype, threads = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
torch_alone = set(sys.modules)
before = (list(sys.path), os.getcwd(), dict(os.environ))  # torch itself sets variables
core = load("zeroctl_core", root + "/zeroctl_core/__init__.py")
out["new"] = sorted({name.split(".")[0] for name in set(sys.modules) - torch_alone})
out["loaded"] = sorted({name.split(".")[0] for name in sys.modules})
out["torch"] = (grad, dtype, threads) == (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads())
""",
        tmp_path,
    )
    assert out["unchanged"] and out["torch"] and out["files"] == []
    assert {name for name in out["new"] if not is_standard(name)} <= CORE_LIBRARIES | {"zeroctl_core"}
    unwanted = {"cv2", "skimage", "PIL", "diffusers", "transformers", "matplotlib", "scipy"} | HOST_MODULES
    assert not unwanted & set(out["loaded"])


def test_importing_the_pack_does_nothing_and_binding_makes_one_core(tmp_path):
    out = in_a_fresh_process(
        """
pack = load("/some/where/zeroctl", root + "/__init__.py")
out["quiet"] = not {"torch", "zeroctl_core"} & set(sys.modules)
core = pack.bind_core()
before = (before[0], before[1], dict(os.environ))  # torch itself sets variables
out["one"] = core is sys.modules["zeroctl_core"] is pack.bind_core()
""",
        tmp_path,
    )
    assert out["quiet"] and out["one"] and out["unchanged"] and out["files"] == []


PUBLIC = """BASES CheckpointError ConditionEncoder Connection ConnectionWeights ControlNet ControlStack ControlUnit
ControlledBlock Crop MODES Ops RULES Registry Residuals Rows Run Schedule UNet
load_controlnet save_controlnet zero_conv"""


@pytest.mark.parametrize("name", PUBLIC.split())
def test_a_public_name_is_an_object_of_the_root(name):
    import zeroctl_core

    assert name in zeroctl_core.__all__
    assert not isinstance(getattr(zeroctl_core, name), type(sys))


def test_the_version_is_that_of_the_package():
    import zeroctl_core

    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # tomllib is newer than the oldest Python
    assert f'\nversion = "{zeroctl_core.__version__}"\n' in text


def test_every_folder_of_the_core_is_a_package():
    """`packages.find` takes packages: a folder without `__init__.py` would be missing in the wheel."""
    folders = {file.parent for file in CORE.rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)
