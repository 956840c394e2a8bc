"""Every table and figure of MotionFit. Motion models, pseudo-labels, students, transfers, tables.

A run's name says what differs from the notebooks' own parameters, so that tables share what they
have in common.
"""

from vidssl.core import one_of
from vidssl.runs.cells import YARDSTICKS, Cell, Claim, Question, yardsticks
from vidssl.runs.graph import published

TAGS = {
    "backbone": "",
    "clips": "r",
    "frames": "f",
    "label_fraction": "share",
    "level": "",
    "multi_clip_weight": "l",
    "num_clusters": "k",
    "steps": "t",
    "videos_per_class": "n",
}
# start: what RGB students and MARS begin with, a variant of MoSI's pretraining; empty: from scratch
BEGIN = graph.settings("motionfit", start="")["start"]
STREAMS = {"flow": "motion", "rgb": "appearance"}


def run_name(kind, seed, *settings):
    changed = {key: value for part in settings for key, value in part.items() if key in TAGS}
    return "-".join([f"motionfit_{kind}", *(f"{TAGS[k]}{v}" for k, v in changed.items()), f"s{seed}"])


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
        **changed,
    )


def clip_order(seed, modality="flow"):
    """Eq. 2 alone, on all training videos without their labels."""
    return motion_model(seed, modality, multi_clip_weight=0.0, videos_per_class=0)


def labels(seed, modality="flow", model={}, **changed):
    """Step 2; features are extracted once for each motion model, by the run without changes."""
    if changed:
        first = labels(seed, modality, model)
        given = {"features": graph.path(first.file("features.npz"))}
    else:
        first = motion_model(seed, modality, **model)
        given = {"motion_model": graph.path(first.file("motion_model.pt"))}
    network = {k: v for k, v in model.items() if k == "backbone"}
    return graph.run(
        "22_motionfit_pseudo_labels",
        run_name(f"labels_{STREAMS[modality]}", seed, model, changed),
        after=[first],
        modality=modality,
        seed=seed,
        **given,
        **network,
        **changed,
    )


def first_weights(seed, network={}):
    """The job behind `BEGIN`; of another backbone, the same pretraining of that one, if any."""
    others = {told["backbone"]: name for name, told in mosi.VARIANTS.items() if list(told) == ["backbone"]}
    variant = others.get(network["backbone"]) if "backbone" in network else BEGIN
    return [mosi.pretrain(seed, variant)] if BEGIN and variant else []


def student(
    seed, modality="flow", target="pseudo_labels", model={}, made={}, start=None, **network
):
    """Step 3, on pseudo-labels or on features (MERS); `start`: as `first_weights` gives it."""
    source = labels(seed, modality, model, **made)
    start = first_weights(seed, network) if start is None else start
    kind = "mers" if target == "features" else f"student_{STREAMS[modality]}"
    return graph.run(
        "23_motionfit_self_training",
        run_name(kind, seed, model, made, network),
        after=[source, *start],
        target=target,
        seed=seed,
        **graph.start_from(start),
        **{target: graph.path(source.file(f"{target}.npz"))},
        **network,
    )


def transfer(seed, name, taught=None, made={}, both=False, **changed):
    """Step 4 of one initialisation; `taught`: the job that made its weights, `made`: for the name.

    `both`: judge it together with the motion model, too.
    """
    after, given = [], {"pretrained": {}}
    if made or changed or name == "mars":  # retrieval is for the main runs
        given["retrieval_clips"] = 0
    if taught:
        weights = "motion_model.pt" if name == "clip_order" else "backbone.pt"
        after, given["pretrained"] = [taught], {name: graph.path(taught.file(weights))}
    if name == "mars":
        start = first_weights(seed)
        after = [labels(seed), *start]
        given["teacher_features"] = graph.path(after[0].file("features.npz"))
        given["pretrained"] = {"mars": graph.path(job.file("backbone.pt")) for job in start}
    if both:
        after = [*after, motion_model(seed)]
        given["motion_predictions"] = graph.path(after[-1].file("predictions.npz"))
        if not changed:
            given |= published(seed)
    return graph.run(
        "24_motionfit_transfer",
        run_name(f"transfer_{name}", seed, made, changed),
        after=after,
        initialisations=[name],
        baselines=name == "scratch",
        seed=seed,
        **given,
        **changed,
    )


def scratch(seed, **changed):
    return transfer(seed, "scratch", **changed)


def whole(seed, **made):
    """The whole pipeline; `made`: settings of the pseudo-labels that differ."""
    taught = student(seed, made=made)
    return transfer(seed, "motionfit", taught, made, both=not made)


def appearance(seed):
    return transfer(seed, "appearance", student(seed, "rgb"))


def from_mosi(seed, **changed):
    return transfer(seed, "mosi", mosi.pretrain(seed), **changed)


