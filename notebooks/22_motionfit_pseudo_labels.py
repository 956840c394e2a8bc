# %% [markdown]
# # MotionFit: pseudo-labels
#
# **Question.** Do the motion model's features fall into clusters that mean something, and over which
# stretch of time should a pseudo-label hold: a clip, a segment, or the whole video?
#
# This is step 2: features of densely sampled clips of unlabelled videos, averaged
# over segments of four granularities, clustered by k-means. A pseudo-label belongs to a video and a
# time. The labels of these videos are used to judge the clusters, never to make them.
#
# | | |
# | --- | --- |
# | needs | source videos, `motion_model.pt` of `21_motionfit_motion_model` |
# | takes | 2 min on one core |
# | gives | `features.npz`, `pseudo_labels.npz`; purity, a map of the features |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
source_side = "train"  # or "test": the test videos are the source
without_classes = ""  # file of class names, one a line, whose videos are left out
seed = 0
modality = "flow"  # flow or rgb: that of the motion model
flow = ""  # folder of extracted flow; empty: beside the data, made where it is missing
flow_method = "farneback"  # reference, fast, torch, dis, farneback
flow_side = 64  # px of the short side that flow is computed at
motion_model = ""  # motion_model.pt; empty: that of the newest 21_motionfit_motion_model
features = ""  # features.npz of an earlier run of the same model; empty: extracted here
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2
size = 32  # px
short_side = 40  # px
precision = "no"  # bf16 on a GPU
dense_step = 4  # frames from one clip to the next
level = "clip"  # clip, thirds, boundaries, video
percentile = 75.0  # of Eq. 4, for level "boundaries"
num_clusters = 64
compare = ""  # features.npz of a model of the other modality, drawn beside this one's
boundary_tolerance = 8  # frames
tsne_clips = 600
perplexity = 30.0
publish = False  # put the drawing, the gallery and the map among the project's figures
num_workers = 0
processes = 1  # GPUs that share the videos, one each

# %%
from vidssl import runs

run = runs.start("22_motionfit_pseudo_labels", globals())
taught = {"modality": modality, "backbone": backbone, "width": width}
features, motion_model, compare = run.inputs(
    runs.Need("features", required=False),
    runs.Need(
        "motion_model",
        "21_motionfit_motion_model",
        ("motion_model.pt",),
        taught,
        when=not features,
    ),
    runs.Need("compare", required=False),
)
splits = run.open_dataset()
records = {record.video_id: record for record in splits.train}
print(f"{len(records)} source videos, taken without their labels")

# %% [markdown]
# ## Features of dense clips
#
# A clip begins each `dense_step` frames of every source video $V_i$; the motion model's pooled
# features of it are $f_{i,t}$, so that $F_i = \{f_{i,t}\}_{t=1}^{T_i}$. A video whose flow cannot be
# read has none: it gets no pseudo-label, and is counted.

# %%
import numpy as np

from vidssl import protocol, visualize
from vidssl.data import known_videos
from vidssl.data.clip_table import load_clip_table
from vidssl.methods import motionfit

failed, about = [], {}
if features:
    table, about = load_clip_table(features, "feature")
    _, failed = known_videos(splits.train, table.rows_of, f"has no features in {features}")
    if others := [name for name in table.rows_of if name not in records]:
        raise ValueError(f"{features} knows {others[0]!r}, which is no source video here")
else:
    source = run.open_flow() if modality == "flow" else {}
    seen = protocol.Clips.of(run.params, **source)
    model, about = protocol.start_network(
        motion_model,
        backbone=backbone,
        width=width,
        num_classes=0,
        seed=seed,
        in_channels=seen.channels,
    )
    table, failed = motionfit.clip_features(
        model,
        seen.dense(splits.train, dense_step),
        prepare=seen.prepare,
        **protocol.computing(run.params),
    )
    table.save(run.folder / "features.npz", "feature", **about)
counts = np.array([len(rows) for rows in table.rows_of.values()])
each = " to ".join(map(str, dict.fromkeys((counts.min(), counts.max()))))
print(
    f"{len(table)} clips of {len(counts)} videos ({each} a video), "
    f"{table.values.shape[1]} features each; {len(records) - len(counts)} videos have none"
)

# %% [markdown]
# ## Segments
#
# Clip level takes $H_i = F_i$, video level the mean of $F_i$, and thirds the means of three equal
# parts. Level `boundaries` lets the features say where a segment ends: where they change abruptly
# (Eq. 4), with $\tau$ the $p$-th percentile of the video's own distances.
#
# $$B_i = \{t : \|f_{i,t} - f_{i,t-1}\|_1 > \tau\}$$

