# %% [markdown]
# # MotionFit: tables from records
#
# **Question.** Over several seeds, which of the paper's claims hold on the data at hand?
#
# Nothing is trained here: rows are the records of finished runs of notebooks 21 to 24. A seed is a draw
# of weights, order and labelled videos on fixed data. Intervals are Student's 95 % intervals over seeds;
# two rows are compared as paired differences on the same seeds.
#
# | | |
# | --- | --- |
# | needs | records that `vidssl run <table>` leaves |
# | takes | 5 s |
# | gives | the table and its plot in `figures/`; claims, what flow costs |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
records = ""  # folder of records; empty: the project's
cells = ""  # a file that says which runs stand where; empty: asked of the graph
table = "motionfit_transfer"
dataset = "embedded"
data_seed = 1  # methods are developed on data seed 0, reported on 1
videos_per_class = 5  # what the tables hold fixed unless they vary it
clips = 3
frames = 8
level = "clip"
num_clusters = 64
backbone = "r2plus1d_10"
steps = 600  # of fine-tuning

# %%
from vidssl import runs

run = runs.start("25_motionfit_tables", globals())

# %%
from collections import defaultdict

from vidssl import visualize
from vidssl.core import counted, one_of
from vidssl.evaluation import (
    compare_seeds,
    paper_row,
    readable_comparisons,
    readable_table,
    table_row,
)
from vidssl.progress import in_words
from vidssl.visualize.methods import accuracy_by_cost, accuracy_by_method
from vidssl.visualize.style import method_name

found = {
    record["run"]: record
    for record in runs.load_records(records or runs.records_folder())
    if record["scale"] == scale
    and record["parameters"].get("dataset") == dataset
    and record["parameters"].get("data_seed") == data_seed
}


def settings(record):
    """What tells one run from another."""
    named = ("videos_per_class", "label_fraction", "clips", "frames", "backbone", "steps", "seed")
    told = {name: record["parameters"][name] for name in named}
    return told | {"run": record["run"], "metrics": record["metrics"]}


# %% [markdown]
# ## What has been run
#
# A motion model (21) has a modality, R and lambda. A transfer (24) has an initialisation; the weights
# it starts from say what taught them.

# %%
motion_models, transfers = [], []
for record in found.values():
    told = record["parameters"]
    if record["notebook"] == "21_motionfit_motion_model":
        ordered = record["metrics"]["pretrained_by"] == "clip order"
        weight = 0.0 if ordered else told["multi_clip_weight"]
        about = {"modality": told["modality"], "weight": weight}
        if told["multi_clip_weight"]:
            motion_models.append(settings(record) | about)
    if record["notebook"] == "24_motionfit_transfer":
        for name in told["initialisations"]:
            taught = {
                key: record["metrics"].get(f"{name}_{key}") for key in ("level", "num_clusters")
            }
            transfers.append(settings(record) | {"name": name} | taught)
told = counted(len(motion_models), "motion model"), counted(len(transfers), "fine-tuned network")
print("{} and {} in the records".format(*told))


def main(entry, *free):
    """Whether a run has the settings that the tables hold fixed, apart from those in ``free``."""
    fixed = {
        "videos_per_class": videos_per_class, "label_fraction": 0.0, "clips": clips,
        "frames": frames, "backbone": backbone,
    }  # fmt: skip
    fixed |= {"weight": 1.0} if "weight" in entry else {}
    taught = entry.get("name") in ("motionfit", "appearance")
    fixed |= {"level": level, "num_clusters": num_clusters} if taught else {}
    fixed |= {"steps": steps} if "name" in entry else {}
    return all(entry[name] == value for name, value in fixed.items() if name not in free)


# %% [markdown]
# ## The tables
#
# Each is a list of cells: row, column, the run, the name of its metric.

# %%
STREAM = {"flow": "motion", "rgb": "appearance"}


def multiclip():
    """Table 1: motion against appearance, by the number of clips, and one longer clip."""
    for m in motion_models:
        longer = m["frames"] != frames
        if main(m, "clips", "frames") and (not longer or m["clips"] == 1):
            column = f"{m['frames']} frames" if longer else f"R = {m['clips']}"
            yield STREAM[m["modality"]], column, m, "top1_accuracy"


def lambdas():
    """Section 4.3: lambda of Eq. 3; 0 is clip order first, then the labels."""
    for m in motion_models:
        if main(m, "weight"):
            yield STREAM[m["modality"]], m["weight"], m, "top1_accuracy"


def granularity():
    """Table 2."""
    for t in transfers:
        if t["name"] == "motionfit" and main(t, "level"):
            yield "motionfit", t["level"], t, "motionfit_top1_accuracy"