def from_order(seed):
    return transfer(seed, "clip_order", clip_order(seed, "rgb"))


def mers(seed):
    return transfer(seed, "mers", student(seed, target="features"))


def mars(seed):
    return transfer(seed, "mars")


# --- tables --------------------------------------------------------------------------------------

RIVALS = {"appearance": appearance, "mers": mers, "mars": mars}
ROWS = {  # what is fine-tuned on the target: how its row is called, and who makes it
    "scratch": ("scratch", scratch),
    "mosi": ("MoSI", from_mosi),
    "clip_order": ("clip order", from_order),
    "appearance": ("appearance", appearance),
    "mers": ("MERS", mers),
    "mars": ("MARS", mars),
    "motionfit": ("MotionFit", whole),
}


COMPARISON = {"seeds": [0, 1, 2], "backbone": "s3dg"}


def main_seeds(*seeds):
    """Of runs that the main table has, too: its seeds and one's own."""
    return sorted({*headline()["seeds"], *(seed for each in seeds for seed in each)})


def headline():
    """`long_steps`: of longer trainings, from scratch and with all labels; 0: none."""
    return graph.settings(
        "motionfit_transfer",
        seeds=[0, 1, 2, 3, 4],
        all_labels=[0, 1, 2],
        long_steps=0,
        rivals=list(RIVALS),
    )


def tuned(name, column, seeds, make=None, row="", **changed):
    """A cell of fine-tuned networks; ``make`` and ``row``: where they are not those of `ROWS`."""
    usual, its = ROWS[name]
    return Cell(row or usual, column, [(make or its)(s, **changed) for s in seeds], f"{name}_")


def models(column, seeds, modality="flow", row="", **changed):
    """A cell of motion models, or of their appearance twins."""
    runs = [motion_model(seed, modality, **changed) for seed in seeds]
    return Cell(row or STREAMS[modality], column, runs)


def fitted(columns, seeds=()):
    """The yardsticks on the labels that the main runs have, in each column."""
    runs = [scratch(seed) for seed in main_seeds(seeds)]
    return [cell for column in columns for cell in yardsticks(column, runs)]


def claim(name, row, other, column, other_column=None, expected=1):
    other_column = column if other_column is None else other_column
    return Claim(name, [(row, column)], [(other, other_column)], expected)


@graph.target
def motionfit_flow():
    """Optical flow by each method beside the true one."""
    return graph.run("20_motionfit_flow", "motionfit_flow")


@graph.target
def motionfit_clusters_seen():
    """The method as a drawing; clusters as film strips and as a map, beside appearance features."""
    motion, looks = labels(0), labels(0, "rgb")
    return graph.run(
        "22_motionfit_pseudo_labels",
        "motionfit_clusters_seen",
        after=[motion, looks],
        publish=True,
        features=graph.path(motion.file("features.npz")),
        compare=graph.path(looks.file("features.npz")),
    )


@graph.table("25_motionfit_tables")
def motionfit_transfer():
    """MotionFit against scratch, appearance pseudo-labels, MERS, MARS and all labels (table 5)."""
    wanted, at = headline(), "top-1"
    rivals = [one_of("rivals", name, list(RIVALS)) for name in wanted["rivals"]]
    compared = ["motionfit", "scratch", *rivals, *(["mosi"] if BEGIN else [])]
    cells = [tuned(name, at, wanted["seeds"]) for name in compared]
    both = Cell("with flow too", at, cells[0].runs, "motionfit_two_stream_")
    cells += [both, models(at, wanted["seeds"], row="motion model")]
    longer = {"steps": wanted["long_steps"]} if wanted["long_steps"] else {}
    start, every = "mosi" if BEGIN else "scratch", wanted["all_labels"]
    cells.append(tuned(start, at, every, row="all labels", videos_per_class=0, **longer))
    if longer:  # from random weights few steps may not leave the plateau
        cells.append(tuned("scratch", at, wanted["seeds"], row="scratch, longer", **longer))
    claims = [
        claim("the student beats scratch", "MotionFit", "scratch", at),
        claim("and scratch trained longer", "MotionFit", "scratch, longer", at),
        claim("motion pseudo-labels beat appearance ones", "MotionFit", "appearance", at),
        claim("it beats MoSI, which it may begin as", "MotionFit", "MoSI", at),
        claim("it beats MERS", "MotionFit", "MERS", at),
        claim("it beats MARS", "MotionFit", "MARS", at),
        claim("flow at test time adds", "with flow too", "MotionFit", at),
    ]
    cells += fitted([at])
    return Question(cells, claims, "", ["motionfit_transfer"], draw="methods")


