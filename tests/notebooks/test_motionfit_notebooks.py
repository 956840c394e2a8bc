"""Notebooks 20 to 25 at smoke scale."""

import pytest
from smoke import execute


def test_optical_flow(place):
    done = execute("20_motionfit_flow", place, "motionfit_flow")
    assert done["metrics"]["fast_end_point_error"] > 0
    assert (place / "figures" / "smoke_motionfit_flow.png").exists()


@pytest.fixture(scope="module")
def made(place):
    """Folders of a motion model, its pseudo-labels, a student of them and its transfer."""
    pages = {
        "model": ("21_motionfit_motion_model", {"held_out": 0.25}),
        "labels": ("22_motionfit_pseudo_labels", {"motion_model": "model/motion_model.pt"}),
        "student": ("23_motionfit_self_training", {"pseudo_labels": "labels/pseudo_labels.npz"}),
        "transfer": (
            "03_transfer",
            {"starts": {"scratch": "", "motionfit": "student/backbone.pt"}, "clips_per_video": 3},
        ),
    }
    runs = {}
    for name, (page, given) in pages.items():
        runs[name] = execute(page, place, name, **whole(given, place / "smoke"))
    return runs


def whole(given, folder):
    """Parameters with their paths below ``folder``."""
    if isinstance(given, dict):
        return {name: whole(value, folder) for name, value in given.items()}
    is_path = isinstance(given, str) and "/" in given
    return str(folder / given) if is_path else given


@pytest.mark.timeout(2400)  # several pages, one after the other
def test_motionfit_from_flow_to_transfer(made, place):
    model, labels, student, transfer = (made[name]["metrics"] for name in made)
    assert model["test_videos"] == 8
    assert model["labelled"] + 4 == 8, "two videos a class, a quarter of them watched"
    assert 0 <= model["held_out_accuracy"] <= 1
    assert labels["clusters"] == 6
    assert labels["without_features"] == 0
    assert 0 <= labels["boundary_recall"] <= 1
    assert (place / "smoke" / "labels" / "motionfit_tsne.png").exists()
    assert student["without_target"] == 0
    assert student["validation_clips"] > 0
    assert {"scratch_top1_accuracy", "motionfit_top1_accuracy"} <= set(transfer)


@pytest.mark.timeout(1200)
def test_what_the_student_knows_and_what_flow_adds(made, place):
    given = {
        "starts": {"scratch": "", "motionfit": "student/backbone.pt"},
        "teacher_features": "labels/features.npz",
        "rgb_predictions": "transfer/predictions.npz",
        "motion_predictions": "model/predictions.npz",
    }
    done = execute("24_motionfit_retrieval", place, "known", **whole(given, place / "smoke"))
    metrics = done["metrics"]
    for name in ("scratch", "motionfit", "static_frame", "frame_difference"):
        assert metrics[f"{name}_clip_recall_at_1"] <= metrics[f"{name}_clip_recall_at_5"] <= 1
    transfer = made["transfer"]["metrics"]
    assert metrics["motionfit_top1_accuracy"] == transfer["motionfit_top1_accuracy"]
    assert metrics["motion_top1_accuracy"] == made["model"]["metrics"]["top1_accuracy"]
    assert 0 <= metrics["scratch_two_stream_top1_accuracy"] <= 1
    assert metrics["without_flow"] == 0
    assert {"mars_top1_accuracy", "mars_train_accuracy"} <= set(metrics)


def test_each_question_for_itself(made, place):
    """Retrieval alone, and MARS alone, as the graph asks for them."""
    alone = execute(
        "24_motionfit_retrieval",
        place,
        "alone",
        mars=False,
        starts={"scratch": ""},
        baselines=False,
    )
    recalled = [name for name in alone["metrics"] if "recall" in name]
    assert sorted(recalled) == [
        f"scratch_{k}_recall_at_{n}" for k in ("clip", "video") for n in (1, 5)
    ]
    teacher = {"teacher_features": str(place / "smoke" / "labels" / "features.npz")}
    mars = execute("24_motionfit_retrieval", place, "mars", starts={}, **teacher)
    assert "mars_top1_accuracy" in mars["metrics"]
    assert not [name for name in mars["metrics"] if "recall" in name]


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
