"""Every table and figure of TimeBalance. Teachers, similarities, students and baselines, tables.

Names of runs say what they vary. Shares are texts in per cent.
"""

import contextlib
import itertools

from vidssl.core import one_of
from vidssl.runs.cells import Cell, Claim, Question, compare, in_each, yardsticks
from vidssl.runs.graph import published

# start: what teachers and baselines begin with, a variant of MoSI's pretraining; empty: from scratch.
# percent: the one labelled share of tables and figures that vary something else.
SETTINGS_OF_ALL = graph.settings("timebalance", start="", percent="5")
START, PERCENT = SETTINGS_OF_ALL["start"], str(SETTINGS_OF_ALL["percent"])
TEACHERS_PAGE, STUDENT_PAGE = "30_timebalance_teachers", "32_timebalance_student"
BASELINES = ["pseudo_label", "mean_teacher", "fixmatch", "tg_fixmatch", "s4l"]
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


def main_settings():
    """Seeds of all rows and of the headline rows, the labelled shares teachers learn, files of
    labelled videos (share -> path; none: drawn), the rows beside the headline ones, and the shares
    that baselines among these have, if not all."""
    wanted = graph.settings(
        "timebalance_main",
        seeds=[0, 1, 2],
        headline_seeds=[0, 1, 2, 3, 4],
        percents=["1", "5", "10"],
        label_lists={},
        methods=METHODS,
        baseline_percents=[],
    )
    lists = {str(share): path for share, path in wanted["label_lists"].items()}
    wanted["baseline_percents"] = [str(share) for share in wanted["baseline_percents"]]
    shares = shares_of("timebalance_main", wanted["percents"])
    if PERCENT not in shares:
        raise ValueError(
            f"targets: timebalance: percent: {PERCENT} is none of the shares that teachers learn "
            f"({', '.join(shares)}): name one of them, or add it to timebalance_main's percents"
        )
    return wanted | {"percents": shares, "label_lists": lists}


def shares_of(target, percents):
    """Labelled shares as texts, "1" where a scale's file says 1. ValueError for what is none."""
    shares = [str(share) for share in percents]
    for share in shares:
        with contextlib.suppress(ValueError):
            if 0 < float(share) <= 100:
                continue
        raise ValueError(f"targets: {target}: percents: {share!r} is no share above 0 and up to 100")
    if not shares:
        raise ValueError(f"targets: {target}: percents must name one or more")
    return shares


def network_settings():
    """Other networks than the pages' own: name -> parameters of all pages, under "teachers" of the
    pretraining; seeds and shares of their rows."""
    wanted = graph.settings(
        "timebalance_networks",
        seeds=[0],
        percents=[PERCENT],
        networks={"R3D-50": {"backbone": "slow_r50"}},
    )
    return wanted | {"percents": shares_of("timebalance_networks", wanted["percents"])}


def label_list(share):
    """The file of labelled videos of a share, or "". ValueError for one that the lists lack."""
    lists = main_settings()["label_lists"]
    if lists and share not in lists:
        raise ValueError(
            f"targets: timebalance_main: label_lists has no list of {share} % labels (it has "
            f"{', '.join(lists)} %): add one, or leave the share out of percents"
        )
    return lists.get(share, "")


def labels(share):
    """The parameters of a student's or a baseline's page that say what is labelled."""
    listed = label_list(share)
    return {"fraction": float(share) / 100, **({"label_list": listed} if listed else {})}


def shaped(network, *names):
    """Those of another network's parameters that a page takes; "" is the pages' own network."""
    shape = network_settings()["networks"][network] if network else {}
    return {name: shape[name] for name in ("size", "short_side", *names) if name in shape}


def first_weights(seed, network="", start=""):
    """The job behind a start and the parameter that points at its weights; other networks begin
    from scratch."""
    if start:
        first = STARTS[one_of("start", start, list(STARTS))](seed)
    else:
        first = [mosi.pretrain(seed, START)] if START and not network else []
    return first, graph.start_from(first)


def usual(start):
    """"" for the start that `START` is anyway, so that its runs are those of the main table."""
    return "" if start == ("mosi" if START else "scratch") else start


