"""Every table and figure of MoSI. Pretrainings, transfers to few labelled videos, tables."""

import os
from dataclasses import replace

from vidssl.runs.cells import Cell, Claim, Question, compare, in_each, yardsticks

# labels: labelled videos a class where a table varies something else, 0: all. brief_steps: length of
# the fine-tunings of sweeps over many settings, 0: as of the others; brief_clips: clips of a video
# that these are judged by
SETTINGS = graph.settings("mosi", labels=20, brief_steps=0, brief_clips=10)
LABELS, BRIEF = SETTINGS["labels"], SETTINGS["brief_steps"]
SWEPT = {  # what each sweep goes through; a scale's file may name others
    "mosi_speeds": graph.settings("mosi_speeds", seeds=[0, 1, 2], k=[1, 2, 3, 4]),
    "mosi_frames": graph.settings("mosi_frames", seeds=[0, 1, 2], frames=[4, 8, 12, 16]),
    "mosi_mask": graph.settings("mosi_mask", seeds=[0, 1, 2], sides=[0.1, 0.3, 0.5]),
    "mosi_frozen": graph.settings("mosi_frozen", seeds=[0, 1, 2], depths=[0, 2, 3, 4, 5]),
    # counts: of photographs and of dead leaves. per_class: so many of each class of `images`, a data
    # set's parameters. elsewhere: name -> those of other data sets that are fine-tuned on, too
    "mosi_stills": graph.settings(
        "mosi_stills", seeds=[0, 1, 2], counts=[32, 128, 512], images={}, per_class=[], elsewhere={}
    ),
    # backbones: beside the scale's own. sources: name -> what pretraining on other videos changes
    "mosi_comparison": graph.settings("mosi_comparison", backbones=[], sources={}),
}
STILLS = {  # still images as the source: which, and how many
    f"{source}{count}": (source, count)
    for source in ("photographs", "dead_leaves")
    for count in SWEPT["mosi_stills"]["counts"]
}
DATA = ("dataset", "root", "dataset_options")
VARIANTS = {  # what a pretraining changes, by the name that it and its transfers carry
    "xy": {},
    "x": {"axes": "x"},
    "y": {"axes": "y"},
    **{f"k{k}": {"k": k} for k in SWEPT["mosi_speeds"]["k"]},
    **{f"n{frames}": {"frames": frames} for frames in SWEPT["mosi_frames"]["frames"]},
    **{f"mask{side}": {"mask_ratio": [side, side]} for side in SWEPT["mosi_mask"]["sides"]},
    "unmasked": {"mask_ratio": []},
    "abrupt": {"mask_curriculum": 0.0},
    "dilated": {"backbone": "r3d_10_dilated"},  # what TimeBalance begins with at mini scale
    **{name: {"backbone": name} for name in SWEPT["mosi_comparison"]["backbones"]},
    **SWEPT["mosi_comparison"]["sources"],
    **{
        f"images{count}": {**SWEPT["mosi_stills"]["images"], "images_per_class": count}
        for count in SWEPT["mosi_stills"]["per_class"]
    },
    **{f"own_{name}": source for name, source in SWEPT["mosi_stills"]["elsewhere"].items()},
}
STARTS = {"scratch": "scratch", "MoSI": "xy", "MoSI, x only": "x", "MoSI, y only": "y"}


def usual(parameter, value, variant):
    """The variant that sets a parameter: "xy" where the scale does so anyway."""
    return "xy" if value == graph.parameter("11_mosi_pretrain", parameter) else variant


def pretrain(seed, variant="xy", split=0):
    """``split``: the official one that its videos are of, 0: the scale's."""
    changed, after = (stills(*STILLS[variant]) if variant in STILLS else (VARIANTS[variant], []))
    if split:
        changed = {**changed, "dataset_options.split": split}
    return graph.run(
        "11_mosi_pretrain",
        f"mosi_pretrain-{variant}{f'-split{split}' if split else ''}-s{seed}",
        after=after,
        seed=seed,
        **changed,
    )


def networks():
    """Backbone -> the variant that changes nothing else."""
    return {
        changed["backbone"]: name for name, changed in VARIANTS.items() if [*changed] == ["backbone"]
    }


def of_network(seed, backbone):
    """The pretraining of another network, with nothing else changed."""
    if backbone == graph.parameter("11_mosi_pretrain", "backbone"):
        return pretrain(seed)
    if backbone in networks():
        return pretrain(seed, networks()[backbone])
    return graph.run(
        "11_mosi_pretrain", f"mosi_pretrain-{backbone}-s{seed}", seed=seed, backbone=backbone
    )


