# %% [markdown]
# # TimeBalance: the student, and what it is held against
#
# **Question.** Given few labels and many videos without, what does a student gain from two frozen
# teachers, blended video by video?
#
# `method` is *timebalance*, or one of the baselines on the same network, data and number of steps:
# *supervised* (labels alone), *pseudo_label*, *mean_teacher*, *fixmatch*, *tg_fixmatch*, *s4l*. `blend`
# tells which teachers the student listens to: both by *similarity*, their *average*, or one alone.
#
# | | |
# | --- | --- |
# | needs | few labels; two runs of `30_timebalance_teachers`, `similarities.npz` of `31_timebalance_similarity` |
# | takes | 4 min on one core, supervised 1 |
# | gives | accuracy with the denominator, learning curves, `backbone.pt` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
method = "timebalance"  # supervised, pseudo_label, mean_teacher, fixmatch, tg_fixmatch, s4l
fraction = 0.1  # labelled share of the training videos
label_list = ""  # file of labelled videos, lines of: path frames label; empty: drawn with seed
pretrained = ""  # backbone.pt to start from (TCLR, MoSI, MotionFit); empty: from scratch
invariant = ""  # timebalance: folders of runs of 30_timebalance_teachers; empty: the newest
distinctive = ""
similarities = ""  # timebalance: similarities.npz of 31_timebalance_similarity; empty: the newest
blend = "similarity"  # similarity, average, invariant, distinctive
calibration = "none"  # none, rank, minmax: spreads s over [0, 1] by the training videos
similarity_clips = 0  # clips behind s, the middle ones; 0: all
distance = "mse"  # mse, kl
labelled_weight = 50.0
unlabelled_weight = 100.0
threshold = 0.95  # pseudo_label and fixmatch: confidence of a label that is learned
baseline_weight = 1.0  # of a baseline's unlabelled loss
ramp = 0.3  # pseudo_label, mean_teacher: share of the training over which that weight rises
decay = 0.99  # mean_teacher: of the moving average
backbone = "r3d_10_dilated"
width = 0.125
frames = 8
frame_stride = 7  # frames; 0: the clip is spread over the whole video
size = 32  # px
short_side = 40  # px
whole_frame = False  # True: frames squeezed to squares, so that crops keep the sides
augmentation = {
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.3,
}  # of labelled clips; what is not named is off
weak_augmentation = {
    "flip": 0.5,
    "color": [0.1, 0.1, 0.1, 0.02],
}  # of clips without label, where the network labels them itself
strong_augmentation = {
    "scale": [0.5, 1.0],
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.175,
    "erase": 0.7,
}  # of their other view, which is learned (fixmatch)
weak_strong = False  # timebalance: teachers see the weak view, the student the strong one; else one
steps = 1000  # as many as the teachers' fine-tuning: one budget for all rows
epochs = 0  # or so many epochs
epoch_of = "unlabelled"  # the videos that an epoch passes over: unlabelled, labelled
batch_size = 16  # labelled videos a step, and as many without label
lr = 0.003
warmup = 0.03  # share of the training
weight_decay = 1e-4
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a labelled video for its accuracy and for the baselines
publish = False  # put the curves among the project's figures
baselines = False  # linear classifiers of a static frame and of frame differences

# %%
from vidssl import runs
from vidssl.methods import timebalance

run = runs.start("32_timebalance_student", globals())
taught = method == "timebalance"
taught_by = timebalance.StudentConfig(blend, distance, labelled_weight, unlabelled_weight)
pretrained, invariant, distinctive, similarities = run.inputs(
    runs.Need("pretrained", settings={"backbone": backbone, "width": width}, required=False),
    *runs.teacher_needs(fraction, when=taught),
    runs.Need(
        "similarities",
        "31_timebalance_similarity",
        ("similarities.npz",),
        when=taught and blend == "similarity",
    ),
)

# %% [markdown]
# ## Few labels, many videos
#
# A class without a label keeps its place in the classifier and in every denominator.

