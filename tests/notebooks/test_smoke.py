"""Every notebook at smoke scale: papermill injects the parameters, nbval executes every cell.

The checks of what a notebook shows are asserts in its own cells.
"""

import json
import subprocess
import sys

import pytest
from PIL import Image

from vidssl import models, runs
from vidssl.data import synthetic
from vidssl.models.pretrained import save_pretrained

NOTEBOOKS = runs.find_project() / "notebooks"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of runs of its own, with the smoke data."""
    root = tmp_path_factory.mktemp("runs")
    numbers = runs.scale_file("smoke").get("data", {})
    synthetic.make_dataset(
        root / "data", **{"scale": "smoke", **numbers}, workers=1, progress=False
    )
    return root


def execute(notebook, place, name, **parameters):
    """Run a notebook under nbval; its folder is ``<place>/smoke/<name>``."""
    import papermill

    declared = runs.declared_parameters(NOTEBOOKS / f"{notebook}.py")
    parameters["run_folder"] = str(place / "smoke" / name)
    if "root" in declared:
        parameters.setdefault("root", str(place / "data"))
    prepared = place / f"{name}.ipynb"
    papermill.execute_notebook(
        str(NOTEBOOKS / f"{notebook}.ipynb"),
        str(prepared),
        parameters=runs.parameters_for(notebook, "smoke", parameters),
        kernel_name="python3",
        prepare_only=True,
        progress_bar=False,
    )
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [*command, "--nbval-cell-timeout=300", prepared.name],
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return json.loads((place / "smoke" / name / "run.json").read_text())


def test_start_here(place):
    (place / "records").mkdir(exist_ok=True)
    execute("00_start_here", place, "start_here")


def test_data_and_clips(place):
    execute("01_data_and_clips", place, "data_and_clips")


def test_supervised_baseline(place):
    done = execute("02_supervised_baseline", place, "supervised-n3-s0", videos_per_class=3)
    assert done["metrics"]["labelled"] == 12
    assert {"linear_probe_top1_accuracy", "nearest_neighbours_top1_accuracy"} <= set(
        done["metrics"]
    )
    figures = place / "smoke" / "supervised-n3-s0"
    assert (figures / "supervised_confusion.png").exists()
    assert len((figures / "supervised_per_class.csv").read_text().splitlines()) == 1 + 4


def test_pseudo_motion(place):
    done = execute("10_mosi_pseudo_motion", place, "pseudo_motion")
    assert done["metrics"]["labels"] == 9
    assert (place / "figures" / "smoke_mosi_pseudo_motion.png").exists()


def test_optical_flow(place):
    done = execute("20_motionfit_flow", place, "motionfit_flow")
    assert done["metrics"]["fast_end_point_error"] > 0
    assert (place / "figures" / "smoke_motionfit_flow.png").exists()


def test_pretrain_transfer_and_table(place):
    """Weights, transfers with them and without, and the table of these records."""
    pretrained = execute("11_mosi_pretrain", place, "mosi_pretrain-xy-s0")
    assert pretrained["status"] == "finished"
    weights = place / "smoke" / "mosi_pretrain-xy-s0" / "backbone.pt"
    asked = {"pretrained": str(weights), "videos_per_class": 2}
    twins = execute("12_mosi_transfer", place, "twins", **asked)
    assert twins["metrics"]["test_videos"] == 8
    for start, name in {"scratch": "scratch", "xy": "mosi"}.items():
        execute("12_mosi_transfer", place, f"mosi_transfer-{start}-n2-s0", **asked,
                initialisations=[name])  # fmt: skip
    execute("15_mosi_tables", place, "mosi_lowshot", records=str(place / "records"), data_seed=0)
    table = (place / "figures" / "smoke_mosi_lowshot.csv").read_text().splitlines()
    assert table[0] == "table,row,column,metric,mean,ci95,seeds,scale,dataset,paper"
    for row in ("scratch", "MoSI", "static frame", "chance"):
        assert any(line.startswith(f"mosi_lowshot,{row},2,top1_accuracy,") for line in table)


def test_a_label_list_frozen_stages_and_validation_groups(place, tmp_path):
    lines = (place / "data" / "ucfTrainTestlist" / "trainlist01.txt").read_text().splitlines()
    named = [line.split()[0].removesuffix(".mp4") for line in lines]
    labels = [int(line.split()[1]) - 1 for line in lines]
    chosen = [f"{video} 16 {label}" for video, label in zip(named, labels)][::2]
    (tmp_path / "half.txt").write_text("\n".join(chosen))
    done = execute(
        "12_mosi_transfer",
        place,
        "from_list",
        initialisations=["scratch"],
        label_list=str(tmp_path / "half.txt"),
        videos_per_class=0,
        frozen_stages=["stem", "conv2"],
    )
    assert done["metrics"]["labelled"] == len(chosen)
    held_out = execute(
        "02_supervised_baseline", place, "on_validation", validation=0.3, videos_per_class=0
    )
    assert held_out["metrics"]["labelled"] + held_out["metrics"]["test_videos"] == len(lines)
    assert held_out["data_hash"] != done["data_hash"]


@pytest.fixture(scope="module")
def untrained(place):
    """A network as `11_mosi_pretrain` leaves it, but for its training."""
    about = {"backbone": "r2plus1d_10", "width": 0.25, "dataset": "none", "seed": 0}
    return str(
        save_pretrained(
            models.build("r2plus1d_10", num_classes=9, width=0.25), place / "a.pt", **about
        )
    )


def test_gradcam_and_clusters(place, untrained):
    looked = execute(
        "13_mosi_gradcam",
        place,
        "gradcam",
        mosi_weights=untrained,
        supervised_weights=untrained,
    )
    metrics = looked["metrics"]
    for role in ("mosi", "supervised", "scratch", "chance"):
        assert 0 < metrics[f"{role}_energy_inside_score"] < 1
        assert 0 <= metrics[f"{role}_pointing_game_accuracy"] <= 1
    assert not any(name.startswith("mosi_unmasked") for name in metrics)
    figures = place / "figures"
    for name in ("gradcam", "failures", "attention_energy", "attention_pointing", "pan"):
        assert (figures / f"smoke_mosi_{name}.png").exists()
    scores = (place / "smoke" / "gradcam" / "attention_per_video.csv").read_text()
    assert len(scores.splitlines()) == 1 + metrics["videos"]
    grouped = execute("14_mosi_clusters", place, "clusters", pretrained=untrained)
    assert 0 <= grouped["metrics"]["mosi_unmasked_class_nmi_score"] <= 1
    assert len((figures / "smoke_mosi_clusters.csv").read_text().splitlines()) == 1 + 8


def test_gradcam_and_clusters_of_ones_own_videos(place, untrained, moving_videos):
    """No truth is known: pictures, and nothing that would need it."""
    own = {"dataset": "folder", "root": str(moving_videos), "publish": False, "frame_stride": 2}
    looked = execute("13_mosi_gradcam", place, "own_gradcam", mosi_weights=untrained, **own)
    assert "mosi_energy_inside_score" not in looked["metrics"]
    assert (place / "smoke" / "own_gradcam" / "mosi_gradcam.png").exists()
    grouped = execute("14_mosi_clusters", place, "own_clusters", pretrained=untrained, **own)
    assert "scratch_class_purity_score" in grouped["metrics"]
    assert "scratch_motion_purity_score" not in grouped["metrics"]


def test_motionfit_from_flow_to_tables(place):
    """Motion model, pseudo-labels, student, transfer, and two tables of their records."""
    made = place / "smoke"
    model = execute("21_motionfit_motion_model", place, "motionfit_motion_model-s0")
    assert model["metrics"]["test_videos"] == 8
    labels = execute(
        "22_motionfit_pseudo_labels",
        place,
        "motionfit_labels_motion-s0",
        motion_model=str(made / "motionfit_motion_model-s0" / "motion_model.pt"),
    )
    assert labels["metrics"]["clusters"] == 6
    assert 0 <= labels["metrics"]["boundary_recall"] <= 1
    assert (made / "motionfit_labels_motion-s0" / "motionfit_tsne.png").exists()
    clusters = made / "motionfit_labels_motion-s0"
    student = execute(
        "23_motionfit_self_training",
        place,
        "motionfit_student_motion-s0",
        pseudo_labels=str(clusters / "pseudo_labels.npz"),
    )
    assert student["metrics"]["without_target"] == 0
    transfer = execute(
        "24_motionfit_transfer",
        place,
        "motionfit_transfer_motionfit-s0",
        initialisations=["scratch", "motionfit", "mars"],
        pretrained={"motionfit": str(made / "motionfit_student_motion-s0" / "backbone.pt")},
        teacher_features=str(clusters / "features.npz"),
        motion_predictions=str(made / "motionfit_motion_model-s0" / "predictions.npz"),
    )
    assert transfer["metrics"]["test_videos"] == 8
    assert 0 <= transfer["metrics"]["motionfit_clip_recall_at_5"] <= 1
    for table in ("motionfit_transfer", "motionfit_retrieval"):
        execute(
            "25_motionfit_tables",
            place,
            table,
            table=table,
            records=str(place / "records"),
            data_seed=0,
        )
        lines = (place / "figures" / f"smoke_{table}.csv").read_text().splitlines()
        assert lines[0] == "table,row,column,metric,mean,ci95,seeds,scale,dataset,paper"
        assert any(line.startswith(f"{table},motionfit") for line in lines)


def test_motionfits_baselines_without_flow(place):
    """Appearance, clip order alone, and matched features (MERS) are parameters, not notebooks."""
    made = place / "smoke"
    rgb = {"modality": "rgb"}
    model = execute(
        "21_motionfit_motion_model", place, "motionfit_appearance_model-s0", **rgb, baselines=True
    )
    assert {"static_frame_top1_accuracy", "top1_accuracy"} <= set(model["metrics"])
    order = execute(
        "21_motionfit_motion_model",
        place,
        "motionfit_appearance_model-l0.0-n0-s0",
        **rgb,
        multi_clip_weight=0.0,
        videos_per_class=0,
    )
    assert "top1_accuracy" not in order["metrics"]
    assert order["metrics"]["labelled"] == 16
    execute(
        "22_motionfit_pseudo_labels",
        place,
        "motionfit_labels_appearance-s0",
        **rgb,
        level="thirds",
        motion_model=str(made / "motionfit_appearance_model-s0" / "motion_model.pt"),
    )
    mers = execute(
        "23_motionfit_self_training",
        place,
        "motionfit_mers-s0",
        target="features",
        features=str(made / "motionfit_labels_appearance-s0" / "features.npz"),
    )
    assert mers["metrics"]["feature_error"] > 0


def test_a_folder_of_images_and_a_folder_of_videos(place, moving_videos, tmp_path):
    """The same notebooks on one's own files: flat photographs, then <class>/<file> videos."""
    photographs = pytest.importorskip("skimage.data")
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Image.fromarray(getattr(photographs, name)()).save(tmp_path / f"{name}.png")
    own = {"dataset": "folder", "root": str(tmp_path)}
    pretrained = execute("11_mosi_pretrain", place, "own_images", **own)
    assert pretrained["failed_count"] == 0
    transferred = execute(
        "12_mosi_transfer",
        place,
        "own_videos",
        dataset="folder",
        root=str(moving_videos),
        pretrained=str(place / "smoke" / "own_images" / "backbone.pt"),
        videos_per_class=3,
        test_groups=["left/0", "left/1", "right/0", "right/1"],
    )
    assert transferred["metrics"]["test_videos"] == 4
    assert transferred["metrics"]["chance"] == 0.5


