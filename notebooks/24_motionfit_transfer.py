# %% [markdown]
# # MotionFit: transfer to few labelled videos
#
# **Question.** What is the motion-taught RGB network worth on a small labelled set, without flow?
#
# This is step 4 of MotionFit: retrieval with the network as it is, then fine-tuning of its last two
# stages and a classifier. Every initialisation gets the same labelled videos, the same settings and
# the same test clips; one from scratch trains all its stages. MARS is trained right here: labels, and
# the motion model's features of the labelled videos.
#
# | | |
# | --- | --- |
# | needs | labelled videos, weights of `23_motionfit_self_training` (others by `initialisations`) |
# | takes | 1 min a training and 1 min of retrieval for each network, on one core |
# | gives | accuracy, recall of retrieval, neighbours as film strips |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
initialisations = ["scratch", "motionfit"]  # or mers, appearance, clip_order, mosi, mars
pretrained = {"motionfit": ""}  # weights of each; "": the newest
teacher_features = ""  # features.npz of the motion model, for mars
videos_per_class = 5  # labelled videos; 0: no limit
label_fraction = 0.0  # or a share of each class; 0: no limit
frozen_stages = ["stem", "conv2", "conv3"]  # of pretrained networks
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2
size = 32  # px
short_side = 40  # px
flip = 0.5
clips = 3  # R, clips of each video in a training sample
steps = 600  # whole epochs of about so many steps, whatever the number of labels
batch_size = 8  # videos
optimizer = "adam"
schedule = "cosine"
milestones = []  # epochs, for schedule "step"
lr = 0.001
warmup = 0.03  # share of the training
weight_decay = 1e-3
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
retrieval_clips = 10  # clips a video for retrieval; 0: no retrieval
recall_at = [1, 5, 20]  # neighbours looked at
motion_predictions = ""  # predictions.npz of notebook 21: also judge both streams together
publish = False  # put the neighbours among the project's figures
baselines = True

# %%
from vidssl import runs
from vidssl.core import one_of

run = runs.start("24_motionfit_transfer", globals())
built = {"backbone": backbone, "width": width}
student = ("23_motionfit_self_training", ("backbone.pt",), {**built, "target": "pseudo_labels"})
order = {**built, "multi_clip_weight": 0.0, "modality": "rgb"}
MADE_BY = {  # where weights that are not given are looked for
    "motionfit": student,
    "mers": (*student[:2], {**built, "target": "features"}),
    "clip_order": ("21_motionfit_motion_model", ("motion_model.pt",), order),
    "mosi": ("11_mosi_pretrain", ("backbone.pt",), built),
}
for name in initialisations:  # from scratch train all stages; mars from weights if given some
    one_of("initialisations", name, ["scratch", "mars", *MADE_BY, *pretrained])
wanted = [name for name in initialisations if name in {*MADE_BY, *pretrained}]
*weights, teacher_features, motion_predictions = run.inputs(
    *(runs.Need(f"pretrained.{name}", *MADE_BY.get(name, ())) for name in wanted),
    runs.Need(
        "teacher_features",
        "22_motionfit_pseudo_labels",
        ("features.npz",),
        {"modality": "flow"},
        when="mars" in initialisations,
    ),
    runs.Need("motion_predictions", required=False),
)
pretrained = dict(zip(wanted, weights))

# %%
import time
from dataclasses import replace

import numpy as np
import torch

from vidssl import models, visualize
from vidssl.core import derive_seed
from vidssl.data import collate, labelled_videos, read_clip, resize_short_side
from vidssl.data.clip_table import load_clip_table
from vidssl.evaluation import nearest, retrieval_recall, retrieval_rows
from vidssl.inference import predict, report
from vidssl.methods import motionfit
from vidssl.methods.baselines import KINDS, linear_baseline, pictures
from vidssl.models.pretrained import load_pretrained
from vidssl.training import TrainConfig, fit
from vidssl.visualize.widgets import progress_report

FROM_SCRATCH = ("scratch", "mars")  # these train all stages
splits = run.open_dataset(labelled=True)
labelled = labelled_videos(splits, per_class=videos_per_class, fraction=label_fraction, seed=seed)
print(
    f"{len(labelled)} labelled videos of {splits.num_classes} classes, {len(splits.test)} test "
    "videos"
)

# %%
seen = motionfit.ClipSettings(
    "rgb", frames=frames, stride=frame_stride, size=size, short_side=short_side, flip=flip,
    store=run.open_frames([*labelled, *(splits.train if retrieval_clips else ()), *splits.test], short_side),
)  # fmt: skip
training_set = seen.training(labelled, clips, seed)
test_set, labelled_set = seen.even(splits.test, test_clips), seen.even(labelled, 2)
sample = training_set[0]
figure = visualize.film_strip(
    list(sample["clips"]),
    titles=[f"frames {first} to {after - 1}" for first, after in sample["times"].tolist()],
    note=f"one training sample: {clips} clips of {sample['video_id']}, each with its own draws",
)
figure


