"""The launcher: one notebook into one folder, by papermill, and never two at once."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import yaml

from vidssl.core import is_alive
from vidssl.files import drop_output, read_json
from vidssl.progress import in_words
from vidssl.runs import provenance
from vidssl.runs.cards import loader_workers, own_cards, visible_cards
from vidssl.runs.earlier import MissingInput
from vidssl.runs.notebooks import PLOTS, notebook_code, notebook_path, pair_text
from vidssl.runs.parameters import declared_parameters, parameters_to_run
from vidssl.runs.records import CHECKPOINTS, let_threads_sleep
from vidssl.runs.watch import Watch

if TYPE_CHECKING:
    from traitlets.config import Config

LOCK = ".lock"  # in a folder in use; it says by whom
ATTEMPT = ".attempt.json"  # what the run in a folder is made of, and how far it is
HOLDER = re.compile(r"process (\d+) on (.+)")  # what `locked` leaves there
WAIT = "; wait for it, or end it"  # what to do about a holder
KILLED = ", which was killed, and what it had started goes on; wait for that, or end it"
MADE = ".made.json"  # the run.json of a finished run, which Snakemake deletes before it asks again
BESIDE = ("runs", "cli", *PLOTS)  # rooms that no checkpoint depends on
SHORT = 60  # bytes of a temporary folder's name: a socket's whole path has at most 103 on macOS
STALL_LIMIT = 60.0  # minutes without any sign of life, as after a message that papermill has lost


class RunLocked(RuntimeError):
    """Somebody is executing a notebook in this folder now."""


class RunFailed(RuntimeError):
    """A notebook stopped, or ended without writing its run.json."""


def execute(
    notebook: str,
    folder: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    scale: str = "mini",
    after: Sequence[str | Path] = (),
    gpus: int | None = None,
    runs_per_gpu: int = 1,
    cores: int | None = None,
    once: str = "",
    cell_limit: float = 0.0,
    stall_limit: float = STALL_LIMIT,
) -> Path:
    """Run a notebook of ``notebooks/`` in ``folder`` and return the executed notebook's path.

    Given are the scale file's values and ``parameters`` over them; unknown ones are refused
    before anything runs (ParameterError). A folder in use is refused (RunLocked). An earlier
    executed notebook is kept under ``earlier/``. A run that was stopped goes on from its
    checkpoint where parameters, code and the files ``after`` which it runs are still the same,
    and starts anew otherwise. A failing cell, or the lack of a ``run.json`` at the end, is
    RunFailed; the notebook stays to be read.

    Args:
        gpus: how many cards it gets for itself, see `own_cards`; None: what there is. With some,
            a page that leaves ``num_workers`` at 0 gets as many as its share of ``cores`` allows.
        runs_per_gpu: how many runs at a time may share such a card.
        once: what decides the run beside ``after``. Then a folder in use is waited for, and a run
            that is finished with the same ``once`` and ``after`` is not made again: two engines may
            ask for it.
        cell_limit: minutes that a cell may take; 0, the default: any time.
        stall_limit: minutes without output, file or work of a processor after which a run is
            stopped; 0: never.
    """
    project = provenance.find_project()
    path = notebook_path(notebook, project)
    folder = Path(folder).resolve()
    own = {"run_folder": provenance.short(folder, project)}
    given = parameters_to_run(path.stem, scale, {**(parameters or {}), **own}, project)
    output = folder / f"{path.stem}.ipynb"
    cards = nullcontext() if gpus is None else own_cards(gpus, runs_per_gpu)
    with locked(folder, wait=bool(once)), cards:
        made = _key(after, once)
        if once and _is_made(folder, made):
            print(f"[{folder.name}] is finished already", flush=True)
            return output
        _make_room(folder, output, _key(after, given, notebook_code(path, BESIDE)))
        given = _with_loaders(given, path, gpus, cores)
        provenance.write_atomic(folder / "params.yaml", yaml.safe_dump(given, sort_keys=False))
        _papermill(path, output, given, project, cell_limit, stall_limit)
        if not (folder / "run.json").exists():
            raise RunFailed(f"{output}: ended without run.finish(...), so there is no run.json")
        shutil.copyfile(folder / "run.json", folder / MADE)
        _note_attempt(folder, "finished", made=made)
    return output


@contextmanager
def locked(folder: Path, lock: str = LOCK, *, wait: bool = False) -> Iterator[TextIO]:
    """Hold ``folder`` for this process; RunLocked, naming the holder, if another one does, unless
    this is to ``wait`` for it.

    The lock goes with the process that holds it, so a killed run leaves none behind; a child that
    inherits the file given holds it as well. ``lock``: the file, from ``folder``.
    """
    path = folder / lock
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        if not _hold(file):
            who = holder_of(folder, lock) or "another process"
            if not wait:
                raise RunLocked(f"{folder}: in use by {who}{KILLED if _was_killed(who) else WAIT}")
            print(f"[{folder.name}] waits for {who}, which works on it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(this_process())
        file.flush()
        yield file


def _was_killed(holder: str) -> bool:
    """Whether it was a process of this machine that is no more; what it had started may hold on."""
    named = HOLDER.match(holder)
    return bool(named) and named[2] == socket.gethostname() and not is_alive(int(named[1]))


def this_process() -> str:
    """How a lock names its holder."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _hold(file: TextIO, tries: int = 5) -> bool:
    """Take the lock of an open file; more than one try, for `is_held` takes it for a moment."""
    for _ in range(tries):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def is_held(folder: Path) -> bool:
    """Whether a process executes a notebook in ``folder`` now; to see, its lock is held for a
    moment."""
    try:
        with open(folder / LOCK, encoding="utf-8") as file:
            return not _hold(file, tries=1)
    except OSError:  # no lock, or not ours to read
        return False


