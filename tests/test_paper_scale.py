"""The papers' own scale: every parameter file is accepted, and only data and time are missing."""

import json

import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.data import ColorJitter, synthetic
from vidssl.methods import mosi
from vidssl.motion.extract import extract_flow
from vidssl.protocol import Clips, Tuning
from vidssl.runs.parameters import parameters_to_run

PAPER_SCALES = [name for name in runs.scale_names() if name.startswith("paper")]


@pytest.mark.parametrize("scale", PAPER_SCALES)
def test_every_section_is_one_of_a_notebook_s(scale):
    for notebook in runs.notebook_names():
        given = runs.parameters_for(notebook, scale, {})
        declared = runs.declared_parameters(runs.notebook_path(notebook))
        assert set(given) <= set(declared)
    head = (REPOSITORY / "papermill_runs" / f"{scale}.yaml").read_text().split("common:")[0]
    assert "GPU-hours" in head
    assert "GB" in head


def behind(target, scale):
    return runs.load_graph(scale, {}, REPOSITORY).behind(target)


@pytest.mark.parametrize(
    ("target", "scale", "page", "elsewhere"),
    [
        ("timebalance_main", "paper-motionfit", "32_timebalance_student", "paper-kinetics"),
        ("rotation", "paper-imagenet", "60_rotation_pretrain", "paper-hmdb51"),
        ("motionfit_lambda", "paper-imagenet", "21_motionfit_motion_model", "paper-motionfit"),
    ],
)
def test_full_size_networks_never_train_by_the_mini_schedule(target, scale, page, elsewhere):
    said = f"{page}.*{scale}.yaml does not say.*{elsewhere}"
    with pytest.raises(runs.ParameterError, match=said):
        behind(target, scale)
    jobs = [job for job in behind(target, elsewhere) if page in job.arguments]
    assert jobs
    assert all({"epochs", "steps"} & json.loads(job.params).keys() for job in jobs)


@pytest.mark.parametrize("page", ["30_timebalance_teachers", "50_pace_pretrain"])
def test_a_page_alone_is_refused_likewise_and_freed_by_its_length(page, tmp_path):
    with pytest.raises(runs.ParameterError, match="does not say how long it trains"):
        runs.execute(page, tmp_path / "run", scale="paper-motionfit")
    assert not (tmp_path / "run").exists(), "before anything starts"
    assert parameters_to_run(page, "paper-motionfit", {"epochs": 3})["epochs"] == 3


def settings_of(notebook, scale):
    declared = runs.declared_parameters(runs.notebook_path(notebook))
    return {**declared, **runs.parameters_for(notebook, scale, {})}


MOSI_SCALES = ("paper", "paper-hmdb51", "paper-kinetics", "paper-imagenet")


@pytest.mark.parametrize("scale", MOSI_SCALES)
def test_mosi_is_pretrained_as_its_paper_says(scale):
    """Section 4 and appendix; Kinetics 20 epochs of which 2 warm up, all else 100 and 10."""
    told = settings_of("11_mosi_pretrain", scale)
    tuning = Tuning.of(told)
    config = mosi.MoSIConfig.of(told)
    assert (config.frames, config.size, config.source_side) == (16, 112, 320)
    assert (config.k, config.axes, tuple(config.mask_ratio)) == (2, "xy", (0.3, 0.5))
    assert (config.jitter, config.colors_per) == (ColorJitter(), "frame")
    assert config.mask_ratio_at(0.0) == pytest.approx((0.3, 0.5)), "no curriculum"
    assert told["batch_images"] * tuning.accumulate == 10 * 16
    assert (tuning.optimizer, tuning.schedule, tuning.lr) == ("adam", "cosine", 1e-3)
    assert tuning.weight_decay == 1e-4
    epochs = 20 if scale == "paper-kinetics" else 100
    assert (tuning.epochs, tuning.warmup * epochs) == (epochs, epochs / 10)
    assert told["backbone"] == "r2d3d_18"
    assert told["width"] == 1.0


