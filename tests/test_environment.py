"""One list of versions: constraints.txt, which pip and conda users get alike."""

import re
import subprocess
import tomllib

import pytest
import yaml
from tiny_project import REPOSITORY

from vidssl.runs.doctor import normalised, read_constraints

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


def make(*words):
    return subprocess.run(["make", *words], cwd=REPOSITORY, capture_output=True, text=True)


TARGETS = ["demo", "test", "test-full", "bench", "lab", "reproduce", "notebooks"]


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


def test_ci_runs_the_test_command_and_keeps_its_status():
    script = REPOSITORY / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    text = script.read_text()
    assert re.search(r"^make test\b", text, re.MULTILINE)
    assert "pipefail" in text
    assert 'exit "$status"' in text
