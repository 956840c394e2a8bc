# MotionFit's runs and tables; the Snakefile includes this file after making `graph`. A run's name
# says what differs from the notebooks' own parameters, so that tables share what they have in common.

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


def motionfit_name(kind, seed, *settings):
    changed = {key: value for part in settings for key, value in part.items() if key in TAGS}
    return "-".join([f"motionfit_{kind}", *(f"{TAGS[k]}{v}" for k, v in changed.items()), f"s{seed}"])


def motion_model(seed, modality="flow", first=None, **changed):
    """Step 1; `first`: a job whose network it starts from (clip order)."""
    weights = {"pretrained": graph.path(first.file("motion_model.pt"))} if first else {}
    kind = f"{STREAMS[modality]}_model" + ("_after_order" if first else "")
    return graph.run(
        "21_motionfit_motion_model",
        motionfit_name(kind, seed, changed),
        after=[first] if first else [],
        modality=modality,
        seed=seed,
        **weights,
        **changed,
    )


def clip_order(seed, modality="flow"):
    """Eq. 2 alone, on all training videos without their labels."""
    return motion_model(seed, modality, multi_clip_weight=0.0, videos_per_class=0)


def motionfit_labels(seed, modality="flow", model={}, **changed):
    """Step 2; features are extracted once for each motion model, by the run without changes."""
    if changed:
        first = motionfit_labels(seed, modality, model)
        given = {"features": graph.path(first.file("features.npz"))}
    else:
        first = motion_model(seed, modality, **model)
        given = {"motion_model": graph.path(first.file("motion_model.pt"))}
    network = {k: v for k, v in model.items() if k == "backbone"}
    return graph.run(
        "22_motionfit_pseudo_labels",
        motionfit_name(f"labels_{STREAMS[modality]}", seed, model, changed),
        after=[first],
        modality=modality,
        seed=seed,
        **given,
        **network,
        **changed,
    )


def motionfit_start(seed, network={}):
    """The job behind `BEGIN`; of another backbone, the same pretraining of that one, if any."""
    others = {told["backbone"]: name for name, told in MOSI.items() if list(told) == ["backbone"]}
    variant = others.get(network["backbone"]) if "backbone" in network else BEGIN
    return [mosi_pretrain(seed, variant)] if BEGIN and variant else []


def motionfit_student(
    seed, modality="flow", target="pseudo_labels", model={}, made={}, start=None, **network
):
    """Step 3, on pseudo-labels or on features (MERS); `start`: as `motionfit_start` gives it."""
    source = motionfit_labels(seed, modality, model, **made)
    start = motionfit_start(seed, network) if start is None else start
    kind = "mers" if target == "features" else f"student_{STREAMS[modality]}"
    return graph.run(
        "23_motionfit_self_training",
        motionfit_name(kind, seed, model, made, network),
        after=[source, *start],
        target=target,
        seed=seed,
        **start_from(start),
        **{target: graph.path(source.file(f"{target}.npz"))},
        **network,
    )


def motionfit_transfer(seed, name, taught=None, made={}, both=False, **changed):
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
        start = motionfit_start(seed)
        after = [motionfit_labels(seed), *start]
        given["teacher_features"] = graph.path(after[0].file("features.npz"))
        given["pretrained"] = {"mars": graph.path(job.file("backbone.pt")) for job in start}
    if both:
        after = [*after, motion_model(seed)]
        given["motion_predictions"] = graph.path(after[-1].file("predictions.npz"))
        if not changed:
            given |= published(seed)
    return graph.run(
        "24_motionfit_transfer",
        motionfit_name(f"transfer_{name}", seed, made, changed),
        after=after,
        initialisations=[name],
        baselines=name == "scratch",
        seed=seed,
        **given,
        **changed,
    )


def scratch(seed, **changed):
    return motionfit_transfer(seed, "scratch", **changed)


def motionfit(seed, **made):
    """The whole pipeline; `made`: settings of the pseudo-labels that differ."""
    taught = motionfit_student(seed, made=made)
    return motionfit_transfer(seed, "motionfit", taught, made, both=not made)


def motionfit_appearance(seed):
    return motionfit_transfer(seed, "appearance", motionfit_student(seed, "rgb"))


def motionfit_table(name, jobs):
    return graph.run(
        "25_motionfit_tables",
        name,
        after=list(dict.fromkeys(jobs)),
        table=name,
        steps=graph.parameter("24_motionfit_transfer", "steps"),
        records=graph.path("records"),
    )


