"""The papers' own scale: every parameter file is accepted, and only data and time are missing."""

import json
import math
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.data import ColorJitter, open_dataset, read_frames, synthetic
from vidssl.methods import mosi
from vidssl.motion.extract import extract_flow
from vidssl.protocol import Clips, Tuning
from vidssl.runs.parameters import NoSchedule, parameters_to_run

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
    assert (student["epochs"], student["milestones"]) == (45, [20, 40])
    small = {"paper", "paper-hmdb51"}  # section 4.2: 16 of Kinetics alone
    assert student["batch_size"] == (8 if scale in small else 16)
    assert model["held_out"] == 0.1
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


@pytest.mark.parametrize("scale", ["paper", "paper-hmdb51", "paper-kinetics"])
def test_timebalance_trains_as_its_release(scale):
    """By its files and loaders, see `vidssl.methods.timebalance`; the page prints 8 frames."""
    teacher = settings_of("30_timebalance_teachers", scale)
    assert (teacher["frames"], teacher["global_stride"], teacher["locals_count"]) == (16, 4, 4)
    assert (teacher["batch_videos"], teacher["lr"], teacher["weight_decay"]) == (40, 0.001, 1e-9)
    assert (teacher["instance_locals"], teacher["local_weight"]) == (14.0, 2.5)
    views = teacher["view_augmentation"]
    assert (views["color"], views["color_probability"]) == ([0.25, 0.25, 0.25, 0.1], 0.3)
    student = settings_of("32_timebalance_student", scale)
    assert (student["epoch_of"], student["distance"]) == ("labelled", "mse")
    assert (student["labelled_weight"], student["unlabelled_weight"]) == (50.0, 100.0)
    for given, prefix in ((teacher, "tuning_"), (student, "")):
        tuning = Tuning.of(given, prefix=prefix)
        assert (tuning.epochs, tuning.lr, tuning.weight_decay) == (150, 1e-4, 0.0)
        assert (tuning.optimizer, tuning.batch_size) == ("adam", 16)
        assert (given[f"{prefix}frames"], given["frame_stride"]) == (8, 2)
        mild = given["augmentation"]
        assert (mild["color"], mild["color_probability"]) == ([0.1, 0.1, 0.1, 0.05], 0.15)
        assert mild["erasings"] == 2
        assert (given["backbone"], given["width"], given["size"]) == ("r3d_18_dilated", 1.0, 112)
    graph = runs.load_graph(scale, project=REPOSITORY)
    shares = {"paper": [1, 5, 10, 20, 50], "paper-hmdb51": [40, 50, 60], "paper-kinetics": [1, 10]}
    columns = {int(cell.column) for cell in graph.question("timebalance_main").cells}
    assert sorted(columns) == shares[scale]
    assert [round(100 * share) for share in teacher["fractions"]] == shares[scale]


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
    for row, method in {"MoSI, kinetics": "mosi", "3DRotNet, kinetics": "rotation"}.items():
        kinetics = jobs[f"{method}_pretrain-kinetics-s0"]
        assert (kinetics["dataset"], kinetics["epochs"]) == ("kinetics", 20)
        assert kinetics.get("backbone", "r2d3d_18") == tuned[row, "all"]["backbone"] == "r2d3d_18"
        assert "kinetics" in tuned[row, "all"]["starts"][method]
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


def test_pace_is_pretrained_on_mosi_s_videos_as_long_as_it():
    behind = runs.load_graph("paper-kinetics", {}, REPOSITORY).behind("mosi_comparison")
    given = {job.name: json.loads(job.params) for job in behind if job.log}
    of_mosi, of_pace = given["mosi_pretrain-xy-s0"], given["pace_pretrain-s0"]
    for name in ("dataset", "root", "dataset_options", "epochs"):
        assert of_pace[name] == of_mosi[name], name


def test_the_column_of_the_page_s_own_mask_is_named_by_its_sides():
    graph = runs.load_graph("mini", {"overrides": {"mask_ratio": "[0.2, 0.6]"}}, REPOSITORY)
    columns = {cell.column for cell in graph.question("mosi_mask").cells}
    assert {"0.2-0.6", "0.2-0.6 at once"} <= columns


# --- first steps of every page --------------------------------------------------------------------

