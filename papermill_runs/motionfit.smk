"""Every table and figure of MotionFit. Motion models, pseudo-labels, students, transfers, tables.

A run's name says what differs from the notebooks' own parameters, so that tables share what they
have in common.
"""

from dataclasses import replace

from vidssl.core import one_of
from vidssl.runs.cells import YARDSTICKS, Cell, Claim, Question, yardsticks
from vidssl.runs.graph import published

TAGS = {
    "backbone": "",
    "begun": "",
    "clips": "r",
    "frames": "f",
    "label_fraction": "share",
    "level": "",
    "multi_clip_weight": "l",
    "neighbours": "neighbours",
    "num_clusters": "k",
    "source": "",
    "steps": "t",
    "target": "",
    "videos_per_class": "n",
}
SETTINGS = graph.settings(
    "motionfit",
    start="",  # what RGB students and MARS begin with, a variant of MoSI's pretraining; "": nothing
    sources={},  # name -> parameters of the pages 22 and 23: other videos to be pseudo-labelled
    targets={},  # name -> parameters of 03 and 24: other data sets to be judged on
    own_source="",  # the source that the motion model's own data set is, for MARS
    splits=False,  # seed s is split s + 1 of data sets that have official ones
)
BEGIN = SETTINGS["start"]
SOURCES, TARGETS = {"": {}, **SETTINGS["sources"]}, {"": {}, **SETTINGS["targets"]}
HAS_SPLITS = ("ucf101", "hmdb51")
LEVELS = ("clip", "thirds", "boundaries", "video")  # of vidssl.methods.motionfit, which waits for torch
STREAMS = {"flow": "motion", "rgb": "appearance"}
TARGET_PAGE, TABLE_PAGE = "24_motionfit_retrieval", "25_motionfit_tables"
FROZEN = ["stem", "conv2", "conv3"]  # of networks that do not begin from scratch
# settings that networks are fine-tuned with on the target: those that MARS has on its page
AS_MARS = ["backbone", "frames", "frame_stride", "augmentation", "clips_per_video", "steps", "epochs"]
AS_MARS += ["batch_size", "optimizer", "schedule", "milestones", "lr", "warmup", "weight_decay"]
AS_MARS += ["videos_per_class", "label_fraction"]


def run_name(kind, seed, *settings):
    changed = {key: value for part in settings for key, value in part.items() if key in TAGS}
    words = [TAGS[k] + ("" if v is True else str(v)) for k, v in changed.items() if v != ""]
    return "-".join([f"motionfit_{kind}", *words, f"s{seed}"])


def on_split(seed, has_splits=True):
    """The official split of a seed, where seeds are splits."""
    return {"dataset_options.split": seed + 1} if SETTINGS["splits"] and has_splits else {}


def source_of(seed, source, with_flow):
    """The parameters of 22 or 23 that say which videos are pseudo-labelled."""
    chosen = SOURCES[one_of("source", source, list(SOURCES))]
    chosen = chosen | on_split(seed, chosen.get("dataset") in HAS_SPLITS)
    return {key: value for key, value in chosen.items() if with_flow or key != "flow"}


def target_of(seed, target):
    """The parameters of 03 or 24 that say which videos a network is judged on."""
    return TARGETS[one_of("target", target, list(TARGETS))] | on_split(seed)


# --- the four steps ------------------------------------------------------------------------------


def motion_model(seed, modality="flow", first=None, **changed):
    """Step 1; `first`: a job whose network it starts from (clip order)."""
    weights = {"pretrained": graph.path(first.file("motion_model.pt"))} if first else {}
    kind = f"{STREAMS[modality]}_model" + ("_after_order" if first else "")
    return graph.run(
        "21_motionfit_motion_model",
        run_name(kind, seed, changed),
        after=[first] if first else [],
        modality=modality,
        seed=seed,
        **weights,
        **on_split(seed),
        **changed,
    )


def clip_order(seed, modality="flow"):
    """Eq. 2 alone, on all training videos without their labels."""
    return motion_model(seed, modality, multi_clip_weight=0.0, videos_per_class=0)


