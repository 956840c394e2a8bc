"""Training clips from prepared copies, against their originals and against plainer readers.

All read the same frames, which is asserted; how many clips each gives in a second of one core is
printed by `make bench`. Originals are 320 x 240 with a key frame every 250 frames,
as videos from the web are; copies are what `vidssl prepare` makes of them.
"""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import torch

from vidssl.core import derive_seed, frames_to_clip
from vidssl.data import (
    Augmentation,
    frame_index,
    random_clip,
    read_folder,
    read_frames,
    resize_short_side,
    write_video,
)
from vidssl.data.prepare import prepare
from vidssl.data.transforms import flip, random_crop
from vidssl.protocol import Clips

av = pytest.importorskip("av")

VIDEOS, LENGTH = 6, 200
FRAMES, STRIDE = 16, 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(originals, copies): cameras that wander over a photograph, with a little noise."""
    from skimage.data import astronaut

    root = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(0)
    photograph = astronaut()[..., :3] // 2
    for i in range(VIDEOS):
        steps = rng.integers(-2, 3, (LENGTH, 2))
        places = np.clip(np.array([130, 90]) + steps.cumsum(0), 0, (512 - 240, 512 - 320))
        frames = np.stack([photograph[y : y + 240, x : x + 320] for y, x in places])
        frames += rng.integers(0, 8, frames.shape, dtype=np.uint8)
        write_video(root / f"v{i}.mp4", frames, gop=250, crf=23)
    copies = tmp_path_factory.mktemp("copies")
    prepare(root, copies, workers=1, progress=False)
    return root, copies


def clips_of(folder, **colors):
    records = read_folder(folder, labelled=False)
    augmentation = Augmentation(flip=0.5, **colors)
    return Clips(FRAMES, STRIDE, 112, 128, augmentation).training(records, seed=0)


def drawn(dataset, key):
    """The path, the frame indices and the further draws behind a sample of ``dataset``."""
    rng = np.random.default_rng(derive_seed(dataset.seed, *key))
    return dataset.records[key[1]].path, random_clip(LENGTH, FRAMES, STRIDE, rng), rng


def decord_alone(dataset, key):
    """Only decoded: no resize, no crop, no floats."""
    path, indices, _ = drawn(dataset, key)
    return decord_by_itself(path, indices)


def whole_video(dataset, key):
    """The plain way: decode all frames in order, then choose, resize and crop."""
    path, indices, rng = drawn(dataset, key)
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        decoded = container.decode(video=0)
        frames = np.stack([frame.to_ndarray(format="rgb24", threads=1) for frame in decoded])
    return finished(frames[indices], rng)


def finished(frames, rng):
    frames = random_crop(resize_short_side(frames, 128), 112, rng)
    frames = flip(frames) if rng.random() < 0.5 else frames
    return frames_to_clip(np.ascontiguousarray(frames))


@pytest.mark.parametrize("key", [(0, 0), (3, 2), (5, 5)])
def test_all_ways_read_the_same_frames(folders, key, monkeypatch):
    copies = clips_of(folders[1])
    monkeypatch.setenv("VIDSSL_DECODER", "pyav")
    assert torch.equal(copies[key]["clips"][0], whole_video(copies, key))
    pytest.importorskip("decord")
    monkeypatch.setenv("VIDSSL_DECODER", "decord")
    _, _, rng = drawn(copies, key)
    assert torch.equal(copies[key]["clips"][0], finished(decord_alone(copies, key), rng))


def test_copies_show_what_originals_do_at_the_same_frames(folders):
    indices = [0, 57, 122, LENGTH - 1]
    original, copy = (read_frames(folder / "v2.mp4", indices) for folder in folders)
    expected = resize_short_side(original, 128)[:, :, :170].astype(int)  # 171 is odd: cut
    away = [np.abs(copy - shown).mean(axis=(1, 2, 3)) for shown in (expected, expected[::-1])]
    assert away[0].max() < 3
    assert away[1].min() > 10, "other frames look different"


def resident_mb():
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        pytest.skip("reads the memory in use from /proc, which only Linux has")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory_in_use(dataset, clips, every):
    """MB resident after each ``every`` clips."""
    used = []
    for i in range(clips):
        dataset[(i // VIDEOS, i % VIDEOS)]
        if (i + 1) % every == 0:
            used.append(resident_mb())
    return used


def test_memory_stays_where_it_is(folders):
    used = memory_in_use(clips_of(folders[1]), 300, 100)
    assert used[-1] - used[0] < 40, used


# --- one clip of frames, against either back-end alone --------------------------------------------

FORMATS = {
    "H.264 mp4, gop 12": ("mp4", "libx264", {"g": "12", "bf": "0", "preset": "veryfast"}),
    "H.264 mp4, gop 250": ("mp4", "libx264", {"g": "250", "preset": "veryfast"}),
    "H.264 mkv": ("mkv", "libx264", {"g": "50", "preset": "veryfast"}),
    "H.264 avi": ("avi", "libx264", {"g": "50", "bf": "0", "preset": "veryfast"}),
    "MPEG-4 avi": ("avi", "mpeg4", {"g": "50"}),
    "MPEG-4 avi, B-frames": ("avi", "mpeg4", {"g": "50", "bf": "2"}),
    "MPEG-2 mpg": ("mpg", "mpeg2video", {"g": "12", "bf": "2"}),
    "HEVC mp4, open GOPs": ("mp4", "libx265", {"preset": "ultrafast"}),
    "VP9 webm": ("webm", "libvpx-vp9", {"g": "50", "deadline": "realtime", "cpu-used": "8"}),
    "MJPEG avi": ("avi", "mjpeg", {}),
}


@pytest.fixture(scope="module")
def formats(folders, tmp_path_factory):
    """{name: file}: one of the originals in every format."""
    root = tmp_path_factory.mktemp("formats")
    frames = read_frames(folders[0] / "v0.mp4", range(LENGTH))
    return {
        name: encoded(root / f"{i}.{suffix}", frames, codec, options)
        for i, (name, (suffix, codec, options)) in enumerate(FORMATS.items())
    }


def encoded(path, frames, codec, options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 1_000_000
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def pyav_alone(path, indices):
    """From the first frame to the last one that is wanted."""
    wanted, found = set(indices), []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for count, frame in enumerate(container.decode(stream)):
            if count in wanted:
                found.append(frame.to_ndarray(format="rgb24", threads=1))
            if count == indices[-1]:
                return np.stack(found)
    raise IndexError(indices)


def decord_by_itself(path, indices):
    import decord

    return decord.VideoReader(str(path), num_threads=1).get_batch(indices).asnumpy()


def seconds(read, path, clips, before=lambda: None):
    total = 0.0
    for indices in clips:
        before()
        began = time.process_time()
        read(path, indices)
        total += time.process_time() - began
    return total


def forget():
    frame_index._indices = frame_index.Remembered(10**8, lambda index: index.nbytes)


@pytest.mark.bench
def test_random_clips_of_every_format(formats, ratio):
    """Ratios in one run: how often ours reads a clip while the other reads one."""
    print(f"\nrandom clips of {FRAMES} frames in a row and at stride 2, 320 x 240, {LENGTH} frames")
    print(f"{'':22} against decord alone   against PyAV alone      a first look, the same two")
    for name, path in formats.items():
        found = speed_ratios(path)
        for faster, other in zip(found, ("decord", "PyAV")):
            ratio(f"random clips, {name}", faster, "times as fast as", f"{other} alone")
        shown = (f"{faster:17.2f}" for faster in found)
        print(f"{name:22} {'   '.join(shown)}", flush=True)


def speed_ratios(path):
    """Ours against decord and PyAV alone, and the same for files never seen before."""
    rng = np.random.default_rng(0)
    rounds = []
    for _ in range(5):
        strides = [1, 2] * 3
        clips = [random_clip(LENGTH, FRAMES, stride, rng).tolist() for stride in strides]
        read_frames(path, [0])
        ours = seconds(read_frames, path, clips)
        first = seconds(read_frames, path, clips, forget)
        plain = seconds(pyav_alone, path, clips)
        decord = seconds(decord_by_itself, path, clips) if find_spec("decord") else np.nan
        rounds.append([decord / ours, plain / ours, decord / first, plain / first])
    return np.median(rounds, axis=0)


@pytest.mark.bench
def test_memory_over_2000_clips(folders, ratio):
    used = memory_in_use(clips_of(folders[1]), 2000, 250)
    ratio("memory after 2,000 clips", used[-1] / used[0], "times that after", "250")
    shown = ", ".join(f"{mb:.0f}" for mb in used)
    print(f"\nMB in use after each 250 of 2,000 clips: {shown}")


@pytest.mark.bench
def test_clips_a_second(folders, ratio):
    pytest.importorskip("decord")
    originals, copies = (clips_of(folder) for folder in folders)
    coloured = clips_of(folders[1], color=(0.5, 0.5, 0.5, 0.25), grey=0.3)
    ways = {
        "copies": copies.__getitem__,
        "copies, decord alone": lambda key: decord_alone(copies, key),
        "copies, with colour jitter": coloured.__getitem__,
        "originals": originals.__getitem__,
        "originals, decord alone": lambda key: decord_alone(originals, key),
        "originals, whole videos decoded": lambda key: whole_video(originals, key),
    }
    rounds = {name: [] for name in ways}
    for epoch in range(5):  # in turn, so that all meet the same machine
        for name, way in ways.items():
            rounds[name].append(clips_a_second(way, epoch))
    print(f"\nclips of {FRAMES} frames, stride {STRIDE}: clips in a second of one core")
    for name, rates in rounds.items():
        faster = median(ours / other for ours, other in zip(rounds["copies"], rates))
        print(f"{name:32} {median(rates):7.1f}   the first is {faster:.2f} times as fast")
        if name != "copies":
            ratio("clips from prepared copies", faster, "times as fast as", name)


def clips_a_second(way, epoch):
    keys = [(epoch, i) for i in range(VIDEOS)] * 2
    began = time.process_time()  # of this process alone, whoever else is computing
    for key in keys:
        way(key)
    return len(keys) / (time.process_time() - began)
