"""Every printed number has an answer, and every command in it makes what it stands beside."""

import json
import shlex
import shutil
from functools import cache

import pytest
from tiny_project import REPOSITORY, make_project

from vidssl import cli
from vidssl.models import build
from vidssl.runs import tables
from vidssl.runs.claims import (
    NO_TARGET,
    OTHER_METHOD,
    SHOWN,
    Place,
    _cells,
    _ours,
    _where_measured,
    claims,
)
from vidssl.runs.graph import load

OWN = ("MoSI", "MotionFit", "TimeBalance")
TOLD = {
    OTHER_METHOD,
    "needs a network trained on ImageNet's labels: not run here",
    "no SlowFast here; FixMatch on the students' network: timebalance_main",
    "3DRotNet on R3D-18 with 64 frames; here on MoSI's network: mosi_comparison",
}


@cache
def found(scale="mini"):
    return claims(scale, project=REPOSITORY)


def asked():
    """(target, scale) -> the claims that it answers."""
    by_command = {}
    for claim in found():
        if claim.answer.startswith("vidssl run "):
            by_command.setdefault(tuple(shlex.split(claim.answer)[2::2]), []).append(claim)
    return by_command


def ours(key, row, column, metric="top1_accuracy"):
    """What stands beside a printed number, of whichever data set."""
    told = {
        claim.ours
        for claim in found()
        if (claim.key, *claim.place[1:]) == (key, row, column, metric)
    }
    assert len(told) == 1
    return told.pop()


def recorded(table, row, column, metric="top1_accuracy"):
    """What the records of one table say."""
    question = load("mini", project=REPOSITORY).question(table)
    home = REPOSITORY / "papermill_runs" / "records"
    results = tables.Results(question, tables.records_of(question, home))
    [told] = [
        tables.readable(r).replace("\xa0", " ")
        for r in results.rows
        if (r["row"], str(r["column"]), r["metric"]) == (row, column, metric) and r["seeds"]
    ]
    return told


def test_no_printed_number_is_left_out():
    printed = [row for key in tables.papers() for row in tables.printed_rows(key)]
    assert [claim.printed for claim in found()] == [row["paper"] for row in printed]
    assert all(claim.source for claim in found())


def test_each_has_a_command_or_a_reason():
    answers = {claim.answer for claim in found() if not claim.answer.startswith("vidssl run ")}
    assert answers == TOLD, f"{NO_TARGET}: a hole in the parameter files"


def test_the_methods_of_the_papers_are_never_only_quoted():
    own = [claim for claim in found() if claim.place.row.startswith(OWN)]
    assert all(claim.answer.startswith("vidssl run ") for claim in own)
    for method in OWN:
        assert any(claim.ours for claim in own if claim.place.row == method)


def test_what_no_line_or_column_is_called_is_not_renamed():
    """A mistyped name under `ours` or `unanswered` would answer nothing, in silence."""
    names = {name for claim in found() for name in (claim.place.row, claim.place.column)}
    for entry in tables.papers().values():
        assert {*entry.get("ours", {}), *entry.get("unanswered", {})} <= names


def test_every_command_makes_the_cell_that_it_stands_beside():
    assert len(asked()) > 15
    for scale in sorted({scale for _, scale in asked()}):
        graph = load(scale, {}, REPOSITORY)
        cells = {(at, table): tables.ran_with(told) for at, table, told in _cells(graph)}
        for (target, at), claimed in asked().items():
            if at == scale:
                assert graph.behind(target), f"{target} at {scale}"
                for claim in claimed:
                    key = tables.paper(claim.key).get("as_in", {}).get(claim.place.row, claim.key)
                    assert key in graph.question(target).printed
                    assert cells[(key, claim.here), target] == claim.ran_with, claim


def test_every_command_is_taken_as_it_is_typed(capfd):
    """By the engine, too, which says what it would run."""
    usual = load("mini", project=REPOSITORY).targets
    typed = [at for at in asked() if at[0] not in usual]  # those that a scale's data sets add
    assert len(typed) > 2
    for target, scale in typed:
        assert cli.main(["run", target, "--scale", scale, "-n"]) == 0
        assert f"run_{target}" in capfd.readouterr().out


def test_a_gain_that_is_no_cell_is_found():
    key, printed = "motionfit_heads", "next and previous"
    [claim] = [c for c in found() if (c.key, c.place.row) == (key, printed)]
    at = _where_measured(key, claim.place, claim.here)
    question = load("mini", project=REPOSITORY).question("motionfit_order")
    assert at.row in {claimed.name for claimed in question.claims}
    assert (at.column, at.metric) == ("", "accuracy_difference")


@pytest.mark.parametrize(
    ("key", "row", "column", "table"),
    [
        ("mosi_speeds", "MoSI", "5", "mosi_speeds"),  # not of 5 videos a class
        ("mosi_lowshot", "MoSI", "5", "mosi_lowshot"),  # nor these of 5 speeds
        ("motionfit_cliplength_scratch", "scratch", "16", "motionfit_cliplength"),
        ("timebalance_ucf101", "TimeBalance", "5", "timebalance_main"),  # with most seeds
    ],
)
def test_equal_columns_of_two_tables_stay_apart(key, row, column, table):
    assert ours(key, row, column) == recorded(table, row, column)


