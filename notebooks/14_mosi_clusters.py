# %% [markdown]
# # MoSI: what do its features group?
#
# **Question.** Which videos are alike to a network that has only seen pseudo motions?
#
# Features of *unmasked* MoSI, without any fine-tuning, are grouped by k-means and drawn by t-SNE, as
# in the paper's figure 5. There, three of five clusters could be named by eye: vertical, horizontal
# and still. Here the true motion of every embedded video is known, so what a cluster holds is
# counted, beside a twin with random weights. Nothing is trained.
#
# | | |
# | --- | --- |
# | needs | videos, weights of `11_mosi_pretrain` with `mask_ratio = []` |
# | takes | 30 s on two cores |
# | gives | the figure `mosi_clusters`; purity and normalised mutual information |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
pretrained = ""  # backbone.pt; empty: that of the newest 11_mosi_pretrain without a mask
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
videos = 320  # test videos, drawn at random
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
test_clips = 2  # clips of a video, whose features are averaged
clusters = 5
perplexity = 30.0
strips = 2  # videos drawn of each cluster
zoom = 3  # pictures are so many times as large as the network's clips
publish = True  # the figure goes to figures/; turn it off for videos that must not be shown there

# %%
from vidssl import runs

run = runs.start("14_mosi_clusters", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", "11_mosi_pretrain", ("backbone.pt",), {"mask_ratio": []})
)

# %%
import numpy as np

from vidssl import protocol
from vidssl.core import derive_seed
from vidssl.models.pretrained import load_with_head

splits = run.open_dataset()
network, about = load_with_head(pretrained)
print(f"{about['backbone']}, trained on {about['dataset']}, seed {about['seed']}")
built = {"backbone": about["backbone"], "width": about["width"], "num_classes": 0, "seed": seed}
networks = {"mosi_unmasked": network, "scratch": protocol.start_network("", **built)[0]}
records = splits.test or splits.train
order = np.random.default_rng(derive_seed(data_seed, "clustered")).permutation(len(records))
asked = [records[i] for i in order[:videos]]
if len(asked) < clusters:
    raise ValueError(f"clusters={clusters} of {len(asked)} videos: ask for fewer, or more videos")

# %% [markdown]
# ## Features and clusters
#
# The feature map before the classifier, averaged over space, time and a video's clips.

# %%
from sklearn.cluster import KMeans

from vidssl.inference import extract_features

number_seed = derive_seed(seed, "clusters") % 2**32
clips = protocol.Clips.of(run.params, store=run.open_frames(asked, short_side))
features, groups, distances = {}, {}, {}
for role, model in networks.items():
    outputs = extract_features(model, clips.even(asked, test_clips))
    features[role] = outputs.values
    found = KMeans(clusters, n_init=10, random_state=number_seed).fit(features[role])
    groups[role], distances[role] = found.labels_, found.transform(features[role])
by_id = {record.video_id: record for record in asked}
seen = [by_id[video_id] for video_id in outputs.video_ids]
print(f"{len(seen)} videos in {clusters} clusters", *outputs.failed, sep="\n  ")

# %% [markdown]
# ## How do they move?
#
# The mean of |u| and |v| over the sprite and over time, in pixels of the video a frame. A video is
# *slow* if it is among the slowest quarter; of the others it is called *across* or *down* where one
# of the two is at least twice the other, and *mixed* where not.


# %%
from collections import Counter

from vidssl.data import synthetic


def sprite_motion(record):
    """Mean |u| and |v| on the sprite."""
    truth = synthetic.truth(run.scene_of(record))
    on_sprite = truth.mask[:-1]
    return [np.abs(truth.flow[..., axis][on_sprite]).mean() for axis in (0, 1)]


def kinds_of(motion):
    """slow, across, down or mixed, for each row |u|, |v|."""
    speed = np.hypot(*motion.T)
    u, v = motion.T
    direction = np.where(u >= 2 * v, "across", np.where(v >= 2 * u, "down", "mixed"))
    return np.where(speed <= np.quantile(speed, 0.25), "slow", direction)


known = dataset == "embedded"
motion = np.array([sprite_motion(record) for record in seen]) if known else np.zeros((0, 2))
truths = {"class": outputs.labels} if (outputs.labels >= 0).all() else {}
if known:
    truths["motion"] = kinds_of(motion)
    kinds = Counter(truths["motion"].tolist())
    print("videos:", ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))

# %% [markdown]
# ## What is in a cluster?
#
# *Purity* is the share of videos that belong to the most frequent class (or kind of motion) of their
# cluster; *normalised mutual information* is 0 where the cluster $Q$ says nothing about the class $C$
# and 1 where it says all:
#
# $$\mathrm{purity} = \frac{1}{V} \sum_q \max_c V_{cq}, \qquad
# \mathrm{NMI} = \frac{I(C; Q)}{\tfrac{1}{2}\,(H(C) + H(Q))}$$
#
# with $V_{cq}$ of the $V$ videos in class $c$ and cluster $q$. Chance: the same with the labels
# shuffled.


# %%
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix


def agreement(truth, found):
    """Purity and NMI of clusters against the truth, each in [0, 1]."""
    counts = contingency_matrix(truth, found)
    return counts.max(axis=0).sum() / counts.sum(), normalized_mutual_info_score(truth, found)


metrics = {"videos": len(seen)}
shuffle = np.random.default_rng(derive_seed(seed, "shuffled")).permutation(len(seen))
for name, truth in truths.items():
    found = {**groups, "chance": groups["mosi_unmasked"][shuffle]}
    for role, labels in found.items():
        purity, information = agreement(truth, labels)
        metrics[f"{role}_{name}_purity_score"] = purity
        metrics[f"{role}_{name}_nmi_score"] = information
        print(f"{name:7s}{role:15s}purity {purity:.1%}  NMI {information:.3f}")

