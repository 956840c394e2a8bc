# %% [markdown]
# # TimeBalance: tables from records
#
# **Question.** What do two blended teachers gain over few labels, over other semi-supervised
# methods, and over each teacher alone; and is the reason that the page gives the right one?
#
# Nothing is trained here: rows are the records of finished runs. A seed is a draw of weights,
# order and labelled videos on fixed data. Intervals are Student's 95 % intervals over seeds;
# settings are compared as paired differences on the same seeds.
#
# | | |
# | --- | --- |
# | needs | records that `vidssl run <table>` leaves |
# | takes | 5 s |
# | gives | the table and its plot in `figures/`; printed numbers apart |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
records = ""  # folder of records; empty: the project's
cells = ""  # a file that says which runs stand where; empty: asked of the graph
table = "timebalance_main"  # or timebalance_ablation, timebalance_classwise, timebalance_length
percents = ["1", "5", "10"]  # labelled shares of the main table
percent = "5"  # the one share of the tables that vary something else
other_clips = 4  # clips behind s in the one row that differs in it
longer = 3  # how many times as long the teachers of timebalance_length were pretrained
dataset = "embedded"
data_seed = 1  # methods are developed on data seed 0, reported on 1

# %%
from vidssl import runs

run = runs.start("34_timebalance_tables", globals())

# %%
import itertools

import numpy as np
from IPython.display import display

from vidssl import visualize
from vidssl.core import counted, one_of
from vidssl.data.synthetic import CLASSES, scene_set
from vidssl.evaluation import (
    compare_seeds,
    mean_ci95,
    paper_row,
    readable_comparisons,
    readable_table,
    table_row,
    with_interval,
)
from vidssl.progress import in_words
from vidssl.visualize.teachers import class_differences

# %% [markdown]
# ## What each table asks
#
# A cell is a row, a column, and where its number stands: the names of the runs and the metric.
# *invariant*, *distinctive* (the teachers) and TCLR are pretrained networks after fine-tuning; every
# other row is a run of `32_timebalance_student`. `compare` lists the differences in question, by
# name; `frozen`, whose frozen features are asked as well: a column, and what its runs are called.


# %%
def student(variant, share, times=""):
    return f"timebalance_student-{variant}{times}-f{share}-s*", ""


def teacher(objective, share, times=""):
    return f"timebalance_teacher-{objective}{times}-s*", f"finetuned_{share}_"


