"""`vidssl run`: one Snakemake, the engine, over a folder of all runs, and never two at once.

The folder is held by a lock that the engine inherits, so it is held as long as either of the two
lives. The engine has a session of its own: a Ctrl-C reaches `vidssl run` alone, which ends the
engine with all it started and says so in one line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from vidssl.core import counted
from vidssl.files import read_json, write_atomic
from vidssl.runs.earlier import MissingInput
from vidssl.runs.execute import RunFailed, holder_of, is_held, locked, this_process
from vidssl.runs.given import Given
from vidssl.runs.graph import Graph, Job, load
from vidssl.runs.inputs import PATHS, missing_paths, require_classes_to_tell
from vidssl.runs.machine import Machine, Share
from vidssl.runs.notebooks import notebook_path
from vidssl.runs.parameters import (
    ParameterError,
    declared_parameters,
    put_value,
    text_of,
    value_in,
)
from vidssl.runs.promises import wants_labels
from vidssl.runs.provenance import short
from vidssl.runs.records import made_here
from vidssl.runs.sets import CANNOT, SetsNow, check_sets

CONFIG = ".config.json"  # a file: --config would turn numbers into words
LOCK = ".snakemake/vidssl.lock"  # held by `vidssl run` and its engine
PLACES = ("root", "dataset_options.annotations", "flow")  # one each of a data set
LABELS = ("videos_per_class", "labels")  # settings of targets that become videos_per_class
KEPT = "what is done is kept, and the same command goes on"
READABLE = 60  # characters of a variant's name that say what it changes
PATIENCE = 15  # seconds for the engine and its runs to end by themselves
Pages = list[tuple[Job, dict[str, Any]]]


def run_target(
    target: str,
    project: Path,
    *,
    scale: str,
    given: Mapping[str, str],
    machine: Machine | None = None,
    runs_root: str = "",
    dry_run: bool = False,
    unlock: bool = False,
) -> int:
    """Make a target with all that it needs; returns Snakemake's exit status.

    ``given``: texts of -p, as `Given` takes them; with some, and without a ``runs_root``, the runs
    live in a folder of their own, see `variant_name`. What a killed engine left locked is freed if
    nobody works there; where that was on another machine, only with ``unlock``. RunLocked where
    somebody does; RunFailed where the engine was killed, KeyboardInterrupt where the user stopped
    it: the same call goes on.
    """
    machine = machine or Machine()
    if (machine.gpus_per_run or 1) > 1:
        given = {**given, "processes": str(machine.gpus_per_run)}
    settings = Given(given, project=project).settings()
    root = _root_of_runs(runs_root, settings, project)
    config = {"target": target, "scale": scale, "overrides": dict(given)}
    config |= {"project": str(project), "folder": os.getcwd()}  # Snakemake works in `root`
    config["runs_root"] = str(root)
    graph = load(scale, config, project)
    jobs = graph.checked(target)  # refuses what is unknown, at once
    share = machine.share(project, jobs)
    config |= {**share.config, "settings": _settings_of_runs(root, scale, settings)}
    _refuse_one_place_for_several(target, scale, given, project)
    pages, sets = _pages(graph, jobs), SetsNow(project)
    graph.changed = config["changed"] = _made_of_other_sets(graph, target, pages, sets)
    command = _command(target, project, root, share, config["changed"])
    if dry_run:
        return _dry_run(command, project, config)
    to_come = [
        (job, params)
        for job, params in pages
        if job.marker in graph.changed or not (graph.root / job.marker).exists()
    ]
    _refuse_missing_data(graph, target, to_come)
    _refuse_wrong_sets(graph, target, to_come, sets)
    with locked(root, LOCK) as lock:
        _go_on_after_a_kill(root, project, unlock, share)
        write_atomic(root / CONFIG, json.dumps({**config, "engine_of": this_process()}))
        graph.leave_questions(jobs)
        status = _engine([*command, str(root / CONFIG)], root, project, lock, share)
        if status == 0:
            _tell(graph.results(jobs))
    return status


def _root_of_runs(asked: str, settings: Mapping[str, Any], project: Path) -> Path:
    home = project / "papermill_runs"
    apart = home / "variants" / variant_name(settings) if settings else home
    root = Path(asked).resolve() if asked else apart
    if set("{}") & set(str(root)):
        raise ValueError(f"{root}: Snakemake takes braces in a path of runs for its own; rename it")
    return root


def _pages(graph: Graph, jobs: Sequence[Job]) -> Pages:
    """The pages among the jobs with all their parameters, but for the data that others of the jobs
    make."""
    made = {Path(graph.path(os.path.dirname(job.marker))) for job in jobs}
    pages = []
    for job in (job for job in jobs if job.log):
        declared = declared_parameters(notebook_path(Path(job.log[0]).stem, graph.project))
        params = {**declared, **json.loads(job.params)}
        for name in PATHS:
            path = value_in(params, name)
            if path and isinstance(path, str) and made & {Path(path), *Path(path).parents}:
                put_value(params, name, "")
        pages.append((job, params))
    return pages


def _refuse_missing_data(graph: Graph, target: str, pages: Pages) -> None:
    """MissingInput that names all folders and lists that runs to come read and nobody makes, before
    the first one starts."""
    lacking = {at: None for _, params in pages for at in missing_paths(params, graph.project)}
    if lacking:
        one_each = len({name for name, _ in lacking}) == len(lacking)
        told = ", ".join(f"{name}={path!r}" for name, path in lacking)
        raise MissingInput(
            f"{target} at {graph.scale} scale reads folders or lists that are not there: {told} "
            f"(looked in {graph.project}); put or link them there"
            f"{', or say by -p where they are' if one_each else ''}"
        )


def _made_of_other_sets(graph: Graph, target: str, pages: Pages, sets: SetsNow) -> dict[str, str]:
    """The marker of each finished run whose set is not what it was -> the set's hash now. They are
    made again, as after any other change; a line says so, and another one where a set cannot be
    opened and nobody can tell."""
    changed, told = {}, Counter()
    for job, params in _on_sets(pages):
        path = graph.root / job.marker
        full = read_json(path) if path.exists() else {}
        ran = full.get("parameters", {})
        if not full.get("data_hash") or ran.get("root") != params["root"]:
            continue  # it reads none, or another one by now, which the engine sees
        try:
            now = sets.hash(ran)
        except CANNOT as error:
            told[f"not compared with their set, which cannot be opened now: {error}"] += 1
            continue
        if now != full["data_hash"]:
            changed[job.marker] = now
            told[
                f"made again, with what follows from them: the set in root={ran['root']!r} has "
                "other videos, labels or sides now; to keep them, put it back as it was, or give "
                "another --runs-root"
            ] += 1
    for what, count in told.items():
        are = "is" if count == 1 else "are"
        print(f"{target}: {counted(count, 'finished run')} {are} {what}", file=sys.stderr)
    return changed


def _on_sets(pages: Pages) -> Pages:
    """Those that read a set which neither the project nor a job makes."""
    return [(job, told) for job, told in pages if told.get("root") and not made_here(told)]


def _refuse_wrong_sets(graph: Graph, target: str, pages: Pages, sets: SetsNow) -> None:
    """ValueError for a set or a list that a run to come could not take, and for labels that a class
    has not: the first such run may be days before it."""
    pages = _on_sets(pages)
    try:
        for warned in check_sets([params for _, params in pages], sets):
            print(f"{target}: {warned}", file=sys.stderr)
        for job, params in pages:
            page = notebook_path(Path(job.log[0]).stem, graph.project)
            if wants_labels(page.read_text(encoding="utf-8")):
                require_classes_to_tell(sets.splits(params), params["root"])
        _refuse_too_many_labels(graph, target, pages, sets)
    except CANNOT as error:
        raise ValueError(
            f"{target} at {graph.scale} scale, before anything starts: {error}"
        ) from None


def _refuse_too_many_labels(graph: Graph, target: str, pages: Pages, sets: SetsNow) -> None:
    """ParameterError that names all numbers of labelled videos that a class has not, and where they
    are set."""
    from vidssl.runs.fitting import lacking_class

    lacking = {}
    for job, params in pages:
        given = json.loads(job.params)
        if params.get("videos_per_class") and (
            short := lacking_class(params, sets.may_be_labelled(params), given)
        ):
            lacking[params["videos_per_class"]] = short
    if lacking:
        name, held = min(lacking.values(), key=lambda pair: pair[1])
        numbers = " and ".join(map(str, sorted(lacking)))
        where, remedy = _set_where(graph, target, lacking, held)
        raise ParameterError(
            f"{where} asks for {numbers} labelled videos a class, but class {name!r} has {held} "
            f"training videos: {remedy} (0: all there are), or add videos of it"
        )


def _set_where(graph: Graph, target: str, numbers: Collection[int], most: int) -> tuple[str, str]:
    """The setting that numbers of labelled videos come from, and what to do about it."""
    named = {
        (name, setting): value
        for name, settings in graph.asked.items()
        for setting, value in settings.items()
        if setting in LABELS and {*numbers} & {*(value if isinstance(value, list) else [value])}
    }
    own = {key: value for key, value in named.items() if key[0] == target} or named
    if not own or "videos_per_class" in graph.given.settings():
        return "videos_per_class", f"give -p videos_per_class {most} or less"
    (name, setting), value = next(iter(own.items()))
    fits = [number for number in value if number <= most] if isinstance(value, list) else most
    file = f"papermill_runs/{graph.scale}.yaml"
    return (
        f"targets: {name}: {setting}: {value}",
        f"set it to {fits or [most]} in {file} or a copy of it",
    )


def _refuse_one_place_for_several(
    target: str, scale: str, given: Mapping[str, str], project: Path
) -> None:
    """ParameterError for a -p that would put one place in place of several data sets'."""
    asked = [name for name in PLACES if name in given]
    graph = load(scale, {}, project) if asked else None
    pages = _pages(graph, graph.behind(target)) if graph else []
    for name in asked:
        places = [path for path in dict.fromkeys(value_in(told, name) for _, told in pages) if path]
        if len(places) > 1:
            raise ParameterError(
                f"{target} at {scale} scale reads {name} of {len(places)} data sets, "
                f"{', '.join(places)}: -p {name} would be that of all; put or link each there, or "
                f"say them in a copy of papermill_runs/{scale}.yaml"
            )