# %% [markdown]
# Random weights are no zero: any convolution tells fast from slow to a degree. What pretraining adds
# is the difference between the two rows, of which the tables below show where it lies.

# %%
import pandas as pd
from IPython.display import display

chosen = groups["mosi_unmasked"]
if truths:
    names = np.array([record.class_name for record in seen])
    found = chosen + 1
    if known:
        display(pd.crosstab(truths["motion"], found, rownames=["motion"], colnames=["cluster"]))
    display(pd.crosstab(names, found, rownames=["class"], colnames=["cluster"]))

# %% [markdown]
# ## What does a cluster look like?

# %%
from functools import lru_cache

from sklearn.manifold import TSNE

from vidssl.data import TestTransform, read_clip, uniform_clips

large = TestTransform(size=zoom * size, short_side=zoom * short_side)


@lru_cache(maxsize=32)
def points_of(perplexity, tsne_seed):
    """t-SNE of unmasked MoSI's features, (V, 2)."""
    fitting = min(perplexity, (len(seen) - 1) / 3)
    return TSNE(perplexity=fitting, random_state=tsne_seed).fit_transform(features["mosi_unmasked"])


def most_typical(cluster, count):
    """Videos of a cluster, those nearest to its centre first."""
    own = np.flatnonzero(chosen == cluster)
    return own[np.argsort(distances["mosi_unmasked"][own, cluster])][:count]


@lru_cache(maxsize=256)
def picture_of(index):
    return large(
        read_clip(seen[index].path, lambda n: uniform_clips(n, frames, frame_stride, 1)[0])
    )


def caption_of(cluster):
    own = chosen == cluster
    words = f"{own.sum()} videos"
    if known:
        words += "; |u| {:.1f}, |v| {:.1f} px a frame".format(*motion[own].mean(axis=0))
    if "class" in truths:
        (name, count), *_ = Counter(names[own].tolist()).most_common(1)
        words += f"; {count / own.sum():.0%} {name}"
    return words


# %%
from vidssl.visualize.embedding import cluster_figure

points = points_of(perplexity, number_seed)
shown_per_cluster = min(strips, np.bincount(chosen).min())
note = f"{splits.name} · {scale} scale · seed {seed}"
figure = cluster_figure(
    points,
    chosen,
    [[picture_of(i) for i in most_typical(c, shown_per_cluster)] for c in range(clusters)],
    captions=[caption_of(cluster) for cluster in range(clusters)],
    note=f"unmasked MoSI, t-SNE with perplexity {perplexity:g} · {note}",
)

# %%
data = pd.DataFrame({"video_id": [r.video_id for r in seen], "cluster": chosen + 1})
data[["x", "y"]] = points.round(3)
if truths:
    data["class"] = names
if known:
    data[["across_px", "down_px"]] = motion.round(3)
run.save_figure(
    figure,
    "mosi_clusters",
    data=data,
    alt=f"Left, t-SNE of the features of {len(seen)} videos in {clusters} clusters; right, frames of "
    "the most typical videos of each.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## Look around
#
# Distances in a t-SNE depend on its perplexity and seed; the clusters do not, for they were found
# among the features. Choose a cluster to play its most typical videos: **space** plays, the **arrow
# keys** step.

# %%
from vidssl.visualize.embedding import embedding_figure
from vidssl.visualize.widgets import FramePlayer, Picture

picture, player = Picture(), FramePlayer(alt="videos of one cluster")
highest = max(2, min(100, (len(seen) - 1) // 3))


def redraw(perplexity, tsne_seed):
    yield "the map is being made"
    points = points_of(perplexity, tsne_seed)
    words = f"t-SNE of {len(seen)} videos, perplexity {perplexity:g}, seed {tsne_seed}"
    picture.show(embedding_figure(points, chosen), f"{words}, coloured by cluster")
    yield words


def play(cluster):
    typical = most_typical(cluster, 6)
    captions = [seen[i].class_name or seen[i].video_id for i in typical]
    player.show([picture_of(i) for i in typical], captions)
    return f"cluster {cluster + 1}: {caption_of(cluster)}"


# %%
import ipywidgets as widgets

from vidssl.visualize.widgets import Playground, controls

of_map = controls(
    redraw,
    perplexity=widgets.IntSlider(int(min(perplexity, highest)), 2, highest),
    tsne_seed=widgets.BoundedIntText(0, 0, 9999, description="seed of the map"),
)
of_cluster = controls(
    play, cluster=widgets.Dropdown(options=[(str(c + 1), c) for c in range(clusters)])
)
Playground([of_map, picture, of_cluster, player])

# %% [markdown]
# ## What one should see
#
# Clusters that differ in how fast and in which direction their videos move. Backgrounds count, too:
# strips of one cluster may share theirs. How much more than random weights the clusters say about
# classes and motion is for the numbers above to tell; a smoke run only shows that every step works.

# %%
expectations = [
    runs.Expectation(
        f"clusters say more about the {name} than those of {other}",
        metrics[f"mosi_unmasked_{name}_nmi_score"],
        metrics[f"{other}_{name}_nmi_score"],
    )
    for name in truths
    for other in ("scratch", "chance")
]
run.finish(
    metrics,
    seeds=[seed],
    failed=outputs.failed,
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `clusters = 16`, as many as there are classes: does each find its own?
# - `pretrained` with masked weights of [11](11_mosi_pretrain.ipynb): are their features grouped
#   otherwise?
# - `dataset = "folder"` with videos of your own, `publish = False`: what is alike in them?
# - [13_mosi_gradcam](13_mosi_gradcam.ipynb): where in the picture a network finds its evidence.