# %%
visualize.source(motionfit.segment_boundaries, motionfit.segment_features)

# %% [markdown]
# A percentile gives a video as many segments as its length allows, whether anything changes in it or
# not. The paper does not print its $p$.
#
# ## Clusters
#
# The centres $c_k$ are those of k-means with Euclidean distance over the segments' features; a
# segment's cluster is the pseudo-label of all its clips:
#
# $$\min_{c_1, \dots, c_K} \sum_i \sum_s \min_k \|h_{i,s} - c_k\|_2^2$$

# %%
labels, clusters = motionfit.pseudo_label_table(
    table, num_clusters, level=level, percentile=percentile, seed=seed
)
labels.save(
    run.folder / "pseudo_labels.npz",
    "label",
    level=level,
    num_clusters=num_clusters,
    modality=modality,
)
metrics = {
    "clips": len(table),
    "segments": int(clusters.sizes.sum()),
    "clusters": num_clusters,
    "empty_clusters": len(clusters.empty),
    "effective_clusters": clusters.effective,
    "largest_share": clusters.sizes.max() / clusters.sizes.sum(),
    "without_features": len(records) - len(counts),
}
print(
    f"{num_clusters} clusters of {metrics['segments']} segments: sizes {clusters.sizes.min()} to "
    f"{clusters.sizes.max()}, {clusters.effective:.1f} effective, {len(clusters.empty)} empty"
)

# %% [markdown]
# Were all clusters of one size, the effective number would be $K$. How much of a cluster is of one
# class is its purity. It must be held against what the same clusters get from shuffled classes.

# %%
from vidssl.core import derive_seed
from vidssl.evaluation import nmi, purity_score
from vidssl.visualize.clusters import cluster_sizes

classes = np.array([records[name].label for name in table.video_id])
known = bool((classes >= 0).all())
if known:
    shuffled = np.random.default_rng(derive_seed(seed, "shuffled")).permutation(classes)
    metrics |= {
        "purity": purity_score(labels.values, classes),
        "nmi": nmi(labels.values, classes),
        "shuffled_purity": purity_score(labels.values, shuffled),
    }
    print(
        f"purity {metrics['purity']:.2f}, with shuffled classes {metrics['shuffled_purity']:.2f}; "
        f"NMI with the classes of the clips {metrics['nmi']:.2f}"
    )
    counted = np.zeros((num_clusters, classes.max() + 1), dtype=int)
    np.add.at(counted, (labels.values, classes), 1)
    note = f"{splits.name} · {scale} scale · {modality} · level {level} · seed {seed}"
    figure = cluster_sizes(counted.sum(1), counted.max(1), note=note)
    run.save_figure(
        figure,
        "motionfit_cluster_sizes",
        data=[
            {"cluster": k, "clips": int(row.sum()), "commonest_class": int(row.max())}
            for k, row in enumerate(counted)
        ],
        alt="Clips in each cluster, from the largest to the smallest, and those of its commonest "
        "class.",
        dataset=splits.name,
    )
figure if known else None

# %% [markdown]
# A large cluster of many classes is what the motion model cannot tell apart: the student will be
# taught not to tell it apart either.
#
# ## Granularity and number of clusters under the hand
#
# Change the level, the percentile of Eq. 4 or $K$: the clusters are made anew. Then step through the
# clusters with the arrow keys; each shows the clips nearest to its centre.

# %%
from functools import lru_cache
from itertools import islice

from vidssl.core import UnreadableVideo
from vidssl.data import read_clip, resize_short_side


@lru_cache(maxsize=256)
def shown_clip(row):
    """The RGB frames of a clip, whatever modality clustered it."""
    indices = np.linspace(table.start[row], table.stop[row] - 1, frames).round().astype(int)
    path = records[str(table.video_id[row])].path
    return resize_short_side(read_clip(path, lambda _: indices), 64)


def class_of(row):
    return records[str(table.video_id[row])].class_name or "?"


def is_shown(row):
    """Whether the frames of a clip can be read; one that cannot is named."""
    try:
        return shown_clip(row) is not None
    except UnreadableVideo as error:
        print(f"not shown: {error}")
        return False


def members(found, made, wanted, count):
    """The clips of cluster ``wanted`` that can be read, one a video, nearest to its centre first."""
    rows = np.flatnonzero(found.values == wanted)
    away = np.linalg.norm(table.values[rows] - made.centroids[wanted], axis=1)
    nearest = {}
    for row in rows[np.argsort(away)]:
        nearest.setdefault(str(table.video_id[row]), row)
    return list(islice(filter(is_shown, nearest.values()), count))


# %%
import ipywidgets as widgets

