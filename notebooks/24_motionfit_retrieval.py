# %% [markdown]
# # MotionFit: what the student knows, and what flow would add
#
# **Question.** Which videos are alike to the motion-taught RGB network before it has seen any label,
# and what would flow still add to it?
#
# What the student is worth after fine-tuning is asked in `03_transfer`, as of every method. Here are
# three questions that are MotionFit's own. Retrieval: nearest neighbours by the features as they are.
# MARS (Motion-Augmented RGB Stream): a network that matches the motion model's features while it
# learns the labels. Two streams: the student and the motion model judged together, which needs flow
# for every test video. Each of the three can be asked alone; what was not asked shows nothing below.
#
# | | |
# | --- | --- |
# | needs | weights of `23_motionfit_self_training`; for MARS `features.npz` of `22_motionfit_pseudo_labels`; for two streams `predictions.npz` of `03_transfer` and `21_motionfit_motion_model` |
# | takes | 1 min of retrieval for each network, 3 min for MARS, on one core |
# | gives | recall of retrieval, neighbours as film strips, accuracy of MARS and of both streams |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
starts = {"scratch": "", "motionfit": ""}  # weights of each; "": the newest; {}: no retrieval
retrieval_clips = 10  # of each video
recall_at = [1, 5, 20]  # neighbours looked at
baselines = True  # retrieval by a single frame and by frame differences, too
mars = True  # train MARS
mars_start = ""  # weights that MARS begins with; empty: from scratch
teacher_features = ""  # features.npz of the motion model, for MARS; empty: the newest
rgb_predictions = ""  # predictions.npz of 03_transfer: judge both streams together
motion_predictions = ""  # predictions.npz of 21_motionfit_motion_model of the same test videos
videos_per_class = 5  # labelled videos, for MARS; 0: no limit
label_fraction = 0.0  # or a share of each class; 0: no limit
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2  # frames; 0: the clip is spread over the whole video
size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
augmentation = {
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.3,
}  # of MARS's training clips; what is not named is off
clips_per_video = 3  # R of the multi-clip loss
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
train_clips = 2  # clips of a training video for its accuracy
publish = False  # put the neighbours among the project's figures

# %%
from vidssl import runs

run = runs.start("24_motionfit_retrieval", globals())
built = {"backbone": backbone, "width": width}
starts = run.starts()
labels_made, motion_model = "22_motionfit_pseudo_labels", "21_motionfit_motion_model"
of_flow, predictions = {"modality": "flow"}, ("predictions.npz",)
mars_start, teacher_features, rgb_predictions, motion_predictions = run.inputs(
    runs.Need("mars_start", settings=built, required=False),
    runs.Need("teacher_features", labels_made, ("features.npz",), of_flow, when=mars),
    runs.Need("rgb_predictions", "03_transfer", predictions, required=False),
    runs.Need("motion_predictions", motion_model, predictions, of_flow, required=False),
)
splits = run.open_dataset(labelled=True)
print(f"{len(splits.train)} training and {len(splits.test)} test videos")

# %% [markdown]
# ## Retrieval without any label
#
# A clip's features are the largest values of each channel after the last residual block. A query is
# right if any of its $n$ nearest training clips, by cosine similarity, has its class; R@n is the share
# of right queries. *Clip to clip* is the paper's: every test clip asks the clips of all training
# videos. *Video to video* averages a video's clips first, as the public code of VCOP (clip order
# prediction, Xu et al., CVPR 2019) does.
#
# $$\mathrm{R@}n = \frac{1}{Q} \sum_{q=1}^{Q} \max_{g \in N_n(q)} \left[ y_g = y_q \right]$$
#
# $Q$ is every query that was asked: a video that cannot be read finds nothing.

# %%
from vidssl import visualize
from vidssl.evaluation import retrieval_recall
from vidssl.methods import motionfit

visualize.source(motionfit.retrieval_features, retrieval_recall)

# %%
from vidssl import protocol

