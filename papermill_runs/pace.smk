"""Pace prediction, a pretext task of motion beside MoSI's: the same labels, the same judge."""

from vidssl.runs.cells import Cell, Question, in_each


def pretrain(seed):
    return graph.run("50_pace_pretrain", f"pace_pretrain-s{seed}", seed=seed)


def transfer(seed, videos_per_class):
    """One fine-tuning from its weights."""
    first = pretrain(seed)
    return graph.run(
        "03_transfer",
        f"pace_transfer-n{videos_per_class or 'all'}-s{seed}",
        after=[first],
        starts={"pace": graph.path(first.file("backbone.pt"))},
        videos_per_class=videos_per_class,
        baselines=False,
        seed=seed,
    )


@graph.adds_to("mosi_comparison")
def beside_mosi():
    labels, column = mosi.LABELS, mosi.LABELS or "all"
    seeds = graph.settings("pace", seeds=[0, 1, 2])["seeds"]
    runs = [transfer(seed, labels) for seed in seeds]
    claims = [*in_each([column], "pace", "scratch"), *in_each([column], "MoSI", "pace", 0)]
    return Question([Cell("pace", column, runs, "pace_")], claims)


@graph.target
def pace():
    """Pace prediction: its pretraining, and what that is worth with few labels."""
    seeds = graph.settings("pace", seeds=[0, 1, 2])["seeds"]
    return [transfer(seed, mosi.LABELS) for seed in seeds]
