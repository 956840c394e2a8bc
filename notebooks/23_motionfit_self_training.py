# %% [markdown]
# # MotionFit: self-training
#
# **Question.** Can a network that sees RGB only learn to name the motion clusters, so that flow is no
# longer needed?
#
# This is step 3: an RGB student, of any architecture, predicts the pseudo-label of
# each clip's time, on videos without labels. With `target` "features" it matches the motion model's
# pooled features instead, which is the baseline MERS (Motion Emulating RGB Stream, Crasto et al., CVPR
# 2019).
#
# | | |
# | --- | --- |
# | needs | source videos, `pseudo_labels.npz` (or `features.npz`) of `22_motionfit_pseudo_labels` |
# | takes | 3 min on one core |
# | gives | `backbone.pt`, accuracy on unseen videos |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
source_side = "train"  # or "test": the test videos are the source
without_classes = ""  # file of class names, one a line, whose videos are left out
validation = 0.1  # share of the source videos held out, whole groups; 0: the test videos are
seed = 0
target = "pseudo_labels"  # or features: MERS
pseudo_labels = ""  # pseudo_labels.npz; empty: that of the newest 22_motionfit_pseudo_labels
features = ""  # features.npz, for target "features"; empty: likewise
neighbours = False  # also predict the pseudo-labels of the clips right before and after
clips = 3  # R, clips of each video in a training sample
multi_clip_weight = 1.0  # lambda of Eq. 3
pretrained = ""  # backbone.pt to start from, e.g. of 11_mosi_pretrain; empty: from scratch
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2
size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
augmentation = {"color": [0.5, 0.5, 0.5, 0.25], "grey": 0.3}  # what is not named is off
epochs = 5
batch_size = 16  # videos
optimizer = "adam"
schedule = "cosine"
milestones = []  # epochs, for schedule "step"
lr = 0.002
warmup = 0.04  # share of the training
weight_decay = 1e-4
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 5  # of an unseen video

# %%
from vidssl import runs
from vidssl.core import one_of

run = runs.start("23_motionfit_self_training", globals())
one_of("target", target, ("pseudo_labels", "features"))
source, pretrained = run.inputs(
    runs.Need(target, "22_motionfit_pseudo_labels", (f"{target}.npz",)),
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False),
)

# %% [markdown]
# ## The source videos
#
# Those of which the table knows something, without their labels. A video without readable flow has no
# pseudo-label; it is left out, named and counted.

# %%
from dataclasses import replace

from vidssl import protocol, visualize
from vidssl.data import known_videos
from vidssl.data.clip_table import load_clip_table

column = {"pseudo_labels": "label", "features": "feature"}[target]
table, about = load_clip_table(source, column)
splits = run.open_dataset()
known, without = known_videos(splits.train, table.rows_of, f"has no {column} in {source}")
training, held_out = (
    [replace(record, label=-1) for record in records]
    for records in (known, splits.test if validation else ())
)
told = (
    f"{len(training)} videos for training, {len(held_out)} held out; {len(without)} have no "
    f"{column} and are left out"
)
print(told, *without, sep="\n  ")

# %% [markdown]
# ## Clips and the labels of their times

# %%
from vidssl.methods import motionfit

seen = protocol.Clips.of(run.params, store=run.open_frames([*training, *held_out], short_side))
training_set = seen.training(training, seed, clips)
sample = training_set[0]
titles = [f"frames {first} to {after - 1}" for first, after in sample["times"].tolist()]
if target == "pseudo_labels":
    wanted = motionfit.labels_at(table, [sample["video_id"]], sample["times"][None])[0]
    titles = [f"{title}: cluster {k}" for title, k in zip(titles, wanted.tolist())]
figure = visualize.film_strip(
    list(sample["clips"]), titles=titles, note=f"one training sample: {sample['video_id']}"
)
figure

# %% [markdown]
# One video may be several clusters in turn: a label holds for a time, not for a video. Every clip has
# colours of its own, and the clusters come from flow, which has none: colours will not tell them.
#
# ## Training
#
# The loss is that of step 1 (the paper's Eq. 3, on page `21_motionfit_motion_model`) over $R$ clips of
# each of $B$ videos, with the pseudo-label $\hat{y}$ of the middle $t_{b,i}$ of each clip in place of the
# class, and $\tilde{y}$ what the student says of it:
#
# $$\mathcal{L} = \frac{\lambda}{B} \sum_{b=1}^{B} \frac{1}{R} \sum_{i=1}^{R}
# \mathcal{L}_{class}\bigl(\hat{y}_b(t_{b,i}), \tilde{y}_{b,i}\bigr) + (1 - \lambda)\mathcal{L}_{co}$$
#
# $\mathcal{L}_{co}$ asks for the order of the clips; with $\lambda = 1$ it is off. `neighbours` adds two
# heads for the pseudo-labels one clip length before and after. The loss of MERS is the squared distance
# to the $D$ features of the teacher, $\frac{50}{D} \|f - f^{flow}\|_2^2$.

