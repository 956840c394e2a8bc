"""MotionFit's targets at its paper's scale: what each run is given is what the paper prints."""

import json

import pytest

from vidssl import runs
from vidssl.runs.graph import load


@pytest.fixture(scope="module")
def graph():
    made = load("paper-motionfit")
    for name in made.questions:
        if name.startswith("motionfit"):
            made.behind(name)
    return made


def given(graph, name, *parameters):
    """What a run is given, or its page declares."""
    job = graph.jobs[name]
    page = job.arguments.split()[1]
    told = runs.declared_parameters(runs.notebook_path(page)) | json.loads(job.params)
    return {parameter: told[parameter] for parameter in parameters}


def cells(graph, table):
    return {(cell.row, cell.column): cell.runs for cell in graph.question(table).cells}


def test_splits_are_seeds_from_the_motion_model_to_the_target(graph):
    for seed in (0, 1, 2):
        for run in ("motion_model", "transfer_motionfit", "transfer_motionfit-hmdb51"):
            options = given(graph, f"motionfit_{run}-s{seed}", "dataset_options")
            assert options["dataset_options"]["split"] == seed + 1
        of_mosi = given(graph, f"motionfit_transfer_mosi-s{seed}", "starts")["starts"]["mosi"]
        assert f"mosi_pretrain-xy-split{seed + 1}-s{seed}/" in of_mosi, "no tested video was seen"
        split = json.loads(graph.jobs[f"mosi_pretrain-xy-split{seed + 1}-s{seed}"].params)
        assert split["dataset_options"]["split"] == seed + 1
    assert "split" not in given(graph, "motionfit_student_motion-s1", "dataset_options")
    found = cells(graph, "motionfit_cliplength")["MotionFit", 16]
    assert [run.rpartition("-s")[2] for run in found] == ["0", "1", "2"], "table 4: three splits"
    assert len(cells(graph, "motionfit_clusters")["MotionFit", 1000]) == 1, "table 3: split 1"


@pytest.mark.parametrize(
    ("target", "told", "said"),
    [
        ("granularity", {"levels": ["third"]}, "level='third' is unknown; did you mean 'thirds'"),
        ("order", {"levels": ["clips"]}, "level='clips' is unknown"),
        ("semi", {"label_fractions": [20]}, "motionfit_semi: label_fractions: 20 is not in"),
    ],
)
def test_a_sweep_s_values_are_refused_before_anything_starts(target, told, said):
    made = load("mini")
    made.sections["targets"].setdefault(f"motionfit_{target}", {}).update(told)
    with pytest.raises(ValueError, match=said):
        made.behind(f"motionfit_{target}")


@pytest.mark.parametrize(("clips", "compared"), [([2, 4], {"R = 4", "R = 2"}), ([3], {"R = 3"})])
def test_claims_are_of_the_numbers_of_clips_that_a_scale_asks_for(clips, compared):
    made = load("mini")
    made.sections["targets"].setdefault("motionfit_multiclip", {}).update(clips=clips, long=[])
    claims = made.question("motionfit_multiclip").claims
    assert len(claims) == (4 if len(clips) > 1 else 1)
    assert {column for c in claims for _, column in [*c.first, *c.second]} == compared


PRINTED = {  # section 4.2
    "epochs": 120,
    "batch_size": 8,
    "milestones": [40, 60, 80],
    "optimizer": "sgd",
    "lr": 0.001,
    "weight_decay": 0.0005,
    "augmentation": {},
    "clips_per_video": 3,
}


@pytest.mark.parametrize(
    "run", ["motionfit", "motionfit-hmdb51", "motionfit-share0.2-n0-r3d_18", "mers", "mars"]
)
def test_networks_on_the_target_are_tuned_as_printed(graph, run):
    assert given(graph, f"motionfit_transfer_{run}-s0", *PRINTED) == PRINTED


def test_conv4_conv5_and_the_classifier_are_tuned_and_all_of_what_begins_from_scratch(graph):
    for run, frozen in {"motionfit": ["stem", "conv2", "conv3"], "scratch": []}.items():
        found = given(graph, f"motionfit_transfer_{run}-s0", "frozen_stages")
        assert found["frozen_stages"] == frozen


