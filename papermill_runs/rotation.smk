"""3D rotation prediction (3DRotNet), a row of TimeBalance's table: the same network and labels. So it
is of MoSI's comparison, where that has rows of other sources, as the paper's own row is of Kinetics.
"""

import functools

from vidssl.runs.cells import Cell, Question, compare, in_each

SEEN = ("backbone", "width", "frames", "frame_stride", "size", "short_side", "whole_frame")
DATA = ("dataset", "root", "dataset_options")
TUNED = ("steps", "epochs", "lr", "warmup", "weight_decay")  # as TimeBalance's teachers are


def seen():
    return {name: graph.parameter("32_timebalance_student", name) for name in SEEN}


@functools.cache
def as_student(notebook):
    """What a page must be told to see the students' clips of the students' videos."""
    students = {n: graph.parameter("32_timebalance_student", n) for n in DATA}
    return seen() | {n: v for n, v in students.items() if v != graph.parameter(notebook, n)}


@functools.cache
def as_teacher():
    """What a fine-tuning must be told to be that of the table's pretrained rows."""
    page = "30_timebalance_teachers"
    tuning = {name: graph.parameter(page, f"tuning_{name}") for name in TUNED}
    shared = {name: graph.parameter(page, name) for name in ("augmentation", "batch_size")}
    return tuning | shared | {"accumulate": 1}


def pretrain(seed):
    name, page = f"rotation_pretrain-s{seed}", "60_rotation_pretrain"
    return graph.run(page, name, seed=seed, **as_student(page))


def labels(share):
    """What 03 must be told to take the labelled videos that the table's other rows take."""
    listed = timebalance.label_list(share)
    return {"label_list": listed} if listed else {"label_fraction": float(share) / 100}


def transfer(seed, share):
    return tuned(seed, share, "rotation", pretrain(seed))


def tuned(seed, share, name, first):
    """One fine-tuning from a job's weights on a share of the labels, in per cent."""
    return graph.run(
        "03_transfer",
        f"{name}_transfer-f{share}-s{seed}",
        after=[first],
        starts={name: graph.path(first.file("backbone.pt"))},
        videos_per_class=0,
        **labels(share),
        baselines=False,
        seed=seed,
        **as_student("03_transfer"),
        **as_teacher(),
    )


def rows():
    """Share -> its runs."""
    seeds = graph.settings("rotation", seeds=[0, 1, 2])["seeds"]
    return {
        share: [transfer(seed, share) for seed in seeds]
        for share in timebalance.main_settings()["percents"]
    }


@graph.adds_to("timebalance_main")
def beside_timebalance():
    cells = [Cell("3DRotNet", share, runs, "rotation_") for share, runs in rows().items()]
    return Question(cells, in_each(rows(), "TimeBalance", "3DRotNet", unit=" %"))


def as_mosi(seed, source):
    """Pretrained on a source of MoSI's comparison, and fine-tuned as its rows are."""
    data = mosi.SWEPT["mosi_comparison"]["sources"][source]
    first = graph.run("60_rotation_pretrain", f"rotation_pretrain-{source}-s{seed}", seed=seed, **data)
    return graph.run(
        "03_transfer",
        f"rotation_transfer-{source}-s{seed}",
        after=[first],
        starts={"rotation": graph.path(first.file("backbone.pt"))},
        videos_per_class=mosi.LABELS,
        baselines=False,
        seed=seed,
    )


@graph.adds_to("mosi_comparison")
def beside_mosi():
    column, cells, claims = mosi.LABELS or "all", [], []
    for source in mosi.SWEPT["mosi_comparison"]["sources"]:
        row, runs = f"3DRotNet, {source}", [as_mosi(s, source) for s in mosi.headline_seeds()]
        cells.append(Cell(row, column, runs, "rotation_"))
        claims.append(compare((f"MoSI, {source}", column), (row, column)))
    return Question(cells, claims)


@graph.target
def rotation():
    """3D rotation prediction: its pretraining, and what that is worth with few labels."""
    return [run for runs in rows().values() for run in runs]