@pytest.mark.parametrize("scale", MOSI_SCALES)
@pytest.mark.parametrize("page", ["02_supervised_baseline", "03_transfer"])
def test_fine_tuning_is_that_of_the_paper(scale, page):
    """300 epochs of 1,024 clips a step, ten of them to warm up from a tenth of the rate."""
    told = settings_of(page, scale)
    tuning = Tuning.of(told)
    assert tuning.batch_size * tuning.accumulate == 128 * 8
    assert (tuning.optimizer, tuning.lr, tuning.weight_decay) == ("adam", 2e-3, 1e-3)
    assert tuning.epochs == 300
    assert tuning.warmup * 300 == pytest.approx(10, abs=0.02)
    config = tuning.config(3570, seed=0)
    assert config.lr_at(0) == pytest.approx(2e-4)
    clips = Clips.of(told)
    assert (clips.frames, clips.stride, clips.size, told["test_clips"]) == (16, 4, 112, 10)
    assert clips.augmentation.flip == 0.5
    assert clips.augmentation.jitter == ColorJitter(), "that of the pretraining, a draw a clip"


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A few real videos under UCF101's names and lists."""
    folder = tmp_path_factory.mktemp("official")
    return synthetic.make_dataset(folder, scale="smoke", workers=1, progress=False)


def execute_short(notebook, folder, **parameters):
    """A run with the paper's parameters but for these, under smoke's name: nothing is learned."""
    given = {**runs.parameters_for(notebook, "paper", parameters), "scale": "smoke"}
    runs.execute(notebook, folder, given, scale="smoke")
    return json.loads((folder / "run.json").read_text())


@pytest.mark.slow
def test_a_first_step_at_the_paper_s_size(official, tmp_path):
    """Only the schedule is cut: network, clip size, lists and augmentation are as in the paper."""
    place = {
        "root": str(official / "UCF-101"),
        "dataset_options": {"annotations": str(official / "ucfTrainTestlist")},
        "precision": "no",  # bf16 wants a GPU
        "num_workers": 0,
        "accumulate": 1,
    }
    few = {"epochs": 1, "max_images": 1, "batch_images": 1, "held_out_images": 1}
    first = tmp_path / "smoke" / "first"
    execute_short("11_mosi_pretrain", first, **place, **few)
    few = {"epochs": 1, "batch_size": 2, "test_clips": 1, "train_clips": 1, "videos_per_class": 1}
    few |= {"baselines": False, "starts": {"mosi": str(first / "backbone.pt")}}
    second = tmp_path / "smoke" / "second"
    done = execute_short("03_transfer", second, **place, **few)
    assert done["parameters"]["size"] == 112
    assert done["metrics"]["test_videos"] == 8


MOTIONFIT_TRAINING = {  # section 4.2; epochs, batch and milestones of self-training apart
    "optimizer": "sgd",
    "schedule": "step",
    "lr": 0.001,
    "weight_decay": 0.0005,
    "warmup": 0.0,
    "augmentation": {},
}


@pytest.mark.parametrize("scale", [s for s in PAPER_SCALES if s != "paper-imagenet"])
def test_motionfit_trains_as_its_paper_prints(scale):
    model = runs.parameters_for("21_motionfit_motion_model", scale, {})
    student = runs.parameters_for("23_motionfit_self_training", scale, {})
    for given in (model, student):
        assert {name: given[name] for name in MOTIONFIT_TRAINING} == MOTIONFIT_TRAINING
        assert (given["frames"], given["frame_stride"], given["size"]) == (16, 1, 112)
    assert (model["epochs"], model["batch_size"], model["milestones"]) == (120, 8, [40, 60, 80])
    assert (student["epochs"], student["batch_size"], student["milestones"]) == (45, 16, [20, 40])
    labels = runs.parameters_for("22_motionfit_pseudo_labels", scale, {})
    assert labels["num_clusters"] == 1000
    assert {given["flow_method"] for given in (model, labels)} == {"reference"}, "TV-L1"


def test_motionfit_fine_tunes_by_the_schedule_of_its_first_step():
    graph = runs.load_graph("paper-motionfit", project=REPOSITORY)
    jobs = {job.name: json.loads(job.params) for job in graph.behind("motionfit_transfer")}
    given = jobs["motionfit_transfer_motionfit-s0"]
    assert {name: given[name] for name in MOTIONFIT_TRAINING} == MOTIONFIT_TRAINING
    assert (given["epochs"], given["batch_size"], given["clips_per_video"]) == (120, 8, 3)
    assert given["frozen_stages"] == ["stem", "conv2", "conv3"], "conv4, conv5 and the classifier"
    assert (given["dataset"], given["videos_per_class"]) == ("ucf101", 0)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # full-size networks on one core
