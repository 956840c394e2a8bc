# %% [markdown]
# # MotionFit: the motion model
#
# **Question.** With a handful of labelled videos a class, does a network learn more from how things
# move than from what they look like, and does it help to see several clips of a video at once?
#
# This is step 1 of MotionFit, $M_{MPLG}$: a classifier of optical flow. The same page trains its
# appearance counterpart (`modality`), and, without labels, a network on the order of clips alone
# (`multi_clip_weight` 0).
#
# | | |
# | --- | --- |
# | needs | labelled videos; their flow is extracted once |
# | takes | 2 min on one core, and 4 min for the flow on two |
# | gives | `motion_model.pt`, its accuracy, `predictions.npz` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
modality = "flow"  # flow or rgb
flow = ""  # folder of extracted flow; empty: beside the data, made where it is missing
flow_method = "farneback"  # reference, fast, torch, dis, farneback
flow_side = 64  # px of the short side that flow is computed at
videos_per_class = 5  # labelled videos; 0: no limit
label_fraction = 0.0  # or a share of each class; 0: no limit
held_out = 0.0  # share of the labelled videos that are not trained on but watched, whole groups
clips = 3  # R, clips of each video in a training sample
multi_clip_weight = 1.0  # lambda of Eq. 3; 0: clip order alone, without labels
pretrained = ""  # weights to start from; empty: from scratch
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2
size = 32  # px
short_side = 40  # px
augmentation = {"color": [0.5, 0.5, 0.5, 0.25], "grey": 0.3}  # of RGB; what is not named is off
steps = 600  # whole epochs of about so many steps, whatever the number of labels
epochs = 0  # or so many epochs
batch_size = 8  # videos
optimizer = "adam"
schedule = "cosine"
milestones = []  # epochs, for schedule "step"
lr = 0.003
warmup = 0.03  # share of the training
weight_decay = 1e-4
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a training video for its accuracy and for the yardsticks
baselines = False  # the yardsticks: linear classifiers of a single frame and of frame differences

# %%
from vidssl import runs

run = runs.start("21_motionfit_motion_model", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)

# %% [markdown]
# ## The labelled videos

# %%
from vidssl import protocol, visualize
from vidssl.data import labelled_videos, validation_split

splits = run.open_dataset(labelled=True)
labelled = labelled_videos(splits, per_class=videos_per_class, fraction=label_fraction, seed=seed)
watched = []
if held_out:
    labelled, watched = validation_split(labelled, held_out, seed)
print(
    f"{len(labelled)} labelled videos of {splits.num_classes} classes to train on, {len(watched)} "
    f"to watch, {len(splits.test)} test videos"
)

# %% [markdown]
# ## Clips of flow
#
# Field $t$ of a video's flow leads from frame $t$ to frame $t + 1$, so a flow clip and an RGB clip
# at the same indices show the same stretch of time. Colour is direction, saturation is speed; with
# `modality = "rgb"` the frames themselves are shown, and learned from. The $R$ clips of a sample do
# not overlap where the video is long enough.

# %%
from vidssl.visualize.flow import flow_frames

source = run.open_flow() if modality == "flow" else {}
if modality == "rgb" or baselines:
    source["store"] = run.open_frames([*labelled, *watched, *splits.test], short_side)
seen = protocol.Clips.of(run.params, **source)
training = seen.training(labelled, seed, clips)
sample = training[0]
figure = visualize.film_strip(
    [clip if modality == "rgb" else flow_frames(clip.numpy()) for clip in sample["clips"]],
    titles=[f"frames {first} to {after - 1}" for first, after in sample["times"].tolist()],
    note=f"one training sample: {clips} clips of {sample['video_id']}",
)
figure

