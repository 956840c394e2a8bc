# %% [markdown]
# # MotionFit: tables from records
#
# **Question.** Over several seeds, which of the paper's claims hold on the data at hand?
#
# Nothing is trained here: rows are the records of finished runs of pages 21 to 24 and of `03_transfer`.
# Which runs stand in which cell says `papermill_runs/motionfit.smk`, where each table is written down
# once. A seed is a draw of weights, order and labelled videos on fixed data.
#
# | | |
# | --- | --- |
# | needs | records that `vidssl run <table>` leaves |
# | takes | 10 s |
# | gives | the table and its plot in `figures/`; claims, what flow costs |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
table = "motionfit_transfer"  # a table of papermill_runs/motionfit.smk
cells = ""  # a file that says which runs stand where; empty: the project's graph is asked
records = ""  # folder of records; empty: those beside the run, or the project's

# %%
from vidssl import runs

run = runs.start("25_motionfit_tables", globals())

# %% [markdown]
# ## What its seeds can see
#
# Before any answer: the true difference that a paired test on so many seeds finds four times out of five
# (*seen from*, in points), by the spread of single seeds' differences on record, and the number of seeds
# that the difference on record would take.

# %%
from vidssl.runs import tables

results = tables.read(run)
results.power()

# %% [markdown]
# ## The table
#
# In per cent: the mean, the half-width of Student's 95 % interval over seeds, the number of seeds. Where
# the paper prints a standard deviation over splits (its table 4), *deviation* rows hold ours over seeds.
# Under our rows stands what linear classifiers of one frame and of frame differences reach on the same
# labels (for retrieval, these pictures as they are), and chance.

# %%
results.shown()

# %% [markdown]
# Two rows are the ends of the story: *scratch*, what an RGB network learns of these few labels alone,
# and *motion model*, what flow tells with the same labels. MotionFit asks how much of the way from the
# first to the second an RGB network can go without ever seeing flow at test time.
#
# ## What papers print
#
# On UCF101 and HMDB51, with other networks, from one file of the project (`vidssl/runs/papers.yaml`),
# which names the table of each number. They are for the order of the rows, not for their size. Columns
# that the paper prints beside its numbers stand first, and in our table above as ours ran (*input*: V,
# RGB; F, flow; T, text; A, audio); the meaning of its marks, † and ‡, is last.

# %%
results.printed()

# %% [markdown]
# ## The figure
#
# Bars are the 95 % intervals of the table. Where printed rows are drawn, each data set has a panel of its
# own, and its dots are hollow. Of the embedded data the transfer table has a panel for each group of
# classes: told by *repetitive* motion, by its *order*, by *appearance*, or by *both* appearance and order.

# %%
from vidssl.data.class_groups import EMBEDDED
from vidssl.visualize.methods import methods_in_panels

FAMILIES = {
    "labels alone": ["scratch", "scratch, longer"],
    "every label": ["all labels", "supervised on the source"],
    "what students begin as": ["MoSI", "MoSI, longer", "MoSI, tuned whole"],
    "taught by looks": ["appearance"],
    "taught by flow": ["MARS", "MERS", "MotionFit", "MotionFit, longer", "MotionFit, tuned whole"],
    "flow at test time": [
        "motion model",
        "MotionFit with flow",
        "MotionFit with flow, tuned whole",
    ],
}
groups = {f"{group}_accuracy": f"{group} (%)" for group in dict.fromkeys(EMBEDDED.values())}
if any(row["metric"] in groups for row in results.rows):
    panels = {"top1_accuracy": "all classes (%)", **groups}
    note = f"{results.dataset} · {scale} · bars: 95 %, over seeds · dotted: yardsticks"
    figure = methods_in_panels(results.rows, panels, FAMILIES, note=note)
else:
    figure = results.figure()
run.save_figure(figure, table, publish=True, **results.origin())
figure