def labels(seed, modality="flow", model={}, source="", **changed):
    """Step 2; features are extracted once for each motion model and source, by the run without
    changes."""
    one_of("level", changed.get("level", "clip"), LEVELS)
    if changed:
        first = labels(seed, modality, model, source)
        given = {"features": graph.path(first.file("features.npz"))}
    else:
        first = motion_model(seed, modality, **model)
        given = {"motion_model": graph.path(first.file("motion_model.pt"))}
    network = {k: v for k, v in model.items() if k == "backbone"}
    return graph.run(
        "22_motionfit_pseudo_labels",
        run_name(f"labels_{STREAMS[modality]}", seed, model, {"source": source}, changed),
        after=[first],
        modality=modality,
        seed=seed,
        **source_of(seed, source, with_flow=True),
        **given,
        **network,
        **changed,
    )


def first_weights(seed, network={}):
    """The job behind `BEGIN`; of another backbone, the same pretraining of that one, if any."""
    variant = mosi.networks().get(network["backbone"]) if "backbone" in network else BEGIN
    return [mosi_pretrain(seed, variant)] if BEGIN and variant else []


def mosi_pretrain(seed, variant="xy"):
    """MoSI's, on the seed's split: videos that are tested are not looked at before."""
    return mosi.pretrain(seed, variant, split=seed + 1 if SETTINGS["splits"] else 0)


def student(
    seed,
    modality="flow",
    target="pseudo_labels",
    model={},
    made={},
    source="",
    start=None,
    begun="",
    **learned,
):
    """Step 3, on pseudo-labels or on features (MERS); `made`: settings of the pseudo-labels,
    `learned`: of the student. `start`: as `first_weights` gives it, `begun`: its name, where it is
    not that one."""
    taught = labels(seed, modality, model, source, **made)
    start = first_weights(seed, learned) if start is None else start
    kind = "mers" if target == "features" else f"student_{STREAMS[modality]}"
    return graph.run(
        "23_motionfit_self_training",
        run_name(kind, seed, model, {"source": source}, made, learned, {"begun": begun}),
        after=[taught, *start],
        target=target,
        seed=seed,
        **source_of(seed, source, with_flow=False),
        **graph.start_from(start),
        **{target: graph.path(taught.file(f"{target}.npz"))},
        **learned,
    )


def transfer(seed, name, taught=None, made={}, target="", frozen=FROZEN, **changed):
    """Step 4 of one start; `taught`: the job that made its weights, `made`: for the name, `frozen`:
    the stages that stay as `taught` left them, [] for a network that is tuned whole."""
    kind = f"transfer_{name}" + ("" if frozen or not taught else "_whole")
    as_mars = {key: graph.parameter(TARGET_PAGE, key) for key in AS_MARS}
    return graph.run(
        "03_transfer",
        run_name(kind, seed, made, {"target": target}, changed),
        after=[taught] if taught else [],
        starts={name: weights_of(name, taught)},
        frozen_stages=frozen if taught else [],
        baselines=name == "scratch",
        seed=seed,
        **(as_mars | target_of(seed, target) | changed),
    )


def weights_of(name, taught):
    """The weights that a job has left for the start ``name``; none: from scratch."""
    file = "motion_model.pt" if name == "clip_order" else "backbone.pt"
    return graph.path(taught.file(file)) if taught else ""


# --- what is asked of the target beside fine-tuning ----------------------------------------------


def target_page(kind, seed, after, target="", network={}, **asked):
    """One question of the page that asks what a student knows and what flow would add."""
    usual = {"starts": {}, "mars": False, "baselines": False, "seed": seed}
    name = run_name(kind, seed, {"target": target}, network)
    parameters = usual | target_of(seed, target) | network | asked
    return graph.run(TARGET_PAGE, name, after=after, **parameters)


def retrieval(seed, name, taught=None, target="", network={}):
    """Whether weights find the class of a video; scratch brings the pictures themselves."""
    return target_page(
        f"retrieval_{name}",
        seed,
        [taught] if taught else [],
        target,
        network,
        starts={name: weights_of(name, taught)},
        baselines=name == "scratch",
        **published(seed, usual=name == "motionfit" and not target and not network),
    )


