# %% [markdown]
# # MoSI: tables from records
#
# **Question.** Over several seeds, what is pretraining on pseudo motions worth, and which of its
# choices matter?
#
# Nothing is trained here: rows are the records of finished runs of `11_mosi_pretrain` and
# `12_mosi_transfer`. A seed is a draw of weights, order and labelled videos on fixed data.
# Intervals are Student's 95 % intervals over seeds; settings are compared as paired differences on
# the same seeds.
#
# | | |
# | --- | --- |
# | needs | records that `vidssl run <table>` leaves |
# | takes | 5 s |
# | gives | the table and its plot in `figures/` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
records = ""  # folder of records; empty: the project's
cells = ""  # a file that says which runs stand where; empty: asked of the graph
table = "mosi_lowshot"  # see TABLES below
labels = 20  # labelled videos a class where a table varies something else; 0: all
brief = False  # whether sweeps over many settings were fine-tuned more briefly than the rest
dataset = "embedded"
data_seed = 1  # methods are developed on data seed 0, reported on 1

# %%
from vidssl import runs

run = runs.start("15_mosi_tables", globals())

# %%
import pandas as pd
from IPython.display import display

from vidssl import visualize
from vidssl.core import counted, one_of
from vidssl.data.synthetic import CLASSES
from vidssl.evaluation import (
    compare_seeds,
    paper_row,
    readable_comparisons,
    readable_table,
    table_row,
)
from vidssl.progress import in_words
from vidssl.visualize.methods import accuracy_beside_printed

# %% [markdown]
# ## What each table asks
#
# A cell of a table is a row, a column, a metric, and the runs behind it, found by their names.
# `START` are the initialisations: from scratch, and MoSI on both axes or one. `compare` lists the
# rows whose difference in each column is the question, or pairs of a row and a column; `printed` is
# what the paper found, (data set, accuracy): other data, other networks and another scale, for
# orientation only.

# %%
START = {"scratch": "scratch", "MoSI": "xy", "MoSI, x only": "x", "MoSI, y only": "y"}
VERSUS_SCRATCH = [(row, "scratch") for row in START if row != "scratch"]


def transfers(start, number=labels, depth=0, brief=False):
    """The runs that fine-tune ``start`` on ``number`` videos a class, ``depth`` stages frozen."""
    frozen = f"-frozen{depth}" if depth else ""
    return f"mosi_transfer-{start}-n{number or 'all'}{frozen}{'-brief' if brief else ''}-s*"


def pretrained_and_tuned(variants, row="MoSI"):
    """Cells of a sweep: each variant's accuracy in the pretext task and after fine-tuning."""
    cells = {}
    for column, variant in variants.items():
        cells[row, column, "pretext_accuracy"] = f"mosi_pretrain-{variant}-s*"
        cells[row, column, "top1_accuracy"] = transfers(variant, brief=brief)
        cells["scratch", column, "top1_accuracy"] = transfers("scratch", brief=brief)
    return cells


def against(row, column, *others):
    """Pairs of a setting and each of the other settings of a sweep."""
    return [((row, column), (row, other)) for other in others]


def printed(columns, pretext, fine_tuned):
    """A sweep's printed accuracies on HMDB51."""
    found = {"pretext_accuracy": pretext, "top1_accuracy": fine_tuned}
    return {
        ("MoSI", column, metric): ("hmdb51", accuracy)
        for metric, accuracies in found.items()
        for column, accuracy in zip(columns, accuracies)
    }


