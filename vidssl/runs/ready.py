"""Whether an environment holds what this clone needs; the Makefile asks before each target.

Run as a file by any Python (``python vidssl/runs/ready.py PROJECT VENV``), before anything is
installed: nothing but the standard library, and nothing of vidssl, is imported. It prints one line:

    ready            every pin that is installed agrees, and nothing asked for is missing
    missing          there is no such environment, or one that vidssl was never installed in
    stale: WHAT      this clone's own environment, and what differs: to be installed again
    foreign: WHAT    another clone installed it, for other versions: never touched from here
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

NAMED = 3  # differences that the line names


def state(project: Path, venv: Path) -> str:
    """One of the lines above."""
    packages = next(venv.glob("lib/python3*/site-packages"), None)
    if packages is None or not (venv / "bin" / "python").exists():
        return "missing"
    versions = installed(packages)
    if "vidssl" not in versions:
        return "missing"
    trouble = differences(project, versions)
    if not trouble:
        return "ready"
    more = ", ..." if len(trouble) > NAMED else ""
    what = ", ".join(trouble[:NAMED]) + more
    owner = clone_of(packages)
    is_own = project in (owner, *venv.resolve().parents) or owner is None
    return f"stale: {what}" if is_own else f"foreign: installed by {owner}: {what}"


def installed(packages: Path) -> dict[str, str]:
    """Package -> version, as the folders of ``site-packages`` say; local parts (+cpu) left out."""
    names = (path.name[: -len(".dist-info")] for path in packages.glob("*.dist-info"))
    pairs = (name.partition("-")[::2] for name in names)
    return {normalised(name): version.partition("+")[0] for name, version in pairs}


def differences(project: Path, there: dict[str, str]) -> list[str]:
    """What ``there`` lacks of pyproject.toml, and has in another version than constraints.txt."""
    absent = sorted(asked_for(project / "pyproject.toml") - there.keys())
    pins = read_constraints(project / "constraints.txt")
    return [f"no {name}" for name in absent] + other_versions(pins, there)


def other_versions(pins: dict[str, str], there: dict[str, str]) -> list[str]:
    """A line for each package that is there in another version than its pin."""
    other = {name: wanted for name, wanted in pins.items() if there.get(name, wanted) != wanted}
    return [f"{name} {there[name]} instead of {wanted}" for name, wanted in other.items()]


def read_constraints(path: Path) -> dict[str, str]:
    """Package -> pinned version in a constraints file; names normalised as PEP 503 does."""
    lines = (
        line.partition(";")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()
    )
    pairs = (line.partition("==")[::2] for line in lines if not line.startswith("#"))
    return {normalised(name): version.strip() for name, version in pairs if version}


def asked_for(pyproject: Path, extras: tuple[str, ...] = ("test",)) -> set[str]:
    """What vidssl and ``extras`` ask for on every machine: lines with a condition are left out."""
    import tomllib  # Python 3.11; an older one is refused by the Makefile in its own words

    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    more = (line for extra in extras for line in project["optional-dependencies"][extra])
    lines = [line for line in (*project["dependencies"], *more) if ";" not in line]
    names = (re.match(r"[\w.-]+", line)[0] for line in lines)
    return {normalised(name) for name in names}


def clone_of(packages: Path) -> Path | None:
    """The clone whose vidssl is installed there; None if it is gone or no clone's."""
    for path in packages.glob("vidssl-*.dist-info/direct_url.json"):
        folder = Path(unquote(urlparse(json.loads(path.read_text(encoding="utf-8"))["url"]).path))
        if folder.is_dir():
            return folder.resolve()
    return None


def normalised(package: str) -> str:
    """A package's name in the one spelling that PEP 503 gives it."""
    return re.sub(r"[-_.]+", "-", package).lower()


if __name__ == "__main__":
    print(state(*(Path(word).resolve() for word in sys.argv[1:3])))
