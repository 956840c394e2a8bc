"""Copies: sizes, rates, names and order of frames; kills, full disks and bad files."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vidssl.data import (
    open_dataset,
    per_video,
    read_folder,
    read_frames,
    resize_short_side,
    video_length,
    write_video,
)
from vidssl.data.folder_jobs import results_of
from vidssl.data.prepare import prepare

av = pytest.importorskip("av")

QUIET = {"workers": 1, "progress": False}


def numbered(length=20, height=48, width=64):
    """Frame i has a red channel of 10 i, and a soft ramp down and to the right."""
    frames = np.zeros((length, height, width, 3), np.uint8)
    frames[..., 0] = 10 * np.arange(length)[:, None, None]
    frames[..., 1] = np.linspace(0, 200, width)
    frames[..., 2] = np.linspace(0, 200, height)[:, None]
    return frames


def numbers(frames):
    return np.round(frames[..., 0].mean((1, 2)) / 10).astype(int).tolist()


def encode(path, frames, times=None, codec="libx264", rate=25, options=None):
    """As `write_video`, for what that refuses: odd sides, uneven times, other codecs, sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p" if frames.shape[1] % 2 else "yuv420p"
        stream.bit_rate = 4_000_000
        sound = container.add_stream("aac", rate=8000) if path.suffix == ".mp4" else None
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = int(times[i]) if times is not None else i
            container.mux(stream.encode(frame))
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            silence.sample_rate = 8000
            container.mux(sound.encode(silence))
            container.mux(sound.encode())
        container.mux(stream.encode())
    return path


def quarter_turn(path):
    """Tag an mp4 file as to be shown turned a quarter clockwise."""
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def manifest(folder):
    return [json.loads(line) for line in (folder / "prepared.jsonl").read_text().splitlines()]


def difference(copy, expected):
    return np.abs(copy.astype(int) - expected.astype(int)).mean()


@pytest.fixture
def videos(tmp_path):
    """<class>/<file>: four small videos in two classes."""
    root = tmp_path / "originals"
    for name in ("clap/a.mp4", "clap/b.mp4", "wave/a.mp4", "wave/b.mp4"):
        write_video(root / name, numbered())
    return root


# --- what a copy is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((48, 64), (32, 42)),  # 42.67 rounds to 43, and is cut to be even
        ((64, 48), (42, 32)),
        ((24, 30), (24, 30)),  # smaller: stays
        ((32, 32), (32, 32)),
        ((49, 63), (32, 40)),
        ((25, 31), (24, 30)),
    ],
)
def test_short_side_is_never_enlarged_and_sides_are_even(tmp_path, size, expected):
    encode(tmp_path / "in/v.mkv", numbered(6, *size))
    done = prepare(tmp_path / "in", tmp_path / "out", short_side=32, **QUIET)
    assert (done.made, done.kept, done.failed) == (1, 0, {})
    copy = read_frames(tmp_path / "out/v.mkv", range(6))
    assert copy.shape[1:3] == expected
    assert numbers(copy) == list(range(6))
    entry = manifest(tmp_path / "out")[1]
    assert (entry["height"], entry["width"], entry["frames"]) == (*expected, 6)


