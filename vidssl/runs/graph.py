"""The graph of runs that the Snakefile hands to Snakemake: one `Job` for each execution.

The files ``papermill_runs/*.smk``, one a method, are plain Python: functions that add runs to
``graph``, targets among them (`Graph.target`, `Graph.table`). `load` reads them, with Snakemake or
without. Snakemake works in the folder of all runs, with paths relative to it. A job reruns when its
parameters, the code of its notebook, the rooms of vidssl that this uses, or the jobs before it
changed; the visualize room counts only for jobs that publish figures and give no files to others:
nobody trains again for a plot.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from vidssl.core import one_of
from vidssl.files import plain_name, read_json
from vidssl.runs import provenance
from vidssl.runs.cells import Question
from vidssl.runs.figures import figure_files
from vidssl.runs.given import Given
from vidssl.runs.notebooks import PLOTS, notebook_code, notebook_path
from vidssl.runs.parameters import (
    ParameterError,
    check_parameters,
    declared_parameters,
    overlaid,
    parameters_for,
    parameters_to_run,
    scale_file,
    text_of,
    texts_in,
)
from vidssl.runs.promises import Promise, figures_of, files_of
from vidssl.runs.records import made_here

CELLS = "cells.json"  # in a table's folder: what it asks, and of which runs
EXTRACTS = {"flow": "vidssl.motion.extract", "prepare": "vidssl.data.prepare"}  # by command
COMPUTING = {"training", "inference", "motion"}  # rooms of which a page that uses one takes a GPU


@dataclass(frozen=True)
class Job:
    """One execution of a notebook, or the making of data; paths are relative to the runs' root.

    Its marker is all that Snakemake is promised: whatever else a run leaves follows from its
    parameters, and a finished run is never thrown away for the lack of it.
    """

    name: str
    arguments: str  # of the command `vidssl`
    inputs: tuple[str, ...]
    marker: str  # the file that says the job is done
    log: tuple[str, ...]
    params: str  # what a change of makes it run again, as of `code`
    hashes: Callable[[], str] = field(compare=False)
    priority: int = 0
    figures: tuple[Promise, ...] = ()  # published ones, by their paths without suffix
    files: tuple[Promise, ...] = ()  # beside the marker
    asked: str = ""  # of a table: its `Question`, as text

    @property
    def code(self) -> str:
        """Hashes of the code behind it; only rules need them."""
        return self.hashes()

    @property
    def gpus(self) -> int:
        """The cards that it works on where there are some: one for each of its processes."""
        if not (self.log and COMPUTING & json.loads(self.code).keys()):
            return 0
        return json.loads(self.params).get("processes", 1)

    @property
    def once(self) -> str:
        """A hash of all that it is made of, but for the files of the jobs before it."""
        return sha256(_text([self.params, self.code, self.asked]).encode()).hexdigest()[:16]

    def file(self, name: str) -> str:
        """A file in the run's folder, relative to the runs' root."""
        return os.path.join(os.path.dirname(self.marker), name)


@dataclass
class Target:
    """What `vidssl run` can be asked for; its jobs are made when they are first asked for."""

    name: str
    make: Callable[[], Any]  # one job, or several
    origin: str  # the file that it stands in
    apart: bool = False  # no part of "reproduce"

    @property
    def about(self) -> str:
        """What it makes: the function's docstring, on one line."""
        return " ".join((self.make.__doc__ or "").split())

    @functools.cached_property
    def jobs(self) -> list[Job]:
        made = self.make()
        return [made] if isinstance(made, Job) else list(made)


