# %% [markdown]
# # MotionFit: pseudo-labels
#
# **Question.** Do the motion model's features fall into clusters that mean something, and over which
# stretch of time should a pseudo-label hold: a clip, a segment, or the whole video?
#
# This is step 2 of MotionFit: features of densely sampled clips of unlabelled videos, averaged over
# segments of four granularities, clustered by k-means. A pseudo-label belongs to a video and a time.
# The labels of these videos are used to judge the clusters, never to make them.
#
# | | |
# | --- | --- |
# | needs | source videos, `motion_model.pt` of `21_motionfit_motion_model` |
# | takes | 2 min on one core |
# | gives | `features.npz`, `pseudo_labels.npz`; purity, a map of the features |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
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

# %%
from functools import lru_cache

import ipywidgets as widgets
import numpy as np
from sklearn.manifold import TSNE

from vidssl import models, visualize
from vidssl.core import derive_seed
from vidssl.data import read_clip, resize_short_side
from vidssl.data.clip_table import load_clip_table
from vidssl.data.scenes import trajectory
from vidssl.evaluation import nmi, purity_score
from vidssl.methods import motionfit
from vidssl.models.pretrained import load_pretrained
from vidssl.motion.flow import optical_flow
from vidssl.visualize.clusters import cluster_sizes, embedding_panels
from vidssl.visualize.pipeline import motionfit_pipeline
from vidssl.visualize.widgets import FramePlayer, Picture, Playground, controls

splits = run.open_dataset()
records = {record.video_id: record for record in splits.train}
print(f"{len(records)} source videos, taken without their labels")

# %% [markdown]
# ## Features of dense clips

# %%
failed, about = [], {}
settings = {"frames": frames, "stride": frame_stride, "size": size, "short_side": short_side}
if features:
    table, about = load_clip_table(features, "feature")
else:
    if modality == "flow":
        settings |= run.open_flow()
    seen = motionfit.ClipSettings(modality, **settings)
    model = models.build(backbone, num_classes=0, in_channels=seen.channels, width=width)
    about = load_pretrained(model, motion_model)
    table, failed = motionfit.clip_features(
        model, seen.dense(splits.train, dense_step), prepare=seen.prepare, num_workers=num_workers
    )
    table.save(run.folder / "features.npz", "feature", **about)
counts = np.array([len(rows) for rows in table.rows_of.values()])
each = " to ".join(map(str, dict.fromkeys((counts.min(), counts.max()))))
print(
    f"{len(table)} clips of {len(counts)} videos ({each} a video), "
    f"{table.values.shape[1]} features each; {len(failed)} videos could not be read"
)

# %% [markdown]
# ## Clusters

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
classes = np.array([records[name].label for name in table.video_id])
known = classes >= 0
metrics = {
    "clips": len(table),
    "segments": int(clusters.sizes.sum()),
    "clusters": num_clusters,
    "empty_clusters": len(clusters.empty),
    "effective_clusters": clusters.effective,
    "largest_share": clusters.sizes.max() / clusters.sizes.sum(),
}
print(
    f"{num_clusters} clusters of {metrics['segments']} segments: sizes {clusters.sizes.min()} to "
    f"{clusters.sizes.max()}, {clusters.effective:.1f} effective, {len(clusters.empty)} empty"
)
if known.all():
    metrics |= {
        "purity": purity_score(labels.values, classes),
        "nmi": nmi(labels.values, classes),
    }
    print(f"purity {metrics['purity']:.2f}, NMI {metrics['nmi']:.2f} with the classes of the clips")

# %% [markdown]
# A purity must be held against what the same number of clusters gets by chance: each class has as
# many clips, so a random partition into large clusters has a purity little above one over the
# number of classes.

# %%
chosen = np.random.default_rng(derive_seed(seed, "shuffled")).permutation(len(classes))
if known.all():
    metrics["shuffled_purity"] = purity_score(labels.values, classes[chosen])
    print(f"purity with shuffled classes {metrics['shuffled_purity']:.2f}")
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
figure if known.all() else None

# %%
player = FramePlayer(alt="clips of one cluster, those nearest to its centre")
trial = {"key": None}