def test_a_mistyped_parameter_stops_before_anything_runs(place):
    with pytest.raises(runs.ParameterError, match="did you mean 'epochs'"):
        execute("11_mosi_pretrain", place, "mistyped", epoch=1)
    assert not (place / "smoke" / "mistyped").exists()


def test_timebalance_from_teachers_to_tables(place):
    """Three pretrained networks, their similarities, students and baselines, tables of it all."""
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
    assert compared["metrics"]["videos"] == 24
    both = {**folders, "similarities": str(home / "timebalance_similarity-s0/similarities.npz")}
    weighed = execute("33_timebalance_weights", place, "timebalance_weights-f50-s0", **both)
    assert weighed["metrics"]["test_videos"] == 8
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
    for table in ("timebalance_main", "timebalance_ablation", "timebalance_classwise"):
        asked = {"table": table, "records": str(place / "records"), "data_seed": 0}
        execute("34_timebalance_tables", place, table, **asked)
        assert (place / "figures" / f"smoke_{table}.png").exists()
    main = (place / "figures" / "smoke_timebalance_main.csv").read_text().splitlines()
    for row in ("supervised", "TCLR", "f_I", "f_D", "average", "TimeBalance", "static frame"):
        assert any(line.startswith(f"timebalance_main,{row},50,top1_accuracy,") for line in main)
    assert any(",paper,ucf101,0.833" in line for line in main)
    classwise = (place / "figures" / "smoke_timebalance_classwise.csv").read_text()
    assert "Shuttle,50,accuracy_difference" in classwise
    assert '"f_D - f_I, ordered"' in classwise


@pytest.mark.parametrize("method", ["pseudo_label", "mean_teacher", "fixmatch", "tg_fixmatch"])
def test_semi_supervised_baselines(place, method):
    done = execute("32_timebalance_student", place, f"baseline-{method}", method=method)
    assert 0 <= done["metrics"]["top1_accuracy"] <= 1