def variant_name(settings: Mapping[str, Any]) -> str:
    """A folder's name for runs with changed parameters: what they change as far as it is readable,
    and a hash of all of it, so that two settings never share one."""
    words = ",".join(f"{name}={_values(values)}" for name, values in settings.items())
    readable = re.sub(r"[^\w=,.-]+", "_", words)[:READABLE].strip("_.-")
    return f"{readable}-{sha256(json.dumps(settings).encode()).hexdigest()[:10]}"


def _settings_of_runs(root: Path, scale: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Scale -> settings of the runs in ``root`` from now on; ValueError where the finished runs
    of this scale have others."""
    settings = json.loads(json.dumps(settings))
    kept = _config(root).get("settings", {})
    if not isinstance(kept, dict):
        raise ValueError(f"{root / CONFIG}: settings={kept!r}: delete it and start again")
    before = kept.get(scale, settings)
    if before != settings and any(root.glob(f"records/{scale}-*.json")):
        raise ValueError(
            f"{root}: holds runs with {_words(before)}, not {_words(settings)}: give another "
            "--runs-root, or delete this one"
        )
    return {**kept, scale: settings}


def _config(root: Path) -> dict[str, Any]:
    """What the last engine in ``root`` was given."""
    path = root / CONFIG
    return read_json(path) if path.exists() else {}


def _values(values: Iterable[Any]) -> str:
    return "|".join(map(text_of, values))


def _words(settings: Mapping[str, Any]) -> str:
    words = [f"-p {name} {_values(values)!r}" for name, values in settings.items()]
    return " ".join(words) or "no -p"


def _command(
    target: str, project: Path, root: Path, share: Share, again: Iterable[str] = ()
) -> list[str]:
    """Snakemake's command line; what follows it is the file of settings. ``again``: the markers of
    runs to be made again."""
    snakefile = project / "papermill_runs" / "Snakefile"
    words = [sys.executable, "-m", "snakemake", target]
    words += ["--forcerun", *again] if again else []
    words += ["--snakefile", snakefile]
    words += ["--directory", root, *share.options, "--configfile"]
    return [str(word) for word in words]


def _dry_run(command: list[str], project: Path, config: Mapping[str, Any]) -> int:
    """Say what would run; an engine that works in the folder is not disturbed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(config), encoding="utf-8")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        engine = subprocess.Popen([*command, str(path), "--dry-run"], cwd=project, **pipes)
        _, pumps = _handed_on(engine)
        status = engine.wait()
        for pump in pumps:
            pump.join()
        return status