def together(seed, frozen=FROZEN):
    """The student and the motion model on the same test videos; ``frozen``: as `transfer` has it."""
    both = {
        "rgb_predictions": main_student(seed, frozen=frozen),
        "motion_predictions": motion_model(seed),
    }
    files = {key: graph.path(job.file("predictions.npz")) for key, job in both.items()}
    kind = "together" if frozen else "together_whole"
    return target_page(kind, seed, list(both.values()), **files)


def whole(seed, source="", target="", learned={}, **made):
    """The whole pipeline; `made`: settings of the pseudo-labels, `learned`: of the student."""
    taught = student(seed, made=made, source=source, **learned)
    return transfer(seed, "motionfit", taught, {"source": source, **made, **learned}, target)


def mars(seed, target=""):
    """MARS; its teacher's features are those of the target's own videos."""
    start, features = first_weights(seed), labels(seed, source=target or SETTINGS["own_source"])
    given = {"teacher_features": graph.path(features.file("features.npz"))}
    given |= {"mars_start": graph.path(job.file("backbone.pt")) for job in start}
    return target_page("transfer_mars", seed, [features, *start], target, mars=True, **given)


def looks(seed, target="", **made):
    """The twin of `whole` whose pseudo-labels are clusters of an appearance model."""
    return transfer(seed, "appearance", student(seed, "rgb", made=made), made, target)


def supervised(seed, target=""):
    """A network that learned the labels of the source."""
    learned = graph.run("02_supervised_baseline", run_name("supervised", seed), seed=seed)
    return transfer(seed, "supervised", learned, target=target)


TAUGHT = {  # start: the job that makes its weights
    "scratch": lambda seed: None,
    "mosi": lambda seed: mosi_pretrain(seed),
    "clip_order": lambda seed: clip_order(seed, "rgb"),
    "appearance": lambda seed: student(seed, "rgb"),
    "mers": lambda seed: student(seed, target="features"),
    "motionfit": lambda seed: student(seed),
}


def tuned_from(name):
    """What fine-tunes a start of `TAUGHT`."""
    return lambda seed, **changed: transfer(seed, name, TAUGHT[name](seed), **changed)


scratch = tuned_from("scratch")
main_student = tuned_from("motionfit")  # fine-tuned otherwise, where `whole` would teach it anew


# --- tables --------------------------------------------------------------------------------------

RIVALS = ["appearance", "mers", "mars"]
ROWS = {"scratch": "scratch", "mosi": "MoSI", "clip_order": "clip order", "mars": "MARS",
        "appearance": "appearance", "mers": "MERS", "motionfit": "MotionFit"}  # fmt: skip


# other: the network of one more student; other_student: what it alone is trained with
COMPARISON = {"seeds": [0, 1, 2], "other": {"backbone": "s3dg"}, "other_student": {}}


def on_each_target(ask):
    """Decorate a table: it is asked of the own target, and under its name of each other one."""

    def make(target):
        def question():
            return ask(target)

        question.__name__ = f"{ask.__name__}_{target}" if target else ask.__name__
        question.__doc__ = f"{ask.__doc__} On {target}." if target else ask.__doc__
        return graph.table(TABLE_PAGE)(question)

    return [make(target) for target in TARGETS][0]


def main_seeds(*seeds):
    """Of runs that the main table has, too: its seeds and one's own; where seeds are splits, one's
    own alone."""
    if SETTINGS["splits"]:
        return sorted({seed for each in seeds for seed in each})
    return sorted({*headline()["seeds"], *(seed for each in seeds for seed in each)})


def headline():
    """`long_steps`: of longer trainings, from scratch and with all labels; 0: none. `tuned_whole`:
    whether students and MoSI are fine-tuned without frozen stages, too. `supervised`: whether a
    network that learned the source's labels is."""
    return graph.settings(
        "motionfit_transfer",
        seeds=[0, 1, 2, 3, 4],
        all_labels=[0, 1, 2],
        long_steps=0,
        rivals=RIVALS,
        tuned_whole=False,
        supervised=False,
    )