@lru_cache(maxsize=256)
def shown_clip(row):
    """The RGB frames of a clip, whatever modality clustered it."""
    indices = np.linspace(table.start[row], table.stop[row] - 1, frames).round().astype(int)
    path = records[str(table.video_id[row])].path
    return resize_short_side(read_clip(path, lambda _: indices), 64)


def members(found, made, wanted, count):
    """The clips of cluster ``wanted``, one a video, nearest to its centre first."""
    rows = np.flatnonzero(found.values == wanted)
    away = np.linalg.norm(table.values[rows] - made.centroids[wanted], axis=1)
    nearest = {str(table.video_id[row]): row for row in rows[np.argsort(away)][::-1]}
    return list(nearest.values())[::-1][:count]


def show_cluster(cluster, level, clusters_k, percentile):
    key = (level, clusters_k, percentile)
    if trial["key"] != key:
        trial["found"] = motionfit.pseudo_label_table(
            table, clusters_k, level=level, percentile=percentile, seed=seed
        )
        trial["key"] = key
    found, made = trial["found"]
    rows = members(found, made, cluster % clusters_k, 6)
    player.show(
        [shown_clip(row) for row in rows],
        [records[str(table.video_id[row])].class_name or "?" for row in rows],
    )
    judged = f", purity {purity_score(found.values, classes):.2f}" if known.all() else ""
    return (
        f"{made.sizes.sum()} segments in {clusters_k} clusters, {made.effective:.1f} effective"
        f"{judged}; cluster {cluster % clusters_k} has {(found.values == cluster % clusters_k).sum()} clips"
    )


# %% [markdown]
# ## Granularity and number of clusters under the hand
#
# Change the level, the percentile of Eq. 4 or K: the clusters are made anew. Then step through the
# clusters with the arrow keys; each shows the clips nearest to its centre.

# %%
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
strips, titles = [], []
for k in largest:
    for row in members(labels, clusters, k, 2):
        strips.append(shown_clip(row))
        titles.append(f"cluster {k}: {records[str(table.video_id[row])].class_name or '?'}")