# %%
from vidssl.core import one_of
from vidssl.data import known_videos, labelled_videos
from vidssl.methods import semi_supervised

METHODS = {
    "timebalance": semi_supervised.SemiSupervised(
        step=None, views=("weak", "strong") if weak_strong else ("labelled",)
    ),
    **semi_supervised.METHODS,
}
chosen = METHODS[one_of("method", method, METHODS)]
splits = run.open_dataset(labelled=True)
asked = {"label_list": label_list} if label_list else {"fraction": fraction}
labelled = labelled_videos(splits, seed=seed, **asked)
known_ids = {record.video_id for record in labelled}
unlabelled = [record for record in splits.train if record.video_id not in known_ids]
if chosen.views and not unlabelled:
    raise runs.ParameterError("every training video has a label, so none is left without")
print(
    f"{method}: {len(labelled)} labelled and {len(unlabelled)} unlabelled videos of "
    f"{splits.num_classes} classes, {len(splits.test)} test videos"
)

# %% [markdown]
# A video that could not be read when similarities were measured has no $s$. It is left out of the
# training and counted; where it has a label it stays among the videos that the student is tested on.

# %%
taught_with, unscored = [labelled, unlabelled], []
if taught and blend == "similarity":
    video_ids = [record.video_id for record in [*labelled, *unlabelled]]
    weighed = timebalance.load_similarities(similarities).of(video_ids)
    for i, part in enumerate(taught_with):
        known, lacking = known_videos(part, weighed.video_ids, "has no temporal similarity")
        taught_with[i], unscored = known, unscored + lacking
if unscored:
    print(f"{len(unscored)} training videos are left out:", *unscored, sep="\n  ")

# %% [markdown]
# A sample is a clip of a labelled video and, beside it, the views of a clip without label that the
# method asks for: *weak* ones are there to be labelled, *strong* ones to be learned, and *unlabelled,
# labelled* is a clip without label that is changed as the labelled clips are. A mini weak view moves a
# pixel by 3 % of its range, a strong one by 21 %.

# %%
from vidssl import protocol, visualize
from vidssl.core import derive_seed
from vidssl.data import Augmentation, PairedDataset, TwoViews

seen = unlabelled if chosen.views else []
store = run.open_frames([*labelled, *seen, *splits.test], short_side)
clips = protocol.Clips.of(run.params, store=store)
changes = {
    "labelled": augmentation,
    "weak": weak_augmentation,
    "strong": strong_augmentation,
}
training = clips.training(taught_with[0], seed)
if chosen.views:
    views = [clips.augmented(Augmentation.of(changes[name])) for name in chosen.views]
    transform = TwoViews(*views) if len(views) == 2 else views[0]
    others = clips.training(taught_with[1], derive_seed(seed, "unlabelled"), transform=transform)
    training = PairedDataset(training, others, epoch_of)
sample = training[0]
shown = {"labelled": sample["clips"][0]}
for place, view in enumerate(sample.get("unlabelled", ())):
    shown[f"unlabelled, {chosen.views[place]} ({place + 1})"] = view
figure = visualize.film_strip(
    list(shown.values()), titles=list(shown), note="one draw of the augmentation a clip"
)
figure

# %% [markdown]
# ## What is learned from
#
# With labels alone (*supervised*) the loss is the cross-entropy $H$ of the $B$ labelled clips. The
# others add, with a weight $w$, something about the unlabelled clip $u$ in a weak view $\alpha(u)$, a
# second weak view $\alpha'(u)$ or a strong one $A(u)$; $p$ are class probabilities, $\theta$ is
# `threshold`, $w$ `baseline_weight`:
#
# | | |
# | --- | --- |
# | *pseudo_label* | $\mathbb{1}[\max p(\alpha(u)) \ge \theta] \; H(\arg\max p(\alpha(u)),\, p(\alpha(u)))$ |
# | *fixmatch* | $\mathbb{1}[\max p(\alpha(u)) \ge \theta] \; H(\arg\max p(\alpha(u)),\, p(A(u)))$ |
# | *tg_fixmatch* | the same for two networks, on RGB and on frame differences, that share one label |
# | *s4l* | $H(r,\, q(r(u)))$: by how many quarters $r$ the clip was turned, by a second classifier $q$ |
# | *mean_teacher* | $\lVert p(\alpha(u)) - \bar p(\alpha'(u)) \rVert^2$, $\bar p$ of the averaged weights |
#
# The student of *timebalance* listens to two frozen teachers instead. A video's temporal similarity
# $s_i$ is the weight of the invariant one,
#
# $$p^T_i = s_i \, p^I_i + (1 - s_i) \, p^D_i$$
#
# and labelled and unlabelled clips are drawn towards the blend, with $D$ the squared difference
# (*mse*) or the divergence (*kl*):
#
# $$L = H(y, p) + w_l \, D_{\text{labelled}}(p, p^T) + w_u \, D_{\text{unlabelled}}(p, p^T)$$