from vidssl.visualize.widgets import FramePlayer, Playground, controls

player = FramePlayer(alt="clips of one cluster, those nearest to its centre")


@lru_cache(maxsize=1)
def clustered(level, clusters_k, percentile):
    return motionfit.pseudo_label_table(
        table, clusters_k, level=level, percentile=percentile, seed=seed
    )


def show_cluster(cluster, level, clusters_k, percentile):
    found, made = clustered(level, clusters_k, percentile)
    wanted = cluster % clusters_k
    rows = members(found, made, wanted, 6)
    player.show([shown_clip(row) for row in rows], [class_of(row) for row in rows])
    judged = f", purity {purity_score(found.values, classes):.2f}" if known else ""
    return (
        f"{made.sizes.sum()} segments in {clusters_k} clusters, {made.effective:.1f} effective"
        f"{judged}; cluster {wanted} has {(found.values == wanted).sum()} clips"
    )


fewest = len(counts)  # segments of level "video"
panel = controls(
    show_cluster,
    cluster=widgets.IntSlider(0, 0, num_clusters - 1, description="cluster"),
    level=widgets.Dropdown(options=motionfit.LEVELS, value=level, description="level"),
    clusters_k=widgets.BoundedIntText(min(num_clusters, fewest), 2, fewest, description="K"),
    percentile=widgets.FloatSlider(percentile, min=50, max=95, step=5, description="percentile"),
)
Playground([panel, player])