TABLES = {
    "mosi_baseline": {
        "question": "Both axes, one, or no pretraining (the paper's table 1)",
        "setting": "labelled videos a class",
        "cells": {
            (row, labels or "all", "top1_accuracy"): transfers(start)
            for row, start in START.items()
        },
        "compare": [*VERSUS_SCRATCH, ("MoSI", "MoSI, x only"), ("MoSI", "MoSI, y only")],
        "printed": {
            ("scratch", "all", "top1_accuracy"): ("hmdb51", 0.304),
            ("MoSI", "all", "top1_accuracy"): ("hmdb51", 0.470),
            ("one axis", "all", "top1_accuracy"): ("hmdb51", 0.449),
            ("the other axis", "all", "top1_accuracy"): ("hmdb51", 0.431),
        },
    },
    "mosi_lowshot": {
        "question": "How few labels will do (table 3)",
        "setting": "labelled videos a class",
        "cells": {
            (row, number or "all", "top1_accuracy"): transfers(START[row], number)
            for number in (2, 3, 5, 7, 9, 10, 11, 13, 20, 40, 0)
            for row in ("scratch", "MoSI")
        },
        "compare": [("MoSI", "scratch")],
        "printed": {
            (row, number, "top1_accuracy"): ("hmdb51", accuracy)
            for row, accuracies in {
                "scratch": (0.045, 0.067, 0.081, 0.104, 0.117, 0.148),
                "MoSI": (0.081, 0.125, 0.174, 0.222, 0.241, 0.254),
            }.items()
            for number, accuracy in zip((3, 5, 7, 9, 11, 13), accuracies)
        },
    },
    "mosi_speeds": {
        "question": "Number of speeds an axis (table 2)",
        "setting": "speeds an axis",
        "cells": pretrained_and_tuned({3: "k1", 5: "xy", 7: "k3", 9: "k4"}),
        "compare": [("MoSI", "scratch"), *against("MoSI", 5, 3, 7, 9)],
        "printed": printed(
            (3, 5, 7, 9), (0.797, 0.961, 0.963, 0.966), (0.430, 0.470, 0.446, 0.445)
        ),
    },
    "mosi_frames": {
        "question": "Frames of a pseudo motion, at one distance a frame (table 2)",
        "setting": "frames of a pseudo motion",
        "cells": pretrained_and_tuned({4: "n4", 8: "xy", 12: "n12", 16: "n16"}),
        "compare": [("MoSI", "scratch"), *against("MoSI", 8, 4, 12, 16)],
        "printed": printed(
            (8, 12, 16, 24, 32),
            (0.937, 0.950, 0.961, 0.945, 0.917),
            (0.456, 0.449, 0.470, 0.446, 0.455),
        ),
    },
    "mosi_mask": {
        "question": "Size of the moving square, and the curriculum that leads to it (figure 7)",
        "setting": "side of the moving square",
        "cells": pretrained_and_tuned(
            {
                "0.1": "mask0.1",
                "0.3": "mask0.3",
                "0.5": "mask0.5",
                "none": "unmasked",
                "0.3-0.5": "xy",
                "0.3-0.5 at once": "abrupt",
            }
        ),
        "compare": [
            ("MoSI", "scratch"),
            *against("MoSI", "0.3-0.5", "0.1", "0.3", "0.5", "none", "0.3-0.5 at once"),
        ],
        "printed": {
            ("MoSI", "0.1", "pretext_accuracy"): ("ucf101", 0.73),
            ("MoSI", "0.4", "pretext_accuracy"): ("ucf101", 1.0),
        },
    },
    "mosi_stills": {
        "question": "Still images as the source (table 4)",
        "setting": "still images",
        "cells": {
            **pretrained_and_tuned({n: f"photographs{n}" for n in (32, 128, 512)}, "photographs"),
            **pretrained_and_tuned({n: f"dead_leaves{n}" for n in (32, 128, 512)}, "dead leaves"),
            **pretrained_and_tuned({"own videos": "xy"}, "frames of videos"),
        },
        "compare": [
            ("photographs", "scratch"),
            ("dead leaves", "scratch"),
            ("frames of videos", "scratch"),
            ("photographs", "dead leaves"),
            (("frames of videos", "own videos"), ("photographs", 512)),
            (("frames of videos", "own videos"), ("dead leaves", 512)),
        ],
        "printed": printed(
            ("5 a class", "10 a class", "20 a class", "30 a class", "own videos"),
            (0.831, 0.878, 0.969, 0.978, 0.961),
            (0.473, 0.478, 0.480, 0.476, 0.470),
        ),
    },
    "mosi_attention": {
        "question": "How much attention falls on the moving sprite, before any fine-tuning",
        "setting": "measure",
        "cells": {
            (row, column, metric): ("mosi_gradcam-s*", f"{role}_{metric}")
            for column, metric in {
                "energy inside": "energy_inside_score",
                "pointing game": "pointing_game_accuracy",
                "energy in the pretext square": "square_energy_inside_score",
            }.items()
            for row, role in {
                "MoSI": "mosi",
                "unmasked MoSI": "mosi_unmasked",
                "scratch": "scratch",
                "supervised": "supervised",
            }.items()
        },
        "compare": [
            ("MoSI", "scratch"),
            ("MoSI", "supervised"),
            ("MoSI", "unmasked MoSI"),
            ("unmasked MoSI", "scratch"),
        ],
        "printed": {},
    },
    "mosi_frozen": {
        "question": "How deep do the pretrained features reach (figure 6)",
        "setting": "frozen stages, of stem and four",
        "cells": {
            (row, depth, "top1_accuracy"): transfers(start, depth=depth, brief=brief)
            for depth in (0, 2, 3, 4, 5)
            for row, start in START.items()
        },
        "compare": VERSUS_SCRATCH,
        "printed": {},
    },
    "mosi_comparison": {
        "question": "Beside the rows that the papers print (table 5)",
        "setting": "labelled videos a class",
        "cells": {
            (row, labels or "all", "top1_accuracy"): transfers(START[row])
            for row in ("scratch", "MoSI")
        },
        "compare": [("MoSI", "scratch")],
        "printed": {
            (row, name, "top1_accuracy"): (name, accuracy)
            for row, accuracies in {
                "OPN": (0.596, 0.238),
                "DPC": (0.757, 0.357),
                "MemDPC": (0.781, 0.412),
                "3D-RotNet": (0.629, 0.337),
                "ST-Puzzle": (0.658, 0.337),
                "VCP": (0.685, 0.325),
                "VCOP": (0.724, 0.309),
                "PRP": (0.721, 0.350),
                "SpeedNet": (0.811, 0.488),
                "MoSI, R-2D3D": (0.718, 0.470),
                "MoSI, R-2D3D, Kinetics": (0.707, 0.486),
                "MoSI, R(2+1)D": (0.828, 0.518),
            }.items()
            for name, accuracy in zip(("ucf101", "hmdb51"), accuracies)
        },
    },
}
one_of("table", table, list(TABLES))
spec = TABLES[table]
print(f"{table}: {spec['question']}")

