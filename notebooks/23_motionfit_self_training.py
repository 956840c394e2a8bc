# %% [markdown]
# # MotionFit: self-training
#
# **Question.** Can a network that sees RGB only learn to name the motion clusters, so that flow is no
# longer needed?
#
# This is step 3 of MotionFit: an RGB student of any architecture predicts the pseudo-label of each
# clip's time, on videos without labels. With `target` "features" it matches the motion model's pooled
# features instead, which is the baseline MERS.
#
# | | |
# | --- | --- |
# | needs | source videos, `pseudo_labels.npz` (or `features.npz`) of `22_motionfit_pseudo_labels` |
# | takes | 4 min on one core |
# | gives | `backbone.pt`, accuracy on unseen videos |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
target = "pseudo_labels"  # or features: MERS
pseudo_labels = ""  # pseudo_labels.npz; empty: that of the newest 22_motionfit_pseudo_labels
features = ""  # features.npz, for target "features"; empty: likewise
neighbours = False  # also predict the pseudo-labels of the clips right before and after
clips = 3  # R, clips of each video in a training sample
multi_clip_weight = 1.0  # lambda of Eq. 3
validation = 0.1  # share of the source videos held out, whole groups
pretrained = ""  # backbone.pt to start from, e.g. of 11_mosi_pretrain; empty: from scratch
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2
size = 32  # px
short_side = 40  # px
flip = 0.0  # probability of mirroring a training clip: clusters may tell left from right
epochs = 5
batch_size = 16  # videos
optimizer = "adam"
schedule = "cosine"
milestones = []  # epochs, for schedule "step"
lr = 0.002
warmup_epochs = 0.2
weight_decay = 1e-4
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."

# %%
from vidssl import runs
from vidssl.core import one_of

run = runs.start("23_motionfit_self_training", globals())
one_of("target", target, ("pseudo_labels", "features"))
source, pretrained = run.inputs(
    runs.Need(target, "22_motionfit_pseudo_labels", (f"{target}.npz",)),
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False),
)

# %%
from dataclasses import replace

import numpy as np
import torch

from vidssl import models, visualize
from vidssl.core import derive_seed
from vidssl.data import collate
from vidssl.data.clip_table import load_clip_table
from vidssl.methods import motionfit
from vidssl.models.pretrained import load_pretrained, save_pretrained
from vidssl.training import TrainConfig, fit
from vidssl.visualize.widgets import progress_report

column = {"pseudo_labels": "label", "features": "feature"}[target]
table, about = load_clip_table(source, column)
splits = run.open_dataset()


def known(records):
    """Those of which the table knows something, without their labels."""
    return [replace(r, label=-1) for r in records if r.video_id in table.rows_of]


training = known(splits.train)
held_out = known(splits.test) if validation else []  # else they are the test videos
assert training, f"{source}: no video of this data set is in it"
print(
    f"{len(training)} videos for training, {len(held_out)} held out; "
    f"{len(splits.train) - len(training)} have no {column} and are left out"
)

# %% [markdown]
# ## Clips and the labels of their times

# %%
seen = motionfit.ClipSettings(
    "rgb", frames=frames, stride=frame_stride, size=size, short_side=short_side, flip=flip,
    store=run.open_frames([*training, *held_out], short_side),
)  # fmt: skip
training_set = seen.training(training, clips, seed)
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
# ## Training
#
# From random weights a student spends the mini scale on its first plateau; from weights that see
# motion in RGB already (MoSI's) it begins to tell clusters apart at once. What it is compared with
# should then start from them, too.

# %%
num_clusters = about["num_clusters"] if target == "pseudo_labels" else 0
config = motionfit.MotionFitConfig(
    clips=clips, multi_clip_weight=multi_clip_weight, neighbours=neighbours
)
torch.manual_seed(derive_seed(seed, "weights"))
student = models.build(backbone, num_classes=num_clusters, width=width)
if pretrained:
    load_pretrained(student, pretrained)
network = motionfit.MultiClipNetwork(student, config)
step = (
    motionfit.training_step(config, pseudo_labels=table)
    if target == "pseudo_labels"
    else motionfit.feature_matching_step(table, labelled=False)
)
result = fit(
    network,
    training_set,
    step,
    TrainConfig(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        milestones=tuple(milestones),
        lr=lr,
        warmup_epochs=warmup_epochs,
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
weights = save_pretrained(
    network.backbone, run.folder / "backbone.pt", method="motionfit", backbone=backbone, width=width,
    dataset=splits.name, seed=seed, target=target, taught_by=about["modality"],
    level=about.get("level", ""), num_clusters=num_clusters,
)  # fmt: skip
print(f"{result.steps} steps in {result.seconds:.0f} s; weights in {weights.name}")

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
# frequent cluster is the yardstick.

# %%
metrics, failed = {}, list(result.failed)
if target == "pseudo_labels":
    metrics["train_accuracy"] = result.mean("train_accuracy")
    shares = np.bincount(table.values) / len(table)
    metrics["majority_accuracy"] = shares.max()
else:
    metrics["feature_error"] = result.mean("feature_error")
if target == "pseudo_labels" and held_out:
    said, unread = motionfit.clip_features(
        network.backbone, seen.even(held_out, 5), output="logits"
    )
    rows = table.rows_at([str(name) for name in said.video_id], said.middle[:, None])[:, 0]
    right = said.values.argmax(1)[rows >= 0] == table.values[rows[rows >= 0]]
    metrics["validation_accuracy"] = right.mean()
    failed += unread
    print(
        f"cluster named rightly: {metrics['validation_accuracy']:.1%} of {len(right)} clips of "
        f"{len(held_out)} unseen videos; training {metrics['train_accuracy']:.1%}, most frequent "
        f"cluster {metrics['majority_accuracy']:.1%}"
    )

# %% [markdown]
# ## What one should see
#
# The student names the right one of many clusters far more often than the most frequent one occurs:
# it has learned to see motion in RGB. What that is worth is for `24_motionfit_transfer` to say.

# %%
assert np.isfinite([row["loss"] for row in result.history]).all()
if scale == "mini" and dataset == "embedded" and target == "pseudo_labels" and held_out:
    assert metrics["validation_accuracy"] > metrics["majority_accuracy"]

run.finish(
    {
        **metrics,
        "steps": result.steps,
        "training_seconds": result.seconds,
        "source_videos": len(training),
        "without_target": len(splits.train) - len(training),
    },
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
)
