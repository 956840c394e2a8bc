"""The three pipelines at less than smoke scale, each page executed as `vidssl execute` does, in a
process that may be killed. A page's cells run in that process, not in a kernel of its own: a kernel
takes longer to begin than these pages take."""

import json
import multiprocessing
import os
import signal
import sys
import traceback
from pathlib import Path

import torch
from forked_kernels import forking

REPOSITORY = Path(__file__).parents[1]
TIMES = ("seconds", "waiting_share")  # of metrics that no two runs share
SMALL = {"steps": 3, "batch_size": 4, "test_clips": 1}
TEACHER = {**SMALL, "global_stride": 4, "batch_videos": 4, "fractions": [0.5], "tuning_steps": 3}
PAIRED = {"invariant": "{}/smoke/invariant", "distinctive": "{}/smoke/distinctive"}
LABELS = {"flow": "{}/flow", "flow_method": "farneback"}
PIPELINES = {
    "MoSI": [
        ("11_mosi_pretrain", "pretrain", {"epochs": 1, "batch_images": 4, "held_out_images": 4}),
        (
            "03_transfer",
            "transfer",
            {**SMALL, "starts": {"mosi": "{}/smoke/pretrain/backbone.pt"}, "videos_per_class": 2},
        ),
    ],
    "MotionFit": [
        ("flow", "flow", {}),
        ("21_motionfit_motion_model", "model", {**SMALL, **LABELS, "videos_per_class": 2}),
        (
            "22_motionfit_pseudo_labels",
            "labels",
            {**LABELS, "num_clusters": 3, "tsne_clips": 8}
            | {"motion_model": "{}/smoke/model/motion_model.pt"},
        ),
        (
            "23_motionfit_self_training",
            "student",
            {"epochs": 1, "batch_size": 4, "validation": 0.25, "test_clips": 1}
            | {"pseudo_labels": "{}/smoke/labels/pseudo_labels.npz"},
        ),
    ],
    "TimeBalance": [
        ("30_timebalance_teachers", "invariant", {**TEACHER, "objective": "invariant"}),
        ("30_timebalance_teachers", "distinctive", {**TEACHER, "objective": "distinctive"}),
        (
            "31_timebalance_similarity",
            "similarity",
            {**PAIRED, "local_stride": 1, "clips": 4, "fraction": 0.5},
        ),
        (
            "32_timebalance_student",
            "student",
            {**SMALL, **PAIRED, "fraction": 0.5}
            | {"similarities": "{}/smoke/similarity/similarities.npz"},
        ),
    ],
}


# --- one life: from where the last one ended to the end, or until it is killed --------------------


def live(pipeline, life, root, fault, more, told):
    """Whatever of a pipeline is not done yet, in ``life``; how it ended goes through ``told``."""
    os.setsid()
    os.chdir(REPOSITORY)
    os.environ["VIDSSL_FRAMES"] = str(life / "frames")
    sink = os.open(life.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1), os.dup2(sink, 2)
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of loading workers, as in any run
    try:
        fault()
        for page, name, parameters in PIPELINES[pipeline]:
            step(page, life, name, {**placed(parameters, life), **more}, root)
        told.send("")
    except Exception as error:
        traceback.print_exc()
        told.send(f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    os._exit(0)


def placed(value, life):
    """``value`` with the life's folder in place of each {}."""
    if isinstance(value, dict):
        return {key: placed(part, life) for key, part in value.items()}
    return value.replace("{}", str(life)) if isinstance(value, str) else value


def step(page, life, name, parameters, root):
    from vidssl import runs
    from vidssl.motion.extract import extract_flow
    from vidssl.runs import parameters as declared

    if page == "flow":
        extract_flow(root, life / "flow", method="farneback", short_side=64, workers=1)
        return
    folder = life / "smoke" / name
    if (folder / "run.json").exists():
        return
    known = declared.declared_parameters(runs.notebook_path(page))
    given = {"root": str(root), "frame_store_gb": 1.0, "num_workers": 0, **parameters}
    sys.modules["vidssl.runs.execute"]._papermill = cells_here
    runs.execute(page, folder, {k: v for k, v in given.items() if k in known}, scale="smoke")


def cells_here(source, output, given, project, *limits):
    """Execute a page's cells in this process, where papermill would start a kernel."""
    from vidssl.runs.execute import RunFailed
    from vidssl.runs.notebooks import notebook_cells, pair_text

    names = {"__name__": "__main__", "display": lambda *_: None}
    output.write_text(pair_text(source), encoding="utf-8")
    for number, cell in enumerate(notebook_cells(source.read_text(encoding="utf-8"))):
        if cell.kind == "code":
            try:
                exec(compile(cell.source, f"{source.name}[{number}]", "exec"), names)
            except Exception as error:
                traceback.print_exc()
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise RunFailed(f"{output}: cell {number} stopped with {reason}") from None
        if "parameters" in cell.tags:
            names.update(given)


# --- lives, one after the other -------------------------------------------------------------------


class Lives:
    """A pipeline on the videos below ``root``, begun as often as needed in the folder ``life``."""

    def __init__(self, pipeline, life, root):
        self.pipeline, self.life, self.root = pipeline, life, root
        self.context = forking()
        life.mkdir(parents=True, exist_ok=True)

    def begin(self, fault=bool, **more):
        """A life, and the pipe on which it says how it ended; ``more``: parameters of all pages."""
        heard, told = self.context.Pipe(duplex=False)
        arguments = (self.pipeline, self.life, self.root, fault, more, told)
        process = self.context.Process(target=live, args=arguments)
        process.start()
        told.close()
        return process, heard

    def to_the_end(self, fault=bool, **more):
        """ "" where the pipeline came to its end, else what it said; ``more`` as `begin` has it."""
        process, heard = self.begin(fault, **more)
        try:
            return heard.recv()
        except EOFError:
            return "nothing"
        finally:
            process.join()

    def killed_after(self, seconds):
        """Whether SIGKILL came before the end, to the process and all that it started."""
        process, heard = self.begin()
        ended = heard.poll(seconds)
        while not ended and process.is_alive():
            try:
                os.killpg(process.pid, signal.SIGKILL)
                break
            except ProcessLookupError:  # it has no group of its own yet
                process.join(0.01)
        process.join()
        return not ended

    def forget_last(self):
        """Make the last page one that was killed at its end."""
        folder = self.life / "smoke" / PIPELINES[self.pipeline][-1][1]
        (folder / "run.json").unlink()
        attempt = json.loads((folder / ".attempt.json").read_bytes())
        (folder / ".attempt.json").write_text(json.dumps({**attempt, "status": "running"}))
        return folder

    def numbers(self):
        """Every page's metrics but times, and its weights."""
        found = {}
        for path in sorted((self.life / "smoke").glob("*/run.json")):
            metrics = json.loads(path.read_bytes())["metrics"]
            lasting = {k: v for k, v in metrics.items() if not any(time in k for time in TIMES)}
            found[path.parent.name] = lasting
            for file in path.parent.glob("*.pt"):
                content = torch.load(file, weights_only=True)["weights"]
                sums = {name: value.double().sum().item() for name, value in content.items()}
                found[path.parent.name][file.name] = sums
        assert len(found) == sum(page != "flow" for page, *_ in PIPELINES[self.pipeline])
        return found

    def log(self):
        return self.life.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
