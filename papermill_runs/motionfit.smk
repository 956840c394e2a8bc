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
TARGET_PAGE = "24_motionfit_retrieval"
# settings that networks are fine-tuned with on the target: those that MARS has on its page
AS_MARS = ["backbone", "frames", "frame_stride", "augmentation", "clips_per_video", "steps", "epochs"]
AS_MARS += ["batch_size", "optimizer", "schedule", "milestones", "lr", "warmup", "weight_decay"]
AS_MARS += ["videos_per_class", "label_fraction"]


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


def transfer(seed, name, taught=None, made={}, **changed):
    """Step 4 of one start; `taught`: the job that made its weights, `made`: for the name."""
    weights = "motion_model.pt" if name == "clip_order" else "backbone.pt"
    as_mars = {key: graph.parameter(TARGET_PAGE, key) for key in AS_MARS}
    return graph.run(
        "03_transfer",
        run_name(f"transfer_{name}", seed, made, changed),
        after=[taught] if taught else [],
        starts={name: graph.path(taught.file(weights)) if taught else ""},
        frozen_stages=["stem", "conv2", "conv3"],
        baselines=name == "scratch",
        seed=seed,
        **{**as_mars, **changed},
    )


def target_page(kind, seed, after, **asked):
    """One question of the page that asks what a student knows and what flow would add."""
    usual = {"starts": {}, "mars": False, "baselines": False}
    name = run_name(kind, seed)
    return graph.run(TARGET_PAGE, name, after=after, seed=seed, **{**usual, **asked})


def retrieval(seed, name, taught=None):
    """Whether weights find the class of a video; scratch brings the pictures themselves."""
    weights = "motion_model.pt" if name == "clip_order" else "backbone.pt"
    return target_page(
        f"retrieval_{name}",
        seed,
        [taught] if taught else [],
        starts={name: graph.path(taught.file(weights)) if taught else ""},
        baselines=name == "scratch",
        **published(seed, usual=name == "motionfit"),
    )


def together(seed):
    """The student and the motion model on the same test videos."""
    both = {"rgb_predictions": whole(seed), "motion_predictions": motion_model(seed)}
    files = {key: graph.path(job.file("predictions.npz")) for key, job in both.items()}
    return target_page("together", seed, list(both.values()), **files)


def whole(seed, **made):
    """The whole pipeline; `made`: settings of the pseudo-labels that differ."""
    return transfer(seed, "motionfit", student(seed, made=made), made)


def mars(seed):
    start, features = first_weights(seed), labels(seed)
    weights = [graph.path(job.file("backbone.pt")) for job in start]
    given = {"teacher_features": graph.path(features.file("features.npz"))}
    given |= {"mars_start": weights[0]} if weights else {}
    return target_page("transfer_mars", seed, [features, *start], mars=True, **given)


TAUGHT = {  # start: the job that makes its weights
    "scratch": lambda seed: None,
    "mosi": lambda seed: mosi.pretrain(seed),
    "clip_order": lambda seed: clip_order(seed, "rgb"),
    "appearance": lambda seed: student(seed, "rgb"),
    "mers": lambda seed: student(seed, target="features"),
    "motionfit": lambda seed: student(seed),
}


def tuned_from(name):
    """What fine-tunes a start of `TAUGHT`."""
    return lambda seed, **changed: transfer(seed, name, TAUGHT[name](seed), **changed)


scratch = tuned_from("scratch")


# --- tables --------------------------------------------------------------------------------------

RIVALS = ["appearance", "mers", "mars"]
ROWS = {"scratch": "scratch", "mosi": "MoSI", "clip_order": "clip order", "mars": "MARS",
        "appearance": "appearance", "mers": "MERS", "motionfit": "MotionFit"}  # fmt: skip


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
        rivals=RIVALS,
    )


def tuned(name, column, seeds, make=None, row="", **changed):
    """A cell of fine-tuned networks; ``make`` and ``row``: where they are not the start's usual."""
    usual = {"mars": mars, "motionfit": whole}.get(name) or tuned_from(name)
    runs = [(make or usual)(seed, **changed) for seed in seeds]
    return Cell(row or ROWS[name], column, runs, f"{name}_")


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
    rivals = [one_of("rivals", name, RIVALS) for name in wanted["rivals"]]
    compared = ["motionfit", "scratch", *rivals, *(["mosi"] if BEGIN else [])]
    cells = [tuned(name, at, wanted["seeds"]) for name in compared]
    both = [together(seed) for seed in wanted["seeds"]]
    both = Cell("with flow too", at, both, "motionfit_two_stream_", formerly=cells[0].runs)
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
    seeds, usual = main_seeds(wanted["seeds"]), graph.parameter(TARGET_PAGE, "frames")
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
    order = graph.settings("motionfit_comparison", **COMPARISON)["seeds"]
    found = {}
    for name in [*compared, "clip_order"]:
        its = order if name == "clip_order" else seeds
        runs = [retrieval(seed, name, TAUGHT[name](seed)) for seed in its]
        found[ROWS[name]] = runs, [f"motionfit_transfer_{name}-s{seed}" for seed in its], f"{name}_"
    for row, prefix in YARDSTICKS.items():
        found[row] = *found["scratch"][:2], prefix
    for k in graph.parameter(TARGET_PAGE, "recall_at"):
        for row, (runs, before, prefix) in found.items():
            for kind in ("clip", "video"):
                recall = {"recall": f"{kind}_recall_at_{k}"}
                cells.append(Cell(f"{row} ({kind})", k, runs, prefix, recall, before))
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
        row = f"{ROWS[name]} ({long} frames)"
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
        cells += [Cell(ROWS[n], column, runs, f"{n}_") for n, runs in rows.items() if runs]
        cells += yardsticks(column, rows["scratch"])
        for name in ("scratch", "mosi") if rows["mosi"] else ("scratch",):
            other = ROWS[name]
            claims.append(
                claim(f"the student beats {other} with {column}", "MotionFit", other, column)
            )
    return Question(cells, claims, "share of the labels", ["motionfit_semi"])
