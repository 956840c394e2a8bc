"""The launcher: one notebook into one folder, by papermill, and never two at once."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from vidssl.core import is_alive
from vidssl.files import drop_output, read_json
from vidssl.runs import provenance
from vidssl.runs.earlier import MissingInput
from vidssl.runs.notebooks import notebook_code, notebook_path, pair_text
from vidssl.runs.parameters import parameters_for
from vidssl.runs.records import CHECKPOINTS, WAITING

LOCK = ".lock"  # in a folder in use; it says by whom
HOLDER = re.compile(r"process (\d+) on (.+)")  # what `locked` leaves there
CELL_TIMEOUT = 12 * 3600  # seconds; papermill waits for ever on a lost message without one


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
    timeout: int = CELL_TIMEOUT,
) -> Path:
    """Run a notebook of ``notebooks/`` in ``folder`` and return the executed notebook's path.

    Given are the scale file's values and ``parameters`` over them; unknown ones are refused
    before anything runs (ParameterError). A folder in use is refused (RunLocked). An earlier
    executed notebook is kept under ``earlier/``. A run that was stopped goes on from its
    checkpoint where parameters, code and the files ``after`` which it runs are still the same,
    and starts anew otherwise. A failing cell, or the lack of a ``run.json`` at the end, is
    RunFailed; the notebook stays to be read. ``timeout``: seconds a cell may take.
    """
    project = provenance.find_project()
    path = notebook_path(notebook, project)
    folder = Path(folder).resolve()
    own = {"run_folder": provenance.short(folder, project)}
    given = parameters_for(path.stem, scale, {**(parameters or {}), **own}, project)
    with locked(folder):
        output = folder / f"{path.stem}.ipynb"
        _make_room(folder, output, _attempt_key(path, given, after))
        provenance.write_atomic(folder / "params.yaml", _as_yaml(given))
        _papermill(path, output, given, project, timeout)
        if not (folder / "run.json").exists():
            raise RunFailed(f"{output}: ended without run.finish(...), so there is no run.json")
        _note_attempt(folder, "finished")
    return output


@contextmanager
def locked(folder: Path, lock: str = LOCK) -> Iterator[TextIO]:
    """Hold ``folder`` for this process; RunLocked, naming the holder, if another one does.

    The lock goes with the process that holds it, so a killed run leaves none behind; a child that
    inherits the file given holds it as well. ``lock``: the file, from ``folder``.
    """
    path = folder / lock
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        if not _hold(file):
            who = holder_of(folder, lock) or "another process"
            raise RunLocked(f"{folder}: in use by {who}{_advice(who)}")
        file.truncate(0)
        file.write(this_process())
        file.flush()
        yield file


def _advice(who: str) -> str:
    """What to do about a holder; one that was killed leaves the lock to what it had started."""
    number = who.partition(" ")[2].partition(" ")[0]
    is_here = who.endswith(f" on {socket.gethostname()}") and number.isdigit()
    if is_here and not is_alive(int(number)):
        return ", which was killed, and what it had started goes on; wait for that, or end it"
    return "; wait for it, or end it"


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
    """Whether a process executes a notebook in ``folder`` now.

    The lock is tried only where its holder may be alive: trying it holds it for a moment.
    """
    try:
        holder = HOLDER.match(holder_of(folder))
        if holder and holder[2] == socket.gethostname() and not is_alive(int(holder[1])):
            return False
        with open(folder / LOCK, encoding="utf-8") as file:
            return not _hold(file, tries=1)
    except (OSError, ValueError):  # no lock, or not ours to read
        return False


def holder_of(folder: Path, lock: str = LOCK) -> str:
    """Who held ``folder`` last: "process 12 on host"; empty where nobody did."""
    path = folder / lock
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _attempt_key(path: Path, given: Mapping[str, Any], after: Sequence[str | Path]) -> str:
    code = notebook_code(path, without=("runs", "cli", "visualize"))
    inputs = [provenance.file_hash(Path(file)) for file in after]
    return sha256(json.dumps([given, code, inputs], sort_keys=True).encode()).hexdigest()


def _make_room(folder: Path, output: Path, key: str) -> None:
    """Archive the earlier notebook; drop its checkpoint unless this goes on from it."""
    (folder / "run.json").unlink(missing_ok=True)
    attempt = folder / ".attempt.json"
    earlier = read_json(attempt) if attempt.exists() else {}
    if earlier != {"key": key, "status": "running"}:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        (folder / "metrics.jsonl").unlink(missing_ok=True)
    if output.exists():
        archive = folder / "earlier"
        archive.mkdir(exist_ok=True)
        output.rename(archive / f"{output.stem}-{len(list(archive.iterdir())) + 1}.ipynb")
    provenance.write_atomic(attempt, json.dumps({"key": key, "status": "running"}))


def _note_attempt(folder: Path, status: str) -> None:
    attempt = read_json(folder / ".attempt.json")
    provenance.write_atomic(folder / ".attempt.json", json.dumps({**attempt, "status": status}))


def _as_yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False)


_OF_KERNELS = {  # read when a process starts; the Makefile sets them for JupyterLab
    **WAITING,
    # freed memory is kept for the next step: mapping each activation anew costs a third of it
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}


def _papermill(source: Path, output: Path, given: dict, project: Path, timeout: int) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    for name, value in _OF_KERNELS.items():
        os.environ.setdefault(name, value)
    # not the paired .ipynb: it may be older than the source that was hashed and checked
    prepared = output.parent / f".{source.stem}.source.ipynb"
    prepared.write_text(pair_text(source), encoding="utf-8")
    lines = _NamedLines(output.parent.name)
    try:
        papermill.execute_notebook(
            _as_it_is(prepared),
            _as_it_is(output),
            parameters=given,
            kernel_name="python3",
            cwd=str(project),
            progress_bar=False,
            stdout_file=lines,
            stderr_file=lines,
            execution_timeout=timeout,
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
        if error.ename != MissingInput.__name__:  # whose further lines say what to run
            reason = reason.splitlines()[0]
        raise RunFailed(f"{output}: cell {error.exec_count} stopped with {reason}") from None
    except DeadKernelError:
        raise RunFailed(f"{output}: its kernel died, as it does where memory runs out") from None
    finally:
        prepared.unlink()


def _as_it_is(path: Path) -> str:
    """A path that papermill takes literally: it fills parameters into braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


class _NamedLines:
    """A text file to the terminal, each line with the run's name before it.

    Of a progress bar that rewrites its line only the last state is shown. Where nobody reads any
    more (`| head`) the run goes on: its notebook has the lines too.
    """

    def __init__(self, name: str):
        self.name = name
        self.rest = ""

    def write(self, text: str) -> None:
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