def holder_of(folder: Path, lock: str = LOCK) -> str:
    """Who held ``folder`` last: "process 12 on host"; empty where nobody did."""
    path = folder / lock
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _key(after: Sequence[str | Path], *made_of: Any) -> str:
    """A hash of what a run is made of, and of the files which it runs after."""
    inputs = [provenance.file_hash(Path(file)) for file in after]
    return sha256(json.dumps([*made_of, inputs], sort_keys=True).encode()).hexdigest()


def _make_room(folder: Path, output: Path, key: str) -> None:
    """Archive the earlier notebook; drop its checkpoint unless this goes on from it."""
    (folder / "run.json").unlink(missing_ok=True)
    if _attempt(folder) != {"key": key, "status": "running"}:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        (folder / "metrics.jsonl").unlink(missing_ok=True)
    if output.exists():
        archive = folder / "earlier"
        archive.mkdir(exist_ok=True)
        output.rename(archive / f"{output.stem}-{len(list(archive.iterdir())) + 1}.ipynb")
    provenance.write_atomic(folder / ATTEMPT, json.dumps({"key": key, "status": "running"}))


def _note_attempt(folder: Path, status: str, **words: str) -> None:
    attempt = {**_attempt(folder), "status": status, **words}
    provenance.write_atomic(folder / ATTEMPT, json.dumps(attempt))


def _attempt(folder: Path) -> dict[str, str]:
    path = folder / ATTEMPT
    return read_json(path) if path.exists() else {}


def _is_made(folder: Path, key: str) -> bool:
    """Whether the run is finished with this key; its run.json then is there, and newly written."""
    attempt = _attempt(folder)
    if (attempt.get("status"), attempt.get("made")) != ("finished", key):
        return False
    provenance.write_atomic(folder / "run.json", (folder / MADE).read_text(encoding="utf-8"))
    return True