@pytest.mark.parametrize("column", ["3", "7", "9", "11"])
def test_what_no_table_of_that_question_has_is_empty(column):
    assert ours("mosi_lowshot", "MoSI", column) == ""


@pytest.mark.parametrize(
    ("key", "row", "dataset", "answer"),
    [
        ("mosi_baseline", "one axis", "hmdb51", "mosi_baseline --scale paper-hmdb51"),
        ("mosi_baseline", "one axis", "ucf101", "mosi_baseline --scale paper"),
        ("motionfit_cliplength_deviation", "MotionFit", "hmdb51",
         "motionfit_cliplength_hmdb51 --scale paper-motionfit"),
        ("mosi_comparison", "MoSI, R(2+1)D", "ucf101", "mosi_comparison --scale paper"),
        ("mosi_comparison", "3D-RotNet", "hmdb51", "mosi_comparison --scale paper-hmdb51"),
        # the page took its two numbers from MotionFit's table 8
        ("timebalance_ucf101", "MotionFit", "ucf101", "motionfit_semi --scale paper-motionfit"),
        ("motionfit_retrieval", "MotionFit, s3dg (clip)", "ucf101",
         "motionfit_retrieval --scale paper-motionfit"),
        ("motionfit_transfer", "supervised on the source", "ucf101",
         "motionfit_transfer --scale paper-motionfit"),
        ("motionfit_comparison", "MotionFit (32 f.)", "hmdb51",
         "motionfit_comparison_hmdb51 --scale paper-motionfit"),
    ],
)  # fmt: skip
def test_lines_that_our_tables_call_otherwise(key, row, dataset, answer):
    at = (key, dataset, row)
    assert {c.answer for c in found() if (c.key, *c.place[:2]) == at} == {f"vidssl run {answer}"}


def test_a_deviation_has_ours_of_its_own_kind():
    at = "MotionFit", "16"
    deviation = ours("motionfit_cliplength_deviation", *at, "top1_accuracy_deviation")
    assert "±" not in deviation
    assert float(deviation.split()[0]) < float(ours("motionfit_cliplength", *at).split()[0])


def test_numbers_of_printed_data_stand_beside_no_other_data():
    here = Place("ucf101", "MoSI", "5", "top1_accuracy")
    measured = {("mosi_speeds", here): "71.0 (1)"}
    assert _ours(measured, "mosi_speeds", here) == "71.0 (1)"
    assert _ours(measured, "mosi_speeds", here._replace(dataset="hmdb51")) == ""
    assert _ours(measured, "mosi_lowshot", here) == ""
    embedded = {("mosi_speeds", here._replace(dataset="")): "53.3 (3)"}
    assert _ours(embedded, "mosi_speeds", here._replace(dataset="hmdb51")) == "53.3 (3)"


def test_a_papers_scale_has_no_number_yet_and_the_same_answers():
    """Another paper's tables are passed over, not refused."""
    for scale in ("paper-motionfit", "paper-imagenet"):
        assert [c.answer for c in found(scale)] == [c.answer for c in found()]
        assert not any(c.ours for c in found(scale))