def stills(source, count):
    """What a pretraining on still images changes, and the job that makes them.

    However few they are, as many are passed as from the mini scale's 1,600 videos.
    """
    images = graph.stills(source, count)
    epochs = 1600 * graph.parameter("11_mosi_pretrain", "epochs") // count
    root = graph.path(os.path.dirname(images.marker))
    return {"dataset": "folder", "root": root, "epochs": epochs}, [images]


def transfer(seed, start="xy", videos_per_class=LABELS, frozen=(), steps=0, elsewhere=""):
    """One fine-tuning from ``start``: a variant of the pretraining, or "scratch".

    ``elsewhere``: the name of another data set to fine-tune on, of `mosi_stills`' settings.
    """
    pretrained = [] if start == "scratch" else [pretrain(seed, start)]
    weights = {"mosi": graph.path(job.file("backbone.pt")) for job in pretrained}
    given = {"starts": weights or {"scratch": ""}}
    given |= {k: v for k, v in VARIANTS.get(start, {}).items() if k == "backbone"}
    source = SWEPT["mosi_stills"]["elsewhere"].get(elsewhere, {})
    given |= {k: v for k, v in source.items() if k in DATA}
    depth = f"-frozen{len(frozen)}" if frozen else ""
    brief = "-brief" if steps else ""
    at = f"-{elsewhere}" if elsewhere else ""
    if steps:
        given |= {"steps": steps, "test_clips": SETTINGS["brief_clips"]}
    return graph.run(
        "03_transfer",
        f"mosi_transfer-{start}-n{videos_per_class or 'all'}{depth}{brief}{at}-s{seed}",
        after=pretrained,
        videos_per_class=videos_per_class,
        frozen_stages=list(frozen),
        baselines=start == "scratch" and not frozen and not steps,
        seed=seed,
        **given,
    )


# --- tables --------------------------------------------------------------------------------------


def tuned(row, column, seeds, start=None, **changed):
    """A cell of fine-tunings, of the row's own start or another one."""
    start = STARTS[row] if start is None else start
    runs = [transfer(seed, start, **changed) for seed in seeds]
    other = SWEPT["mosi_stills"]["elsewhere"].get(changed.get("elsewhere"), {}).get("dataset", "")
    return Cell(row, column, runs, "scratch_" if start == "scratch" else "mosi_", dataset=other)


def headline_seeds():
    return graph.settings("mosi_baseline", seeds=[0, 1, 2, 3, 4])["seeds"]


def labelled(seeds, number=LABELS, rows=tuple(STARTS)):
    """A column of so many labelled videos a class, with the yardsticks fitted on them."""
    column = number or "all"
    cells = [tuned(row, column, seeds, videos_per_class=number) for row in rows]
    return [*cells, *yardsticks(column, [transfer(seed, "scratch", number) for seed in seeds])]


def swept(seeds, variants, row="MoSI", scratch="scratch", elsewhere=""):
    """Columns of a sweep: each variant's accuracy in the pretext task and after fine-tuning."""
    cells, about = [], {"steps": BRIEF, "elsewhere": elsewhere}
    for column, variant in variants.items():
        made = sorted({*seeds, *(headline_seeds() if variant == "xy" else ())})
        runs = [pretrain(seed, variant) for seed in made]
        cells.append(Cell(row, column, runs, metrics={"pretext_accuracy": "pretext_accuracy"}))
        cells.append(tuned(row, column, seeds, variant, **about))
        cells.append(tuned(scratch, column, seeds, "scratch", **about))
    return cells


SWEEP = {
    "measured": "accuracy (%)",
    "panels": {"pretext_accuracy": "pretext task", "top1_accuracy": "after fine-tuning"},
}


def sweep(name, setting, variants, expected=1):
    """A table of pretrainings, each column a variant: the usual one is held against the others."""
    own = [column for column, variant in variants.items() if variant == "xy"]
    claims = in_each(variants, "MoSI", "scratch")
    for metric in SWEEP["panels"]:
        named = {} if metric == "top1_accuracy" else {"metric": metric, "unit": " (pretext)"}
        claims += [
            compare(("MoSI", column), ("MoSI", other), expected, **named)
            for column in own
            for other in variants
            if other != column
        ]
    printed = [name] if name == "mosi_mask" else [f"{name}_pretext", name]
    cells = swept(SWEPT[name]["seeds"], variants)
    return Question(cells, claims, setting, printed, **SWEEP)


@graph.target
def mosi_pseudo_motion():
    """How a pseudo motion and its static mask are made, as a figure and moving."""
    return graph.run("10_mosi_pseudo_motion", "mosi_pseudo_motion", priority=1)


