# %% [markdown]
# # TimeBalance: temporal similarity
#
# **Question.** How alike do the times of a video look to each teacher, and does that tell
# repetitive videos from those made of ordered sub-actions?
#
# Consecutive clips of a video go through both self-supervised teachers (with projectors, before
# fine-tuning). How alike its times look to them becomes one number a video, $s$: what the invariant
# teacher's word will weigh.
#
# | | |
# | --- | --- |
# | needs | two runs of `30_timebalance_teachers`, with `objective` invariant and distinctive |
# | takes | 30 s on two cores |
# | gives | `similarities.npz`; how well $s$ tells the class groups |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
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
frame_stride = 7  # frames; 0: the clip is spread over the whole video
size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # GPUs that share the videos, one each
publish = False  # put the figures among the project's

# %%
from vidssl import runs

run = runs.start("31_timebalance_similarity", globals())
if clips < 2:
    raise ValueError(f"clips must be at least 2, to compare times of a video; got {clips}")
invariant, distinctive = run.inputs(*runs.teacher_needs(fraction))

# %% [markdown]
# ## Every video, once
#
# The clips stand in the middle of the video; a video too short for them is mirrored at its end.
# Matrices are kept, so that scores of fewer clips or another aggregate need no second pass.

# %%
from functools import partial

from vidssl import protocol
from vidssl.data import consecutive_clips
from vidssl.methods import timebalance

splits = run.open_dataset(labelled=True)
videos = [*splits.train, *splits.test]
teachers = [timebalance.load_teacher(folder) for folder in (invariant, distinctive)]
short = protocol.Clips.of(
    run.params, stride=local_stride, store=run.open_frames(videos, short_side)
)
tiles = short.chosen(videos, partial(consecutive_clips, count=clips))
computing = protocol.computing(run.params)
similarities = timebalance.measure_similarities(*teachers, tiles, **computing)
similarities.save(run.folder / "similarities.npz")
print(f"{len(similarities.video_ids)} videos, {len(similarities.failed)} could not be read")

# %% [markdown]
# ## From clips to a weight
#
# $z^I_k$ and $z^D_k$ are what the teachers' projectors say of the $k$-th of $N$ consecutive clips. How
# alike two times look to each teacher is a cosine, and what counts is the mean of both teachers:
#
# $$C^I_{kl} = \frac{z^I_k \cdot z^I_l}{\lVert z^I_k \rVert \, \lVert z^I_l \rVert}, \qquad
# C^D_{kl} = \frac{z^D_k \cdot z^D_l}{\lVert z^D_k \rVert \, \lVert z^D_l \rVert}, \qquad
# C = \frac{1}{2} (C^I + C^D)$$
#
# The score of a video is the mean of what $C$ says of *different* times, cut off at 0 and 1. How the
# paper aggregates $C$ is not published; this is the workbook's choice.
#
# $$s = \Big[ \frac{1}{N (N - 1)} \sum_{k \ne l} C_{kl} \Big]_0^1$$

# %%
import numpy as np
import torch
from torch.nn.functional import normalize

first = [record.video_id for record in videos].index(similarities.video_ids[0])
shown = tiles[first]["clips"][None]  # (1, N, 3, T, H, W): one video
c_invariant, c_distinctive = (
    unit @ unit.mT
    for unit in (
        normalize(timebalance.clip_embeddings(teacher, shown, precision), dim=-1)
        for teacher in teachers
    )
)
c = (c_invariant + c_distinctive)[0] / 2
s = c[~torch.eye(clips, dtype=torch.bool)].mean().clamp(0, 1)

scores = similarities.scores()
torch.testing.assert_close(s.item(), float(scores[0]), rtol=0, atol=1e-2)
print(f"{similarities.video_ids[0]}: s = {s:.3f}; as kept for all videos: {scores[0]:.3f}")

# %%
train_ids = {record.video_id for record in splits.train}
training = np.array([video_id in train_ids for video_id in similarities.video_ids])
degenerate = timebalance.warn_if_alike(scores[training])
low, middle, high = np.percentile(scores[training], [5, 50, 95])
print(
    f"s of {training.sum()} training videos: {low:.2f} to {high:.2f} for nine in ten, median "
    f"{middle:.2f}"
)

# %% [markdown]
# $s$ weighs the invariant teacher, $1 - s$ the distinctive one. Scores that are nearly all the same
# make a fixed mixture of the two: a warning above would say so.
#
# ## By class
#
# If the premise holds, repetitive classes have a high $s$ and ordered sub-actions a low one, whether
# their looks tell them, too (*both*), or not. What moves in *appearance* classes says nothing of the
# class, so their videos may lie anywhere.

# %%
from vidssl.visualize.teachers import weights_by_class

by_id = {record.video_id: record for record in videos}
named = [by_id[video_id].class_name for video_id in similarities.video_ids]
groups = dict(zip(splits.class_names, protocol.class_groups(splits.class_names)))
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

# %% [markdown]
# Read it from the top: where the colours of the groups are sorted, $s$ does what it is for; where they
# are mixed, it says little of the kind of motion. In one number: the area under the curve (AUC) is
# the chance that a repetitive video has a higher score than an ordered one; 0.5 is a coin.

# %%
from sklearn.metrics import roc_auc_score