# %%
RECORDED = {  # metric of a table -> what the records of a pretraining or a transfer call it
    "pretext_accuracy": ("pretext_accuracy",),
    "top1_accuracy": ("mosi_top1_accuracy", "scratch_top1_accuracy"),
    "train_accuracy": ("mosi_train_accuracy", "scratch_train_accuracy"),
}
YARDSTICKS = {"static frame": "static_frame", "frame difference": "frame_difference"}


def find(place):
    """Records behind a cell; still images are read from a folder."""
    names = place[0] if isinstance(place, tuple) else place
    sources = {dataset, "folder"} if names.startswith("mosi_pretrain") else {dataset}
    chosen = {"scale": scale, "data_seed": data_seed, "root": records}
    return [r for s in sorted(sources) for r in runs.find_records(names, dataset=s, **chosen)]


def seeds_of(found, *recorded):
    """Seed -> value of the first of these metrics that the records have."""
    return next(filter(None, (runs.by_seed(found, name) for name in recorded)), {})


behind = {key: found for key, place in spec["cells"].items() if (found := find(place))}
if not behind:
    raise runs.no_records(table, scale, dataset, data_seed)
cells = {}  # (row, column, metric) -> seed -> value
for (row, column, metric), found in behind.items():
    place = spec["cells"][row, column, metric]
    named = place[1:] if isinstance(place, tuple) else RECORDED[metric]
    cells[row, column, metric] = seeds_of(found, *named)
    if metric == "top1_accuracy":
        cells[row, column, "train_accuracy"] = seeds_of(found, *RECORDED["train_accuracy"])
        for yardstick, name in YARDSTICKS.items():
            cells.setdefault((yardstick, column, metric), {}).update(
                seeds_of(found, f"{name}_top1_accuracy")
            )
cells = {key: seeds for key, seeds in cells.items() if seeds}
used = {record["run"]: record for found in behind.values() for record in found}
minutes = sum(record["seconds"] for record in used.values()) / 60
print(f"{counted(len(used), 'run')}, {in_words(60 * minutes)} in all")

# %% [markdown]
# ## The table
#
# In per cent, with the half-width of the 95 % interval and the number of seeds.