@graph.table("15_mosi_tables")
def mosi_baseline():
    """Pretraining on both axes, on one, and none (the paper's table 1)."""
    column = LABELS or "all"
    claims = [compare((row, column), ("scratch", column)) for row in list(STARTS)[1:]]
    claims += [compare(("MoSI", column), (row, column)) for row in list(STARTS)[2:]]
    setting = "labelled videos a class"
    return Question(labelled(headline_seeds()), claims, setting, ["mosi_baseline"])


@graph.table("15_mosi_tables")
def mosi_lowshot():
    """Fine-tuning on few labelled videos: MoSI against from scratch (table 3)."""
    wanted = graph.settings(
        "mosi_lowshot", seeds=[0, 1, 2, 3, 4], videos_per_class=[5, 10, 20, 40]
    )
    numbers, rows = wanted["videos_per_class"], ("scratch", "MoSI")
    cells = [cell for number in numbers for cell in labelled(wanted["seeds"], number, rows)]
    columns = [number or "all" for number in numbers]
    claims = in_each(columns, "MoSI", "scratch")
    groups = by_group() if len(columns) > 1 else {}
    panels = {"top1_accuracy": "test videos", **groups, "train_accuracy": "those trained on"}
    if groups:
        measured = dict(zip(panels, panels))
        cells = [replace(c, metrics=measured) if c.row in rows else c for c in cells]
        claims += on_average(columns, groups)
    setting, printed = "labelled videos a class", ["mosi_lowshot"]
    return Question(cells, claims, setting, printed, panels=panels)


def by_group():
    """The embedded data's accuracies by what tells a class, each with its panel's title."""
    titles = {"repetitive": "repetitive motion", "ordered": "ordered motion",
            "appearance": "appearance", "both": "appearance and motion"}  # fmt: skip
    embedded = graph.parameter("03_transfer", "dataset") == "embedded"
    return {f"{group}_accuracy": title for group, title in titles.items()} if embedded else {}


def on_average(columns, groups):
    """MoSI minus scratch in the mean over all columns, of all classes and of each group; pseudo
    motions should help where motion tells classes, and not where looks do."""
    first, second = ([(row, column) for column in columns] for row in ("MoSI", "scratch"))
    return [
        Claim(name, first, second, int("appearance" not in name), metric, mean=True)
        for metric, group in {"top1_accuracy": "", **groups}.items()
        for name in [f"MoSI - scratch, on average{group and f', {group}'}"]
    ]


@graph.target
def demo():
    """MoSI end to end: a picture, pretraining, transfer beside a twin from scratch, a figure."""
    return [mosi_pseudo_motion(), mosi_lowshot()]


@graph.table("15_mosi_tables")
def mosi_speeds():
    """Number of speeds an axis (table 2)."""
    speeds = {2 * k + 1: usual("k", k, f"k{k}") for k in SWEPT["mosi_speeds"]["k"]}
    return sweep("mosi_speeds", "speeds an axis", speeds)


@graph.table("15_mosi_tables")
def mosi_frames():
    """Frames of a pseudo motion at one distance a frame (table 2)."""
    lengths = {n: usual("frames", n, f"n{n}") for n in SWEPT["mosi_frames"]["frames"]}
    return sweep("mosi_frames", "frames of a pseudo motion", lengths, expected=0)


@graph.table("15_mosi_tables")
def mosi_mask():
    """Size of the moving square, drawn, fixed or none, with and without curriculum (figure 7)."""
    sides = {str(side): f"mask{side}" for side in SWEPT["mosi_mask"]["sides"]}
    usual_sides = "-".join(dict.fromkeys(map(str, graph.parameter("11_mosi_pretrain", "mask_ratio"))))
    drawn = {"none": "unmasked", usual_sides: "xy"}
    if graph.parameter("11_mosi_pretrain", "mask_curriculum"):
        drawn[f"{usual_sides} at once"] = "abrupt"
    return sweep("mosi_mask", "side of the moving square", {**sides, **drawn})