CUT = {  # all that is changed beside the place: schedules, numbers of videos, precision, workers
    **{"epochs": 1, "tuning_epochs": 1, "fractions": [0.01, 0.1], "accumulate": 1},
    **{"batch_size": 2, "batch_images": 1, "batch_videos": 2, "max_images": 1},
    **{"held_out_images": 1, "held_out_videos": 1, "videos_shown": 1, "videos_measured": 1},
    **{"test_clips": 1, "train_clips": 1, "retrieval_clips": 1, "probe_clips": 1},
    **{"num_clusters": 2, "clusters": 2, "tsne_clips": 4, "compared_pairs": 1},
    "recall_at": [1],  # of few videos
    **{"precision": "no", "num_workers": 0},  # bf16 wants a GPU
    "flow_method": "farneback",  # TV-L1 takes minutes
}
SMALLER = {  # of networks on 224 px, beside it, so that a step fits 8 GB
    "30_timebalance_teachers": {"frames": 4},  # of 16: a step has twenty clips
    "31_timebalance_similarity": {"frames": 4},  # as the teachers
    "23_motionfit_self_training": {"batch_size": 1},  # three clips of 64 frames
}
# a tenth of two videos a class is one, of which none can be held out
ALL_LABELS = {"21_motionfit_motion_model": {"label_fraction": 1.0}}
STUDENTS = ["timebalance", "supervised", "fixmatch", "tg_fixmatch", "mean_teacher", "pseudo_label"]
STUDENTS += ["s4l", "motionfit", "timebalance-R3D-50", "supervised-R3D-50"]
FIRST_STEPS = {  # jobs whose first steps are taken, with those of all before them; tables last
    "paper": [
        "mosi_pseudo_motion",
        "mosi_transfer-xy-nall-s0",
        "mosi_transfer-r2plus1d_10-nall-s0",
        "mosi_gradcam-s0",
        "mosi_clusters",
        "pace_transfer-nall-s0",
        "rotation_transfer-kinetics-s0",
        "mosi_transfer-images5-nall-hmdb51-s0",
        *(f"timebalance_student-{student}-f10-s0" for student in STUDENTS),
        "timebalance_weights-f10-s0",
        "rotation_transfer-f10-s0",
        "one_features-timebalance-s0",
        *("mosi_comparison", "timebalance_main", "one_protocol"),
    ],
    "paper-motionfit": [
        "motionfit_flow",
        "motionfit_transfer_motionfit-s0",
        "motionfit_together-s0",
        "motionfit_transfer_mars-s0",
        "motionfit_retrieval_motionfit-s0",
        "motionfit_transfer_motionfit-hmdb51-s0",
        "motionfit_student_motion-s3dg-f64-s0",
        "motionfit_transfer",
    ],
    "paper-hmdb51": ["mosi_transfer-xy-nall-s0", "timebalance_student-supervised-f50-s0"],
    "paper-kinetics": ["mosi_pretrain-xy-s0", "timebalance_student-supervised-f10-s0"],
    "paper-imagenet": ["mosi_gradcam-s0"],
}


def whole(scale, home, given=None):
    """A paper's graph in the folder ``home``, with the jobs of all its targets."""
    graph = runs.load_graph(scale, {"runs_root": home, "overrides": given or {}}, REPOSITORY)
    for target in graph.targets:
        with suppress(NoSchedule):  # another paper's
            graph.behind(target)
    return graph


def taken(graph):
    """The jobs of `FIRST_STEPS` and those before them; tables are made of what there is."""
    named = [graph.jobs[name] for name in FIRST_STEPS[graph.scale]]
    before = [first for job in named if not job.asked for first in graph.before(job)]
    return dict.fromkeys([*named, *before])


def page_of(job):
    return Path(job.log[0]).stem


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("papers")


@pytest.fixture(scope="module")
def cut_graphs(home):
    return {scale: whole(scale, home, CUT) for scale in FIRST_STEPS}


def first_step(job, home):
    """What a job's page is told for its first step: the same places, below ``home``."""
    given = json.loads(job.params.replace('"data/', f'"{home}/data/'))
    return given | cut_for_few(page_of(job), given)


def cut_for_few(page, given):
    """What is cut of some jobs alone, see `SMALLER` and `ALL_LABELS`."""
    smaller = SMALLER.get(page, {}) if given.get("size") == 224 else {}
    return smaller | (ALL_LABELS.get(page, {}) if given.get("label_fraction") else {})


@pytest.mark.parametrize("scale", PAPER_SCALES)
def test_every_page_that_a_paper_s_target_runs_takes_its_first_steps(scale, home, cut_graphs):
    here = {page_of(job) for graph in cut_graphs.values() for job in taken(graph)}
    assert {page_of(job) for job in whole(scale, home).jobs.values() if job.log} <= here


def test_nothing_is_cut_but_the_schedule_the_videos_and_what_a_gpu_does(home, cut_graphs):
    for scale, graph in cut_graphs.items():
        uncut = whole(scale, home).jobs
        for job in taken(graph):
            cut = first_step(job, "")
            asked = json.loads(uncut[job.name].params.replace('"data/', '"/data/'))
            changed = {name for name, value in asked.items() if cut[name] != value}
            assert changed <= {*CUT, *cut_for_few(page_of(job), asked)}, job.name


