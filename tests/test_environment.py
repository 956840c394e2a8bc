"""One list of versions: constraints.txt, which pip and conda users get alike."""

import re
import tomllib

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


def test_constraints_name_no_place_to_download_from():
    text = (REPOSITORY / "constraints.txt").read_text()
    assert not re.search(r"https?://|^-|@ ", text, re.MULTILINE)
