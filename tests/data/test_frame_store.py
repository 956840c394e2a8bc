"""A frame store gives out the very frames that decoding gives, or none."""

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vidssl.core import UnreadableVideo, VideoRecord, unpack
from vidssl.data import (
    Augmentation,
    ClipDataset,
    ImageDataset,
    RGBFrames,
    TestTransform,
    TrainTransform,
    collate,
    consecutive_clips,
    random_clips,
    read_clip,
    resize_short_side,
    two_scale_views,
    uniform_clips,
    write_video,
)
from vidssl.data import frame_store as module
from vidssl.data.datasets import resized_frames
from vidssl.data.frame_store import FrameStore

DECODE = module._decoded
SIDE = 24
HEADER = 128  # bytes before the pixels of an .npy file
CLIP = {"frames": 4, "stride": 2}
# (frames, height, width): larger, smaller and of the stored size, lying and upright
SIZES = [(30, 48, 72), (17, 64, 36), (5, 16, 20), (40, 24, 32), (1, 48, 48)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Videos of noise in several sizes, and two files that cannot be decoded."""
    root = tmp_path_factory.mktemp("original")
    rng = np.random.default_rng(0)
    for i, size in enumerate(SIZES):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        write_video(root / "a" / f"v{i}.mp4", pixels, crf=10)
    whole = (root / "a/v0.mp4").read_bytes()
    (root / "a/cut.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "a/text.mp4").write_bytes(b"no video\n" * 50)
    return root


@pytest.fixture
def root(original, tmp_path):
    """A copy to change."""
    return shutil.copytree(original, tmp_path / "videos")


def videos(root, names=("v0", "v1", "v2", "v3", "v4")):
    return [str(root / "a" / f"{name}.mp4") for name in names]


def everything(root):
    return videos(root, ("v0", "cut", "v1", "v2", "text", "v3", "v4"))


def opened(root, folder="store", **changes):
    return FrameStore(root.parent / folder, root, **{"short_side": SIDE, **changes})


def filled(root, gigabytes=1.0, paths=None):
    store = opened(root)
    return store, store.add(paths or videos(root), gigabytes, progress=False)


def test_a_short_job_says_nothing_on_the_error_stream(root, monkeypatch, capfd):
    monkeypatch.setattr("vidssl.progress.FIRST", 1e9)  # short on a slow machine, too
    assert opened(root).add(videos(root), 1.0).held == len(videos(root))
    assert capfd.readouterr().err == ""


def decoded(path, side=SIDE):
    return resize_short_side(read_clip(path, np.arange), side)


def is_right(store, path):
    """Whether a video is in the store; its frames are then compared."""
    found = store.frames(path, SIDE)
    if found is not None:
        assert np.array_equal(found, decoded(path)), path
    return found is not None


def held_by_a_newcomer(root, paths=None):
    return sum(is_right(opened(root), path) for path in paths or videos(root))


# --- the same bytes ------------------------------------------------------------------------------


def test_each_video_keeps_its_own_size(root):
    store, done = filled(root)
    assert [store.frames(path, SIDE).shape[1:3] for path in videos(root)] == [
        (24, 36), (43, 24), (24, 30), (24, 32), (24, 24),
    ]  # fmt: skip
    assert all(is_right(store, path) for path in videos(root))
    assert (done.videos, done.held, done.left_out, done.failed, done.trouble) == (5, 5, 0, {}, "")
    assert done.size == sum(sizes_of(root).values())


def test_long_videos_go_through_memory_in_pieces(root, monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 7 * 48 * 72 * 3)
    store, _ = filled(root)
    assert all(is_right(store, path) for path in videos(root))


def is_readable(path):
    """decord refuses some videos by name."""
    try:
        read_clip(path, np.arange)
    except UnreadableVideo as error:
        return "unset VIDSSL_DECODER" not in error.reason
    return True


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_clips_equal_decoded_ones_whatever_the_decoder(root, monkeypatch, decoder):
    pytest.importorskip({"pyav": "av"}.get(decoder, decoder))
    monkeypatch.setenv("VIDSSL_DECODER", decoder)
    readable = [path for path in videos(root) if is_readable(path)]
    assert len(readable) >= (2 if decoder == "decord" else len(SIZES))
    store, _ = filled(root)
    rng = np.random.default_rng(1)
    for path in readable:
        for _ in range(5):

            def choose(length):
                return rng.integers(0, length, (2, 6))

            state = rng.bit_generator.state
            stored = resized_frames(path, choose, SIDE, store)
            rng.bit_generator.state = state
            assert np.array_equal(stored, resized_frames(path, choose, SIDE))


def data_sets(records, store):
    source, test = RGBFrames(SIDE, store), TestTransform(16, SIDE)
    train = TrainTransform(16, SIDE, Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25)))
    three = partial(random_clips, **CLIP, count=3)
    views = partial(two_scale_views, frames=4, global_stride=4, locals_count=2)
    yield ImageDataset(records, side=SIDE, store=store)
    for choose in (three, views):
        yield ClipDataset(records, source, choose, train, seed=0)
    for choose in (uniform_clips, consecutive_clips):
        yield ClipDataset(records, source, partial(choose, **CLIP, count=2), test)


def records_of(root):
    return [VideoRecord(path, i % 2, f"v{i}") for i, path in enumerate(everything(root))]


def test_every_data_set_gives_the_same_samples(root):
    store, _ = filled(root, paths=everything(root))
    records = records_of(root)
    for plain, stored in zip(data_sets(records, None), data_sets(records, store)):
        for key in [(0, 0), (1, 1), (2, 3), (3, 5), (4, 6)]:
            one, other = plain[key], stored[key]
            assert one.keys() == other.keys()
            for name, value in one.items():
                same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
                assert same(value, other[name]), (type(plain), name)


def test_nothing_is_decoded_twice(root, monkeypatch):
    store, _ = filled(root)
    monkeypatch.setattr("vidssl.data.datasets.read_clip", None)
    records = [VideoRecord(path, 0, path) for path in videos(root)]
    for dataset in data_sets(records, store):
        assert not dataset[(1, 2)]["failed"]


def test_still_images_are_kept_too(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    image.fromarray(pixels).save(tmp_path / "still.png")
    path = str(tmp_path / "still.png")
    store = FrameStore(tmp_path / "store", tmp_path, SIDE)
    assert store.add([path], 1, progress=False).held == 1
    records = [VideoRecord(path, -1, "still")]
    plain, stored = (ImageDataset(records, side=SIDE, store=s) for s in (None, store))
    assert torch.equal(plain[(2, 0)]["image"], stored[(2, 0)]["image"])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_map_the_same_file(root, context):
    store, _ = filled(root)
    records = [VideoRecord(path, 0, path) for path in videos(root)]
    choose = partial(random_clips, **CLIP, count=1)
    dataset = ClipDataset(records, RGBFrames(SIDE, store), choose, TrainTransform(16, SIDE), seed=0)
    keys = [(1, i) for i in range(5)]
    expected = collate([dataset[key] for key in keys])
    loader = DataLoader(
        dataset,
        batch_sampler=[keys],
        num_workers=1,
        collate_fn=collate,
        multiprocessing_context=context,
    )
    [batch] = loader
    assert torch.equal(unpack(batch)["clips"], expected["clips"])


def test_pickled_it_carries_no_frames(root):
    store, _ = filled(root)
    store.frames(videos(root)[0], SIDE)
    text = pickle.dumps(store)
    assert len(text) < 1000
    assert is_right(pickle.loads(text), videos(root)[0])


def test_another_short_side_or_a_frame_that_is_not_there(root):
    store, _ = filled(root)
    with pytest.raises(ValueError, match="frames of short_side=24 px, asked for are 32 px"):
        resized_frames(videos(root)[0], lambda n: np.zeros((1, 1), int), 32, store)
    for index in (30, -1):
        with pytest.raises(IndexError):
            resized_frames(videos(root)[0], lambda n, i=index: np.array([[i]]), SIDE, store)
    with pytest.raises(ValueError, match="short_side=0 must be at least 1"):
        opened(root, short_side=0)


# --- what may not be given out -------------------------------------------------------------------


def test_unreadable_videos_are_named_as_ever_and_tried_once(root, monkeypatch):
    paths = everything(root)
    store, done = filled(root, paths=paths)
    assert (done.held, sorted(done.failed)) == (5, sorted(videos(root, ("cut", "text"))))
    assert str(done).endswith("; 2 cannot be read")
    with pytest.raises(UnreadableVideo) as plain:
        resized_frames(videos(root, ["text"])[0], np.arange, SIDE)
    with pytest.raises(UnreadableVideo, match=r"text\.mp4") as stored:
        resized_frames(videos(root, ["text"])[0], np.arange, SIDE, store)
    assert str(plain.value) == str(stored.value)

    tried = []
    monkeypatch.setattr(module, "_decoded", lambda job: tried.append(job.path))
    again = opened(root).add(paths, 1, progress=False)
    assert (again.held, len(again.failed), tried) == (5, 2, [])


def test_a_file_that_was_mended_is_tried_again(root):
    filled(root, paths=everything(root))
    shutil.copy(root / "a/v1.mp4", root / "a/cut.mp4")
    store, done = filled(root, paths=everything(root))
    assert done.held == 6
    assert is_right(store, videos(root, ["cut"])[0])


def test_a_changed_video_is_decoded_and_made_anew(root):
    store, _ = filled(root)
    path = videos(root)[0]
    old = store.frames(path, SIDE).copy()
    shutil.copy(root / "a/v1.mp4", path)
    assert not is_right(store, path), "of another file by now"
    choose = uniform_clips
    clip = resized_frames(path, partial(choose, **CLIP, count=1), SIDE, store)
    assert clip.shape[2:4] == (43, 24), "decoded"
    store, done = filled(root)
    assert done.held == 5
    assert is_right(store, path)
    assert store.frames(path, SIDE).shape != old.shape


def test_touching_a_file_is_enough(root):
    store, _ = filled(root)
    os.utime(videos(root)[0], ns=(1, 1))
    assert not is_right(store, videos(root)[0])


def test_what_changed_videos_left_behind_is_given_back(root):
    store, first = filled(root)
    mapped = store.frames(videos(root)[1], SIDE)
    kept = mapped.copy()
    for change in range(1, 4):
        for path in videos(root):
            os.utime(path, ns=(change, change))
        _, done = filled(root, gigabytes=first.size / 10**9)
        assert (done.held, done.left_out) == (5, 0)
        assert done.size == first.size
    assert held_by_a_newcomer(root) == 5
    assert len(entries(root)) == 5
    assert np.array_equal(mapped, kept), "a run that is at it keeps the file it began with"


def test_another_decoder_or_version_begins_anew(root, monkeypatch):
    filled(root)
    (root.parent / "store" / "frames-1.u8").write_bytes(b"of a version before")
    monkeypatch.setattr(module, "_made_with", lambda: {"code": "another"})
    assert held_by_a_newcomer(root) == 0
    _, done = filled(root, paths=videos(root)[:2])
    assert (done.held, len(entries(root))) == (2, 2), "the other's are gone"
    assert [path.name for path in (root.parent / "store").glob("[!.]*")] == [
        opened(root)._versioned.name
    ]


def test_code_behind_the_frames_is_part_of_what_made_them():
    behind = {function.__module__.rpartition(".")[2] for function in module.BEHIND}
    assert behind == {"bitstream", "decode", "frame_index", "transforms"}


# --- bounds --------------------------------------------------------------------------------------


def sizes_of(root):
    return {path: decoded(path).nbytes + HEADER for path in videos(root)}


def test_a_store_stays_within_its_bound_and_takes_what_fits(root):
    size = sizes_of(root)
    [largest, *_] = sorted(size, key=size.get, reverse=True)
    bound = sum(size.values()) - size[largest]
    store, done = filled(root, gigabytes=bound / 10**9)
    assert (done.held, done.left_out, done.size) == (4, 1, bound)
    assert "1 do not fit (frame_store_gb, free disk) and are decoded" in str(done)
    assert [path for path in size if not is_right(store, path)] == [largest]
    clip = resized_frames(largest, partial(uniform_clips, **CLIP, count=1), SIDE, store)
    assert clip.shape[:2] == (1, 4)
    assert filled(root, gigabytes=bound / 10**9)[1] == done
    assert filled(root)[1].held == 5, "with more room it is tried again"


def test_a_video_larger_than_the_bound_keeps_no_other_out(root):
    size = sizes_of(root)
    least = min(size.values())
    _, done = filled(root, gigabytes=least / 10**9)
    assert (done.held, done.left_out, done.size) == (1, 4, least)


def test_the_disk_is_never_filled_to_the_brim(root, monkeypatch):
    monkeypatch.setattr(module, "LEFT_FREE", 2**60)
    _, done = filled(root)
    assert (done.held, done.left_out) == (0, 5)
    monkeypatch.undo()
    assert filled(root)[1].held == 5


@contextmanager
def small_disk(place, size):
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.name != "posix" or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs the rights of root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_costs_time_and_nothing_else(root, monkeypatch, workers):
    monkeypatch.setattr(module, "LEFT_FREE", 0)
    monkeypatch.setattr(module, "_spare_bytes", lambda folder: 10**9)  # a quota is not seen
    monkeypatch.setattr(module, "WORTH_A_WORKER", 1)
    with small_disk(root.parent / "store", "200k"):
        done = opened(root).add(videos(root), 1, workers=workers, progress=False)
        assert "No space left on device: what is missing is decoded" in str(done)
        assert held_by_a_newcomer(root) == done.held < 5
        subprocess.run(["mount", "-o", "remount,size=8m", str(root.parent / "store")], check=True)
        assert filled(root)[1].held == 5
        assert held_by_a_newcomer(root) == 5
        assert not list((root.parent / "store").rglob(".*.part"))


def test_a_folder_that_cannot_be_made_is_told_in_one_line(root):
    (root.parent / "store").write_text("mine")
    _, done = filled(root)
    assert (done.held, str(done).count("\n")) == (0, 0)
    assert "what is missing is decoded" in str(done)
    assert (root.parent / "store").read_text() == "mine"


def test_a_whole_store_needs_no_right_to_write(root, monkeypatch):
    filled(root)
    monkeypatch.setattr(module, "alone", None)  # calling it would raise
    assert filled(root)[1].held == 5


# --- makers --------------------------------------------------------------------------------------


def slow_job(job, seconds=0.05):
    with open(job.file.parents[2] / "tried", "a") as tried:
        tried.write(f"{job.path}\n")
    time.sleep(seconds)
    return DECODE(job)


def make(root, seconds=0.0):
    """A maker in a process of its own, which takes its time for each video."""
    module._decoded = partial(slow_job, seconds=seconds)
    store = FrameStore(root.parent / "store", root, SIDE)
    done = store.add(everything(root), 1, progress=False)
    sys.exit(0 if (done.held, len(done.failed), done.trouble) == (5, 2, "") else 1)


def in_process(root, seconds):
    process = multiprocessing.get_context("fork").Process(target=make, args=(root, seconds))
    process.start()
    return process


def entries(root):
    """Files of frames, and those that say why there are none."""
    return [path for path in root.parent.glob("store/*/*") if path.suffix in (".npy", ".json")]


def test_makers_at_once_write_each_video_once(root):
    makers = [in_process(root, 0.05) for _ in range(4)]
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0] * 4
    tried = (root.parent / "tried").read_text().splitlines()
    assert sorted(tried) == sorted(everything(root))
    assert len(entries(root)) == 7
    assert held_by_a_newcomer(root) == 5


def test_one_that_gets_nowhere_is_not_waited_for(root, monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    maker = in_process(root, 30)
    while not list(root.parent.glob(f"store/*/{module.USED}")):
        time.sleep(0.01)
    store, done = filled(root)
    assert done.held == 0
    assert "another run is making it and does not get on: what is missing is decoded" in str(done)
    assert "waiting for it" in capsys.readouterr().out
    assert resized_frames(
        videos(root)[0], partial(uniform_clips, **CLIP, count=1), SIDE, store
    ).any()
    maker.kill()
    maker.join()
    assert filled(root)[1].held == 5, "the lock went with its holder"


def test_a_killed_maker_leaves_whole_videos_or_none(root):
    counts = []
    for wanted in (1, 2, 4):
        maker = in_process(root, 0.05)
        while maker.exitcode is None and len(entries(root)) < wanted:
            time.sleep(0.001)
        os.kill(maker.pid, signal.SIGKILL)
        maker.join()
        counts.append(held_by_a_newcomer(root))
    assert counts == sorted(counts)
    assert counts[-1] >= 2
    (opened(root)._versioned / ".0.1.part").write_bytes(b"half")
    store, done = filled(root)
    assert done.held == 5
    assert all(is_right(store, path) for path in videos(root))
    assert not list((root.parent / "store").rglob(".*.part"))


def test_what_is_damaged_is_not_read_and_made_anew(root):
    filled(root)
    cut, empty, other, *_ = entries(root)
    with open(cut, "r+b") as file:
        file.truncate(cut.stat().st_size - 1000)
    empty.write_bytes(b"")
    other.write_bytes(b"something else" * 100)
    assert held_by_a_newcomer(root) == 2
    assert filled(root)[1].held == 5
    assert held_by_a_newcomer(root) == 5


def test_mapped_frames_are_not_copied(root, tmp_path):
    """Walking through a store of 60 MB leaves the process's own memory as it was."""
    if not os.path.isfile("/proc/self/statm"):
        pytest.skip("reads the memory in use from /proc, which only Linux has")
    path = write_video(tmp_path / "long.mp4", np.zeros((1200, 16, 16, 3), np.uint8), crf=40)
    store = FrameStore(tmp_path / "large", tmp_path, 128)
    assert store.add([str(path)], 1, progress=False).size == 1200 * 128 * 128 * 3 + HEADER

    def own_bytes():
        resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    before = own_bytes()
    frames = store.frames(str(path), 128)
    assert int(frames[::50].sum()) >= 0
    for i in range(0, 1200, 100):
        frames[[i, i + 50]].sum()
    assert own_bytes() - before < 10 * 2**20