metrics = {"s_mean": float(scores[training].mean()), "s_low": low, "s_high": high}
kinds = np.array([groups.get(name, "") for name in named])
told_apart = np.isin(kinds, ["repetitive", "ordered"])
aucs = {}
if len(set(kinds[told_apart])) == 2:
    alone = {"invariant": similarities.invariant, "distinctive": similarities.distinctive}
    of_matrices = {name: torch.from_numpy(matrices) for name, matrices in alone.items()}
    asked = {"both_teachers": scores}
    asked |= {f"{k}_alone": timebalance.score_of_matrices(m) for k, m in of_matrices.items()}
    if clips > 2:
        asked["two_clips"] = similarities.scores(2)
    repetitive = kinds[told_apart] == "repetitive"
    for name, values in asked.items():
        aucs[name] = float(roc_auc_score(repetitive, np.asarray(values)[told_apart]))
        print(f"{name.replace('_', ' ')}: repetitive above ordered with an AUC of {aucs[name]:.2f}")
    metrics |= {f"{name}_auc_score": auc for name, auc in aucs.items()}
    metrics |= {f"s_{kind}": float(scores[kinds == kind].mean()) for kind in sorted(set(kinds))}

# %% [markdown]
# ## Extremes
#
# The training videos with the highest, the middle and the lowest score.

# %%
from vidssl.visualize.teachers import temporal_similarity

ranked = np.flatnonzero(training)[np.argsort(scores[training])]
chosen = [int(ranked[-1]), int(ranked[len(ranked) // 2]), int(ranked[0])]
cut = partial(consecutive_clips, frames=frames, stride=local_stride, count=clips)
figure = temporal_similarity(
    [list(short.source(by_id[similarities.video_ids[i]], cut)) for i in chosen],
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
# From row to row $C_D$ should change more than $C_I$: an invariant teacher was trained to find times
# alike, whatever they show. Where $C_D$ is as bright as $C_I$, $s$ has little to go by.
#
# ## A video under the hand
#
# The matrices are the self-supervised teachers'; the bars are what the fine-tuned teachers say of
# the clip that is classified, which begins at the same frame, and of their blend.

# %%
from functools import lru_cache
from itertools import islice

from vidssl.core import normalise
from vidssl.data import clip_span, mirror_index, read_clip, readable_videos, uniform_clips
from vidssl.visualize.boards import DENSITY, teacher_board
from vidssl.visualize.widgets import Picture

predictors = timebalance.load_finetuned(invariant, distinctive, fraction, splits.num_classes)
picture = Picture()
measured = set(similarities.video_ids)
of_class = {}
for record in splits.test:
    if record.video_id in measured:
        of_class.setdefault(record.class_name, []).append(record)
first_of_class = {
    name: record for name, those in of_class.items() for record in islice(readable_videos(those), 1)
}


@lru_cache(maxsize=4)
def whole(name):
    """All frames of the video shown of a class."""
    return read_clip(first_of_class[name].path, np.arange)


# %%
def look(video, start, stride):
    frames_seen = whole(video)
    shown = frames_seen[consecutive_clips(len(frames_seen), frames, stride, clips, start)]
    embedded = [
        timebalance.clip_embeddings(teacher, short.plain(shown)[None]) for teacher in teachers
    ]
    s = timebalance.temporal_similarity(*embedded)
    timeline = mirror_index(start + frame_stride * np.arange(tuning_frames), len(frames_seen))
    if frame_stride == 0:
        [timeline] = uniform_clips(len(frames_seen), tuning_frames, 0, 1)
    classified = short.plain(frames_seen[timeline])
    said = [p.cpu() for p in predictors.predict(normalise(classified[None]))]
    said.append(timebalance.blend_teachers(*said, s))
    board = teacher_board(
        list(shown),
        [timebalance.similarity_matrices(z)[0].numpy() for z in embedded],
        s.item(),
        {name: p[0].numpy() for name, p in zip(("invariant", "distinctive", "blend"), said)},
        splits.class_names,
        true_class=video,
    )
    last = start + clip_span(clips * frames, stride) - 1
    answer = splits.class_names[int(said[-1].argmax())]
    words = f"frames {start} to {last}: s = {s.item():.2f}; the blend says {answer}"
    alt = f"clips of a video of class {video}, matrices of both teachers, bars of their answers"
    picture.show(board, f"{alt}: {words}", density=DENSITY)
    return words


# %% [markdown]
# Choose a test video by its class and move its clips along the timeline, or spread them (`stride`).

# %%
import ipywidgets as widgets

from vidssl.visualize.widgets import Playground, controls

panel = controls(
    look,
    video=widgets.Dropdown(options=list(first_of_class), description="class of the test video"),
    start=widgets.IntSlider(0, 0, 32, description="first frame"),
    stride=widgets.IntSlider(local_stride, 1, 4, description="stride"),
)
Playground([panel, picture])

# %% [markdown]
# Does the blend change its mind where $s$ changes? Mostly it does not: $s$ only decides where the
# teachers disagree.
#
# ## What one should see
#
# Times of a repetitive video look alike, above all to the invariant teacher, and $s$ tells nearly all
# of them from ordered ones: on record with an AUC of 0.97 and more, and hardly worse by one teacher
# alone. It depends on how well the teachers are trained: a distinctive teacher that still sits on its
# plateau finds all times alike. Whether such a weight is of use is asked in `33_timebalance_weights`.

# %%
spread = np.subtract(*np.percentile(scores[training], [95, 5]))
expectations = [
    runs.Expectation("scores of nine in ten videos are spread out", spread, timebalance.ALIKE)
]
expectations += [
    runs.Expectation(f"s, {name.replace('_', ' ')}: repetitive above ordered (AUC)", auc, 0.5)
    for name, auc in aucs.items()
]
run.finish(
    {**metrics, "degenerate": degenerate, "videos": len(similarities.video_ids)},
    seeds=[seed],
    failed=list(similarities.failed),
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `local_stride = 1`: clips shorter than a period of what repeats itself. Are repetitive videos still
#   the ones with a high $s$?
# - `clips = 4`: does a longer stretch tell the groups better?
# - `33_timebalance_weights`: whether $s$ is of any use to a blend.
