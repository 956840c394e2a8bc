"""Files made from every video of a data set, in shards: what pages otherwise make one after another.

Each shard is a job, on this machine or a cluster; a last one joins them. The videos are those of the
scale, or -p root's. `targets: {flow: {shards: 64}}` in a scale's file says how many shards.
"""


def flow():
    """The optical flow that MotionFit's pages read, extracted in shards."""
    wanted = graph.settings("flow", shards=4)
    jobs = {}
    for page in ("21_motionfit_motion_model", "22_motionfit_pseudo_labels"):
        names = ("flow", "flow_method", "flow_side")
        folder, method, side = (graph.parameter(page, name) for name in names)
        folder = folder or f"{{root}}-flow-{method}{side}"
        options = {"method": method, "short_side": side}
        jobs |= {folder: graph.extraction("flow", page, folder, wanted["shards"], **options)}
    return list(jobs.values())


def prepare():
    """Small copies of the videos, quick to read, beside them: -p root FOLDER-small128 uses them."""
    wanted = graph.settings("prepare", shards=4, folder="{root}-small{side}", short_side=128)
    side = wanted["short_side"]
    folder = wanted["folder"].replace("{side}", str(side))
    page = "02_supervised_baseline"
    return graph.extraction("prepare", page, folder, wanted["shards"], short_side=side)


for make in (flow, prepare):
    graph.target(make, apart=True)