def test_first_steps_of_motionfit_at_its_paper_s_size(official, tmp_path):
    """Of each page; data, flow method and schedule apart, all is as in paper-motionfit.yaml."""
    place = {
        "dataset": "ucf101",
        "root": str(official / "UCF-101"),
        "dataset_options": {"annotations": str(official / "ucfTrainTestlist")},
        "precision": "no",  # bf16 wants a GPU
        "num_workers": 0,
    }
    flow = {"flow": str(tmp_path / "flow"), "flow_method": "farneback"}
    once = {"epochs": 1, "batch_size": 2, "test_clips": 1}
    few = {**once, "train_clips": 1, "videos_per_class": 1}

    def first_steps(page, name, **given):
        declared = runs.declared_parameters(runs.notebook_path(page))
        told = {key: value for key, value in {**place, **given}.items() if key in declared}
        folder = tmp_path / "smoke" / name
        asked = {**runs.parameters_for(page, "paper-motionfit", told), "scale": "smoke"}
        runs.execute(page, folder, asked, scale="smoke")
        return folder

    extract_flow(place["root"], flow["flow"], method="farneback", short_side=128, workers=1)
    model = first_steps("21_motionfit_motion_model", "model", **flow, **few, held_out=0.0)
    labels = first_steps(
        "22_motionfit_pseudo_labels",
        "labels",
        **flow,
        motion_model=str(model / "motion_model.pt"),
        num_clusters=4,
        tsne_clips=8,
    )
    taught = {"pseudo_labels": str(labels / "pseudo_labels.npz"), "validation": 0.25}
    student = first_steps("23_motionfit_self_training", "student", **once, **taught)
    starts = {"motionfit": str(student / "backbone.pt")}
    graph = runs.load_graph("paper-motionfit", project=REPOSITORY)
    jobs = {job.name: json.loads(job.params) for job in graph.behind("motionfit_transfer")}
    tuned = {**jobs["motionfit_transfer_motionfit-s0"], **place, **few, "starts": starts}
    transfer = first_steps("03_transfer", "transfer", **tuned)
    known = first_steps(
        "24_motionfit_retrieval",
        "known",
        **{**tuned, "retrieval_clips": 1, "recall_at": [1]},
        teacher_features=str(labels / "features.npz"),
        rgb_predictions=str(transfer / "predictions.npz"),
        motion_predictions=str(model / "predictions.npz"),
    )
    done = json.loads((known / "run.json").read_text())
    assert done["parameters"]["size"] == 112
    assert done["metrics"]["test_videos"] == 8
    assert {"mars_top1_accuracy", "motionfit_two_stream_top1_accuracy"} <= set(done["metrics"])


# --- the sweeps of MoSI's tables ------------------------------------------------------------------


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    root = {"runs_root": str(tmp_path_factory.mktemp("runs"))}
    return {scale: runs.load_graph(scale, root, REPOSITORY) for scale in MOSI_SCALES}


def asked_of(graph, table, metric="top1_accuracy"):
    """(row, column) -> the parameters of the run behind it, of a table's measured cells."""
    jobs = {graph.run_id(job): json.loads(job.params) for job in graph.jobs.values()}
    cells = graph.question(table).cells
    jobs |= {graph.run_id(job): json.loads(job.params) for job in graph.jobs.values()}
    return {
        (cell.row, cell.column): jobs[cell.runs[0]]
        for cell in cells
        if metric in cell.metrics and cell.runs
    }


@pytest.mark.parametrize("scale", ["paper", "paper-hmdb51"])
def test_each_number_of_frames_stands_in_its_own_column(graphs, scale):
    """8 to 32 frames at one distance a frame; each is fine-tuned on 16."""
    graph = graphs[scale]
    made = asked_of(graph, "mosi_frames", "pretext_accuracy")
    default = graph.parameter("11_mosi_pretrain", "frames")
    frames = {column: told.get("frames", default) for (_, column), told in made.items()}
    assert frames == {n: n for n in (8, 12, 16, 24, 32)}
    tuned = asked_of(graph, "mosi_frames")
    assert {told["frames"] for told in tuned.values()} == {16}
    starts = [told["starts"]["mosi"] for (row, _), told in tuned.items() if row == "MoSI"]
    assert len(set(starts)) == 5, "one pretraining each, none twice"
    assert {mosi.MoSIConfig(frames=n).source_side for n in frames} == {209, 265, 320, 431, 542}