def times(longer, network="", start=""):
    """Part of the names of runs behind teachers that were pretrained so many times as long, of
    another network, or of another start."""
    named = {"-x": longer if longer > 1 else "", "-": network, "-from_": start}
    return "".join(f"{word}{value}" for word, value in named.items() if value)


def pretrained_for(longer):
    """The parameter that says how long a teacher is pretrained, so many times as large."""
    name = "epochs" if graph.parameter(TEACHERS_PAGE, "epochs") else "steps"
    return {name: longer * graph.parameter(TEACHERS_PAGE, name)}


def teacher(seed, objective, longer=1, network="", start=""):
    first, given = first_weights(seed, network, start)
    shares = main_settings()["percents"]
    if network:
        shares = network_settings()["percents"]
        teachers = network_settings()["networks"][network].get("teachers", {})
        given |= {**shaped(network, "backbone"), **teachers}
    if longer > 1:
        shares = [PERCENT]
        given |= pretrained_for(longer)
    if main_settings()["label_lists"]:
        given["label_lists"] = [label_list(share) for share in shares]
    return graph.run(
        TEACHERS_PAGE,
        f"timebalance_teacher-{objective}{times(longer, network, start)}-s{seed}",
        after=first,
        objective=objective,
        fractions=[float(share) / 100 for share in shares],
        seed=seed,
        **given,
    )


def teachers(seed, longer=1, network="", start=""):
    """Both teachers' runs, and the parameters that point at them."""
    kinds = ("invariant", "distinctive")
    pair = {name: teacher(seed, name, longer, network, start) for name in kinds}
    folders = {name: graph.path(job.file("")) for name, job in pair.items()}
    return list(pair.values()), folders


def similarity(seed, clips=0, stride=0, longer=1, network="", start=""):
    """s by the notebook's own clips, or by so many of another stride."""
    taught, folders = teachers(seed, longer, network, start)
    if clips:
        changed = {"clips": clips, "local_stride": stride}
    else:
        changed = published(seed, usual=longer == 1 and not network and not start)
    named = times(longer, network, start) + (f"-clips{clips}" if clips else "")
    share = network_settings()["percents"][0] if network else PERCENT
    return graph.run(
        "31_timebalance_similarity",
        f"timebalance_similarity{named}-s{seed}",
        after=taught,
        fraction=float(share) / 100,
        seed=seed,
        **folders,
        **changed,
        **shaped(network),
    )


def weights(seed, share, longer=1):
    taught, folders = teachers(seed, longer)
    scores = similarity(seed, longer=longer)
    return graph.run(
        "33_timebalance_weights",
        f"timebalance_weights{times(longer)}-f{share}-s{seed}",
        after=[*taught, scores],
        similarities=graph.path(scores.file("similarities.npz")),
        fraction=float(share) / 100,
        seed=seed,
        **folders,
        **published(seed, usual=longer == 1),
    )


def student(
    seed, share, variant="timebalance", clips=0, stride=0, longer=1, network="", start="", begins=""
):
    """A student of both teachers, started from TCLR's backbone; s by so many clips, if given.

    ``start``: of teachers and TCLR alike; ``begins``: of the student alone, instead of TCLR.
    """
    taught, given = teachers(seed, longer, network, start)
    first = teacher(seed, "tclr", network=network, start=start)
    if begins:
        [first], _ = first_weights(seed, start=begins)
    after = [*taught, first]
    given = {**given, **graph.start_from([first]), **VARIANTS[variant]}
    name = f"clips{clips}" if clips else variant
    name += f"-begins_{begins}" if begins else ""
    if "blend" not in VARIANTS[variant]:
        scores = similarity(seed, clips, stride, longer, network, start)
        after.append(scores)
        given["similarities"] = graph.path(scores.file("similarities.npz"))
    plain = name == "timebalance" and not times(longer, network, start)
    given |= published(seed, usual=plain and share == PERCENT)
    return graph.run(
        STUDENT_PAGE,
        f"timebalance_student-{name}{times(longer, network, start)}-f{share}-s{seed}",
        after=after,
        seed=seed,
        **labels(share),
        **given,
        **shaped(network, "backbone"),
    )


