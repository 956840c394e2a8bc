"""Every command of the README, of docs/ and of `vidssl --help` is run, at a size that fits.

They run as they stand there, in a copy of the project whose scale files are cut: only folders are
put in, and numbers of steps.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_project import REPOSITORY

from vidssl import cli
from vidssl.data import write_video

TOLD = "".join(
    path.read_text(encoding="utf-8")
    for path in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
)
BLOCKS = [block.strip() for block in re.findall(r"```sh\n(.*?)```", TOLD, re.DOTALL)]
FEWER = (  # what smoke's numbers replace in another scale's file
    *("steps", "epochs", "batch_images", "batch_size", "held_out_images"),
    *("num_clusters", "dense_step", "tsne_clips", "test_clips", "tuning_steps"),
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """<class>/<class>_<group>_<number>.mp4 in which a texture runs left or right; four groups."""
    root = tmp_path_factory.mktemp("own") / "my videos #1 {é}"
    for number in range(16):
        sign, group = (-1, 1)[number % 2], number // 2 % 4 + 1
        rng = np.random.default_rng(number)
        texture = np.kron(rng.integers(0, 256, (6, 30, 3), dtype=np.uint8), np.ones((8, 8, 1)))
        frames = [texture[:, 88 + sign * 2 * t : 152 + sign * 2 * t] for t in range(40)]
        name = "left" if sign < 0 else "right"
        write_video(root / name / f"{name}_{group}_{number}.mp4", np.stack(frames).astype(np.uint8))
    return root


def cut(scale):
    """A scale file's sections with smoke's numbers of steps, and one clip where smoke says none."""
    home = REPOSITORY / "papermill_runs"
    sections = yaml.safe_load((home / f"{scale}.yaml").read_text(encoding="utf-8"))
    smoke = yaml.safe_load((home / "smoke.yaml").read_text(encoding="utf-8"))
    for section, small in smoke.items():
        if section[0].isdigit():
            few = {name: value for name, value in small.items() if name in FEWER}
            sections[section] = {**sections.get(section, {}), **few}
    return sections


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = tmp_path_factory.mktemp("clone")
    shutil.copytree(REPOSITORY / "notebooks", made / "notebooks")
    shutil.copytree(REPOSITORY / "figures", made / "figures")
    (made / "my_runs").mkdir()
    kept = shutil.ignore_patterns(".snakemake", "data", "explore", "smoke", "mini", "variants")
    shutil.copytree(REPOSITORY / "papermill_runs", made / "papermill_runs", ignore=kept)
    for scale in ("demo", "folds", "mini", "real-utd"):
        sections = cut(scale)
        if scale == "real-utd":
            sections["targets"]["mosi_lowshot"]["seeds"] = [0]
        if scale == "demo":
            sections["data"] |= {"train": 6, "test": 2}
            sections["03_transfer"]["steps"] = 4
        text = yaml.safe_dump(sections, sort_keys=False)
        (made / "papermill_runs" / f"{scale}.yaml").write_text(text)
    return made


def block_with(words):
    [block] = [block for block in BLOCKS if words in block]
    return block


def shell(script, project, **replaced):
    """Run a block of the README or of docs in the project; what it printed."""
    for words, others in replaced.values():
        assert words in script
        script = script.replace(words, others)
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": paths}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def quoted(path):
    return f"'{path}'"


def test_each_block_of_commands_is_run_here():
    own = Path(__file__).read_text(encoding="utf-8")
    begun = re.findall(r'block_with\("(.+?)"\)', own)
    for block in BLOCKS:
        assert sum(words in block for words in begun) == 1, block


def test_each_command_of_the_help_is_run_by_a_test():
    told = cli._parser().format_help()
    commands = re.findall(r"^    (\w+) ", told, re.MULTILINE)
    assert {"run", "execute", "pool", "flow"} <= set(commands)
    tests = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_*.py"))
    for command in commands:
        assert re.search(rf'(\["|vidssl ){command}\b', tests + "".join(BLOCKS)), command


def test_the_targets_of_make_are_there():
    for command in block_with("make demo").splitlines():
        words = command.partition("#")[0].split()
        done = subprocess.run([*words, "-n"], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_demo_makes_all_that_it_needs(project):
    wanted = ["make", "-n", "demo", f"VENV={Path(sys.prefix)}"]
    said = subprocess.run(wanted, cwd=REPOSITORY, capture_output=True, text=True).stdout
    [command] = [line for line in said.splitlines() if "vidssl run" in line]
    shell(command, project)
    assert (project / "figures" / "demo_mosi_lowshot.png").exists()


def test_copies_and_flow_of_own_videos(videos, project, tmp_path):
    said = shell(
        block_with("vidssl prepare"),
        project,
        own=("/my/videos", quoted(videos)),
        copies=("/my/small_videos", quoted(tmp_path / "small")),
        flow=("/my/flow", quoted(tmp_path / "flow")),
    )
    assert f"{len(list(videos.rglob('*.mp4')))} copied" in said
    assert "extracted" in said


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_own_videos_by_plain_papermill(videos, project):
    few = "-p epochs 1 -p batch_images 2 -p held_out_images 2 -p root"
    short = "-p steps 2 -p batch_size 2 -p test_clips 1 -p videos_per_class 2 -p root"
    first, second = block_with("papermill notebooks/").splitlines()
    shell(first.replace("-p root", few), project, own=("/my/videos", quoted(videos)))
    shell(second.replace("-p root", short), project, own=("/my/videos", quoted(videos)))
    pattern = "-y \"dataset_options: {group_pattern: '_(\\d+)_'}\""
    assert pattern in TOLD
    assert "`test_groups: ['9']`" in TOLD
    grouped = pattern.replace("}", ", test_groups: ['1', '2']}")
    own = f"-p dataset folder {few} {quoted(videos)} {grouped}"
    shell(f"papermill notebooks/11_mosi_pretrain.ipynb my_runs/groups.ipynb {own}", project)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_folds_of_own_videos_end_to_end(videos, project):
    script = block_with("--scale folds")
    told = shell(
        script,
        project,
        own=("/my/videos", quoted(videos)),
        folds=("in 1 2 3 4 5", "in 1 2"),
    )
    pooled = [line for line in told.splitlines() if line.startswith("folds-")]
    [line] = [line for line in pooled if "motionfit_transfer_motionfit-s0" in line
              and "motionfit_top1_accuracy" in line]  # fmt: skip
    assert line.endswith("of 8 videos, 2 folds")
    assert "figures not made" not in told
    for fold in "12":
        root = project / "my_runs" / "folds" / fold
        made = json.loads((root / "folds/motionfit_transfer_motionfit-s0/run.json").read_text())
        assert made["parameters"]["dataset_options"]["test_groups"] == [fold]
        assert made["parameters"]["retrieval_clips"] == 0
        assert (root / "figures/folds_motionfit_transfer.png").exists()
    again = script.split("vidssl pool")[0]
    shell(again, project, own=("/my/videos", quoted(videos)), folds=("in 1 2 3 4 5", "in 1"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_small_real_set_as_a_scale_of_its_own(videos, project):
    """On other videos, whose groups stand elsewhere in their names."""
    options = {"group_pattern": "_([1-4])_", "test_groups": "['2', '4']"}
    told = " ".join(f'-p dataset_options.{name} "{value}"' for name, value in options.items())
    shell(
        block_with("--scale real-utd"),
        project,
        root=("/my/utd_mhad_depth", f"{quoted(videos)} {told}"),
    )
    figure = json.loads((project / "figures" / "real-utd_mosi_lowshot.json").read_text())
    assert figure["scale"] == "real-utd"
    records = project / "papermill_runs" / "records"
    [record] = records.glob("real-utd-mosi_transfer-xy-*.json")
    known = json.loads(record.read_text())
    assert known["metrics"]["test_videos"] == 8
    assert known["parameters"]["whole_frame"] is True


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_batch_one_run_the_list_and_the_origin(project):
    few = "-p epochs 1 --scale smoke"
    shell(block_with("vidssl execute"), project, few=("-p epochs 4", few))
    assert (project / "my_runs/wide/run.json").exists()
    small = "vidssl run mosi_lowshot --scale smoke"
    script = block_with("vidssl trace").replace("vidssl run mosi_lowshot", small)
    assert "mosi_lowshot" in shell(script, project)


@pytest.mark.slow
def test_a_machine_is_timed_and_a_target_planned(project, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    script = block_with("vidssl doctor --speed").replace("--scale paper-kinetics", "--scale smoke")
    told = shell(script, project)
    assert "limits" in told
    [kept] = tmp_path.rglob("speeds.json")
    assert "11_mosi_pretrain" in kept.read_text()
    assert "not measured" in told.splitlines()[-1] or " h" in told


@pytest.mark.slow
def test_a_method_of_one_s_own(project, tmp_path):
    """The guide's `.smk` with pace prediction under another name: its test, its page, its table."""
    clone, name = tmp_path / "clone", "paced"
    shutil.copytree(project, clone)
    for folder in ("vidssl", "tests", "docs"):
        shutil.copytree(REPOSITORY / folder, clone / folder)
    for file in ("pyproject.toml", "README.md", "tests/methods/test_pace.py"):
        shutil.copy(REPOSITORY / file, clone / file.replace("pace", name))
    page = (REPOSITORY / "notebooks/50_pace_pretrain.py").read_text(encoding="utf-8")
    for word, other in {"50_pace_pretrain": f"90_{name}_pretrain", '"pace"': f'"{name}"'}.items():
        page = page.replace(word, other)
    (clone / f"notebooks/90_{name}_pretrain.py").write_text(page, encoding="utf-8")
    guide = (REPOSITORY / "docs/own_method.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    renamed = re.sub(r'own(?=[_"])', name, example)
    (clone / f"papermill_runs/{name}.smk").write_text(renamed, encoding="utf-8")
    script = block_with("tests/methods/test_NAME.py")
    shell("export PYTHONPATH=$PWD\n" + re.sub(r"NAME|own(?=_)", name, script), clone)
    assert (clone / f"my_runs/smoke/figures/smoke_{name}_lowshot.csv").exists()
