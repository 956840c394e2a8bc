"""All methods on one protocol: one network, the same labelled videos, every rival from the start of
TimeBalance's student as well as from its own.

Rows that other tables have are their runs. A run is named by its settings, so nothing runs twice.
"""

from vidssl.core import one_of
from vidssl.runs.cells import Cell, Question, in_each

PAGE = "41_one_features"
RIVALS = {"FixMatch": "fixmatch", "TG-FixMatch": "tg_fixmatch", "Mean Teacher": "mean_teacher",
          "Pseudo-Label": "pseudo_label"}  # fmt: skip
STARTS = {"": "scratch", ", from MoSI": "mosi", ", from TCLR": "tclr"}  # of rivals, by row
LONGER, PACE, ROTATION = "MoSI, longer", "pace, from MoSI", "3DRotNet, from MoSI"
LONGER_ROWS = {LONGER: "mosi", PACE: "pace", ROTATION: "rotation"}
COMBINED = "MotionFit → TimeBalance"
FEATURES = {name: name for name in ("linear_probe_accuracy", "knn_accuracy", "recall_at_1",
            "energy_inside_score")}  # fmt: skip


def settings():
    """``headline``: rows that have the seeds of TimeBalance's headline rows, others ``seeds``.

    ``only``: row -> the shares that it has, others all of timebalance_main's; [] leaves it out.
    ``longer``: what pretext tasks are pretrained with in the rows of TCLR's budget, as many clips
    as the start of TimeBalance's student has seen; without it there are no such rows. ``features``:
    seeds whose features are asked.
    """
    return graph.settings(
        "one_protocol",
        seeds=[0, 1, 2],
        headline=["scratch", "MoSI", "MotionFit", "TCLR", "TimeBalance"],
        only={},
        longer={},
        features=[0, 1, 2],
    )


# --- weights that only this table has -------------------------------------------------------------


def backbone():
    return graph.parameter("32_timebalance_student", "backbone")


def mosi_longer(seed):
    name, changed = f"mosi_pretrain-longer-s{seed}", settings()["longer"]["mosi"]
    return graph.run("11_mosi_pretrain", name, seed=seed, backbone=backbone(), **changed)


def pretext(seed, task, notebook, start=""):
    """A pretext task on the students' network; from MoSI's weights with the longer budget."""
    parameters = dict(rotation.as_student(notebook))
    if task == "pace":  # its strides are what it learns
        del parameters["frame_stride"]
    if not start:
        return graph.run(notebook, f"{task}_pretrain-{backbone()}-s{seed}", seed=seed, **parameters)
    first, given = timebalance.first_weights(seed, start="mosi")
    given |= settings()["longer"][task]
    return graph.run(
        notebook, f"{task}_pretrain-after_mosi-s{seed}", after=first, seed=seed, **parameters, **given
    )


def weights(row):
    """What makes a row's weights before it sees a label; of other rows nothing does."""
    pages = {"pace": "50_pace_pretrain", "rotation": "60_rotation_pretrain"}
    return {
        "scratch": lambda seed, share: None,
        "MoSI": lambda seed, share: timebalance.STARTS["mosi"](seed)[0],
        LONGER: lambda seed, share: mosi_longer(seed),
        "pace": lambda seed, share: pretext(seed, "pace", pages["pace"]),
        PACE: lambda seed, share: pretext(seed, "pace", pages["pace"], "mosi"),
        "3DRotNet": lambda seed, share: rotation.pretrain(seed),
        ROTATION: lambda seed, share: pretext(seed, "rotation", pages["rotation"], "mosi"),
        "MotionFit": motionfit_from("scratch"),
        "MoSI → MotionFit": motionfit_from("mosi"),
        "TCLR": lambda seed, share: timebalance.teacher(seed, "tclr"),
    }.get(row)


def motionfit_from(start):
    named = timebalance.usual(start)
    return lambda seed, share: timebalance.motionfit_student(seed, share, named)


# --- rows -----------------------------------------------------------------------------------------


def tuned(start):
    named = timebalance.usual(start)
    return lambda seed, share: timebalance.baseline(seed, share, "supervised", start=named)


def fine_tuned(row, name):
    return lambda seed, share: rotation.tuned(seed, share, name, weights(row)(seed, share))


def rival(method, start):
    named = timebalance.usual(start)
    return lambda seed, share: timebalance.baseline(seed, share, method, start=named)


def motionfit_row(start):
    named = timebalance.usual(start)
    return lambda seed, share: timebalance.from_motionfit(seed, share, named)


def student(variant="timebalance", **started):
    return lambda seed, share: timebalance.student(seed, share, variant, **started)


