# %% [markdown]
# # MoSI: tables from records
#
# **Question.** Over several seeds, what is pretraining on pseudo motions worth, and which of its
# choices matter?
#
# Nothing is trained here: rows are the records of finished runs of `11_mosi_pretrain` and
# `03_transfer`. Which runs stand in which cell says `papermill_runs/mosi.smk`, where each table is
# written down once. A seed is a draw of weights, order and labelled videos on fixed data.
#
# | | |
# | --- | --- |
# | needs | records that `vidssl run <table>` leaves |
# | takes | 5 s |
# | gives | the table and its plot in `figures/` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
table = "mosi_lowshot"  # a table of papermill_runs/*.smk; alone, `vidssl run` lists them
cells = ""  # a file that says which runs stand where; empty: the project's graph is asked
records = ""  # folder of records; empty: those beside the run, or the project's

# %%
from vidssl import runs

run = runs.start("15_mosi_tables", globals())

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
# In per cent: the mean, the half-width of Student's 95 % interval over seeds, the number of seeds.
# Accuracy is that of whole videos, ten clips each. Under our rows stands what linear classifiers of one
# frame and of frame differences reach on the same labels, and chance.

# %%
results.shown()

# %% [markdown]
# A row counts for as much as its yardsticks leave of it: a network below *frame difference* has learned
# less of motion than two subtracted frames show. Where the accuracy on the training videos is far below
# one, the steps ended before the network had fitted what it was given, and a longer training would say
# more about the start than this one does: the figure names rows that know less than 80 % of them.
#
# ## What papers print
#
# Other networks and other data, from one file of the project (`vidssl/runs/papers.yaml`), which names
# the table of each number. They are for the order of the rows, not for their size. Columns that a paper
# prints beside its numbers stand first, and in our table above as ours ran; notes are last.

# %%
results.printed() if results.question.printed else None

# %% [markdown]
# ## The figure
#
# Bars are the 95 % intervals of the table; the dashed line is chance.

# %%
figure = results.figure()
run.save_figure(figure, table, publish=True, **results.origin())
figure

# %% [markdown]
# ## Which classes
#
# The mean over seeds of each class's accuracy, in the first column of the table. Classes that are told
# by how things move gain first; MoSI never sees what a thing looks like as a target, so that the
# *appearance* classes are where it has least to offer.

# %%
import numpy as np
from IPython.display import display

from vidssl import visualize
from vidssl.data.synthetic import CLASSES

column = results.question.cells[0].column
rows = dict.fromkeys(cell.row for cell in results.question.cells if cell.column == column)
kept = {row: [*results.values(row, column, "per_class").values()] for row in rows}
per_class = {row: np.mean(each, axis=0) for row, each in kept.items() if each}
if results.dataset == "embedded":  # runs on its first version had other classes, none of "both"
    per_class = {k: v for k, v in per_class.items() if results.values(k, column, "both_accuracy")}
if results.dataset == "embedded" and {len(each) for each in per_class.values()} == {len(CLASSES)}:
    names, groups = [each.name for each in CLASSES], [each.group for each in CLASSES]
    note = f"embedded · {scale} · {results.question.setting}: {column}"
    display(visualize.per_class_accuracy(per_class, names, groups=groups, note=note))

# %% [markdown]
# ## The record, and then what was expected of it
#
# Differences are paired: the same seed draws the same labelled videos for both rows, so what a seed
# draws by luck cancels. *seen from* is the smallest true difference that these seeds would have told
# from none. An interval above or below zero answers; one that holds zero leaves the question open.

# %%
run.finish(results.metrics(), seeds=results.seeds)
results.differences()

# %% [markdown]
# ## Reading
#
# What the mini scale gave on data seed 1, table by table:
#
# - **mosi_lowshot**: column by column it is open, over all of them MoSI is ahead. By what tells a class:
#   far ahead on repetitive motions, open on ordered ones, behind where looks alone tell it. That is
#   what pseudo motions hold: speed and direction, no order and no looks.
# - **mosi_baseline**: one axis or both, and each against scratch, is open with twenty labels.
# - **mosi_frozen** (first version of the data): the deeper the frozen part, the further MoSI is ahead of
#   random weights.
# - **mosi_mask**, **mosi_stills**: not run on this version of the data. **mosi_speeds**, **mosi_frames**:
#   dropped, since three seeds cannot see what they ask.
# - **mosi_attention**: the mask brings attention to what moves; without it attention keeps away.
# - **mosi_comparison**: the papers' rows are of 112 pixels and full width. Ours are of 32 pixels and an
#   eighth of the width, so that only the sign of a difference can be compared.
#
# ## What to try next
#
# - More seeds for what is open: `targets: {mosi_frozen: {seeds: [0, 1, 2, 3, 4]}}` in `mini.yaml`.
# - Longer fine-tunings for what has not fitted its labels: `-p steps 4000`.
# - A table of your own: ten lines in a `.smk`, cells and what they are compared with.