@graph.table("25_motionfit_tables")
def motionfit_multiclip():
    """Motion against appearance with few labels, by the number of clips (table 1)."""
    wanted = graph.settings(
        "motionfit_multiclip", seeds=[0, 1, 2, 3, 4], clips=[1, 3], long_seeds=[0, 1, 2], long=24
    )
    long, cells = f"{wanted['long']} frames", []
    for m in STREAMS:
        for r in wanted["clips"]:
            cells.append(models(f"R = {r}", wanted["seeds"], m, **({"clips": r} if r != 3 else {})))
        cells.append(models(long, wanted["long_seeds"], m, clips=1, frames=wanted["long"]))
    claims = [
        claim("motion beats appearance", "motion", "appearance", "R = 1"),
        claim("so it does with several clips", "motion", "appearance", "R = 3"),
        claim("several clips help motion", "motion", "motion", "R = 3", "R = 1"),
        claim("and hardly appearance", "appearance", "appearance", "R = 3", "R = 1", expected=0),
    ]
    cells += fitted([*(f"R = {r}" for r in wanted["clips"]), long], wanted["seeds"])
    setting = "clips of a video in training, or length of the clip"
    return Question(cells, claims, setting, ["motionfit_multiclip"])


@graph.table("25_motionfit_tables")
def motionfit_granularity():
    """Pseudo-labels of clips, thirds, segments and videos (table 2)."""
    levels = ["thirds", "boundaries", "video"]  # beside the main setting, clip
    wanted = graph.settings("motionfit_granularity", seeds=[0, 1, 2], levels=levels)
    cells = [tuned("motionfit", "clip", main_seeds(wanted["seeds"]))]
    cells += [tuned("motionfit", l, wanted["seeds"], level=l) for l in wanted["levels"]]
    claims = [
        claim(f"clips beat {l}", "MotionFit", "MotionFit", "clip", l) for l in wanted["levels"]
    ]
    cells += fitted(["clip", *wanted["levels"]], wanted["seeds"])
    setting = "where a pseudo-label holds"
    return Question(cells, claims, setting, ["motionfit_granularity"])


@graph.table("25_motionfit_tables")
def motionfit_clusters():
    """The number of clusters (table 3)."""
    numbers = [16, 32, 128]  # beside the main setting
    wanted = graph.settings("motionfit_clusters", seeds=[0, 1, 2], num_clusters=numbers)
    main, others = graph.parameter("22_motionfit_pseudo_labels", "num_clusters"), []
    cells = [tuned("motionfit", main, main_seeds(wanted["seeds"]))]
    for k in wanted["num_clusters"]:
        cells.append(tuned("motionfit", k, wanted["seeds"], num_clusters=k))
        others.append(claim(f"{main} clusters beat {k}", "MotionFit", "MotionFit", main, k))
    cells += fitted(sorted([main, *wanted["num_clusters"]]), wanted["seeds"])
    printed = ["motionfit_clusters", "motionfit_self_training", "motionfit_heads"]
    printed.append("motionfit_common_classes")
    return Question(cells, others, "number of clusters", printed)


@graph.table("25_motionfit_tables")
def motionfit_lambda():
    """The multi-clip loss against clip order (section 4.3)."""
    wanted = graph.settings("motionfit_lambda", seeds=[0, 1, 2], between=[0.5])
    seeds = main_seeds(wanted["seeds"])
    after_order = [motion_model(s, first=clip_order(s)) for s in wanted["seeds"]]
    cells = [Cell("motion", 0.0, after_order), models(1.0, seeds), models(1.0, seeds, "rgb")]
    cells += [models(w, wanted["seeds"], multi_clip_weight=w) for w in wanted["between"]]
    claims = [
        claim("clip order does not help motion", "motion", "motion", 1.0, w)
        for w in wanted["between"]
    ]
    claims.append(claim("alone it is worse", "motion", "motion", 1.0, 0.0))
    cells += fitted([0.0, *wanted["between"], 1.0], wanted["seeds"])
    setting = "weight of the classes against clip order"
    return Question(cells, claims, setting, ["motionfit_lambda", "motionfit_lambda_one"])


@graph.table("25_motionfit_tables")
def motionfit_cliplength():
    """Longer clips in fine-tuning (table 4)."""
    wanted = graph.settings("motionfit_cliplength", seeds=[0, 1, 2], frames=16)
    seeds, usual = main_seeds(wanted["seeds"]), graph.parameter("24_motionfit_transfer", "frames")
    long = wanted["frames"]
    cells = [tuned(name, usual, seeds) for name in ("motionfit", "scratch")]
    cells.append(tuned("motionfit", long, wanted["seeds"], seen_longer, frames=long))
    cells.append(tuned("scratch", long, wanted["seeds"], frames=long))
    claims = [claim("longer clips help", "MotionFit", "MotionFit", long, usual)]
    cells += fitted([usual, long], wanted["seeds"])
    name = "motionfit_cliplength"
    printed = [name, f"{name}_deviation", f"{name}_scratch"]
    return Question(cells, claims, "frames of a clip", printed)