asked = [*splits.train, *splits.test]
seen = protocol.Clips.of(run.params, store=run.open_frames(asked, short_side))
sides = {"query": seen.even(splits.test, retrieval_clips)} if starts else {}
sides |= {"gallery": seen.even(splits.train, retrieval_clips)} if starts else {}
found, failed = {}, []
for name, weights in starts.items():
    network, about = protocol.start_network(weights, **built, num_classes=0, seed=seed)
    print(f"--- {name}: {about['dataset'] if about else 'no weights'}")
    found[name] = {
        side: motionfit.retrieval_features(network, dataset, **protocol.computing(run.params))
        for side, dataset in sides.items()
    }
    failed += [line for each in found[name].values() for line in each.failed]

# %% [markdown]
# Pictures without learning are asked the same: a grey frame, and the mean absolute difference of
# frames.

# %%
from vidssl.methods.baselines import pictures

if starts and baselines:
    found |= {
        kind: {side: pictures(kind, dataset) for side, dataset in sides.items()}
        for kind in protocol.YARDSTICKS
    }
recalls = {
    name: motionfit.recalls(each["query"], each["gallery"], recall_at)
    for name, each in found.items()
}
metrics = {
    f"{name}_{kind}_recall_at_{k}": value
    for name, kinds in recalls.items()
    for kind, recall in kinds.items()
    for k, value in recall.items()
}

# %%
import pandas as pd

table = pd.DataFrame(
    {
        (f"{kind} to {kind}", f"R@{k}"): {n: kinds[kind][k] for n, kinds in recalls.items()}
        for kind in ("clip", "video")
        for k in (recall_at if starts else ())
    }
)
table.style.format("{:.1%}") if starts else None

# %% [markdown]
# A network from scratch is no yardstick of zero: random filters see brightness and motion, too. The
# row of frame differences says how much of a neighbourhood is motion that needs no network, that of the
# static frame how much is looks: where they tell a class, the nearest picture is hard to beat.
#
# ## Four queries and their neighbours
#
# Of the network that is no twin from scratch; twelve frames of each video, from its first to its last.

# %%
import numpy as np

from vidssl.data import read_clip, resize_short_side
from vidssl.evaluation import nearest

records = {record.video_id: record for record in asked}


def strip(video_id):
    def spread(length):
        return np.linspace(0, length - 1, 12).astype(int)

    return resize_short_side(read_clip(records[video_id].path, spread), 48)


def titled(query_id, place, video_id):
    its = records[video_id].class_name
    if place == 0:
        return f"query: {its}"
    return f"{'✓' if its == records[query_id].class_name else '✗'} neighbour {place}: {its}"


# %%
if starts:
    name = next((name for name in starts if name != "scratch"), "scratch")
    query, gallery = found[name]["query"], found[name]["gallery"]
    places = np.linspace(0, len(query.labels) - 1, 4).round().astype(int)
    neighbours = nearest(query.values[places].mean(1), gallery.values.mean(1), 2)
    rows = [
        [query.video_ids[q], *(gallery.video_ids[g] for g in near)]
        for q, near in zip(places, neighbours)
    ]
    figure = visualize.film_strip(
        [strip(video_id) for row in rows for video_id in row],
        titles=[titled(row[0], place, v) for row in rows for place, v in enumerate(row)],
        note=f"{name}, video to video · {splits.name} · {scale} scale · seed {seed}",
    )
    run.save_figure(
        figure,
        "motionfit_retrieval_gallery",
        alt="Film strips of four test videos, each with its two nearest training videos and "
        "whether these are of its class.",
        dataset=splits.name,
        publish=publish,
    )
figure if starts else None

# %% [markdown]
# Neighbours that move alike and look different are what flow has taught. A query of a class that looks
# alone tell shows the price: what moves like it is of another class.
#
# ## MARS: flow while the labels are learned
#
# MARS has no pseudo-labels: an RGB network learns the labelled videos and is drawn to the motion
# model's $D$ features $f^{flow}$ of the same clips, all at once (Crasto et al., CVPR 2019).
# $\mathcal{L}_{mc}$ is the loss of $R$ clips of each of $B$ videos, as in `21_motionfit_motion_model`:
#
# $$\mathcal{L} = \mathcal{L}_{mc} + \frac{50}{B R D} \sum_{b,i} \|f_{b,i} - f^{flow}_{b,i}\|_2^2$$

# %%
visualize.source(motionfit.feature_matching_step)

# %%
from vidssl.data import known_videos, labelled_videos
from vidssl.data.clip_table import load_clip_table