# %% [markdown]
# In flow a background that drifts has one pale colour, what moves before it another. The thousand looks
# that one motion can have are gone: that is what a few labels have to be enough for.
#
# ## Several clips at once
#
# The loss of a video $b$ is the mean over its $R$ clips, each with its own softmax (Eq. 1):
#
# $$\mathcal{L}_{mc} = \frac{1}{B} \sum_{b=1}^{B} \left( \frac{1}{R} \sum_{i=1}^{R}
# \mathcal{L}_{class}(y_{b,i}, \tilde{y}_{b,i}) \right)$$
#
# One long clip would average the features of the action with those of everything around it. Here a
# clip that shows the action is told by its own features, and one that shows none, and can say
# little, costs only its own share.

# %%
from vidssl.losses import clip_order_loss, multi_clip_loss, shuffle_clips

visualize.source(multi_clip_loss)

# %% [markdown]
# In the code a clip may also have no label, which [23](23_motionfit_self_training.ipynb) needs: it counts
# in neither mean.
#
# ## Their order as a task
#
# $R$ clips can stand in $R!$ orders. Telling which one they were shuffled into needs no label
# (Eq. 2, from VCOP); $\lambda$ weighs both tasks (Eq. 3):
#
# $$\mathcal{L}_{co} = \frac{1}{B} \sum_{b=1}^{B} \mathcal{L}_{order}(p_b, \tilde{p}_b) \qquad
# \mathcal{L}_{batch} = \lambda \mathcal{L}_{mc} + (1 - \lambda) \mathcal{L}_{co}$$

# %%
from vidssl.methods import motionfit

visualize.source(shuffle_clips, clip_order_loss, motionfit.training_step)

# %% [markdown]
# It is the features that are shuffled, not the clips: what a clip's features are does not depend on
# its place, so one pass through the network serves both tasks.
#
# ## Training
#
# Every $R$ gets the same number of steps, as in the paper; with $R = 3$ a step holds three times the
# clips.

# %%
from vidssl.models.pretrained import save_pretrained

config = motionfit.MotionFitConfig(clips=clips, multi_clip_weight=multi_clip_weight)
backbone_network, about = protocol.start_network(
    pretrained,
    backbone=backbone,
    width=width,
    num_classes=splits.num_classes if multi_clip_weight else 0,
    seed=seed,
    in_channels=seen.channels,
)
if about:
    print(f"weights pretrained by {about['method']} on {about['dataset']}, seed {about['seed']}")
tuning = protocol.Tuning.of(run.params)
result = protocol.train(
    motionfit.MultiClipNetwork(backbone_network, config),
    training,
    motionfit.training_step(config, prepare=seen.prepare),
    tuning,
    seed=seed,
    **run.outputs(),
)
save_pretrained(
    backbone_network, run.folder / "motion_model.pt", modality=modality, backbone=backbone,
    width=width, method="multi-clip" if multi_clip_weight else "clip order", dataset=splits.name,
    seed=seed,
)  # fmt: skip
print(result.summary())

# %%
note = f"{splits.name} · {scale} scale · {modality} · {clips} clips a video · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
figure

# %% [markdown]
# ## Test videos
#
# Clips spread evenly over each video, centre crops, softmax averaged. A video whose flow cannot be
# read counts as wrong and is named. Without labels (`multi_clip_weight` 0) there is no classifier to
# test; its weights are what `pretrained` is for.

# %%
from vidssl.inference import predict, report, save_predictions

metrics, failed = {"pretrained_by": about.get("method", "")}, list(result.failed)
if multi_clip_weight:
    judged = protocol.judge(
        backbone_network,
        splits,
        labelled,
        seen,
        test_clips=test_clips,
        train_clips=train_clips,
        **protocol.computing(run.params),
    )
    save_predictions(run.folder / "predictions.npz", {modality: judged.outputs})
    metrics |= judged.metrics()
    failed += judged.failed
    print(f"{modality}: {judged.summary()}")
if multi_clip_weight and watched:
    computing = protocol.computing(run.params)
    outputs = predict(backbone_network, seen.even(watched, test_clips), seen.prepare, **computing)
    metrics["held_out_accuracy"] = report(outputs, splits.class_names).top1_accuracy
    print(f"videos held out, whole groups: {metrics['held_out_accuracy']:.1%}")