def tuned(name, column, seeds, make=None, row="", **changed):
    """A cell of fine-tuned networks; ``make`` and ``row``: where they are not the start's usual."""
    usual = {"mars": mars, "motionfit": whole, "appearance": looks}.get(name) or tuned_from(name)
    runs = [(make or usual)(seed, **changed) for seed in seeds]
    return Cell(row or ROWS[name], column, runs, f"{name}_")


def models(column, seeds, modality="flow", row="", **changed):
    """A cell of motion models, or of their appearance twins."""
    runs = [motion_model(seed, modality, **changed) for seed in seeds]
    return Cell(row or STREAMS[modality], column, runs)


def fitted(columns, seeds=(), target=""):
    """The yardsticks on the labels that the main runs have, in each column."""
    runs = [scratch(seed, target=target) for seed in main_seeds(seeds or headline()["seeds"])]
    return [cell for column in columns for cell in yardsticks(column, runs)]


def claim(name, row, other, column, other_column=None, expected=1):
    other_column = column if other_column is None else other_column
    return Claim(name, [(row, column)], [(other, other_column)], expected)


def measured(groups):
    """What is read of a network's record where classes have groups."""
    return {name: name for name in ("top1_accuracy", "train_accuracy", *groups)}


def in_groups(groups, lengths, others, column):
    """The student against other rows, by what tells a class; flow knows no looks, so that nothing
    is expected of it there."""
    return [
        Claim(
            f"it beats {other}{length}, {title}",
            [(f"MotionFit{length}", column)],
            [(f"{other}{length}", column)],
            int(metric != "appearance_accuracy"),
            metric,
        )
        for length in lengths
        for metric, title in groups.items()
        for other in others
    ]


@graph.target
def motionfit_flow():
    """Optical flow by each method beside the true one."""
    return graph.run("20_motionfit_flow", "motionfit_flow")


@graph.target
def motionfit_clusters_seen():
    """The method as a drawing; clusters as film strips and as a map, beside appearance features."""
    motion, appearance = labels(0), labels(0, "rgb")
    return graph.run(
        "22_motionfit_pseudo_labels",
        "motionfit_clusters_seen",
        after=[motion, appearance],
        publish=True,
        features=graph.path(motion.file("features.npz")),
        compare=graph.path(appearance.file("features.npz")),
    )