class Graph:
    """The jobs of one scale. ``config``, all of it optional, as `vidssl run` writes it: project,
    scale, runs_root, threads (of a job), gpus ("own": of this machine, "slurm": asked of it),
    limits (options of `vidssl execute`), overrides (see `Given`), the folder that their paths
    start at, and changed (marker of each finished run whose set is another one now -> its hash)."""

    def __init__(self, config: Mapping[str, Any], project: Path | None = None):
        told = Path(config["project"]) if "project" in config else None
        self.project = project or told or provenance.find_project()
        self.python = sys.executable
        self.scale = config.get("scale", "mini")
        home = self.project / "papermill_runs"
        self.root = Path(config.get("runs_root") or home).resolve()
        self.data_root = (home if self.root.is_relative_to(home) else self.root) / "data"
        stands = Path(config["folder"]) if "folder" in config else None
        self.given = Given(config.get("overrides", {}), folder=stands, project=self.project)
        self.threads = config.get("threads", 1)
        self.gpus, self.limits = config.get("gpus", ""), config.get("limits", "")
        self.changed = config.get("changed", {})
        self.sections = copy.deepcopy(scale_file(self.scale, self.project))  # read once for all
        self.left_out = dict(self.sections.get("without", {}))  # by sums: target -> why
        self.jobs: dict[str, Job] = {}
        self.targets: dict[str, Target] = {}
        self.asked: dict[str, dict[str, Any]] = {}  # settings, by their targets
        self.questions: dict[str, Callable[[], Question]] = {}  # of tables, by their names
        self.additions: list[tuple[str, Callable[[], Question]]] = []  # to the tables of others
        self._usual: dict[str, dict[str, Any]] = {}  # parameters of a notebook that no job changes
        self._hashed: dict[tuple, str] = {}
        self._asked: dict[str, Job] = {}

    def settings(self, target: str, **defaults: Any) -> dict[str, Any]:
        """A target's own settings (seeds, ...): ``defaults``, then the scale file's."""
        given = self.sections.get("targets", {}).get(target, {})
        where = f"{self.scale}.yaml, targets: {target}"
        settings = defaults | check_parameters(given, defaults, where)
        if settings.get("seeds") == []:
            raise ParameterError(f"{where}: seeds must name one or more")
        self.asked[target] = settings
        return settings

    def parameter(self, notebook: str, name: str) -> Any:
        """What a parameter of ``notebook`` is at this scale where a job does not change it."""
        if notebook not in self._usual:
            declared = declared_parameters(notebook_path(notebook, self.project))
            given = parameters_for(notebook, self.scale, self.given.of(notebook), self.project)
            self._usual[notebook] = {**declared, **given}
        return self._usual[notebook][name]

    def target(self, make: Callable[[], Any], *, apart: bool = False) -> Callable[[], Any]:
        """Decorate a function that returns jobs: `vidssl run` can be asked for its name.

        Its docstring is what the list of targets says of it. ``apart``: no part of "reproduce".
        ValueError for a name that is taken.
        """
        name, origin = make.__name__, inspect.unwrap(make).__globals__["__file__"]
        if name in self.targets:
            there = self.targets[name].origin
            raise ValueError(f"{origin}: target {name} stands in {there}, too: rename one")
        self.targets[name] = Target(name, make, origin, apart)
        return make

    def table(self, page: str) -> Callable[[Callable[[], Question]], Callable[[], Job]]:
        """Decorate a function that returns a `Question`: a target of its name, made by ``page``.

        The job depends on every run in the table's cells and is handed their ids. The docstring is
        the question that the page puts above the table.
        """

        def decorate(ask: Callable[[], Question]) -> Callable[[], Job]:
            name = ask.__name__

            @self.target
            @functools.wraps(ask)
            def make() -> Job:
                return self._table(page, name)

            self.questions[name] = ask
            return make

        return decorate

    def adds_to(self, table: str) -> Callable[[Callable[[], Question]], Callable[[], Question]]:
        """Decorate a function whose `Question` has further cells and claims for another's table."""

        def decorate(ask: Callable[[], Question]) -> Callable[[], Question]:
            self.additions.append((table, ask))
            return ask

        return decorate

    def question(self, name: str) -> Question:
        """What a table asks, with the ids of the runs that answer. ValueError: no such table."""
        return self._named(name, self._whole(name))

    def _named(self, name: str, asked: Question) -> Question:
        return asked.named(name, self.questions[name].__doc__ or "", self.run_id)

    def _whole(self, name: str) -> Question:
        asked = self.questions[one_of("table", name, list(self.questions))]()
        for ask in (ask for table, ask in self.additions if table == name):
            asked = asked.joined(ask())
        return asked

    def _table(self, page: str, name: str) -> Job:
        if name not in self.jobs:
            asked, cells = self._whole(name), self.path(self.scale, name, CELLS)
            job = self.run(page, name, after=asked.runs, table=name, cells=cells)
            self.jobs[name] = replace(job, asked=self._named(name, asked).text())
        return self.jobs[name]

    def run_id(self, job: Job | str) -> str:
        """The name of the record of a job, or of a run of that name."""
        return f"{self.scale}-{job if isinstance(job, str) else job.name}"

    def start_from(self, jobs: Sequence[Job]) -> dict[str, str]:
        """The parameter that points at the weights of a job, of which there is one or none."""
        return {"pretrained": self.path(jobs[0].file("backbone.pt"))} if jobs else {}

    def run(
        self,
        notebook: str,
        name: str,
        *,
        after: Sequence[Job] = (),
        priority: int = 0,
        **parameters: Any,
    ) -> Job:
        """Add one execution of ``notebook`` in the folder ``name``; asked again, the same job.

        ``after``: jobs whose results it reads. Jobs of higher ``priority`` run first. A page that
        reads the embedded data waits for them, too. What it makes and publishes is read off the
        notebook, see `vidssl.runs.promises`.
        """
        asked = _text([notebook, name, [job.name for job in after], priority, parameters])
        if asked not in self._asked:
            job = self._job(notebook, name, after, priority, parameters)
            self._asked[asked] = self._add(job)
        return self._asked[asked]

    def _job(
        self,
        notebook: str,
        name: str,
        after: Sequence[Job],
        priority: int,
        parameters: dict[str, Any],
    ) -> Job:
        path = notebook_path(notebook, self.project)
        plain_name(name, "run")
        chosen = overlaid(parameters, self.given.of(path.stem))
        given = parameters_to_run(path.stem, self.scale, chosen, self.project)
        if self._shows_others(path, given):
            chosen["publish"] = given["publish"] = False
        made = self._embedded(path, given)
        after = [*after, *made]
        for job in made:
            chosen["root"] = given["root"] = self.path(os.path.dirname(job.marker))
        folder = f"{self.scale}/{name}"
        figures = [f for f in figures_of(path, given) if f.made is not False and f.published]
        files = tuple(files_of(path, given))
        without = ("runs", "cli", *(() if figures and not files else PLOTS))
        return Job(
            name=name,
            arguments=self._execute(path.stem, folder, chosen, after),
            inputs=tuple(job.marker for job in after),
            marker=f"{folder}/run.json",
            log=(f"{folder}/{path.stem}.ipynb",),
            params=_text(given),
            hashes=functools.partial(self._hashes, path, without),
            priority=priority,
            figures=tuple(replace(f, name=self._figure(f.name)) for f in figures),
            files=files,
        )

    def data(self, scale: str, data_seed: int) -> Job:
        """Add the making of the embedded data of a scale."""
        arguments = ["data", scale, "--data-seed", str(data_seed)]
        params = {"data_seed": data_seed, **scale_file(scale, self.project).get("data", {})}
        name = f"{scale}-seed{data_seed}"
        return self._making(name, arguments, params, "vidssl.data.synthetic")

    def stills(self, source: str, count: int) -> Job:
        """Add the making of a folder of still images (see `vidssl.data.stills`)."""
        arguments = ["stills", source, "--count", str(count)]
        name = f"stills-{source}-{count}"
        return self._making(name, arguments, {}, "vidssl.data.stills")

    def extraction(
        self, command: str, page: str, folder: str, shards: int, **options: str | int
    ) -> Job:
        """Add `vidssl flow` or `vidssl prepare` (``command``) over the videos that ``page`` reads.

        Each shard is a job; the last one joins them: it looks at every file, and makes what lacks.
        ``folder``: where the files go, with {root} for the folder of the videos. ``options`` are
        the command's.
        """
        given = parameters_for(page, self.scale, self.given.of(page), self.project)
        made = self._embedded(notebook_path(page, self.project), given)
        root = self.path(os.path.dirname(made[0].marker)) if made else given.get("root", "")
        folder = folder.format(root=root.rstrip("/"))
        told = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        place = Path(os.path.abspath(self.project / folder))

        def part(mark: str, after: Sequence[Job], *own: str) -> Job:
            marker = place / f".made{mark}"
            words = [command, root, folder, *told, *own]
            words += ["--made", provenance.short(marker, self.project)]
            name = f"{command}-{place.name}{mark.replace('.', '-')}"
            return self._command(name, words, marker, told, EXTRACTS[command], after)

        marks = {f".{i}of{shards}": f"--shard={i}/{shards}" for i in range(1, shards + 1)}
        return part("", [part(mark, made, shard) for mark, shard in marks.items()])

    def _making(self, name: str, arguments: list[str], params: Mapping, module: str) -> Job:
        """The job that fills the folder ``name`` among the data."""
        root = provenance.short(self.data_root.parent, self.project)
        words, marker = [*arguments, "--runs-root", root], self.data_root / name / ".made"
        return self._command(f"data-{name}", words, marker, params, module)

    def _command(
        self,
        name: str,
        words: list[str],
        marker: Path,
        params: Any,
        module: str,
        after: Sequence[Job] = (),
    ) -> Job:
        """A job of another command than `vidssl execute`."""
        job = Job(
            name=name,
            arguments=shlex.join(words),
            inputs=tuple(job.marker for job in after),
            marker=os.path.relpath(marker, self.root),
            log=(),
            params=_text(params),
            hashes=functools.partial(self._hashes, module),
        )
        return self._add(job)

    def path(self, *parts: str) -> str:
        """A path under the runs' root as notebooks are given it: relative to the project."""
        path = os.path.normpath(os.path.join(self.root, *parts))
        return path.removeprefix(f"{self.project}{os.sep}")

    def resources(self, job: Job) -> dict[str, Any]:
        """What Snakemake counts of a job: its GPUs, here or as Slurm is asked for them."""
        if not self.gpus:
            return {}
        asked = {"gres": f"gpu:{job.gpus}"} if self.gpus == "slurm" and job.gpus else {}
        return {"cards": job.gpus, **asked}

    def options(self, job: Job) -> str:
        """What `vidssl execute` is told beside a job's own arguments; nothing of it is a reason to
        run again."""
        if not job.log:
            extracts = job.arguments.partition(" ")[0] in EXTRACTS
            return f"--jobs {self.threads}" if extracts else ""
        own = f" --gpus {job.gpus}" if self.gpus == "own" else ""
        once = f"{job.once}{self.changed.get(job.marker, '')}"
        return f"--once {once} --cores {self.threads}{own} {self.limits}"

    def checked(self, target: str) -> list[Job]:
        """The jobs `behind` a target. ValueError where one reads what another does not make with
        its parameters, or two publish one figure."""
        jobs = self.behind(target)
        self._refuse_missing_files(jobs)
        self._refuse_figures_of_two(jobs)
        return jobs

    def leave_questions(self, jobs: Sequence[Job]) -> None:
        """Write what each of the tables asks to the file that its page reads."""
        for job in (job for job in jobs if job.asked):
            provenance.write_atomic(self.root / job.file(CELLS), job.asked)

    def results(self, jobs: Sequence[Job]) -> dict[str, list[str]]:
        """What jobs that are done have left: title -> paths for the reader.

        Of the figures, those that the runs made; a promised one that did not come is told apart.
        ValueError that names a run.json that is damaged.
        """
        notebooks = [self.path(log) for job in jobs for log in job.log]
        told = {"executed notebooks": notebooks, "figures": [], "figures not made": []}
        for job in (job for job in jobs if job.figures):
            made = read_json(self.root / job.marker).get("figures")
            if not isinstance(made, dict):
                raise ValueError(f"{self.root / job.marker} is damaged: figures={made!r}")
            for figure in job.figures:
                if os.path.basename(figure.name) in made:
                    told["figures"].append(f"{self.path(figure.name)}.png")
                elif figure.made:
                    told["figures not made"].append(f"{self.path(figure.name)}.png")
        return {title: sorted(paths) for title, paths in told.items()}

    def behind(self, target: str) -> list[Job]:
        """The jobs that a target needs, itself first. ValueError for an unknown target."""
        one_of("target", target, list(self.targets))
        return self._with_all_before(self.targets[target].jobs)

    def before(self, job: Job) -> list[Job]:
        """The runs of pages whose results a job follows from, at any distance."""
        return [each for each in self._with_all_before([job])[1:] if each.log]

    def _with_all_before(self, jobs: Sequence[Job]) -> list[Job]:
        waiting, found = list(jobs), {}
        markers = {job.marker: job for job in self.jobs.values()}
        while waiting:
            job = waiting.pop(0)
            if job.name not in found:
                found[job.name] = job
                waiting += [markers[marker] for marker in job.inputs if marker in markers]
        return list(found.values())

    def _refuse_missing_files(self, jobs: Sequence[Job]) -> None:
        folders = {self.path(os.path.dirname(job.marker)): job for job in jobs}
        for job in jobs:
            for path in texts_in(json.loads(job.params)):
                folder, file = os.path.split(path)
                maker = folders.get(folder)
                made = [f.name for f in maker.files if f.made is not False] if maker else []
                if maker not in (None, job) and file not in made:
                    raise ValueError(
                        f"{job.name} reads {path}, which {maker.name} does not make with its "
                        "parameters"
                    )

    def _refuse_figures_of_two(self, jobs: Sequence[Job]) -> None:
        publishers: dict[str, str] = {}
        for job in jobs:
            for figure in job.figures:
                first = publishers.setdefault(figure.name, job.name)
                if first != job.name:
                    raise ValueError(
                        f"{first} and {job.name} would both write the figure "
                        f"{os.path.basename(figure.name)}: leave publish to the graph"
                    )

    def _embedded(self, path: Path, given: Mapping) -> list[Job]:
        """The job that makes the embedded data, where a page reads it and no other is given."""
        declared = declared_parameters(path)
        own = self.given.of(path.stem)
        if "root" not in declared or {"root", "dataset"} & set(own):
            return []
        if given.get("root") or given.get("dataset", "embedded") != "embedded":
            return []
        data_seed = given.get("data_seed", declared.get("data_seed", 0))
        return [self.data(self.scale, data_seed)]

    def _shows_others(self, path: Path, given: Mapping) -> bool:
        """Whether a page would publish pictures of videos that the project did not make; only a
        user may ask for that."""
        declared = declared_parameters(path)
        asked = {**declared, **given}.get("publish") and "publish" not in self.given.of(path.stem)
        return bool(asked) and not made_here({**declared, **given})

    def _hashes(self, source: Path | str, without: tuple[str, ...] = ()) -> str:
        """Hashes of the code behind a notebook or a module, made once for all the jobs."""
        if (source, without) not in self._hashed:
            is_notebook = isinstance(source, Path)
            found = (
                notebook_code(source, without) if is_notebook else provenance.code_hashes([source])
            )
            self._hashed[source, without] = _text(found)
        return self._hashed[source, without]

    def _figure(self, name: str) -> str:
        stem = figure_files(name, self.scale, self.root, self.project)
        return os.path.relpath(stem, self.root)

    def _execute(self, stem: str, folder: str, chosen: Mapping, after: Iterable[Job]) -> str:
        arguments = ["execute", stem, self.path(folder), "--scale", self.scale]
        for name, value in chosen.items():
            arguments += ["-p", name, text_of(value)]
        arguments += ["--after", *(self.path(job.marker) for job in after)] if after else []
        return shlex.join(arguments)

    def _add(self, job: Job) -> Job:
        there = self.jobs.setdefault(job.name, job)
        if (there.params, there.inputs) != (job.params, job.inputs):
            raise ValueError(f"two different runs are called {job.name!r}: rename one")
        return there


