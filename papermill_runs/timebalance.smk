# TimeBalance: teachers, temporal similarities, students and baselines, tables. Names of runs say
# what they vary, and 34_timebalance_tables finds them by these names. Shares are texts in per cent.

import itertools

# start: what teachers and baselines begin with, a variant of MoSI's pretraining; empty: from scratch.
# percent: the one labelled share of tables and figures that vary something else.
SETTINGS_OF_ALL = graph.settings("timebalance", start="", percent="5")
START, PERCENT = SETTINGS_OF_ALL["start"], SETTINGS_OF_ALL["percent"]
BASELINES = ["pseudo_label", "mean_teacher", "fixmatch", "tg_fixmatch"]
METHODS = ["average", *BASELINES, "motionfit"]  # of the main table, beside the headline rows
VARIANTS = {  # what a student changes, by the name that its runs carry
    "timebalance": {},
    "average": {"blend": "average"},
    "invariant": {"blend": "invariant"},
    "distinctive": {"blend": "distinctive"},
    "ranked": {"calibration": "rank"},
    "minmax": {"calibration": "minmax"},
    "kl": {"distance": "kl", "labelled_weight": 1.0, "unlabelled_weight": 2.0},
    "average_kl": {
        "blend": "average", "distance": "kl", "labelled_weight": 1.0, "unlabelled_weight": 2.0
    },
}


def timebalance_settings():
    """Seeds of all rows and of the headline rows, the labelled shares teachers learn, the rows
    beside the headline ones."""
    return graph.settings(
        "timebalance_main",
        seeds=[0, 1, 2],
        headline_seeds=[0, 1, 2, 3, 4],
        percents=["1", "5", "10"],
        methods=METHODS,
    )


def timebalance_start(seed):
    """The job behind `START` and the parameter that points at its weights."""
    first = [mosi_pretrain(seed, START)] if START else []
    return first, start_from(first)


def times(longer):
    """Part of the names of runs behind teachers that were pretrained so many times as long."""
    return f"-x{longer}" if longer > 1 else ""


def timebalance_teacher(seed, objective, longer=1):
    first, given = timebalance_start(seed)
    shares = timebalance_settings()["percents"]
    if longer > 1:
        shares = [PERCENT]
        given["steps"] = longer * graph.parameter("30_timebalance_teachers", "steps")
    return graph.run(
        "30_timebalance_teachers",
        f"timebalance_teacher-{objective}{times(longer)}-s{seed}",
        after=first,
        objective=objective,
        fractions=[float(share) / 100 for share in shares],
        seed=seed,
        **given,
    )


def timebalance_teachers(seed, longer=1):
    """Both teachers' runs, and the parameters that point at them."""
    pair = {name: timebalance_teacher(seed, name, longer) for name in ("invariant", "distinctive")}
    folders = {name: graph.path(job.file("")) for name, job in pair.items()}
    return list(pair.values()), folders


def timebalance_similarity(seed, clips=0, stride=0, longer=1):
    """s by the notebook's own clips, or by so many of another stride."""
    teachers, folders = timebalance_teachers(seed, longer)
    if clips:
        changed = {"clips": clips, "local_stride": stride}
    else:
        changed = published(seed, usual=longer == 1)
    return graph.run(
        "31_timebalance_similarity",
        f"timebalance_similarity{times(longer)}{f'-clips{clips}' if clips else ''}-s{seed}",
        after=teachers,
        fraction=float(PERCENT) / 100,
        seed=seed,
        **folders,
        **changed,
    )


def timebalance_weights(seed, share, longer=1):
    teachers, folders = timebalance_teachers(seed, longer)
    scores = timebalance_similarity(seed, longer=longer)
    return graph.run(
        "33_timebalance_weights",
        f"timebalance_weights{times(longer)}-f{share}-s{seed}",
        after=[*teachers, scores],
        similarities=graph.path(scores.file("similarities.npz")),
        fraction=float(share) / 100,
        seed=seed,
        **folders,
        **published(seed, usual=longer == 1),
    )


def timebalance_student(seed, share, variant="timebalance", clips=0, stride=0, longer=1):
    """A student of both teachers, started from TCLR's backbone; s by so many clips, if given."""
    teachers, given = timebalance_teachers(seed, longer)
    start = timebalance_teacher(seed, "tclr")
    after = [*teachers, start]
    given = {**given, "pretrained": graph.path(start.file("backbone.pt")), **VARIANTS[variant]}
    name = f"clips{clips}" if clips else variant
    if "blend" not in VARIANTS[variant]:
        scores = timebalance_similarity(seed, clips, stride, longer)
        after.append(scores)
        given["similarities"] = graph.path(scores.file("similarities.npz"))
    usual = name == "timebalance" and share == PERCENT and longer == 1
    given |= published(seed, usual=usual)
    return graph.run(
        "32_timebalance_student",
        f"timebalance_student-{name}{times(longer)}-f{share}-s{seed}",
        after=after,
        fraction=float(share) / 100,
        seed=seed,
        **given,
    )


