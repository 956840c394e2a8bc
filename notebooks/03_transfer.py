# %% [markdown]
# # Transfer: what is a start worth?
#
# **Question.** With only a handful of labelled videos a class, how much better does a network do
# that begins with weights pretrained without labels than its twin from scratch?
#
# Every method's weights are judged here, and all in the same way: the same labelled videos, the
# same draw of the classifier, the same settings of the training, the same clips of each test video.
#
# | | |
# | --- | --- |
# | needs | labelled videos, weights of a pretraining (by default MoSI's) |
# | takes | 3 min a training on one core |
# | gives | accuracy of each start, with its denominator, beside chance and two yardsticks; `predictions.npz` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
validation = 0.0  # share of the training videos tested on instead of the test set, by whole groups
seed = 0
starts = {"scratch": "", "mosi": ""}  # weights of each; "": the newest that its page made
videos_per_class = 5  # labelled videos; 0: no limit
label_fraction = 0.0  # or a share of each class; 0: no limit
label_list = ""  # file of the labelled videos, lines of: path frames label; empty: the training set
frozen_stages = []  # stages that keep their initial weights, e.g. ["stem", "conv2"]
backbone = "r2plus1d_10"
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
}  # what is not named is off
clips_per_video = 1  # R of the multi-clip loss
steps = 2000  # whole epochs of about so many steps, whatever the number of labels
epochs = 0  # or so many epochs
batch_size = 16  # videos
optimizer = "adam"
schedule = "cosine"
milestones = []  # epochs, for schedule "step"
lr = 0.003
warmup = 0.03  # share of the training
weight_decay = 1e-4
accumulate = 1  # steps that share one update of the weights
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
num_workers = 0
processes = 1  # that share each step, one GPU each; batch_size is that of one
launcher = ""  # starts them over several nodes, e.g. "srun torchrun --nnodes 2 ..."
test_clips = 10
train_clips = 2  # clips of a training video for its accuracy and for the yardsticks
baselines = True  # the yardsticks: linear classifiers of a single frame and of frame differences

# %%
from vidssl import runs

run = runs.start("03_transfer", globals())
if not starts:
    raise runs.ParameterError('starts is empty: name one or more, e.g. starts={"scratch": ""}')
starts = run.starts()

# %% [markdown]
# ## The labelled videos
#
# Whole classes keep their place: a class without a label still counts in every denominator.

# %%
from vidssl.data import labelled_videos

splits = run.open_dataset(labelled=True)
labelled = labelled_videos(
    splits, label_list=label_list, per_class=videos_per_class, fraction=label_fraction, seed=seed
)
print(
    f"{len(labelled)} labelled videos of {splits.num_classes} classes, {len(splits.test)} test "
    "videos"
)

# %%
from vidssl import protocol, visualize

clips = protocol.Clips.of(run.params, store=run.open_frames([*labelled, *splits.test], short_side))
training = clips.training(labelled, seed, clips_per_video)
shown = [0, len(labelled) - 1]
figure = visualize.film_strip(
    [training[epoch, index]["clips"][0] for index in shown for epoch in range(2)],
    titles=[f"{labelled[i].class_name}, epoch {e}" for i in shown for e in range(2)],
    note="training clips, one draw of crop and colours a clip",
)
figure

# %% [markdown]
# ## Fine-tuning
#
# The cross-entropy of $R$ clips of each of $B$ videos (MotionFit's Eq. 1; MoSI's fine-tuning is
# $R = 1$):
#
# $$L = \frac{1}{B} \sum_{b=1}^{B} \frac{1}{R} \sum_{r=1}^{R} -\log p_\theta(y_b \mid x_{b,r})$$
#
# Nothing is chosen on the test videos: the schedule is fixed, and the last weights are tested.

# %%
from vidssl.evaluation import unfitted
from vidssl.inference import save_predictions

tuning = protocol.Tuning.of(run.params)
history, judged, failed, took = [], {}, [], {}
for name, weights in starts.items():
    network, about = protocol.start_network(
        weights,
        backbone=backbone,
        width=width,
        num_classes=splits.num_classes,
        seed=seed,
        frozen_stages=frozen_stages,
    )
    origin = f"{about.get('method', 'weights')} on {about['dataset']}" if about else "no weights"
    print(f"--- {name}: {origin}")
    result = protocol.fine_tune(
        network, labelled, clips, tuning, seed=seed, clips_per_video=clips_per_video,
        **run.outputs(name),
    )  # fmt: skip
    judged[name] = protocol.judge(
        network,
        splits,
        labelled,
        clips,
        test_clips=test_clips,
        train_clips=train_clips,
        **protocol.computing(run.params),
    )
    print(f"{name}: {judged[name].summary()}")
    took |= protocol.spent(result, tuning, len(labelled), clips_per_video, name)
    history += [{"start": name, **row} for row in result.history]
    failed += [*result.failed, *judged[name].failed]