def number_of_clusters():
    """Table 3."""
    for t in transfers:
        if t["name"] == "motionfit" and main(t, "num_clusters"):
            yield "motionfit", t["num_clusters"], t, "motionfit_top1_accuracy"


def clip_length():
    """Table 4."""
    for t in transfers:
        if t["name"] in ("motionfit", "scratch") and main(t, "frames"):
            yield t["name"], t["frames"], t, f"{t['name']}_top1_accuracy"


def transfer():
    """Table 5: how the motion model's knowledge gets into an RGB network, begun as MoSI's or not.

    From random weights few steps may not leave the plateau, so these are trained longer, too. All
    labels are learned from what the students begin as, for as long.
    """
    for t in transfers:
        accuracy = f"{t['name']}_top1_accuracy"
        if t["name"] in ("scratch", "mosi", "appearance", "mers", "mars", "motionfit") and main(t):
            yield t["name"], "top-1", t, accuracy
            if t["name"] == "motionfit":
                yield "with flow too", "top-1", t, "motionfit_two_stream_top1_accuracy"
        if t["name"] == "scratch" and t["steps"] > steps and main(t, "steps"):
            yield "scratch, longer", "top-1", t, accuracy
        beyond = videos_per_class and not t["videos_per_class"]  # where the table's labels are few
        if beyond and main(t, "videos_per_class", "steps"):
            yield "all labels", "top-1", t, accuracy
    for m in motion_models:
        if m["modality"] == "flow" and main(m):
            yield "motion model", "top-1", m, "top1_accuracy"


def comparison():
    """Table 6: against learning without labels from video alone; another backbone."""
    for t in transfers:
        if t["name"] in ("scratch", "clip_order", "mosi", "motionfit") and main(
            t, "backbone", "frames"
        ):
            other = t["backbone"].replace("_", "-")
            name = t["name"] if t["backbone"] == backbone else f"{t['name']} ({other})"
            name = name if t["frames"] == frames else f"{name} ({t['frames']} frames)"
            yield name, "top-1", t, f"{t['name']}_top1_accuracy"


def retrieval():
    """Table 7: before any fine-tuning."""
    for t in transfers:
        for name in (t["name"], "static_frame", "frame_difference"):
            for kind in ("clip", "video"):
                for k in (1, 5, 20) if main(t) else ():
                    yield f"{name} ({kind})", k, t, f"{name}_{kind}_recall_at_{k}"


def semi_supervised():
    """Table 8: shares of the labels; the whole training set without labels is the source."""
    for t in transfers:
        if t["label_fraction"] and main(t, "label_fraction", "videos_per_class", "backbone"):
            column = f"{t['label_fraction']:.0%}"
            yield t["name"], column, t, f"{t['name']}_top1_accuracy"


