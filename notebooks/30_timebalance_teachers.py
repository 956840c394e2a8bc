# %% [markdown]
# # TimeBalance: two teachers
#
# **Question.** One network learns that all times of a video belong together, another that they
# differ. What does each know once it has been fine-tuned on a few labels?
#
# `objective` chooses: *invariant* (other times of a video are positives), *distinctive* (they are
# negatives), or *tclr* (both at once, the student's usual start). All clips of a step, global and
# local, in both augmentations, go through network and projector in one forward.
#
# | | |
# | --- | --- |
# | needs | training videos without labels, then shares of their labels |
# | takes | 6 min of pretraining and 90 s a fine-tuning on one core |
# | gives | `teacher.pt`, `backbone.pt`, `finetuned-<percent>.pt`, their accuracy |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
objective = "invariant"  # invariant, distinctive, tclr
pretrained = ""  # backbone.pt to start from, e.g. of 11_mosi_pretrain; empty: from scratch
backbone = "r3d_10_dilated"  # must end with one time slice for each local clip
width = 0.125
frames = 8
global_stride = 8  # of the global clip; the local clips tile the same stretch
locals_count = 4
size = 32  # px
short_side = 40  # px
crop_scale = [0.7, 1.0]  # side of the random crop, share of the shorter side
color_jitter = [0.3, 0.3, 0.3, 0.15]  # brightness, contrast, saturation, hue
grey = 0.175  # probability of losing all colour
erase = 0.3  # probability of random erasing
temperature = 0.1
instance_weight = 1.0
local_weight = 1.0
global_weight = 1.0
batch_videos = 8
steps = 1000  # of pretraining
lr = 0.003
warmup = 0.1  # share of the training
weight_decay = 1e-4
fractions = [0.01, 0.05, 0.1]  # labelled shares of the training videos; nested for one seed
label_lists = []  # files of labelled videos, one for each fraction; empty: drawn with seed
tuning_frames = 8  # of the clips that are classified
frame_stride = 7
flip = 0.5
tuning_steps = 1000
batch_size = 16
tuning_lr = 0.001
tuning_weight_decay = 1e-3
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a labelled video for its accuracy

# %%
from vidssl import runs

run = runs.start("30_timebalance_teachers", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)

# %%
import warnings

import numpy as np
import torch

from vidssl import models, visualize
from vidssl.core import derive_seed
from vidssl.data import (
    ClipDataset,
    ColorJitter,
    MultiClipDataset,
    TestTransform,
    TrainTransform,
    ViewsDataset,
    ViewTransform,
    collate,
    label_fraction,
    read_label_list,
)
from vidssl.inference import predict, report
from vidssl.methods import supervised, timebalance
from vidssl.models.pretrained import load_pretrained, save_pretrained
from vidssl.training import TrainConfig, fit
from vidssl.visualize.widgets import progress_report

assert not label_lists or len(label_lists) == len(fractions), "one label list for each fraction"
splits = run.open_dataset(labelled=True)
config = timebalance.TeacherConfig(
    objective=objective,
    locals_count=locals_count,
    temperature=temperature,
    instance_contrast=instance_weight,
    local_local=local_weight,
    global_local=global_weight,
)
print(f"{objective}: {', '.join(config.terms)}; {len(splits.train)} videos without labels")

# %% [markdown]
# ## What a step sees of one video

# %%
store = run.open_frames([*splits.train, *splits.test], short_side)
views = ViewsDataset(
    splits.train,
    frames=frames,
    global_stride=global_stride,
    locals_count=locals_count,
    transform=ViewTransform(
        size=size,
        short_side=short_side,
        scale=tuple(crop_scale),
        flip=flip,
        jitter=ColorJitter(*color_jitter, grey=grey),
        erase=erase,
    ),
    seed=seed,
    store=store,
)
shown = views[0]["views"][0]
figure = visualize.film_strip(
    list(shown),
    titles=["global clip", *(f"local clip {k + 1}" for k in range(locals_count))],
    note=f"{splits.name}: one of two augmentations, drawn for each clip",
)
figure

# %% [markdown]
# ## Pretraining without labels
#
# From random weights a distinctive teacher first stays at the loss of chance, for longer than the
# mini scale lasts; weights that already see motion, MoSI's, spare it that. Then every row that is
# compared with it should start from the same weights.

# %%
torch.manual_seed(derive_seed(seed, "weights"))
teacher = timebalance.Teacher(models.build(backbone, num_classes=0, width=width))
if pretrained:
    load_pretrained(teacher.backbone, pretrained)
train_config = TrainConfig.for_steps(
    steps,
    len(views),
    batch_size=batch_videos,
    processes=processes,
    lr=lr,
    warmup=warmup,
    weight_decay=weight_decay,
    precision=precision,
    seed=seed,
    num_workers=num_workers,
)
result = fit(
    teacher,
    views,
    timebalance.teacher_step(config),
    train_config,
    folder=run.checkpoint_folder and run.checkpoint_folder / "pretraining",
    processes=processes,
    launcher=launcher,
    collate=collate,
    report=progress_report(),
    log=lambda **row: run.log(part="pretraining", **row),
)
about = {"backbone": backbone, "width": width, "dataset": splits.name, "seed": seed}
save_pretrained(teacher, run.folder / "teacher.pt", method=objective, **about)
weights = save_pretrained(teacher.backbone, run.folder / "backbone.pt", method=objective, **about)
failed = list(result.failed)

