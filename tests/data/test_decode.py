"""Decoding, on real files made here; both back-ends where both are installed."""

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from vidssl.core import UnreadableVideo, VideoRecord
from vidssl.data import decode
from vidssl.data.decode import (
    backend,
    read_clip,
    read_frames,
    read_image,
    readable_videos,
    video_length,
    write_video,
)

av = pytest.importorskip("av")
Image = pytest.importorskip("PIL.Image")

INSTALLED = [name for name in decode.BACKENDS if find_spec("av" if name == "pyav" else name)]
LENGTH = 40


@pytest.fixture(params=INSTALLED)
def decoder(request, monkeypatch):
    monkeypatch.setenv("VIDSSL_DECODER", request.param)
    return request.param


def numbered_frames(length=LENGTH, height=48, width=64):
    """Frame i is a soft ramp whose red channel says i: grey level 5 i."""
    frames = np.zeros((length, height, width, 3), np.uint8)
    frames[..., 0] = 5 * np.arange(length)[:, None, None]
    frames[..., 1] = np.linspace(0, 200, width)
    frames[..., 2] = np.linspace(0, 200, height)[:, None]
    return frames


def frame_numbers(frames):
    return np.round(frames[..., 0].mean((1, 2)) / 5).astype(int).tolist()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "ramp.mp4", numbered_frames())


def test_what_was_written_is_read_back(video, decoder):
    assert video_length(video) == LENGTH
    frames = read_frames(video, range(LENGTH))
    assert frames.shape == (LENGTH, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert np.abs(frames.astype(int) - numbered_frames()).mean() < 2
    assert frame_numbers(frames) == list(range(LENGTH))


@pytest.mark.parametrize("indices", [[39], [0, 4, 8, 12], [30, 3, 3, 17], [11, 12, 13], [35, 1]])
def test_random_access_is_exact_in_any_order(video, decoder, indices):
    assert frame_numbers(read_frames(str(video), indices)) == indices


def test_read_clip_is_told_the_length(video, decoder):
    assert frame_numbers(read_clip(video, lambda n: [n - 1, n // 2])) == [39, 20]


def test_videos_that_can_be_read_to_their_end(video, tmp_path):
    """One that opens and begins well is not readable where a later frame is not."""
    whole, cut, spoilt = (tmp_path / f"{name}.mp4" for name in ("whole", "cut", "spoilt"))
    content = video.read_bytes()
    payload, index = content.find(b"mdat"), content.find(b"moov")
    middle = payload + (index - payload) * 6 // 10
    assert payload < middle < index - 300
    whole.write_bytes(content)
    cut.write_bytes(content[:middle])
    spoilt.write_bytes(content[:middle] + bytes(300) + content[middle + 300 :])
    assert video_length(spoilt) == LENGTH
    assert frame_numbers(read_frames(spoilt, [0, 1])) == [0, 1]
    paths = [cut, whole, spoilt, tmp_path / "none.mp4", whole]
    records = [VideoRecord(str(path), 0, path.stem) for path in paths]
    assert list(readable_videos(records)) == [records[1], records[4]]


def test_back_ends_agree(video, monkeypatch):
    if len(INSTALLED) < 2:
        pytest.skip("needs both decord and PyAV")
    read = {}
    for name in INSTALLED:
        monkeypatch.setenv("VIDSSL_DECODER", name)
        read[name] = read_frames(video, range(video_length(video)))
    assert np.array_equal(read["decord"], read["pyav"])


@pytest.mark.parametrize("indices", [[], [[0, 1]]])
def test_indices_must_be_a_list(video, indices):
    with pytest.raises(ValueError, match="non-empty list"):
        read_frames(video, indices)


@pytest.mark.parametrize("indices", [[40], [-1]])
def test_frames_out_of_range_are_named(video, decoder, indices):
    with pytest.raises(IndexError, match=r"ramp\.mp4: has 40 frames \(0\.\.39\), asked for"):
        read_frames(video, indices)


def test_an_error_of_choose_is_not_blamed_on_the_file(video, decoder):
    def broken(length):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        read_clip(video, broken)


def damaged(video: Path, folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    data = bytearray(video.read_bytes())
    start = data.find(b"mdat") + 4
    if kind == "empty":
        data = bytearray()
    elif kind == "text":
        data = bytearray(b"this is not a video\n" * 40)
    elif kind == "truncated":
        del data[len(data) // 2 :]
    elif kind == "corrupt":
        size = struct.unpack(">I", data[start - 8 : start - 4])[0] - 8
        data[start + 800 : start + size] = bytes(size - 800)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "is empty"),
        ("text", "cannot be decoded"),
        ("truncated", "cannot be decoded"),
        ("corrupt", "cannot be decoded"),
    ],
)
def test_damaged_files_are_named_in_one_line(video, tmp_path, decoder, kind, reason):
    path = damaged(video, tmp_path, kind)
    with pytest.raises(UnreadableVideo, match=rf"{kind}\.mp4: .*{reason}.*leave it out") as caught:
        read_clip(path, np.arange)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(path.name) == 1, "the file is named once, then the reason"
    assert caught.value.path == str(path)
    assert path.name not in caught.value.reason, "the path is told once"


def test_truncated_file_with_its_index_in_front(tmp_path, decoder):
    path = tmp_path / "faststart.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableVideo, match=r"faststart\.mp4"):
        read_clip(path, lambda _: range(30))


def test_missing_file_and_folder(tmp_path, decoder):
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(UnreadableVideo, match="no such file; check"):
            video_length(path)


def test_sound_only(tmp_path, decoder):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, 8000), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnreadableVideo, match="holds no video stream"):
        video_length(path)


def test_unknown_back_end(monkeypatch):
    monkeypatch.setenv("VIDSSL_DECODER", "decrod")
    with pytest.raises(
        ValueError, match="VIDSSL_DECODER='decrod' is unknown; did you mean 'decord"
    ):
        backend()


def test_default_back_end(monkeypatch):
    monkeypatch.delenv("VIDSSL_DECODER", raising=False)
    assert backend() == "pyav"


@pytest.mark.parametrize(
    ("wanted", "absent", "message"),
    [
        ("", "av", r"no video decoder is installed: install av \(PyAV\)"),
        ("decord", "av", r"no video decoder is installed: install av \(PyAV\)"),
        ("decord", "decord", "'decord', which is not installed: install decord or unset it"),
    ],
)
def test_a_decoder_that_is_not_installed(monkeypatch, video, wanted, absent, message):
    monkeypatch.setenv("VIDSSL_DECODER", wanted)
    monkeypatch.setattr(decode, "find_spec", lambda name: None if name == absent else name)
    decode._require_installed.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match=message):
            video_length(video)
    finally:
        decode._require_installed.cache_clear()


