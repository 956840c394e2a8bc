"""Notebooks 30 to 34 at smoke scale."""

import pytest
from smoke import execute

from vidssl.data.synthetic import make_dataset
from vidssl.methods.semi_supervised import METHODS


@pytest.fixture(scope="module")
def cut_short(place):
    """A test video that cannot be read: one of eight, the second of its class."""
    path = sorted((place / "data/UCF-101/Striped").glob("v_Striped_g0*"))[1]
    path.write_bytes(path.read_bytes()[:400])
    return path.name


@pytest.mark.timeout(2400)  # thirteen pages, one after the other
def test_timebalance_from_teachers_to_tables(place, cut_short, pretended_gpu):
    """Three pretrained networks, their similarities, students and baselines, tables of it all; the
    unreadable video is named by every page, and in every denominator."""
    runs_of = {
        name: execute(
            "30_timebalance_teachers", place, f"timebalance_teacher-{name}-s0", objective=name
        )
        for name in ("invariant", "distinctive", "tclr")
    }
    assert runs_of["tclr"]["metrics"]["labelled"] == {"50": 8}
    home = place / "smoke"
    folders = {n: str(home / f"timebalance_teacher-{n}-s0") for n in ("invariant", "distinctive")}
    compared = execute("31_timebalance_similarity", place, "timebalance_similarity-s0", **folders)
    assert compared["metrics"]["videos"] == 23
    both = {**folders, "similarities": str(home / "timebalance_similarity-s0/similarities.npz")}
    weighed = execute("33_timebalance_weights", place, "timebalance_weights-f50-s0", **both)
    found = weighed["metrics"]
    assert found["test_videos"] == 8
    for name in ("oracle_accuracy", "s_accuracy", "frozen_distinctive_all_accuracy"):
        assert 8 * found[name] == pytest.approx(round(8 * found[name])), "a video was left out"
    halves = found["frozen_invariant_appearance_accuracy"], found["oracle_accuracy"]
    assert halves[0] in (0.0, 0.5), "its class has two test videos"
    assert halves[1] <= 7 / 8
    start = str(home / "timebalance_teacher-tclr-s0" / "backbone.pt")
    student = "timebalance_student-{}-f50-s0".format
    done = execute(
        "32_timebalance_student", place, student("timebalance"), pretrained=start, **both
    )
    assert (done["metrics"]["labelled"], done["metrics"]["unlabelled"]) == (8, 8)
    execute("32_timebalance_student", place, student("average"), blend="average", **folders)
    execute(
        "32_timebalance_student", place, student("supervised"), method="supervised", baselines=True
    )
    for done in (*runs_of.values(), compared, weighed):
        assert done["failed_count"] >= 1
        assert cut_short in done["failed"][0]
    for name in ("main", "ablation", "classwise", "length"):
        table = f"timebalance_{name}"
        execute("34_timebalance_tables", place, table, table=table)
        assert (place / "figures" / f"smoke_{table}.png").exists()
    main = (place / "figures" / "smoke_timebalance_main.csv").read_text().splitlines()
    rows = ["supervised", "TCLR", "invariant", "distinctive", "average", "TimeBalance"]
    for row in (*rows, "static frame"):
        assert any(line.startswith(f"timebalance_main,{row},50,top1_accuracy,") for line in main)
    assert any(",paper,ucf101,0.833" in line for line in main)
    classwise = (place / "figures" / "smoke_timebalance_classwise.csv").read_text()
    assert "Shuttle,50,accuracy_difference" in classwise
    assert '"f_D - f_I, ordered"' in classwise
    asked = execute("41_one_features", place, "one_features-tclr-s0", pretrained=start)
    found = asked["metrics"]
    for name in ("linear_probe_accuracy", "knn_accuracy", "recall_at_1"):
        assert 8 * found[name] == pytest.approx(round(8 * found[name])), "a video was left out"
    assert 0 < found["energy_chance"] < 1
    assert cut_short in asked["failed"][0]
    execute("40_one_protocol", place, "one_protocol")
    one = (place / "figures" / "smoke_one_protocol.csv").read_text().splitlines()
    for line in (
        "TimeBalance,50,chain_clips_seen",
        "TCLR,50,knn_accuracy",
        "TCLR,50,ordered_accuracy",
    ):
        assert any(row.startswith(f"one_protocol,{line},") for row in one), line
    length = (place / "figures" / "smoke_timebalance_length.csv").read_text()
    assert '"f_D - f_I, frozen, ordered",1,accuracy_difference' in length


@pytest.mark.parametrize("method", [name for name in METHODS if name != "supervised"])
def test_semi_supervised_baselines(place, method):
    done = execute("32_timebalance_student", place, f"baseline-{method}", method=method)
    assert 0 <= done["metrics"]["top1_accuracy"] <= 1


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Two training videos and a test video of each of four classes, under UCF101's names."""
    folder = tmp_path_factory.mktemp("official")
    return make_dataset(folder, scale="smoke", train=2, test=1, workers=1, progress=False)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_first_steps_at_the_papers_size(official, place):
    """Only the schedule is cut: networks, clips, lists and augmentations are as at paper scale."""
    given = {
        "root": str(official / "UCF-101"),
        "dataset_options": {"annotations": str(official / "ucfTrainTestlist")},
        "precision": "no",  # bf16 wants a GPU
        **{"num_workers": 0, "epochs": 1, "batch_size": 2, "test_clips": 1, "train_clips": 1},
    }
    few = {"batch_videos": 1, "tuning_epochs": 1, "fractions": [1.0], "validation": 0.5}
    trained = execute(
        "30_timebalance_teachers", place, "first-teacher", "paper", objective="tclr", **given, **few
    )
    asked = trained["parameters"]
    assert (asked["size"], asked["backbone"], asked["local_weight"]) == (112, "r3d_18_dilated", 2.5)
    assert trained["metrics"]["steps"] == 4
    student = execute(
        "32_timebalance_student", place, "first-student", "paper", method="fixmatch", fraction=0.5,
        pretrained=str(place / "smoke" / "first-teacher" / "backbone.pt"), **given,
    )  # fmt: skip
    assert student["metrics"]["steps"] == 2, "an epoch ends with the labelled videos"