def motionfit_multiclip():
    wanted = graph.settings(
        "motionfit_multiclip", seeds=[0, 1, 2, 3, 4], clips=[1, 3], long_seeds=[0, 1, 2], long=24
    )
    jobs = [
        motion_model(s, m, **({"clips": r} if r != 3 else {}))
        for m in STREAMS
        for s in wanted["seeds"]
        for r in wanted["clips"]
    ]
    jobs += [
        motion_model(s, m, clips=1, frames=wanted["long"])
        for m in STREAMS
        for s in wanted["long_seeds"]
    ]
    return motionfit_table("motionfit_multiclip", [*jobs, *map(scratch, wanted["seeds"])])


def motionfit_lambda():
    wanted = graph.settings("motionfit_lambda", seeds=[0, 1, 2], between=[0.5])
    jobs = []
    for s in wanted["seeds"]:
        jobs += [motion_model(s), motion_model(s, first=clip_order(s)), scratch(s)]
        jobs += [motion_model(s, multi_clip_weight=share) for share in wanted["between"]]
    return motionfit_table("motionfit_lambda", jobs)


def motionfit_granularity():
    levels = ["thirds", "boundaries", "video"]  # beside the main setting, clip
    wanted = graph.settings("motionfit_granularity", seeds=[0, 1, 2], levels=levels)
    jobs = [motionfit(s, level=level) for s in wanted["seeds"] for level in wanted["levels"]]
    main = [job(s) for s in wanted["seeds"] for job in (motionfit, scratch)]
    return motionfit_table("motionfit_granularity", [*jobs, *main])


def motionfit_clusters():
    numbers = [16, 32, 128]  # beside the main setting
    wanted = graph.settings("motionfit_clusters", seeds=[0, 1, 2], num_clusters=numbers)
    jobs = [motionfit(s, num_clusters=k) for s in wanted["seeds"] for k in wanted["num_clusters"]]
    main = [job(s) for s in wanted["seeds"] for job in (motionfit, scratch)]
    return motionfit_table("motionfit_clusters", [*jobs, *main])


def motionfit_cliplength():
    wanted = graph.settings("motionfit_cliplength", seeds=[0, 1, 2], frames=16)
    jobs = []
    for s in wanted["seeds"]:
        longer = {"frames": wanted["frames"]}
        taught = motionfit_student(s)
        jobs += [motionfit(s), motionfit_transfer(s, "motionfit", taught, **longer)]
        jobs += [scratch(s), scratch(s, **longer)]
    return motionfit_table("motionfit_cliplength", jobs)


def motionfit_mosi(seed, **changed):
    return motionfit_transfer(seed, "mosi", mosi_pretrain(seed), **changed)


def motionfit_mers(seed):
    return motionfit_transfer(seed, "mers", motionfit_student(seed, target="features"))


def motionfit_mars(seed):
    return motionfit_transfer(seed, "mars")


RIVALS = {"appearance": motionfit_appearance, "mers": motionfit_mers, "mars": motionfit_mars}


def motionfit_beside(seed, rivals):
    """What tables 5 and 7 compare."""
    chosen = [RIVALS[one_of("rivals", name, list(RIVALS))] for name in rivals]
    return [motionfit(seed), scratch(seed), *(rival(seed) for rival in chosen)]


def motionfit_transfers():
    """`long_steps`: of longer trainings, from scratch and with all labels; 0: none."""
    wanted = graph.settings(
        "motionfit_transfer",
        seeds=[0, 1, 2, 3, 4],
        all_labels=[0, 1, 2],
        long_steps=0,
        rivals=list(RIVALS),
    )
    jobs = [job for s in wanted["seeds"] for job in motionfit_beside(s, wanted["rivals"])]
    if BEGIN:  # what the students began as
        jobs += [motionfit_mosi(s) for s in wanted["seeds"]]
    longer = {"steps": wanted["long_steps"]} if wanted["long_steps"] else {}
    supervised = motionfit_mosi if BEGIN else scratch
    jobs += [supervised(s, videos_per_class=0, **longer) for s in wanted["all_labels"]]
    if longer:
        jobs += [scratch(s, **longer) for s in wanted["seeds"]]
    return motionfit_table("motionfit_transfer", jobs)


def motionfit_others(seed, backbone):
    """Other initialisations without labels, and a student of another architecture."""
    order = motionfit_transfer(seed, "clip_order", clip_order(seed, "rgb"))
    network = {"backbone": backbone}
    student = motionfit_transfer(seed, "motionfit", motionfit_student(seed, **network), **network)
    return [order, motionfit_mosi(seed), student]


