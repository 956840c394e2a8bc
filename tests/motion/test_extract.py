"""Extraction of a set: shards, sizes that differ, kills, bad and short videos."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vidssl.core import UnreadableVideo
from vidssl.data import per_video, read_frames, resize_short_side, write_video
from vidssl.data.flow_files import decode_flow, encode_flow, flow_about, read_flow
from vidssl.motion import optical_flow
from vidssl.motion.extract import extract_flow

pytest.importorskip("cv2")
pytest.importorskip("av")

QUIET = {"workers": 1, "progress": False}
QUICK = {"method": "farneback", "short_side": 32, **QUIET}


def moving(length=6, height=48, width=64, seed=0):
    """A texture that moves 1 px to the right a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8, width // 8 + 4, 3), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    return np.stack([texture[:, 32 - t : 32 - t + width] for t in range(length)])


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "videos"
    for i, name in enumerate(("clap/a.mp4", "clap/b.mp4", "wave/a.mp4", "wave/c.avi")):
        write_video(root / name, moving(seed=i))
    return root


def manifest(folder, name="flow.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def stamps(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.npz")}


# --- what is written -----------------------------------------------------------------------------


def test_files_hold_the_flow_of_resized_frames(videos, tmp_path):
    done = extract_flow(videos, tmp_path / "flow", **QUICK)
    assert (done.made, done.kept, done.failed, done.too_short) == (4, 0, {}, [])
    frames = resize_short_side(read_frames(videos / "clap/a.mp4", range(6)), 32)
    path = tmp_path / "flow" / "clap" / "a.mp4.npz"
    assert np.array_equal(read_flow(path), encode_flow(optical_flow(frames, "farneback")))
    about = flow_about(path)
    assert (about["method"], about["short_side"], about["fps"]) == ("farneback", 32, 25)
    assert about["shape"] == [5, 32, 43, 2]
    assert about["parameters"]["winsize"] == 13
    assert manifest(tmp_path / "flow")[1]["frames"] == 6


@pytest.mark.parametrize("method", ["fast", "torch"])
def test_motion_is_in_pixels_of_the_stored_size(tmp_path, method):
    write_video(tmp_path / "in/v.mp4", moving(3))
    extract_flow(tmp_path / "in", tmp_path / "out", **{**QUICK, "method": method})
    flow = decode_flow(read_flow(tmp_path / "out/v.mp4.npz"))
    np.testing.assert_allclose(np.median(flow, axis=(0, 1, 2)), [32 / 48, 0], atol=20 / 127)


def test_sizes_may_differ_and_small_ones_stay(tmp_path):
    for name, size in (("wide", (48, 96)), ("high", (96, 48)), ("small", (24, 32))):
        write_video(tmp_path / f"in/{name}.mp4", moving(3, *size))
    extract_flow(tmp_path / "in", tmp_path / "out", **QUICK)
    shapes = {n: read_flow(tmp_path / f"out/{n}.mp4.npz").shape for n in ("wide", "high", "small")}
    assert shapes == {"wide": (2, 32, 64, 2), "high": (2, 64, 32, 2), "small": (2, 24, 32, 2)}


def test_one_frame_is_too_short_and_a_still_video_does_not_move(tmp_path):
    write_video(tmp_path / "in/one.mp4", moving(1))
    write_video(tmp_path / "in/still.mp4", np.full((4, 48, 64, 3), 90, np.uint8))
    done = extract_flow(tmp_path / "in", tmp_path / "out", **{**QUICK, "method": "fast"})
    assert done.too_short == ["one.mp4"]
    assert str(done).endswith("1 too short for flow (1 frame): one.mp4")
    assert read_flow(tmp_path / "out/one.mp4.npz").shape == (0, 32, 43, 2)
    assert (read_flow(tmp_path / "out/still.mp4.npz") == 128).all()
    again = extract_flow(tmp_path / "in", tmp_path / "out", **{**QUICK, "method": "fast"})
    assert (again.kept, again.too_short) == (2, ["one.mp4"])


def test_long_videos_are_read_in_chunks(videos, tmp_path, monkeypatch):
    extract_flow(videos, tmp_path / "whole", **QUICK)
    monkeypatch.setattr(per_video, "CHUNK_BYTES", 2 * 48 * 64 * 3)
    extract_flow(videos, tmp_path / "chunks", **QUICK)
    for path in (tmp_path / "whole").rglob("*.npz"):
        other = tmp_path / "chunks" / path.relative_to(tmp_path / "whole")
        assert other.read_bytes() == path.read_bytes()


# --- shards, again, kills ------------------------------------------------------------------------