def seen_longer(seed, frames):
    """The main student, fine-tuned on longer clips than it was taught with."""
    return transfer(seed, "motionfit", student(seed), frames=frames)


@graph.table("25_motionfit_tables")
def motionfit_retrieval():
    """Retrieval of clips and of videos without fine-tuning (table 7)."""
    wanted = graph.settings("motionfit_retrieval", seeds=[0, 1, 2])
    seeds, cells = main_seeds(wanted["seeds"]), []
    compared = ["appearance", "mers", "motionfit", "scratch", *(["mosi"] if BEGIN else [])]
    found = {n: (ROWS[n][0], [ROWS[n][1](s) for s in seeds], f"{n}_") for n in compared}
    order = [from_order(s) for s in graph.settings("motionfit_comparison", **COMPARISON)["seeds"]]
    found["clip_order"] = "clip order", order, "clip_order_"
    for row, prefix in YARDSTICKS.items():
        found[row] = row, found["scratch"][1], prefix
    for k in graph.parameter("24_motionfit_transfer", "recall_at"):
        for row, runs, prefix in found.values():
            for kind in ("clip", "video"):
                recall = {"recall": f"{kind}_recall_at_{k}"}
                cells.append(Cell(f"{row} ({kind})", k, runs, prefix, recall))
    nearest = [("MotionFit (clip)", 1)], [("appearance (clip)", 1)]
    claims = [Claim("motion beats appearance", *nearest, metric="recall")]
    printed = ["motionfit_retrieval", "motionfit_retrieval_hmdb51"]
    look = {"panels": {"clip": "clip to clip", "video": "video to video"}, "measured": "recall (%)"}
    return Question(cells, claims, "neighbours looked at", printed, **look)


@graph.table("25_motionfit_tables")
def motionfit_comparison():
    """Against clip order and MoSI, and with another backbone (table 6)."""
    wanted, at = graph.settings("motionfit_comparison", **COMPARISON), "top-1"
    length = graph.settings("motionfit_cliplength", seeds=[0, 1, 2], frames=16)
    seeds, long, backbone = main_seeds(wanted["seeds"]), length["frames"], wanted["backbone"]
    cells = [tuned(name, at, seeds) for name in ("motionfit", "scratch", "mosi")]
    cells.append(tuned("clip_order", at, wanted["seeds"]))
    other = f"MotionFit ({backbone.replace('_', '-')})"
    cells.append(tuned("motionfit", at, wanted["seeds"], other_network, other, backbone=backbone))
    for name, make in {"motionfit": seen_longer, "scratch": scratch}.items():
        row = f"{ROWS[name][0]} ({long} frames)"
        cells.append(tuned(name, at, length["seeds"], make, row, frames=long))
    claims = [
        claim("it beats clip order", "MotionFit", "clip order", at),
        claim("it beats MoSI", "MotionFit", "MoSI", at),
    ]
    cells += fitted([at], wanted["seeds"])
    return Question(cells, claims, "", ["motionfit_comparison"], draw="beside printed")


def other_network(seed, backbone):
    network = {"backbone": backbone}
    return transfer(seed, "motionfit", student(seed, **network), **network)


@graph.table("25_motionfit_tables")
def motionfit_semi():
    """Shares of the labels, the whole training set without labels as the source (table 8)."""
    # backbone: the paper's; empty: that of the other tables
    wanted = graph.settings(
        "motionfit_semi", seeds=[0, 1, 2], label_fractions=[0.2, 0.5], backbone="r3d_18"
    )
    network = {"backbone": wanted["backbone"]} if wanted["backbone"] else {}
    cells, claims = [], []
    for share in wanted["label_fractions"]:
        few = {"label_fraction": share, "videos_per_class": 0}
        rows = {"motionfit": [], "scratch": [], "mosi": []}
        for seed in wanted["seeds"]:
            taught = student(seed, model={**few, **network}, **network)
            rows["motionfit"].append(transfer(seed, "motionfit", taught, **few, **network))
            rows["scratch"].append(scratch(seed, **few, **network))
            for begun in first_weights(seed, network):  # what the student began as
                rows["mosi"].append(transfer(seed, "mosi", begun, **few, **network))
        column = f"{share:.0%}"
        cells += [Cell(ROWS[n][0], column, runs, f"{n}_") for n, runs in rows.items() if runs]
        cells += yardsticks(column, rows["scratch"])
        for name in ("scratch", "mosi") if rows["mosi"] else ("scratch",):
            other = ROWS[name][0]
            claims.append(
                claim(f"the student beats {other} with {column}", "MotionFit", other, column)
            )
    return Question(cells, claims, "share of the labels", ["motionfit_semi"])
