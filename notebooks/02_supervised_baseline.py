# %% [markdown]
# # The supervised baseline
#
# **Question.** What does a network learn from the labels alone, and which classes does it confuse?
#
# Every later notebook is held against this one: the same network, trained with all labels or with
# a few a class. Beside its own classifier, its frozen features are judged by a linear probe and by
# their nearest neighbours. Three yardsticks see no learned feature: chance, and linear classifiers
# of a single frame and of frame differences.
#
# | | |
# | --- | --- |
# | needs | labelled videos |
# | takes | 3 min of training and 5 min of evaluation on two cores |
# | gives | accuracy with all labels or a few a class, confusions, `backbone.pt` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
videos_per_class = 0  # labelled videos; 0: all
label_list = ""  # file of the labelled videos, lines of: path frames label; empty: the training set
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
pretrained = ""  # backbone.pt to start from; empty: from scratch
frozen_stages = []  # stages that keep the pretrained weights, e.g. ["stem", "conv2"]
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
flip = 0.5
steps = 2000  # whole epochs of about so many steps, whatever the number of labels
batch_size = 16
lr = 0.001
warmup = 0.03  # share of the training
weight_decay = 1e-3
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a training video for its accuracy, its features and the baselines
neighbours = 20
trackers = []  # e.g. ["tensorboard"]: curves in the run's checkpoints/trackers

# %%
from vidssl import runs

run = runs.start("02_supervised_baseline", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)

# %%
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vidssl import models, visualize
from vidssl.core import derive_seed
from vidssl.data import (
    ClipDataset,
    MultiClipDataset,
    TestTransform,
    TrainTransform,
    collate,
    labelled_videos,
)
from vidssl.data.synthetic import scene_class
from vidssl.evaluation import knn, linear_probe
from vidssl.inference import extract_features, predict, report
from vidssl.methods import supervised
from vidssl.methods.baselines import linear_baseline
from vidssl.models.pretrained import load_pretrained, save_pretrained
from vidssl.training import TrainConfig, fit
from vidssl.visualize.widgets import progress_report

splits = run.open_dataset(labelled=True)
labelled = labelled_videos(splits, label_list=label_list, per_class=videos_per_class, seed=seed)
print(
    f"{len(labelled)} labelled videos of {splits.num_classes} classes, {len(splits.test)} test "
    "videos"
)

# %%
store = run.open_frames([*labelled, *splits.test], short_side)
clip_settings = {"frames": frames, "stride": frame_stride, "store": store}
augmented = TrainTransform(size=size, short_side=short_side, flip=flip)
plain = TestTransform(size=size, short_side=short_side)
training = ClipDataset(labelled, **clip_settings, transform=augmented, seed=seed)
labelled_set = MultiClipDataset(labelled, **clip_settings, count=train_clips, transform=plain)
test_set = MultiClipDataset(splits.test, **clip_settings, count=test_clips, transform=plain)
one_each = {record.label: i for i, record in reversed(list(enumerate(labelled)))}
shown = [one_each[label] for label in sorted(one_each)][:6]
figure = visualize.film_strip(
    [training[(0, i)]["clip"] for i in shown],
    titles=[labelled[i].class_name for i in shown],
    note="training clips: random crop, flip and colour jitter, one draw a clip",
)
figure

# %% [markdown]
# ## Training

# %%
torch.manual_seed(derive_seed(seed, "weights"))
model = models.build(backbone, num_classes=splits.num_classes, width=width)
if pretrained:
    about = load_pretrained(model, pretrained)
    print(f"weights pretrained on {about['dataset']}, seed {about['seed']}")
models.freeze(model, frozen_stages)