def baseline(seed, share, method, network="", start=""):
    """A baseline from `START` or another start; the supervised one brings the yardsticks."""
    first, given = first_weights(seed, network, start)
    return graph.run(
        STUDENT_PAGE,
        f"timebalance_student-{method}{times(1, network, start)}-f{share}-s{seed}",
        after=first,
        method=method,
        baselines=method == "supervised" and not times(1, network, start),
        seed=seed,
        **labels(share),
        **given,
        **shaped(network, "backbone"),
    )


def motionfit_student(seed, share, start=""):
    """MotionFit's RGB network with the same labels and network: a motion model of them teaches all
    videos."""
    first, _ = first_weights(seed, start=start)
    if main_settings()["label_lists"]:
        raise ValueError(
            "targets: timebalance_main: MotionFit's pages draw their labels and take no list: leave "
            "motionfit out of methods where there are label_lists"
        )
    few = {"label_fraction": float(share) / 100, "videos_per_class": 0}
    backbone = graph.parameter(STUDENT_PAGE, "backbone")
    named = f"from_{start}" if start else ""
    return motionfit.student(seed, model=few, start=first, begun=named, backbone=backbone)


def from_motionfit(seed, share, start=""):
    """It, fine-tuned."""
    taught = motionfit_student(seed, share, start)
    return graph.run(
        STUDENT_PAGE,
        f"timebalance_student-motionfit{times(1, start=start)}-f{share}-s{seed}",
        after=[taught],
        method="supervised",
        seed=seed,
        **labels(share),
        **graph.start_from([taught]),
    )


STARTS = {  # what networks can begin with beside `START`
    "scratch": lambda seed: [],
    "mosi": lambda seed: [mosi.of_network(seed, graph.parameter(STUDENT_PAGE, "backbone"))],
    "tclr": lambda seed: [teacher(seed, "tclr")],
    # it may stand behind every share, so that its motion model knows the labels of the lowest one
    "motionfit": lambda seed: [motionfit_student(seed, min(main_settings()["percents"], key=float))],
}


def row_of(seed, share, method):
    """One run of a row of the main table beside the headline rows."""
    one_of("methods", method, METHODS)
    if method == "motionfit":
        return from_motionfit(seed, share)
    kind = student if method in VARIANTS else baseline
    return kind(seed, share, method)


# --- tables --------------------------------------------------------------------------------------

STUDENTS = {  # rows of students and baselines: what their runs are called
    "supervised": "supervised",
    "Pseudo-Label": "pseudo_label",
    "Mean Teacher": "mean_teacher",
    "FixMatch": "fixmatch",
    "TG-FixMatch": "tg_fixmatch",
    "S4L": "s4l",
    "MotionFit": "motionfit",
    "average": "average",
    "TimeBalance": "timebalance",
}
TEACHERS = {"TCLR": "tclr", "invariant": "invariant", "distinctive": "distinctive"}
HEADLINE = ("supervised", "TCLR", "invariant", "distinctive", "average", "TimeBalance")
HEADLINE += ("frame difference", "static frame", "chance")
GROUPS = {"ordered": 1, "repetitive": -1, "appearance": -1, "both": 0}  # expected: f_D minus f_I


def seeds_of(row, *own):
    """The main table's seeds of a row, and one's own."""
    wanted = main_settings()
    usual = "seeds" if STUDENTS.get(row) in wanted["methods"] else "headline_seeds"
    return sorted({*wanted[usual], *(seed for each in own for seed in each)})


def at_share(row, share, seeds, column=None, longer=1):
    """A cell with a share of the labels: a fine-tuned teacher, a student or a baseline."""
    if row in TEACHERS:
        runs = [teacher(seed, TEACHERS[row], longer) for seed in seeds]
        return Cell(row, column or share, runs, f"finetuned_{share}_")
    name, run = STUDENTS[row], {"timebalance": student, "supervised": baseline}
    if longer > 1:
        runs = [student(seed, share, name, longer=longer) for seed in seeds]
    else:
        runs = [run.get(name, row_of)(seed, share, name) for seed in seeds]
    return Cell(row, column or share, runs)


def beside(column, share=None):
    """The yardsticks fitted on a share of the labels."""
    seeds = seeds_of("supervised")
    return yardsticks(column, [baseline(seed, share or column, "supervised") for seed in seeds])


