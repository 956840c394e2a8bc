"""One function in several processes: started, watched, and what they tell each other.

`run` leaves the work in a folder, starts torch's elastic launcher on this machine, or the command
given as ``launcher`` (``srun torchrun ...`` over nodes that share the folder), and returns what the
first process (rank 0) returned. Each process is ``python -m vidssl.processes FOLDER``. The caller
is none of them: a notebook waits, shows the rows that rank 0 tells, and ends them when it ends.
"""

from __future__ import annotations

import builtins
import json
import os
import pickle
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vidssl.core import is_alive

Tell = Callable[[dict[str, Any]], None]
Work = Callable[[Tell], Any]

START_WITHIN = 900.0  # seconds a launcher may take to begin
_POLL = 0.1  # seconds
_CALLER = "VIDSSL_CALLER"  # host and process that wait for the result
# a restarted worker would ask its dead predecessor for the way
_ENVIRONMENT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


class LaunchFailed(RuntimeError):
    """The processes ended, or never began, without a result."""


# --- the caller's side ----------------------------------------------------------------------------


def run(
    work: Work,
    processes: int,
    *,
    launcher: str = "",
    folder: str | Path | None = None,
    follow: Tell = lambda row: None,
    start_within: float = START_WITHIN,
    restarts: int = 3,
) -> Any:
    """``work(tell)`` in ``processes`` processes; what the first one returned.

    Args:
        work: any function, also one that a notebook defined; it is pickled by value. It returns
            tensors, numbers, texts, and lists and dicts of them.
        launcher: a command to which the work is appended, e.g. "srun torchrun --nnodes 2
            --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint node1:29500"; it decides how many
            processes there are. Empty: ``processes`` on this machine.
        folder: where work and result are exchanged, seen by all nodes; removed at the end. A
            temporary one when None.
        follow: called with each row that rank 0 gives to ``tell``.
        start_within: seconds until the first process must have begun.
        restarts: how often processes that were killed are started again, on this machine.

    Raises:
        ValueError: more processes than GPUs on a machine that has some, or fewer than 1.
        LaunchFailed: with the launcher's last lines. An error of ``work`` keeps its own type.
    """
    _check_processes(processes, launcher)
    exchange = _make_exchange(folder)
    try:
        _leave_work(exchange, work)
        command = [*_command(processes, launcher, restarts), str(exchange)]
        with _started(command, exchange, processes) as launched:
            _wait(launched, exchange, follow, start_within)
        return _result(exchange, launched.returncode, command)
    finally:
        shutil.rmtree(exchange, ignore_errors=True)


def _check_processes(processes: int, launcher: str) -> None:
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and processes > gpus and not launcher:
        raise ValueError(f"processes={processes}, but there are {gpus} GPUs here, one for each")


def _make_exchange(folder: str | Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="vidssl-"))
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    Path(folder).mkdir(parents=True, mode=0o700)
    return Path(folder).resolve()


def _leave_work(exchange: Path, work: Work) -> None:
    import cloudpickle

    try:
        (exchange / "work.pkl").write_bytes(cloudpickle.dumps(work))
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise ValueError(
            f"what is trained cannot be sent to other processes: {error}; keep open files, locks "
            "and widgets out of the training step and the data set"
        ) from error


def _command(processes: int, launcher: str, restarts: int) -> list[str]:
    module = ["-m", "vidssl.processes"]
    if launcher:
        return shlex.split(launcher) + module
    local = f"--standalone --local-addr 127.0.0.1 --nproc-per-node {processes}".split()
    local += ["--max-restarts", str(restarts), "--monitor-interval", "0.2"]
    return [sys.executable, "-m", "torch.distributed.run", *local, *module]


@contextmanager
def _started(command: list[str], exchange: Path, processes: int) -> Iterator[subprocess.Popen]:
    """The launcher, which is ended with all its processes when the caller leaves early."""
    share = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)  # of a run among others
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(max(1, share // processes)),
        **_ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        _CALLER: f"{socket.gethostname()}:{os.getpid()}",
    }
    with open(exchange / "launcher.log", "wb") as output:
        try:
            launched = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise LaunchFailed(f"launcher {command[0]!r} cannot be started: {error}") from error
    try:
        yield launched
    finally:
        _end(launched)


def _end(launched: subprocess.Popen, patience: float = 10.0) -> None:
    """SIGTERM, which a launcher passes on; SIGKILL to the whole group where that does not help."""
    if launched.poll() is not None:
        return
    launched.terminate()
    try:
        launched.wait(patience)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(launched.pid, signal.SIGKILL)
        launched.wait()


def _wait(launched: subprocess.Popen, exchange: Path, follow: Tell, start_within: float) -> None:
    """Pass rows on until the launcher ends."""
    rows, begun = _Rows(exchange / "rows.jsonl"), time.monotonic()
    while launched.poll() is None:
        for row in rows.new():
            follow(row)
        if not (exchange / "begun").exists() and time.monotonic() - begun > start_within:
            raise LaunchFailed(
                f"no process began within {start_within:.0f} s; the launcher said:\n"
                f"{_last_lines(exchange)}"
            )
        time.sleep(_POLL)
    for row in rows.new():
        follow(row)


class _Rows:
    """Whole lines of a file that grows."""

    def __init__(self, path: Path):
        self.path, self.read = path, 0

    def new(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self.read)
            whole = file.read().rpartition(b"\n")[0]
        self.read += len(whole) + 1 if whole else 0
        return [json.loads(line) for line in whole.splitlines()]


def _result(exchange: Path, status: int, command: list[str]) -> Any:
    if (exchange / "error.json").exists():
        raise _reported_error(json.loads((exchange / "error.json").read_text(encoding="utf-8")))
    if not (exchange / "result.pt").exists():
        raise LaunchFailed(
            f"the processes ended without a result (status {status} of {shlex.join(command[:4])} "
            f"...); the last lines:\n{_last_lines(exchange)}"
        )
    return torch.load(exchange / "result.pt", map_location="cpu", weights_only=True)


def _last_lines(exchange: Path, count: int = 20) -> str:
    text = (exchange / "launcher.log").read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.strip().splitlines()[-count:]) or "(nothing)"