figure = visualize.film_strip(strips, titles=titles, note="two clips near the centre of each")
run.save_figure(
    figure,
    "motionfit_cluster_gallery",
    alt="Film strips of two clips each from the four largest clusters.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## Where the pseudo-labels stand in the method
#
# Flow is needed for the first two steps only; a colour is a pseudo-label of the video drawn.

# %%
long = [rows for rows in table.rows_of.values() if len(rows) >= 4] or [np.arange(4)]
rows = max(long[:60], key=lambda rows: len(set(labels.values[rows].tolist())))
rows = np.asarray(rows)[np.linspace(0, len(rows) - 1, 4).round().astype(int)]
pairs = [
    read_clip(
        records[str(table.video_id[row])].path,
        lambda n, at=int(table.middle[row]): np.array([min(at, n - 2), min(at, n - 2) + 1]),
    )
    for row in rows
]
moving = [resize_short_side(pair, flow_side) for pair in pairs]
figure = motionfit_pipeline(
    np.stack([pair[0] for pair in moving]),
    np.stack([optical_flow(pair, flow_method)[0].transpose(2, 0, 1) for pair in moving]),
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

# %%
rng = np.random.default_rng(derive_seed(seed, "t-SNE"))
one_each = [int(rng.choice(rows)) for rows in table.rows_of.values()]
mapped = rng.permutation(one_each)[:tsne_clips]
others = {}
if compare:
    other, about_other = load_clip_table(compare, "feature")
    rows = other.rows_at([str(name) for name in table.video_id[mapped]], table.middle[mapped, None])
    assert (rows >= 0).all(), "compare: features of other videos"
    others = {f"{about_other['modality']} features, by class": other.values[rows[:, 0]]}


def positions(values, perplexity, tsne_seed):
    wanted = min(perplexity, (len(values) - 1) / 3)
    made = TSNE(perplexity=wanted, random_state=tsne_seed, init="pca").fit_transform(values)
    return made


@lru_cache(maxsize=16)
def maps(perplexity, tsne_seed):
    own = positions(table.values[mapped], perplexity, tsne_seed)
    colours = np.maximum(classes[mapped], 0)
    panels = {
        f"{modality} features, by pseudo-label": (own, labels.values[mapped]),
        f"{modality} features, by class": (own, colours),
    }
    for title, values in others.items():
        panels[title] = (positions(values, perplexity, tsne_seed), colours)
    note = f"{splits.name} · {scale} scale · perplexity {perplexity:g}, t-SNE seed {tsne_seed}"
    return embedding_panels(panels, splits.class_names, note=note), own


picture = Picture()


def redraw(perplexity, tsne_seed):
    yield "the map is being made"
    words = f"t-SNE of one clip a video, perplexity {perplexity:g}, seed {tsne_seed}"
    picture.show(maps(perplexity, tsne_seed)[0], f"{words}: by pseudo-label and by class")
    yield words


# %% [markdown]
# ## A map of the features
#
# t-SNE of one random clip a video, coloured by pseudo-label and by class. Its islands depend on the
# perplexity and the seed: what holds for one picture only is no finding, so turn both.

# %%
panel = controls(
    redraw,
    perplexity=widgets.FloatSlider(perplexity, min=5, max=60, step=5, description="perplexity"),
    tsne_seed=widgets.BoundedIntText(0, 0, 99, description="t-SNE seed"),
)
Playground([panel, picture])

# %%
figure, own = maps(perplexity, 0)
run.save_figure(
    figure,
    "motionfit_tsne",
    data=[
        {
            "x": float(x),
            "y": float(y),
            "pseudo_label": int(labels.values[row]),
            "class": int(classes[row]),
        }
        for (x, y), row in zip(own, mapped)
    ],
    alt="t-SNE of clip features, coloured by pseudo-label and by class.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## Are the boundaries of Eq. 4 the true ones?
#
# In the embedded data the frame at which one sub-action gives way to the next is known. A boundary is
# found if it is within `boundary_tolerance` frames of the true one; beside it stand as many boundaries
# at random clips. Only videos that have a true boundary are counted. A percentile fixes how many
# boundaries each video gets, so precision cannot exceed one over that number.


# %%
def boundary_row(name, percentile, times):
    hits = sum(motionfit.matched_boundaries(times[v], true[v], boundary_tolerance) for v in true)
    found = sum(len(times[v]) for v in true)
    return {
        "boundaries": name,
        "percentile": percentile,
        "precision": hits / max(found, 1),
        "recall": hits / sum(map(len, true.values())),
    }


def at_random(times):
    """As many boundaries in each video, at clips drawn at random."""
    rng = np.random.default_rng(derive_seed(seed, "random boundaries"))
    middles = {v: table.middle[rows] for v, rows in table.rows_of.items()}
    places = {v: (m[1:] + m[:-1]) / 2 for v, m in middles.items()}
    return {v: rng.choice(places[v], len(times[v]), replace=False) for v in times}


rows, true = [], {}
if dataset == "embedded":
    moves = {v: trajectory(run.scene_of(records[v])).boundaries for v in table.rows_of}
    true = {v: found for v, found in moves.items() if found}
if true:
    for p in sorted({50.0, 75.0, 90.0, percentile}):
        times = motionfit.boundary_times(table, p)
        rows += [boundary_row("Eq. 4", p, times), boundary_row("random", p, at_random(times))]
    for row in rows:
        print(
            f"percentile {row['percentile']:3.0f}, {row['boundaries']:6s}: precision "
            f"{row['precision']:.2f}, recall {row['recall']:.2f}"
        )
    for row in rows:
        if row["percentile"] == percentile:
            name = "boundary" if row["boundaries"] == "Eq. 4" else "random_boundary"
            metrics |= {f"{name}_precision": row["precision"], f"{name}_recall": row["recall"]}

# %% [markdown]
# ## What one should see
#
# Clusters of the motion model are far purer than shuffled ones, and purest in the motion classes: a
# cluster is a motion seen in many looks. The boundaries of Eq. 4 beat random ones where the sub-actions
# differ in how they move.

# %%
assert len(labels) == len(table)
assert clusters.sizes.sum() >= num_clusters
if known.all() and scale != "smoke":  # there nothing has been learned
    assert metrics["purity"] >= metrics["shuffled_purity"]

run.finish(metrics, seeds=[seed], failed=failed, data_hash=splits.fingerprint)