def frozen(column, share, seeds, longer=1, groups=("all",)):
    """Linear classifiers on both teachers' frozen features, over all classes or a group of them."""
    runs = [weights(seed, share, longer) for seed in seeds]
    return [
        Cell(
            f"{kind}, frozen{'' if group == 'all' else f', {group}'}",
            column,
            runs,
            f"frozen_{kind}_{group}_",
            {"accuracy": "accuracy"},
        )
        for group in groups
        for kind in ("invariant", "distinctive")
    ]


def told_apart(column, seeds, longer=1):
    """How well s tells repetitive videos from ordered ones, by both teachers or by one."""
    runs = [similarity(seed, longer=longer) for seed in seeds]
    named = {"both teachers": "both_teachers_", "invariant alone": "invariant_alone_",
             "distinctive alone": "distinctive_alone_"}  # fmt: skip
    only = {"auc_score": "auc_score"}
    return [Cell(f"s, {row}", column, runs, prefix, only) for row, prefix in named.items()]


def hypotheses(column, unit):
    """f_D minus f_I of frozen features, in each group of classes and between two of them."""
    at = {g: [(f"{k}, frozen, {g}", column) for k in ("distinctive", "invariant")] for g in GROUPS}
    about = {"metric": "accuracy", "column": column, "unit": unit}
    claims = [
        Claim(f"f_D - f_I, frozen, {g}", at[g][:1], at[g][1:], expected, **about)
        for g, expected in GROUPS.items()
    ]
    (d_ordered, i_ordered), (d_repeated, i_repeated) = at["ordered"], at["repetitive"]
    name = "f_D - f_I, frozen, ordered - repetitive"
    return [*claims, Claim(name, [d_ordered, i_repeated], [i_ordered, d_repeated], **about)]


@graph.table("34_timebalance_tables")
def timebalance_main():
    """Accuracy with few labels: TimeBalance beside supervised and semi-supervised baselines."""
    wanted = main_settings()
    rows = ["supervised", "TCLR", "invariant", "distinctive", "TimeBalance"]
    chosen = [one_of("methods", name, METHODS) for name in wanted["methods"]]
    rows[1:1] = [row for row, name in STUDENTS.items() if name in chosen and name != "average"]
    rows[-1:-1] = ["average"] if "average" in chosen else []
    shares = wanted["percents"]
    few = {row: wanted["baseline_percents"] for row, name in STUDENTS.items() if name in BASELINES}
    cells = [
        at_share(row, share, seeds_of(row)) for row in rows for share in few.get(row) or shares
    ]
    cells += [cell for share in shares for cell in beside(share)]
    rivals = [row for row in rows[1:-1] if row in STUDENTS and row != "average"]
    claims = [c for row in rows[:-1] for c in in_each(shares, "TimeBalance", row, unit=" %")]
    claims += [c for row in rivals for c in in_each(shares, row, "supervised", unit=" %")]
    printed = ["timebalance_ucf101", "timebalance_hmdb51", "timebalance_kinetics"]
    return Question(cells, claims, "labelled videos (%)", printed, shown=HEADLINE)


@graph.table("34_timebalance_tables")
def timebalance_ablation():
    """Whom the student listens to: each teacher, their average, their blend; MSE or KL."""
    columns = {"invariant": "invariant", "distinctive": "distinctive", "average": "average",
               "s": "timebalance", "s, ranked": "ranked", "s, min-max": "minmax", "s, KL": "kl",
               "average, KL": "average_kl"}  # fmt: skip
    wanted = graph.settings(
        "timebalance_ablation", seeds=[0, 1, 2], other_clips={"4": 2}, columns=[*columns]
    )
    columns = {column: columns[one_of("columns", column, [*columns])] for column in wanted["columns"]}
    seeds = [wanted["seeds"], seeds_of("TimeBalance", wanted["seeds"])]
    cells = [
        Cell("student", column, [student(seed, PERCENT, variant) for seed in seeds[column == "s"]])
        for column, variant in columns.items()
    ]
    others = {f"s of {clips} clips": (int(clips), stride)
              for clips, stride in wanted["other_clips"].items()}  # fmt: skip
    cells += [
        Cell("student", column, [student(seed, PERCENT, clips=clips, stride=stride)
                                 for seed in wanted["seeds"]])
        for column, (clips, stride) in others.items()
    ]  # fmt: skip
    expected = {"invariant": 1, "distinctive": 1, "average": 1}
    claims = [
        compare(("student", "s"), ("student", c), expected.get(c, 0), name=f"s - {c}")
        for c in [cell.column for cell in cells if cell.column != "s"]
    ]
    blended, plain = ("student", "s, KL"), ("student", "average, KL")
    claims.append(compare(blended, plain, name="s, KL - average, KL"))
    cells += [cell for column in [*columns, *others] for cell in beside(column, PERCENT)]
    return Question(cells, claims, "target of the student")


