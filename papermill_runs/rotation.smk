"""3D rotation prediction (3DRotNet), a row of TimeBalance's table: the same network and labels."""

from vidssl.runs.cells import Cell, Question, in_each

SEEN = ("backbone", "width", "frames", "frame_stride", "size", "short_side")  # as its students see


def seen():
    return {name: graph.parameter("32_timebalance_student", name) for name in SEEN}


def pretrain(seed):
    return graph.run("60_rotation_pretrain", f"rotation_pretrain-s{seed}", seed=seed, **seen())


def transfer(seed, share):
    """One fine-tuning from its weights on a share of the labels, in per cent."""
    first = pretrain(seed)
    return graph.run(
        "03_transfer",
        f"rotation_transfer-f{share}-s{seed}",
        after=[first],
        starts={"rotation": graph.path(first.file("backbone.pt"))},
        videos_per_class=0,
        label_fraction=float(share) / 100,
        baselines=False,
        seed=seed,
        **seen(),
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


@graph.target
def rotation():
    """3D rotation prediction: its pretraining, and what that is worth with few labels."""
    return [run for runs in rows().values() for run in runs]
