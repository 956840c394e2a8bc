# %% [markdown]
# # vidssl: start here
#
# **Question.** What is here, and where do I begin?
#
# A workbook for three methods that learn from video with few labels or none: MoSI, MotionFit and
# TimeBalance, with simpler pretext tasks beside them. Every page opens with its question and closes
# with what to try next; every number in it can be moved by a parameter, by hand or in a batch.
#
# | | |
# | --- | --- |
# | needs | nothing |
# | takes | 10 s |
# | gives | a map, the state of this machine, and what has been run on it |
#
# ## Three ways in
#
# **Explore, 15 minutes.** Run all cells of each; nothing is downloaded.
#
# 1. [01_data_and_clips](01_data_and_clips.ipynb): what a network sees of a video
# 2. [10_mosi_pseudo_motion](10_mosi_pseudo_motion.ipynb): move the sliders, watch a still image move
# 3. [20_motionfit_flow](20_motionfit_flow.ipynb): the same videos as optical flow
# 4. [11_mosi_pretrain](11_mosi_pretrain.ipynb): the first training; the videos are made on the way
# 5. [13_mosi_gradcam](13_mosi_gradcam.ipynb): where the trained network looks
#
# **Batch.** In a terminal, in the project's folder.
#
# 1. `vidssl run` lists the targets; `vidssl run demo` is the quickest (10 minutes)
# 2. `vidssl run mosi_lowshot --scale smoke -j 2` tries every step of a target in minutes
# 3. `vidssl run mosi_lowshot` is the real thing: what is done is kept, what changed is run again
# 4. `vidssl run mosi_lowshot -p dataset folder -p root /my/videos` takes videos of your own
# 5. `vidssl runs` says what came out
#
# **Figures.** They are made from records, which are in git: no training is needed.
#
# 1. `figures/` holds each one with its data (.csv) and its origin (.json)
# 2. [15_mosi_tables](15_mosi_tables.ipynb), [25_motionfit_tables](25_motionfit_tables.ipynb),
#    [34_timebalance_tables](34_timebalance_tables.ipynb): set `table`, see it in seconds
# 3. `vidssl trace mosi_lowshot` says which runs made a figure, and whether it is still current
# 4. `vidssl run mosi_lowshot` draws it anew, after the runs that it lacks
#
# ## All pages
#
# Times are those of the mini scale, without making the embedded videos once (5 minutes). A number
# under *needs* is a page that comes before; each page says so at once if that one is missing.
#
# <!-- pages -->
#
# | page | question | needs | takes | gives |
# | --- | --- | --- | --- | --- |
# | [01_data_and_clips](01_data_and_clips.ipynb) | What does a network see of a video: which frames, which part of the picture, in which colours? | any data set (`dataset`, `root`); by default the embedded one | 30 s | players, film strips, the known truth of the embedded data |
# | [02_supervised_baseline](02_supervised_baseline.ipynb) | What does a network learn from the labels alone, and which classes does it confuse? | labelled videos | 4 min of training and 1 min of evaluation on one core | accuracy with all labels or a few a class, confusions, `backbone.pt` |
# | [03_transfer](03_transfer.ipynb) | With only a handful of labelled videos a class, how much better does a network do that begins with weights pretrained without labels than its twin from scratch? | labelled videos, weights of a pretraining (by default MoSI's) | 3 min a training on one core | accuracy of each start, with its denominator, beside chance and two yardsticks; `predictions.npz` |
# | [10_mosi_pseudo_motion](10_mosi_pseudo_motion.ipynb) | How can a single photograph teach a network what motion is? | nothing, or a picture of yours (`image`) | 1 min | a playground, all labels side by side, the figure `mosi_pseudo_motion` |
# | [11_mosi_pretrain](11_mosi_pretrain.ipynb) | Can a video network learn to name the direction and speed of pseudo motions, on images it has never seen? | videos or still images, without labels (`dataset`, `root`) | 3 min on one core | `backbone.pt`, learning curves, pretext accuracy on held-out images |
# | [13_mosi_gradcam](13_mosi_gradcam.ipynb) | Where does a network look before any fine-tuning: at what moves, or elsewhere? | videos, weights of [11](11_mosi_pretrain.ipynb) with and without its mask and of [02](02_supervised_baseline.ipynb) | 30 s on two cores | where each network looks, and its share on what moves: `mosi_gradcam`, `mosi_attention`, `mosi_failures` |
# | [14_mosi_clusters](14_mosi_clusters.ipynb) | Which videos are alike to a network that has only seen pseudo motions? | videos, weights of [11](11_mosi_pretrain.ipynb) with `mask_ratio = []` | 30 s on two cores | the figure `mosi_clusters`; purity and normalised mutual information |
# | [15_mosi_tables](15_mosi_tables.ipynb) | Over several seeds, what is pretraining on pseudo motions worth, and which of its choices matter? | records that `vidssl run <table>` leaves | 5 s | the table and its plot in `figures/` |
# | [20_motionfit_flow](20_motionfit_flow.ipynb) | What does a network see that sees motion alone, and how good is that motion? | any data set (`dataset`, `root`); by default the embedded one | 1 min | a playground, errors against the true flow, the figure `motionfit_flow` |
# | [21_motionfit_motion_model](21_motionfit_motion_model.ipynb) | With a handful of labelled videos a class, does a network learn more from how things move than from what they look like, and does it help to see several clips of a video at once? | labelled videos; their flow is extracted once | 2 min on one core, and 4 min for the flow on two | `motion_model.pt`, its accuracy, `predictions.npz` |
# | [22_motionfit_pseudo_labels](22_motionfit_pseudo_labels.ipynb) | Do the motion model's features fall into clusters that mean something, and over which stretch of time should a pseudo-label hold: a clip, a segment, or the whole video? | source videos, `motion_model.pt` of [21](21_motionfit_motion_model.ipynb) | 2 min on one core | `features.npz`, `pseudo_labels.npz`; purity, a map of the features |
# | [23_motionfit_self_training](23_motionfit_self_training.ipynb) | Can a network that sees RGB only learn to name the motion clusters, so that flow is no longer needed? | source videos, `pseudo_labels.npz` (or `features.npz`) of [22](22_motionfit_pseudo_labels.ipynb) | 3 min on one core | `backbone.pt`, accuracy on unseen videos |
# | [24_motionfit_retrieval](24_motionfit_retrieval.ipynb) | Which videos are alike to the motion-taught RGB network before it has seen any label, and what would flow still add to it? | weights of [23](23_motionfit_self_training.ipynb); for MARS `features.npz` of [22](22_motionfit_pseudo_labels.ipynb); for two streams `predictions.npz` of [03](03_transfer.ipynb) and [21](21_motionfit_motion_model.ipynb) | 1 min of retrieval for each network, 3 min for MARS, on one core | recall of retrieval, neighbours as film strips, accuracy of MARS and of both streams |
# | [25_motionfit_tables](25_motionfit_tables.ipynb) | Over several seeds, which of the paper's claims hold on the data at hand? | records that `vidssl run <table>` leaves | 10 s | the table and its plot in `figures/`; claims, what flow costs |
# | [30_timebalance_teachers](30_timebalance_teachers.ipynb) | One network learns that all times of a video belong together, another that they differ. What does each know once it has been fine-tuned on a few labels? | training videos without labels, then shares of their labels | 6 min of pretraining and 90 s a fine-tuning on one core | `teacher.pt`, `backbone.pt`, `finetuned-<percent>.pt`, their accuracy |
# | [31_timebalance_similarity](31_timebalance_similarity.ipynb) | How alike do the times of a video look to each teacher, and does that tell repetitive videos from those made of ordered sub-actions? | two runs of [30](30_timebalance_teachers.ipynb), with `objective` invariant and distinctive | 30 s on two cores | `similarities.npz`; how well $s$ tells the class groups |
# | [32_timebalance_student](32_timebalance_student.ipynb) | Given few labels and many videos without, what does a student gain from two frozen teachers, blended video by video? | few labels; two runs of [30](30_timebalance_teachers.ipynb), `similarities.npz` of [31](31_timebalance_similarity.ipynb) | 4 min on one core, supervised 1 | accuracy with the denominator, learning curves, `backbone.pt` |
# | [33_timebalance_weights](33_timebalance_weights.ipynb) | Does the temporal similarity of a video say which teacher to believe? | two runs of [30](30_timebalance_teachers.ipynb), `similarities.npz` of [31](31_timebalance_similarity.ipynb) | 30 s on two cores | accuracy of the blends, weights by class group and along a video |
# | [34_timebalance_tables](34_timebalance_tables.ipynb) | What do two blended teachers gain over few labels, over other semi-supervised methods, and over each teacher alone; and is the reason that the page gives the right one? | records that `vidssl run <table>` leaves | 5 s | the table and its plot in `figures/`; printed numbers apart |
# | [40_one_protocol](40_one_protocol.ipynb) | With the same few labelled videos and the same network, which way of learning without labels is worth most, what does it cost, and how much of its lead is the weights it begins with? | records that `vidssl run one_protocol` leaves | 10 s | one table and two pictures in `figures/`: accuracy by class group, and against its cost |
# | [41_one_features](41_one_features.ipynb) | Before another label is spent: what do a network's features tell of a video, and does what they tell come from where something moves? | videos, weights of any page that leaves a `backbone.pt` | 1 min on one core | linear probe, k-NN, R@1, Grad-CAM energy on what moves, cost of a forward pass |
# | [50_pace_pretrain](50_pace_pretrain.ipynb) | Can a network name how fast a clip is played, and is what it learns about motion? | videos, without labels | 3 min on one core | `backbone.pt`, learning curves, pretext accuracy on held-out videos |
# | [60_rotation_pretrain](60_rotation_pretrain.ipynb) | Can a network name by how many quarter turns a clip was rotated, and does that teach it motion? | videos, without labels | 3 min on one core | `backbone.pt`, learning curves, pretext accuracy on held-out videos |
# | [91_claims](91_claims.ipynb) | Of every number that the three papers print, which has a run here, which has a command that would make one, and which is only quoted? | records, as the repository holds them | 20 s | `claims.csv`: a line for each printed number |
# | [93_performance](93_performance.ipynb) | Of the time of a training step, how much is waiting for clips, how much which kind of computing, and what would make it shorter? | videos (`dataset`, `root`) | 1 min on one core | `operators.csv`: time by operator; a timeline, and the costs of a step |
#
# <!-- end of pages -->

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
data_seed = 0