def _go_on_after_a_kill(root: Path, project: Path, unlock: bool, share: Share) -> None:
    """Free what a killed engine left locked. RunFailed while its runs go on here, which nobody
    could stop then, and where it may live on another machine.

    On a cluster its runs may go on: whoever is asked for the same one waits for it.
    """
    if not _locks(root):
        return
    name, left_by = short(root, project), _config(root).get("engine_of", "another process")
    at_work = [path.parent for path in root.glob("*/*/.lock") if is_held(path.parent)]
    if at_work and not share.is_remote:
        runs = "; ".join(f"{short(folder, root)} by {holder_of(folder)}" for folder in at_work)
        raise RunFailed(
            f"{name}: locked by a `vidssl run` that was killed ({left_by}), and runs that it "
            f"started go on: {runs}. Wait for them, or end them (kill and the process's number); "
            "then the same command goes on"
        )
    if not unlock and not left_by.endswith(f" on {socket.gethostname()}"):
        raise RunFailed(
            f"{name}: locked by a `vidssl run` elsewhere ({left_by}). If it was killed, the same "
            "command with --unlock goes on"
        )
    print(f"vidssl: goes on where a `vidssl run` was killed ({left_by})", file=sys.stderr)
    _unlock(root)


def _locks(root: Path) -> list[Path]:
    return [path for path in (root / ".snakemake" / "locks").glob("*") if path.is_file()]