def test_s3dg_sees_64_frames_of_224_px_in_batches_of_32(graph):
    asked = ("backbone", "frames", "size", "batch_size")
    taught = given(graph, "motionfit_student_motion-s3dg-f64-s0", *asked)
    assert [*taught.values()] == ["s3dg", 64, 224, 32]
    tuned = given(graph, "motionfit_transfer_motionfit-s3dg-f64-s0", *asked)
    assert [*tuned.values()] == ["s3dg", 64, 224, 8]


def test_semi_supervision_takes_ucf101_for_its_source(graph):
    for run in ("labels", "student"):
        name = f"motionfit_{run}_motion-share0.2-n0-r3d_18-ucf101-s0"
        assert given(graph, name, "dataset") == {"dataset": "ucf101"}
    model = given(graph, "motionfit_motion_model-share0.2-n0-r3d_18-s0", "epochs", "milestones")
    assert model == {"epochs": 120, "milestones": [40, 60, 80]}, "whatever the share"


def test_every_source_of_the_paper_has_its_runs(graph):
    val = given(graph, "motionfit_student_motion-kinetics-val-s0", "dataset", "source_side")
    assert val == {"dataset": "kinetics", "source_side": "test"}
    fewer = given(graph, "motionfit_student_motion-uncommon-s0", "without_classes")
    assert fewer["without_classes"].endswith("kinetics400_in_ucf101.txt")
    teacher = given(graph, "motionfit_transfer_mars-hmdb51-s0", "teacher_features")
    made = given(graph, "motionfit_labels_motion-hmdb51-s0", "dataset", "flow", "motion_model")
    assert "labels_motion-hmdb51-s0" in teacher["teacher_features"], "MARS sees flow of its labels"
    assert (made["dataset"], made["flow"]) == ("hmdb51", "data/hmdb51-flow")
    assert "motion_model-s0" in made["motion_model"], "of the model that learned UCF101"


@pytest.mark.parametrize(
    ("table", "places"),
    [
        ("motionfit_multiclip", [("motion", "R = 4"), ("motion", "64 frames")]),
        ("motionfit_lambda", [("motion", 0.0), ("appearance", 0.0), ("motion", 0.25)]),
        ("motionfit_granularity", [("MotionFit", "boundaries"), ("MotionFit", "video")]),
        (
            "motionfit_clusters",
            [("Kinetics-val", 1600), ("appearance", 128), ("without common classes", 1000)],
        ),
        ("motionfit_order", [("MotionFit", "neighbours too"), ("MotionFit, video", "0.5")]),
        ("motionfit_cliplength_hmdb51", [("MotionFit", 32), ("scratch", 16)]),
        ("motionfit_transfer_hmdb51", [("MERS", "top-1"), ("supervised on the source", "top-1")]),
        ("motionfit_comparison_hmdb51", [("MotionFit (s3dg)", "top-1")]),
        ("motionfit_retrieval", [("MotionFit (s3dg) (clip)", 20)]),
        ("motionfit_retrieval_hmdb51", [("MotionFit (clip)", 1)]),
        ("motionfit_semi", [("MotionFit", "20%"), ("MotionFit", "50%")]),
    ],
)
def test_what_the_paper_prints_has_a_cell(graph, table, places):
    found = cells(graph, table)
    assert all(found.get(place) for place in places)


def test_a_scale_may_ask_what_frozen_stages_cost_a_student_and_the_start_that_it_is_compared_with():
    made = load("real-ucf6", {"root": "/videos"})
    made.behind("motionfit_transfer")
    for start in ("motionfit", "mosi"):
        names = (f"motionfit_transfer_{start}{how}-s0" for how in ("_whole", ""))
        whole, usual = (given(made, name, "starts", "steps", "frozen_stages") for name in names)
        assert whole.pop("frozen_stages") == []
        assert usual.pop("frozen_stages") == ["stem", "conv2", "conv3"]
        assert whole == usual
    files = given(made, "motionfit_together_whole-s0", "rgb_predictions", "motion_predictions")
    assert "/motionfit_transfer_motionfit_whole-s0/" in files["rgb_predictions"]
    assert "/motionfit_motion_model-s0/" in files["motion_predictions"]
    rows = {row for row, _ in cells(made, "motionfit_transfer")}
    assert {
        "MotionFit, tuned whole",
        "MoSI, tuned whole",
        "MotionFit with flow, tuned whole",
    } < rows