def load(
    scale: str = "mini", config: Mapping[str, Any] | None = None, project: Path | None = None
) -> Graph:
    """The graph of the project's ``papermill_runs/*.smk`` at a scale; see `Graph` for ``config``.

    The files are run as Python, each as a module that holds ``graph`` and, by their names, the
    other files: ``mosi.pretrain(0)``. One with several targets is a target of all of them, and
    "reproduce" is every target of every file, without those that the scale's file leaves out.
    """
    graph = Graph({**(config or {}), "scale": scale}, project)
    paths = sorted((graph.project / "papermill_runs").glob("*.smk"))
    files = {path.stem: ModuleType(path.stem) for path in paths}
    for path, module in zip(paths, files.values()):
        vars(module).update(files, graph=graph, __file__=path.name)
        before = set(graph.targets)
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
        own = [target for name, target in graph.targets.items() if name not in before]
        if len(own) > 1:
            _all_of(graph, path.stem, module.__doc__ or "", path.name, own)
    every = [target for target in graph.targets.values() if not target.apart]
    _all_of(graph, "reproduce", "All tables and figures.", "", every)
    for name in graph.left_out:
        one_of(f"{scale}.yaml, without", name, list(graph.targets))
    for name in graph.sections.get("targets", {}) if paths else ():
        one_of(f"{scale}.yaml, targets", name, list(graph.targets))
    for table, _ in graph.additions:
        one_of("table", table, list(graph.questions))
    return graph


def _all_of(graph: Graph, name: str, about: str, origin: str, targets: Sequence[Target]) -> None:
    """Add the target of all ``targets``, which the first sentence of ``about`` describes."""

    kept = [target for target in targets if target.name not in graph.left_out]

    def make() -> list[Job]:
        return list(dict.fromkeys(job for target in kept for job in target.jobs))

    make.__doc__ = about.partition(".")[0] + "." if about else ""
    apart = all(target.apart for target in targets)
    graph.targets.setdefault(name, Target(name, make, origin, apart))


def published(seed: int, usual: bool = True) -> dict[str, bool]:
    """Of runs that differ by their seed, the first one's figures go among the project's.

    ``usual``: whether they are the runs that such figures show, not a variant of them.
    """
    return {"publish": True} if seed == 0 and usual else {}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