# --- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((3, 48, 64, 3), np.float32), "must be uint8"),
        (np.zeros((3, 3, 48, 64), np.uint8), "must be uint8"),
        (np.zeros((0, 48, 64, 3), np.uint8), "must be uint8"),
        (np.zeros((3, 47, 64, 3), np.uint8), "even sides, got 47 x 64"),
    ],
)
def test_write_video_refuses(tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "x.mp4", frames)
    assert not list(tmp_path.iterdir())


def test_a_video_is_the_same_to_the_byte_each_time_it_is_written(tmp_path):
    """x264's fastest code gave other bytes for one in ten videos of this size."""
    rng = np.random.default_rng(0)
    still = np.kron(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    frames = np.stack([np.roll(still, t, axis=1) for t in range(20)])
    made = {write_video(tmp_path / f"{i}.mp4", frames).read_bytes() for i in range(60)}
    assert len(made) == 1


def test_write_video_leaves_nothing_half_done(tmp_path, monkeypatch):
    def stopped(path, *rest):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "_encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "x.mp4", numbered_frames(4))
    assert not list(tmp_path.iterdir())


def test_a_key_frame_comes_at_least_every_gop(video):
    with av.open(str(video)) as container:
        is_key = [frame.key_frame for frame in container.decode(video=0)]
    keys = [i for i, key in enumerate(is_key) if key]
    assert keys[0] == 0
    assert max(np.diff([*keys, LENGTH])) <= 12


# --- still images -------------------------------------------------------------------------------


def test_read_image_modes(tmp_path):
    grey = np.full((4, 6), 100, np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.full((4, 6), 100 * 257, np.uint16)).save(tmp_path / "deep.png")
    clear = np.dstack([np.full((4, 6, 3), 200, np.uint8), np.zeros((4, 6), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    for name, value in (("grey", 100), ("deep", 100), ("clear", 128)):
        image = read_image(tmp_path / f"{name}.png")
        assert image.shape == (4, 6, 3)
        assert image.dtype == np.uint8
        assert (image == value).all(), name


def test_read_image_applies_the_cameras_rotation(tmp_path):
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:4, :6] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "phone.png", exif=exif)
    image = read_image(tmp_path / "phone.png")
    assert np.array_equal(image, np.rot90(pixels, -1))


@pytest.mark.parametrize("content", [b"", b"no image\n", None])
def test_damaged_images(tmp_path, content):
    path = tmp_path / "bad.jpg"
    if content is None:
        noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        content = path.read_bytes()[:500]
    path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"bad\.jpg: not an image, or damaged"):
        read_image(path)
    with pytest.raises(UnreadableVideo, match="no such file"):
        read_image(tmp_path / "none.jpg")


# --- real videos --------------------------------------------------------------------------------


def test_back_ends_read_real_files_alike(shared_data, monkeypatch):
    files = sorted(Path(shared_data).glob("single_clips/*.mp4"))
    for path in files:
        frames = []
        for name in INSTALLED:
            monkeypatch.setenv("VIDSSL_DECODER", name)
            frames.append(read_clip(path, lambda n: [n // 2, n - 1]))
        assert np.array_equal(frames[0], frames[-1]), path
