"""Whether TimeBalance's two teachers know different things, and if not, why: candidates, each tried
on data seed 0 with one seed, and listed whatever came out. For looking, not for reporting.
"""

from vidssl.core import one_of
from vidssl.runs.cells import Cell, Claim, Question, compare

KINDS = ("invariant", "distinctive")
USUAL = "as it is"
WEAK = {"scale": [0.7, 1.0], "flip": 0.5, "color": [], "grey": 0.0, "erase": 0.0}
PLACES = {"scale": [0.35, 0.7], "flip": 0.5, "color": [0.3, 0.3, 0.3, 0.15], "grey": 0.175, "erase": 0.3}
# name -> what pretraining changes; "start" is one of `STARTS`, "longer" so many times the steps
CANDIDATES = {
    USUAL: {},
    "no places": {"view_augmentation": PLACES},
    "twice as long": {"longer": 2},
    "half the stretch": {"global_stride": 4},
    "weak augmentation": {"view_augmentation": WEAK},
    "from scratch": {"start": "scratch"},
    "from pace": {"start": "pace"},
}


def settings():
    """``candidates``: names of those that are tried. ``groups``: of the classes, where there are
    some."""
    embedded = graph.parameter(timebalance.STUDENT_PAGE, "dataset") == "embedded"
    groups = list(timebalance.GROUPS) if embedded else []
    tried = list(CANDIDATES)
    return graph.settings(
        "timebalance_premise", seeds=[0], data_seed=0, candidates=tried, groups=groups
    )


def named(kind, candidate, seed):
    return f"premise_{kind}-{candidate.replace(' ', '_')}-s{seed}"


def own():
    return {"data_seed": settings()["data_seed"]}


def mosi_start(seed):
    backbone = one_protocol.backbone()
    name = f"premise_mosi-s{seed}"
    return [graph.run("11_mosi_pretrain", name, seed=seed, backbone=backbone, **own())]


def pace_start(seed):
    parameters = dict(rotation.as_student("50_pace_pretrain"))
    del parameters["frame_stride"]
    return [graph.run("50_pace_pretrain", f"premise_pace-s{seed}", seed=seed, **parameters, **own())]


STARTS = {"mosi": mosi_start, "pace": pace_start, "scratch": lambda seed: []}


def teacher(kind, candidate, seed):
    changed = dict(CANDIDATES[one_of("candidate", candidate, list(CANDIDATES))])
    usual = "mosi" if timebalance.START else "scratch"
    start = one_of("start", changed.pop("start", usual), list(STARTS))
    longer, first = changed.pop("longer", 1), STARTS[start](seed)
    return graph.run(
        timebalance.TEACHERS_PAGE,
        named(kind, candidate, seed),
        after=first,
        objective=kind,
        fractions=[float(timebalance.PERCENT) / 100],
        seed=seed,
        **graph.start_from(first),
        **(timebalance.pretrained_for(longer) if longer > 1 else {}),
        **own(),
        **changed,
    )


def judged(candidate, seed):
    """s of both teachers, and what they and their blends do on the test videos."""
    pair = {kind: teacher(kind, candidate, seed) for kind in KINDS}
    folders = {kind: graph.path(job.file("")) for kind, job in pair.items()}
    about = {"fraction": float(timebalance.PERCENT) / 100, "seed": seed, **own(), **folders}
    scores = graph.run(
        "31_timebalance_similarity",
        named("similarity", candidate, seed),
        after=[*pair.values()],
        **about,
    )
    weights = graph.run(
        "33_timebalance_weights",
        named("weights", candidate, seed),
        after=[*pair.values(), scores],
        similarities=graph.path(scores.file("similarities.npz")),
        **about,
    )
    return scores, weights


def cells_of(candidate):
    seeds, groups = settings()["seeds"], settings()["groups"]
    both = [judged(candidate, seed) for seed in seeds]
    scores, runs = [[*each] for each in zip(*both)]
    only = {"accuracy": "accuracy"}
    rows = {f"{kind}, frozen, {g}": f"frozen_{kind}_{g}_" for g in ("all", *groups) for kind in KINDS}
    rows |= {f"only {kind}, {g}": f"only_{kind}_{g}_" for g in groups for kind in KINDS}
    rows |= {f"{name}, {g}": f"{name}_{g}_" for g in groups for name in ("average", "s")}
    rows |= {"average": "average_", "s": "s_", "1 - s": "1 - s, ranked_", "oracle": "oracle_"}
    rows |= {kind: f"{kind}_" for kind in KINDS}
    found = [Cell(row, candidate, runs, prefix, only) for row, prefix in rows.items()]
    auc = {"auc_score": "auc_score"}
    return [*found, Cell("s, told apart", candidate, scores, "both_teachers_", auc)]


def claims_of(candidate):
    """Of frozen features in each group, of what only one knows, and of s against one half."""
    claims = []
    for group in settings()["groups"]:
        expected = timebalance.GROUPS.get(group, 0)
        for form in ("{}, frozen, {}", "only {}, {}"):
            first, second = [[(form.format(kind, group), candidate)] for kind in KINDS[::-1]]
            name = form.format("f_D - f_I", group)
            about = {"metric": "accuracy", "column": candidate}
            claims.append(Claim(name, first, second, expected, **about))
    halves = ("s", candidate), ("average", candidate)
    return [*claims, compare(*halves, metric="accuracy", name=f"s - one half, {candidate}")]


@graph.table("34_timebalance_tables")
def timebalance_premise():
    """Do the teachers know different kinds of classes, does s beat one half, and if not, why:
    places instead of order, length, augmentation, start. Data seed 0, one seed: for looking."""
    candidates = settings()["candidates"]
    cells = [cell for candidate in candidates for cell in cells_of(candidate)]
    claims = [claim for candidate in candidates for claim in claims_of(candidate)]
    measured = "linear classifiers on frozen features (%)"
    return Question(cells, claims, "what pretraining changes", measured=measured)
