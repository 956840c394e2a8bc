# %% [markdown]
# # TimeBalance: two teachers
#
# **Question.** One network learns that all times of a video belong together, another that they
# differ. What does each know once it has been fine-tuned on a few labels?
#
# `objective` chooses: *invariant* (other times of a video are positives), *distinctive* (they are
# negatives), or *tclr* (both at once, the student's usual start; Dave et al., CVIU 2022). All clips of a
# step, global and local, in both augmentations, go through network and projector in one forward. The
# projector is a small head that embeds the features for these contrasts, and later for $s$
# (`31_timebalance_similarity`); fine-tuning goes without it.
#
# | | |
# | --- | --- |
# | needs | training videos without labels, then shares of their labels |
# | takes | 6 min of pretraining and 90 s a fine-tuning on one core |
# | gives | `teacher.pt`, `backbone.pt`, `finetuned-<percent>.pt`, their accuracy |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
objective = "invariant"  # invariant, distinctive, tclr
pretrained = ""  # backbone.pt to start from, e.g. of 11_mosi_pretrain; empty: from scratch
backbone = "r3d_10_dilated"  # its time slices must be a multiple of the local clips
width = 0.125
frames = 8
global_stride = 8  # of the global clip; the local clips tile the same stretch
locals_count = 4
size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
view_augmentation = {
    "scale": [0.7, 1.0],  # side of the random crop, share of the shorter side
    "flip": 0.5,
    "color": [0.3, 0.3, 0.3, 0.15],
    "grey": 0.175,
    "erase": 0.3,
}  # of the pretraining's clips; what is not named is off
temperature = 0.1
instance_weight = 1.0
instance_locals = 1.0  # of pairs of local clips within it, beside 1 of the two global ones
local_weight = 1.0
global_weight = 1.0
batch_videos = 8
steps = 1000  # of pretraining: whole epochs of about so many
epochs = 0  # or so many epochs
lr = 0.003
warmup = 0.1  # share of the training
weight_decay = 1e-4
fractions = [0.01, 0.05, 0.1]  # labelled shares of the training videos; nested for one seed
label_lists = []  # files of labelled videos, one for each fraction; empty: drawn with seed
tuning_frames = 8  # of the clips that are classified
frame_stride = 7  # frames; 0: the clip is spread over the whole video
augmentation = {
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.3,
}  # of the fine-tuning's clips
tuning_steps = 1000
tuning_epochs = 0  # or so many epochs, whatever the share
batch_size = 16
tuning_lr = 0.003
tuning_warmup = 0.03
tuning_weight_decay = 1e-4
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a labelled video for its accuracy

# %%
from vidssl import runs
from vidssl.methods import timebalance

run = runs.start("30_timebalance_teachers", globals())
[pretrained] = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False)
)
if label_lists and len(label_lists) != len(fractions):
    raise runs.ParameterError(f"{len(label_lists)} label_lists for {len(fractions)} fractions")
config = timebalance.TeacherConfig(
    objective=objective,
    locals_count=locals_count,
    temperature=temperature,
    instance_contrast=instance_weight,
    instance_locals=instance_locals,
    local_local=local_weight,
    global_local=global_weight,
)
slices = timebalance.time_slices(backbone, frames)
if not timebalance.slices_fit(slices, config):
    raise runs.ParameterError(f"backbone={backbone!r}: {timebalance.unfit(slices, locals_count)}")

# %% [markdown]
# ## What a step sees of one video
#
# A sparse *global* clip and the dense *local* clips that tile the same stretch of time, each in two
# augmentations: $2 (1 + N)$ clips of a video, every one with its own crop, colours and erasing. No
# label depends on what is augmented away, so strong changes do no harm here.

# %%
from functools import partial

from vidssl import protocol, visualize
from vidssl.data import ClipDataset, two_scale_views