# %%
about = {"table": table, "scale": scale, "dataset": dataset}
rows = [
    table_row(row, metric, [*seeds.values()], column=column, **about)
    for (row, column, metric), seeds in cells.items()
]
chances = {(c, m): found[0]["metrics"].get("chance") for (_, c, m), found in behind.items()}
rows += [
    table_row("chance", metric, [level], column=column, exact=True, **about)
    for (column, metric), level in chances.items()
    if level
]
for (row, column, metric), (name, accuracy) in spec["printed"].items():
    place = {"column": column, "table": table, "scale": "paper", "dataset": name}
    rows.append(paper_row(row, metric, accuracy, **place))
readable_table([row for row in rows if row["paper"] is None])

# %% [markdown]
# What the paper prints, of its own networks and data: for the order of the rows, not the size.

# %%
printed = [row for row in rows if row["paper"] is not None]
readable_table(printed) if printed else None

# %% [markdown]
# ## Paired differences
#
# On the same seeds; and the smallest true difference that these runs would have told from none.


# %%
def pairs():
    """Each comparison's name and its two cells."""
    for first, second in spec["compare"]:
        for column, metric in dict.fromkeys((c, m) for _, c, m in behind):
            if isinstance(first, str):
                yield (
                    f"{first} - {second}, {column}",
                    (first, column, metric),
                    (second, column, metric),
                )
            elif column == first[1]:
                yield f"{first[0]}, {column} - {second[1]}", (*first, metric), (*second, metric)


comparisons = {}
for name, *pair in pairs():
    compared = compare_seeds(*(cells.get(key, {}) for key in pair))
    if compared:
        metric = pair[0][2]
        name += "" if metric == "top1_accuracy" else f", {metric.replace('_', ' ')}"
        comparisons[name] = compared
readable_comparisons(comparisons)

# %%
own = [r for r in rows if r["scale"] == scale and r["metric"] != "train_accuracy"]
panels = {"pretext_accuracy": "pretext task", "top1_accuracy": "after fine-tuning"}
if table == "mosi_comparison":
    quoted = [row for row in rows if row["scale"] == "paper"]
    figure = accuracy_beside_printed(own + quoted, metric="top-1 accuracy (%)")
elif {row["metric"] for row in own} == set(panels):
    figure = visualize.accuracy_by_setting(
        [row | {"panel": panels[row["metric"]]} for row in own],
        setting=spec["setting"],
        metric="accuracy (%)",
        panel="panel",
        width=visualize.PAGE_WIDTH,
    )
else:
    measured = "share" if table == "mosi_attention" else "accuracy"
    figure = visualize.accuracy_by_setting(own, setting=spec["setting"], metric=f"{measured} (%)")
names = ", ".join(dict.fromkeys(row["row"] for row in own))
run.save_figure(
    figure,
    table,
    data=rows,
    alt=f"{spec['question']}: accuracy of {names} by {spec['setting']}; bars are 95 % intervals "
    "over seeds.",
    dataset=f"{dataset}, data seed {data_seed}",
    from_runs=sorted(used),
    publish=True,
)
figure

# %% [markdown]
# ## Which classes
#
# Accuracy of each class, over the seeds, where a table compares initialisations at one setting.


# %%
def class_means(found):
    """Accuracy of each class, mean over seeds."""
    kept = [r["metrics"] for r in found]
    lists = [m.get("mosi_per_class") or m.get("scratch_per_class") for m in kept]
    return pd.DataFrame([each for each in lists if each]).mean().to_numpy()


column = next(iter(behind))[1]
per_class = {row: class_means(found) for (row, c, _), found in behind.items() if c == column}
per_class = {row: means for row, means in per_class.items() if len(means) == len(CLASSES)}
if per_class and dataset == "embedded":
    display(
        visualize.per_class_accuracy(
            per_class,
            [each.name for each in CLASSES],
            groups=[each.group for each in CLASSES],
            note=f"{dataset} · {scale} · {spec['setting']}: {column}",
        )
    )

# %% [markdown]
# ## What one should see
#
# MoSI above scratch at each size; with frozen stages, far above. In the sweeps, that the curriculum
# weighs more than the size that the square ends at. Whether an interval leaves zero out is for the
# numbers above to say: the labelled videos that a seed draws weigh as much as the initialisation.

# %%
assert all(row["mean"] is None or 0 <= row["mean"] <= 1 for row in rows)
run.finish(
    {name: list(compared.difference) for name, compared in comparisons.items()},
    seeds=sorted({seed for record in used.values() for seed in record["seeds"]}),
)
