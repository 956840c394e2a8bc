import io
import warnings
from pathlib import Path
from textwrap import dedent

import pytest

import vidssl
from vidssl import progress
from vidssl.core import counted
from vidssl.progress import Lines, in_words, reporting, tracked, warnings_as_lines

LOG_LEVEL = "--IPKernelApp.log_level=40"


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_now_and_then_and_say_what_is_left(clock):
    out = io.StringIO()
    lines = Lines(2240, "embedded data", "video", out)
    for seconds, count in ((4, 30), (6, 30), (20, 100), (60, 400), (240, 1680)):
        clock[0] = seconds
        lines.update(count)
    lines.set_note("1 failed")
    lines.close()
    assert out.getvalue().splitlines() == [
        "embedded data: 60 of 2,240 videos, about 2 min left",
        "embedded data: 560 of 2,240 videos, about 3 min left",
        "embedded data: 2,240 videos, 4 min (1 failed)",
    ]


def test_a_short_job_says_nothing_and_a_stopped_one_how_far_it_came(clock):
    out = io.StringIO()
    short = Lines(3, "work", "batch", out)
    short.update(3)
    short.close()
    assert out.getvalue() == ""
    stopped = Lines(3, "work", "batch", out)
    clock[0] = 10
    stopped.update()
    stopped.close()
    assert out.getvalue().splitlines() == [
        "work: 1 of 3 batches",
        "work: 1 of 3 batches, 10 s",
    ]


def test_outside_a_terminal_there_are_lines_on_the_error_stream(clock, capsys):
    def slow():
        for item in (1, 2):
            clock[0] += 9
            yield item

    assert list(tracked(slow(), "reading", "file")) == [1, 2]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "reading: 1 file\nreading: 2 files, 18 s\n"
    with reporting(2, "quiet", shown=False) as told:
        clock[0] += 9
        told.update()
    assert capsys.readouterr() == ("", "")


def test_numbers_have_their_nouns():
    assert counted(1, "minute") == "1 minute"
    assert counted(0, "batch") == "0 batches"
    assert [in_words(seconds) for seconds in (0.4, 119, 120, 7500)] == [
        "0 s",
        "119 s",
        "2 min",
        "2 h 5 min",
    ]


def test_a_warning_is_a_line_of_the_output(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings_as_lines()
        warnings.warn("all scores\n  are alike", stacklevel=1)
    assert capsys.readouterr() == ("note: all scores are alike\n", "")


def test_nothing_draws_a_bar():
    """A bar of its own would be a red box in a notebook."""
    package = Path(vidssl.__file__).parent
    drawing = {p.name for p in package.rglob("*.py") if "tqdm" in p.read_text(encoding="utf-8")}
    assert drawing == set()


def test_a_kernel_says_nothing_of_an_interrupt_between_cells_and_all_else(tmp_path):
    """The interrupt itself meets a message being handled about once in a hundred shutdowns: here
    its words are said by the kernel's own log."""
    from jupyter_client.manager import start_new_kernel

    code = """
        from vidssl.progress import quiet_interrupts
        log = get_ipython().kernel.log
        log.error("before")
        quiet_interrupts(), quiet_interrupts()
        log.error("KeyboardInterrupt caught in kernel."), log.error("something else")"""
    log = (tmp_path / "stderr.txt").open("w+")
    manager, client = start_new_kernel(stdout=log, stderr=log, extra_arguments=[LOG_LEVEL])
    try:
        said = client.execute_interactive(dedent(code), timeout=60)
        assert said["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    log.seek(0)
    told = log.read()
    assert "before" in told
    assert "something else" in told
    assert "KeyboardInterrupt" not in told