# %%
largest = [k for k in np.argsort(clusters.sizes)[::-1] if clusters.sizes[k]][:4]
shown = [(k, row) for k in largest for row in members(labels, clusters, k, 2)]
figure = visualize.film_strip(
    [shown_clip(row) for _, row in shown],
    titles=[f"cluster {k}: {class_of(row)}" for k, row in shown],
    note="two clips near the centre of each",
)
run.save_figure(
    figure,
    "motionfit_cluster_gallery",
    alt="Film strips of two clips each from the four largest clusters.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# Two clips of a cluster should move alike; that they do not look alike is the point.
#
# ## Where the pseudo-labels stand in the method
#
# Flow is needed for the first two steps only; a colour is a pseudo-label of the video drawn.

# %%
from vidssl.data import readable_videos
from vidssl.motion.flow import optical_flow
from vidssl.visualize.pipeline import motionfit_pipeline

long = [rows for rows in table.rows_of.values() if len(rows) >= 4] or [np.arange(4)]
varied = sorted(long[:60], key=lambda rows: len(set(labels.values[rows].tolist())), reverse=True)
its = {str(table.video_id[rows[0]]): rows for rows in varied}
asked = [records[name] for name in its]
rows = its[next(readable_videos(asked), asked[0]).video_id]
rows = np.asarray(rows)[np.linspace(0, len(rows) - 1, 4).round().astype(int)]


def moving_pair(row):
    """Two neighbouring frames in the middle of a clip."""

    def middle(length):
        first = min(int(table.middle[row]), length - 2)
        return np.array([first, first + 1])

    return resize_short_side(read_clip(records[str(table.video_id[row])].path, middle), flow_side)


pairs = [moving_pair(row) for row in rows]
figure = motionfit_pipeline(
    np.stack([pair[0] for pair in pairs]),
    np.stack([optical_flow(pair, flow_method)[0] for pair in pairs]),
    labels.values[rows].tolist(),
)
run.save_figure(
    figure,
    "motionfit_pipeline",
    alt="Four steps from left to right: a motion model of optical flow learns from few labelled "
    "videos; its clusters are pseudo-labels; an RGB network learns these; fine-tuned on few labels "
    "it needs no flow.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## A map of the features
#
# t-SNE of one random clip a video, coloured by pseudo-label and by class. Its islands depend on the
# perplexity and the seed: what holds for one picture only is no finding, so turn both.

# %%
from sklearn.manifold import TSNE

from vidssl.visualize.clusters import embedding_panels

rng = np.random.default_rng(derive_seed(seed, "t-SNE"))
mapped = rng.permutation([int(rng.choice(rows)) for rows in table.rows_of.values()])[:tsne_clips]
others = {}
if compare:
    other, about_other = load_clip_table(compare, "feature")
    rows = other.rows_at([str(name) for name in table.video_id[mapped]], table.middle[mapped, None])
    mapped, rows = mapped[rows[:, 0] >= 0], rows[rows >= 0]  # a video may be readable in one alone
    if not len(rows):
        raise ValueError(f"compare={compare!r} holds features of other videos or times")
    others = {f"{about_other['modality']} features, by class": other.values[rows]}
colours = np.maximum(classes[mapped], 0)


def positions(values, perplexity, tsne_seed):
    wanted = min(perplexity, (len(values) - 1) / 3)
    return TSNE(perplexity=wanted, random_state=tsne_seed, init="pca").fit_transform(values)


@lru_cache(maxsize=16)
def maps(perplexity, tsne_seed):
    own = positions(table.values[mapped], perplexity, tsne_seed)
    panels = {
        f"{modality} features, by pseudo-label": (own, labels.values[mapped]),
        f"{modality} features, by class": (own, colours),
    }
    for title, values in others.items():
        panels[title] = (positions(values, perplexity, tsne_seed), colours)
    note = f"{splits.name} · {scale} scale · perplexity {perplexity:g}, t-SNE seed {tsne_seed}"
    return embedding_panels(panels, splits.class_names, note=note), own


# %%
from vidssl.visualize.widgets import Picture

picture = Picture()


def redraw(perplexity, tsne_seed):
    yield "the map is being made"
    words = f"t-SNE of one clip a video, perplexity {perplexity:g}, seed {tsne_seed}"
    picture.show(maps(perplexity, tsne_seed)[0], f"{words}: by pseudo-label and by class")
    yield words


panel = controls(
    redraw,
    perplexity=widgets.FloatSlider(perplexity, min=5, max=60, step=5, description="perplexity"),
    tsne_seed=widgets.BoundedIntText(0, 0, 99, description="t-SNE seed"),
)
Playground([panel, picture])

# %%
figure, own = maps(perplexity, 0)
columns = zip(own.tolist(), labels.values[mapped].tolist(), classes[mapped].tolist())
run.save_figure(
    figure,
    "motionfit_tsne",
    data=[{"x": x, "y": y, "pseudo_label": k, "class": c} for (x, y), k, c in columns],
    alt="t-SNE of clip features, coloured by pseudo-label and by class.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# Islands of one class in the right panel are what the motion model knows; islands of one colour in
# the left are true of any features, for k-means cuts along them. Colours repeat where there are more
# clusters than colours.
#
# ## Are the boundaries of Eq. 4 the true ones?
#
# In the embedded data the frame at which one sub-action gives way to the next is known. A boundary is
# found if it is within `boundary_tolerance` frames of the true one; beside it stand as many boundaries
# at random clips. Only videos that have a true boundary are counted, those without features too. A
# percentile fixes how many boundaries each video gets, so precision cannot exceed one over that
# number.

# %%
from vidssl.data.scenes import trajectory


true, measured = {}, []
if dataset == "embedded":
    moves = {v: trajectory(run.scene_of(record)).boundaries for v, record in records.items()}
    true = {v: found for v, found in moves.items() if found}
for p in sorted({50.0, 75.0, 90.0, percentile}) if true else ():
    times = motionfit.boundary_times(table, p)
    for name, its in {"Eq. 4": times, "random": motionfit.random_times(table, times, seed)}.items():
        precision, recall = motionfit.boundary_scores(its, true, boundary_tolerance)
        row = {"boundaries": name, "percentile": p, "precision": precision, "recall": recall}
        measured.append(row)

# %%
import pandas as pd

for row in measured:
    if row["percentile"] == percentile:
        name = "boundary" if row["boundaries"] == "Eq. 4" else "random_boundary"
        metrics |= {f"{name}_precision": row["precision"], f"{name}_recall": row["recall"]}
pd.DataFrame(measured).style.format(precision=2).hide() if measured else None

# %% [markdown]
# Eq. 4 is worth something where its rows beat the random ones of the same percentile.
#
# ## What one should see
#
# Clusters of the motion model are far purer than shuffled ones: a cluster is a motion seen in many looks.
# Purity alone does not prefer motion, though: where scenes tell half of the classes, clusters of looks
# (`modality = "rgb"`) can be purer still. The boundaries of Eq. 4 beat random ones where the sub-actions
# differ in how they move.

# %%
expectations = []
if known:
    expectations.append(
        runs.Expectation(
            "clusters are purer than by chance", metrics["purity"], metrics["shuffled_purity"]
        )
    )
if measured:
    found = [metrics[f"{name}_recall"] for name in ("boundary", "random_boundary")]
    expectations.append(runs.Expectation("Eq. 4 finds more boundaries than chance", *found))
run.finish(
    metrics,
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `level = "video"`: one label for all that happens in a video.
# - `num_clusters = 16`, then 128: what does purity say, and what the number of effective clusters?
# - `modality = "rgb"` with an appearance model of `21_motionfit_motion_model`, and this page's
#   `features.npz` as `compare`: do looks cluster by class?
# - what each choice is worth to the student: `vidssl run motionfit_granularity`, `motionfit_clusters`.