def test_key_frames_rate_and_silence(tmp_path):
    rate = Fraction(30000, 1001)
    encode(tmp_path / "in/v.mp4", numbered(40), rate=rate, options={"g": "250"})
    prepare(tmp_path / "in", tmp_path / "out", gop=6, **QUIET)
    with av.open(str(tmp_path / "in/v.mp4")) as container:
        assert len(container.streams) == 2
    with av.open(str(tmp_path / "out/v.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].codec.name == "h264"
        assert container.streams.video[0].average_rate == rate
        keys = [i for i, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert max(np.diff([*keys, 40])) <= 6


def test_variable_rate_becomes_its_average_and_keeps_every_frame(tmp_path):
    times = np.cumsum([1, 3, 1, 5] * 5)
    original = encode(tmp_path / "in/v.mp4", numbered(), times)
    prepare(tmp_path / "in", tmp_path / "out", **QUIET)
    copy = tmp_path / "out/v.mp4"
    assert numbers(read_frames(copy, range(20))) == list(range(20))
    with av.open(str(copy)) as new, av.open(str(original)) as old:
        rates = [float(c.streams.video[0].average_rate) for c in (new, old)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-3)


def test_rotated_video_is_copied_upright(tmp_path):
    frames = np.zeros((5, 48, 64, 3), np.uint8)
    frames[:, :24, :32, 0] = 255  # red in the upper left
    original = quarter_turn(write_video(tmp_path / "in/phone.mp4", frames))
    prepare(tmp_path / "in", tmp_path / "out", **QUIET)
    copy = read_frames(tmp_path / "out/phone.mp4", range(5))
    assert copy.shape == (5, 64, 48, 3)
    assert copy[2, 8, 40, 0] > 200, "red is in the upper right"
    assert difference(copy, read_frames(original, range(5))) < 2


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_avi_keeps_its_name_and_its_frames(tmp_path, b_frames):
    options = {"g": "250", "bf": b_frames}
    original = encode(tmp_path / "in/old.avi", numbered(), codec="mpeg4", options=options)
    prepare(tmp_path / "in", tmp_path / "out", **QUIET)
    copy = read_frames(tmp_path / "out/old.avi", range(20))
    assert difference(copy, read_frames(original, range(20))) < 2
    assert numbers(read_frames(tmp_path / "out/old.avi", [17, 3, 11])) == [17, 3, 11]


def test_long_videos_are_read_in_chunks(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(per_video, "CHUNK_BYTES", 7 * 48 * 64 * 3)
    prepare(videos, tmp_path / "chunks", **QUIET)
    monkeypatch.undo()
    prepare(videos, tmp_path / "whole", **QUIET)
    for file in ("clap/a.mp4", "wave/b.mp4"):
        assert (tmp_path / "chunks" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_readers_find_copies_where_originals_were(videos, tmp_path):
    (videos / "lists").mkdir()
    (videos / "lists" / "train.csv").write_text("label\n")
    out = tmp_path / "out"
    prepare(videos, out, workers=2, progress=False)
    assert [r.video_id for r in read_folder(out)] == [r.video_id for r in read_folder(videos)]
    assert len(open_dataset("folder", out).test) == 2
    assert (out / "lists" / "train.csv").read_text() == "label\n"


def test_real_files(shared_data, tmp_path):
    """XviD in AVI, H.264 with sound: as many frames, and the same ones."""
    files = [f for f in Path(shared_data, "single_clips").iterdir() if f.name[:3] in ("ucf", "kin")]
    root = tmp_path / "in"
    root.mkdir()
    for file in files:
        (root / file.name).symlink_to(file)
    assert prepare(root, tmp_path / "out", **QUIET).made == len(files) == 2
    for file in files:
        length = video_length(file)
        copy = tmp_path / "out" / file.name
        assert video_length(copy) == length
        indices = [0, length // 3, length - 1]
        original, frames = (read_frames(path, indices) for path in (file, copy))
        expected = resize_short_side(original, 128)[:, :, : frames.shape[2]]
        assert difference(frames, expected) < 4


# --- again --------------------------------------------------------------------------------------


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("clap/*.mp4")}


def test_finished_copies_are_kept_and_what_changed_is_made_again(videos, tmp_path):
    out = tmp_path / "out"
    prepare(videos, out, **QUIET)
    before = stamps(out)
    done = prepare(videos, out, **QUIET)
    assert (done.made, done.kept) == (0, 4)
    assert stamps(out) == before
    assert str(done) == f"{out}: 4 videos, 0 copied, 4 kept"

    write_video(videos / "clap/a.mp4", numbered(30))
    (out / "wave/a.mp4").write_bytes(b"cut short")
    (out / "wave/b.mp4").unlink()
    done = prepare(videos, out, **QUIET)
    assert (done.made, done.kept) == (3, 1)
    assert video_length(out / "clap/a.mp4") == 30
    assert video_length(out / "wave/a.mp4") == video_length(out / "wave/b.mp4") == 20
    assert stamps(out)["b.mp4"] == before["b.mp4"]
    assert len(manifest(out)) == 5


def test_a_line_cut_short_costs_one_copy(videos, tmp_path):
    out = tmp_path / "out"
    prepare(videos, out, **QUIET)
    text = (out / "prepared.jsonl").read_text()
    (out / "prepared.jsonl").write_text(text[:-20])
    done = prepare(videos, out, **QUIET)
    assert (done.made, done.kept) == (1, 3)
    assert (out / "prepared.jsonl").read_text() == text


def noted(out):
    """How many copies the manifest names: whole lines after that of the settings."""
    manifest = out / "prepared.jsonl"
    return manifest.read_text().count("\n") - 1 if manifest.exists() else 0


def test_a_killed_run_is_completed_by_the_next(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    first = write_video(root / "v00.mp4", numbered(60, 120, 160))
    for i in range(1, 30):
        shutil.copy(first, root / f"v{i:02d}.mp4")
    script = f"from vidssl.data.prepare import prepare; prepare({str(root)!r}, {str(out)!r})"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while process.poll() is None and noted(out) < 4:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = noted(out)
    early = {path: path.stat().st_mtime_ns for path in out.glob("v*.mp4")}
    assert 4 <= len(early) < 30
    time.sleep(2.5)  # its workers notice and end
    (out / ".v07.1.part").write_bytes(b"half")
    done = prepare(root, out, **QUIET)
    assert done.made + done.kept == 30
    assert done.kept >= finished, "only what the workers had in hand is made again"
    assert sum(path.stat().st_mtime_ns == stamp for path, stamp in early.items()) >= done.kept
    assert not list(out.rglob("*.part"))
    assert {video_length(path) for path in out.glob("v*.mp4")} == {60}


def test_relative_paths_start_where_the_caller_stands_now(videos, tmp_path, monkeypatch):
    """Worker processes are used again; they began where the caller stood then."""
    for name in ("first", "second"):
        shutil.copytree(videos, tmp_path / name / "in")
        monkeypatch.chdir(tmp_path / name)
        done = prepare("in", "out", workers=2, progress=False)
        assert (done.made, done.failed) == (4, {})
    assert len(list((tmp_path / "second" / "out").rglob("*.mp4"))) == 4


# --- what goes wrong ----------------------------------------------------------------------------


def test_unreadable_videos_are_listed_with_the_reason(videos, tmp_path):
    out = tmp_path / "out"
    data = (videos / "clap/a.mp4").read_bytes()
    (videos / "clap/cut.mp4").write_bytes(data[: len(data) // 2])
    (videos / "clap/empty.mp4").write_bytes(b"")
    (videos / "wave/text.mp4").write_bytes(b"no video\n" * 50)
    (videos / "wave/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    encode(videos / "wave/thin.mkv", numbered(3, 49, 1))
    done = prepare(videos, out, workers=2, progress=False)
    bad = ["clap/cut.mp4", "clap/empty.mp4", "wave/gone.mp4", "wave/text.mp4", "wave/thin.mkv"]
    assert (done.made, sorted(done.failed)) == (4, bad)
    assert "is empty" in done.failed["clap/empty.mp4"]
    assert "cannot be decoded" in done.failed["clap/cut.mp4"]
    assert "1 pixel wide" in done.failed["wave/thin.mkv"]
    assert len((out / "failures.txt").read_text().splitlines()) == 5
    told = str(done).splitlines()
    assert told[0].endswith("9 videos, 4 copied, 0 kept")
    assert told[1].startswith("5 failed and have no copy; all are listed in ")
    assert not any((out / file).exists() for file in bad)

    for file in bad[1:]:
        (videos / file).unlink()
    (videos / "clap/cut.mp4").write_bytes(data)
    assert str(prepare(videos, out, **QUIET)).endswith("5 videos, 1 copied, 4 kept")
    assert not (out / "failures.txt").exists()


def test_the_copy_of_an_original_that_broke_goes(videos, tmp_path):
    prepare(videos, tmp_path / "out", **QUIET)
    (videos / "wave/b.mp4").write_bytes(b"")
    assert list(prepare(videos, tmp_path / "out", **QUIET).failed) == ["wave/b.mp4"]
    assert not (tmp_path / "out/wave/b.mp4").exists()


def kill_on_three(job):
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * job


def test_a_job_that_kills_its_worker_costs_no_other():
    assert sorted(results_of(kill_on_three, list(range(8)), 2), key=lambda pair: pair[0]) == [
        (job, None if job == 3 else 10 * job) for job in range(8)
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"short_side": 127}, "short_side=127 must be even"),
        ({"gop": 0}, "gop=0 must be at least 1"),
        ({"crf": 52}, r"crf=52 must be in 0\.\.51"),
    ],
)
def test_impossible_settings(videos, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        prepare(videos, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_wrong_folders(videos, tmp_path):
    for folder in (videos, videos / "copies", tmp_path):
        with pytest.raises(ValueError, match="lie in each other; choose a folder of its own"):
            prepare(videos, folder, **QUIET)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out", **QUIET)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.mp4").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"holds something else \(mine\.mp4\)"):
        prepare(videos, tmp_path / "other", **QUIET)
    assert (tmp_path / "other/mine.mp4").read_bytes() == b"precious"
    prepare(videos, tmp_path / "out", short_side=32, **QUIET)
    with pytest.raises(FileExistsError, match=r'copies made with .*"short_side": 32.* another'):
        prepare(videos, tmp_path / "out", short_side=64, **QUIET)


def test_a_folder_that_cannot_be_written(videos, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken is a file, not a folder"):
        prepare(videos, tmp_path / "taken", **QUIET)
    for folder in (tmp_path / "taken/below", Path("/proc/copies")):  # nobody may write in /proc
        with pytest.raises(OSError, match=r"cannot write the copies below .*; free some space or"):
            prepare(videos, folder, **QUIET)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB, mounted for the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs the rights of root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_with_one_line_and_nothing_corrupt(tmp_path, small_disk, workers):
    root, out = tmp_path / "in", small_disk / "out"
    noise = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    for i in range(12):
        write_video(root / f"v{i:02d}.mp4", noise)
    with pytest.raises(OSError, match=r"cannot write the copies .*out: No space left.*run again"):
        prepare(root, out, workers=workers, progress=False)
    copies = list(out.glob("*.mp4"))
    assert 0 < len(copies) < 12
    assert {video_length(path) for path in copies} == {12}
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    done = prepare(root, out, **QUIET)
    assert done.made + done.kept == 12
    assert done.kept >= len(copies) - 6, "what was in hand, or waited for a line, is made again"


def test_shards_make_the_same_copies_and_the_whole_goes_on(tmp_path):
    videos = tmp_path / "videos"
    for i in range(3):
        write_video(videos / f"{i}.mp4", numbered(), fps=25)
    (videos / "list.txt").write_text("0.mp4 1\n")
    prepare(videos, tmp_path / "whole", **QUIET)
    shards = [prepare(videos, tmp_path / "parts", shard=(i, 2), **QUIET) for i in (1, 2)]
    assert [done.made for done in shards] == [2, 1]
    rest = prepare(videos, tmp_path / "parts", **QUIET)
    assert (rest.made, rest.kept) == (0, 3)
    for name in ("0.mp4", "1.mp4", "2.mp4", "list.txt"):
        one, other = (tmp_path / folder / name for folder in ("whole", "parts"))
        assert one.read_bytes() == other.read_bytes()