# %%
models = []
for index in range(chosen.networks):
    network, about = protocol.start_network(
        pretrained,
        backbone=backbone,
        width=width,
        num_classes=splits.num_classes,
        seed=derive_seed(seed, "network", index) if index else seed,
    )
    models.append(network)
model = chosen.wrap(*models)
tested = chosen.network(model)
config = semi_supervised.SemiSupervisedConfig(
    threshold=threshold,
    weight=baseline_weight,
    decay=decay,
    ramp=ramp if chosen.ramped else 0.0,
)
if about:
    print(f"begins with {about.get('method', 'weights')} of {about['dataset']}")

# %% [markdown]
# Where the student is taught, the weights of all training videos are looked at before they are used:
# if they are all alike, the blend is a fixed mixture.

# %%
import numpy as np

scores, degenerate = {}, False
if taught:
    teachers = timebalance.load_finetuned(invariant, distinctive, fraction, splits.num_classes)
if taught and blend == "similarity":
    s = timebalance.calibrate(weighed.scores(similarity_clips), calibration)
    scores = dict(zip(weighed.video_ids, s.astype(np.float32).tolist()))
    degenerate = timebalance.warn_if_alike(s)
    print(f"s from {s.min():.2f} to {s.max():.2f}, mean {s.mean():.2f}")

# %% [markdown]
# Both equations for a few clips, and the method's own answer beside them.

# %%
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from vidssl.core import normalise
from vidssl.data import collate
from vidssl.inference import place

table = None
if taught:
    batch = collate([training[i] for i in range(min(4, len(training)))])
    known, weak, seen = batch["clips"][:, 0], batch["unlabelled"][:, 0], batch["unlabelled"][:, -1]
    p_i, p_d = (p.float().cpu() for p in teachers.predict(normalise(torch.cat([known, weak]))))
    s = timebalance.blend_weights([*batch["video_id"], *batch["unlabelled_id"]], scores, blend)
    target = s[:, None] * p_i + (1 - s[:, None]) * p_d
    with torch.no_grad():
        logits = model(normalise(torch.cat([known, seen])).to(place(model))).float().cpu()
    p, number = logits.softmax(dim=1), len(known)
    if distance == "mse":
        apart = (p - target).square().mean(dim=1)
    else:
        apart = (torch.xlogy(target, target) - target * p.log()).sum(dim=1)
    by_hand = cross_entropy(logits[:number], batch["label"])
    by_hand += labelled_weight * apart[:number].mean() + unlabelled_weight * apart[number:].mean()
    loss, _ = timebalance.student_loss(logits, batch["label"], target, taught_by)
    torch.testing.assert_close(by_hand, loss, rtol=1e-4, atol=1e-4)
    says = {"invariant": p_i, "distinctive": p_d, "blend": target, "student": p}
    table = {
        name: [splits.class_names[k] for k in q[number:].argmax(1)] for name, q in says.items()
    }
    table = pd.DataFrame({"s": s[number:].numpy().round(2), **table}, index=batch["unlabelled_id"])
table

# %% [markdown]
# What teachers, blend and the untrained student take a few unlabelled clips for. Where the teachers
# agree, $s$ changes how sure the blend is; where they do not, $s$ decides.
#
# ## Training

