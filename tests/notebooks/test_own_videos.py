"""The README's two lines for one's own videos, as they stand there, and folders of every kind."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from vidssl import runs
from vidssl.data import write_video

REPOSITORY = runs.find_project()
LINES = re.findall(r"^papermill .*$", (REPOSITORY / "README.md").read_text("utf-8"), re.MULTILINE)
WAYS = {"circle": (1, 1), "shuttle": (1, 0), "still": (0, 0)}  # reach across and along


def scene(kind, rng, length=40, height=96, width=128, side=32):
    """Frames (T, H, W, 3): a textured square before a texture, on its way 20 frames long."""

    def texture(high, wide, grain):
        coarse = rng.integers(0, 256, (-(-high // grain), -(-wide // grain), 3))
        return np.kron(coarse, np.ones((grain, grain, 1)))[:high, :wide]

    background, sprite = texture(height, width, 8) / 2, texture(side, side, 6)
    across, along = WAYS[kind]
    reach = (height - side) / 2 - 2
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(length) / 20
    frames = np.repeat(background[None], length, axis=0)
    for frame, angle in zip(frames, angles):
        top = int((height - side) / 2 + along * reach * np.sin(angle))
        left = int((width - side) / 2 + across * reach * np.cos(angle))
        frame[top : top + side, left : left + side] = sprite
    return frames.astype(np.uint8)


@pytest.fixture(scope="module")
def own_videos(tmp_path_factory):
    """3 classes x 4 clips that motion tells apart, in a folder with spaces and accents."""
    root = tmp_path_factory.mktemp("own") / "mes vidéos à moi"
    rng = np.random.default_rng(0)
    for kind in WAYS:
        for number in range(4):
            write_video(root / kind / f"prise {number}.mp4", scene(kind, rng))
    return root


@pytest.fixture
def clone(tmp_path):
    """A clone as papermill meets it: notebooks, scales and the folder for runs of one's own."""
    left = shutil.ignore_patterns(".ipynb_checkpoints")
    for name in ("notebooks", "my_runs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=left)
    (tmp_path / "papermill_runs").mkdir()
    for path in (REPOSITORY / "papermill_runs").glob("*.yaml"):
        shutil.copy(path, tmp_path / "papermill_runs")
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def run_line(line, root, clone, more=""):
    """Run a line of the README in ``clone`` on the videos of ``root``; ``more`` is put behind it.

    Returns (exit status, what stands on the executed page and last on the terminal).
    """
    line = f"{line.replace('/my/videos', shlex.quote(str(root)))} --no-progress-bar {more}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        line, shell=True, cwd=clone, env=environment, capture_output=True, text=True
    )
    page = nbformat.read(clone / shlex.split(line)[2], 4)
    outputs = [output for cell in page.cells for output in cell.get("outputs", [])]
    return done.returncode, "".join(o.get("text", "") for o in outputs) + done.stderr[-1000:]


def untracked(clone):
    asked = ["git", "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(asked, cwd=clone, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if not line.startswith("A  ")]


def accuracy(text, name):
    """(of the test videos, of the training videos) in percent, of one initialisation."""
    line = re.search(rf"^{name}: top-1 ([\d.]+) %.* training videos ([\d.]+)%", text, re.MULTILINE)
    return float(line[1]), float(line[2])


FEW = "-y '{epochs: 1}'", "-y '{steps: 150, test_clips: 3}'"


def test_both_lines_run_on_a_small_set_and_leave_nothing_in_the_clone(own_videos, clone):
    status, pretrained = run_line(LINES[0], own_videos, clone, FEW[0])
    assert status == 0, pretrained
    assert "1 steps" in pretrained, "what is given is kept"
    assert "fitted" not in pretrained
    status, moved = run_line(LINES[1], own_videos, clone, FEW[1])
    assert status == 0, moved
    assert "videos_per_class 5 -> 3, frame_stride 7 -> 5;" in moved
    assert "9 labelled videos of 3 classes, 3 test videos" in moved
    assert max(accuracy(moved, name)[1] for name in ("scratch", "mosi")) > 60, "chance is 33"
    assert untracked(clone) == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_both_lines_learn_as_they_stand_in_the_readme(own_videos, clone):
    status, pretrained = run_line(LINES[0], own_videos, clone)
    assert status == 0, pretrained
    assert "epochs 2 -> 356;" in pretrained
    learned = re.search(r"held-out pretext accuracy ([\d.]+)% -> ([\d.]+)%", pretrained)
    assert float(learned[2]) > 50, "chance is 11"
    status, moved = run_line(LINES[1], own_videos, clone)
    assert status == 0, moved
    test, train = accuracy(moved, "mosi")
    assert train > 90
    assert test > 60, "chance is 33"
    assert untracked(clone) == []


def test_the_two_lines_are_those_of_the_issue():
    pages = [shlex.split(line)[1] for line in LINES]
    assert pages == ["notebooks/11_mosi_pretrain.ipynb", "notebooks/03_transfer.ipynb"]
    for line in LINES:
        assert "-p dataset folder -p root /my/videos" in line
