# %% [markdown]
# # TimeBalance: the student, and what it is held against
#
# **Question.** Given few labels and many videos without, what does a student gain from two frozen
# teachers, blended video by video?
#
# `method` is *timebalance*, or one of the baselines on the same network, data and number of steps:
# *supervised* (labels alone), *pseudo_label*, *mean_teacher*, *fixmatch*, *tg_fixmatch*. `blend`
# tells which teachers the student listens to: both by *similarity*, their *average*, or one alone.
#
# | | |
# | --- | --- |
# | needs | few labels; two runs of `30_timebalance_teachers`, `similarities.npz` of `31_timebalance_similarity` |
# | takes | 4 min on one core, supervised 2 |
# | gives | accuracy with the denominator, learning curves |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
method = "timebalance"  # timebalance, supervised, pseudo_label, mean_teacher, fixmatch, tg_fixmatch
fraction = 0.1  # labelled share of the training videos
label_list = ""  # file of labelled videos, lines of: path frames label; empty: drawn with seed
pretrained = ""  # backbone.pt to start from (TCLR, MoSI, MotionFit); empty: from scratch
invariant = ""  # timebalance: folders of runs of 30_timebalance_teachers; empty: the newest
distinctive = ""
similarities = ""  # timebalance: similarities.npz of 31_timebalance_similarity; empty: the newest
blend = "similarity"  # similarity, average, invariant, distinctive
calibration = "none"  # none, rank, minmax: spreads s over [0, 1] by the training videos
similarity_clips = 0  # clips behind s, the middle ones; 0: all
distance = "mse"  # mse, kl
labelled_weight = 50.0
unlabelled_weight = 100.0
threshold = 0.95  # pseudo_label and fixmatch: confidence of a label that is learned
baseline_weight = 1.0  # of a baseline's unlabelled loss
ramp = 0.3  # pseudo_label, mean_teacher: share of the training over which that weight rises
decay = 0.99  # mean_teacher: of the moving average
backbone = "r3d_10_dilated"
width = 0.125
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
flip = 0.5
weak_strong = False  # timebalance: teachers see the weak view, the student the strong one
steps = 1000  # as many as the teachers' fine-tuning: one budget for all rows
batch_size = 16  # labelled videos a step, and as many without label
lr = 0.001
warmup = 0.03  # share of the training
weight_decay = 1e-3
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a labelled video for its accuracy and for the baselines
publish = False  # put the curves among the project's figures
baselines = False  # linear classifiers of a static frame and of frame differences

# %%
from vidssl import runs

run = runs.start("32_timebalance_student", globals())
taught = method == "timebalance"
pretrained, invariant, distinctive, similarities = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False),
    *runs.teacher_needs(fraction, when=taught),
    runs.Need(
        "similarities",
        "31_timebalance_similarity",
        ("similarities.npz",),
        when=taught and blend == "similarity",
    ),
)

# %%
from dataclasses import replace

import numpy as np
import torch

from vidssl import models, visualize
from vidssl.core import derive_seed, one_of
from vidssl.data import (
    ClipDataset,
    MultiClipDataset,
    PairedDataset,
    TestTransform,
    TrainTransform,
    ViewTransform,
    WeakStrong,
    collate,
    label_fraction,
    read_label_list,
)
from vidssl.inference import predict, report
from vidssl.methods import semi_supervised, supervised, timebalance
from vidssl.methods.baselines import linear_baseline
from vidssl.models.pretrained import load_pretrained
from vidssl.training import TrainConfig, fit
from vidssl.visualize.widgets import progress_report

METHODS = (
    "timebalance", "supervised", "pseudo_label", "mean_teacher", "fixmatch", "tg_fixmatch",
)  # fmt: skip
one_of("method", method, METHODS)
splits = run.open_dataset(labelled=True)
labelled = (
    read_label_list(label_list, splits)
    if label_list
    else label_fraction(splits.train, fraction, seed)
)
known_ids = {record.video_id for record in labelled}
unlabelled = [record for record in splits.train if record.video_id not in known_ids]
if not unlabelled and method != "supervised":
    raise runs.ParameterError("every training video has a label, so none is left without")
print(
    f"{method}: {len(labelled)} labelled and {len(unlabelled)} unlabelled videos of "
    f"{splits.num_classes} classes, {len(splits.test)} test videos"
)

# %% [markdown]
# ## Clips

# %%
seen = unlabelled if method != "supervised" else []
store = run.open_frames([*labelled, *seen, *splits.test], short_side)
clip_settings = {"frames": frames, "stride": frame_stride, "store": store}
augmented = TrainTransform(size=size, short_side=short_side, flip=flip)
two_views = method in ("mean_teacher", "fixmatch", "tg_fixmatch") or weak_strong
strong = augmented if method == "mean_teacher" else ViewTransform(size=size, short_side=short_side)
views = WeakStrong(augmented, strong) if two_views else augmented
plain = TestTransform(size=size, short_side=short_side)
known = ClipDataset(labelled, **clip_settings, transform=augmented, seed=seed)
training = known
if method != "supervised":
    others = ClipDataset(
        unlabelled,
        **clip_settings,
        transform=views,
        seed=derive_seed(seed, "unlabelled"),
    )
    training = PairedDataset(known, others)
labelled_set = MultiClipDataset(labelled, **clip_settings, count=train_clips, transform=plain)
test_set = MultiClipDataset(splits.test, **clip_settings, count=test_clips, transform=plain)
sample = training[0]
shown = {"labelled": sample["clip"]}
if two_views:
    shown |= dict(zip(("unlabelled, first view", "unlabelled, second"), sample["unlabelled"]))
