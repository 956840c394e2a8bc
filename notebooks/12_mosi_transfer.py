# %% [markdown]
# # MoSI: transfer to few labelled videos
#
# **Question.** With only a handful of labelled videos a class, how much better does a network do
# that was pretrained on pseudo motions than its twin from scratch?
#
# Both are trained on the same videos with the same settings and tested on the same clips of each
# video. Three yardsticks stand beside them: chance, and linear classifiers that see a single frame
# or only frame differences.
#
# | | |
# | --- | --- |
# | needs | labelled videos, weights of `11_mosi_pretrain` |
# | takes | 3 min a training on one core |
# | gives | accuracy of each initialisation, with the denominator |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
pretrained = ""  # backbone.pt; empty: that of the newest 11_mosi_pretrain
initialisations = ["scratch", "mosi"]
videos_per_class = 5  # labelled videos; 0: all
label_list = ""  # file of the labelled videos, lines of: path frames label; empty: the training set
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
frozen_stages = []  # stages that keep their initial weights, e.g. ["stem", "conv2"]
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
accumulate = 1  # steps that share one update of the weights
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a training video for its accuracy and for the baselines
baselines = True

# %%
from vidssl import runs
from vidssl.core import one_of

run = runs.start("12_mosi_transfer", globals())
for name in initialisations:
    one_of("initialisations", name, ("scratch", "mosi"))
[pretrained] = run.inputs(
    runs.Need(
        "pretrained",
        "11_mosi_pretrain",
        ("backbone.pt",),
        {"backbone": backbone, "width": width},
        when="mosi" in initialisations,
    )
)

# %%
from dataclasses import replace

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
from vidssl.inference import predict, report
from vidssl.methods import supervised
from vidssl.methods.baselines import linear_baseline
from vidssl.models.pretrained import load_pretrained
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
test_set = MultiClipDataset(splits.test, **clip_settings, count=test_clips, transform=plain)
labelled_set = MultiClipDataset(labelled, **clip_settings, count=train_clips, transform=plain)
shown = (0, len(labelled) - 1)
figure = visualize.film_strip(
    [training[(epoch, index)]["clip"] for index in shown for epoch in range(2)],
    titles=[f"{labelled[i].class_name}, epoch {e}" for i in shown for e in range(2)],
    note="training clips: random crop, flip and colour jitter, one draw a clip",
)
figure

# %% [markdown]
# ## Training the twins

# %%
train_config = TrainConfig.for_steps(
    steps,
    len(labelled),
    batch_size=batch_size,
    processes=processes,
    lr=lr,
    warmup=warmup,
    weight_decay=weight_decay,
    accumulate=accumulate,
    precision=precision,
    seed=seed,
    num_workers=num_workers,
)


def initialised(name):
    """A fresh network: the same draw of the weights for every initialisation."""
    torch.manual_seed(derive_seed(seed, "weights"))
    model = models.build(backbone, num_classes=splits.num_classes, width=width)
    if name != "scratch":
        about = load_pretrained(model, pretrained)
        print(f"{name}: weights pretrained on {about['dataset']}, seed {about['seed']}")
    models.freeze(model, frozen_stages)
    return model


history, networks, failed = [], {}, []
for name in initialisations:
    model = initialised(name)
    print(f"--- {name}")
    result = fit(
        model,
        training,
        supervised.training_step,
        train_config,
        folder=run.checkpoint_folder and run.checkpoint_folder / name,
        processes=processes,
        launcher=launcher,
        collate=collate,
        report=progress_report(),
        log=lambda name=name, **row: run.log(initialisation=name, **row),
    )
    networks[name] = model
    failed += result.failed
    history += [{"initialisation": name, **row} for row in result.history]

# %%
note = f"{splits.name} · {scale} scale · {videos_per_class or 'all'} videos a class · seed {seed}"
if frozen_stages:
    note += f" · frozen: {', '.join(frozen_stages)}"
figure = visualize.learning_curves(history, by="initialisation", note=note)
figure

# %% [markdown]
# ## Multi-clip evaluation
#
# `test_clips` clips spread evenly over each test video, one centre crop, softmax averaged. A video that
# cannot be read counts as wrong and is named.

# %%
reports, train_accuracy = {}, {}
for name, model in networks.items():
    reports[name] = report(predict(model, test_set), splits.class_names)
    trained = report(predict(model, labelled_set), splits.class_names)
    train_accuracy[name] = trained.top1_accuracy
    print(f"{name}: {reports[name].summary()}; training videos {train_accuracy[name]:.1%}")

# %%
if baselines:
    for kind in ("static_frame", "frame_difference"):
        outputs = linear_baseline(kind, labelled_set, test_set, splits.num_classes)
        reports[kind] = report(outputs, splits.class_names)
        print(f"{kind}: {reports[kind].summary()}")
chance = 1 / splits.num_classes
print(f"chance: {chance:.1%}")

# %%
figure = visualize.per_class_accuracy(
    {name: reports[name].per_class_accuracy for name in networks},
    splits.class_names,
    chance=chance,
    note=note,
)
run.save_figure(
    figure,
    "mosi_transfer_per_class",
    data=[
        {"class": c, **{n: float(reports[n].per_class_accuracy[i]) for n in networks}}
        for i, c in enumerate(splits.class_names)
    ],
    alt="Accuracy of each class for each initialisation; the dashed line is chance.",
    dataset=splits.name,
)
figure

# %% [markdown]
# ## What one should see
#
# Every network fits its training videos; what differs is the test. At mini scale the pretrained
# network is far ahead with few labels.

# %%
for tested in reports.values():
    assert tested.num_videos == len(splits.test), "a test video is missing from the denominator"
settled = scale == "mini" and dataset == "embedded" and not frozen_stages
if settled and {"scratch", "mosi"} <= set(networks):
    assert reports["mosi"].top1_accuracy > reports["scratch"].top1_accuracy

metrics = {f"{name}_top1_accuracy": tested.top1_accuracy for name, tested in reports.items()}
metrics |= {f"{name}_top5_accuracy": reports[name].top5_accuracy for name in networks}
metrics |= {f"{name}_train_accuracy": train_accuracy[name] for name in networks}
metrics |= {
    f"{name}_per_class": np.round(reports[name].per_class_accuracy, 3).tolist() for name in networks
}
run.finish(
    {**metrics, "chance": chance, "test_videos": len(splits.test), "labelled": len(labelled)},
    seeds=[seed],
    failed=failed + [line for tested in reports.values() for line in tested.failed],
    data_hash=replace(splits, train=labelled).fingerprint if label_list else splits.fingerprint,
)