# %%
from vidssl.models.pretrained import save_pretrained

step = timebalance.student_step(teachers, scores, taught_by) if taught else chosen.step(config)
tuning = protocol.Tuning.of(run.params)
result = protocol.train(model, training, step, tuning, seed=seed, **run.outputs())
save_pretrained(
    tested, run.folder / "backbone.pt", method=method, backbone=backbone, width=width,
    dataset=splits.name, seed=seed,
)  # fmt: skip
print(result.summary())

# %%
percent = f"{100 * fraction:g}"
note = f"{splits.name} · {scale} scale · {method}, {percent} % labels · seed {seed}"
figure = visualize.learning_curves(result.history, note=note)
run.save_figure(
    figure,
    "timebalance_student_curves",
    data=result.history,
    alt="Losses, accuracy on labelled videos, agreement of the teachers and of the student with "
    "them, over the training steps.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# *teachers agree* is the share of clips for which both teachers name one class: only on the others can
# $s$ decide. *student follows* is the share for which student and blend do, *confident* the share of
# unlabelled clips whose label was sure enough to be learned. A student that follows early and fits its
# labels late has learned more from the teachers than from the labels.
#
# ## Test videos

# %%
judged = protocol.judge(
    tested,
    splits,
    labelled,
    clips,
    test_clips=test_clips,
    train_clips=train_clips,
    **protocol.computing(run.params),
)
print(f"{method}: {judged.summary()}")
yardsticks = {}
if baselines:
    yardsticks = protocol.yardsticks(splits, labelled, clips, seed=seed)
chance = 1 / splits.num_classes

# %%
figure = visualize.per_class_accuracy(
    judged.test.per_class_accuracy,
    splits.class_names,
    groups=protocol.class_groups(splits.class_names),
    chance=chance,
    note=note,
)
figure

# %% [markdown]
# ## What one should see
#
# The student fits the labelled videos and follows the blend more and more; where the teachers know
# more than the labels alone teach, it ends above the supervised network, which is a run of this page
# of its own (`34_timebalance_tables` puts them side by side, seed by seed). On record it is ahead of
# TCLR, which it begins as, at every share, and of the supervised network with 1 %; against its
# invariant teacher alone and against the blend by one half it is open (`docs/results.md`).

# %%
metrics = judged.metrics()
metrics |= {f"{name}_top1_accuracy": report.top1_accuracy for name, report in yardsticks.items()}
logged = sorted({name for row in result.history for name in row if name.endswith("_score")})
metrics |= {name: result.mean(name) for name in logged}
accuracy, number = judged.test.top1_accuracy, len(splits.test)
expectations = [runs.Expectation(f"{method} is ahead of chance", accuracy, chance, number)]
expectations += [
    runs.Expectation(
        f"{method} is ahead of {name.replace('_', ' ')}", accuracy, report.top1_accuracy, number
    )
    for name, report in yardsticks.items()
]
if taught:
    first = result.history[0]["student_follows_score"]
    follows = metrics["student_follows_score"]
    expectations.append(runs.Expectation("the student comes to follow the blend", follows, first))
run.finish(
    {
        **metrics,
        "chance": chance,
        "test_videos": number,
        "labelled": len(labelled),
        "unlabelled": len(unlabelled),
        "without_similarity": len(unscored),
        "degenerate": degenerate,
        **protocol.spent(result, tuning, len(training), 1 + len(chosen.views)),
        "waiting_share": result.waiting_share,
    },
    seeds=[seed],
    failed=[*unscored, *result.failed, *judged.failed],
    data_hash=runs.data_hash(splits, labelled, label_list),
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `blend = "average"`, then *invariant* and *distinctive* alone: what is the weighting worth?
# - `calibration = "rank"`: $s$ spread over all of [0, 1], where its own values lie close together.
# - `method = "fixmatch"` with `threshold = 0.5`: more labels that are learned, more of them wrong.
# - `weak_strong = True`: the student sees a harder view than its teachers.