MAIN = {
    "supervised": (student, "supervised"),
    "Pseudo-Label": (student, "pseudo_label"),
    "Mean Teacher": (student, "mean_teacher"),
    "FixMatch": (student, "fixmatch"),
    "TG-FixMatch": (student, "tg_fixmatch"),
    "MotionFit": (student, "motionfit"),
    "TCLR": (teacher, "tclr"),
    "invariant": (teacher, "invariant"),
    "distinctive": (teacher, "distinctive"),
    "average": (student, "average"),
    "TimeBalance": (student, "timebalance"),
}
HEADLINE = ("supervised", "TCLR", "invariant", "distinctive", "average", "TimeBalance", "chance")
SEMI_SUPERVISED = (*list(MAIN)[:6], "TimeBalance", "chance")
ABLATION = {
    "invariant": "invariant",
    "distinctive": "distinctive",
    "average": "average",
    "s": "timebalance",
    "s, ranked": "ranked",
    "s, min-max": "minmax",
    f"s of {other_clips} clips": f"clips{other_clips}",
    "s, KL": "kl",
    "average, KL": "average_kl",
}
TIMES = {"1": "", f"{longer}": f"-x{longer}"}  # as runs of longer pretraining are called
LENGTH = ("invariant", "distinctive", "average", "TimeBalance")
FROZEN = {"invariant, frozen": "invariant", "distinctive, frozen": "distinctive"}
PAGE = {  # UCF101, R3D-18, as the project page prints them
    "Pseudo-Label": (None, 0.176, 0.247, 0.370, 0.475),
    "Mean Teacher": (None, 0.175, 0.256, 0.363, 0.458),
    "TG-FixMatch": (None, 0.448, 0.624, 0.761, 0.793),
    "MotionFit": (None, None, None, 0.577, 0.590),
    "TCLR": (0.269, None, 0.661, 0.734, 0.767),
    "TimeBalance": (0.291, 0.479, 0.698, 0.791, 0.833),
}
PAGE_PERCENTS = ("1", "5", "10", "20", "50")
TABLES = {
    "timebalance_main": {
        "question": "Accuracy with few labels",
        "setting": "labelled videos (%)",
        "unit": " %",
        "cells": {
            (row, share): find(name, share)
            for row, (find, name) in MAIN.items()
            for share in percents
        },
        "compare": {
            f"{first} - {second}, {share} %": ((first, share), (second, share))
            for first, second in [
                *(("TimeBalance", row) for row in MAIN if row != "TimeBalance"),
                *((row, "supervised") for row in SEMI_SUPERVISED[1:-2]),
            ]
            for share in percents
        },
    },
    "timebalance_ablation": {
        "question": f"Whom the student listens to, with {percent} % labels",
        "setting": "target of the student",
        "share": percent,
        "cells": {("student", row): student(name, percent) for row, name in ABLATION.items()},
        "compare": {
            f"{first} - {second}": (("student", first), ("student", second))
            for first, second in [
                *(("s", row) for row in ABLATION if row != "s"),
                ("s, KL", "average, KL"),
            ]
        },
    },
    "timebalance_classwise": {
        "question": f"Class by class: f_D minus f_I, with {percent} % labels",
        "setting": "labelled videos (%)",
        "unit": " %",
        "cells": {
            (row, share): MAIN[row][0](MAIN[row][1], share)
            for share in percents
            for row in ("invariant", "distinctive")
        },
        "compare": {},
        "frozen": {"": ""},
    },
    "timebalance_length": {
        "question": f"Teachers pretrained {longer} times as long, with {percent} % labels",
        "setting": "relative length of both pretrainings",
        "note": f"{dataset} · {scale} · {percent} % labels; frozen: linear, all",
        "unit": "x",
        "share": percent,
        "cells": {
            (row, column): MAIN[row][0](MAIN[row][1], percent, times)
            for column, times in TIMES.items()
            for row in LENGTH
        }
        | {
            (row, column): (f"timebalance_weights{times}-f{percent}-s*", f"frozen_{name}_all_")
            for column, times in TIMES.items()
            for row, name in FROZEN.items()
        },
        "compare": {
            f"TimeBalance - {row}, {column}x": (("TimeBalance", column), (row, column))
            for column in TIMES
            for row in LENGTH[:-1]
        }
        | {
            f"{row}, {longer}x - 1x": ((row, f"{longer}"), (row, "1")) for row in (*LENGTH, *FROZEN)
        },
        "frozen": TIMES,
    },
}
one_of("table", table, list(TABLES))
spec = TABLES[table]
print(f"{table}: {spec['question']}")

# %%
select = {"scale": scale, "dataset": dataset, "data_seed": data_seed, "root": records}
cells = {
    place: (runs.find_records(names, **select), prefix)
    for place, (names, prefix) in spec["cells"].items()
}
cells = {place: found for place, found in cells.items() if found[0]}
if not cells:
    raise runs.no_records(table, scale, dataset, data_seed)
used = {record["run"]: record for found, _ in cells.values() for record in found}
minutes = sum(record["seconds"] for record in used.values()) / 60
print(f"{counted(len(used), 'run')}, {in_words(60 * minutes)} in all")
absent = sorted({r for r, _ in spec["cells"]} - {r for r, _ in cells})
print("rows without a run:", ", ".join(absent) or "none")


def values(place, metric):
    """Seed -> the metric of a cell's runs."""
    found, prefix = cells[place]
    return runs.by_seed(found, f"{prefix}{metric}")


# %% [markdown]
# ## The table
#
# In per cent, with the half-width of the 95 % interval and the number of seeds.

# %%
rows = []
about = {"table": table, "scale": scale, "dataset": dataset}
for row, column in cells:
    for metric in ("top1_accuracy", "train_accuracy", "accuracy"):
        seeds = values((row, column), metric)
        if seeds:
            rows.append(table_row(row, metric, [*seeds.values()], column=column, **about))
YARDSTICKS = {"static frame": "static_frame", "frame difference": "frame_difference"}
columns = list(dict.fromkeys(column for _, column in cells))
for column in columns:
    judged = runs.find_records(student("supervised", spec.get("share", column))[0], **select)
    for name, recorded in YARDSTICKS.items():
        seeds = [*runs.by_seed(judged, f"{recorded}_top1_accuracy").values()]
        if seeds:
            rows.append(table_row(name, "top1_accuracy", seeds, column=column, **about))
chance = next(iter(used.values()))["metrics"]["chance"]
for column in columns:
    rows.append(table_row("chance", "top1_accuracy", [chance], column=column, exact=True, **about))
printed = PAGE if table == "timebalance_main" else {}
for row, accuracies in printed.items():
    for column, accuracy in zip(PAGE_PERCENTS, accuracies):
        if accuracy is not None:
            place = {"column": column, "table": table, "scale": "paper", "dataset": "ucf101"}
            rows.append(paper_row(row, "top1_accuracy", accuracy, **place))
