# MoSI: pretrainings, transfers to few labelled videos, tables. Names of runs say what they vary,
# and 15_mosi_tables finds them by these names.

import os

# labels: labelled videos a class where a table varies something else, 0: all. brief_steps: length of
# the fine-tunings of sweeps over many settings, 0: as of the others; brief_clips: clips of a video
# that these are judged by
SETTINGS = graph.settings("mosi", labels=20, brief_steps=0, brief_clips=10)
LABELS, BRIEF = SETTINGS["labels"], SETTINGS["brief_steps"]
MOSI = {  # what a pretraining changes, by the name that it and its transfers carry
    "xy": {},
    "x": {"axes": "x"},
    "y": {"axes": "y"},
    **{f"k{k}": {"k": k} for k in (1, 3, 4)},
    **{f"n{frames}": {"frames": frames} for frames in (4, 12, 16)},
    **{f"mask{ratio}": {"mask_ratio": [ratio, ratio]} for ratio in (0.1, 0.3, 0.5)},
    "unmasked": {"mask_ratio": []},
    "abrupt": {"mask_curriculum": 0.0},
    "dilated": {"backbone": "r3d_10_dilated"},  # what TimeBalance begins with at mini scale
}
STARTS = ("scratch", "xy", "x", "y")  # that fine-tuning is compared from
STILLS = {  # still images as the source: which, and how many
    f"{source}{count}": (source, count)
    for source in ("photographs", "dead_leaves")
    for count in (32, 128, 512)
}


def mosi_pretrain(seed, variant="xy"):
    changed, after = (mosi_stills(*STILLS[variant]) if variant in STILLS else (MOSI[variant], []))
    return graph.run(
        "11_mosi_pretrain",
        f"mosi_pretrain-{variant}-s{seed}",
        after=after,
        seed=seed,
        **changed,
    )


def mosi_stills(source, count):
    """What a pretraining on still images changes, and the job that makes them.

    However few they are, as many are passed as from the videos: two epochs of 1,600.
    """
    stills = graph.stills(source, count)
    epochs = 3200 // count
    root = graph.path(os.path.dirname(stills.marker))
    return {"dataset": "folder", "root": root, "epochs": epochs}, [stills]


def mosi_transfer(seed, start="xy", videos_per_class=LABELS, frozen=(), steps=0):
    """One fine-tuning from ``start``: a variant of the pretraining, or "scratch"."""
    pretrained = [] if start == "scratch" else [mosi_pretrain(seed, start)]
    weights = {"mosi": graph.path(job.file("backbone.pt")) for job in pretrained}
    given = {"starts": weights or {"scratch": ""}}
    depth = f"-frozen{len(frozen)}" if frozen else ""
    brief = "-brief" if steps else ""
    if steps:
        given |= {"steps": steps, "test_clips": SETTINGS["brief_clips"]}
    return graph.run(
        "03_transfer",
        f"mosi_transfer-{start}-n{videos_per_class or 'all'}{depth}{brief}-s{seed}",
        after=pretrained,
        videos_per_class=videos_per_class,
        frozen_stages=list(frozen),
        baselines=start == "scratch" and not frozen and not steps,
        seed=seed,
        **given,
    )


def mosi_table(table, *finished):
    return graph.run(
        "15_mosi_tables",
        table,
        after=finished,
        table=table,
        labels=LABELS,
        brief=bool(BRIEF),
        records=graph.path("records"),
    )


def mosi_baseline():
    wanted = graph.settings("mosi_baseline", seeds=[0, 1, 2, 3, 4])
    return mosi_table(
        "mosi_baseline", *(mosi_transfer(seed, s) for seed in wanted["seeds"] for s in STARTS)
    )


def mosi_lowshot():
    wanted = graph.settings(
        "mosi_lowshot", seeds=[0, 1, 2, 3, 4], videos_per_class=[5, 10, 20, 40]
    )
    finished = [
        mosi_transfer(seed, start, videos)
        for videos in wanted["videos_per_class"]
        for seed in wanted["seeds"]
        for start in ("scratch", "xy")
    ]
    return mosi_table("mosi_lowshot", *finished)


SWEEPS = {  # tables of pretrainings and of what they are worth after fine-tuning
    "mosi_speeds": ["k1", "xy", "k3", "k4"],
    "mosi_frames": ["n4", "xy", "n12", "n16"],
    "mosi_mask": ["mask0.1", "mask0.3", "mask0.5", "unmasked", "xy", "abrupt"],
    "mosi_stills": [*STILLS, "xy"],
}


