"""What labels alone teach: the network every method is held against."""


def baseline(seed, videos_per_class):
    return graph.run(
        "02_supervised_baseline",
        f"supervised-n{videos_per_class or 'all'}-s{seed}",
        videos_per_class=videos_per_class,
        seed=seed,
    )


@graph.target
def supervised_baseline():
    """What labels alone teach: the network every method is held against, and its yardsticks."""
    wanted = graph.settings("supervised_baseline", seeds=[0], videos_per_class=[0])
    return [baseline(s, n) for s in wanted["seeds"] for n in wanted["videos_per_class"]]
