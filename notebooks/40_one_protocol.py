# %% [markdown]
# # One protocol: every method on the same network, labels and start
#
# **Question.** With the same few labelled videos and the same network, which way of learning without
# labels is worth most, what does it cost, and how much of its lead is the weights it begins with?
#
# Nothing is trained here: rows are records of finished runs, and `papermill_runs/one_protocol.smk` says
# which run stands in which cell. Each rival is there three times: from its own start (random weights),
# from MoSI's, and from TCLR's, which is what TimeBalance's student begins with. The last one has the
# student's start and all the pretraining behind it, so that its distance from TimeBalance is the method
# alone. Pretext tasks are there from random weights and, with as many clips as TCLR has seen, from MoSI's.
#
# | | |
# | --- | --- |
# | needs | records that `vidssl run one_protocol` leaves |
# | takes | 10 s |
# | gives | one table and two pictures in `figures/`: accuracy by class group, and against its cost |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
table = "one_protocol"
cells = ""  # a file that says which runs stand where; empty: the project's graph is asked
records = ""  # folder of records; empty: those beside the run, or the project's
share = ""  # per cent of the labels in the pictures; empty: that of TimeBalance's other tables

# %%
from vidssl import runs

run = runs.start("40_one_protocol", globals())

# %% [markdown]
# ## What these seeds can see
#
# First of all, what may be answered. *Seen from* is the true difference that a paired test on so many
# seeds finds four times out of five, in points, by the spread of single seeds' differences on record. A
# question whose difference on record is smaller stays open, however the table turns out; the last column
# says how many seeds it would take.

# %%
from vidssl.runs import tables

results = tables.read(run)
results.power()

# %% [markdown]
# ## The table
#
# In per cent: the mean, the half-width of Student's 95 % interval over seeds, the number of seeds. A seed
# draws the labelled videos, and all rows of a seed share them. *k-NN*, *linear probe*, *R@1* and *energy*
# (of the linear probe's Grad-CAM, on what moves) are of weights before any label, where a row has such;
# a semi-supervised network is asked after its training.