# %% [markdown]
# ## What flow costs
#
# With the transfer table, accuracy against the time that a test video takes: the student needs no flow,
# the motion model and both together do. Most of that time is the flow's own. Times are told where all
# runs had the same device.

# %%
from vidssl.visualize.methods import accuracy_by_cost


def mean_of(row, *metrics):
    """A row's mean over seeds, of the sum of some metrics; 0 where none was kept."""
    found = [results.values(row, "top-1", metric).values() for metric in metrics]
    return sum(sum(each) / len(each) for each in found if each)


def seconds_a_video(row):
    """Both networks together take both their times."""
    if row == "MotionFit with flow":
        return seconds_a_video("MotionFit") + seconds_a_video("motion model")
    return mean_of(row, "seconds_a_video", "flow_seconds_a_video")


tested = dict.fromkeys(cell.row for cell in results.question.cells if cell.runs)
tested = [row for row in tested if not row.endswith("longer")]  # a network costs what its twin does
costs = {row: seconds for row in tested if (seconds := seconds_a_video(row))}
if not results.times_compare():
    costs = {}
figure = None
if table == "motionfit_transfer" and {"MotionFit", "motion model"} <= set(costs):
    accuracy = {row: mean_of(row, "top1_accuracy") for row in costs}
    figure = accuracy_by_cost(accuracy, costs, note=f"{results.dataset} · {scale}")
    rows = [
        {"method": row, "top1_accuracy": accuracy[row], "seconds_a_video": costs[row]}
        for row in costs
    ]
    alt = "Accuracy against seconds a video: RGB networks, the motion model with its flow, both."
    about = {**results.origin(), "data": rows, "alt": alt}
    run.save_figure(figure, "motionfit_cost", publish=True, **about)
figure

# %% [markdown]
# ## The record, and then the claims
#
# Each claim is a paired difference on the same seeds. *seen from* is the smallest true difference that
# these seeds would have told from none. An interval above or below zero answers; one that holds zero
# leaves the claim open.

# %%
run.finish(results.metrics(), seeds=results.seeds)
results.differences()

# %% [markdown]
# ## Reading
#
# What the mini scale gave on data seed 1, five seeds:
#
# - **motionfit_transfer**: pseudo-labels of flow teach what flow knows. Against those of an appearance model
#   the student is far ahead on repetitive and ordered motions and far behind where looks alone tell a class;
#   over all classes, half of which are told by looks, wholly or in part, that is open. Trained four times as
#   long, until it fits its videos, it is ahead of scratch and of MoSI, its start, trained as long; after few
#   steps both are open, and few steps of the student do not reach many of scratch. It is ahead of MERS and
#   MARS; what flow at test time adds is open.
# - **motionfit_cliplength**: twice the frames in fine-tuning help the student (three seeds).
# - **motionfit_multiclip**: what three clips of a video in fine-tuning add is open for either model (three
#   seeds), and so is whether motion gains more.
# - **motionfit_retrieval**: from video to video the student finds its class more often than random weights,
#   frame differences and MoSI; against a static frame it is open. From clip to clip it is behind a static
#   frame and behind the student of an appearance model: clips show looks whole and motions in pieces.
# - **motionfit_semi**: with a fifth of the labels the student is ahead of scratch and open against MoSI
#   (three seeds, four times the steps); none of them fits all of its videos by then.
# - **motionfit_comparison**: the student is ahead of a network that learned to order clips; another network
#   gives a student, too (three seeds each).
# - **motionfit_lambda** stood on the first version of the embedded data and has not been run on this one.
#   **motionfit_granularity** and **motionfit_clusters** were dropped, since three seeds cannot see what
#   they ask.
#
# ## What to try next
#
# - The other flow: `-p flow_method reference` for the paper's TV-L1, at a hundred times the cost.
# - Longer trainings of what has not left its plateau: `targets: {motionfit_transfer: {long_steps: 4800}}`.
# - A row of your own: a function in a `.smk` that returns its run, and a cell with it.