# rows and columns of the paper's own numbers, and pairs of cells that its claims compare
TABLES = {
    "motionfit_multiclip": (
        multiclip,
        {"appearance": {"R = 1": 0.589, "R = 3": 0.591, "32 frames": 0.594},
         "motion": {"R = 1": 0.782, "R = 3": 0.826, "32 frames": 0.808}},
        [("motion beats appearance", ("motion", "R = 1"), ("appearance", "R = 1")),
         ("so it does with several clips", ("motion", "R = 3"), ("appearance", "R = 3")),
         ("several clips help motion", ("motion", "R = 3"), ("motion", "R = 1")),
         ("and hardly appearance", ("appearance", "R = 3"), ("appearance", "R = 1"))],
    ),
    "motionfit_lambda": (
        lambdas,
        {"motion": {0.0: 0.699, 1.0: 0.826}, "appearance": {0.0: 0.737, 1.0: 0.591}},
        [("clip order does not help motion", ("motion", 1.0), ("motion", 0.5)),
         ("alone it is worse", ("motion", 1.0), ("motion", 0.0))],
    ),
    "motionfit_granularity": (
        granularity,
        {"motionfit": {"clip": 0.803, "thirds": 0.773, "boundaries": 0.790, "video": 0.765}},
        [(f"clips beat {other}", ("motionfit", "clip"), ("motionfit", other))
         for other in ("thirds", "boundaries", "video")],
    ),
    "motionfit_clusters": (
        number_of_clusters,
        {"motionfit": {128: 0.852, 500: 0.857, 1000: 0.865, 1600: 0.856}},
        [(f"{num_clusters} clusters beat {k}", ("motionfit", num_clusters), ("motionfit", k))
         for k in sorted({k for _, k, *_ in number_of_clusters()} - {num_clusters})],
    ),
    "motionfit_cliplength": (
        clip_length,
        {"motionfit": {16: 0.874, 32: 0.889}, "scratch": {16: 0.589}},
        [("longer clips help", ("motionfit", 2 * frames), ("motionfit", frames))],
    ),
    "motionfit_transfer": (
        transfer,
        {"scratch": {"top-1": 0.589}, "mers": {"top-1": 0.783}, "mars": {"top-1": 0.822},
         "motionfit": {"top-1": 0.874}, "all labels": {"top-1": 0.950}},
        [("the student beats scratch", ("motionfit", "top-1"), ("scratch", "top-1")),
         ("and scratch trained longer", ("motionfit", "top-1"), ("scratch, longer", "top-1")),
         ("motion pseudo-labels beat appearance ones", ("motionfit", "top-1"), ("appearance", "top-1")),
         ("it beats MoSI, which it may begin as", ("motionfit", "top-1"), ("mosi", "top-1")),
         ("it beats MERS", ("motionfit", "top-1"), ("mers", "top-1")),
         ("it beats MARS", ("motionfit", "top-1"), ("mars", "top-1")),
         ("flow at test time adds", ("with flow too", "top-1"), ("motionfit", "top-1"))],
    ),
    "motionfit_comparison": (
        comparison,
        {"motionfit": {"top-1": 0.889}, "motionfit (s3dg)": {"top-1": 0.901},
         "Han CoCLR": {"top-1": 0.879}, "Benaim": {"top-1": 0.811}},
        [("it beats clip order", ("motionfit", "top-1"), ("clip_order", "top-1")),
         ("it beats MoSI", ("motionfit", "top-1"), ("mosi", "top-1"))],
    ),
    "motionfit_retrieval": (
        retrieval,
        {"motionfit (clip)": {1: 0.616, 5: 0.756, 20: 0.855}},
        [("motion beats appearance", ("motionfit (clip)", 1), ("appearance (clip)", 1))],
    ),
    "motionfit_semi": (
        semi_supervised,
        {"motionfit": {"20%": 0.577, "50%": 0.590}},
        [(f"the student beats {start} with {share}", ("motionfit", share), (start, share))
         for share in ("20%", "50%") for start in ("scratch", "mosi")],
    ),
}  # fmt: skip
make_cells, printed, claims = TABLES[one_of("table", table, tuple(TABLES))]
cells = [cell for cell in make_cells() if cell[3] in cell[2]["metrics"]]
if not cells:
    raise runs.no_records(table, scale, dataset, data_seed)
values = defaultdict(dict)
for row, column, entry, metric in cells:
    values[row, column][entry["seed"]] = entry["metrics"][metric]
behind = {entry["run"] for _, _, entry, _ in cells}
minutes = sum(found[name]["seconds"] for name in behind) / 60
print(f"{table}: {counted(len(behind), 'run')}, {in_words(60 * minutes)} in all")

# %% [markdown]
# ## The table
#
# Under our rows stand chance, and linear classifiers of a single frame and of frame differences fitted
# on the same labels (for retrieval, these pictures as they are); the paper's own numbers (UCF101, its
# scale) have a column of their own. All in per cent, with the half-width of the 95 % interval and the
# number of seeds.

# %%
about = {"table": table, "scale": scale, "dataset": dataset}
measure = "recall" if table == "motionfit_retrieval" else "top1_accuracy"


order = list(dict.fromkeys(column for numbers in printed.values() for column in numbers))


def place(key):
    """Columns in order: numbers by size, words as the paper has them, then our own."""
    column = key[1]
    if isinstance(column, (int, float)):
        return 0, float(column), ""
    return 1, order.index(column) if column in order else len(order), column


rows = [
    table_row(method_name(row), measure, list(by_seed.values()), column=column, **about)
    for (row, column), by_seed in sorted(values.items(), key=lambda item: place(item[0]))
]
columns = list(dict.fromkeys(row["column"] for row in rows))


def linear(kind, column):
    """By seed, the accuracy of a linear classifier of the labels that the rows of a column had."""
    budgets = {
        (entry["videos_per_class"], entry["label_fraction"])
        for row, its, entry, _ in cells
        if its == column and row != "all labels"
    }
    fitted = [
        t
        for t in [*transfers, *motion_models]
        if (t["videos_per_class"], t["label_fraction"]) in budgets
    ]
    name = f"{kind}_top1_accuracy"
    return {t["seed"]: t["metrics"][name] for t in fitted if name in t["metrics"]}