result = fit(
    model,
    training,
    supervised.training_step,
    TrainConfig.for_steps(
        steps,
        len(labelled),
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
    trackers=trackers,
)
save_pretrained(
    model, run.folder / "backbone.pt", method="supervised", backbone=backbone, width=width,
    dataset=splits.name, seed=seed,
)  # fmt: skip
print(
    f"{result.steps} steps in {result.seconds:.0f} s, {result.waiting_share:.0%} of it waiting "
    "for clips"
)

# %%
note = f"{splits.name} · {scale} scale · {videos_per_class or 'all'} videos a class · seed {seed}"
if label_list:
    note += f" · labels: {Path(label_list).name}"
figure = visualize.learning_curves(result.history, note=note)
figure

# %% [markdown]
# ## Test videos
#
# Clips spread evenly over each video, one centre crop, softmax averaged. A video that cannot be
# read counts as wrong and is named.

# %%
reports = {"network": report(predict(model, test_set), splits.class_names)}
train_accuracy = report(predict(model, labelled_set), splits.class_names).top1_accuracy
print(f"network: {reports['network'].summary()}; training videos {train_accuracy:.1%}")

# %% [markdown]
# ## Frozen features
#
# The pooled features under the classifier, averaged over a video's clips: how far do a linear
# classifier and a vote of the nearest training videos get with them? Here they were trained for
# these very classes, so both come near the network's own classifier; later notebooks ask the same
# of features that never saw a label.

# %%
known = extract_features(model, labelled_set)
asked = extract_features(model, test_set)
arrays = (known.values, known.labels, asked.values, splits.num_classes)
for name, probabilities in {
    "linear_probe": linear_probe(*arrays),
    "nearest_neighbours": knn(*arrays, k=neighbours),
}.items():
    reports[name] = report(replace(asked, values=probabilities), splits.class_names)
    print(f"{name}: {reports[name].summary()}")

# %% [markdown]
# ## Without learned features

# %%
for kind in ("static_frame", "frame_difference"):
    outputs = linear_baseline(kind, labelled_set, test_set, splits.num_classes)
    reports[kind] = report(outputs, splits.class_names)
    print(f"{kind}: {reports[kind].summary()}")
chance = 1 / splits.num_classes
print(f"chance: {chance:.1%}")

# %% [markdown]
# ## Which classes?
#
# The embedded data has three groups of classes: *repetitive* motions, *ordered* sub-actions that
# differ only in what comes first, and *appearance*: what a thing looks like, while it moves anyhow.

# %%
groups = [scene_class(name).group for name in splits.class_names] if dataset == "embedded" else []
per_class = {
    name: reports[name].per_class_accuracy
    for name in ("network", "static_frame", "frame_difference")
}
figure = visualize.per_class_accuracy(
    per_class, splits.class_names, groups=groups, chance=chance, note=note
)
run.save_figure(
    figure,
    "supervised_per_class",
    data=[
        {"class": c, **{name: float(accuracy[i]) for name, accuracy in per_class.items()}}
        for i, c in enumerate(splits.class_names)
    ],
    alt="Accuracy of each class for the network and two linear baselines; the dashed line is "
    "chance.",
    dataset=splits.name,
)
figure

# %%
confusion = reports["network"].confusion
figure = visualize.confusion_matrix(confusion, splits.class_names, note=note)
run.save_figure(
    figure,
    "supervised_confusion",
    data=[
        {"class": c, **dict(zip(splits.class_names, row.tolist()))}
        for c, row in zip(splits.class_names, confusion)
    ],
    alt="Confusion matrix of the test videos: rows are true classes, columns predicted ones.",
    dataset=splits.name,
)
figure

# %%
wrong = confusion - np.diag(np.diag(confusion))
for place in np.argsort(wrong, axis=None)[::-1][:3]:
    true, predicted = np.unravel_index(place, wrong.shape)
    if wrong[true, predicted]:
        print(
            f"{wrong[true, predicted]} of {confusion[true].sum()} {splits.class_names[true]} "
            f"videos were taken for {splits.class_names[predicted]}"
        )

# %% [markdown]
# ## What one should see
#
# A single frame says next to nothing about the motion classes, frame differences a little more. With
# all labels of the mini scale the network must be above both, which the next cell asks for; with few
# labels or a short training it need not be. A smoke run only shows that every step works.

# %%
for name, tested in reports.items():
    assert tested.num_videos == len(splits.test), "a test video is missing from the denominator"
    assert tested.confusion.sum() + len(tested.failed) == len(splits.test), name
if frozen_stages:
    assert not any(p.requires_grad for s in frozen_stages for p in model.stages()[s].parameters())
if scale == "mini" and dataset == "embedded" and not videos_per_class and not label_list:
    yardstick = max(reports[k].top1_accuracy for k in ("static_frame", "frame_difference"))
    assert reports["network"].top1_accuracy > yardstick > 0

metrics = {f"{name}_top1_accuracy": tested.top1_accuracy for name, tested in reports.items()}
metrics |= {
    "network_top5_accuracy": reports["network"].top5_accuracy,
    "network_train_accuracy": train_accuracy,
    "network_per_class": np.round(reports["network"].per_class_accuracy, 3).tolist(),
}
run.finish(
    {
        **metrics,
        "chance": chance,
        "test_videos": len(splits.test),
        "labelled": len(labelled),
        "steps": result.steps,
        "training_seconds": result.seconds,
    },
    seeds=[seed],
    failed=result.failed + list(reports["network"].failed),
    data_hash=replace(splits, train=labelled).fingerprint if label_list else splits.fingerprint,
)
