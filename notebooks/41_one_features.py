# %% [markdown]
# # One protocol: what frozen weights know, and where they look
#
# **Question.** Before another label is spent: what do a network's features tell of a video, and does
# what they tell come from where something moves?
#
# One file of weights, whatever method made it, and four answers that need no training: a linear
# classifier on its frozen features, their nearest neighbours by vote, the one nearest video, and the
# place where the evidence of that linear classifier lies. `40_one_protocol` puts the methods side by
# side.
#
# | | |
# | --- | --- |
# | needs | videos, weights of any page that leaves a `backbone.pt` |
# | takes | 1 min on one core |
# | gives | linear probe, k-NN, R@1, Grad-CAM energy on what moves, cost of a forward pass |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
pretrained = ""  # backbone.pt of any method; empty: random weights
backbone = "r3d_10_dilated"
width = 0.125
frames = 8
frame_stride = 7  # frames; 0: the clip is spread over the whole video
size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
clips_per_video = 2  # whose features are averaged
neighbours = 20  # k of k-NN
layer = "conv3"  # whose maps are measured; it has 8 x 8 places here
videos_measured = 160  # test videos whose maps are held against what moves; 0: none
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # GPUs that share the videos, one each

# %%
from vidssl import runs

run = runs.start("41_one_features", globals())
built = {"backbone": backbone, "width": width}
[pretrained] = run.inputs(runs.Need("pretrained", settings=built, required=False))

# %% [markdown]
# ## Features
#
# The last stage's channels, averaged over space, time and the clips of a video; the network stays as
# it is. All training videos and their labels are used: it is the features that are asked here, and a
# few labels would add the luck of their draw.

# %%
from vidssl import protocol
from vidssl.inference import extract_features

splits = run.open_dataset(labelled=True)
store = run.open_frames([*splits.train, *splits.test], short_side)
clips = protocol.Clips.of(run.params, store=store)
network, about = protocol.start_network(
    pretrained, **built, num_classes=splits.num_classes, seed=seed
)
print(f"{about.get('method', 'weights')} on {about['dataset']}" if about else "random weights")
known, asked = (
    extract_features(
        network, clips.even(records, clips_per_video), **protocol.computing(run.params)
    )
    for records in (splits.train, splits.test)
)

# %% [markdown]
# ## Three ways to ask them
#
# *Linear probe*: logistic regression, $p(k \mid f) \propto e^{w_k \cdot f + b_k}$. *k-NN*: the nearest
# training videos vote, each with the weight $e^{\cos(f, f_i) / 0.07}$. *R@1*: whether the one nearest
# training video is of the right class. A test video that cannot be read counts as wrong in all three.

# %%
from dataclasses import replace

import pandas as pd

from vidssl.evaluation import knn, linear_probe, retrieval_recall

of_videos = (known.values, known.labels, asked.values, splits.num_classes)
told = {"linear_probe": linear_probe(*of_videos), "knn": knn(*of_videos, k=neighbours)}
groups = protocol.class_groups(splits.class_names)
metrics = {}
for name, probabilities in told.items():
    judged = protocol.judged_outputs(replace(asked, values=probabilities), splits)
    metrics[f"{name}_accuracy"] = judged.top1_accuracy
    for group, accuracy in protocol.group_accuracies(judged, groups).items():
        metrics[f"{name}_{group}_accuracy"] = accuracy
nearest = retrieval_recall(
    asked.values, asked.labels, known.values, known.labels, ks=(1,), unread=len(asked.failed)
)
metrics["recall_at_1"] = nearest[1]
pd.Series(metrics, name=about.get("method", "random")).map("{:.1%}".format).to_frame()

# %% [markdown]
# A probe far above k-NN means that what tells the classes is there, but is not what makes two videos
# alike to this network.
#
# ## Where the evidence lies
#
# The linear probe is a classifier like any other, so it can sit on top of the network: then Grad-CAM
# says which places speak for the class that the probe names. This way a network that never had a
# classifier is asked the same as one that was trained with labels. *Energy* is the share of a map's
# mass on what moves; a flat map's is the share of the picture that moves.