@on_each_target
def motionfit_transfer(target):
    """MotionFit against scratch, appearance pseudo-labels, MERS, MARS and all labels (table 5)."""
    wanted, at, on = headline(), "top-1", {"target": target}
    seeds, with_flow = wanted["seeds"], "MotionFit with flow"
    rivals = [one_of("rivals", name, RIVALS) for name in wanted["rivals"]]
    compared = ["motionfit", "scratch", *rivals, *(["mosi"] if BEGIN else [])]
    cells = [tuned(name, at, seeds, **on) for name in compared]
    groups = {} if target else mosi.by_group()
    if not target:  # the motion model's own
        both = [together(seed) for seed in seeds]
        both = Cell(with_flow, at, both, "motionfit_two_stream_", formerly=cells[0].runs)
        cells += [both, models(at, seeds, row="motion model")]
    if wanted["supervised"]:
        runs = [supervised(seed, target) for seed in seeds]
        cells.append(Cell("supervised on the source", at, runs, "supervised_"))
    longer = {"steps": wanted["long_steps"]} if wanted["long_steps"] else {}
    start, every = "mosi" if BEGIN else "scratch", wanted["all_labels"]
    cells.append(tuned(start, at, every, row="all labels", videos_per_class=0, **on, **longer))
    if longer:  # few steps may not leave the plateau, nor fit the training videos
        for name in ("scratch", "motionfit", *(["mosi"] if BEGIN else [])):
            make, row = tuned_from(name), f"{ROWS[name]}, longer"
            cells.append(tuned(name, at, seeds, make, row, **on, **longer))
    claims = [
        claim("the student beats scratch", "MotionFit", "scratch", at),
        claim("trained longer, too", "MotionFit, longer", "scratch, longer", at),
        claim("and in fewer steps", "MotionFit", "scratch, longer", at),
        claim("motion pseudo-labels beat appearance ones", "MotionFit", "appearance", at),
        claim("it beats MoSI, which it may begin as", "MotionFit", "MoSI", at),
        claim("trained longer it beats MoSI so trained", "MotionFit, longer", "MoSI, longer", at),
        claim("it beats MERS", "MotionFit", "MERS", at),
        claim("it beats MARS", "MotionFit", "MARS", at),
        claim("flow at test time adds", with_flow, "MotionFit", at),
    ]
    claims += in_groups(groups, ["", ", longer"] if longer else [""], ["scratch", "MoSI"], at)
    claims += in_groups(groups, [""], ["appearance"], at)
    if wanted["tuned_whole"]:
        row, flow = "MotionFit, tuned whole", f"{with_flow}, tuned whole"
        for name in ("motionfit", *(["mosi"] if BEGIN else [])):
            make, named = tuned_from(name), f"{ROWS[name]}, tuned whole"
            cells.append(tuned(name, at, seeds, make, named, frozen=[], **on))
        both = [together(seed, frozen=[]) for seed in seeds]
        cells.append(Cell(flow, at, both, "motionfit_two_stream_"))
        claims += [
            claim("with flow it beats scratch", with_flow, "scratch", at),
            claim("tuned whole it beats scratch", row, "scratch", at),
            claim("tuned whole, with flow, it beats scratch", flow, "scratch", at),
            claim("tuned whole it beats MoSI so tuned", row, "MoSI, tuned whole", at),
            claim("tuned whole, flow adds", flow, row, at),
        ]
    cells = [replace(c, metrics=measured(groups)) if with_flow not in c.row else c for c in cells]
    cells += fitted([at], target=target)
    return Question(cells, claims, "", ["motionfit_transfer"], draw="methods")


@graph.table(TABLE_PAGE)
def motionfit_multiclip():
    """Motion against appearance with few labels, by the number of clips (table 1)."""
    wanted = graph.settings(
        "motionfit_multiclip", seeds=[0, 1, 2, 3, 4], clips=[1, 3], long_seeds=[0, 1, 2], long=[24]
    )
    usual = graph.parameter("21_motionfit_motion_model", "clips")
    few, many = (f"R = {wanted['clips'][i]}" for i in (0, -1))
    long, cells = {f: f"{f} frames" for f in wanted["long"]}, []
    for m in STREAMS:
        for r in wanted["clips"]:
            changed = {"clips": r} if r != usual else {}
            cells.append(models(f"R = {r}", wanted["seeds"], m, **changed))
        for f, column in long.items():
            cells.append(models(column, wanted["long_seeds"], m, clips=1, frames=f))
    claims = [
        claim("motion beats appearance", "motion", "appearance", few),
    ]
    if many != few:
        claims += [
            claim("so it does with several clips", "motion", "appearance", many),
            claim("several clips help motion", "motion", "motion", many, few),
            claim("and hardly appearance", "appearance", "appearance", many, few, expected=0),
        ]
    claims += [
        claim(f"more than {column} do", "motion", "motion", many, column)
        for column in long.values()
    ]
    cells += fitted([*(f"R = {r}" for r in wanted["clips"]), *long.values()], wanted["seeds"])
    setting = "clips of a video in training, or length of the clip"
    return Question(cells, claims, setting, ["motionfit_multiclip"])