splits = run.open_dataset(labelled=True)
store = run.open_frames([*splits.train, *splits.test], short_side)
clips = protocol.Clips.of(run.params, frames=tuning_frames, store=store)
choose = partial(
    two_scale_views, frames=frames, global_stride=global_stride, locals_count=locals_count
)
augmented = protocol.Clips.of({**run.params, "augmentation": view_augmentation}).augmented()
views = ClipDataset(splits.train, clips.source, choose, augmented, seed=seed)
figure = visualize.film_strip(
    list(views[0]["clips"][: 1 + locals_count]),
    titles=["global clip", *(f"local clip {k + 1}" for k in range(locals_count))],
    note=f"{splits.name}: one of two augmentations, drawn for each clip",
)
figure

# %% [markdown]
# Every frame of the global clip shows a time that one of the local clips shows densely; the numbers count
# the frames of a clip. That is what the objectives play with.
#
# ## What is asked of the embeddings
#
# Of video $i$ in augmentation $a$: $g^a_i$ embeds the global clip, $z^a_{ik}$ the local clip of time
# $k$, $h^a_{ik}$ the $k$-th time slice that the network's last stage has of the global clip (neighbours
# are averaged where it has more). All have length 1.

# %%
import torch

from vidssl.data import collate
from vidssl.inference import place

network, about = protocol.start_network(
    pretrained, backbone=backbone, width=width, num_classes=0, seed=seed
)
teacher = timebalance.Teacher(network)
shown = collate([views[i] for i in range(min(4, len(views)))])["clips"].unflatten(1, (2, -1))


def embedded():
    """What the teacher, as it stands, makes of the same few videos."""
    with torch.no_grad():
        found = timebalance.embed_views(teacher, shown.to(place(teacher)))
    return timebalance.Views(*(part.float().cpu() for part in found))


before = embedded()
g, z, h, _ = before
print(f"g {tuple(g.shape)}, z {tuple(z.shape)}, h {tuple(h.shape)}")

# %% [markdown]
# **Instance contrast** makes a teacher invariant. Between two views $u$ and $v$ of the same $B$ videos
#
# $$\ell(u, v) = -\frac{1}{2B} \sum_{i=1}^{B} \Big[ \log \frac{e^{u_i \cdot v_i / \tau}}
# {\sum_j e^{u_i \cdot v_j / \tau} + \sum_{j \ne i} e^{u_i \cdot u_j / \tau}} +
# (u \leftrightarrow v) \Big]$$
#
# and views are both global clips, then any two of the $2N$ local ones: other times are positives.
# $\omega$ is `instance_locals`.
#
# $$L_I = \frac{1}{1 + \omega} \Big[ \ell(g^1, g^2) + \omega
# \operatorname*{mean}_{(a,k) \ne (a',k')} \ell(z^a_k, z^{a'}_{k'}) \Big]$$

# %%
from itertools import combinations

from torch.nn.functional import cross_entropy, normalize


def contrast(rows):
    """Each row of (2M, D) against all others: row m + M is the positive of row m, and back."""
    unit = normalize(rows, dim=-1)
    logits = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    half = len(rows) // 2
    return cross_entropy(logits, (torch.arange(2 * half) + half) % (2 * half))


by_time = z.transpose(1, 2).flatten(0, 1)  # 2N views of (B, D)
pairs = [contrast(torch.cat(pair)) for pair in combinations(by_time, 2)]
both = contrast(g.flatten(0, 1)) + instance_locals * sum(pairs) / len(pairs)
by_hand = {"instance_contrast": both / (1 + instance_locals)}

# %% [markdown]
# **Local-local contrast** is the same sum turned by a right angle: within one video, the same time in
# the other augmentation $\bar a$ is the positive and the other times are negatives.
#
# $$L_{LL} = -\frac{1}{2NB} \sum_{i, a, k} \log
# \frac{e^{z^a_{ik} \cdot z^{\bar a}_{ik} / \tau}}
# {\sum_{(c, l) \ne (a, k)} e^{z^a_{ik} \cdot z^c_{il} / \tau}}$$

# %%
videos = z.transpose(0, 1)  # (B, 2, N, D)
by_hand["local_local"] = torch.stack([contrast(video.flatten(0, 1)) for video in videos]).mean()