judged = {}
if mars:
    labelled = labelled_videos(
        splits, per_class=videos_per_class, fraction=label_fraction, seed=seed
    )
    teacher, _ = load_clip_table(teacher_features, "feature")
    _, unmatched = known_videos(labelled, teacher.rows_of, f"has no features in {teacher_features}")
    network, _ = protocol.start_network(
        mars_start, **built, num_classes=splits.num_classes, seed=seed
    )
    result = protocol.train(
        motionfit.MultiClipNetwork(network, motionfit.MotionFitConfig(clips=clips_per_video)),
        seen.training(labelled, seed, clips_per_video),
        motionfit.feature_matching_step(teacher, labelled=True),
        protocol.Tuning.of(run.params),
        seed=seed,
        **run.outputs("mars"),
    )
    mars_judged = protocol.judge(
        network,
        splits,
        labelled,
        seen,
        test_clips=test_clips,
        train_clips=train_clips,
        **protocol.computing(run.params),
    )
    metrics |= {**mars_judged.metrics("mars"), "labelled": len(labelled)}
    metrics["without_features"] = len(unmatched)
    failed += [*unmatched, *result.failed, *mars_judged.failed]
    judged["mars"] = mars_judged.test
    print(f"mars: {mars_judged.summary()}")

# %%
note = f"{splits.name} · {scale} scale · {runs.labels_said(run.params)} · seed {seed}"
visualize.learning_curves(result.history, note=note) if mars else None

# %% [markdown]
# MARS sees flow of the labelled videos alone; the student saw what flow says of all the others. And it
# is drawn to features that know no looks: classes that looks alone tell are what it lacks most.
#
# ## Both streams together
#
# The mean of the class probabilities of the fine-tuned RGB network and of the motion model. A test
# video that one of them could not read counts as wrong: judging it by the other alone would hide what
# a network that needs flow is worth without it.

# %%
from vidssl.inference import load_predictions

if rgb_predictions and motion_predictions:
    streams = load_predictions(rgb_predictions)
    [motion] = load_predictions(motion_predictions).values()
    judged |= {name: protocol.judge_together([rgb], splits) for name, rgb in streams.items()}
    judged["motion"] = protocol.judge_together([motion], splits)
    for name, rgb in streams.items():
        judged[f"{name}_two_stream"] = protocol.judge_together([rgb, motion], splits)
    metrics["without_flow"] = sum(record.video_id not in motion for record in splits.test)
    failed += judged["motion"].failed
for name, each in judged.items():
    metrics[f"{name}_top1_accuracy"] = each.top1_accuracy
    print(f"{name.replace('_', ' ')}: {each.summary()}")
chance = 1 / splits.num_classes
print(f"chance: {chance:.1%}")

# %% [markdown]
# What the pair has above the better of the two is what the student has not learned from flow.
#
# ## What one should see
#
# The motion-taught network finds videos of the same class more often than its twin from scratch, and
# its neighbours move alike rather than look alike; a static frame may find as many at R@1, other ones.
# MARS is well above chance and behind the student. What flow at test time adds is open on the embedded
# videos and clear on real ones, where the pair is ahead of both (`docs/results.md`).

# %%
number = len(splits.test)
expectations = []
if "scratch" in starts:
    k = recall_at[0]
    usual = recalls["scratch"]["video"][k]
    expectations += [
        runs.Expectation(
            f"{name} finds its class among {k} more often than scratch",
            recalls[name]["video"][k],
            usual,
            number,
        )
        for name in starts
        if name != "scratch"
    ]
expectations += [
    runs.Expectation(
        f"flow at test time adds to {name.removesuffix('_two_stream')}",
        each.top1_accuracy,
        judged[name.removesuffix("_two_stream")].top1_accuracy,
        number,
    )
    for name, each in judged.items()
    if name.endswith("_two_stream")
]
run.finish(
    {**metrics, "chance": chance, "test_videos": number},
    seeds=[seed],
    failed=list(dict.fromkeys(failed)),
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `starts` with the weights of MERS, of an appearance student or of `11_mosi_pretrain`: whose
#   neighbours move alike?
# - `retrieval_clips = 1`: how much do ten clips help a video to find its like?
# - `videos_per_class = 40`: do more labels close the gap between MARS and the student?
# - with intervals over seeds: `vidssl run motionfit_retrieval`, read in `25_motionfit_tables`.