@pytest.mark.parametrize("scale", ["paper", "paper-hmdb51"])
def test_sweeps_go_through_what_the_paper_s_figures_show(graphs, scale):
    sides = asked_of(graphs[scale], "mosi_mask", "pretext_accuracy")
    shown = {column: told.get("mask_ratio", [0.3, 0.5]) for (_, column), told in sides.items()}
    fixed = {str(side): [side, side] for side in (0.1, 0.2, 0.3, 0.4, 0.5)}
    assert shown == fixed | {"none": [], "0.3-0.5": [0.3, 0.5]}
    frozen = asked_of(graphs[scale], "mosi_frozen")
    depths = {column: told["frozen_stages"] for (_, column), told in frozen.items()}
    assert depths[1] == ["stem"]
    assert [len(depths[depth]) for depth in range(6)] == list(range(6))
    speeds = asked_of(graphs[scale], "mosi_speeds", "pretext_accuracy")
    assert {c: told.get("k", 2) for (_, c), told in speeds.items()} == {3: 1, 5: 2, 7: 3, 9: 4}


def test_images_are_drawn_per_class_for_both_targets_in_one_table(graphs):
    made = asked_of(graphs["paper"], "mosi_stills", "pretext_accuracy")
    drawn = {c: told["images_per_class"] for (row, c), told in made.items() if row == "images"}
    assert drawn == {f"{n} a class": n for n in (5, 10, 20, 30)}
    tuned = asked_of(graphs["paper"], "mosi_stills")
    at = {row: told["dataset"] for (row, _), told in tuned.items()}
    assert at["images"] == at["frames of videos"] == "ucf101"
    assert at["images on hmdb51"] == at["frames of videos on hmdb51"] == "hmdb51"
    own = made["frames of videos on hmdb51", "own videos"]
    assert own["dataset"] == "hmdb51", "HMDB51's own row is pretrained on HMDB51"


@pytest.mark.parametrize("scale", ["paper", "paper-hmdb51"])
def test_the_comparison_has_both_backbones_and_kinetics(graphs, scale):
    tuned = asked_of(graphs[scale], "mosi_comparison")
    assert tuned["MoSI", "all"]["backbone"] == "r2d3d_18"
    assert tuned["MoSI, r2plus1d_10", "all"]["backbone"] == "r2plus1d_10"
    jobs = {job.name: json.loads(job.params) for job in graphs[scale].jobs.values()}
    kinetics = jobs["mosi_pretrain-kinetics-s0"]
    assert (kinetics["dataset"], kinetics["epochs"]) == ("kinetics", 20)
    assert "kinetics" in tuned["MoSI, kinetics", "all"]["starts"]["mosi"]
    assert jobs["mosi_pretrain-r2plus1d_10-s0"]["backbone"] == "r2plus1d_10"


def test_low_shot_has_the_paper_s_columns(graphs):
    columns = [c for row, c in asked_of(graphs["paper-hmdb51"], "mosi_lowshot") if row == "MoSI"]
    assert columns == [3, 5, 7, 9, 11, 13, "all"]


@pytest.mark.parametrize(
    ("scale", "dataset", "epochs"),
    [("paper", "ucf101", 100), ("paper-hmdb51", "hmdb51", 100), ("paper-kinetics", "kinetics", 20)],
)
def test_3drotnet_is_pretrained_on_the_students_videos_as_long_as_they(scale, dataset, epochs):
    behind = runs.load_graph(scale, {}, REPOSITORY).behind("rotation")
    given = {job.name: json.loads(job.params) for job in behind}
    assert {told["dataset"] for told in given.values()} == {dataset}
    first = given["rotation_pretrain-s0"]
    assert (first["epochs"], first["batch_size"], first["lr"]) == (epochs, 40, 0.001)