# %%
import numpy as np
import torch

from vidssl.data import collate
from vidssl.evaluation.probe import linear_head

weight, bias = linear_head(known.values, known.labels, splits.num_classes)
with torch.no_grad():
    network.classifier.weight.copy_(torch.from_numpy(weight))
    network.classifier.bias.copy_(torch.from_numpy(bias))
order = np.random.default_rng(data_seed).permutation(len(splits.test))
looked_at = [splits.test[i] for i in order[:videos_measured]] if dataset == "embedded" else []
batch = collate(list(clips.even(looked_at, 1))) if looked_at else {}
readable = set(batch.get("video_id", ()))
looked_at = [record for record in looked_at if record.video_id in readable]

# %%
from vidssl.data import synthetic, uniform_clips


def moving(record):
    """What moves in the clip that the network sees, (T, size, size) bool."""
    mask = synthetic.truth(run.scene_of(record)).mask
    mask = mask[uniform_clips(len(mask), frames, frame_stride, 1)[0]]
    white = np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255
    return (clips.plain(white)[0] > 0.5).numpy()


# %%
from vidssl import visualize
from vidssl.evaluation import energy_inside_score, mean_ci95, with_interval
from vidssl.inference import grad_cam

figure = None
if looked_at:
    shown = batch["clips"][:, 0]
    maps = torch.cat([grad_cam(network, part, layer) for part in shown.split(32)]).numpy()
    masks = np.stack([moving(record) for record in looked_at])
    energy = energy_inside_score(maps, masks)
    seen = np.isfinite(energy)
    flat = masks[seen].mean()
    metrics |= {"energy_inside_score": energy[seen].mean(), "energy_chance": flat}
    said = with_interval(*mean_ci95(energy[seen]))
    print(f"{said} of the mass lies on what moves, which covers {flat:.1%} ({seen.sum()} videos)")
    heat = maps[:3] / np.maximum(maps[:3].max(axis=(1, 2, 3), keepdims=True), 1e-9)
    pictures = [strip for i in range(len(heat)) for strip in (shown[i], shown[i] * heat[i])]
    names = [n for r in looked_at[:3] for n in (r.class_name, "where its evidence lies")]
    figure = visualize.film_strip(pictures, titles=names, note=f"Grad-CAM of {layer}")
figure

# %% [markdown]
# ## What a forward pass costs

# %%
import time

from vidssl.core import normalise
from vidssl.inference import apply

ten = torch.rand(10, 3, frames, size, size)
took = []
for _ in range(3):
    began = time.perf_counter()
    apply(network, ten, lambda model, clip: model(normalise(clip)))
    took.append(time.perf_counter() - began)
metrics["forward_seconds"] = min(took)
metrics["parameters_count"] = sum(p.numel() for p in network.parameters())
print(f"{min(took):.3f} s for ten clips; {metrics['parameters_count']:,} parameters")

# %% [markdown]
# ## What one should see
#
# Weights that learned motion are above random ones in all three answers, and their evidence lies on
# what moves more than a flat map's would.

# %%
chance, number = 1 / splits.num_classes, len(splits.test)
expectations = [
    runs.Expectation(
        "the linear probe is above chance", metrics["linear_probe_accuracy"], chance, number
    )
]
if looked_at:
    spread = mean_ci95(energy[seen])[1]
    expectations.append(
        runs.Expectation(
            "evidence lies on what moves", metrics["energy_inside_score"], flat, within=spread
        )
    )
run.finish(
    {**metrics, "chance": chance, "test_videos": number},
    seeds=[seed],
    failed=list(dict.fromkeys([*known.failed, *asked.failed])),
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `layer = "conv5"`: fewer places, closer to the classes. Does the share on what moves rise?
# - `neighbours = 1`: how much do the other nineteen correct?
# - `pretrained` of `32_timebalance_student`: what did training with few labels change?
# - all methods, with intervals over seeds: `vidssl run one_protocol`, read in `40_one_protocol`.