def _with_loaders(given: dict, path: Path, gpus: int | None, cores: int | None) -> dict:
    """``given``, with processes that read where a GPU would wait for them and nobody chose."""
    told = {**declared_parameters(path), **given}
    if told.get("num_workers") != 0 or not (visible_cards() if gpus is None else gpus):
        return given
    return {**given, "num_workers": loader_workers(cores, told.get("processes", 1))}


def _papermill(
    source: Path, output: Path, given: dict, project: Path, cell_limit: float, stall_limit: float
) -> None:
    import papermill

    let_threads_sleep()
    # not the paired .ipynb: it may be older than the source that was hashed and checked
    prepared = output.parent / f".{source.stem}.source.ipynb"
    prepared.write_text(pair_text(source), encoding="utf-8")
    try:
        with (
            Watch(output.parent, stall_limit) as watch,
            _failures_named(output, watch),
            own_sockets() as config,
        ):
            lines = _NamedLines(output.parent.name, watch.hear)
            papermill.execute_notebook(
                _as_it_is(prepared),
                _as_it_is(output),
                parameters=given,
                kernel_name="python3",
                cwd=str(project),
                progress_bar=False,
                stdout_file=lines,
                stderr_file=lines,
                execution_timeout=round(60 * cell_limit) or None,
                extra_arguments=["--IPKernelApp.log_level=40"],
                config=config,
            )
    finally:
        prepared.unlink()


@contextmanager
def own_sockets() -> Iterator[Config]:
    """jupyter_client's settings for a kernel that listens on Unix sockets in a folder of its own,
    which goes when it ends.

    Ports are chosen before a kernel takes them: of many that start at once two may choose the same,
    and one dies before it has run anything. They stay where no temporary folder has a short name.
    """
    from traitlets.config import Config

    places = [place for place in (tempfile.gettempdir(), "/tmp") if _takes_sockets(place)]
    if not places:
        yield Config()
        return
    with tempfile.TemporaryDirectory(
        prefix="vidssl-kernel-", dir=places[0], ignore_cleanup_errors=True
    ) as folder:
        file = str(Path(folder, "kernel.json"))
        yield Config({"KernelManager": {"transport": "ipc", "connection_file": file}})


def _takes_sockets(place: str) -> bool:
    return len(os.fsencode(place)) <= SHORT and os.access(place, os.W_OK | os.X_OK)


@contextmanager
def _failures_named(output: Path, watch: Watch) -> Iterator[None]:
    """Turn what papermill raises into a RunFailed of one line."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        yield
    except (PapermillExecutionError, DeadKernelError, CellTimeoutError) as error:
        if watch.stopped:
            reason = (
                f"stopped after {in_words(watch.seconds)} without output, a new file or work of a "
                "processor (--stall-limit); its last cell shows where it stood"
            )
        elif isinstance(error, PapermillExecutionError):
            reason = f"cell {error.exec_count} stopped with {error.ename}: {error.evalue}"
            if error.ename != MissingInput.__name__:  # whose further lines say what to run
                reason = reason.splitlines()[0]
        elif isinstance(error, CellTimeoutError):
            reason = "a cell took longer than --cell-limit allows"
        else:
            reason = "its kernel died, as it does where memory runs out"
        raise RunFailed(f"{output}: {reason}") from None


def _as_it_is(path: Path) -> str:
    """A path that papermill takes literally: it fills parameters into braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


class _NamedLines:
    """A text file to the terminal, each line with the run's name before it.

    Of a progress bar that rewrites its line only the last state is shown. Where nobody reads any
    more (`| head`) the run goes on: its notebook has the lines too.
    """

    def __init__(self, name: str, hear: Callable[[], None]):
        self.name, self.hear = name, hear
        self.rest = ""

    def write(self, text: str) -> None:
        self.hear()
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2]
            if shown.strip():
                try:
                    print(f"[{self.name}] {shown}", flush=True)
                except BrokenPipeError:
                    drop_output()

    def flush(self) -> None:
        pass  # each line is, as it is printed