# %% [markdown]
# **Global-local contrast** asks slice $k$ of the global clip for the local clip of the same time, and
# the other way round:
#
# $$L_{GL} = -\frac{1}{8NB} \sum_{i, a, c, k} \Big[
# \log \frac{e^{h^a_{ik} \cdot z^c_{ik} / \tau}}{\sum_l e^{h^a_{ik} \cdot z^c_{il} / \tau}} +
# \log \frac{e^{h^a_{ik} \cdot z^c_{ik} / \tau}}{\sum_l e^{h^a_{il} \cdot z^c_{ik} / \tau}} \Big]$$

# %%
if h.shape[2] == locals_count:
    logits = normalize(h, dim=-1)[:, None] @ normalize(z, dim=-1)[None].mT / temperature
    logits = logits.flatten(0, 2)  # (2 * 2 * B, N, N): slices of a, local clips of c
    times = torch.arange(locals_count).expand(len(logits), -1)
    by_hand["global_local"] = (cross_entropy(logits, times) + cross_entropy(logits.mT, times)) / 2

# %% [markdown]
# The method computes the same without a loop. What an objective has is added up with its weights:
# $L_I$ alone is *invariant*, $L_{LL} + L_{GL}$ *distinctive*, all three *tclr*.

# %%
for name, term in timebalance.contrastive_terms(before, config).items():
    torch.testing.assert_close(term, by_hand[name], rtol=1e-4, atol=1e-4)
chance_of = timebalance.chance_losses(len(shown), locals_count)
for name, term in by_hand.items():
    used = "" if name in config.terms else f", no part of {objective}"
    print(f"{name.replace('_', '-')}: {term:.2f}, at chance {chance_of[name]:.2f}{used}")

# %% [markdown]
# ## Pretraining without labels
#
# From random weights a distinctive teacher first stays at the loss of chance, for longer than the
# mini scale lasts; weights that already see motion, MoSI's, spare it that. Then every row that is
# compared with it should start from the same weights.

# %%
from vidssl.models.pretrained import save_pretrained

tuning = protocol.Tuning.of(run.params, batch_size=batch_videos)
step = timebalance.teacher_step(config)
result = protocol.train(teacher, views, step, tuning, seed=seed, **run.outputs("pretraining"))
about = {"backbone": backbone, "width": width, "dataset": splits.name, "seed": seed}
save_pretrained(teacher, run.folder / "teacher.pt", method=objective, **about)
weights = save_pretrained(teacher.backbone, run.folder / "backbone.pt", method=objective, **about)
failed = list(result.failed)
print(result.summary())

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
print(f"loss {loss:.2f}, at chance {chance_loss:.2f}, spread {spread:.2f}: {state}")
figure

# %% [markdown]
# The chance loss is that of a network to which all clips look alike. Random differences begin above
# it (*early*); near it, a distinctive teacher sits on the *plateau* that it crosses first, or all
# clips look alike indeed (*collapsed*); below it something has been learned (*learning*). The spread,
# the share of the features that differs from clip to clip, is near 0 for a collapsed network alone.
#
# ## The same few videos again
#
# Cosine similarities of the clips above before and after the pretraining; frames mark the positives
# of each contrast. On the left are all local clips of four videos, video by video; in the middle those
# of the first video, in one augmentation and then the other; on the right a row is a time slice of its
# global clip and a column one of its local clips.

# %%
from vidssl.visualize.teachers import contrasts

figure = contrasts(
    {"before": timebalance.contrasted(before), "after": timebalance.contrasted(embedded())},
    note=note,
)
figure

# %% [markdown]
# An invariant teacher brings the clips of one video together, in the left matrices the marked ones
# against all others; a distinctive one tells the times in the middle and on the right, and has no
# reason to tell videos. Which of the two an action needs is the question of the pages that follow.
#
# ## Fine-tuning on few labels
#
# Each share starts from the pretrained weights anew, trains by the same settings and keeps the last
# weights: nothing is chosen on the test videos.

# %%
from vidssl.data import labelled_videos