if multi_clip_weight < 1:
    metrics["order_accuracy"] = result.mean("order_accuracy")
    print(f"order of training clips: {metrics['order_accuracy']:.1%}")

# %%
chance = 1 / splits.num_classes
if multi_clip_weight:
    figure = visualize.per_class_accuracy(
        {modality: judged.test.per_class_accuracy},
        splits.class_names,
        groups=protocol.class_groups(splits.class_names),
        chance=chance,
        note=note,
    )
    run.save_figure(
        figure,
        "motionfit_motion_model_per_class",
        data=[
            {"class": c, "accuracy": float(a)}
            for c, a in zip(splits.class_names, judged.test.per_class_accuracy)
        ],
        alt="Accuracy of each class; the dashed line is chance.",
        dataset=splits.name,
    )
figure if multi_clip_weight else None

# %% [markdown]
# Of the embedded classes, *appearance* ones differ in looks alone: flow cannot tell them, and should
# not. A class that stays low without being one of these moves like another.
#
# ## Beside what sees no learned feature

# %%
yardsticks = {}
if baselines:
    yardsticks = protocol.yardsticks(splits, labelled, seen, seed=seed)
for kind, found in yardsticks.items():
    metrics[f"{kind}_top1_accuracy"] = found.top1_accuracy
print(f"chance: {chance:.1%}")

# %% [markdown]
# ## What flow costs
#
# A motion model needs flow wherever it is used: here it is computed once more for a few videos.

# %%
import time
from itertools import islice

import numpy as np

from vidssl.data import read_clip, readable_videos, resize_short_side
from vidssl.motion.flow import optical_flow

if modality == "flow":
    spread = splits.test[:: max(1, len(splits.test) // 4)]
    timed = list(islice(readable_videos(spread), 4))
    began = time.perf_counter()
    for record in timed:
        optical_flow(resize_short_side(read_clip(record.path, np.arange), flow_side), flow_method)
    metrics["flow_seconds_a_video"] = (time.perf_counter() - began) / max(1, len(timed))
    print(f"flow by {flow_method}: {metrics['flow_seconds_a_video']:.2f} s a video")

# %% [markdown]
# That is the reason for steps 2 and 3: what this network knows is to be told to one of RGB.
#
# ## What one should see
#
# Each of the two counterparts knows what the other lacks. From a few labels the motion model is far
# above `modality = "rgb"` on *repetitive* and *ordered* classes; the four *appearance* classes stay near
# chance for it, those of *both* at half of what their order says, and there looks are far ahead. Over all
# classes it need not be ahead, then: half of them are told by their scene, wholly or in part.

# %%
from math import factorial

number = len(splits.test)
expectations = []
if multi_clip_weight:
    known = {"chance": chance}
    known |= {kind.replace("_", " "): r.top1_accuracy for kind, r in yardsticks.items()}
    expectations += [
        runs.Expectation(f"{modality} is ahead of {name}", metrics["top1_accuracy"], above, number)
        for name, above in known.items()
    ]
if multi_clip_weight < 1:
    expectations.append(
        runs.Expectation(
            "orders are told above chance", metrics["order_accuracy"], 1 / factorial(clips)
        )
    )
run.finish(
    {
        **metrics,
        "chance": chance,
        "test_videos": number,
        "labelled": len(labelled),
        **protocol.spent(result, tuning, len(training), clips),
    },
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `modality = "rgb"`: the same labels, looks instead of motion.
# - `clips = 1`, then 2 and 4: what several clips are worth to flow, and what to RGB.
# - `multi_clip_weight = 0.5`: the paper saw no gain from clip order beside several clips.
# - `flow_method = "fast"` (TV-L1): does better flow make a better network?
# - over seeds, with intervals: `vidssl run motionfit_multiclip`, read in `25_motionfit_tables`.
