# %% [markdown]
# # TimeBalance: temporal similarity
#
# **Question.** How alike do the times of a video look to each teacher, and does that tell
# repetitive videos from those made of ordered sub-actions?
#
# Consecutive clips of a video go through both self-supervised teachers (with projectors, before
# fine-tuning). $C_I$ and $C_D$ are the cosine similarities of each time with each other, $C$ is
# their average, and the score $s$ is the mean of its off-diagonal entries. $s$ weighs the
# invariant teacher, $1 - s$ the distinctive one.
#
# | | |
# | --- | --- |
# | needs | two runs of `30_timebalance_teachers`, with `objective` invariant and distinctive |
# | takes | 2 min on two cores |
# | gives | `similarities.npz`; how well $s$ tells the class groups |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
invariant = ""  # folder of a run of 30_timebalance_teachers with this objective; empty: the newest
distinctive = ""
fraction = 0.1  # the labelled share behind the fine-tuned teachers that are shown
frames = 8
local_stride = 4  # of the consecutive clips: long enough for a period of what repeats itself
clips = 2  # consecutive clips of a video
tuning_frames = 8  # of the clip that is classified
frame_stride = 7
size = 32  # px
short_side = 40  # px
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
publish = False  # put the figures among the project's

# %%
from vidssl import runs

run = runs.start("31_timebalance_similarity", globals())
invariant, distinctive = run.inputs(*runs.teacher_needs(fraction))

# %%
from functools import lru_cache

import ipywidgets as widgets
import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from vidssl.core import VideoRecord, normalise
from vidssl.data import (
    ConsecutiveClipsDataset,
    TestTransform,
    clip_span,
    consecutive_clips,
    mirror_index,
    read_clip,
)
from vidssl.data.synthetic import scene_class
from vidssl.methods import timebalance
from vidssl.visualize.boards import DENSITY, teacher_board
from vidssl.visualize.teachers import temporal_similarity, weights_by_class
from vidssl.visualize.widgets import Picture, Playground, controls

splits = run.open_dataset(labelled=True)
videos: list[VideoRecord] = [*splits.train, *splits.test]


teachers = [timebalance.load_teacher(folder) for folder in (invariant, distinctive)]
predictors = timebalance.load_finetuned(invariant, distinctive, fraction, splits.num_classes)

# %% [markdown]
# ## Every video, once
#
# The clips stand in the middle of the video; a video too short for them is mirrored at its end.
# Matrices are kept, so that scores of fewer clips or another aggregate need no second pass.

# %%
plain = TestTransform(size=size, short_side=short_side)
tiles = ConsecutiveClipsDataset(
    videos,
    frames=frames,
    stride=local_stride,
    count=clips,
    transform=plain,
    store=run.open_frames(videos, short_side),
)
similarities = timebalance.measure_similarities(*teachers, tiles, num_workers=num_workers)
similarities.save(run.folder / "similarities.npz")
scores = similarities.scores()
train_ids = {record.video_id for record in splits.train}
training = np.array([video_id in train_ids for video_id in similarities.video_ids])
degenerate = timebalance.warn_if_alike(scores[training])
low, middle, high = np.percentile(scores[training], [5, 50, 95])
print(
    f"s of {training.sum()} training videos: {low:.2f} to {high:.2f} for nine in ten, median "
    f"{middle:.2f}; {len(similarities.failed)} videos could not be read"
)

# %% [markdown]
# ## By class
#
# If the premise holds, repetitive classes have a high $s$ and ordered sub-actions a low one. The
# area under the curve (AUC) is the chance that a repetitive video has a higher score than an
# ordered one; 0.5 is a coin.

# %%
by_id = {record.video_id: record for record in videos}
named = [by_id[video_id].class_name for video_id in similarities.video_ids]
groups = {name: scene_class(name).group for name in splits.class_names if dataset == "embedded"}
note = f"{splits.name} · {scale} scale · {clips} clips a video · seed {seed}"
figure = weights_by_class(scores, named, groups, note=note)
run.save_figure(
    figure,
    "timebalance_scores",
    data=[
        {"video_id": v, "class": c, "group": groups.get(c, ""), "s": float(s)}
        for v, c, s in zip(similarities.video_ids, named, scores)
    ],
    alt="Temporal similarity score of every video, a row a class, sorted by the classes' means.",
    dataset=splits.name,
    publish=publish,
)
figure

# %%
metrics = {"s_mean": float(scores[training].mean()), "s_low": low, "s_high": high}
kinds = np.array([groups.get(name, "") for name in named])
told_apart = np.isin(kinds, ["repetitive", "ordered"])
if len(set(kinds[told_apart])) == 2:
    both = {
        "both teachers": scores,
        "invariant alone": timebalance.score_of_matrices(torch.from_numpy(similarities.invariant)),
        "distinctive alone": timebalance.score_of_matrices(
            torch.from_numpy(similarities.distinctive)
        ),
    }
    if clips > 2:
        both["two clips"] = similarities.scores(2)
    for name, values in both.items():
        auc = roc_auc_score(kinds[told_apart] == "repetitive", np.asarray(values)[told_apart])
        metrics[f"{name.replace(' ', '_')}_auc_score"] = float(auc)
        print(f"{name}: repetitive above ordered with an AUC of {auc:.2f}")
    metrics |= {f"s_{kind}": float(scores[kinds == kind].mean()) for kind in sorted(set(kinds))}