def test_shards_make_the_same_files_and_another_number_goes_on(videos, tmp_path):
    out = tmp_path / "flow"
    extract_flow(videos, tmp_path / "whole", **QUICK)
    first = extract_flow(videos, out, shard=(1, 3), **QUICK)
    assert (first.made, first.kept) == (2, 0)
    assert {entry["file"] for entry in manifest(out, "flow.1of3.jsonl")[1:]} == {
        "clap/a.mp4",
        "wave/c.avi",
    }
    assert extract_flow(videos, out, shard=(2, 3), **QUICK).made == 1
    before = stamps(out)
    rest = extract_flow(videos, out, **QUICK)
    assert (rest.made, rest.kept) == (1, 3)
    assert before.items() <= stamps(out).items()
    for path in (tmp_path / "whole").rglob("*.npz"):
        assert (out / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()
    assert extract_flow(videos, out, shard=(2, 2), **QUICK).kept == 2


def test_a_shard_leaves_the_unfinished_files_of_others_alone(videos, tmp_path):
    out = tmp_path / "flow"
    extract_flow(videos, out, shard=(1, 2), **QUICK)
    ours, theirs = (out / "clap" / f".{n}.mp4.npz.77.part" for n in "ab")
    for partial in (ours, theirs):
        partial.write_bytes(b"half")
    extract_flow(videos, out, shard=(1, 2), **QUICK)
    assert not ours.exists()
    assert theirs.exists()


def test_only_what_changed_is_made_again(videos, tmp_path):
    out = tmp_path / "flow"
    extract_flow(videos, out, **QUICK)
    before = stamps(out)
    write_video(videos / "clap/b.mp4", moving(9))
    (out / "wave/a.mp4.npz").write_bytes(b"cut short")
    done = extract_flow(videos, out, **QUICK)
    assert (done.made, done.kept) == (2, 2)
    assert len(read_flow(out / "clap/b.mp4.npz")) == 8
    assert len(read_flow(out / "wave/a.mp4.npz")) == 5
    assert stamps(out)["wave/c.avi.npz"] == before["wave/c.avi.npz"]


def test_a_killed_shard_is_resumed_with_nothing_corrupt(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    first = write_video(root / "v00.mp4", moving(4, 96, 128))
    for i in range(1, 60):
        shutil.copy(first, root / f"v{i:02d}.mp4")
    arguments = f"{str(root)!r}, {str(out)!r}, method='fast', shard=(1, 2)"
    script = f"from vidssl.motion.extract import extract_flow; extract_flow({arguments})"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    noted = out / "flow.1of2.jsonl"  # settings, then a line for each video
    while process.poll() is None and (not noted.exists() or noted.read_bytes().count(b"\n") < 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2.5)  # its workers notice and end
    told = noted.read_bytes().count(b"\n") - 1
    assert 3 <= told <= len(stamps(out)) < 30
    shapes = {read_flow(path).shape for path in out.glob("*.npz")}
    assert shapes == {(3, 96, 128, 2)}
    done = extract_flow(root, out, method="fast", shard=(1, 2), **QUIET)
    assert done.made + done.kept == 30
    assert done.kept == told, "what was noted is not made again"
    assert not list(out.rglob("*.part"))
    assert len({path.read_bytes() for path in out.glob("*.npz")}) == 1


# --- what goes wrong -----------------------------------------------------------------------------


def test_unreadable_videos_are_listed_with_the_reason(videos, tmp_path):
    data = (videos / "clap/a.mp4").read_bytes()
    (videos / "clap/cut.mp4").write_bytes(data[: len(data) // 2])
    (videos / "wave/empty.mp4").write_bytes(b"")
    write_video(videos / "wave/tiny.mp4", np.zeros((3, 12, 40, 3), np.uint8))
    done = extract_flow(videos, tmp_path / "flow", **{**QUICK, "workers": 2})
    assert (done.made, len(done.failed)) == (4, 3)
    assert "cannot be decoded" in done.failed["clap/cut.mp4"]
    assert "is empty" in done.failed["wave/empty.mp4"]
    assert "12 x 40 px are too small for flow" in done.failed["wave/tiny.mp4"]
    assert len((tmp_path / "flow" / "failures.txt").read_text().splitlines()) == 3
    assert "3 failed and have no flow; all are listed in" in str(done)
    with pytest.raises(UnreadableVideo, match="no such flow file"):
        read_flow(tmp_path / "flow" / "clap" / "cut.mp4.npz")


def test_other_settings_need_another_folder(videos, tmp_path):
    extract_flow(videos, tmp_path / "flow", shard=(1, 2), **QUICK)
    for other in ({"short_side": 24}, {"method": "dis"}, {"winsize": 9}, {"shard": (1, 1)}):
        changed = {**QUICK, "shard": (2, 2), **other}
        if other == {"shard": (1, 1)}:
            changed["levels"] = 2
        with pytest.raises(FileExistsError, match=r"holds flow made with .*another folder"):
            extract_flow(videos, tmp_path / "flow", **changed)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "tvl1"}, "method='tvl1' is unknown"),
        ({"short_side": 15}, "short_side=15 must be at least 16 px"),
        ({"shard": (0, 2)}, "shard=0 of 2 cannot be"),
        ({"shard": (3, 2)}, "shard=3 of 2 cannot be"),
        ({"windowsize": 3}, "setting of farneback='windowsize' is unknown; did you mean 'winsize'"),
    ],
)
def test_refusals(videos, tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        extract_flow(videos, tmp_path / "flow", **{**QUICK, **wrong})
    assert not (tmp_path / "flow").exists()