judged, sizes, took = {}, {}, protocol.spent(result, tuning, len(views), 2 * (1 + locals_count))
tuning = protocol.Tuning.of(run.params, prefix="tuning_")
for index, fraction in enumerate(fractions):
    percent = f"{100 * fraction:g}"
    chosen = {"label_list": label_lists[index]} if label_lists else {"fraction": fraction}
    labelled = labelled_videos(splits, seed=seed, **chosen)
    network, _ = protocol.start_network(
        weights, backbone=backbone, width=width, num_classes=splits.num_classes, seed=seed
    )
    tuned = protocol.fine_tune(
        network, labelled, clips, tuning, seed=seed, **run.outputs(f"finetuned-{fraction}")
    )
    save_pretrained(
        network, run.folder / timebalance.finetuned_name(fraction), method=objective, **about
    )
    judged[percent] = protocol.judge(
        network,
        splits,
        labelled,
        clips,
        test_clips=test_clips,
        train_clips=train_clips,
        **protocol.computing(run.params),
    )
    print(f"{percent} % labels, {len(labelled)} videos: {judged[percent].summary()}")
    failed += [*tuned.failed, *judged[percent].failed]
    took |= protocol.spent(tuned, tuning, len(labelled), name=f"finetuned_{percent}")
    sizes[percent] = len(labelled)

# %%
chance = 1 / splits.num_classes
figure = visualize.per_class_accuracy(
    {f"{percent} % labels": each.test.per_class_accuracy for percent, each in judged.items()},
    splits.class_names,
    groups=protocol.class_groups(splits.class_names),
    chance=chance,
    note=note,
)
figure

# %% [markdown]
# Where the training accuracy is at 100 % and the test's is not, labels are what lacks, and the
# pretraining decides what is made of them. Look at the groups: by the method's premise a distinctive
# teacher leads on *ordered* classes, an invariant one on *repetitive* and *appearance* ones. Those of
# *both* ask for the two: one teacher knows the scene, the other the order.
#
# ## What one should see
#
# An invariant teacher's loss falls from the first steps on, and so does a distinctive one's that
# starts from MoSI; from random weights it comes down to the chance loss and stays there for long.
# More labels, better accuracy. Do not expect the premise to show in one run: over five seeds, which
# `34_timebalance_tables` puts side by side, the invariant teacher is ahead on ordered classes, too
# (`docs/results.md`).

# %%
from itertools import pairwise

groups = [f"{group}_accuracy" for group in judged[percent].groups]
kept = ("top1_accuracy", "train_accuracy", "per_class", *groups)
metrics = {
    name: value
    for percent, each in judged.items()
    for name, value in each.metrics(f"finetuned_{percent}").items()
    if name.endswith(kept)
}
number, percents = len(splits.test), list(judged)
accuracy = {percent: each.test.top1_accuracy for percent, each in judged.items()}
expectations = [
    runs.Expectation("features differ from clip to clip", spread, timebalance.COLLAPSED),
    runs.Expectation("the chance loss is above the loss", chance_loss, loss),
    runs.Expectation(
        f"{percents[0]} % labels: above chance", accuracy[percents[0]], chance, number
    ),
]
expectations += [
    runs.Expectation(f"{more} % are ahead of {few} %", accuracy[more], accuracy[few], number)
    for few, more in pairwise(percents)
]

# %%
run.finish(
    {
        **metrics,
        "state": state,
        "loss": loss,
        "chance_loss": chance_loss,
        "spread_score": spread,
        "chance": chance,
        "test_videos": number,
        "class_names": list(splits.class_names),
        "labelled": sizes,
        **took,
        "waiting_share": result.waiting_share,
        "parameters_count": sum(p.numel() for p in network.parameters()),
    },
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `objective = "distinctive"`, then `31_timebalance_similarity`: both teachers' view of a video.
# - `view_augmentation.scale = [1.0, 1.0]` and no colours: a teacher finds shortcuts where views differ
#   little. What does its loss say, and what its accuracy?
# - `locals_count = 2`: with two times there is one negative; is the distinctive teacher still one?
# - `pretrained` with the weights of `11_mosi_pretrain` for `backbone = "r3d_10_dilated"`: does the
#   plateau of the distinctive teacher go away?