# %%
origin = {}


def initialised(name, num_classes):
    """A fresh network: the same draw of the weights for every initialisation."""
    torch.manual_seed(derive_seed(seed, "weights"))
    model = models.build(backbone, num_classes=num_classes, width=width)
    if name in pretrained:
        about = load_pretrained(model, pretrained[name])
        origin[name] = {k: about[k] for k in ("taught_by", "level", "num_clusters") if k in about}
        print(f"{name}: weights pretrained on {about['dataset']}, seed {about['seed']}")
    return model


# %% [markdown]
# ## Retrieval without any label
#
# Ten clips a video, max-pooled features after the last residual block. A query is right if any of its
# n nearest neighbours has its class. *Clip to clip* is the paper's: every test clip asks the clips of
# all training videos. *Video to video* averages a video's clips first, as the public code of VCOP
# does. Both by cosine similarity.

# %%
metrics, failed, galleries = {}, [], {}
class_of = {record.video_id: record.label for record in [*splits.train, *splits.test]}


def clip_table(model, records):
    table, unread = motionfit.clip_features(
        model, seen.even(records, retrieval_clips), output="max", num_workers=num_workers
    )
    failed.extend(line for line in unread if line not in failed)
    return table


def as_clips(table):
    """Features of the clips, and their classes."""
    return table.values, [class_of[str(name)] for name in table.video_id]


def as_videos(table):
    """Mean features of the clips of each video, and the videos' classes."""
    means = [table.values[rows].mean(0) for rows in table.rows_of.values()]
    return np.stack(means), [class_of[name] for name in table.rows_of]


def tell(name, recalls):
    for kind, recall in recalls.items():
        metrics.update({f"{name}_{kind}_recall_at_{k}": value for k, value in recall.items()})
        print(f"{name}, {kind} to {kind}:", *(f"R@{k} {v:.1%}" for k, v in recall.items()))


if retrieval_clips:
    for name in initialisations:
        if name == "mars":
            continue
        model = initialised(name, 0)
        gallery, query = clip_table(model, splits.train), clip_table(model, splits.test)
        galleries[name] = (gallery, query)
        recalls = {
            kind: retrieval_recall(*rows(query), *rows(gallery), ks=recall_at)
            for kind, rows in {"clip": as_clips, "video": as_videos}.items()
        }
        tell(name, recalls)

# %% [markdown]
# Pictures without learning ask the same: a grey frame, and the mean absolute difference of frames.

# %%
if retrieval_clips and baselines:
    for name in KINDS:
        query, gallery = (
            pictures(name, seen.even(records, retrieval_clips))
            for records in (splits.test, splits.train)
        )
        recalls = {
            kind: retrieval_recall(
                *retrieval_rows(query.values, query.labels, f"{kind}-to-{kind}"),
                *retrieval_rows(gallery.values, gallery.labels, f"{kind}-to-{kind}"),
                ks=recall_at,
            )
            for kind in ("clip", "video")
        }
        tell(name, recalls)

# %%
if retrieval_clips and initialisations != ["mars"]:
    asking_of = next((name for name in galleries if name != "scratch"), "scratch")
    gallery, query = galleries[asking_of]
    records = {record.video_id: record for record in [*splits.train, *splits.test]}
    (asked, _), (known, _) = as_videos(query), as_videos(gallery)
    asking, knowing = [*query.rows_of], [*gallery.rows_of]
    chosen = np.linspace(0, len(asking) - 1, 4).round().astype(int)
    neighbours = nearest(asked[chosen], known, 2)
    shown = [[asking[q], *(knowing[k] for k in row)] for q, row in zip(chosen, neighbours)]

    def strip(video_id):
        frames_of = read_clip(
            records[video_id].path, lambda n: np.linspace(0, n - 1, 12).astype(int)
        )
        return resize_short_side(frames_of, 48)

    def titled(query_id, place, video_id):
        if place == 0:
            return f"query: {records[video_id].class_name}"
        mark = "✓" if class_of[video_id] == class_of[query_id] else "✗"
        return f"{mark} neighbour {place}: {records[video_id].class_name}"

    figure = visualize.film_strip(
        [strip(video_id) for row in shown for video_id in row],
        titles=[
            titled(row[0], place, video_id) for row in shown for place, video_id in enumerate(row)
        ],
        note=f"{asking_of}, video to video · {splits.name} · {scale} scale · seed {seed}",
    )
    run.save_figure(
        figure,
        "motionfit_retrieval_gallery",
        alt="Film strips of four test videos, each with its two nearest training videos and whether these "
        "are of its class.",
        dataset=splits.name,
        publish=publish,
    )
figure if galleries else None

# %% [markdown]
# ## Fine-tuning