# %%
named = target == "pseudo_labels"
visualize.source(motionfit.labels_at if named else motionfit.feature_matching_step)

# %% [markdown]
# From random weights a student learns little at the mini scale: those on record, of another network,
# name 2 to 17 % of 64 clusters. From weights that see motion in RGB already (MoSI's) it tells clusters
# apart sooner, 19 to 33 % of the same ones. What it is compared with should then start from them, too.

# %%
from vidssl.models.pretrained import save_pretrained

num_clusters = about["num_clusters"] if target == "pseudo_labels" else 0
config = motionfit.MotionFitConfig(
    clips=clips, multi_clip_weight=multi_clip_weight, neighbours=neighbours
)
student, _ = protocol.start_network(
    pretrained, backbone=backbone, width=width, num_classes=num_clusters, seed=seed
)
step = (
    motionfit.training_step(config, pseudo_labels=table)
    if target == "pseudo_labels"
    else motionfit.feature_matching_step(table, labelled=False)
)
tuning = protocol.Tuning.of(run.params)
result = protocol.train(
    motionfit.MultiClipNetwork(student, config),
    training_set,
    step,
    tuning,
    seed=seed,
    **run.outputs(),
)
save_pretrained(
    student, run.folder / "backbone.pt", method="motionfit", backbone=backbone, width=width,
    dataset=splits.name, seed=seed, target=target, taught_by=about["modality"],
    level=about.get("level", ""), num_clusters=num_clusters,
)  # fmt: skip
print(result.summary())

# %%
note = f"{splits.name} · {scale} scale · {target.replace('_', '-')} · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
run.save_figure(
    figure,
    "motionfit_self_training_curves",
    data=result.history,
    alt="Loss falls over the training steps.",
    dataset=splits.name,
)
figure

# %% [markdown]
# ## Videos that training never saw
#
# How often does the student name the motion cluster of a clip from RGB alone? Always naming the most
# frequent cluster is the yardstick. Every clip of a time that has a pseudo-label counts; the clips of
# a video that cannot be read count as wrong.

# %%
import numpy as np
import torch

metrics, failed = {}, [*without, *result.failed]
if target == "pseudo_labels":
    metrics["train_accuracy"] = result.mean("train_accuracy")
    metrics["majority_accuracy"] = (np.bincount(table.values) / len(table)).max()
else:
    metrics["feature_error"] = result.mean("feature_error")
    print(f"squared distance to the teacher's features: {metrics['feature_error']:.3f}")
labelled = sum(record.video_id in table.rows_of for record in held_out)
if target == "pseudo_labels" and labelled:
    said, unread = motionfit.clip_features(
        student,
        seen.even(held_out, test_clips),
        output="logits",
        **protocol.computing(run.params),
    )
    truth = motionfit.labels_at(
        table, said.video_id, torch.from_numpy(np.stack([said.start, said.stop], axis=1))[:, None]
    )[:, 0]
    asked = int((truth >= 0).sum()) + test_clips * len(unread)
    right = int((torch.from_numpy(said.values.argmax(1)) == truth).sum())
    metrics |= {"validation_accuracy": right / asked, "validation_clips": asked}
    metrics["validation_without_target"] = len(held_out) - labelled
    failed += unread
    print(
        f"cluster named rightly: {right / asked:.1%} of {asked} clips of {len(held_out)} unseen "
        f"videos; training {metrics['train_accuracy']:.1%}, most frequent cluster "
        f"{metrics['majority_accuracy']:.1%}"
    )

# %% [markdown]
# Near the accuracy in training, the student has learned motions; far below it, its videos by heart. It
# may be above it, too: training changes the colours, and its accuracy is counted on the way. MERS names
# nothing; of it only the distance at the end of the training is told, squared, for the mean feature.
#
# ## What one should see
#
# The student names the right one of many clusters far more often than the most frequent one occurs:
# on record 18 to 29 % of the clips, where that one has 4 to 8 %. It has learned to see motion in RGB.
# What that is worth is for `03_transfer` and `24_motionfit_retrieval` to say; over several seeds it is
# ahead of scratch, and open against MoSI, which it began as (`docs/results.md`).

# %%
expectations = []
if "validation_accuracy" in metrics:
    accuracy, usual = metrics["validation_accuracy"], metrics["majority_accuracy"]
    expectations.append(
        runs.Expectation("clusters are named above the most frequent one", accuracy, usual)
    )
run.finish(
    {
        **metrics,
        **protocol.spent(result, tuning, len(training_set), clips),
        "source_videos": len(training),
        "without_target": len(without),
    },
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `neighbours = True`: naming what comes before and after; the paper gains 0.4 points.
# - `target = "features"`: the teacher's features instead of its clusters (MERS).
# - `backbone = "s3dg"`: the labels of one motion model teach any network.
# - `03_transfer` with `starts = {"scratch": "", "motionfit": ""}`: what is it worth with few labels?