COLUMNS = {  # by the key of an entry: a line, what is printed beside it, what ours runs with
    ("timebalance_ucf101", "S4L"): (
        {"backbone": "3D-ResNet18", "params (M)": "13.5", "input": "V", "frames": "16"},
        {"backbone": "r3d_18_dilated", "input": "V", "frames": 8, "pixels": 112},
    ),
    ("timebalance_kinetics", "TimeBalance, R3D-50"): (
        {"backbone": "3D-ResNet50", "params (M)": "31.8", "input": "V", "frames": "8"},
        {"backbone": "slow_r50", "input": "V", "frames": 8, "pixels": 224},
    ),
    ("timebalance_hmdb51", "MvPL"): (
        {"backbone": "3D-ResNet18", "params (M)": "13.5", "input": "VFG", "frames": "8"},
        {},
    ),
    ("motionfit_comparison", "MotionFit (s3dg)"): (
        {"backbone": "S3D-G", "frames": "64", "pixels": "224", "input": "V"},
        {"backbone": "s3dg", "input": "V", "frames": 64, "pixels": 224},
    ),
    ("motionfit_transfer", "MARS"): (
        {"backbone": "R(2+1)D-18", "frames": "16", "pixels": "112", "additional labels": "-",
         "note": "†: as MotionFit's authors implemented it"},
        {"backbone": "r2plus1d_18", "input": "V", "frames": 16, "pixels": 112},
    ),
    ("motionfit_semi", "Jing"): ({"note": "‡: further labels pretrain a 2D network"}, {}),
    ("mosi_comparison", "VCP"): ({"backbone": "C3D", "pretrained on": "UCF/HMDB"}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("key", "row"), COLUMNS)
def test_what_is_printed_beside_a_number_and_what_ours_runs_with(key, row):
    lines = [claim for claim in found() if (claim.key, claim.place.row) == (key, row)]
    assert lines
    assert all((claim.about, claim.ran_with) == COLUMNS[key, row] for claim in lines)


NETWORKS = {  # as papers call them -> as they are called here
    "R-2D3D": "r2d3d_18",
    "R(2+1)D": "r2plus1d_10",
    "R(2+1)D-18": "r2plus1d_18",
    "S3D-G": "s3dg",
    "3D-ResNet18": "r3d_18_dilated",
    "3D-ResNet50": "slow_r50",
}
OTHERWISE = {  # row -> what is printed beside it and runs otherwise here, and how
    "3D-RotNet": {"backbone": ("R3D", "r2d3d_18")},  # on MoSI's own network
    "MotionFit": {
        "backbone": ("3D-ResNet18", "r3d_18"),
        "input": ("VF", "V"),
    },  # flow teaches alone
    **{row: {"frames": ("16", 8)} for row in ("Pseudo-Label", "Mean Teacher", "S4L", "3DRotNet")},
    "TCLR": {"frames": ("16", 8)},  # rivals see the student's clips
}


def test_every_command_runs_with_what_is_printed_beside_its_number_or_is_told_apart():
    seen = {}
    for claim in (c for c in found() if c.ran_with):
        for name, ours in claim.ran_with.items():
            told = claim.about.get(name)
            if told is not None and NETWORKS.get(told, told) != str(ours):
                seen.setdefault(claim.place.row, {})[name] = told, ours
    assert seen == OTHERWISE


def test_a_motion_model_sees_flow():
    [line] = [c for c in found() if (c.key, c.place.row) == ("motionfit_lambda_one", "motion")]
    assert line.ran_with["input"] == "F"


def test_the_86_point_3_says_which_classes_are_left_out_here():
    [line] = [c for c in found() if c.key == "motionfit_common_classes"]
    listed = (REPOSITORY / "papermill_runs/kinetics400_in_ucf101.txt").read_text().splitlines()
    named = [name for name in listed if name and not name.startswith("#")]
    assert f"here it is the {len(named)} of Kinetics" in line.about["note"]


def test_commands_beside_figures_and_sentences_make_something():
    commands = [shlex.split(told) for told in SHOWN.values() if told.startswith("vidssl run ")]
    for scale in sorted({words[-1] for words in commands}):
        graph = load(scale, {}, REPOSITORY)
        for words in (words for words in commands if words[-1] == scale):
            assert words[:2] + words[3:] == ["vidssl", "run", "--scale", scale]
            assert graph.behind(words[2])
    reasons = {what for what, told in SHOWN.items() if not told.startswith("vidssl run ")}
    assert reasons == {
        "MoSI, gains in brackets and rows of differences",
        "MotionFit, gains in the abstract and in section 4.5",
        "MotionFit, supplement: further analysis",
        "MotionFit, 5.7 % ahead of Jing with half the labels",
        "MotionFit, clips and segments up to 2.5 % ahead of videos",
        "MotionFit, 80.3 for clips in table 2",
        "MoSI, side of the mask",
        "MoSI, 46.9 and 47.0; 97.7 and 97.8",
        "TimeBalance, 13.5 M parameters",
        "TimeBalance, 31.8 M parameters",
        "TimeBalance, 33.3 M and 60 M parameters",
        "TimeBalance, ablations",
    }
    assert "timebalance_ablation" in load("mini", project=REPOSITORY).targets
    assert {what.partition(",")[0] for what in SHOWN} == set(OWN)


def test_a_paper_scale_of_one_s_own_that_cannot_be_is_named(tmp_path):
    project = make_project(tmp_path / "project")
    for name in ("notebooks", "papermill_runs"):
        shutil.rmtree(project / name, ignore_errors=True)
        shutil.copytree(REPOSITORY / name, project / name, ignore=shutil.ignore_patterns("records"))
    mine = project / "papermill_runs" / "paper-mine.yaml"
    mine.write_text("targets: {timebalance_main: {percents: ['x']}}\n")
    with pytest.raises(ValueError, match=r"papermill_runs/paper-mine\.yaml: .*'x' is no share"):
        claims("mini", project=project)


def test_the_printed_parameters_of_3d_resnet50_are_those_of_our_network():
    count = sum(p.numel() for p in build("slow_r50", num_classes=101).parameters())
    assert round(count / 1e6, 1) == 31.8


def test_the_network_of_imagenet_is_looked_at_on_videos_of_hmdb51():
    graph = load("paper-imagenet", {}, REPOSITORY)
    told = {job.name: json.loads(job.params) for job in graph.behind("mosi_attention")}
    assert told["mosi_pretrain-xy-s0"]["root"] == "data/imagenet/train"
    looked = told["mosi_gradcam-s0"]
    assert (looked["dataset"], looked["root"]) == ("hmdb51", "data/hmdb51/videos")
    labelled = told["supervised-nall-s0"]
    assert labelled["dataset"] == "hmdb51", "whose classes are named after the videos looked at"
