# %% [markdown]
# # Pace prediction: pretraining
#
# **Question.** Can a network name how fast a clip is played, and is what it learns about motion?
#
# Wang, Jiao and Liu (ECCV 2020): a clip takes every frame of its video, every second, third or
# fourth one; the network says which. Pixels are the same at all paces, so only motion tells.
#
# | | |
# | --- | --- |
# | needs | videos, without labels |
# | takes | 3 min on one core |
# | gives | `backbone.pt`, learning curves, pretext accuracy on held-out videos |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
pretrained = ""  # backbone.pt to start from, e.g. of 11_mosi_pretrain; empty: from scratch
backbone = "r2plus1d_10"
width = 0.125
frames = 8
paces = [1, 2, 3, 4]  # strides between the frames of a clip

size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
augmentation = {
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.3,
}  # what is not named is off
steps = 800  # whole epochs of about so many steps
epochs = 0  # or so many epochs
batch_size = 8  # videos; a step holds one clip a pace of each
lr = 0.002
warmup = 0.1  # share of the training
weight_decay = 1e-4
accumulate = 1  # steps that share one update of the weights
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
held_out_videos = 60

# %%
from vidssl import runs

run = runs.start("50_pace_pretrain", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)

# %% [markdown]
# ## One clip a pace
#
# A clip of $T$ frames at pace $p$ starts at any frame $t_0$ that leaves room:
#
# $$x_p = (v_{t_0},\ v_{t_0 + p},\ \ldots,\ v_{t_0 + (T - 1) p})$$

# %%
from functools import partial

from vidssl import protocol, visualize
from vidssl.data import ClipDataset, TestTransform
from vidssl.methods import pace

splits = run.open_dataset()
training, held_out = protocol.hold_out(splits, held_out_videos, data_seed)
store = run.open_frames([*training, *held_out], short_side)
clips = protocol.Clips.of(run.params, store=store)
choose = partial(pace.paced_clips, frames=frames, paces=paces)
training_set = ClipDataset(training, clips.source, choose, clips.augmented(), seed=seed)
test_set = ClipDataset(held_out, clips.source, choose, TestTransform(size, short_side))
print(f"{len(training)} videos for training, {len(held_out)} held out")

# %%
sample = training_set[0]
figure = visualize.film_strip(
    list(sample["clips"]),
    titles=[
        f"pace {p}: frames {first} to {after - 1}"
        for p, (first, after) in zip(paces, sample["times"].tolist())
    ],
    note=f"one step's clips of {sample['video_id']}, each with its own crop and colours",
)
figure

# %% [markdown]
# ## Before training
#
# A network that has learned nothing is right as often as chance is.

# %%
network, _ = protocol.start_network(
    pretrained, backbone=backbone, width=width, num_classes=len(paces), seed=seed
)


def pretext_accuracy():
    """Share of held-out clips whose pace is named, and which were taken for which."""
    said = pace.predict_paces(network, test_set, **protocol.computing(run.params))
    return *protocol.judge_pretext(said), said.failed


chance = 1 / len(paces)
before, _, _ = pretext_accuracy()
print(f"held-out pretext accuracy before training {before:.1%}, chance {chance:.1%}")

# %% [markdown]
# ## Training
#
# With all $P$ paces of $B$ videos in a step:
#
# $$L = -\frac{1}{B P} \sum_{b=1}^{B} \sum_{p=1}^{P} \log p_\theta(p \mid x_{b,p})$$

# %%
from vidssl.models.pretrained import save_pretrained

tuning = protocol.Tuning.of(run.params)
result = protocol.train(
    network, training_set, pace.training_step, tuning, seed=seed, **run.outputs()
)
weights = save_pretrained(
    network, run.folder / "backbone.pt", method="pace", backbone=backbone, width=width,
    dataset=splits.name, seed=seed,
)  # fmt: skip
print(f"{result.summary()}; weights in {weights.name}")

# %%
note = f"{splits.name} · {scale} scale · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
figure

# %% [markdown]
# A guess costs $\log P$, 1.39 with four paces: a loss that stays there has not begun to learn.
#
# ## After training

# %%
after, confusion, unread = pretext_accuracy()
print(f"held-out pretext accuracy {before:.1%} -> {after:.1%}, chance {chance:.1%}")
names = [f"pace {p}" for p in paces]
figure = visualize.confusion_matrix(confusion, names, note=note)
run.save_figure(
    figure,
    "pace_confusion",
    data=[{"true": name, **dict(zip(names, row.tolist()))} for name, row in zip(names, confusion)],
    alt="Confusion matrix of the paces of held-out clips: rows are true paces, columns predicted ones.",
    dataset=splits.name,
)
figure

# %% [markdown]
# Neighbouring paces are taken for each other first: a slow thing at a high pace looks like a quick
# one at a low pace, so 100 % is out of reach.
#
# ## What one should see
#
# From random weights the steps of the mini scale may not be enough to begin: `r3d_10_dilated` stayed at
# 25 to 28 %. Begun with MoSI's weights and given 2,500 steps the same network named 70 to 73 % (three
# seeds each, on record).

# %%
run.finish(
    {
        "pretext_accuracy": after,
        "pretext_accuracy_before": before,
        "chance": chance,
        "train_pretext_accuracy": result.mean("pretext_accuracy"),
        **protocol.spent(result, tuning, len(training), len(paces)),
        "waiting_share": result.waiting_share,
    },
    seeds=[seed],
    failed=[*result.failed, *unread],
    data_hash=splits.fingerprint,
    expectations=[
        runs.Expectation("unseen clips are told above chance", after, chance, len(held_out))
    ],
)

# %% [markdown]
# ## What to try next
#
# - `paces = [1, 4]`: an easier task; is what it teaches worth less in `03_transfer`?
# - `starts = {"scratch": "", "pace": ""}` in `03_transfer`: the weights with few labels.
# - `augmentation = {}`: do colours and crops matter for a task that only motion can solve?