@graph.table("34_timebalance_tables")
def timebalance_classwise():
    """Which classes each teacher is better at, and whether s tells them apart."""
    seeds = graph.settings("timebalance_classwise", seeds=[0, 1, 2, 3, 4])["seeds"]
    shares = main_settings()["percents"]
    cells = [
        at_share(row, share, seeds) for share in shares for row in ("invariant", "distinctive")
    ]
    cells += [cell for share in shares for cell in beside(share)]
    probed = f"{100 * graph.parameter('33_timebalance_weights', 'probe_fraction'):g}"
    cells += frozen(probed, PERCENT, seeds, groups=GROUPS) + told_apart(PERCENT, seeds)
    return Question(cells, hypotheses(probed, " %"), "labelled videos (%)")


@graph.table("34_timebalance_tables")
def timebalance_length():
    """Whether teachers that were pretrained longer give other answers."""
    wanted = graph.settings("timebalance_length", seeds=[0, 1, 2], longer=3)
    looked = graph.settings("timebalance_classwise", seeds=[0, 1, 2, 3, 4])["seeds"]
    rows, cells, claims = ("invariant", "distinctive", "average", "TimeBalance"), [], []
    columns = {"1": 1, f"{wanted['longer']}": wanted["longer"]}
    for column, longer in columns.items():
        own = wanted["seeds"]
        every = sorted({*own, *looked}) if longer == 1 else own
        for row in rows:
            seeds = seeds_of(row, own) if longer == 1 else own
            cells.append(at_share(row, PERCENT, seeds, column, longer))
        cells += frozen(column, PERCENT, every, longer, ("all", *GROUPS))
        cells += [*told_apart(column, every, longer), *beside(column, PERCENT)]
        claims += [compare(("TimeBalance", column), (r, column), unit="x") for r in rows[:-1]]
    first, last = columns
    for row in rows:
        claims.append(compare((row, last), (row, first), 0, unit="x"))
    for row in ("invariant, frozen", "distinctive, frozen"):
        claims.append(compare((row, last), (row, first), 0, unit="x", metric="accuracy"))
    claims += [claim for column in columns for claim in hypotheses(column, "x")]
    shown = (*HEADLINE, "invariant, frozen", "distinctive, frozen")
    note = f"{PERCENT} % labels; frozen: linear, all"
    return Question(cells, claims, "relative length of both pretrainings", shown=shown, note=note)


@graph.table("34_timebalance_tables")
def timebalance_networks():
    """Whether TimeBalance gains as much with another network, such as the page's 3D-ResNet50."""
    wanted = network_settings()
    pairs = list(itertools.product(wanted["networks"], wanted["percents"]))
    kinds = {"supervised": baseline, "TimeBalance": student}
    cells = [
        Cell(
            f"{row}, {network}",
            share,
            [run(seed, share, STUDENTS[row], network=network) for seed in wanted["seeds"]],
        )
        for row, run in kinds.items()
        for network, share in pairs
    ]
    shares, seeds = wanted["percents"], wanted["seeds"]
    cells += [at_share(row, share, seeds) for row in kinds for share in shares]
    claims = [
        compare((f"TimeBalance{of}", share), (f"supervised{of}", share), unit=" %")
        for of in ("", *(f", {network}" for network in wanted["networks"]))
        for share in wanted["percents"]
    ]
    printed = ["timebalance_ucf101", "timebalance_hmdb51", "timebalance_kinetics"]
    return Question(cells, claims, "labelled videos (%)", printed)
