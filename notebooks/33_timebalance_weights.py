# %% [markdown]
# # TimeBalance: what the weights do
#
# **Question.** Does the temporal similarity of a video say which teacher to believe?
#
# No student is trained here. Two fine-tuned teachers predict the test videos; their blend by $s$ is
# held against their plain average, against each alone, and against an oracle that always believes
# the teacher that is right. Before that, linear classifiers tell what each teacher knew before any
# label; at the end one video is walked through, window by window.
#
# | | |
# | --- | --- |
# | needs | two runs of `30_timebalance_teachers`, `similarities.npz` of `31_timebalance_similarity` |
# | takes | 3 min on one core |
# | gives | accuracy of the blends, weights by class group and along a video |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
invariant = ""  # folders of runs of 30_timebalance_teachers; empty: the newest
distinctive = ""
similarities = ""  # similarities.npz of 31_timebalance_similarity; empty: the newest
fraction = 0.1  # labelled share behind the fine-tuned teachers
video = ""  # video_id whose windows are shown; empty: the first one of ordered sub-actions
window_step = 2  # frames from one window to the next
frames = 8
local_stride = 3  # shorter than behind s, so that a window can move
clips = 2  # of a window
tuning_frames = 8  # of the clips that are classified
frame_stride = 7
size = 32  # px
short_side = 40  # px
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
test_clips = 10
probe_fraction = 1.0  # labelled share behind the linear classifiers on frozen features
probe_clips = 2  # clips of a video that these see
publish = False  # put the figures among the project's

# %%
from vidssl import runs

run = runs.start("33_timebalance_weights", globals())
invariant, distinctive, similarities = run.inputs(
    *runs.teacher_needs(fraction),
    runs.Need("similarities", "31_timebalance_similarity", ("similarities.npz",)),
)

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from vidssl import visualize
from vidssl.core import one_of
from vidssl.data import (
    MultiClipDataset,
    TestTransform,
    clip_span,
    consecutive_clips,
    label_fraction,
    read_clip,
)
from vidssl.data.scenes import trajectory
from vidssl.data.synthetic import scene_class
from vidssl.evaluation import linear_probe
from vidssl.inference import extract_features, predict
from vidssl.methods import timebalance
from vidssl.visualize.teachers import weights_along_video, weights_by_class

splits = run.open_dataset(labelled=True)
percent = f"{100 * fraction:g}"
note = f"{splits.name} · {scale} scale · {percent} % labels · seed {seed}"

# %% [markdown]
# ## Predictions of both teachers, and the scores of the same videos
#
# Calibrated scores are ranked against the training videos: what they would have weighed there.

# %%
plain = TestTransform(size=size, short_side=short_side)
store = run.open_frames([*splits.train, *splits.test], short_side)


def clips_of(records, count):
    """Clips as the fine-tuned teachers classify them."""
    return MultiClipDataset(
        records,
        frames=tuning_frames,
        stride=frame_stride,
        count=count,
        transform=plain,
        store=store,
    )


test_set = clips_of(splits.test, test_clips)
predictors = timebalance.load_finetuned(invariant, distinctive, fraction, splits.num_classes)
networks = dict(zip(("invariant", "distinctive"), predictors.networks))
said = {name: predict(network, test_set) for name, network in networks.items()}
labels, video_ids = said["invariant"].labels, said["invariant"].video_ids
assert video_ids == said["distinctive"].video_ids
kept = timebalance.load_similarities(similarities)
training = kept.of([r.video_id for r in splits.train if r.video_id in set(kept.video_ids)])
scores = kept.of(video_ids).scores()
weights = {
    "invariant": np.ones(len(scores)),
    "distinctive": np.zeros(len(scores)),
    "average": np.full(len(scores), 0.5),
    "s": scores,
    "s, ranked": timebalance.calibrate(scores, "rank", training.scores()),
    "s, min-max": timebalance.calibrate(scores, "minmax", training.scores()),
    "1 - s, ranked": 1 - timebalance.calibrate(scores, "rank", training.scores()),
}
degenerate = timebalance.warn_if_alike(scores)

# %% [markdown]
# ## What each knows before any label
#
# The page speaks of representations: the distinctive one is better where order matters, the invariant
# one where looks or repetition do. Fine-tuning all layers covers much of that, so here are linear
# classifiers on the frozen features of the pretrained teachers. Unless `probe_fraction` says less, they
# learn from all labels: it is the features that are asked, and a few labels would add their own draw.

# %%
groups = {name: scene_class(name).group for name in splits.class_names if dataset == "embedded"}
kinds = np.array([groups.get(splits.class_names[label], "all") for label in labels])
pretrained = {
    name: timebalance.load_teacher(folder)
    for name, folder in (("invariant", invariant), ("distinctive", distinctive))
}


def accuracies(name, right):
    """Share of right videos in all and in each class group; unreadable ones count as wrong."""
    total = len(labels) + len(said["invariant"].failed)
    row = {"weights": name, "all": right.sum() / total}
    return row | {kind: right[kinds == kind].mean() for kind in sorted(set(kinds))}


def frozen_accuracies(name):
    """Of a linear classifier on the pretrained teacher's features."""
    probed = label_fraction(splits.train, probe_fraction, seed)
    known, asked = (
        extract_features(pretrained[name].backbone, clips_of(records, probe_clips))
        for records in (probed, splits.test)
    )
    probed_as = linear_probe(known.values, known.labels, asked.values, splits.num_classes)
    return accuracies(f"frozen {name}", probed_as.argmax(1) == labels)