@graph.table(TABLE_PAGE)
def motionfit_granularity():
    """Pseudo-labels of clips, thirds, segments and videos (table 2)."""
    levels = ["thirds", "boundaries", "video"]  # beside the main setting, clip
    wanted = graph.settings("motionfit_granularity", seeds=[0, 1, 2], levels=levels, source="")
    source = wanted["source"]
    seeds = wanted["seeds"] if source else main_seeds(wanted["seeds"])
    cells = [tuned("motionfit", "clip", seeds, source=source)]
    cells += [
        tuned("motionfit", l, wanted["seeds"], source=source, level=l) for l in wanted["levels"]
    ]
    claims = [
        claim(f"clips beat {l}", "MotionFit", "MotionFit", "clip", l) for l in wanted["levels"]
    ]
    cells += fitted(["clip", *wanted["levels"]], wanted["seeds"])
    setting = "where a pseudo-label holds"
    return Question(cells, claims, setting, ["motionfit_granularity"])


@graph.table(TABLE_PAGE)
def motionfit_clusters():
    """The number of clusters, by the source of the pseudo-labels (table 3 and section 4.4)."""
    wanted = graph.settings(
        "motionfit_clusters",
        seeds=[0, 1, 2],
        num_clusters=[16, 32, 128],  # beside the main setting
        sources={},  # row -> a source, beside the main one
        without="",  # a source that lacks the classes of the target
        appearance=[],  # numbers of clusters of appearance pseudo-labels
    )
    main, seeds = graph.parameter("22_motionfit_pseudo_labels", "num_clusters"), wanted["seeds"]
    numbers = sorted([main, *wanted["num_clusters"]])
    cells, claims = [tuned("motionfit", main, main_seeds(seeds))], []
    for k in wanted["num_clusters"]:
        cells.append(tuned("motionfit", k, seeds, num_clusters=k))
        claims.append(claim(f"{main} clusters beat {k}", "MotionFit", "MotionFit", main, k))
    for row, source in wanted["sources"].items():
        for k in numbers:
            made = {"num_clusters": k} if k != main else {}
            cells.append(tuned("motionfit", k, seeds, row=row, source=source, **made))
        claims.append(claim(f"{row} is worse", "MotionFit", row, main))
    if wanted["without"]:
        row = "without common classes"
        cells.append(tuned("motionfit", main, seeds, row=row, source=wanted["without"]))
        claims.append(claim("common classes do not matter", "MotionFit", row, main, expected=0))
    for k in wanted["appearance"]:
        made = {"num_clusters": k} if k != main else {}
        cells.append(tuned("appearance", k, seeds, **made))
        claims.append(claim(f"motion clusters beat appearance at {k}", "MotionFit", "appearance", k))
    cells += fitted(numbers, seeds)
    printed = ["motionfit_clusters", "motionfit_self_training", "motionfit_common_classes"]
    return Question(cells, claims, "number of clusters", printed)


@graph.table(TABLE_PAGE)
def motionfit_lambda():
    """The multi-clip loss against clip order (section 4.3)."""
    wanted = graph.settings("motionfit_lambda", seeds=[0, 1, 2], between=[0.5])
    seeds, cells = main_seeds(wanted["seeds"]), []
    for m, row in STREAMS.items():
        after_order = [motion_model(s, m, first=clip_order(s, m)) for s in wanted["seeds"]]
        cells += [Cell(row, 0.0, after_order), models(1.0, seeds, m)]
    cells += [models(w, wanted["seeds"], multi_clip_weight=w) for w in wanted["between"]]
    claims = [
        claim("clip order does not help motion", "motion", "motion", 1.0, w)
        for w in wanted["between"]
    ]
    claims.append(claim("alone it is worse", "motion", "motion", 1.0, 0.0))
    claims.append(claim("but it helps appearance", "appearance", "appearance", 0.0, 1.0))
    cells += fitted([0.0, *wanted["between"], 1.0], wanted["seeds"])
    setting = "weight of the classes against clip order"
    return Question(cells, claims, setting, ["motionfit_lambda", "motionfit_lambda_one"])