def test_every_official_layout_is_among_the_first_steps(cut_graphs):
    roots = {json.loads(j.params).get("root") for g in cut_graphs.values() for j in taken(g)}
    layouts = {"data/ucf101/UCF-101", "data/hmdb51/videos", "data/kinetics400"}
    assert layouts | {"data/imagenet/train"} <= roots


EMBEDDED = "data/paper-motionfit-seed0"  # what page 20 looks at, whose true flow is known


def few_videos(home):
    """Two classes of two training and two test videos each, under the names and lists of UCF101,
    HMDB51 and Kinetics, their flow, and as many classes of frames as ImageNet's images."""
    size = {"train": 2, "test": 2, "frames": 64, "height": 240, "width": 320}
    about = {"classes": ["Shuttle", "RightThenDown"], "workers": 1, "progress": False}
    made = synthetic.make_dataset(home / EMBEDDED, scale="smoke", **about, **size)
    shutil.copytree(made, home / "data/ucf101")
    splits = open_dataset("ucf101", made / "UCF-101", annotations=made / "ucfTrainTestlist")
    paths = {
        side: [[r.path for r in records if r.label == k] for k in range(splits.num_classes)]
        for side, records in (("train", splits.train), ("test", splits.test))
    }
    as_hmdb51(home / "data/hmdb51", paths)
    as_kinetics(home / "data/kinetics400", paths)
    as_imagenet(home / "data/imagenet/train", paths["train"])
    for root in ("ucf101/UCF-101", "hmdb51/videos", "kinetics400"):
        flow = home / "data" / f"{root.partition('/')[0]}-flow"
        extract_flow(home / "data" / root, flow, method="farneback", short_side=128, workers=1)


def linked(path, video):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.hardlink_to(video)


def as_hmdb51(folder, paths):
    (folder / "splits").mkdir(parents=True)
    for k, name in enumerate(("shake_hands", "wave")):
        lines = []
        for mark, side in enumerate(("train", "test"), 1):
            for i, video in enumerate(paths[side][k]):
                file = f"{side}{i}_{name}_u_nm_np1_fr_goo_{i}.avi"
                linked(folder / "videos" / name / file, video)
                lines.append(f"{file} {mark} \n")
        (folder / "splits" / f"{name}_test_split1.txt").write_text("".join(lines))


def as_kinetics(folder, paths):
    for side, kind in {"train": "train", "test": "val"}.items():
        lines = ["label,youtube_id,time_start,time_end,split\n"]
        for k, name in enumerate(("abseiling", "air drumming")):
            for i, video in enumerate(paths[side][k]):
                lines.append(f"{name},-{k}wR5jVB-W{kind[0]}{i},7,17,{kind}\n")
                file = f"-{k}wR5jVB-W{kind[0]}{i}_000007_000017.mp4"
                linked(folder / kind / name / file, video)
        (folder / f"{kind}.csv").write_text("".join(lines))


def as_imagenet(folder, paths):
    for name, videos in zip(("n01440764", "n01443537"), paths):
        (folder / name).mkdir(parents=True)
        for i, frame in enumerate(read_frames(videos[0], range(32))):
            Image.fromarray(frame).save(folder / name / f"{name}_{i}.JPEG")


@pytest.fixture(scope="module")
def first_steps(home, cut_graphs):
    """Execute a job of a paper's cut graph after those that it follows from; its record."""
    few_videos(home)

    def make(graph, job):
        marker = home / job.marker
        if not marker.exists():
            graph.leave_questions([job])
            for first in graph.jobs.values():
                if first.marker in job.inputs and first.log and not job.asked:
                    make(graph, first)
            runs.execute(page_of(job), marker.parent, first_step(job, home), scale=graph.scale)
        return json.loads(marker.read_text())

    return lambda scale, name: make(cut_graphs[scale], cut_graphs[scale].jobs[name])


@pytest.mark.slow
@pytest.mark.timeout(3600)  # full-size networks on one core
@pytest.mark.parametrize(
    ("scale", "job"), [(s, job) for s, jobs in FIRST_STEPS.items() for job in jobs]
)
def test_first_steps_at_the_paper_s_size(scale, job, first_steps):
    done = first_steps(scale, job)
    numbers = [n for n in done["metrics"].values() if isinstance(n, float)]
    assert numbers or job == "mosi_pseudo_motion"
    assert all(math.isfinite(number) for number in numbers)
    assert done["metrics"].get("test_videos", 4) == 4