frozen = {name: frozen_accuracies(name) for name in pretrained}
display(pd.DataFrame([*frozen.values()]).style.format(precision=3).hide())

# %% [markdown]
# ## Whom to believe
#
# *1 - s* is the control: were $s$ of no use, it would do as well. The oracle is the share of videos
# that at least one teacher gets right, the most that any weight could reach.

# %%
p_invariant, p_distinctive = (torch.from_numpy(said[k].values) for k in said)
rows, right = [], {}
for name, weight in weights.items():
    s = torch.from_numpy(weight.astype(np.float32))
    blended = timebalance.blend_teachers(p_invariant, p_distinctive, s).numpy()
    right[name] = blended.argmax(1) == labels
    rows.append(accuracies(name, right[name]))
rows.append(accuracies("oracle", right["invariant"] | right["distinctive"]))
display(pd.DataFrame(rows).style.format(precision=3).hide())

# %% [markdown]
# ## Is the invariant teacher better where $s$ is high?
#
# Test videos in quarters of $s$: accuracy of both teachers in each.

# %%
QUARTERS = ("lowest", "second", "third", "highest")
quarters = np.array_split(np.argsort(scores, kind="stable"), len(QUARTERS))
by_quarter = []
for name in ("invariant", "distinctive"):
    for quarter, part in zip(QUARTERS, quarters):
        measured = {"mean": right[name][part].mean(), "ci95": None, "s": scores[part].mean()}
        about = {"row": name, "column": quarter, "scale": scale, "dataset": splits.name}
        by_quarter.append({**about, **measured})
figure = visualize.accuracy_by_setting(by_quarter, setting="quarter of the test videos by s")
run.save_figure(
    figure,
    "timebalance_quarters",
    data=by_quarter,
    alt="Accuracy of both teachers on test videos from the lowest to the highest quarter of s.",
    dataset=splits.name,
    publish=publish,
)
display(figure)
better = np.array(
    [right["invariant"][part].mean() - right["distinctive"][part].mean() for part in quarters]
)
points = ", ".join(f"{100 * gain:+.1f}" for gain in better)
print(f"invariant minus distinctive, from low to high s: {points} points")

# %%
figure = weights_by_class(
    weights["s, ranked"], [splits.class_names[k] for k in labels], groups,
    note=f"{note} · test videos, ranked against training videos",
)  # fmt: skip
run.save_figure(
    figure,
    "timebalance_weights",
    data=[
        {"video_id": v, "s": float(a), "ranked": float(b)}
        for v, a, b in zip(video_ids, scores, weights["s, ranked"])
    ],
    alt="Weight of the invariant teacher for every test video, a row a class.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## Along one video
#
# The same score for windows that slide over a test video, from both matrices and from each alone.
# Dashed lines are where one sub-action of the scene ends and the next begins.

# %%
by_id = {record.video_id: record for record in splits.test}
ordered = [r.video_id for r in splits.test if groups.get(r.class_name) == "ordered"]
video = video or (ordered or list(by_id))[0]
record = by_id[one_of("video", video, list(by_id))]
whole = read_clip(record.path, np.arange)
span = clip_span(clips * frames, local_stride)
starts = np.arange(0, max(1, len(whole) - span + 1), window_step)


def windows(network):
    """Embeddings (W, clips, P) of the clips of every window."""
    shown = [consecutive_clips(len(whole), frames, local_stride, clips, start) for start in starts]
    clip = torch.stack([plain(whole[row]) for window in shown for row in window])
    return timebalance.clip_embeddings(network, clip.unflatten(0, (len(starts), clips)))


z_invariant, z_distinctive = (windows(teacher) for teacher in pretrained.values())
lines = {
    "both": timebalance.temporal_similarity(z_invariant, z_distinctive).numpy(),
    "invariant": timebalance.temporal_similarity(z_invariant, z_invariant).numpy(),
    "distinctive": timebalance.temporal_similarity(z_distinctive, z_distinctive).numpy(),
}
boundaries = trajectory(run.scene_of(record)).boundaries if dataset == "embedded" else ()
figure = weights_along_video(
    starts + (span - 1) / 2, lines, whole, boundaries=boundaries, title=video, note=note
)
run.save_figure(
    figure,
    "timebalance_along_video",
    data=[
        {"first_frame": int(start), **{name: float(line[i]) for name, line in lines.items()}}
        for i, start in enumerate(starts)
    ],
    alt="Temporal similarity of sliding windows over one video, below its film strip.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## What one should see
#
# If the premise holds, the line of the invariant teacher crosses that of the distinctive one from
# low to high $s$, the blend by $s$ beats *1 - s*, and neither comes near the oracle. Where it does
# not hold at this scale, the table above shows which part fails.

# %%
table = {row["weights"]: row for row in rows}
assert all(0 <= row["all"] <= table["oracle"]["all"] for name, row in table.items()
           if name in ("invariant", "distinctive"))  # fmt: skip
metrics = {f"{name}_accuracy": float(row["all"]) for name, row in table.items()}
metrics |= {
    f"frozen_{name}_{kind}_accuracy": float(row[kind])
    for name, row in frozen.items()
    for kind in row
    if kind != "weights"
}
metrics |= {f"quarter_{i + 1}_gain": float(gain) for i, gain in enumerate(better)}
run.finish(
    {**metrics, "degenerate": degenerate, "test_videos": len(splits.test)},
    seeds=[seed],
    failed=list(said["invariant"].failed),
    data_hash=splits.fingerprint,
)