elif method != "supervised":
    shown |= {"unlabelled": sample["unlabelled"]}
figure = visualize.film_strip(
    list(shown.values()), titles=list(shown), note="one draw of the augmentation a clip"
)
figure

# %% [markdown]
# ## What is learned from
#
# A TimeBalance student listens to the fine-tuned teachers, which are frozen; the weight of each
# video is its temporal similarity.


# %%
def new_network(name="weights"):
    torch.manual_seed(derive_seed(seed, name))
    network = models.build(backbone, num_classes=splits.num_classes, width=width)
    if pretrained:
        load_pretrained(network, pretrained)
    return network


def video_weights():
    """video_id -> s of all training videos, and whether they are all alike."""
    if blend != "similarity":
        return {}, False
    video_ids = [record.video_id for record in [*labelled, *unlabelled]]
    raw = timebalance.load_similarities(similarities).of(video_ids).scores(similarity_clips)
    s = timebalance.calibrate(raw, calibration)
    print(f"s from {s.min():.2f} to {s.max():.2f}, mean {s.mean():.2f}")
    return dict(zip(video_ids, s.astype(np.float32).tolist())), timebalance.warn_if_alike(s)


model, network, degenerate = new_network(), None, False
semi = semi_supervised.SemiSupervisedConfig(
    threshold=threshold, weight=baseline_weight, decay=decay,
    ramp=ramp if method in ("pseudo_label", "mean_teacher") else 0.0,
)  # fmt: skip
if method == "timebalance":
    teachers = timebalance.load_finetuned(invariant, distinctive, fraction, splits.num_classes)
    scores, degenerate = video_weights()
    config = timebalance.StudentConfig(blend, distance, labelled_weight, unlabelled_weight)
    step = timebalance.student_step(teachers, scores, config)
elif method == "supervised":
    step = supervised.training_step
elif method == "pseudo_label":
    step = semi_supervised.pseudo_label_step(semi)
elif method == "mean_teacher":
    model = semi_supervised.MeanTeacher(model)
    step, network = semi_supervised.mean_teacher_step(semi), model.teacher
elif method == "fixmatch":
    step = semi_supervised.fixmatch_step(semi)
else:
    model = semi_supervised.TwoStreams(model, new_network("gradient weights"))
    step, network = semi_supervised.gradient_fixmatch_step(semi), model.rgb
network = network or model  # what is tested

# %% [markdown]
# ## Training

# %%
result = fit(
    model,
    training,
    step,
    TrainConfig.for_steps(
        steps,
        len(training),
        batch_size=batch_size,
        processes=processes,
        lr=lr,
        warmup=warmup,
        weight_decay=weight_decay,
        precision=precision,
        seed=seed,
        num_workers=num_workers,
    ),
    folder=run.checkpoint_folder,
    processes=processes,
    launcher=launcher,
    collate=collate,
    report=progress_report(),
    log=run.log,
)
print(
    f"{result.steps} steps in {result.seconds:.0f} s, {result.waiting_share:.0%} of it waiting "
    "for clips"
)

# %%
percent = f"{100 * fraction:g}"
note = f"{splits.name} · {scale} scale · {method}, {percent} % labels · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
run.save_figure(
    figure,
    "timebalance_student_curves",
    data=result.history,
    alt="Losses, accuracy on labelled videos, agreement of the teachers and of the student with "
    "them, over the training steps.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## Multi-clip evaluation

# %%
reports = {method: report(predict(network, test_set), splits.class_names)}
tested = reports[method]
train_accuracy = report(predict(network, labelled_set), splits.class_names).top1_accuracy
print(f"{method}: {tested.summary()}; labelled videos {train_accuracy:.1%}")
if baselines:
    for kind in ("static_frame", "frame_difference"):
        outputs = linear_baseline(kind, labelled_set, test_set, splits.num_classes)
        reports[kind] = report(outputs, splits.class_names)
        print(f"{kind}: {reports[kind].summary()}")
chance = 1 / splits.num_classes

# %%
figure = visualize.per_class_accuracy(
    tested.per_class_accuracy, splits.class_names, chance=chance, note=note
)
figure

# %% [markdown]
# ## What one should see
#
# The student fits the labelled videos and follows the blend more and more; where the teachers know
# more than the labels alone teach, it ends above the supervised network.

# %%
assert np.isfinite([row["loss"] for row in result.history]).all()
for each in reports.values():
    assert each.num_videos == len(splits.test), "a test video is missing from the denominator"

metrics = {
    "top1_accuracy": tested.top1_accuracy,
    "top5_accuracy": tested.top5_accuracy,
    "train_accuracy": train_accuracy,
    "per_class": np.round(tested.per_class_accuracy, 3).tolist(),
}
metrics |= {f"{k}_top1_accuracy": reports[k].top1_accuracy for k in reports if k != method}
logged = {name for row in result.history for name in row}
metrics |= {name: result.mean(name) for name in sorted(logged) if name.endswith("_score")}
run.finish(
    {
        **metrics,
        "chance": chance,
        "test_videos": len(splits.test),
        "labelled": len(labelled),
        "unlabelled": len(unlabelled),
        "degenerate": degenerate,
        "steps": result.steps,
        "training_seconds": result.seconds,
        "waiting_share": result.waiting_share,
    },
    seeds=[seed],
    failed=result.failed + list(tested.failed),
    data_hash=replace(splits, train=labelled).fingerprint if label_list else splits.fingerprint,
)
