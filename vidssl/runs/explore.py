"""Pages explored by hand: a folder for each set of settings, and what that means for records."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from vidssl.runs import provenance
from vidssl.runs.earlier import EXPLORATION, make_command
from vidssl.runs.parameters import changed_settings

NAME_LENGTH = 80


def explore_folder(project: Path, notebook: str, params: Mapping[str, Any]) -> Path:
    """Where a page that is run by hand, without ``run_folder``, keeps its files:
    ``papermill_runs/explore/<page>/<scale>,<what differs from the scale's settings>``.

    Two settings never share a folder, so a second exploration leaves the first one's files alone.
    """
    changed = changed_settings(notebook, params, project, by_hand=True)
    settings = ",".join([params["scale"], *(f"{name}={value}" for name, value in changed.items())])
    name = re.sub(r"[^\w=,.-]+", "_", settings)[:NAME_LENGTH]
    if name != settings:  # something was left out: only a hash still tells two settings apart
        name += "-" + sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
    return project / "papermill_runs" / "explore" / notebook / name


def note_exploration(folder: Path, notebook: str, params: Mapping[str, Any]) -> None:
    """Leave in ``folder`` what the page was asked: later pages choose by it."""
    about = {"notebook": notebook, "parameters": dict(params)}
    about["begun"] = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    provenance.write_atomic(folder / EXPLORATION, json.dumps(about, indent=1, default=str) + "\n")


def explained(notebook: str, folder: Path, params: Mapping[str, Any], project: Path) -> str:
    """What the end of an exploration says: what stays, what does not count, what would."""
    changed = changed_settings(notebook, params, project)
    changed = {name: value for name, value in changed.items() if name != "run_folder"}
    command = make_command(notebook, changed, params["scale"], recorded=True)
    return (
        f"explored by hand: later pages find its files in {provenance.short(folder, project)}.\n"
        "It has no record: `vidssl runs` and the tables leave it out. A run with one:\n"
        f"  {command}"
    )