def timebalance_baseline(seed, share, method):
    """A baseline from `START`; the supervised one brings the linear classifiers."""
    first, given = timebalance_start(seed)
    return graph.run(
        "32_timebalance_student",
        f"timebalance_student-{method}-f{share}-s{seed}",
        after=first,
        method=method,
        baselines=method == "supervised",
        fraction=float(share) / 100,
        seed=seed,
        **given,
    )


def timebalance_motionfit(seed, share):
    """MotionFit with the same labels and network: a motion model of them teaches all videos."""
    first, _ = timebalance_start(seed)
    few = {"label_fraction": float(share) / 100, "videos_per_class": 0}
    backbone = graph.parameter("32_timebalance_student", "backbone")
    taught = motionfit_student(seed, model=few, start=first, backbone=backbone)
    return graph.run(
        "32_timebalance_student",
        f"timebalance_student-motionfit-f{share}-s{seed}",
        after=[taught],
        method="supervised",
        fraction=float(share) / 100,
        seed=seed,
        **start_from([taught]),
    )


def timebalance_row(seed, share, method):
    """One run of a row of the main table beside the headline rows."""
    one_of("methods", method, METHODS)
    if method == "motionfit":
        return timebalance_motionfit(seed, share)
    kind = timebalance_student if method in VARIANTS else timebalance_baseline
    return kind(seed, share, method)


def timebalance_table(table, *finished, **parameters):
    return graph.run(
        "34_timebalance_tables",
        table,
        after=finished,
        table=table,
        records=graph.path("records"),
        **parameters,
    )


def timebalance_main():
    wanted = timebalance_settings()
    finished = [timebalance_teacher(seed, "tclr") for seed in wanted["headline_seeds"]]
    for share in wanted["percents"]:
        for seed in wanted["headline_seeds"]:
            finished += [timebalance_student(seed, share)]
            finished += [timebalance_baseline(seed, share, "supervised")]
        for seed in wanted["seeds"]:
            finished += [timebalance_row(seed, share, method) for method in wanted["methods"]]
    return timebalance_table("timebalance_main", *finished, percents=wanted["percents"])


def timebalance_ablation():
    wanted = graph.settings(
        "timebalance_ablation", seeds=[0, 1, 2], other_clips=4, other_stride=2
    )
    other = wanted["other_clips"], wanted["other_stride"]
    finished = []
    for seed in wanted["seeds"]:
        finished += [timebalance_student(seed, PERCENT, variant) for variant in VARIANTS]
        finished += [timebalance_student(seed, PERCENT, clips=other[0], stride=other[1])]
        finished += [timebalance_baseline(seed, PERCENT, "supervised")]
    return timebalance_table(
        "timebalance_ablation", *finished, percent=PERCENT, other_clips=other[0]
    )


def timebalance_classwise():
    wanted = graph.settings("timebalance_classwise", seeds=[0, 1, 2, 3, 4])
    finished = []
    for seed in wanted["seeds"]:
        finished += [*timebalance_teachers(seed)[0], timebalance_similarity(seed)]
        finished += [timebalance_weights(seed, PERCENT)]
        finished += [timebalance_baseline(seed, PERCENT, "supervised")]
    shares = timebalance_settings()["percents"]
    return timebalance_table("timebalance_classwise", *finished, percents=shares, percent=PERCENT)


def timebalance_length():
    wanted = graph.settings("timebalance_length", seeds=[0, 1, 2], longer=3)
    finished = []
    for seed, longer in itertools.product(wanted["seeds"], (1, wanted["longer"])):
        finished += [timebalance_weights(seed, PERCENT, longer)]
        for variant in ("timebalance", "average"):
            finished += [timebalance_student(seed, PERCENT, variant, longer=longer)]
    return timebalance_table(
        "timebalance_length", *finished, percent=PERCENT, longer=wanted["longer"]
    )


def timebalance_tables():
    finished = [timebalance_main(), timebalance_ablation(), timebalance_classwise()]
    return [*finished, timebalance_length()]


rule timebalance:
    """Every table and figure of TimeBalance."""
    input:
        graph.target("timebalance", *timebalance_tables()),


rule timebalance_main:
    """Accuracy with few labels: TimeBalance beside supervised and semi-supervised baselines."""
    input:
        graph.target("timebalance_main", timebalance_main()),


rule timebalance_ablation:
    """Whom the student listens to: each teacher, their average, their blend; MSE or KL."""
    input:
        graph.target("timebalance_ablation", timebalance_ablation()),


rule timebalance_classwise:
    """Which classes each teacher is better at, and whether s tells them apart."""
    input:
        graph.target("timebalance_classwise", timebalance_classwise()),


rule timebalance_length:
    """Whether teachers that were pretrained longer give other answers."""
    input:
        graph.target("timebalance_length", timebalance_length()),