@graph.table("15_mosi_tables")
def mosi_stills():
    """Still images as the source, each beside the videos' own frames (table 4)."""
    sweep, own = SWEPT["mosi_stills"], "own videos"
    seeds, counts = sweep["seeds"], sweep["counts"]
    rows = {"photographs": "photographs", "dead leaves": "dead_leaves"} if counts else {}
    cells = []
    for row, source in rows.items():
        cells += swept(seeds, {count: f"{source}{count}" for count in counts}, row)
    drawn = {f"{count} a class": f"images{count}" for count in sweep["per_class"]}
    cells += swept(seeds, drawn, "images")
    claims = []
    if all(graph.parameter("11_mosi_pretrain", name) == graph.parameter("03_transfer", name)
           for name in ("dataset", "root")):  # fmt: skip
        cells += swept(seeds, {own: "xy"}, "frames of videos")
        claims += [compare(("frames of videos", own), ("scratch", own))]
    for name in sweep["elsewhere"]:
        on = f" on {name}"
        about = {"scratch": f"scratch{on}", "elsewhere": name}
        cells += swept(seeds, drawn, f"images{on}", **about)
        cells += swept(seeds, {own: f"own_{name}"}, f"frames of videos{on}", **about)
        claims += in_each(drawn, f"images{on}", f"scratch{on}")
    cells = list({(c.row, c.column, *c.metrics): c for c in cells}.values())  # scratch once
    claims += in_each(drawn, "images", "scratch")
    for row in rows:
        claims += in_each(counts, row, "scratch")
        claims += [compare(("frames of videos", own), (row, counts[-1]), 0)]
    claims += in_each(counts if rows else (), "photographs", "dead leaves", 0)
    return Question(cells, claims, "still images", ["mosi_stills_pretext", "mosi_stills"], **SWEEP)


@graph.table("15_mosi_tables")
def mosi_frozen():
    """Fine-tuning with the first stages frozen: how deep the features reach (figure 6)."""
    sweep, stages = SWEPT["mosi_frozen"], ("stem", "conv2", "conv3", "conv4", "conv5")
    cells = [
        tuned(row, depth, sweep["seeds"], frozen=stages[:depth], steps=BRIEF)
        for depth in sweep["depths"]
        for row in STARTS
    ]
    claims = [c for row in list(STARTS)[1:] for c in in_each(sweep["depths"], row, "scratch")]
    return Question(cells, claims, "frozen stages, of stem and four")


@graph.table("15_mosi_tables")
def mosi_comparison():
    """Our rows beside those that the papers print (table 5)."""
    seeds, column = headline_seeds(), LABELS or "all"
    cells = labelled(seeds, rows=("scratch", "MoSI"))
    sweep = SWEPT["mosi_comparison"]
    others = [*sweep["backbones"], *sweep["sources"]]
    cells += [tuned(f"MoSI, {name}", column, seeds, name) for name in others]
    claims = in_each([column], "MoSI", "scratch")
    claims += [compare(("MoSI", column), (f"MoSI, {name}", column), 0) for name in others]
    setting = "labelled videos a class"
    return Question(cells, claims, setting, ["mosi_comparison"], draw="beside printed")


@graph.table("15_mosi_tables")
def mosi_attention():
    """Where four networks look, against where the sprite is, and pictures of it (figures 4 and 8)."""
    seeds = graph.settings("mosi_attention", seeds=[0, 1, 2])["seeds"]
    looked = [gradcam(seed) for seed in seeds]  # the first seed's pictures are published
    measures = {
        "energy inside": "energy_inside_score",
        "pointing game": "pointing_game_accuracy",
        "energy in the pretext square": "square_energy_inside_score",
    }
    rows = {"MoSI": "mosi_", "unmasked MoSI": "mosi_unmasked_", "scratch": "scratch_",
            "supervised": "supervised_"}  # fmt: skip
    cells = [
        Cell(row, column, looked, prefix, {metric: metric})
        for column, metric in measures.items()
        for row, prefix in rows.items()
    ]
    pairs = {("MoSI", "scratch"): 1, ("MoSI", "supervised"): 0, ("MoSI", "unmasked MoSI"): 1,
             ("unmasked MoSI", "scratch"): 0}  # fmt: skip
    claims = [
        compare((first, column), (second, column), expected, metric=metric)
        for (first, second), expected in pairs.items()
        for column, metric in measures.items()
    ]
    return Question(cells, claims, "measure", measured="share (%)")


def gradcam(seed):
    masked, unmasked = pretrain(seed), pretrain(seed, "unmasked")
    labelled_alone = supervised.baseline(seed, 0)
    return graph.run(
        "13_mosi_gradcam",
        f"mosi_gradcam-s{seed}",
        after=[masked, unmasked, labelled_alone],
        publish=seed == 0,  # the notebook publishes unless it is told not to
        mosi_weights=graph.path(masked.file("backbone.pt")),
        mosi_unmasked_weights=graph.path(unmasked.file("backbone.pt")),
        supervised_weights=graph.path(labelled_alone.file("backbone.pt")),
        seed=seed,
    )


@graph.target
def mosi_clusters():
    """Clusters of unmasked features, with film strips (figure 5)."""
    unmasked = pretrain(0, "unmasked")
    return graph.run(
        "14_mosi_clusters",
        "mosi_clusters",
        after=[unmasked],
        publish=True,
        pretrained=graph.path(unmasked.file("backbone.pt")),
    )
