"""A project of one small notebook, for tests that really run papermill and Snakemake."""

import json
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

NOTEBOOK = """\
# %% [markdown]
# # Tiny

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"
seed = 0
lr = 0.1  # a comment is no part of it
sizes = [1, 2]
fail = False
publish = False

# %%
from vidssl import runs

run = runs.start("90_tiny", globals())

# %%
import matplotlib.pyplot as plt

for step in range(3):
    run.log(step=step, loss=1 / (step + 1))
print(f"seed {seed} done", flush=True)
if fail:
    raise ValueError("asked to fail")

# %%
figure, axes = plt.subplots()
axes.plot([0, 1], [seed, seed + 1])
rows = [{"seed": seed, "loss": 1 / 3}]
about = {"alt": "a rising line", "dataset": dataset}
run.save_figure(figure, "tiny", data=rows, publish=publish, **about)
plt.close(figure)

# %%
run.finish({"loss": 1 / 3, "curve": [0.1] * 9}, seeds=[seed], failed=[*"abcdea"])
"""

METHOD = """\
wanted = graph.settings("pair", seeds=[3])


@graph.target
def pair():
    \"\"\"Two runs, one after the other.\"\"\"
    first = graph.run("90_tiny", "first", seed=wanted["seeds"][0])
    return graph.run("90_tiny", "second", after=[first], publish=True, seed=4)
"""


def make_project(folder: Path) -> Path:
    """Write the project below ``folder``, as a git repository with one commit."""
    home = folder / "papermill_runs"
    (folder / "notebooks").mkdir(parents=True)
    home.mkdir()
    (folder / "notebooks" / "90_tiny.py").write_text(NOTEBOOK)
    (home / "tiny.smk").write_text(METHOD)
    (home / "smoke.yaml").write_text("common: {lr: 1e-3}\n90_tiny: {sizes: [9]}\n")
    shutil.copy(REPOSITORY / "papermill_runs" / "Snakefile", home)
    shutil.copytree(REPOSITORY / "papermill_runs" / "profiles", home / "profiles")
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    (folder / ".gitignore").write_text("/papermill_runs/*/\n/figures/\n.snakemake/\n.config.json\n")
    for command in (["init", "-q"], ["add", "."], [*name, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def empty_project(folder: Path) -> Path:
    """The project's own pages and scales below ``folder``, nothing run or made yet."""
    shutil.copytree(REPOSITORY / "notebooks", folder / "notebooks")
    (folder / "papermill_runs").mkdir()
    for path in (REPOSITORY / "papermill_runs").glob("*.yaml"):
        shutil.copy(path, folder / "papermill_runs")
    return folder


def leave_record(root: Path, run: str, parameters: dict | None = None, **fields) -> Path:
    """Leave the record of a finished run below a folder of all runs."""
    scale = run.partition("-")[0]
    record = {"run": run, "notebook": "90_tiny", "scale": scale, "seeds": [0], "seconds": 61.2}
    record |= {"parameters": {"seed": 0, **(parameters or {})}, "metrics": {"loss": 0.25}}
    record |= {"finished": "2026-01-02", "commit": "0123456789", "dirty": True, "code": {}}
    path = root / "records" / f"{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**record, **fields}), encoding="utf-8")
    return path
