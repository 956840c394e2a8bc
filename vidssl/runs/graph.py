"""The graph of runs that the Snakefile hands to Snakemake: one `Job` for each execution.

Snakemake works in the folder of all runs, with paths relative to it. A job reruns when its
parameters, the code of its notebook, the rooms of vidssl that this uses, or the jobs before it
changed; the visualize room counts for jobs that publish figures only.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidssl.runs import provenance
from vidssl.runs.figures import figure_files
from vidssl.runs.notebooks import notebook_code, notebook_names, notebook_path
from vidssl.runs.parameters import (
    check_parameters,
    declared_parameters,
    parameters_for,
    scale_file,
)

RESULTS = ".results.json"  # in the folder of all runs: where the last target's results are
FIGURE_SUFFIXES = (".png", ".pdf", ".json")


@dataclass(frozen=True)
class Job:
    """One execution of a notebook, or the making of data; paths are relative to the runs' root."""

    name: str
    arguments: str  # of the command `vidssl`
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: tuple[str, ...]
    params: str  # what a change of makes it run again
    code: str
    priority: int = 0
    figures: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """The file that says the job is done."""
        return self.outputs[0]

    def file(self, name: str) -> str:
        """A file in the run's folder, relative to the runs' root."""
        return os.path.join(os.path.dirname(self.marker), name)


