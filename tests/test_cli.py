import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from tiny_project import REPOSITORY, make_project

from vidssl import cli
from vidssl.data import read_frames, write_video
from vidssl.data.flow_files import read_flow
from vidssl.runs.doctor import Finding, normalised, read_constraints
from vidssl.runs.folds import Pooled, ahead_of, the_one_with


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = make_project(tmp_path / "project")
    monkeypatch.chdir(made)
    return made


def test_run_makes_a_target_reruns_what_changed_and_prints_where_it_is(project, capfd):
    assert cli.main(["run", "pair", "-j", "2"]) == 0
    told = capfd.readouterr().out
    assert "[first] seed 3 done" in told
    assert "papermill_runs/mini/second/90_tiny.ipynb" in told
    assert "figures:\n  figures/tiny.png" in told
    first, second = (
        json.loads((project / f"papermill_runs/records/mini-{name}.json").read_text())
        for name in ("first", "second")
    )
    assert (first["parameters"]["seed"], second["parameters"]["seed"]) == (3, 4)
    assert second["dirty"] is False, "figures and records are not code"

    (project / "papermill_runs" / "mini.yaml").write_text("targets: {pair: {seeds: [5]}}\n")
    cli.main(["run", "pair", "--dry-run"])
    told = capfd.readouterr().out
    assert "run_first" in told, "its seed changed"
    assert "run_second" in told, "what it follows changed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "pare"], "target='pare' is unknown; did you mean 'pair'?"),
        (["run", "pair", "--scale", "smok"], "scale='smok' is unknown; did you mean 'smoke'?"),
        (
            ["run", "pair", "-p", "sede", "1"],
            "no parameter 'sede'; did you mean 'seed'?",
        ),
        (["run", "pair", "-p", "sizes", "1"], "parameter sizes must be of type list"),
        (["execute", "90_tini", "x"], "did you mean '90_tiny'?"),
        (["data", "smok"], "did you mean 'smoke'?"),
        (["stills", "photos"], "did you mean 'photographs'?"),
        (["stills", "dead_leaves", "--count", "0"], "count must be at least 1, got 0"),
        (["trace", "none"], "no origin of figure none"),
        (["runs"], "run something first"),
        (["prepare", "nowhere", "copies"], "root='nowhere' is not a folder"),
        (["flow", "nowhere", "flow"], "root='nowhere' is not a folder"),
        (["flow", ".", "flow", "--method", "fats"], "did you mean 'fast'?"),
        (["flow", ".", "flow", "--shard", "3"], "shard='3' must be I/N, for example 3/8"),
    ],
)
def test_refusals_are_one_line_that_names_the_nearest(project, capsys, words, message):
    assert cli.main(words) == 1
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
    assert not (project / "papermill_runs" / "mini").exists()