@graph.table(TABLE_PAGE)
def motionfit_order():
    """Clip order while the student learns: lambda of Eq. 3, and heads for the clips before and after
    (section 4.4)."""
    wanted = graph.settings(
        "motionfit_order", seeds=[0, 1, 2], between=[0.5], levels=["clip"], source=""
    )
    seeds, source, heads = wanted["seeds"], wanted["source"], "neighbours too"
    usual, cells, claims = graph.parameter("22_motionfit_pseudo_labels", "level"), [], []
    for level in wanted["levels"]:
        made = {"level": level} if level != usual else {}
        row = f"MotionFit, {level}" if made else "MotionFit"
        main = seeds if made or source else main_seeds(seeds)
        about = {"row": row, "source": source, **made}
        cells.append(tuned("motionfit", "1.0", main, **about))
        variants = {str(w): {"multi_clip_weight": w} for w in wanted["between"]}
        variants |= {heads: {"neighbours": True}} if not made else {}
        for column, learned in variants.items():
            cells.append(tuned("motionfit", column, seeds, learned=learned, **about))
            gain, expected = f"{row}: lambda {column} gains", 0
            if column == heads:
                gain, expected = "naming the clips before and after gains", 1
            claims.append(claim(gain, row, row, column, "1.0", expected))
    columns = [*map(str, wanted["between"]), "1.0", heads]
    cells += fitted(columns, seeds)
    return Question(cells, claims, "lambda while self-training", ["motionfit_heads"])


@on_each_target
def motionfit_cliplength(target):
    """Longer clips in fine-tuning (table 4)."""
    wanted = graph.settings("motionfit_cliplength", seeds=[0, 1, 2], frames=16)
    seeds, usual = main_seeds(wanted["seeds"]), graph.parameter(TARGET_PAGE, "frames")
    long, on = wanted["frames"], {"target": target}
    cells = [tuned(name, usual, seeds, **on) for name in ("motionfit", "scratch")]
    cells.append(tuned("motionfit", long, wanted["seeds"], main_student, frames=long, **on))
    cells.append(tuned("scratch", long, wanted["seeds"], frames=long, **on))
    claims = [claim("longer clips help", "MotionFit", "MotionFit", long, usual)]
    cells += fitted([usual, long], wanted["seeds"], target)
    name = "motionfit_cliplength"
    printed = [name, f"{name}_deviation", f"{name}_scratch"]
    return Question(cells, claims, "frames of a clip", printed)


@on_each_target
def motionfit_retrieval(target):
    """Retrieval of clips and of videos without fine-tuning (table 7)."""
    # other: whether the other student of the comparison is asked, too
    wanted = graph.settings("motionfit_retrieval", seeds=[0, 1, 2], other=False)
    seeds, cells, found, mine = main_seeds(wanted["seeds"]), [], {}, ROWS["motionfit"]
    order = graph.settings("motionfit_comparison", **COMPARISON)["seeds"]
    compared = ["appearance", "mers", "motionfit", "scratch", *(["mosi"] if BEGIN else [])]
    for name in [*compared, "clip_order"]:
        its = order if name == "clip_order" and not SETTINGS["splits"] else seeds
        runs = [retrieval(seed, name, TAUGHT[name](seed), target) for seed in its]
        before = [] if target else [f"motionfit_transfer_{name}-s{seed}" for seed in its]
        found[ROWS[name]] = runs, before, f"{name}_"
    for row, prefix in YARDSTICKS.items():
        found[row] = *found["scratch"][:2], prefix
    claims = [
        nearer("motion beats appearance", "appearance", "clip"),
        nearer("the student beats static frame", "static frame", "clip"),
        *(nearer(f"the student beats {row}, videos", row, "video") for row in found if row != mine),
    ]
    if wanted["other"]:
        row, built, learned = other_network()
        runs = [
            retrieval(s, "motionfit", student(s, **built, **learned), target, built)
            for s in wanted["seeds"]
        ]
        found[row] = runs, [], "motionfit_"
    for k in graph.parameter(TARGET_PAGE, "recall_at"):
        for row, (runs, before, prefix) in found.items():
            for kind in ("clip", "video"):
                recall = {"recall": f"{kind}_recall_at_{k}"}
                cells.append(Cell(f"{row} ({kind})", k, runs, prefix, recall, before))
    printed = ["motionfit_retrieval", "motionfit_retrieval_hmdb51"]
    look = {"panels": {"clip": "clip to clip", "video": "video to video"}, "measured": "recall (%)"}
    return Question(cells, claims, "neighbours looked at", printed, **look)


