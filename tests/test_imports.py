"""Imports inside the package point one way; rooms of one level do not know each other."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vidssl.core import did_you_mean
from vidssl.runs.provenance import PACKAGE, imported_names, module_file

LEVELS = {
    **dict.fromkeys(["core", "files", "lazy"], 0),
    **dict.fromkeys(["processes", "progress"], 1),
    **dict.fromkeys(["data", "models", "losses", "evaluation", "visualize", "training"], 2),
    **dict.fromkeys(["motion", "inference"], 3),
    "methods": 4,
    "protocol": 5,
    "runs": 6,
    "cli": 7,
}
WITHOUT_EXTRAS = ["decord", "av", "papermill", "jupytext", "nbval", "anywidget", "ipywidgets"]
WITHOUT_EXTRAS += ["snakemake", "matplotlib", "cv2", "skimage", "pandas", "seaborn", "captum"]


def wrong_arrows(package: Path) -> list[str]:
    """One line for each import in ``package`` that points the wrong way."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(["vidssl", *(parts[:-1] if is_package else parts)])
        text = path.read_text()
        for name in imported_names(text):
            if module_file(name, package) and not _allowed(module, name):
                wrong.append(f"{module} imports {name}")
        if re.search(r"^\s*from \.", text, re.MULTILINE):
            wrong.append(f"{module} imports from a relative place: provenance does not follow it")
    return wrong


def _allowed(module: str, imported: str) -> bool:
    room, other = (f"{name}.".split(".")[1] for name in (module, imported))
    if room == other or not other:
        return True
    return bool(room) and _level(other) < _level(room)


def _level(room: str) -> int:
    assert room in LEVELS, f"vidssl/{room}: give it a level here{did_you_mean(room, LEVELS)}"
    return LEVELS[room]


def test_arrows_point_one_way():
    assert wrong_arrows(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        ("core.py", "from vidssl.data import registry", "vidssl.core imports vidssl.data"),
        ("data/registry.py", "import vidssl.models", "vidssl.data.registry imports vidssl.models"),
        ("data/__init__.py", "from ..models import x", "vidssl.data imports from a relative"),
        ("motion/__init__.py", "from vidssl import methods", "vidssl.motion imports"),
        ("training.py", "def f():\n    from vidssl.runs import start", "vidssl.training imports"),
    ],
)
def test_a_planted_cycle_is_found(tmp_path, file, line, told):
    package = tmp_path / "vidssl"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with open(package / file, "a") as source:
        source.write(f"\n{line}\n")
    assert any(found.startswith(told) for found in wrong_arrows(package))


def test_a_room_without_a_level_is_refused(tmp_path):
    package = tmp_path / "vidssl"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "extra.py").write_text("from vidssl import core\n")
    with pytest.raises(AssertionError, match="give it a level"):
        wrong_arrows(package)


def test_the_package_imports_with_torch_and_numpy_alone():
    """As on a GPU machine without decoders, papermill and widgets."""
    rooms = ["runs", "data", "models", "motion", "methods", "training", "inference", "evaluation"]
    rooms += ["losses"]
    code = f"""
import sys
for name in {WITHOUT_EXTRAS!r}:
    sys.modules[name] = None  # importing it now raises ImportError
import importlib
for room in {rooms!r}:
    importlib.import_module(f"vidssl.{{room}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_private_name_leaves_its_room():
    assert private_imports(PACKAGE) == []


def private_imports(package: Path) -> list[str]:
    """One line for each name beginning with _ that a module takes of another room."""
    taken = []
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).with_suffix("").parts[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and _other_room(node.module or "", room):
                names = {alias.asname or alias.name: alias.name for alias in node.names}
                modules |= dict.fromkeys(names, node.module)
                taken += [f"{room}: {node.module}.{n}" for n in names.values() if _private(n)]
        taken += [
            f"{room}: {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if node.value.id in modules and _private(node.attr)
        ]
    return taken


def _other_room(module: str, room: str) -> bool:
    parts = module.split(".")
    return parts[0] == "vidssl" and len(parts) > 1 and parts[1] != room


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize(
    "line",
    [
        "from vidssl.data.registry import _hidden",
        "from vidssl.data import registry\nregistry._hidden()",
        "def f():\n    from vidssl.data.registry import _hidden as shown",
    ],
)
def test_a_planted_private_import_is_found(tmp_path, line):
    package = tmp_path / "vidssl"
    (package / "runs").mkdir(parents=True)
    (package / "runs" / "extra.py").write_text(f"{line}\n")
    assert len(private_imports(package)) == 1
    (package / "data").mkdir()
    (package / "runs" / "extra.py").rename(package / "data" / "extra.py")
    assert private_imports(package) == [], "a room knows itself"