readable_table([row for row in rows if row["paper"] is None])

# %% [markdown]
# ## Paired differences
#
# On the same seeds; and the smallest true difference that these runs would have told from none.


# %%
def difference(name, by_seed, column=""):
    """What the gains of the seeds say; they are a row of the table, too."""
    gains = [*by_seed.values()]
    rows.append(table_row(name, "accuracy_difference", gains, column=column, **about))
    return compare_seeds(by_seed, dict.fromkeys(by_seed, 0.0))


comparisons = {}
for name, places in spec["compare"].items():
    if set(places) <= set(cells):
        first, second = (
            values(place, "top1_accuracy") or values(place, "accuracy") for place in places
        )
        common = sorted(first.keys() & second.keys())
        if common:
            gains = {seed: first[seed] - second[seed] for seed in common}
            comparisons[name] = difference(name, gains)
readable_comparisons(comparisons) if comparisons else None

# %% [markdown]
# ## The reasons, as hypotheses
#
# The embedded data's class groups are known, so the page's motivation can be put to the test: the
# distinctive teacher is better on ordered sub-actions, the invariant one on repetitive and on
# appearance classes; $s$ is higher for repetitive than for ordered videos. *ordered - repetitive* asks
# for the difference between the groups alone, whichever teacher is the stronger one overall; *frozen*
# judges linear classifiers on the pretrained features, with a share of labels of their own; the rest is
# after fine-tuning all layers. An interval that holds zero leaves a question open; one on the other side
# speaks against it.

# %%
GROUPS = {each.name: each.group for each in CLASSES}
HYPOTHESES = {"ordered": 1, "repetitive": -1, "appearance": -1, "ordered - repetitive": 1}
judged, expected = {}, {}


def class_gains(share):
    """Seed -> accuracy of f_D minus that of f_I in each class (K,), of the runs that keep it."""
    kept = []
    for row in ("invariant", "distinctive"):
        found, prefix = cells.get((row, share), ([], ""))
        told = {r["seeds"][0]: r["metrics"].get(f"{prefix}per_class") for r in found}
        kept.append({seed: np.array(each, float) for seed, each in told.items() if each})
    return {seed: kept[1][seed] - kept[0][seed] for seed in sorted(kept[0].keys() & kept[1].keys())}


def group_gain(gains, group):
    """Mean over the classes of a group, or the difference of two groups: "ordered - repetitive"."""
    means = [np.nanmean(gains[kinds == name]) for name in group.split(" - ")]
    return float(means[0] - sum(means[1:]))


def frozen_gain(metrics, group):
    """The same of linear classifiers on frozen features, as `33_timebalance_weights` keeps it."""
    names = [f"frozen_{{}}_{name}_accuracy" for name in group.split(" - ")]
    if not all(name.format("distinctive") in metrics for name in names):
        return None
    gains = [metrics[n.format("distinctive")] - metrics[n.format("invariant")] for n in names]
    return gains[0] - sum(gains[1:])


def judge(name, by_seed, group, column):
    """Keep what the seeds say of one hypothesis."""
    at = f"{name}, {column}{spec['unit']}"
    judged[at] = difference(name, by_seed, column)
    expected[at] = HYPOTHESES[group]


class_names = list(scene_set(scale).classes) if dataset == "embedded" else []
kinds = np.array([GROUPS[name] for name in class_names])
known = [group for group in HYPOTHESES if set(group.split(" - ")) <= set(kinds)]
classwise = {}
if table == "timebalance_classwise":
    classwise = {share: gains for share in percents if (gains := class_gains(share))}
for share, gains in classwise.items():
    for group in known:
        by_seed = {seed: group_gain(each, group) for seed, each in gains.items()}
        judge(f"f_D - f_I, {group}", by_seed, group, share)
    number = max(len(each) for each in gains.values())
    class_names = class_names or [f"class {k}" for k in range(number)]
