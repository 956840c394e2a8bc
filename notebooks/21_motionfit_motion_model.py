# %% [markdown]
# # MotionFit: the motion model
#
# **Question.** With a handful of labelled videos a class, does a network learn more from how things
# move than from what they look like, and does it help to see several clips of a video at once?
#
# This is step 1 of MotionFit: a classifier of optical flow. Each training sample is R clips of one
# video, and the loss is the mean over its clips (Eq. 1); optionally it also names the order that the
# clips were shuffled into (Eq. 2 and 3). The same notebook trains the appearance counterpart
# (`modality`), and, without labels, a network on clip order alone (`multi_clip_weight` 0).
#
# | | |
# | --- | --- |
# | needs | labelled videos; their flow is extracted once |
# | takes | 2 min on one core, and 4 min for the flow on two |
# | gives | `motion_model.pt`, its accuracy, `predictions.npz` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
modality = "flow"  # flow or rgb
flow = ""  # folder of extracted flow; empty: beside the data, made where it is missing
flow_method = "farneback"  # reference, fast, torch, dis, farneback
flow_side = 64  # px of the short side that flow is computed at
videos_per_class = 5  # labelled videos; 0: no limit
label_fraction = 0.0  # or a share of each class; 0: no limit
validation = 0.0  # share held out, whole groups; only with 10 labelled videos a class or more
clips = 3  # R, clips of each video in a training sample
multi_clip_weight = 1.0  # lambda of Eq. 3; 0: clip order alone, without labels
pretrained = ""  # weights to start from; empty: from scratch
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 2
size = 32  # px
short_side = 40  # px
flip = 0.0  # probability of mirroring a training clip
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
baselines = False  # also a static-frame and a frame-difference classifier of the same labels

# %%
from vidssl import runs

run = runs.start("21_motionfit_motion_model", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)

# %%
import time

import numpy as np
import torch

from vidssl import models, visualize
from vidssl.core import derive_seed
from vidssl.data import collate, labelled_videos, read_clip, resize_short_side, validation_split
from vidssl.inference import predict, report
from vidssl.methods import motionfit
from vidssl.methods.baselines import linear_baseline
from vidssl.models.pretrained import load_pretrained, save_pretrained
from vidssl.motion.flow import optical_flow
from vidssl.training import TrainConfig, fit
from vidssl.visualize.flow import flow_to_rgb
from vidssl.visualize.widgets import progress_report

splits = run.open_dataset(labelled=True)
labelled = labelled_videos(splits, per_class=videos_per_class, fraction=label_fraction, seed=seed)
training, held_out = labelled, []
if validation:
    assert len(labelled) >= 10 * splits.num_classes, "too few labels to hold some out"
    training, held_out = validation_split(labelled, validation, seed)
print(
    f"{len(training)} labelled videos of {splits.num_classes} classes for training, "
    f"{len(held_out)} for validation, {len(splits.test)} test videos"
)

# %% [markdown]
# ## Clips of flow
#
# Field t of a video's flow leads from frame t to frame t + 1, so a flow clip and an RGB clip at the
# same indices show the same stretch of time. Colour is direction, saturation is speed.

# %%
settings = {"frames": frames, "stride": frame_stride, "size": size, "short_side": short_side}
if modality == "rgb" or baselines:
    settings["store"] = run.open_frames([*labelled, *splits.test], short_side)
if modality == "flow":
    settings |= run.open_flow()
seen = motionfit.ClipSettings(modality, **settings, flip=flip)
training_set = seen.training(training, clips, seed)


def picture(clip):
    """A clip as frames to look at."""
    if modality == "rgb":
        return clip
    fields = clip.transpose(0, 1).numpy()
    largest = float(np.quantile(np.hypot(*clip.numpy()), 0.99))
    return np.stack([flow_to_rgb(field, largest) for field in fields])


sample = training_set[0]
figure = visualize.film_strip(
    [picture(clip) for clip in sample["clips"]],
    titles=[f"frames {first} to {after - 1}" for first, after in sample["times"].tolist()],
    note=f"one training sample: {clips} clips of {sample['video_id']}",
)
figure

# %% [markdown]
# ## Training
#
# Every R gets the same number of steps, as in the paper; with R = 3 a step holds three times the clips.

# %%
config = motionfit.MotionFitConfig(clips=clips, multi_clip_weight=multi_clip_weight)
torch.manual_seed(derive_seed(seed, "weights"))
network = motionfit.MultiClipNetwork(
    models.build(
        backbone,
        num_classes=splits.num_classes if multi_clip_weight else 0,
        in_channels=seen.channels,
        width=width,
    ),
    config,
)
if pretrained:
    about = load_pretrained(network.backbone, pretrained)
    print(f"weights pretrained by {about['method']} on {about['dataset']}, seed {about['seed']}")