def mosi_sweep(table):
    seeds = graph.settings(table, seeds=[0, 1, 2])["seeds"]
    starts = ("scratch", *SWEEPS[table])
    finished = [mosi_transfer(seed, start, steps=BRIEF) for start in starts for seed in seeds]
    return mosi_table(table, *finished)


def mosi_comparison():
    return mosi_table("mosi_comparison", mosi_baseline())


def mosi_frozen():
    seeds = graph.settings("mosi_frozen", seeds=[0, 1, 2])["seeds"]
    stages = ("stem", "conv2", "conv3", "conv4", "conv5")
    finished = [
        mosi_transfer(seed, start, frozen=stages[:depth], steps=BRIEF)
        for depth in (0, 2, 3, 4, 5)
        for start in STARTS
        for seed in seeds
    ]
    return mosi_table("mosi_frozen", *finished)


def mosi_attention():
    """Where four networks look, for each seed; the first seed's pictures are published."""
    seeds = graph.settings("mosi_attention", seeds=[0, 1, 2])["seeds"]
    return mosi_table("mosi_attention", *map(mosi_gradcam, seeds))


def mosi_gradcam(seed):
    masked, unmasked = mosi_pretrain(seed), mosi_pretrain(seed, "unmasked")
    supervised = supervised_baseline(seed, 0)
    return graph.run(
        "13_mosi_gradcam",
        f"mosi_gradcam-s{seed}",
        after=[masked, unmasked, supervised],
        publish=seed == 0,  # the notebook publishes unless it is told not to
        mosi_weights=graph.path(masked.file("backbone.pt")),
        mosi_unmasked_weights=graph.path(unmasked.file("backbone.pt")),
        supervised_weights=graph.path(supervised.file("backbone.pt")),
        seed=seed,
    )


def mosi_clusters():
    unmasked = mosi_pretrain(0, "unmasked")
    return graph.run(
        "14_mosi_clusters",
        "mosi_clusters",
        after=[unmasked],
        publish=True,
        pretrained=graph.path(unmasked.file("backbone.pt")),
    )


def mosi_picture():
    return graph.run("10_mosi_pseudo_motion", "mosi_pseudo_motion", priority=1)


def mosi_tables():
    return [
        mosi_picture(),
        mosi_baseline(),
        mosi_lowshot(),
        *map(mosi_sweep, SWEEPS),
        mosi_frozen(),
        mosi_comparison(),
        mosi_attention(),
        mosi_clusters(),
    ]


rule mosi:
    """Every table and figure of MoSI."""
    input:
        graph.target("mosi", *mosi_tables()),


rule mosi_pseudo_motion:
    """How a pseudo motion and its static mask are made, as a figure and moving."""
    input:
        graph.target("mosi_pseudo_motion", mosi_picture()),


rule mosi_baseline:
    """Pretraining on both axes, on one, and none (the paper's table 1)."""
    input:
        graph.target("mosi_baseline", mosi_baseline()),


rule mosi_lowshot:
    """Fine-tuning on few labelled videos: MoSI against from scratch (table 3)."""
    input:
        graph.target("mosi_lowshot", mosi_lowshot()),


rule mosi_speeds:
    """Number of speeds an axis (table 2)."""
    input:
        graph.target("mosi_speeds", mosi_sweep("mosi_speeds")),


rule mosi_frames:
    """Frames of a pseudo motion at one distance a frame (table 2)."""
    input:
        graph.target("mosi_frames", mosi_sweep("mosi_frames")),


rule mosi_mask:
    """Size of the moving square, drawn, fixed or none, with and without curriculum (figure 7)."""
    input:
        graph.target("mosi_mask", mosi_sweep("mosi_mask")),


rule mosi_frozen:
    """Fine-tuning with the first stages frozen (figure 6)."""
    input:
        graph.target("mosi_frozen", mosi_frozen()),


rule mosi_comparison:
    """Our rows beside those that the papers print (table 5)."""
    input:
        graph.target("mosi_comparison", mosi_comparison()),


rule mosi_stills:
    """Photographs and dead leaves as the source (table 4)."""
    input:
        graph.target("mosi_stills", mosi_sweep("mosi_stills")),


rule mosi_attention:
    """Where four networks look, against where the sprite is, and pictures of it (figures 4 and 8)."""
    input:
        graph.target("mosi_attention", mosi_attention()),


rule mosi_clusters:
    """Clusters of unmasked features, with film strips (figure 5)."""
    input:
        graph.target("mosi_clusters", mosi_clusters()),