class Graph:
    """The jobs of one scale. ``config``: scale, runs_root, jobs and overrides, as `vidssl run`
    writes them (all optional)."""

    def __init__(self, config: Mapping[str, Any], project: Path | None = None):
        self.project = project or provenance.find_project()
        self.python = sys.executable
        self.scale = config.get("scale", "mini")
        home = self.project / "papermill_runs"
        self.root = Path(config.get("runs_root") or home).resolve()
        self.data_root = (home if self.root.is_relative_to(home) else self.root) / "data"
        self.overrides = dict(config.get("overrides", {}))
        self.threads = max(1, (os.cpu_count() or 1) // int(config.get("jobs", 1)))
        self.sections = scale_file(self.scale, self.project)
        self.jobs: dict[str, Job] = {}
        self.targets: dict[str, list[Job]] = {}
        self._hashed: dict[tuple, str] = {}
        self._check_overrides()

    def _check_overrides(self) -> None:
        everywhere = {}
        for name in notebook_names(self.project):
            everywhere |= declared_parameters(notebook_path(name, self.project))
        check_parameters(self.overrides, everywhere, "all notebooks")
        for name in notebook_names(self.project):
            declared = declared_parameters(notebook_path(name, self.project))
            check_parameters(self._own(declared), declared, name)

    def settings(self, target: str, **defaults: Any) -> dict[str, Any]:
        """A target's own settings (seeds, ...): ``defaults``, then the scale file's."""
        given = self.sections.get("targets", {}).get(target, {})
        where = f"{self.scale}.yaml, targets: {target}"
        return defaults | check_parameters(given, defaults, where)

    def parameter(self, notebook: str, name: str) -> Any:
        """What a parameter of ``notebook`` is at this scale where a job does not change it."""
        declared = declared_parameters(notebook_path(notebook, self.project))
        given = parameters_for(notebook, self.scale, self._own(declared), self.project)
        return {**declared, **given}[name]

    def target(self, name: str, *jobs: Job) -> list[str]:
        """The input of the Snakefile's rule ``name``, which `vidssl run` can be asked for."""
        self.targets[name] = list(jobs)
        return [job.marker for job in jobs]

    def run(
        self,
        notebook: str,
        name: str,
        *,
        after: Sequence[Job] = (),
        data: str | None = None,
        produces: Sequence[str] = (),
        figures: Sequence[str] = (),
        priority: int = 0,
        **parameters: Any,
    ) -> Job:
        """Add one execution of ``notebook`` in the folder ``name``; asked again, the same job.

        ``after``: jobs whose results it reads. ``data``: the scale of the embedded data given as
        ``root`` (default: its own; "" for none). ``produces``: result files beside ``run.json``.
        ``figures``: names it publishes. Jobs of higher ``priority`` run first.
        """
        path = notebook_path(notebook, self.project)
        data = self.scale if data is None else data
        after = [*after, *self._root(path, parameters, data, priority)]
        chosen = {**parameters, **self._own(declared_parameters(path))}
        folder = f"{self.scale}/{name}"
        published = [self._figure(figure) for figure in figures]
        without = ("runs", "cli") if figures else ("runs", "cli", "visualize")
        job = Job(
            name=name,
            arguments=self._execute(path.stem, folder, chosen, after),
            inputs=tuple(job.marker for job in after),
            outputs=(
                f"{folder}/run.json",
                *(f"{folder}/{file}" for file in produces),
                *(figure + suffix for figure in published for suffix in FIGURE_SUFFIXES),
            ),
            log=(f"{folder}/{path.stem}.ipynb",),
            params=_text(parameters_for(path.stem, self.scale, chosen, self.project)),
            code=self._hashes(path, without),
            priority=priority,
            figures=tuple(figure + ".png" for figure in published),
        )
        return self._add(job)

    def data(self, scale: str, data_seed: int, priority: int = 0) -> Job:
        """Add the making of the embedded data of a scale."""
        arguments = ["data", scale, "--data-seed", str(data_seed)]
        params = {"data_seed": data_seed, **scale_file(scale, self.project).get("data", {})}
        name = f"{scale}-seed{data_seed}"
        return self._making(name, arguments, params, "vidssl.data.synthetic", priority)

    def stills(self, source: str, count: int, priority: int = 0) -> Job:
        """Add the making of a folder of still images (see `vidssl.data.stills`)."""
        arguments = ["stills", source, "--count", str(count)]
        name = f"stills-{source}-{count}"
        return self._making(name, arguments, {}, "vidssl.data.stills", priority)

    def _making(
        self, name: str, arguments: list[str], params: Mapping, module: str, priority: int
    ) -> Job:
        """The job that fills the folder ``name`` among the data."""
        root = provenance.short(self.data_root.parent, self.project)
        job = Job(
            name=f"data-{name}",
            arguments=shlex.join([*arguments, "--runs-root", root]),
            inputs=(),
            outputs=(os.path.relpath(self.data_root / name / ".made", self.root),),
            log=(),
            params=_text(params),
            code=self._hashes(module),
            priority=priority,
        )
        return self._add(job)

    def path(self, *parts: str) -> str:
        """A path under the runs' root as notebooks are given it: relative to the project."""
        return provenance.short(Path(os.path.normpath(self.root.joinpath(*parts))), self.project)

    def note_results(self, target: str) -> None:
        """Leave for `vidssl run` what stands behind a target, as paths for the reader."""
        waiting, found = list(self.targets[target]), []
        while waiting:
            job = waiting.pop(0)
            if job not in found:
                found.append(job)
                waiting += [other for other in self.jobs.values() if other.marker in job.inputs]
        notebooks = sorted(self.path(log) for job in found for log in job.log)
        figures = [self.path(figure) for job in found for figure in job.figures]
        told = {"executed notebooks": notebooks, "figures": figures}
        provenance.write_atomic(self.root / RESULTS, json.dumps(told))

    def _root(self, path: Path, parameters: dict, scale: str, priority: int) -> list[Job]:
        """Put the embedded data's folder into ``parameters``; the job that makes it, if any."""
        declared = declared_parameters(path)
        if not scale or "root" not in declared or {"root", "dataset"} & set(self.overrides):
            return []
        given = parameters_for(path.stem, self.scale, {**parameters, **self._own(declared)})
        if given.get("root") or given.get("dataset", "embedded") != "embedded":
            return []
        job = self.data(scale, given.get("data_seed", declared.get("data_seed", 0)), priority)
        parameters["root"] = self.path(os.path.dirname(job.marker))
        return [job]

    def _hashes(self, source: Path | str, without: tuple[str, ...] = ()) -> str:
        """Hashes of the code behind a notebook or a module, made once for all the jobs."""
        if (source, without) not in self._hashed:
            is_notebook = isinstance(source, Path)
            found = (
                notebook_code(source, without) if is_notebook else provenance.code_hashes([source])
            )
            self._hashed[source, without] = _text(found)
        return self._hashed[source, without]

    def _own(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in self.overrides.items() if name in declared}

    def _figure(self, name: str) -> str:
        stem = figure_files(name, self.scale, self.root, self.project)
        return os.path.relpath(stem, self.root)

    def _execute(self, stem: str, folder: str, chosen: Mapping, after: Iterable[Job]) -> str:
        arguments = ["execute", stem, self.path(folder), "--scale", self.scale]
        for name, value in chosen.items():
            arguments += ["-p", name, json.dumps(value)]
        arguments += ["--after", *(self.path(job.marker) for job in after)] if after else []
        return shlex.join(arguments)

    def _add(self, job: Job) -> Job:
        there = self.jobs.setdefault(job.name, job)
        if (there.params, there.inputs) != (job.params, job.inputs):
            raise ValueError(f"two different runs are called {job.name!r}: rename one")
        return there


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