# %%
shares = results.columns("TimeBalance")
share = share or (shares[len(shares) // 2] if shares else results.columns()[0])
results.shown()

# %% [markdown]
# A row below *frame difference* has learned less of motion than subtracted frames show, whatever it
# gains on *scratch*.
#
# ## What each row costs
#
# *Clips* are those that learning networks were shown, *hours* the time of all trainings: pretraining,
# teachers, clusters and the fine-tuning itself, of one seed. Flow, which is extracted once for all of
# MotionFit's runs, is not in it. At the test every row is one RGB network, the same for all; *forward*
# is its time for a video's ten clips. Times are told where all runs had the same device.

# %%
import pandas as pd

from vidssl.evaluation import mean_ci95

rows = list(dict.fromkeys(cell.row for cell in results.question.cells if cell.behind))
COSTS = {"training_seconds": ("hours", 3600), "clips_seen": ("1,000 clips", 1000)}
if not results.times_compare():
    del COSTS["training_seconds"]
costs = {name: {} for name in COSTS}
for row in rows:
    for metric in COSTS:
        spent = results.spent(row, share, metric)
        if spent:
            costs[metric][row] = mean_ci95([*spent.values()])[0]
told = {named: pd.Series(costs[m]) / unit for m, (named, unit) in COSTS.items()}
if "training_seconds" in COSTS:
    forward = {row: [*results.values(row, share, "forward_seconds").values()] for row in rows}
    told["forward (s)"] = pd.Series({row: min(each) for row, each in forward.items() if each})
flat = [v for row in rows for v in results.values(row, share, "energy_chance").values()]
if flat:
    print(f"a flat map's energy on what moves: {sum(flat) / len(flat):.1%}")
told = pd.DataFrame(told).reindex(rows)
told.style.format(precision=2, na_rep="not on record")

# %% [markdown]
# Rows from TCLR have the budget of TimeBalance's student before it meets its teachers; teachers are what
# TimeBalance costs on top. Pretext tasks from MoSI are to have seen as many clips as TCLR:

# %%
budget = pd.Series(costs["clips_seen"]).reindex(
    ["TCLR", "MoSI, longer", "pace, from MoSI", "3DRotNet, from MoSI"]
)
away = (budget / budget.get("TCLR") - 1).drop("TCLR").dropna()
for row, by in away.items():
    warn = "" if abs(by) < 0.15 else " NOT the same budget: change `longer` in the scale's file"
    print(f"{row}: {100 * by:+.0f} % clips against TCLR.{warn}")

# %% [markdown]
# ## By class group
#
# Which kinds of classes a method tells: those told by repetition, by order, by looks, or by both.

# %%
from vidssl.data.class_groups import EMBEDDED, UTD_MHAD

groups = [
    group
    for group in dict.fromkeys([*EMBEDDED.values(), *UTD_MHAD])
    if any(results.values(row, share, f"{group}_accuracy") for row in rows)
]
for row in rows:
    for group in groups:
        for column in shares:
            if found := results.values(row, column, f"{group}_accuracy"):
                results.add(row, f"{group}_accuracy", [*found.values()], column)
for metric in COSTS:
    for row in rows:
        for column in shares:
            if spent := results.spent(row, column, metric):
                results.add(row, f"chain_{metric}", [*spent.values()], column)

# %%
from vidssl.visualize.methods import accuracy_by_cost, methods_in_panels

PRETEXT = ("MoSI", "pace", "3DRotNet", "TCLR")
SEMI = ("FixMatch", "TG-FixMatch", "Mean Teacher", "Pseudo-Label")
families = {
    "labels alone": [row for row in rows if row == "scratch"],
    "pretext tasks": [r for r in rows if r.split(",")[0] in PRETEXT],
    "flow as the teacher": [row for row in rows if row.endswith("MotionFit") and "," not in row],
    "labels it gives itself": [row for row in rows if row.split(",")[0] in SEMI],
    "two teachers": [r for r in rows if r == "average" or "TimeBalance" in r],
}
families["others"] = [row for row in rows if not any(row in its for its in families.values())]
panels = {"top1_accuracy": "all classes (%)", **{f"{g}_accuracy": f"{g} (%)" for g in groups}}
drawn = [r for r in results.rows if str(r["column"]) == share and r["metric"] in panels]
note = (
    f"{results.dataset} · {scale} · {share} % labels · bars: 95 %, over seeds · dotted: yardsticks"
)
counted, (unit, divisor) = next(iter(COSTS.items()))
cost = {row: spent / divisor for row, spent in costs[counted].items()}
figure = methods_in_panels(drawn, panels, families, cost=cost, cost_title=unit, note=note)
about = results.origin()
about["alt"] = (
    f"Accuracy of {len(rows)} methods with {share} % of the labels, over all classes and in each "
    "group of classes, with 95 % intervals, beside chance and two linear yardsticks; in the last "
    f"panel the {unit} of their whole chains."
)
run.save_figure(figure, table, publish=True, **about)
figure

# %% [markdown]
# Dotted lines are the two yardsticks, the dashed one chance. Read a family from its first row: what
# stands beside *from MoSI* and *from TCLR* is the same method with a better start.
#
# ## Accuracy against cost

# %%
SHOWN = ["scratch", "MoSI", "MoSI, longer", "MotionFit", "MoSI → MotionFit", "TCLR",
         "FixMatch, from TCLR", "average", "TimeBalance", "MotionFit → TimeBalance"]  # fmt: skip
accuracy = {row: [*results.values(row, share).values()] for row in SHOWN if row in cost}
accuracy = {row: sum(each) / len(each) for row, each in accuracy.items() if each}
figure = None
if accuracy:
    its = {row: cost[row] for row in accuracy}
    axis = f"{unit}, the whole chain"
    figure = accuracy_by_cost(accuracy, its, note=note.rpartition(" · bars")[0], cost=axis)
    data = [{"method": r, "top1_accuracy": accuracy[r], unit: its[r]} for r in accuracy]
    alt = f"Accuracy against the {unit} of training behind it, a dot a method."
    cost_about = {**results.origin(), "data": data, "alt": alt}
    run.save_figure(figure, "one_protocol_cost", publish=True, **cost_about)
figure

# %% [markdown]
# ## The record, and then what was expected of it
#
# Paired differences on the same seeds. *X, from TCLR - X, from MoSI* is what the start is worth;
# *TimeBalance - X, from TCLR* what the method is worth.

# %%
run.finish(results.metrics(), seeds=results.seeds)
results.differences()

# %% [markdown]
# ## Reading
#
# What the mini scale gave on data seed 1, with 5 and 10 % of the labels:
#
# - The start decides. Everything that begins as MoSI or TCLR is far ahead of what begins from scratch.
# - With 5 %, TimeBalance is ahead of Mean Teacher, Pseudo-Label and TG-FixMatch where these begin as its
#   student does. From MoSI, with fewer clips, the same rivals are better, and most are open against it.
# - Against the plain average of its teachers, and in both combinations with MotionFit, it is open.
# - With one label a class nothing that was asked of MoSI, MotionFit and pace can be told from scratch.
#
# The differences above speak for the records at hand; these sentences for those in the project.
#
# ## What to try next
#
# - A set of your own: `vidssl run one_protocol -p dataset folder -p root /my/videos`.
# - `share` of another column: with one label a class, who is left?
# - A method of your own as a row: `graph.adds_to("one_protocol")`, see `docs/own_method.md`.