epochs = max(1, round(steps / max(1, len(training) // batch_size)))
result = fit(
    network,
    training_set,
    motionfit.training_step(config, prepare=seen.prepare),
    TrainConfig(
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
    ),
    folder=run.checkpoint_folder,
    processes=processes,
    launcher=launcher,
    collate=collate,
    report=progress_report(),
    log=run.log,
)
weights = save_pretrained(
    network.backbone, run.folder / "motion_model.pt", modality=modality, backbone=backbone,
    width=width, method="multi-clip" if multi_clip_weight else "clip order", dataset=splits.name,
    seed=seed,
)  # fmt: skip
print(f"{result.steps} steps in {result.seconds:.0f} s; weights in {weights.name}")

# %%
note = f"{splits.name} · {scale} scale · {modality} · {clips} clips a video · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
figure

# %% [markdown]
# ## Test videos
#
# Clips spread evenly over each video, centre crops, softmax averaged. A video whose flow cannot be
# read counts as wrong and is named. Without labels (`multi_clip_weight` 0) there is no classifier to
# test; its weights are what `pretrained` is for.

# %%
metrics, failed = {"pretrained_by": about["method"] if pretrained else ""}, list(result.failed)
if multi_clip_weight:
    began = time.perf_counter()
    outputs = predict(network.backbone, seen.even(splits.test, test_clips), seen.prepare)
    metrics["seconds_a_video"] = (time.perf_counter() - began) / len(splits.test)
    np.savez(run.folder / "predictions.npz", video_id=outputs.video_ids, probability=outputs.values)
    tested = report(outputs, splits.class_names)
    fitted = predict(network.backbone, seen.even(training, 2), seen.prepare)
    train_accuracy = report(fitted, splits.class_names).top1_accuracy
    print(f"{modality}: {tested.summary()}; training videos {train_accuracy:.1%}")
    metrics |= {
        "top1_accuracy": tested.top1_accuracy,
        "top5_accuracy": tested.top5_accuracy,
        "train_accuracy": train_accuracy,
        "per_class": np.round(tested.per_class_accuracy, 3).tolist(),
    }
    failed += tested.failed
    assert tested.num_videos == len(splits.test), "a test video is missing from the denominator"
if multi_clip_weight and held_out:
    outputs = predict(network.backbone, seen.even(held_out, test_clips), seen.prepare)
    metrics["validation_accuracy"] = report(outputs, splits.class_names).top1_accuracy
    print(f"validation, groups held out: {metrics['validation_accuracy']:.1%}")
if multi_clip_weight < 1:
    metrics["order_accuracy"] = result.mean("order_accuracy")
    print(f"order of training clips: {metrics['order_accuracy']:.1%}")

# %% [markdown]
# Flow is what the motion model costs at test time: here it is computed once more for a few videos.

# %%
if modality == "flow":
    timed = splits.test[:: max(1, len(splits.test) // 4)][:4]
    began = time.perf_counter()
    for record in timed:
        optical_flow(resize_short_side(read_clip(record.path, np.arange), flow_side), flow_method)
    metrics["flow_seconds_a_video"] = (time.perf_counter() - began) / len(timed)
    print(f"flow by {flow_method}: {metrics['flow_seconds_a_video']:.2f} s a video")

# %%
chance = 1 / splits.num_classes
if multi_clip_weight:
    figure = visualize.per_class_accuracy(
        {modality: tested.per_class_accuracy}, splits.class_names, chance=chance, note=note
    )
    run.save_figure(
        figure,
        "motionfit_motion_model_per_class",
        data=[
            {"class": c, "accuracy": float(a)}
            for c, a in zip(splits.class_names, tested.per_class_accuracy)
        ],
        alt="Accuracy of each class; the dashed line is chance.",
        dataset=splits.name,
    )
figure if multi_clip_weight else None

# %%
if baselines:
    plain = motionfit.ClipSettings("rgb", **{**settings, "flow": "", "root": ""})
    known, asked = plain.even(training, 2), plain.even(splits.test, test_clips)
    for kind in ("static_frame", "frame_difference"):
        outputs = linear_baseline(kind, known, asked, splits.num_classes)
        metrics[f"{kind}_top1_accuracy"] = report(outputs, splits.class_names).top1_accuracy
        print(f"{kind}: {metrics[f'{kind}_top1_accuracy']:.1%}")
print(f"chance: {chance:.1%}")

# %% [markdown]
# ## What one should see
#
# With few labels the motion model is far above its appearance counterpart: the classes are motions,
# and flow does not show the thousand looks a motion can have. The four *appearance* classes stay near
# chance for it, as they must.

# %%
assert np.isfinite([row["loss"] for row in result.history]).all()
if scale == "mini" and dataset == "embedded" and modality == "flow" and multi_clip_weight:
    assert metrics["top1_accuracy"] > 2 * chance, "near chance: look at the flow"

run.finish(
    {
        **metrics,
        "chance": chance,
        "test_videos": len(splits.test),
        "labelled": len(training),
        "steps": result.steps,
        "training_seconds": result.seconds,
    },
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
)