outputs = {name: judgement.outputs for name, judgement in judged.items()}
save_predictions(run.folder / "predictions.npz", outputs)

# %%
note = f"{splits.name} · {scale} scale · {runs.labels_said(run.params)} · seed {seed}"
if frozen_stages:
    note += f" · frozen: {', '.join(frozen_stages)}"
unfit = unfitted({name: judgement.train.top1_accuracy for name, judgement in judged.items()})
note += f"\n{unfit}" if unfit else ""
figure = visualize.learning_curves(history, by="start", note=note)
figure

# %% [markdown]
# Where a curve of training accuracy has not come near 100 %, its network was stopped early: compare
# it with others only after more `steps`. The figures say so of a network that knows less than 80 % of
# its labelled videos, shown without augmentation.
#
# ## Beside what sees no learned feature
#
# Linear classifiers of one grey frame and of mean frame differences in quarters of the video get the
# same labels. A network counts for what it has above them: below *frame difference* it has learned less
# of motion than subtracted frames show.

# %%
yardsticks = {}
if baselines:
    yardsticks = protocol.yardsticks(splits, labelled, clips, seed=seed)
chance = 1 / splits.num_classes
print(f"chance: {chance:.1%}")

# %% [markdown]
# ## Which classes?

# %%
per_class = {name: judgement.test.per_class_accuracy for name, judgement in judged.items()}
figure = visualize.per_class_accuracy(
    per_class,
    splits.class_names,
    groups=protocol.class_groups(splits.class_names),
    chance=chance,
    note=note,
)
run.save_figure(
    figure,
    "transfer_per_class",
    data=[
        {"class": c, **{name: float(accuracy[i]) for name, accuracy in per_class.items()}}
        for i, c in enumerate(splits.class_names)
    ],
    alt="Accuracy of each class for each start; the dashed line is chance.",
    dataset=splits.name,
)
figure

# %% [markdown]
# Read group by group, it says where a start helps: motion that repeats, motion in an order, looks, or
# both. A class alone says little: of forty test videos a share is known to 15 points.
#
# ## What one should see
#
# With five or ten labels a class and the steps of this page a network from scratch fits 95 to 100 % of
# its training videos, so that what differs is the test; of more labels, or in fewer steps, it fits less.
# Over five seeds and four numbers of labels MoSI is ahead of from scratch by 6.3 ± 3.7 points, by
# 26.2 ± 14.1 on motion that repeats, and behind by 6.6 ± 1.5 where looks alone tell a class; with five
# labels a class the whole is open (2.8 ± 6.7), so that a single seed, as here, may show nothing of it.

# %%
metrics = {key: value for name in judged for key, value in judged[name].metrics(name).items()}
metrics |= {f"{name}_top1_accuracy": report.top1_accuracy for name, report in yardsticks.items()}
metrics |= {**took, "chance": chance, "test_videos": len(splits.test), "labelled": len(labelled)}
number = len(splits.test)
accuracy = {name: judgement.test.top1_accuracy for name, judgement in judged.items()}
expectations = [
    runs.Expectation(f"{name} is ahead of scratch", found, accuracy["scratch"], number)
    for name, found in accuracy.items()
    if "scratch" in accuracy and name != "scratch"
]
expectations += [
    runs.Expectation(
        f"{name} is ahead of {kind.replace('_', ' ')}", found, report.top1_accuracy, number
    )
    for name, found in accuracy.items()
    for kind, report in yardsticks.items()
]
run.finish(
    metrics,
    seeds=[seed],
    failed=failed,
    data_hash=runs.data_hash(splits, labelled, label_list),
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `videos_per_class = 40`, then 0: how soon does a start stop mattering?
# - `frozen_stages = ["stem", "conv2", "conv3"]`: how deep are the pretrained features of use?
# - `frame_stride = 0` and `whole_frame = True`: clips of the whole video in the whole picture.
# - another method's weights: `starts = {"scratch": "", "motionfit": "papermill_runs/..."}`.
# - five seeds and intervals: `vidssl run mosi_lowshot`, read in `15_mosi_tables`.