for column, times in spec.get("frozen", {}).items() if known else ():
    probed = runs.find_records(f"timebalance_weights{times}-f{percent}-s*", **select)
    used |= {record["run"]: record for record in probed}
    shares = sorted({record["parameters"]["probe_fraction"] for record in probed})
    for asked, group in itertools.product(shares, known):
        told = {
            record["seeds"][0]: frozen_gain(record["metrics"], group)
            for record in probed
            if record["parameters"]["probe_fraction"] == asked
        }
        by_seed = {seed: gain for seed, gain in told.items() if gain is not None}
        if by_seed:
            judge(f"f_D - f_I, frozen, {group}", by_seed, group, column or f"{100 * asked:g}")
    scored = runs.find_records(f"timebalance_similarity{times}-s*", **select)
    used |= {record["run"]: record for record in scored}
    for name in ("both teachers", "invariant alone", "distinctive alone"):
        seeds = [*runs.by_seed(scored, f"{name.replace(' ', '_')}_auc_score").values()]
        if seeds:
            mean, half = mean_ci95(seeds)
            at = f", {column}{spec['unit']}" if column else ""
            measured = with_interval(mean, half, ".2f")
            print(f"s of {name}{at}: AUC {measured}, {counted(len(seeds), 'seed')}")
            place = {"column": column or percent, **about}
            rows.append(table_row(f"s, {name}", "auc_score", seeds, **place))
readable_comparisons(judged, expected) if judged else None

# %% [markdown]
# ## Figure

# %%
drawn = classwise.get(percent, {})
if drawn:
    stacked = np.array([*drawn.values()])
    halves = [mean_ci95(column)[1] if len(drawn) > 1 else np.nan for column in stacked.T]
    figure = class_differences(
        stacked.mean(0),
        class_names,
        half_width=halves,
        groups=[GROUPS[name] for name in class_names] if dataset == "embedded" else [],
        note=f"{dataset} · {scale} · {percent} % labels · {len(drawn)} seeds",
    )
    for name, gains in zip(class_names, stacked.T):
        rows.append(table_row(name, "accuracy_difference", [*gains], column=percent, **about))
    alt = "Accuracy of the distinctive teacher minus the invariant one's, class by class, sorted."
else:
    tested = [row for row in rows if row["metric"] in ("top1_accuracy", "accuracy")]
    own = [row for row in tested if row["scale"] == scale]
    ablating = table == "timebalance_ablation"
    drawn = [row for row in own if row["row"] in (*HEADLINE, *FROZEN) or ablating]
    figure = visualize.accuracy_by_setting(
        drawn,
        setting=spec["setting"],
        metric="top-1 accuracy (%)",
        width=visualize.PAGE_WIDTH if ablating else visualize.COLUMN_WIDTH,
        note=spec.get("note"),
    )
    names = ", ".join(dict.fromkeys(row["row"] for row in drawn))
    alt = f"{spec['question']}: top-1 accuracy of {names}; bars are 95 % intervals over seeds."
run.save_figure(
    figure,
    table,
    data=rows,
    alt=alt,
    dataset=f"{dataset}, data seed {data_seed}",
    from_runs=sorted(used),
    publish=True,
)
figure

# %%
rivals = [row for row in rows if row["row"] in SEMI_SUPERVISED and row["paper"] is None]
rivals = [row for row in rivals if row["metric"] == "top1_accuracy"]
others = {row["row"] for row in rivals} - {"supervised", "TimeBalance", "chance"}
if table == "timebalance_main" and others:
    figure = visualize.accuracy_by_setting(
        rivals, setting=spec["setting"], metric="top-1 accuracy (%)"
    )
    run.save_figure(
        figure,
        "timebalance_baselines",
        data=rivals,
        alt="Top-1 accuracy of TimeBalance and of other semi-supervised methods by labelled share.",
        dataset=f"{dataset}, data seed {data_seed}",
        from_runs=sorted(used),
        publish=True,
    )
    display(figure)

# %% [markdown]
# ## What the page prints
#
# Other data, another network, another scale: for the order of the methods and the shape of the
# curves only. The page's "13.5 M parameters" fits no network of the released code.

# %%
if printed:
    quoted = [
        {"row": row, "column": column, "mean": accuracy, "ci95": None}
        for row, accuracies in printed.items()
        for column, accuracy in zip(PAGE_PERCENTS, accuracies)
        if accuracy is not None
    ]
    display(
        visualize.accuracy_by_setting(
            quoted, setting=spec["setting"], note="UCF101, R3D-18 · printed on the project page"
        )
    )
counts = {record["metrics"].get("parameters_count") for record in used.values()} - {None}
if counts:
    print(f"parameters of our network: {', '.join(f'{count:,}' for count in sorted(counts))}")

# %% [markdown]
# ## What one should see
#
# More labels, better accuracy; teachers that know more than the labels lift the student above the
# supervised network. Whether blending by $s$ beats the plain average is for the paired differences
# to say.

# %%
assert all(row["mean"] is None or -1 <= row["mean"] <= 1 for row in rows)
run.finish(
    {"runs": len(used), "minutes": minutes},
    seeds=sorted({seed for record in used.values() for seed in record["seeds"]}),
)