def test_run_without_a_target_lists_them(capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert cli.main(["run"]) == 0
    told = capsys.readouterr().out
    assert all(target in told for target in ("demo", "mosi_lowshot", "reproduce"))


def test_a_fold_of_own_videos_is_the_methods_without_their_rivals(tmp_path, capfd):
    fold = ["--scale", "folds", "--runs-root", str(tmp_path), "--dry-run"]
    fold += ["-p", "dataset", "folder", "-p", "root", "/videos", "-p"]
    fold += ["dataset_options.test_groups", "['1']"]
    assert cli.main(["run", "motionfit_transfer", *fold]) == 0
    told = capfd.readouterr().out
    assert "run_motionfit_transfer_motionfit-s0" in told
    assert "mers" not in told


def test_students_begin_with_the_pretraining_of_their_backbone(tmp_path, capfd):
    def jobs(target):
        dry = ["--scale", "mini", "--runs-root", str(tmp_path), "--dry-run"]
        assert cli.main(["run", target, *dry]) == 0
        return capfd.readouterr().out.replace(",", " ").split()

    compared = jobs("motionfit_comparison")
    assert {"run_mosi_pretrain-dilated-s0", "run_mosi_pretrain-xy-s0"} <= set(compared)
    semi = jobs("motionfit_semi")
    assert "run_motionfit_transfer_mosi-share0.2-n0-t2400-s0" in semi  # what the student began as
    assert "run_mosi_pretrain-dilated-s0" not in semi


def leave_fold(root, groups, accuracy, videos, **others):
    """Leave the record of one run that held out the ``groups``, a letter each; ``others`` are
    further accuracies."""
    (root / "records").mkdir(parents=True)
    parameters = {"dataset_options": {"test_groups": [*groups]}}
    if root.name == "1":  # as older records have it
        parameters = parameters["dataset_options"]
    record = {"run": "mini-a-s0", "parameters": parameters, "failed": []}
    record["metrics"] = {"top1_accuracy": accuracy, "loss": 0.1, "test_videos": videos, **others}
    (root / "records" / "mini-a-s0.json").write_text(json.dumps(record))
    return str(root)


def test_pool_counts_each_test_video_of_the_folds_once(tmp_path, capsys):
    folds = [
        leave_fold(tmp_path / "1", "1", 0.333333, 3),
        leave_fold(tmp_path / "2", "2", 1.0, 9),
    ]
    assert cli.main(["pool", *folds]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == ["mini-a-s0", "top1_accuracy", "83.3%"]
    assert line.endswith("10 of 12 videos, 2 folds")
    assert "[55.2%, 95.3%]" in line


def test_pool_says_how_far_rows_are_ahead_of_another_on_the_same_videos(tmp_path, capsys):
    by_hand = [(3, 4, 2), (4, 4, 3), (2, 4, 2)]  # differences of 1, 1 and 0 of 4 videos
    folds = [
        leave_fold(tmp_path / str(i), str(i), told / of, of, pixels_top1_accuracy=others / of)
        for i, (told, of, others) in enumerate(by_hand)
    ]
    assert cli.main(["pool", *folds, "--against", "pixels"]) == 0
    pixels, row, note = capsys.readouterr().out.splitlines()
    assert row.split()[1:3] == ["top1_accuracy", "75.0%"]
    assert "ahead" not in pixels
    assert row.endswith("ahead by +16.7 ± 35.9, p 0.500")  # t(0.975, 2) * 14.43 / sqrt(3)
    assert "points before mini-a-s0 pixels_top1_accuracy" in note


def test_a_video_counts_once_however_large_its_fold_is():
    row, other = (
        Pooled("a", metric, {"1": (one, 2), "2": (two, 18)})
        for metric, one, two in [("x", 2, 9), ("y", 0, 9)]
    )
    ahead = ahead_of(row, other)
    assert ahead.mean == pytest.approx(2 / 20)
    assert ahead.ci95 == pytest.approx(12.7062 * (2 - 0.2) * 2 / 20, rel=1e-4)
    assert ahead_of(row, Pooled("a", "z", {"3": (1, 2)})) is None


def test_one_fold_says_how_far_but_not_how_surely(tmp_path, capsys):
    fold = leave_fold(tmp_path / "1", "1", 0.5, 4, pixels_top1_accuracy=0.25)
    assert cli.main(["pool", fold, "--against", "pixels"]) == 0
    assert "ahead by +25.0 (one value, no interval), p 1.000" in capsys.readouterr().out


def test_four_videos_of_sixty_are_no_lead_whatever_the_interval_says():
    """Ahead in four folds by one of six videos, level in six: 2 of 2**4 signs are as far apart."""
    row = Pooled("a", "x", {str(i): (6 if i < 4 else 5, 6) for i in range(10)})
    other = Pooled("a", "y", {str(i): (5, 6) for i in range(10)})
    ahead = ahead_of(row, other)
    assert ahead.mean == pytest.approx(4 / 60)
    assert ahead.mean > ahead.ci95
    assert ahead.p == pytest.approx(2 / 2**4)
    assert ahead_of(other, row).p == pytest.approx(2 / 2**4)


@pytest.mark.parametrize(("text", "said"), [("nobody", "no row has it"), ("mini", "2 rows")])
def test_a_row_to_compare_with_must_be_one(tmp_path, capsys, text, said):
    fold = leave_fold(tmp_path / "1", "1", 0.5, 4, pixels_top1_accuracy=0.25)
    assert cli.main(["pool", fold, "--against", text]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "mini-a-s0 pixels_top1_accuracy" in told


def test_a_whole_name_is_that_row_and_no_longer_one():
    rows = [Pooled("mini-a-s0", f"{start}top1_accuracy", {"1": (1, 2)}) for start in ("mosi_", "")]
    assert the_one_with(rows, "top1_accuracy") is rows[1]
    assert the_one_with(rows, "mosi") is rows[0]


def test_pool_of_one_fold_and_of_no_folder(tmp_path, capsys):
    assert cli.main(["pool", leave_fold(tmp_path / "1", "1", 0.5, 4)]) == 0
    assert capsys.readouterr().out.strip().endswith("2 of 4 videos, 1 fold")
    assert cli.main(["pool", ""]) == 1
    assert "roots holds an empty text: name each fold's folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (("1", "1"), "both hold out the test group '1'"),
        (("12", "23"), "both hold out the test group '2'"),
        (("", ""), "names no test groups"),
        (("1", ""), "names no test groups"),
    ],
)
def test_folds_that_may_test_a_video_twice_are_refused(tmp_path, capsys, groups, reason):
    folds = [leave_fold(tmp_path / str(i), held, 0.5, 4) for i, held in enumerate(groups, 2)]
    assert cli.main(["pool", *folds]) == 1
    assert reason in capsys.readouterr().err


def test_stills_fill_a_folder_and_mark_it(project, capsys):
    assert cli.main(["stills", "dead_leaves", "--count", "2"]) == 0
    folder = project / "papermill_runs" / "data" / "stills-dead_leaves-2"
    assert capsys.readouterr().out == f"{folder}\n"
    assert sorted(path.name for path in folder.glob("*.png")) == ["00000.png", "00001.png"]
    assert (folder / ".made").exists()


def test_prepare_copies_and_fails_where_a_video_has_no_copy(tmp_path, capsys):
    root, folder = tmp_path / "videos", tmp_path / "copies"
    write_video(root / "wave" / "a.mp4", np.zeros((4, 48, 64, 3), np.uint8))
    words = ["prepare", str(root), str(folder), "--short-side", "32", "-j", "1"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"{folder}: 1 videos, 1 copied, 0 kept\n"
    assert read_frames(folder / "wave" / "a.mp4", [3]).shape == (1, 32, 42, 3)
    (root / "wave" / "b.mp4").write_bytes(b"")
    assert cli.main(words) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{folder}: 2 videos, 0 copied, 1 kept"
    assert told[1] == f"1 failed and have no copy; all are listed in {folder / 'failures.txt'}:"
    assert told[2].startswith("  wave/b.mp4: the file is empty")


def test_flow_extracts_a_shard(tmp_path, capsys):
    for name in "abc":
        write_video(tmp_path / f"in/{name}.mp4", np.zeros((3, 48, 64, 3), np.uint8))
    words = ["flow", str(tmp_path / "in"), str(tmp_path / "out"), "--method", "torch", "-j", "1"]
    assert cli.main([*words, "--short-side", "24", "--shard", "2/2"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}: 1 videos, 1 extracted, 0 kept\n"
    assert read_flow(tmp_path / "out" / "b.mp4.npz").shape == (2, 24, 32, 2)


def test_pair_writes_what_changed_once(project, capsys):
    assert cli.main(["pair"]) == 0
    assert capsys.readouterr().out == "wrote 90_tiny.ipynb\n"
    cli.main(["pair"])
    assert capsys.readouterr().out == "all pairs agree\n"


def test_doctor_names_trouble_and_says_what_to_do(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    cli.main(["doctor"])
    told = capsys.readouterr().out
    for name in ("Python", "packages", "video decoder", "memory", "free disk", "GPU"):
        assert f" {name}: " in told
    trouble = Finding("free disk", "1.0 GB", False, "free 5 GB")
    assert str(trouble) == "TROUBLE  free disk: 1.0 GB\n         free 5 GB"


def test_doctor_fails_where_a_package_is_missing(project, capsys):
    (project / "constraints.txt").write_text("numpy==0.0.1\nnot-there==1.0\n")
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["not-there>=1"]\n')
    assert cli.main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "instead of 0.0.1" in told
    assert "TROUBLE  missing packages: not-there" in told


@pytest.mark.parametrize("text", [None, "[project", "[project]\n", "[project]\ndependencies = 3\n"])
def test_doctor_goes_on_where_pyproject_does_not_say_what_is_needed(text, project, capsys):
    (project / "constraints.txt").write_text("not-there==1.0\n")
    if text is not None:
        (project / "pyproject.toml").write_text(text)
    assert cli.main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "TROUBLE  pyproject.toml: does not say what vidssl needs (" in told
    assert f"restore {project / 'pyproject.toml'}" in told
    assert " papermill_runs/: " in told, "what else there is to find is found"


def test_constraints_are_read_with_names_in_one_spelling(tmp_path):
    path = tmp_path / "constraints.txt"
    path.write_text("# a==1\nPy_YAML.x==6.0 ; python_version < '4'\n\n")
    assert read_constraints(path) == {"py-yaml-x": "6.0"}
    assert normalised("A__b") == "a-b"


# --- words and help ------------------------------------------------------------------------------


def commands():
    """The names of all commands, as `vidssl --help` lists them."""
    shown = cli._parser().format_help().partition("COMMAND\n")[2].partition("\n\n")[0]
    return re.findall(r"^    (\w+) ", shown, re.MULTILINE)


def help_of(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        cli.main([*([command] if command else []), "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_help_has_one_line_a_command(monkeypatch, capsys):
    told = help_of("", monkeypatch, capsys)
    lines = told.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    assert len(lines) == len(commands()) == 12
    assert all(re.fullmatch(r"    \w+ +\w.{10,}", line) for line in lines)


@pytest.mark.parametrize("command", commands())
def test_each_command_s_help_explains_every_word_and_its_default(command, monkeypatch, capsys):
    told = help_of(command, monkeypatch, capsys)
    [parsers] = [a for a in cli._parser()._actions if hasattr(a, "choices") and a.choices]
    for action in parsers.choices[command]._actions:
        name = max(action.option_strings or [action.dest], key=len)
        assert name in told
        if isinstance(action.default, int) and not isinstance(action.default, bool):
            assert f"default {action.default}" in action.help, name
        assert action.help, f"{command} {name}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "vidssl: argument COMMAND: 'rnu' is unknown; did you mean 'run'?"),
        (["run", "demo", "--sclae", "mini"], "vidssl run: --sclae is unknown; did you mean"),
        (["run", "demo", "--scael=mini"], "--scael is unknown; did you mean '--scale'?"),
        (["prepare", "a", "b", "--short_side", "8"], "did you mean '--short-side'?"),
        (["data", "--data-seed", "x"], "argument --data-seed: invalid int value: 'x'"),
        (["trace", "a", "b"], "vidssl trace: 'b': one word too many"),
        (["trace"], "vidssl trace: the following arguments are required: figure"),
        ([], "vidssl: the following arguments are required: COMMAND"),
    ],
)
def test_a_mistyped_command_or_option_is_one_line_with_the_nearest(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1


# --- readers that leave --------------------------------------------------------------------------


def until_reader_leaves(words, folder):
    """(exit status, standard error) of a command whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "vidssl.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": ""},
        stdout=writing,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "words",
    ["--help", "run", "runs", "runs --all", "runs --json", "trace mosi_lowshot"],
)
def test_a_command_ends_quietly_where_nobody_reads_on(words):
    assert until_reader_leaves(words.split(), REPOSITORY) == (141, "")


def test_a_run_goes_on_where_nobody_reads_on(project):
    words = ["execute", "90_tiny", "papermill_runs/mini/x"]
    assert until_reader_leaves(words, project) == (0, "")
    assert json.loads((project / "papermill_runs/mini/x/run.json").read_text())["run"] == "mini-x"


def test_a_dry_run_ends_quietly_where_nobody_reads_on(project):
    status, told = until_reader_leaves(["run", "pair", "--dry-run"], project)
    assert (status, "Traceback" in told) == (0, False)