def _unlock(root: Path) -> None:
    for path in _locks(root):
        path.unlink()


def _engine(command: list[str], root: Path, project: Path, lock: TextIO, share: Share) -> int:
    """Run Snakemake to its end. However it ends, nothing that it started is left at work."""
    with _interrupted_by(signal.SIGTERM, signal.SIGHUP):
        engine = subprocess.Popen(
            command,
            cwd=project,
            env={**os.environ, **share.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            preexec_fn=_hear_interrupts,
        )
        heard, pumps = _handed_on(engine)
        try:
            status = engine.wait()
        except KeyboardInterrupt:
            heard.clear()  # of how each run ends there is nothing to be said
            _end(engine, root)
            raise KeyboardInterrupt(f"stopped; {KEPT}") from None
        if status < 0:
            _end(engine, root)
            killed = signal.Signals(-status).name
            runs = "go on in the cluster" if share.is_remote else "were ended"
            raise RunFailed(f"the engine was killed ({killed}) and its runs {runs}; {KEPT}")
        for pump in pumps:
            pump.join()
    return status


def _hear_interrupts() -> None:
    """A shell lets what it puts in the background ignore them, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _interrupted_by(*signals: int) -> Iterator[None]:
    """Take ``signals`` for a Ctrl-C, but for those that are ignored (nohup)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in signals}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handed_on(engine: subprocess.Popen) -> tuple[threading.Event, list[threading.Thread]]:
    """Hand on what the engine says until the event is cleared; the threads end with the engine."""
    heard = threading.Event()
    heard.set()
    return heard, [_pump(engine.stdout, 1, heard), _pump(engine.stderr, 2, heard)]


def _pump(source: BinaryIO, to: int, heard: threading.Event) -> threading.Thread:
    """Hand on one stream, as long as somebody reads it; the runs go on anyhow."""

    def run():
        is_read = True
        while words := os.read(source.fileno(), 1 << 16):
            try:
                while words and is_read and heard.is_set():
                    words = words[os.write(to, words) :]
            except OSError:  # `| head` has seen enough of this one
                is_read = False

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _end(engine: subprocess.Popen, root: Path) -> None:
    """End the engine's whole session, then unlock; asked first, so that notebooks end kernels."""
    for number in (signal.SIGINT, signal.SIGKILL):
        until = time.monotonic() + PATIENCE
        try:
            os.killpg(engine.pid, number)
            while _lives(engine) and time.monotonic() < until:
                time.sleep(0.1)
        except ProcessLookupError:
            break
        except KeyboardInterrupt:  # again: no more patience
            continue
    if not _lives(engine):
        _unlock(root)


def _lives(process: subprocess.Popen) -> bool:
    process.poll()  # a dead child counts as living until somebody asks
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _tell(results: Mapping[str, list[str]]) -> None:
    for title, paths in results.items():
        if paths or title != "figures not made":
            print(f"{title}:", *(paths or ["none"]), sep="\n  ")
