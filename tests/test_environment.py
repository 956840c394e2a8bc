"""One list of versions: constraints.txt, which pip and conda users get alike."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from tiny_project import REPOSITORY

from vidssl.runs.ready import normalised, read_constraints, state

PINS = read_constraints(REPOSITORY / "constraints.txt")


def asked_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["test"]
    return {normalised(re.match(r"[\w.-]+", line)[0]) for line in lines}


def conda_lines():
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    [nested] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return environment["dependencies"], nested


def test_every_dependency_is_pinned():
    assert asked_for() <= set(PINS)


def test_conda_users_get_the_same_pins():
    _, lines = conda_lines()
    pinned = [line.partition(";")[0].strip().split("==") for line in lines if "==" in line]
    assert {normalised(name): wanted for name, wanted in pinned} == {
        name: PINS[name] for name in asked_for()
    }
    assert lines[-2:] == ["--constraint constraints.txt", "--editable ."]


def test_conda_python_is_one_that_the_package_allows():
    plain, _ = conda_lines()
    [python] = [entry for entry in plain if str(entry).startswith("python")]
    assert python in ("python=3.11", "python=3.12")


def test_one_opencv_only():
    """Another package of it would overwrite the contrib module, which has TV-L1, in silence."""
    names = [name for name in PINS if name.startswith("opencv")]
    assert names == ["opencv-contrib-python-headless"]


def test_constraints_name_no_place_to_download_from():
    text = (REPOSITORY / "constraints.txt").read_text()
    assert not re.search(r"https?://|^-|@ ", text, re.MULTILINE)


def make(*words, cwd=REPOSITORY):
    outer = ("VENV", "MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHONPATH")  # of `make test`
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        ["make", *words], cwd=cwd, env=environment, capture_output=True, text=True
    )


TARGETS = ["demo", "test", "test-full", "bench", "lab", "reproduce", "notebooks", "doctor"]


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_sets_up_first(target, tmp_path):
    done = make("--dry-run", f"VENV={tmp_path}/new", target)
    assert done.returncode == 0, done.stderr
    assert "pip install --constraint constraints.txt --editable '.[test]'" in done.stdout


def test_an_old_python_is_refused_with_a_clear_message(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")  # as its check of sys.version_info would
    old.chmod(0o755)
    done = make("setup", f"VENV={tmp_path}/new", f"PYTHON={old}")
    assert done.returncode != 0
    assert "vidssl needs Python 3.11 or newer" in done.stdout
    assert not (tmp_path / "new").exists()


@pytest.fixture
def clone(tmp_path):
    """What a second clone needs for its targets to start."""
    folder = tmp_path / "clone"
    for name in ("vidssl/__init__.py", "vidssl/runs/ready.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


TELL = "import os, vidssl; print(vidssl.__file__, os.environ['JUPYTER_CONFIG_PATH'])"
KERNEL_TELLS = f"""\
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(cwd="/")
client.execute_interactive({TELL!r})
client.stop_channels()
manager.shutdown_kernel(now=True)"""


@pytest.fixture
def shared(tmp_path):
    """An environment that this repository installed, as far as its folders tell: its commands
    print which vidssl they (jupyter: a kernel) import and where JupyterLab looks for settings, pip
    leaves a mark."""
    venv = tmp_path / "shared"
    packages = venv / "lib" / "python3.11" / "site-packages"
    for name, version in {**PINS, "vidssl": "0.1.0"}.items():
        (packages / f"{name.replace('-', '_')}-{version}.dist-info").mkdir(parents=True)
    note = {"url": REPOSITORY.as_uri(), "dir_info": {"editable": True}}
    (packages / "vidssl-0.1.0.dist-info" / "direct_url.json").write_text(json.dumps(note))
    (venv / "bin").mkdir()
    for command in ("vidssl", "pytest", "ruff", "jupyter"):
        said = KERNEL_TELLS if command == "jupyter" else TELL
        (venv / "bin" / command).write_text(f"#!{sys.executable}\n{said}\n")
        (venv / "bin" / command).chmod(0o755)
    (venv / "bin" / "python").write_text(f"#!/bin/sh\necho $* >> {venv}/installed\n")
    (venv / "bin" / "python").chmod(0o755)
    return venv


def contents(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("target", TARGETS)
def test_a_second_clone_uses_a_shared_environment_as_it_is(target, clone, shared):
    before = contents(shared)
    done = make(f"VENV={shared}", target, cwd=clone)
    assert done.returncode == 0, done.stderr
    assert str(clone / "vidssl" / "__init__.py") in done.stdout, "it runs its own code"
    assert str(clone / "notebooks" / ".jupyter") in done.stdout
    assert contents(shared) == before


def upgrade(venv, package, version):
    [old] = (venv / "lib").rglob(f"{package}-{PINS[package]}.dist-info")
    old.rename(old.with_name(f"{package}-{version}.dist-info"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_shared_environment_of_other_versions_is_left_alone_and_named(target, clone, shared):
    upgrade(shared, "numpy", "1.0")
    before = contents(shared)
    done = make(f"VENV={shared}", target, cwd=clone)
    assert done.returncode != 0
    [what, remedy] = done.stdout.splitlines()
    assert f"numpy 1.0 instead of {PINS['numpy']}" in what
    assert str(REPOSITORY) in what
    assert "leave VENV out" in remedy
    assert contents(shared) == before


def test_a_clone_brings_its_own_environment_up_to_date(clone, shared):
    upgrade(shared, "numpy", "1.0")
    own = clone / ".venv"
    shutil.copytree(shared, own)  # as a clone that was copied with its environment
    assert make("setup", cwd=clone).returncode == 0
    assert "pip install --constraint constraints.txt" in (shared / "installed").read_text()
    assert make("--dry-run", "setup", f"VENV={shared}").stdout.count("pip install") == 1


def test_an_environment_is_judged_by_what_it_holds(clone, shared, tmp_path):
    assert state(clone, shared) == "ready"
    assert state(clone, tmp_path / "none") == "missing"
    [torch] = (shared / "lib").rglob(f"torch-{PINS['torch']}.dist-info")
    local = torch.rename(torch.with_name(f"torch-{PINS['torch']}+cpu.dist-info"))
    assert state(clone, shared) == "ready"
    local.rmdir()
    assert state(clone, shared) == f"foreign: installed by {REPOSITORY}: no torch"
    assert state(REPOSITORY, shared) == "stale: no torch"
    shutil.rmtree(next((shared / "lib").rglob("vidssl-*.dist-info")))
    assert state(clone, shared) == "missing", "nobody's yet"


def test_a_python_opens_as_the_notebook_it_is(monkeypatch):
    """JupyterLab reads the setting from this clone: nothing is written into the environment."""
    from jupyter_server.services.config import ConfigManager

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(REPOSITORY / "notebooks" / ".jupyter"))
    settings = ConfigManager(config_dir_name="labconfig").get("default_setting_overrides")
    viewers = settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers["python"] == "Jupytext Notebook"


def test_ci_runs_the_test_command_and_keeps_its_status():
    script = REPOSITORY / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    text = script.read_text()
    assert re.search(r"^make test\b", text, re.MULTILINE)
    assert "pipefail" in text
    assert 'exit "$status"' in text