def motionfit_comparison():
    wanted = graph.settings("motionfit_comparison", seeds=[0, 1, 2], backbone="s3dg")
    jobs = []
    for s in wanted["seeds"]:
        jobs += [*motionfit_others(s, wanted["backbone"]), motionfit(s), scratch(s)]
    return motionfit_table("motionfit_comparison", jobs)


def motionfit_retrieval():
    wanted = graph.settings("motionfit_retrieval", seeds=[0, 1, 2])
    without_labels = ("appearance", "mers")
    jobs = [job for s in wanted["seeds"] for job in motionfit_beside(s, without_labels)]
    return motionfit_table("motionfit_retrieval", jobs)


def motionfit_semi():
    """`backbone`: the paper's; empty: that of the other tables."""
    wanted = graph.settings(
        "motionfit_semi", seeds=[0, 1, 2], label_fractions=[0.2, 0.5], backbone="r3d_18"
    )
    jobs = []
    for s in wanted["seeds"]:
        for share in wanted["label_fractions"]:
            network = {"backbone": wanted["backbone"]} if wanted["backbone"] else {}
            few = {"label_fraction": share, "videos_per_class": 0}
            start = motionfit_start(s, network)
            taught = motionfit_student(s, model={**few, **network}, **network)
            jobs.append(motionfit_transfer(s, "motionfit", taught, **few, **network))
            jobs.append(scratch(s, **few, **network))
            for begun in start:  # what the student began as
                jobs.append(motionfit_transfer(s, "mosi", begun, **few, **network))
    return motionfit_table("motionfit_semi", jobs)


def motionfit_clusters_seen():
    """Pictures of one motion model's clusters, its features beside those of appearance."""
    motion, appearance = motionfit_labels(0), motionfit_labels(0, "rgb")
    return graph.run(
        "22_motionfit_pseudo_labels",
        "motionfit_clusters_seen",
        after=[motion, appearance],
        publish=True,
        features=graph.path(motion.file("features.npz")),
        compare=graph.path(appearance.file("features.npz")),
    )


def motionfit_flow():
    return graph.run("20_motionfit_flow", "motionfit_flow")


def motionfit_tables():
    """All of them and a picture of flow; headline tables first."""
    return [
        motionfit_flow(),
        motionfit_clusters_seen(),
        motionfit_transfers(),
        motionfit_multiclip(),
        motionfit_granularity(),
        motionfit_clusters(),
        motionfit_lambda(),
        motionfit_cliplength(),
        motionfit_retrieval(),
        motionfit_comparison(),
        motionfit_semi(),
    ]


rule motionfit_flow:
    """Optical flow by each method beside the true one."""
    input:
        graph.target("motionfit_flow", motionfit_flow()),


rule motionfit_clusters_seen:
    """The method as a drawing; clusters as film strips and as a map, beside appearance features."""
    input:
        graph.target("motionfit_clusters_seen", motionfit_clusters_seen()),


rule motionfit_transfer:
    """MotionFit against scratch, appearance pseudo-labels, MERS, MARS and all labels."""
    input:
        graph.target("motionfit_transfer", motionfit_transfers()),


rule motionfit_multiclip:
    """Motion against appearance with few labels, by the number of clips."""
    input:
        graph.target("motionfit_multiclip", motionfit_multiclip()),


rule motionfit_lambda:
    """The multi-clip loss against clip order."""
    input:
        graph.target("motionfit_lambda", motionfit_lambda()),


rule motionfit_granularity:
    """Pseudo-labels of clips, thirds, segments and videos."""
    input:
        graph.target("motionfit_granularity", motionfit_granularity()),


rule motionfit_clusters:
    """The number of clusters."""
    input:
        graph.target("motionfit_clusters", motionfit_clusters()),


rule motionfit_cliplength:
    """Longer clips in fine-tuning."""
    input:
        graph.target("motionfit_cliplength", motionfit_cliplength()),


rule motionfit_retrieval:
    """Retrieval of clips and of videos without fine-tuning."""
    input:
        graph.target("motionfit_retrieval", motionfit_retrieval()),


rule motionfit_comparison:
    """Against clip order and MoSI, and with another backbone."""
    input:
        graph.target("motionfit_comparison", motionfit_comparison()),


rule motionfit_semi:
    """Shares of the labels, the whole training set without labels as the source."""
    input:
        graph.target("motionfit_semi", motionfit_semi()),


rule motionfit:
    """Every table and figure of MotionFit."""
    input:
        graph.target("motionfit", *motionfit_tables()),