def rows():
    """Row -> what makes its run of a seed and a share, and what its metrics begin with there."""
    made = {
        "scratch": (tuned("scratch"), ""),
        "MoSI": (tuned("mosi"), ""),
        LONGER: (fine_tuned(LONGER, "mosi_longer"), "mosi_longer_"),
        "pace": (fine_tuned("pace", "pace"), "pace_"),
        PACE: (fine_tuned(PACE, "pace_after_mosi"), "pace_after_mosi_"),
        "3DRotNet": (rotation.transfer, "rotation_"),
        ROTATION: (fine_tuned(ROTATION, "rotation_after_mosi"), "rotation_after_mosi_"),
        "MotionFit": (motionfit_row("scratch"), ""),
        "MoSI → MotionFit": (motionfit_row("mosi"), ""),
        "TCLR": (weights("TCLR"), "finetuned_{}_"),
    }
    for row, method in RIVALS.items():
        made |= {f"{row}{named}": (rival(method, start), "") for named, start in STARTS.items()}
    return made | {
        "average": (student("average"), ""),
        "TimeBalance": (student(), ""),
        "TimeBalance, from MotionFit": (student(begins="motionfit"), ""),
        COMBINED: (student(start="motionfit"), ""),
    }


def shares_of(row):
    """Those of the table that a row has; MotionFit's pages draw their labels and take no lists."""
    main, needed = timebalance.main_settings(), LONGER_ROWS.get(row)
    shares = main["percents"]
    if (needed and needed not in settings()["longer"]) or (
        main["label_lists"] and "MotionFit" in row
    ):
        return []
    return [share for share in shares if share in settings()["only"].get(row, shares)]


def seeds_of(row):
    headline = row in settings()["headline"]
    return timebalance.main_settings()["headline_seeds"] if headline else settings()["seeds"]


def accuracy(row, share):
    make, prefix = rows()[row]
    runs, prefix = [make(seed, share) for seed in seeds_of(row)], prefix.format(share)
    return Cell(row, share, runs, prefix, behind=[behind(run, prefix, share) for run in runs])


def behind(run, prefix, share):
    """Everything that was trained for a run: its own part, all before it, and of teachers what
    they learned of the share's labels, where it is a student's."""
    before = graph.before(run)
    runs = [(run, prefix), *((job, "") for job in before)]
    if prefix.startswith("finetuned"):
        return [*runs, (run, "")]
    names = ("timebalance_teacher-invariant", "timebalance_teacher-distinctive")
    return runs + [(job, f"finetuned_{share}_") for job in before if job.name.startswith(names)]


def features(row):
    """What a row's weights know before labels, or its network with those of one share."""
    shares = shares_of(row)
    share = timebalance.PERCENT if timebalance.PERCENT in shares else shares[-1]
    make = weights(row) or rows()[row][0]
    runs = [frozen(row, seed, make(seed, share)) for seed in settings()["features"]]
    return Cell(row, share, runs, metrics=FEATURES)


def frozen(row, seed, job):
    name = row.lower().replace(", ", "_").replace(" → ", "_").replace(" ", "_")
    return graph.run(
        PAGE,
        f"one_features-{name}-s{seed}",
        after=[job] if job else [],
        seed=seed,
        **graph.start_from([job] if job else []),
        **rotation.as_student(PAGE),
    )


# --- the table ------------------------------------------------------------------------------------


def claims(shares):
    """What is asked: the methods against what they begin as, TimeBalance against its rivals from
    its own start, and the combinations against their parts."""
    pairs = {
        "MoSI": ["scratch", "frame difference"],
        LONGER: ["MoSI"],
        "pace": ["scratch"],
        PACE: ["MoSI"],
        "3DRotNet": ["scratch"],
        ROTATION: ["MoSI"],
        "MotionFit": ["scratch", "frame difference"],
        "MoSI → MotionFit": ["MoSI", "MotionFit"],
        "TCLR": ["MoSI", LONGER, PACE, ROTATION, "frame difference"],
        **{f"{row}, from TCLR": ["TCLR", f"{row}, from MoSI", row] for row in RIVALS},
        "average": ["TCLR"],
        "TimeBalance": ["scratch", "MoSI", "MoSI → MotionFit", "TCLR", "average", "frame difference",
                        *(f"{row}, from TCLR" for row in RIVALS)],
        "TimeBalance, from MotionFit": ["TimeBalance", "MoSI → MotionFit"],
        COMBINED: ["TimeBalance", "TimeBalance, from MotionFit"],
    }  # fmt: skip
    return [
        claim
        for first, others in pairs.items()
        for second in others
        for claim in in_each(shares, first, second, unit=" %")
    ]


@graph.table("40_one_protocol")
def one_protocol():
    """Every method on one network and the same labelled videos: what it is worth, what it costs,
    where it looks, and what of it is its start."""
    shares = timebalance.main_settings()["percents"]
    for row in settings()["only"]:
        one_of(f"{graph.scale}.yaml, one_protocol, only", row, list(rows()))
    chosen = [row for row in rows() if shares_of(row)]
    cells = [accuracy(row, share) for row in chosen for share in shares_of(row)]
    cells += [cell for share in shares for cell in timebalance.beside(share)]
    cells += [features(row) for row in chosen] if settings()["features"] else []
    return Question(cells, claims(shares), "labelled videos (%)")