chance = cells[0][2]["metrics"]["chance"]
for column in columns:
    tries = column if measure == "recall" else 1
    level_of = [1 - (1 - chance) ** tries]
    rows.append(table_row("chance", measure, level_of, exact=True, column=column, **about))
    for kind in ("static_frame", "frame_difference") if measure == "top1_accuracy" else ():
        by_seed = linear(kind, column)
        if by_seed:
            rows.append(
                table_row(method_name(kind), measure, [*by_seed.values()], column=column, **about)
            )
for row, numbers in printed.items():
    for column, number in numbers.items():
        quoted = {"table": table, "column": column, "scale": "paper", "dataset": "ucf101"}
        rows.append(paper_row(method_name(row), measure, number, **quoted))
readable_table(rows)

# %% [markdown]
# ## Claims
#
# Paired differences on the same seeds, and the smallest difference that these runs could have told from
# none.

# %%
comparisons = {
    claim: compare_seeds(values.get(one, {}), values.get(other, {})) for claim, one, other in claims
}
metrics = {}
for claim, compared in comparisons.items():
    if compared:
        key = claim.replace(" ", "_").replace("-", "_").replace(",", "")
        metrics[key], metrics[f"{key}_ci95"], _ = compared.difference
readable_comparisons(comparisons, dict.fromkeys(comparisons, 1))

# %%
own = [row for row in rows if row["scale"] == scale]
SETTING = {
    "motionfit_multiclip": "clips of a video in training, or length of the clip",
    "motionfit_lambda": "weight of the classes against clip order",
    "motionfit_granularity": "where a pseudo-label holds",
    "motionfit_clusters": "number of clusters",
    "motionfit_cliplength": "frames of a clip",
    "motionfit_retrieval": "neighbours looked at",
    "motionfit_semi": "share of the labels",
}
if columns == ["top-1"]:
    figure = accuracy_by_method(own)
else:
    drawn, look = own, {"metric": "top-1 accuracy (%)"}
    if measure == "recall":
        kinds = ("clip", "video")
        drawn = [
            {**row, "row": row["row"].removesuffix(f" ({kind})"), "panel": f"{kind} to {kind}"}
            for kind in kinds
            for row in own
            if row["row"] == "chance" or row["row"].endswith(f"({kind})")
        ]
        look = {"metric": "recall (%)", "panel": "panel", "width": visualize.PAGE_WIDTH}
    figure = visualize.accuracy_by_setting(drawn, setting=SETTING[table], **look)
names = list(dict.fromkeys(row["row"] for row in own))
run.save_figure(
    figure,
    table,
    data=rows,
    alt=f"{measure.replace('_', ' ')} of {', '.join(names)}; bars are 95 % intervals over seeds.",
    dataset=f"{dataset}, data seed {data_seed}",
    from_runs=sorted(behind),
    publish=True,
)
figure

# %% [markdown]
# ## What flow costs
#
# With the transfer table, accuracy against the time that a test video takes: the student needs no flow,
# the motion model and both together do.

# %%


def seconds_of(entry):
    """What a test video takes; a motion model's flow takes its own time."""
    told = entry["metrics"]
    if "name" in entry:
        return told[f"{entry['name']}_seconds_a_video"]
    return told["seconds_a_video"] + told["flow_seconds_a_video"]


def seconds_a_video(row):
    """Mean over the runs of a row; both networks together take both their times."""
    if row == "with flow too":
        return seconds_a_video("motionfit") + seconds_a_video("motion model")
    each = [seconds_of(entry) for its, _, entry, _ in cells if its == row]
    return sum(each) / len(each)


streams = {("motionfit", "top-1"), ("motion model", "top-1")}
if table == "motionfit_transfer" and streams <= set(values):
    mean = {method_name(row): sum(each.values()) / len(each) for (row, _), each in values.items()}
    cost = {method_name(row): seconds_a_video(row) for row, _ in values}
    figure = accuracy_by_cost(mean, cost, note=f"{dataset} · {scale}")
    run.save_figure(
        figure,
        "motionfit_cost",
        data=[{"method": n, "top1_accuracy": mean[n], "seconds_a_video": cost[n]} for n in cost],
        alt="Accuracy against seconds a video: RGB networks, the motion model with its flow, both.",
        dataset=f"{dataset}, data seed {data_seed}",
        from_runs=sorted(behind),
        publish=True,
    )
figure if table == "motionfit_transfer" and streams <= set(values) else None

# %% [markdown]
# ## What one should see
#
# Each claim above with its interval, and 'not reproduced' where the interval holds zero. The paper's
# numbers stand in the table for orientation only: other data, another network, another scale.

# %%
assert all(row["mean"] is None or 0 <= row["mean"] <= 1 for row in rows)
run.finish(
    {**metrics, "runs": len(behind), "minutes": minutes},
    seeds=sorted({seed for by_seed in values.values() for seed in by_seed}),
)
