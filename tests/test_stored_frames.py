"""Where runs keep decoded frames, and that `vidssl prepare --frames` makes the file they find."""

import shutil

import numpy as np
import pytest
import torch
from tiny_project import REPOSITORY

from vidssl import cli, models, runs
from vidssl.core import VideoRecord
from vidssl.data import collate, synthetic, write_video
from vidssl.data.registry import open_dataset
from vidssl.methods import supervised
from vidssl.protocol import Clips
from vidssl.runs.inputs import frame_store, open_frames
from vidssl.training import TrainConfig, fit

PARAMS = {"dataset": "folder", "frame_store_gb": 1.0, "scale": "mini"}


@pytest.fixture
def frames_at(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDSSL_FRAMES", str(tmp_path / "frames"))
    return tmp_path / "frames"


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "my videos"
    pixels = np.random.default_rng(0).integers(0, 256, (10, 48, 64, 3), dtype=np.uint8)
    for name in ("wave/a", "wave/b", "clap/a", "clap/b"):
        write_video(root / f"{name}.mp4", pixels)
    return root


def files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_a_run_finds_what_prepare_made(videos, frames_at, capsys, monkeypatch):
    assert cli.main(["prepare", "--frames", str(videos), "--short-side", "24"]) == 0
    assert "frames: 4 of 4 videos at 24 px" in capsys.readouterr().out
    before = {file: (frames_at / file).stat().st_mtime_ns for file in files(frames_at)}
    monkeypatch.setattr("vidssl.data.frame_store._decoded", None)
    splits = open_dataset("folder", videos)
    given = {**PARAMS, "root": f"{videos}/../{videos.name}/"}  # as a user may write it
    store = open_frames(given, [*splits.train, *splits.test], 24)
    assert "frames: 4 of 4 videos at 24 px" in capsys.readouterr().out
    assert all(store.frames(r.path, 24) is not None for r in [*splits.train, *splits.test])
    assert {file: (frames_at / file).stat().st_mtime_ns for file in files(frames_at)} == before
    assert not [file for file in files(videos) if file.suffix != ".mp4"]


@pytest.mark.parametrize("size", ["-1", "nan"])
def test_prepare_refuses_a_size_below_nothing_also_where_all_frames_are_kept(
    videos, frames_at, capsys, size
):
    assert cli.main(["prepare", "--frames", str(videos)]) == 0
    assert cli.main(["prepare", "--frames", str(videos), "--gb", size]) == 1
    assert f"gb={float(size)} must be 0 or more" in capsys.readouterr().err


def test_prepare_s_defaults_are_those_of_the_notebooks(videos, frames_at, capsys):
    cli.main(["prepare", "--frames", str(videos), "--gb", "0.5"])
    assert f"at {cli.MINI_SIDE} px" in capsys.readouterr().out
    for notebook in runs.notebook_names(REPOSITORY):
        declared = runs.declared_parameters(runs.notebook_path(notebook, REPOSITORY))
        if "frame_store_gb" in declared:
            assert declared.get("short_side", cli.MINI_SIDE) == cli.MINI_SIDE
            assert declared["frame_store_gb"] == (0.0 if notebook.startswith("11") else 4.0)


def test_prepare_names_what_it_cannot_read(videos, frames_at, capsys):
    (videos / "wave/text.mp4").write_text("no video")
    assert cli.main(["prepare", "--frames", str(videos), "-j", "1"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("; 1 cannot be read")
    assert told[1].startswith(f"  {videos}/wave/text.mp4: ")


def test_prepare_takes_a_folder_of_images(tmp_path, frames_at, capsys):
    image = pytest.importorskip("PIL.Image")
    for name in ("a", "b"):
        (tmp_path / "stills").mkdir(exist_ok=True)
        image.new("RGB", (60, 40)).save(tmp_path / "stills" / f"{name}.png")
    assert cli.main(["prepare", "--frames", str(tmp_path / "stills")]) == 0
    assert "2 of 2 videos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--frames", "{root}", "{root}2"], "--frames takes no folder"),
        (["{root}"], "folder is missing"),
        (["--frames", "{root}/nowhere"], "is not a folder"),
        (["--frames", "{root}", "--short-side", "0"], "short_side=0 must be at least 1"),
    ],
)
def test_prepare_refuses(videos, frames_at, capsys, words, told):
    assert cli.main(["prepare", *(word.format(root=videos) for word in words)]) == 1
    assert told in capsys.readouterr().err
    assert not frames_at.exists()


def test_no_store_where_none_is_wanted(videos, frames_at):
    records = open_dataset("folder", videos).train
    params = {**PARAMS, "root": str(videos)}
    assert open_frames({**params, "frame_store_gb": 0.0}, records, 24) is None
    with pytest.raises(runs.ParameterError, match="frame_store_gb=-1 must be 0"):
        open_frames({**params, "frame_store_gb": -1}, records, 24)
    assert not frames_at.exists()


def test_frames_lie_beside_embedded_data_and_never_among_own_videos(tmp_path, videos, monkeypatch):
    monkeypatch.delenv("VIDSSL_FRAMES", raising=False)
    embedded = tmp_path / "data" / "smoke-seed0"
    embedded.mkdir(parents=True)
    (embedded / synthetic.MARKER).write_text("{}")
    store = frame_store(embedded, 40)
    assert store.folder.parent == tmp_path / "data" / "frames"
    assert store.folder.name.startswith("smoke-seed0-40px-")
    moved = shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    assert frame_store(moved / "smoke-seed0", 40).folder.name == store.folder.name
    own = frame_store(videos, 40).folder
    assert own.parent == runs.find_project() / "papermill_runs" / "data" / "frames"


def test_each_set_side_and_decoder_has_a_store_of_its_own(tmp_path, monkeypatch, frames_at):
    monkeypatch.setenv("VIDSSL_DECODER", "pyav")
    names = {
        frame_store(root, side).folder
        for root in (tmp_path / "a" / "set", tmp_path / "b" / "set")
        for side in (24, 40)
    }
    monkeypatch.setenv("VIDSSL_DECODER", "decord")
    names.add(frame_store(tmp_path / "a" / "set", 24).folder)
    assert len(names) == 5
    assert {folder.parent for folder in names} == {frames_at}


def test_a_video_outside_the_root_has_a_place_too(videos, tmp_path, frames_at):
    other = shutil.copy(videos / "wave/a.mp4", tmp_path / "other.mp4")
    params = {**PARAMS, "root": str(videos)}
    store = open_frames(params, [VideoRecord(str(other), 0, "other")], 24)
    assert store.frames(str(other), 24).shape == (10, 24, 32, 3)


def test_a_training_learns_the_same_with_a_store(moving_videos, frames_at):
    records = open_dataset("folder", moving_videos).train
    params = {**PARAMS, "root": str(moving_videos)}
    weights = []
    for gigabytes in (0.0, 1.0):
        store = open_frames({**params, "frame_store_gb": gigabytes}, records, 20)
        data = Clips(frames=4, stride=2, size=16, short_side=20, store=store).training(records, 0)
        torch.manual_seed(0)
        model = models.build("r2plus1d_10", num_classes=2, width=0.125)
        config = TrainConfig(epochs=2, batch_size=4)
        quiet = {"collate": collate, "report": lambda *_: None}
        fit(model, data, supervised.training_step(), config, **quiet)
        weights.append(model.state_dict())
    assert frames_at.exists()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
