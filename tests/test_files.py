"""Text files of the project's own are UTF-8 under every locale; names that are not are told."""

import ast
import errno
import json
import os
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
from tiny_project import REPOSITORY, leave_record, make_project
from torch import nn

from vidssl import cli, runs
from vidssl.data import open_dataset, read_folder, read_images
from vidssl.files import require_utf8, whole, write_arrays, write_atomic
from vidssl.models.pretrained import save_pretrained
from vidssl.runs.figures import save_figure

ODD = "caf\udce9"  # as Python reads the Latin-1 bytes of a name
PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": ""}


# --- sources ------------------------------------------------------------------------------------

NO_TEXT = {"Image", "av", "os", "manifest"}  # whose `open` is no text file's
CALLERS = {"run", "Popen", "check_output", "check_call", "call"}


def unsure_text(source: str) -> list[int]:
    """Lines of Python source that read or write text in whatever encoding the locale has."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted(call.lineno for call in calls if _is_unsure(call))


def _is_unsure(call: ast.Call) -> bool:
    given = {word.arg: word.value for word in call.keywords}
    if "encoding" in given or None in given:
        return False
    owner = getattr(call.func, "value", None)
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name in ("open", "fdopen"):
        if name == "open" and getattr(owner, "id", getattr(owner, "attr", "")) in NO_TEXT:
            return False
        place = 1 if owner is None or name == "fdopen" else 0  # path.open(mode)
        modes = [given["mode"]] if "mode" in given else call.args[place : place + 1]
        return not any(isinstance(m, ast.Constant) and "b" in str(m.value) for m in modes)
    if name in ("NamedTemporaryFile", "TemporaryFile"):
        modes = [given["mode"]] if "mode" in given else call.args[:1]
        return any(isinstance(m, ast.Constant) and "b" not in str(m.value) for m in modes)
    return name in CALLERS and bool({"text", "universal_newlines"} & given.keys())


SOURCES = sorted([*(REPOSITORY / "vidssl").rglob("*.py"), *(REPOSITORY / "notebooks").glob("*.py")])


def test_every_text_file_is_opened_as_what_it_is():
    found = {
        str(path.relative_to(REPOSITORY)): lines
        for path in SOURCES
        if (lines := unsure_text(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_so_it_is_in_the_snakefiles():
    home = REPOSITORY / "papermill_runs"
    for path in (home / "Snakefile", *home.glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(open|read_text|write_text)\((?![^()]*encoding=)", text), path


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "open(path, 'a')",
        "path.open()",
        "path.open('w', newline='')",
        "path.read_text()",
        "path.write_text(text)",
        "subprocess.run(words, capture_output=True, text=True)",
        "os.fdopen(fd, 'w')",
        "NamedTemporaryFile('w')",
    ],
)
def test_a_planted_one_is_found(line):
    assert unsure_text(f"import os\n\n{line}") == [3]


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'rb')",
        "open(path, encoding='utf-8')",
        "path.open('wb')",
        "path.read_text('utf-8')",
        "Image.open(path)",
        "subprocess.run(words)",
        "subprocess.run(words, text=True, encoding='utf-8')",
        "NamedTemporaryFile()",
    ],
)
def test_and_nothing_else(line):
    assert unsure_text(line) == []


# --- commands under another locale --------------------------------------------------------------


def under_c_locale(words, folder):
    environment = {**os.environ, **PLAIN, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "vidssl.cli", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A project with letters that no plain locale has in each kind of its files."""
    made = make_project(tmp_path_factory.mktemp("foreign") / "project")
    notebook = made / "notebooks" / "90_tiny.py"
    text = notebook.read_text(encoding="utf-8").replace("# # Tiny", "# # Größe ± 視頻")
    text = text.replace("a rising line", "eine wachsende Größe")
    notebook.write_text(text, encoding="utf-8")
    with open(made / "papermill_runs" / "smoke.yaml", "a", encoding="utf-8") as file:
        file.write("# Größe\n")
    return made


def test_the_locale_of_these_tests_is_not_utf8(foreign):
    code = "import locale, sys; print(locale.getpreferredencoding(False))"
    environment = {**os.environ, **PLAIN}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert b"UTF-8" not in done.stdout.upper()


def test_a_notebook_is_run_and_traced_under_a_plain_locale(foreign):
    done = under_c_locale(["pair"], foreign)
    assert done.stdout == b"wrote 90_tiny.ipynb\n", done.stderr
    text = (foreign / "notebooks" / "90_tiny.ipynb").read_text(encoding="utf-8")
    assert "Größe ± 視頻" in text
    done = under_c_locale(
        ["execute", "90_tiny", "papermill_runs/smoke/x", "--scale", "smoke"], foreign
    )
    assert done.returncode == 0, done.stderr
    executed = foreign / "papermill_runs" / "smoke" / "x" / "90_tiny.ipynb"
    assert "Größe ± 視頻" in executed.read_text(encoding="utf-8")
    assert under_c_locale(["runs"], foreign).stdout.splitlines()[1].startswith(b"smoke-x ")
    [figure] = foreign.rglob("*tiny.png")
    done = under_c_locale(["trace", str(figure)], foreign)
    assert done.stdout.startswith(f"{figure.stem}: current\n".encode())
    assert rb"wachsende Gr\xf6\xdfe" in done.stdout, "what the terminal lacks is escaped"