# %%
from vidssl import runs

run = runs.start("00_start_here", globals())

# %% [markdown]
# ## Is everything in place?

# %%
from vidssl.runs import doctor

print(*doctor.report(), sep="\n")

# %% [markdown]
# ## What has been run
#
# Each run made by a command leaves a small record; figures and tables are made from records alone,
# so they are here in a fresh clone, too. What is explored by hand leaves files, but no record.

# %%
from IPython.display import display

found = runs.overview()
display(runs.overview_table(found))

# %% [markdown]
# ## The embedded data
#
# The workbook makes its own videos, with a known truth for each: optical flow, the sprite's mask,
# segment boundaries. 16 classes in four groups, of which one video each:

# %%
from vidssl import visualize
from vidssl.data import synthetic

shown = {}
for kind in synthetic.CLASSES:
    shown.setdefault(kind.group, kind)
scenes = [
    synthetic.scene_of(f"v_{kind.name}_g10_c01", data_seed=data_seed) for kind in shown.values()
]
videos = [synthetic.render(scene) for scene in scenes]
figure = visualize.film_strip(
    videos,
    titles=[f"{kind.name}: {group}" for group, kind in shown.items()],
    every=8,
    note="embedded data, every 8th frame",
)
figure

# %% [markdown]
# ## What one should see
#
# A line for each check without a problem, a short table of runs (empty before the first one), four
# moving sprites.

# %%
run.finish({"pages_run": len(found), "classes": len(synthetic.CLASSES), "shown": len(videos)})

# %% [markdown]
# ## What to try next
#
# - [01_data_and_clips](01_data_and_clips.ipynb): what a network sees of such a video.
# - `data_seed = 1`: the same classes in other scenes; figures are made of these.
# - `vidssl run demo` in a terminal, and this page again: what has been run?