# %%
epochs = max(1, round(steps / max(1, len(labelled) // batch_size)))
train_config = TrainConfig(
    epochs=epochs,
    batch_size=batch_size,
    optimizer=optimizer,
    schedule=schedule,
    milestones=tuple(milestones),
    lr=lr,
    warmup_epochs=warmup * epochs,
    weight_decay=weight_decay,
    precision=precision,
    seed=seed,
    num_workers=num_workers,
)
config = motionfit.MotionFitConfig(clips=clips)
history, tested = [], {}
for name in initialisations:
    print(f"--- {name}")
    network = motionfit.MultiClipNetwork(initialised(name, splits.num_classes), config)
    models.freeze(network.backbone, [] if name in FROM_SCRATCH else frozen_stages)
    step = motionfit.training_step(config)
    if name == "mars":
        teacher, _ = load_clip_table(teacher_features, "feature")
        step = motionfit.feature_matching_step(teacher, labelled=True)
    result = fit(
        network,
        training_set,
        step,
        train_config,
        folder=run.checkpoint_folder and run.checkpoint_folder / name,
        processes=processes,
        launcher=launcher,
        collate=collate,
        report=progress_report(),
        log=lambda name=name, **row: run.log(initialisation=name, **row),
    )
    failed += [line for line in result.failed if line not in failed]
    history += [{"initialisation": name, **row} for row in result.history]
    began = time.perf_counter()
    tested[name] = predict(network.backbone, test_set)
    metrics[f"{name}_seconds_a_video"] = (time.perf_counter() - began) / len(splits.test)
    fitted = report(predict(network.backbone, labelled_set), splits.class_names)
    metrics[f"{name}_train_accuracy"] = fitted.top1_accuracy

# %%
labels_said = f"{videos_per_class} videos a class" if videos_per_class else (
    f"{label_fraction:.0%} of the labels" if label_fraction else "all labels"
)  # fmt: skip
note = f"{splits.name} · {scale} scale · {labels_said} · seed {seed}"
figure = visualize.learning_curves(history, by="initialisation", note=note)
figure

# %% [markdown]
# ## Test videos
#
# Clips spread evenly over each video, centre crops, softmax averaged. Given the motion model's
# predictions of the same videos, both streams are judged together too: that is what flow at test time
# would buy.

# %%
reports = {name: report(outputs, splits.class_names) for name, outputs in tested.items()}
if motion_predictions:
    with np.load(motion_predictions) as file:
        motion = dict(zip(file["video_id"].tolist(), file["probability"]))
    for name in initialisations:
        both = np.stack(
            [motion.get(v, 0 * p) + p for v, p in zip(tested[name].video_ids, tested[name].values)]
        )
        reports[f"{name}_two_stream"] = report(
            replace(tested[name], values=both / both.sum(1, keepdims=True)), splits.class_names
        )
if baselines:
    for kind in KINDS:
        outputs = linear_baseline(kind, labelled_set, test_set, splits.num_classes)
        reports[kind] = report(outputs, splits.class_names)
for name, found in reports.items():
    print(f"{name}: {found.summary()}")
chance = 1 / splits.num_classes
print(f"chance: {chance:.1%}")

# %%
figure = visualize.per_class_accuracy(
    {name: reports[name].per_class_accuracy for name in initialisations},
    splits.class_names,
    chance=chance,
    note=note,
)
run.save_figure(
    figure,
    "motionfit_transfer_per_class",
    data=[
        {"class": c, **{n: float(reports[n].per_class_accuracy[i]) for n in initialisations}}
        for i, c in enumerate(splits.class_names)
    ],
    alt="Accuracy of each class for each initialisation; the dashed line is chance.",
    dataset=splits.name,
)
figure

# %% [markdown]
# ## What one should see
#
# Every network fits its labelled videos. On the test videos the motion-taught network is far ahead of
# its twin from scratch in the motion classes, and its neighbours move alike rather than look alike.

# %%
for found in reports.values():
    assert found.num_videos == len(splits.test), "a test video is missing from the denominator"
if scale == "mini" and dataset == "embedded" and {"scratch", "motionfit"} <= set(initialisations):
    assert reports["motionfit"].top1_accuracy > reports["scratch"].top1_accuracy

metrics |= {f"{name}_{key}": value for name, told in origin.items() for key, value in told.items()}
metrics |= {f"{name}_top1_accuracy": found.top1_accuracy for name, found in reports.items()}
metrics |= {f"{name}_top5_accuracy": reports[name].top5_accuracy for name in initialisations}
metrics |= {
    f"{name}_per_class": np.round(reports[name].per_class_accuracy, 3).tolist()
    for name in initialisations
}
run.finish(
    {**metrics, "chance": chance, "test_videos": len(splits.test), "labelled": len(labelled)},
    seeds=[seed],
    failed=failed
    + [line for found in reports.values() for line in found.failed if line not in failed],
    data_hash=splits.fingerprint,
)
