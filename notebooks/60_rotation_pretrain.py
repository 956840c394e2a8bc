# %% [markdown]
# # 3D rotation prediction: pretraining
#
# **Question.** Can a network name by how many quarter turns a clip was rotated, and does that teach it motion?
#
# 3DRotNet (Jing et al., 2018): all frames of a clip are turned by 0, 90, 180 or 270 degrees, and the
# network says by how much. It has to know which way is up; whether things move, it may ignore.
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
frame_stride = 2

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
batch_size = 8  # videos; a step holds four turns of one clip of each
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

run = runs.start("60_rotation_pretrain", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)

# %% [markdown]
# ## Four turns of a clip
#
# Each frame of the clip $x$ is turned by $k$ quarter turns, $x_k = \mathrm{rot}(x, 90^\circ k)$ with
# $k = 0, 1, 2, 3$. Turns of square crops by 90 degrees move pixels and make none.

# %%
from vidssl import protocol, visualize
from vidssl.methods import rotation

splits = run.open_dataset()
training, held_out = protocol.hold_out(splits, held_out_videos, data_seed)
store = run.open_frames([*training, *held_out], short_side)
clips = protocol.Clips.of(run.params, store=store)
training_set = clips.training(training, seed)
test_set = clips.even(held_out, 2)
print(f"{len(training)} videos for training, {len(held_out)} held out")

# %%
sample = training_set[0]
figure = visualize.film_strip(
    list(rotation.turned(sample["clips"])[0]),
    titles=[f"turned by {90 * k} degrees" for k in range(rotation.TURNS)],
    note=f"one step's clips of {sample['video_id']}",
)
figure

# %% [markdown]
# ## Before training
#
# A network that has learned nothing is right as often as chance is.

# %%
network, _ = protocol.start_network(
    pretrained, backbone=backbone, width=width, num_classes=rotation.TURNS, seed=seed
)


def pretext_accuracy():
    """Share of held-out clips whose turn is named, and which were taken for which."""
    said = rotation.predict_turns(network, test_set, **protocol.computing(run.params))
    return *protocol.judge_pretext(said), said.failed


chance = 1 / rotation.TURNS
before, _, _ = pretext_accuracy()
print(f"held-out pretext accuracy before training {before:.1%}, chance {chance:.1%}")

# %% [markdown]
# ## Training
#
# With the four turns of $B$ clips in a step:
#
# $$L = -\frac{1}{4 B} \sum_{b=1}^{B} \sum_{k=0}^{3} \log p_\theta(k \mid x_{b,k})$$

# %%
from vidssl.models.pretrained import save_pretrained

tuning = protocol.Tuning.of(run.params)
result = protocol.train(
    network, training_set, rotation.training_step, tuning, seed=seed, **run.outputs()
)
weights = save_pretrained(
    network, run.folder / "backbone.pt", method="rotation", backbone=backbone, width=width,
    dataset=splits.name, seed=seed,
)  # fmt: skip
print(f"{result.summary()}; weights in {weights.name}")

# %%
note = f"{splits.name} · {scale} scale · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
figure

# %% [markdown]
# A guess costs $\log 4 = 1.39$: a loss that stays there has not begun to learn.
#
# ## After training

# %%
after, confusion, unread = pretext_accuracy()
print(f"held-out pretext accuracy {before:.1%} -> {after:.1%}, chance {chance:.1%}")
names = [f"{90 * k} degrees" for k in range(rotation.TURNS)]
figure = visualize.confusion_matrix(confusion, names, note=note)
run.save_figure(
    figure,
    "rotation_confusion",
    data=[{"true": name, **dict(zip(names, row.tolist()))} for name, row in zip(names, confusion)],
    alt="Confusion matrix of the turns of held-out clips: rows are true turns, columns predicted ones.",
    dataset=splits.name,
)
figure

# %% [markdown]
# What has no upper side, a texture seen from above or a thing that flies any way, cannot be told. Videos
# that people shoot have a ground and a sky; in the embedded data there is less to go by: the photographs
# among its textures, and things that bounce, rise or fall.
#
# ## What one should see
#
# From random weights the steps of the mini scale taught `r3d_10_dilated` 32 to 35 % of the turns, a
# little more than chance; begun with MoSI's weights and given 2,500 steps it named 63 to 65 % (three seeds
# each, on record). So accuracy near chance says that training has hardly begun, not that nothing is there.

# %%
run.finish(
    {
        "pretext_accuracy": after,
        "pretext_accuracy_before": before,
        "chance": chance,
        "train_pretext_accuracy": result.mean("pretext_accuracy"),
        **protocol.spent(result, tuning, len(training), rotation.TURNS),
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
# - your own videos: `dataset = "folder"`, `root = "..."`; is their upper side told?
# - `starts = {"scratch": "", "rotation": "", "mosi": ""}` in `03_transfer`: looks against motion.
# - `frame_stride = 7`: does it change anything for a task that one frame can solve?