def _reported_error(report: dict[str, Any]) -> Exception:
    """The error of a process as its own built-in type, where it is one."""
    elsewhere = report["host"] != socket.gethostname()
    message = report["message"] + (f" (on {report['host']})" if elsewhere else "")
    kind = getattr(builtins, report["type"], None)
    known = isinstance(kind, type) and issubclass(kind, Exception)
    if known and issubclass(kind, OSError) and report["errno"]:
        error = kind(report["errno"], message)
    else:
        error = kind(message) if known else LaunchFailed(message)
    error.add_note(f"in process {report['rank']} on {report['host']}:\n{report['traceback']}")
    return error


# --- a process's side -----------------------------------------------------------------------------


def _be_one(exchange: Path) -> int:
    """What each process does; its exit status."""
    if (exchange / "error.json").exists():
        return 1  # started again after an error that would only come again
    _end_with_caller()
    rank = int(os.environ.get("RANK", "0"))
    (exchange / "begun").touch()
    try:
        with open(exchange / "work.pkl", "rb") as file:
            work = pickle.load(file)
        result = work(_teller(exchange) if rank == 0 else lambda row: None)
        if rank == 0:
            torch.save(result, exchange / "result.part")
            os.replace(exchange / "result.part", exchange / "result.pt")
    except Exception as error:
        traceback.print_exc()
        if not _is_lost_peer(error):
            _leave_error(exchange, error, rank)
        return 1
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


def _teller(exchange: Path) -> Tell:
    def tell(row: dict[str, Any]) -> None:
        with open(exchange / "rows.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    return tell


def _is_lost_peer(error: Exception) -> bool:
    """Whether another process went away; what happened there is the reason, not this."""
    text = str(error)
    return isinstance(error, dist.DistError) or "gloo" in text or "NCCL" in text


def _leave_error(exchange: Path, error: Exception, rank: int) -> None:
    report = {
        "type": type(error).__name__,
        "message": error.strerror if isinstance(error, OSError) and error.errno else str(error),
        "errno": getattr(error, "errno", None),
        "rank": rank,
        "host": socket.gethostname(),
        "traceback": traceback.format_exc(),
    }
    partial = exchange / f"error.{rank}.part"
    partial.write_text(json.dumps(report), encoding="utf-8")
    with suppress(FileExistsError):  # the first error counts
        os.link(partial, exchange / "error.json")


@lru_cache(maxsize=1)
def _end_with_caller() -> None:
    """End this process when its launcher, or the caller on this machine, is gone."""
    host, _, caller = os.environ.get(_CALLER, "").partition(":")
    launcher = os.getppid()
    here = host == socket.gethostname()
    end_when(lambda: os.getppid() != launcher or (here and not is_alive(int(caller))))


def end_when(gone: Callable[[], bool]) -> None:
    """Let this process end within a second of ``gone()``: a killed parent cannot say goodbye."""

    def watch() -> None:
        while not gone():
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# --- what processes tell each other ---------------------------------------------------------------


def count() -> int:
    """How many processes work together; 1 where nothing was launched."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The place of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def gathered(value: Any) -> list[Any]:
    """A small picklable value of each process, in the order of their ranks, in all of them."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def from_first(value: Any) -> Any:
    """Rank 0's value, in all processes."""
    if count() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def mean_of_some(total: Tensor, number: Tensor) -> Tensor:
    """``total / number``, where how many rows count (``number``) differs from process to process.

    Averaged over processes, as gradients are, it is the mean over the rows of all of them; 0 where
    no row counts at all.
    """
    number = number.detach().to(total.dtype)
    if count() > 1:
        dist.all_reduce(number := number.clone())
        number = number / count()
    return total / number.clamp(min=1 / count())


class _Sum(torch.autograd.Function):
    """The sum over processes; gradients of all of them come back summed."""

    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batches of all processes, on CPUs: torch's own knows GPUs only."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes after the channels."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or count() == 1:
            return super().forward(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        number = _Sum.apply(x.new_tensor([x.numel() / x.shape[1]]))
        mean = _along_channels(_Sum.apply(x.sum(axes)) / number, x)
        variance = _Sum.apply((x - mean).square().sum(axes)) / number
        self._remember(mean.flatten(), variance * number / (number - 1))
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return (x - mean) * _along_channels(scale, x)
        return (x - mean) * _along_channels(self.weight * scale, x) + _along_channels(self.bias, x)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _along_channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` with batch norms that see all processes' batches: same parameters, same names."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = SyncBatchNorm
    return model


if __name__ == "__main__":
    sys.exit(_be_one(Path(sys.argv[1])))
