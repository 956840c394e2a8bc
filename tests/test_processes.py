"""Work in several processes: started, followed, ended, and what goes wrong said in one line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from vidssl import processes
from vidssl.core import is_alive
from vidssl.processes import LaunchFailed

TWO_HERE = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
TWO_HERE += " --local-addr 127.0.0.1"


def join():
    torch.distributed.init_process_group("gloo")
    return processes.rank()


def test_what_processes_tell_each_other():
    """One launch: rows, gathered values, means over rows of two processes, a tensor's way back."""

    def work(tell):
        rank = join()
        tell({"rank": rank})
        x = torch.tensor(1.0 + rank, requires_grad=True)
        processes._Sum.apply(x * x).backward()
        # one row of 4 here, three rows of 2 there: their mean is 2.5
        mean = processes.mean_of_some(torch.tensor([4.0, 6.0][rank]), torch.tensor([1, 3][rank]))
        return {
            "gathered": processes.gathered({"rank": rank}),
            "first": processes.from_first(f"rank {rank}"),
            "gradients": processes.gathered(x.grad.item()),
            "mean": sum(processes.gathered(mean.item())) / 2,
            "nothing": processes.mean_of_some(torch.zeros(()), torch.tensor(0)).item(),
            "tensor": torch.arange(3.0),
        }

    rows = []
    result = processes.run(work, 2, follow=rows.append)
    assert rows == [{"rank": 0}]
    assert result["gathered"] == [{"rank": 0}, {"rank": 1}]
    assert result["first"] == "rank 0"
    assert result["gradients"] == [4.0, 8.0]  # d(1 + 4)/dx of x = 1 and 2, asked by both
    assert result["mean"] == 2.5
    assert result["nothing"] == 0
    assert torch.equal(result["tensor"], torch.arange(3.0))


def test_alone_everything_is_as_it_is():
    assert (processes.count(), processes.rank()) == (1, 0)
    assert processes.gathered("x") == ["x"]
    assert processes.from_first("x") == "x"
    assert processes.mean_of_some(torch.tensor(6.0), torch.tensor(3)) == 2
    assert processes.mean_of_some(torch.tensor(0.0), torch.tensor(0)) == 0
    norm = nn.BatchNorm3d(2)
    x = torch.randn(4, 2, 3, 3, 3)
    expected = nn.BatchNorm3d(2)(x)
    shared = processes.synchronise_batch_norm(nn.Sequential(norm), torch.device("cpu"))
    assert torch.equal(shared(x), expected)
    assert shared[0].weight is norm.weight


class Alarm(RuntimeError):
    pass


def test_an_error_keeps_its_kind_and_is_not_tried_again(tmp_path):
    tries = tmp_path / "tries"

    def work(tell):
        with open(tries, "a") as file:
            file.write("x")
        raise OSError(28, "disk.pt cannot be written")

    with pytest.raises(OSError, match=r"disk\.pt cannot be written") as caught:
        processes.run(work, 1)
    assert tries.read_text() == "x"
    assert "in work" in caught.value.__notes__[0]
    assert caught.value.errno == 28


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (ValueError("lr must be positive"), ValueError, "lr must be positive"),
        (Alarm("the custom one"), LaunchFailed, "the custom one"),
    ],
)
def test_an_error_that_was_left_is_of_its_kind_or_our_own(tmp_path, error, expected, message):
    processes._leave_error(tmp_path, error, rank=0)
    found = processes._reported_error(json.loads((tmp_path / "error.json").read_text()))
    assert type(found) is expected
    assert str(found) == message


def test_what_went_wrong_on_another_node_names_it(tmp_path):
    """As that node's process leaves it, read where the run was started."""
    processes._leave_error(tmp_path, RuntimeError("a.mp4: no such file"), rank=3)
    report = json.loads((tmp_path / "error.json").read_text())
    assert str(processes._reported_error(report)) == "a.mp4: no such file"
    error = processes._reported_error({**report, "host": "node7"})
    assert str(error) == "a.mp4: no such file (on node7)"
    assert error.__notes__[0].startswith("in process 3 on node7:")


def test_a_launcher_that_never_starts_is_ended_and_quoted(tmp_path):
    script = tmp_path / "launcher.sh"
    script.write_text("echo waiting for resources; sleep 600\n")
    began = time.monotonic()
    with pytest.raises(LaunchFailed, match=r"no process began within 1 s(.|\n)*waiting for res"):
        processes.run(print, 1, launcher=f"sh {script}", start_within=1, folder=tmp_path / "x")
    assert time.monotonic() - began < 60
    assert not (tmp_path / "x").exists()


def test_a_launcher_that_fails_or_is_not_there_says_so():
    with pytest.raises(LaunchFailed, match="launcher 'no-such-launcher' cannot be started"):
        processes.run(print, 1, launcher="no-such-launcher --nodes 2")
    with pytest.raises(LaunchFailed, match=r"without a result(.|\n)*no such partition"):
        processes.run(print, 1, launcher="sh -c 'echo no such partition; exit 3'")


def test_a_launcher_of_one_s_own_decides_how_many_there_are():
    def work(tell):
        join()
        return processes.count()

    assert processes.run(work, 1, launcher=TWO_HERE) == 2


def test_what_cannot_be_sent_is_said(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(ValueError, match="cannot be sent"):
        processes.run(lambda tell: file.write("x"), 1)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="processes=3, but there are 2 GPUs here"):
        processes.run(print, 3)
    with pytest.raises(ValueError, match="processes must be at least 1"):
        processes.run(print, 0)


def test_processes_end_with_their_caller(tmp_path):
    """The caller is killed; what it started ends within seconds, or two would train at once."""
    code = f"""
from vidssl import processes
def work(tell):
    import os, time
    open({str(tmp_path / "worker")!r}, "w").write(str(os.getpid()))
    time.sleep(600)
processes.run(work, 1)
"""
    caller = subprocess.Popen([sys.executable, "-c", code])
    worker = int(_content(tmp_path / "worker"))
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    deadline = time.monotonic() + 60
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not is_alive(worker)


def test_an_interrupted_caller_ends_its_processes(tmp_path):
    def work(tell):
        (tmp_path / "worker").write_text(str(os.getpid()))
        tell({"now": 1})
        time.sleep(600)

    def interrupt(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run(work, 1, follow=interrupt, folder=tmp_path / "exchange")
    assert not is_alive(int((tmp_path / "worker").read_text()))
    assert not (tmp_path / "exchange").exists()


def _content(path, seconds=120):
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.1)
    return path.read_text()