def test_a_record_is_listed_under_a_plain_locale(foreign):
    leave_record(foreign / "papermill_runs", "mini-y", metrics={"größe": 1.0})
    listed = under_c_locale(["runs", "--json"], foreign)
    assert any("größe" in record["metrics"] for record in json.loads(listed.stdout))


# --- names --------------------------------------------------------------------------------------


@pytest.fixture
def odd_folder(tmp_path):
    folder = tmp_path / "videos"
    (folder / "wave").mkdir(parents=True)
    for name in (f"{ODD}.mp4", "é.mp4"):
        try:
            (folder / "wave" / name).write_bytes(b"")
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
    return folder


MESSAGE = r"videos: 1 file name is not UTF-8: wave/caf\xe9.mp4; rename it"


def test_every_reader_of_folders_names_it(odd_folder, tmp_path):
    for read in (read_folder, lambda root: open_dataset("folder", root)):
        with pytest.raises(ValueError, match=re.escape(MESSAGE)):
            read(odd_folder)
    (odd_folder / "wave" / f"{ODD}.mp4").rename(odd_folder / "wave" / f"{ODD}.png")
    with pytest.raises(ValueError, match=r"not UTF-8: wave/caf\\xe9\.png"):
        read_images(odd_folder)


def test_a_folder_above_is_named_too(tmp_path):
    root = tmp_path / ODD
    (root / "wave").mkdir(parents=True)
    (root / "wave" / "a.mp4").write_bytes(b"")
    for dataset, options in (("folder", {}), ("kinetics", {"annotations": tmp_path})):
        with pytest.raises(ValueError, match=r"1 file name is not UTF-8: .*caf\\xe9"):
            open_dataset(dataset, root, **options)


@pytest.mark.parametrize("command", ["prepare", "flow"])
def test_commands_name_it_before_they_make_anything(odd_folder, tmp_path, capsys, command):
    made = tmp_path / "made"
    assert cli.main([command, str(odd_folder), str(made)]) == 1
    assert MESSAGE in capsys.readouterr().err
    assert not made.exists()


def test_a_parameter_that_is_such_a_name_stops_a_run_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path / "project"))
    with pytest.raises(ValueError, match=r"parameter dataset: .* not UTF-8: /x/caf\\xe9"):
        runs.execute("90_tiny", "papermill_runs/mini/x", {"dataset": f"/x/{ODD}"})
    assert not (tmp_path / "project" / "papermill_runs" / "mini").exists()


def test_names_under_another_locale_are_told_how_to_be_read(odd_folder):
    done = under_c_locale(["prepare", str(odd_folder), "made"], odd_folder.parent)
    assert done.returncode == 1
    assert rb"2 file names are not UTF-8: " in done.stderr
    assert b"names are taken for ascii here: set PYTHONUTF8=1, or rename them" in done.stderr


def test_many_are_counted():
    with pytest.raises(
        ValueError, match=r"x: 9 file names are not UTF-8: (\\xe9, ){3}\.\.\.; rename"
    ):
        require_utf8(["\udce9"] * 9 + ["fine"], "x")


def test_what_was_measured_is_written_whatever_a_name_is(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path / "project"))
    run = runs.Run("90_tiny", tmp_path / "mini" / "x", {"scale": "mini"}, tmp_path, True)
    run.log(step=1, video=ODD)
    run.finish({"loss": 1, ODD: 2}, seeds=[0], failed=[f"{ODD}.mp4"])
    [record] = runs.load_records(tmp_path / "records")
    assert record["failed"] == [f"{ODD}.mp4"]
    about = {"alt": ODD, "scale": "mini", "dataset": "x", "folder": tmp_path}
    save_figure(None, "rows", data=[{"video": ODD}], **about)
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == "video\ncaf\\udce9\n"
    write_atomic(tmp_path / "failures.txt", ODD)
    assert (tmp_path / "failures.txt").read_text(encoding="utf-8") == "caf\\udce9"


# --- whole files --------------------------------------------------------------------------------


def test_a_file_is_the_old_one_until_it_is_the_new_one(tmp_path):
    path = tmp_path / "below" / "x.json"
    write_atomic(path, "old")
    with pytest.raises(TypeError):
        write_atomic(path, b"no text")
    assert path.read_text(encoding="utf-8") == "old"
    write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "new"


WRITES = {
    "text": lambda path: write_atomic(path, "x" * 40_000),
    "arrays": lambda path: write_arrays(path, compressed=False, x=np.zeros(10_000)),
    "weights": lambda path: save_pretrained(nn.Linear(200, 200), path),
    "numbers": lambda path: log_into(path.parent, 40_000),
}


def log_into(folder, length):
    run = runs.records.Run("page", folder, {}, folder, True, "", False)
    run.log(step=1, words="x" * length)


@pytest.mark.parametrize("kind", WRITES)
def test_where_there_is_no_room_the_file_is_named(kind, tmp_path):
    path = tmp_path / ("metrics.jsonl" if kind == "numbers" else "file.npz")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="cannot be written") as caught:
            WRITES[kind](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.strerror == (
        f"{path} cannot be written (File too large): make room and start again; what was finished "
        "before is kept"
    )
    assert {each.name for each in tmp_path.iterdir()} <= {"metrics.jsonl"}


def test_other_errors_of_the_system_stay_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"), whole(tmp_path / "x"):
        (tmp_path / "gone").read_bytes()
    assert not list(tmp_path.iterdir())