def nearer(name, other, kind):
    """That MotionFit's nearest clip or video is of the query's class more often than another row's."""
    mine, its = ([(f"{row} ({kind})", 1)] for row in (ROWS["motionfit"], other))
    return Claim(name, mine, its, metric="recall")


@on_each_target
def motionfit_comparison(target):
    """Against clip order and MoSI, and with another backbone (table 6)."""
    wanted, at, on = graph.settings("motionfit_comparison", **COMPARISON), "top-1", {"target": target}
    length = graph.settings("motionfit_cliplength", seeds=[0, 1, 2], frames=16)
    seeds, long = main_seeds(wanted["seeds"]), length["frames"]
    cells = [tuned(name, at, seeds, **on) for name in ("motionfit", "scratch", "mosi")]
    cells.append(tuned("clip_order", at, wanted["seeds"], **on))
    cells.append(tuned("motionfit", at, wanted["seeds"], other, other_network()[0], **on))
    for name, make in {"motionfit": main_student, "scratch": scratch}.items():
        row = f"{ROWS[name]} ({long} frames)"
        cells.append(tuned(name, at, length["seeds"], make, row, frames=long, **on))
    claims = [
        claim("it beats clip order", "MotionFit", "clip order", at),
        claim("it beats MoSI", "MotionFit", "MoSI", at),
    ]
    cells += fitted([at], wanted["seeds"], target)
    return Question(cells, claims, "", ["motionfit_comparison"], draw="beside printed")


def other_network():
    """The other student of the comparison: its row, its network, what it alone is trained with."""
    wanted = graph.settings("motionfit_comparison", **COMPARISON)
    row = f"MotionFit ({wanted['other']['backbone'].replace('_', '-')})"
    return row, wanted["other"], wanted["other_student"]


def other(seed, target=""):
    """A student of another architecture, fine-tuned."""
    _, built, learned = other_network()
    taught = student(seed, **built, **learned)
    return transfer(seed, "motionfit", taught, target=target, **built)


@graph.table(TABLE_PAGE)
def motionfit_semi():
    """Shares of the labels, the whole training set without labels as the source (table 8)."""
    # backbone: the paper's; empty: that of the other tables. learned: what the student is told beside.
    # steps: of fine-tuning; 0: the other tables'
    wanted = graph.settings(
        "motionfit_semi", seeds=[0, 1, 2], label_fractions=[0.2, 0.5], backbone="r3d_18", source="",
        learned={}, steps=0,
    )
    network = {"backbone": wanted["backbone"]} if wanted["backbone"] else {}
    cells, claims = [], []
    for share in wanted["label_fractions"]:
        if not 0 < share <= 1:
            raise ValueError(f"targets: motionfit_semi: label_fractions: {share} is not in (0, 1]")
        few = {"label_fraction": share, "videos_per_class": 0}
        tuning = few | network | ({"steps": wanted["steps"]} if wanted["steps"] else {})
        rows = {"motionfit": [], "scratch": [], "mosi": []}
        for seed in wanted["seeds"]:
            trained = network | wanted["learned"]
            taught = student(seed, model=few | network, source=wanted["source"], **trained)
            rows["motionfit"].append(transfer(seed, "motionfit", taught, **tuning))
            rows["scratch"].append(scratch(seed, **tuning))
            for begun in first_weights(seed, network):  # what the student began as
                rows["mosi"].append(transfer(seed, "mosi", begun, **tuning))
        column = f"{share:.0%}"
        cells += [Cell(ROWS[n], column, runs, f"{n}_") for n, runs in rows.items() if runs]
        cells += yardsticks(column, rows["scratch"])
        for name in ("scratch", "mosi") if rows["mosi"] else ("scratch",):
            beaten = ROWS[name]
            claims.append(
                claim(f"the student beats {beaten} with {column}", "MotionFit", beaten, column)
            )
    return Question(cells, claims, "share of the labels", ["motionfit_semi"])