# %% [markdown]
# ## Extremes
#
# The training videos with the highest and the lowest score.

# %%
ranked = np.flatnonzero(training)[np.argsort(scores[training])]
chosen = [int(ranked[-1]), int(ranked[len(ranked) // 2]), int(ranked[0])]


def strips(record):
    """The consecutive clips of a video as frames (clips, T, H, W, 3)."""
    frame_numbers = []

    def choose(length):
        frame_numbers.append(consecutive_clips(length, frames, local_stride, clips))
        return frame_numbers[0].ravel()

    shown = read_clip(record.path, choose)
    return shown.reshape(*frame_numbers[0].shape, *shown.shape[1:])


figure = temporal_similarity(
    [list(strips(by_id[similarities.video_ids[i]])) for i in chosen],
    similarities.invariant[chosen],
    similarities.distinctive[chosen],
    scores[chosen],
    titles=[named[i] for i in chosen],
    note=note,
)
run.save_figure(
    figure,
    "timebalance_matrices",
    data=[{"video_id": similarities.video_ids[i], "s": float(scores[i])} for i in chosen],
    alt="Film strips of three videos beside the temporal similarity matrices of both teachers and "
    "their average; from the highest score to the lowest.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## A video under the hand
#
# The matrices are the self-supervised teachers'; the bars are what the fine-tuned teachers say of
# the clip that is classified, which begins at the same frame, and of their blend.

# %%
picture = Picture()
first_of_class = {record.class_name: record for record in reversed(splits.test)}


@lru_cache(maxsize=4)
def whole(name):
    """All frames of the video shown of a class."""
    return read_clip(first_of_class[name].path, np.arange)


def look(video, start, stride):
    frames_seen = whole(video)
    places = consecutive_clips(len(frames_seen), frames, stride, clips, start)
    shown = frames_seen[places]
    clip = torch.stack([plain(each) for each in shown])[None]
    embedded = [timebalance.clip_embeddings(teacher, clip) for teacher in teachers]
    s = timebalance.temporal_similarity(*embedded)
    timeline = mirror_index(start + frame_stride * np.arange(tuning_frames), len(frames_seen))
    classified = normalise(plain(frames_seen[timeline])[None])
    p_invariant, p_distinctive = (p.cpu() for p in predictors.predict(classified))
    blend = timebalance.blend_teachers(p_invariant, p_distinctive, s)
    bars = {"invariant": p_invariant, "distinctive": p_distinctive, "blend": blend}
    last = start + clip_span(clips * frames, stride) - 1
    said = splits.class_names[int(blend.argmax())]
    words = f"frames {start} to {last}: s = {s.item():.2f}; the blend says {said}"
    board = teacher_board(
        list(shown),
        [timebalance.similarity_matrices(z)[0].numpy() for z in embedded],
        s.item(),
        {name: p[0].numpy() for name, p in bars.items()},
        splits.class_names,
        true_class=video,
    )
    alt = f"clips of a video of class {video}, matrices of both teachers, bars of their answers"
    picture.show(board, f"{alt}: {words}", density=DENSITY)
    return words


# %% [markdown]
# Choose a test video by its class and move its clips along the timeline, or spread them (`stride`).

# %%
panel = controls(
    look,
    video=widgets.Dropdown(options=list(first_of_class), description="class of the test video"),
    start=widgets.IntSlider(0, 0, 32, description="first frame"),
    stride=widgets.IntSlider(local_stride, 1, 4, description="stride"),
)
Playground([panel, picture])

# %% [markdown]
# ## What one should see
#
# Times of a repetitive video look alike, above all to the invariant teacher. How far $s$ tells the
# groups apart depends on how well the teachers are trained: a distinctive teacher that still sits
# on its plateau finds all times alike. Where nearly all scores are the same, blending is a fixed
# mixture, and a warning above says so.

# %%
assert len(similarities.video_ids) + len(similarities.failed) == len(videos), "a video is missing"
assert ((scores >= 0) & (scores <= 1)).all()
diagonals = np.diagonal(similarities.invariant, axis1=1, axis2=2)
assert np.allclose(diagonals, 1, atol=1e-3), "a clip is not like itself"
said, drawn = panel.said, picture.png
panel.widgets["start"].value = 8  # as if the slider of the first frame was moved
assert panel.said != said, "moving the clips changed nothing"
assert picture.png != drawn, "the matrices were not redrawn"
panel.widgets["start"].value = 0

run.finish(
    {**metrics, "degenerate": degenerate, "videos": len(similarities.video_ids)},
    seeds=[seed],
    failed=list(similarities.failed),
    data_hash=splits.fingerprint,
)
