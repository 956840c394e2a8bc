"""Notebooks 20 to 25 at smoke scale."""

import pytest
from smoke import execute


def test_optical_flow(place):
    done = execute("20_motionfit_flow", place, "motionfit_flow")
    assert done["metrics"]["fast_end_point_error"] > 0
    assert (place / "figures" / "smoke_motionfit_flow.png").exists()


@pytest.mark.timeout(2400)  # a dozen pages, one after the other
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
    scratch = {"initialisations": ["scratch"], "pretrained": {}, "retrieval_clips": 0}
    few = execute("24_motionfit_transfer", place, "motionfit_transfer_scratch-s0", **scratch)
    assert "scratch_top1_accuracy" in few["metrics"]
    assert not [name for name in few["metrics"] if "recall" in name], "folds ask for none"
    for table in ("motionfit_transfer", "motionfit_retrieval"):
        execute("25_motionfit_tables", place, table, table=table)
        lines = (place / "figures" / f"smoke_{table}.csv").read_text().splitlines()
        assert lines[0] == "table,row,column,metric,mean,ci95,seeds,scale,dataset,paper"
        assert any(line.startswith(f"{table},MotionFit") for line in lines)


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