# %% [markdown]
# The chance loss is that of a network to which all clips look alike. Random differences begin above
# it (*early*); near it, a distinctive teacher sits on the plateau that it crosses first, or all
# clips look alike indeed (a collapse, told by the spread of the features); below it something has
# been learned.

# %%
chance_loss = config.chance_loss(min(batch_videos, len(views)))
loss, spread = result.mean("loss"), result.mean("spread_score")
state = timebalance.learning_state(loss, chance_loss, spread)
note = f"{splits.name} · {scale} scale · {objective} · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
run.save_figure(
    figure,
    "timebalance_teacher_curves",
    data=result.history,
    alt="Contrastive losses and the spread of features over the pretraining.",
    dataset=splits.name,
)
print(
    f"{result.steps} steps in {result.seconds:.0f} s, {result.waiting_share:.0%} of it waiting for "
    f"clips; loss {loss:.2f}, at chance {chance_loss:.2f}, spread {spread:.2f}: {state}"
)
figure

# %% [markdown]
# ## Fine-tuning on few labels
#
# Each fraction starts from the pretrained backbone anew, trains a fixed number of steps and keeps
# the last weights: nothing is chosen on the test videos.


# %%
clip_settings = {"frames": tuning_frames, "stride": frame_stride, "store": store}
augmented = TrainTransform(size=size, short_side=short_side, flip=flip)
plain = TestTransform(size=size, short_side=short_side)
test_set = MultiClipDataset(splits.test, **clip_settings, count=test_clips, transform=plain)


def labelled_part(index):
    if label_lists:
        return read_label_list(label_lists[index], splits)
    return label_fraction(splits.train, fractions[index], seed)


def finetuned(labelled, fraction):
    torch.manual_seed(derive_seed(seed, "classifier"))
    model = models.build(backbone, num_classes=splits.num_classes, width=width)
    load_pretrained(model, weights)
    tuning = TrainConfig.for_steps(
        tuning_steps,
        len(labelled),
        batch_size=batch_size,
        processes=processes,
        lr=tuning_lr,
        warmup=0.03,
        weight_decay=tuning_weight_decay,
        precision=precision,
        seed=seed,
        num_workers=num_workers,
    )
    tuned = fit(
        model,
        ClipDataset(labelled, **clip_settings, transform=augmented, seed=seed),
        supervised.training_step,
        tuning,
        folder=run.checkpoint_folder and run.checkpoint_folder / f"finetuned-{fraction}",
        processes=processes,
        launcher=launcher,
        collate=collate,
        report=progress_report(),
        log=lambda **row: run.log(part=f"finetuned-{fraction}", **row),
    )
    path = run.folder / timebalance.finetuned_name(fraction)
    save_pretrained(model, path, method=objective, **about)
    return model, tuned


# %%
metrics, per_class, sizes = {}, {}, {}
for index, fraction in enumerate(fractions):
    percent = f"{100 * fraction:g}"
    labelled = labelled_part(index)
    print(f"--- {percent} % labels: {len(labelled)} videos")
    model, tuned = finetuned(labelled, fraction)
    tested = report(predict(model, test_set), splits.class_names)
    known = MultiClipDataset(labelled, **clip_settings, count=train_clips, transform=plain)
    trained = report(predict(model, known), splits.class_names)
    print(f"{tested.summary()}; labelled videos {trained.top1_accuracy:.1%}")
    assert tested.num_videos == len(splits.test), "a test video is missing from the denominator"
    failed += [*tuned.failed, *tested.failed]
    sizes[percent] = len(labelled)
    per_class[f"{percent} % labels"] = tested.per_class_accuracy
    metrics[f"finetuned_{percent}_top1_accuracy"] = tested.top1_accuracy
    metrics[f"finetuned_{percent}_train_accuracy"] = trained.top1_accuracy
    metrics[f"finetuned_{percent}_per_class"] = np.round(tested.per_class_accuracy, 3).tolist()

# %%
chance = 1 / splits.num_classes
figure = visualize.per_class_accuracy(per_class, splits.class_names, chance=chance, note=note)
figure

# %% [markdown]
# ## What one should see
#
# An invariant teacher's loss falls from the first steps on, and so does a distinctive one's that
# starts from MoSI; from random weights it comes down to the chance loss and stays there for long.
# More labels, better accuracy; which classes each teacher is better at is what
# `34_timebalance_tables` asks.

# %%
assert np.isfinite([row["loss"] for row in result.history]).all()
assert state != "collapsed", "all clips look alike to the teacher: lower lr, longer warm-up"
if state == "plateau" and scale != "smoke":
    warnings.warn(f"the loss {loss:.2f} still sits at chance: train longer", stacklevel=1)

run.finish(
    {
        **metrics,
        "state": state,
        "loss": loss,
        "chance_loss": chance_loss,
        "spread_score": spread,
        "chance": chance,
        "test_videos": len(splits.test),
        "labelled": sizes,
        "steps": result.steps,
        "training_seconds": result.seconds,
        "waiting_share": result.waiting_share,
        "parameters_count": sum(p.numel() for p in model.parameters()),
    },
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
)
