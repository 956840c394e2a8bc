"""Frame i of any file is frame i: codecs x containers x kinds x access x both back-ends.

Every file is made here and each of its frames carries its number in its pixels. Whatever is read
must be the frame asked for, to the byte what decoding in order gives, or a refusal with the file's
name: decord refuses what it is not proven exact on.
"""

from collections import Counter
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numbered_videos import (
    LENGTH,
    Recipe,
    av,
    copied,
    encode,
    joined,
    numbers,
    picture,
    with_edits,
)

from vidssl.core import UnreadableVideo
from vidssl.data import decode, frame_index, per_video, read_clip, read_frames, video_length
from vidssl.data.decode import frame_rate, read_in_order
from vidssl.data.flow_files import encode_flow, read_flow
from vidssl.data.frame_index import Remembered
from vidssl.data.prepare import prepare
from vidssl.motion.extract import extract_flow
from vidssl.motion.flow import optical_flow

EVERY = list(range(LENGTH))
B = {"bf": "2"}
ALT_REF = {"auto-alt-ref": "1", "lag-in-frames": "12", "deadline": "good", "g": "50", "crf": "20"}
OPEN = {"bf": "3", "x264-params": "open-gop=1:b-pyramid=2"}
OPEN_HEVC = {"x265-params": "open-gop=1:keyint=12:bframes=4:scenecut=0:log-level=none"}
CLOSED_HEVC = {"x265-params": "open-gop=0:keyint=12:bframes=3:log-level=none"}
REFRESH = {"x264-params": "intra-refresh=1"}
REFRESH_HEVC = {"x265-params": "intra-refresh=1:log-level=none"}
FIELDS = {"bf": "2", "flags": "+ilme+ildct"}


def recipes():
    """34 codec-container pairs in their kinds."""

    def each(kind, codec, suffixes, options=None, **more):
        return [
            Recipe(f"{codec}-{kind}.{suffix}", codec, options or {}, **more)
            for suffix in suffixes.split()
        ]

    return [
        *each("plain", "libx264", "mp4 mkv mov avi ts flv"),
        *each("b", "libx264", "mp4 mkv mov avi ts flv", {"bf": "3"}),
        *each("open", "libx264", "mp4 mkv ts avi", OPEN),
        *each("refresh", "libx264", "mp4 mkv avi ts", REFRESH),
        *each("near", "libx264", "mp4 mkv", {"bf": "3", "g": "2"}),
        *each("uneven", "libx264", "mp4 mkv flv ts", B, times="uneven"),
        *each("interlaced", "libx264", "mp4 ts", {"bf": "2", "x264-params": "interlaced=1"}),
        *each("one", "libx264", "mp4 mkv avi", length=1),
        *each("plain", "mpeg4", "avi mp4 mkv ts"),
        *each("b", "mpeg4", "avi mp4 mkv ts mov", B),
        *each("uneven", "mpeg4", "mp4", B, times="uneven"),
        *each("plain", "mpeg2video", "mp4 mpg ts"),
        *each("b", "mpeg2video", "mp4 mpg ts mkv vob", B),  # open GOPs, as FFmpeg makes them
        *each("fields", "mpeg2video", "mpg ts mp4", FIELDS),
        *each("b", "mpeg1video", "mpg mp4", B),
        *each("plain", "wmv1", "wmv"),
        *each("plain", "wmv2", "wmv avi"),
        *each("plain", "msmpeg4", "avi"),
        *each("open", "libx265", "mp4 mkv ts", OPEN_HEVC),
        *each("closed", "libx265", "mp4 mkv", CLOSED_HEVC),
        *each("refresh", "libx265", "mp4", REFRESH_HEVC),
        *each("hidden", "libvpx", "webm mkv", ALT_REF),
        *each("plain", "libvpx", "webm"),
        *each("hidden", "libvpx-vp9", "webm mp4", ALT_REF),
        *each("plain", "libvpx-vp9", "webm mkv"),
        *each("plain", "libsvtav1", "mp4 webm", factor=2),
        *each("plain", "mjpeg", "avi mov mkv", pix_fmt="yuvj420p"),
        *each("plain", "flv", "flv avi"),
        *each("plain", "h263p", "avi"),
        *each("plain", "ffv1", "mkv"),
        *each("plain", "prores_ks", "mov", pix_fmt="yuv422p10le"),
    ]


RECIPES = {recipe.name: recipe for recipe in recipes()}
# Every kind that `prepare` and flow meet.
SOME = (
    *("libx264-plain.avi", "libx264-open.mp4", "libx264-refresh.mp4", "libx264-uneven.mkv"),
    *("mpeg4-b.avi", "mpeg4-b.mp4", "mpeg2video-b.mp4", "mpeg2video-b.mpg", "mpeg1video-b.mpg"),
    *("wmv2-plain.wmv", "libx265-open.mp4", "libvpx-hidden.webm", "mjpeg-plain.avi"),
)
ACCESS = {
    "in a row": [range(0, 8), range(9, 17), range(23, 31), range(42, 50)],
    "single": [[0], [1], [11], [12], [13], [25], [37]],
    "scattered": [[3, 40, 17, 17, 29], [48, 2, 24, 36, 12], [10, 20, 30]],
    "backwards": [range(49, -1, -5), range(20, 12, -1)],
    "last": [[49], [48], range(46, 50)],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made(name)``: the file of a recipe, encoded when it is first asked for."""
    folder = tmp_path_factory.mktemp("numbered")

    def file(name):
        path = folder / name
        return path if path.is_file() else encode(path, RECIPES[name])

    return file


@pytest.fixture(autouse=True)
def pyav(monkeypatch):
    """Forget what is remembered of files: each test meets its own anew."""
    monkeypatch.setenv("VIDSSL_DECODER", "pyav")
    monkeypatch.setattr(frame_index, "_indices", Remembered(10**8, lambda index: index.nbytes))


def in_order(path):
    """All frames of a file by plain PyAV, of the stream that is expected to be chosen."""
    with av.open(str(path)) as container:
        stream = max(container.streams.video, key=lambda s: (s.frames != 1, s.width, -s.index))
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def require_exact(path, expected):
    """``expected`` are the numbers of the frames that a player shows, in order."""
    length = len(expected)
    assert read_clip(path, lambda n: [n - 1])[0] is not None  # cold, before any other
    assert video_length(path) == length
    whole = read_frames(path, range(length))
    assert numbers(whole) == list(expected)
    for way, choices in ACCESS.items():
        for chosen in choices:
            indices = [i % length for i in chosen]
            frames = read_frames(path, indices)
            assert np.array_equal(frames, whole[indices]), (way, indices, numbers(frames))
    pieces = list(read_in_order(path, 7 * whole[0].nbytes))
    assert [len(piece) for piece in pieces[:-1]] == [7] * (len(pieces) - 1)
    assert np.array_equal(np.concatenate(pieces), whole)
    return whole


# --- the matrix -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_pyav_is_exact(made, name):
    whole = require_exact(made(name), range(RECIPES[name].length))
    assert np.array_equal(whole, in_order(made(name)))


PROVEN = {
    f"libx264-{kind}.{suffix}"
    for kind in ("plain", "b", "uneven", "one")
    for suffix in ("mp4", "mkv", "mov")
}


@pytest.mark.parametrize("name", RECIPES)
def test_decord_is_exact_or_refuses(made, name, monkeypatch):
    pytest.importorskip("decord")
    path, expected = made(name), range(RECIPES[name].length)
    whole = read_frames(path, expected)
    monkeypatch.setenv("VIDSSL_DECODER", "decord")
    refusal = why_refused(path)
    if not refusal:
        assert RECIPES[name].codec == "libx264"
        assert np.array_equal(require_exact(path, expected), whole), "the same pixels"
        return
    assert name not in PROVEN
    assert f"{name}: decord is not proven exact on it (" in refusal
    assert "unset VIDSSL_DECODER" in refusal


def why_refused(path):
    try:
        video_length(path)
    except UnreadableVideo as error:
        return str(error)
    return ""


def test_enough_pairs():
    pairs = {(r.codec, name.split(".")[-1]) for name, r in RECIPES.items()}
    assert len(pairs) >= 30


@pytest.mark.parametrize(
    "colour", ["colormatrix=bt709", "fullrange=on", "fullrange=on:colormatrix=bt709"]
)
def test_both_back_ends_give_the_same_colours(tmp_path, monkeypatch, colour):
    pytest.importorskip("decord")
    path = encode(tmp_path / "v.mp4", Recipe("v.mp4", "libx264", {"x264-params": colour}))
    whole = read_frames(path, EVERY)
    monkeypatch.setenv("VIDSSL_DECODER", "decord")
    assert np.array_equal(read_frames(path, EVERY), whole)


# --- edit lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("skip", [5, 13, 20])
@pytest.mark.parametrize(
    "name",
    ["libx264-plain.mp4", "libx264-b.mp4", "libx264-open.mp4", "mpeg4-b.mp4", "libx265-open.mp4"],
)
def test_frames_cut_away_by_a_copy_are_not_shown(made, tmp_path, name, skip, suffix):
    """A cut without encoding keeps the frames since the last key frame, and hides them."""
    path = copied(made(name), tmp_path / f"cut.{suffix}", skip=skip / 25)
    require_exact(path, range(skip, LENGTH))
    assert frame_rate(path) == 25


EDITS = {  # (frames, first frame): None is a pause
    "head": [(40, 10)],
    "tail": [(20, 0)],
    "middle": [(20, 10)],
    "two parts": [(10, 0), (10, 30)],
    "swapped": [(10, 30), (10, 0)],
    "repeated": [(10, 0), (10, 0)],
    "three parts": [(5, 5), (5, 20), (5, 41)],
    "late": [(10, None), (50, 0)],
}


@pytest.mark.parametrize("case", EDITS)
@pytest.mark.parametrize("name", ["libx264-plain.mp4", "libx264-b.mp4", "mpeg4-b.mp4"])
def test_edit_lists_of_any_form(made, tmp_path, name, case):
    path = with_edits(made(name), tmp_path / "edited.mp4", EDITS[case])
    parts = [range(first, first + n) for n, first in EDITS[case] if first is not None]
    require_exact(path, [number for part in parts for number in part])


@pytest.mark.parametrize(
    "flags", ["frag_keyframe+empty_moov", "dash", "faststart", "negative_cts_offsets"]
)
def test_forms_of_mp4(made, tmp_path, flags):
    path = copied(made("libx264-b.mp4"), tmp_path / "v.mp4", options={"movflags": flags})
    require_exact(path, EVERY)


@pytest.mark.parametrize("name", ["libx264-b.mp4", "libx264-open.mp4", "mpeg4-b.mp4"])
def test_times_of_decoding_given_as_those_of_showing(made, tmp_path, name):
    """What a copy from AVI to mp4 makes, since AVI knows no other times."""
    path = tmp_path / "v.mp4"
    with av.open(str(made(name))) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        begin = packets[0].dts
        for packet in packets:
            packet.pts = packet.dts = packet.dts - begin
            packet.stream = stream
            new.mux(packet)
    require_exact(path, EVERY)


# --- which stream, which way up -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("thumbnail", "count", "mark"),
    [(1, 2, 0), (4, 1, 0), (4, 2, 0), (4, 3, "timed_thumbnails"), (4, 1, "attached_pic")],
)
def test_thumbnails_and_covers_are_not_the_video(tmp_path, suffix, thumbnail, count, mark):
    path = joined(tmp_path / f"v.{suffix}", thumbnail, count, mark)
    assert numbers(require_exact(path, EVERY)) == EVERY
    assert frame_rate(path) == 25


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_are_upright(tmp_path, suffix, angle, mirror, monkeypatch):
    path = encode(tmp_path / f"v.{suffix}", Recipe("v", "libx264", B, turned=(angle, mirror)))
    frames = read_frames(path, [30, 7, 49])
    if mirror:
        frames = frames[:, :, ::-1]
    assert numbers(np.rot90(frames, -angle // 90, axes=(1, 2))) == [30, 7, 49]
    if angle and find_spec("decord"):
        monkeypatch.setenv("VIDSSL_DECODER", "decord")
        with pytest.raises(UnreadableVideo, match="a rotation tag"):
            video_length(path)


# --- files that are not whole ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["libx264-b.ts", "mpeg2video-b.ts", "libx265-open.ts"])
def test_recordings_joined_end_to_end(made, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(made(name).read_bytes() * 2)
    require_exact(path, EVERY + EVERY)


@pytest.mark.parametrize("name", ["libx264-b.ts", "mpeg2video-b.ts"])
@pytest.mark.parametrize("part", [3, 2])
def test_a_recording_that_begins_in_its_middle(made, tmp_path, name, part):
    path, data = tmp_path / name, made(name).read_bytes()
    path.write_bytes(data[len(data) // 188 // part * 188 :])
    shown = shown_by_pyav(path)
    assert 10 < len(shown) < LENGTH
    require_exact(path, shown)


@pytest.mark.parametrize("drop", [5, 12])
@pytest.mark.parametrize(
    "name", ["libx264-b.mp4", "libx264-open.mp4", "libx265-open.mp4", "mpeg4-b.mp4"]
)
def test_first_packets_lost(made, tmp_path, name, drop):
    path = copied(made(name), tmp_path / "v.mkv", drop=drop)
    require_exact(path, shown_by_pyav(path))


@pytest.mark.parametrize("share", [0.95, 0.6])
@pytest.mark.parametrize(
    "name",
    [
        *("mpeg4-b.avi", "mpeg4-plain.avi", "libx264-b.mkv", "flv-plain.flv"),
        *("mpeg2video-b.mpg", "libvpx-plain.webm", "wmv2-plain.wmv", "libx264-b.ts"),
    ],
)
def test_a_file_cut_short_shows_what_is_left(made, tmp_path, name, share):
    path, data = tmp_path / name, made(name).read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    require_exact(path, shown_by_pyav(path))


def shown_by_pyav(path):
    """Numbers of the frames that come out of the decoder until it fails for good."""
    images = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if images:
                    break
                continue
            images += [frame.to_ndarray(format="rgb24") for frame in frames]
    return numbers(np.stack(images))


def test_mkv_without_a_frame(tmp_path):
    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    for read in (video_length, frame_rate, lambda p: read_frames(p, [0])):
        with pytest.raises(UnreadableVideo, match=r"none\.mkv: .*leave it out") as caught:
            read(path)
        assert "\n" not in str(caught.value)


# --- what is remembered ---------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch):
    """How often each file was looked at, and opened."""
    seen = Counter()
    look, opened = frame_index._look, frame_index.opened

    def counted_look(path):
        seen["looks"] += 1
        return look(path)

    def counted_opened(path, number=None):
        seen["opened"] += 1
        return opened(path, number)

    monkeypatch.setattr(frame_index, "_look", counted_look)
    monkeypatch.setattr(frame_index, "opened", counted_opened)
    monkeypatch.setattr(decode, "opened", counted_opened)
    return seen


@pytest.mark.parametrize("name", ["libx264-b.mp4", "mpeg4-b.avi"])
def test_a_file_is_looked_at_once_until_it_changes(made, tmp_path, looks, name):
    path = tmp_path / name
    path.write_bytes(made(name).read_bytes())
    for start in range(10):
        read_frames(path, range(start, start + 8))
    assert looks["looks"] == 1
    short = encode(tmp_path / f"short-{name}", Recipe(name, RECIPES[name].codec, B, length=20))
    path.write_bytes(short.read_bytes())
    assert video_length(path) == 20
    assert looks["looks"] == 2


def test_what_had_to_be_decoded_for_counting_is_not_decoded_again(made, looks):
    path = made("mpeg4-b.avi")
    assert numbers(read_clip(path, lambda n: [n - 1, 3])) == [49, 3]
    assert looks["opened"] == 2  # for the packets, for the frames
    assert numbers(read_clip(path, lambda n: [n - 1, 3])) == [49, 3]
    assert looks["opened"] == 3


def test_frames_too_large_to_be_kept(made, monkeypatch):
    monkeypatch.setattr(frame_index, "KEPT_BYTES", 100_000)
    require_exact(made("mpeg4-b.avi"), EVERY)


@pytest.mark.parametrize("name", ["mpeg4-b.avi", "mpeg2video-b.mpg", "libx264-refresh.mp4"])
def test_reading_in_order_decodes_once(made, looks, name):
    assert video_length(made(name)) == LENGTH
    before = looks["opened"]
    assert len(list(read_in_order(made(name), 1))) == LENGTH
    assert looks["opened"] == before + 1


def test_a_seek_that_misses_is_not_believed(made, monkeypatch):
    """As with a damaged index of an mkv file: the file is then decoded from its start."""
    path = made("libx264-b.mp4")
    index, _ = frame_index.frame_index(str(path))
    wrong = frame_index.replace(index, starts=index.starts + 1)
    frame_index._indices.put(str(path), wrong)
    assert numbers(read_frames(path, [30, 31])) == [30, 31]
    assert not len(frame_index.frame_index(str(path))[0].starts), "it does not try again"
    assert numbers(read_frames(path, [13, 49])) == [13, 49]


def test_memory_of_files_is_bounded(tmp_path):
    memory = Remembered(3)
    files = [tmp_path / f"{i}" for i in range(4)]
    for i, file in enumerate(files):
        file.write_text("x")
        memory.put(str(file), i)
        assert memory.get(str(files[0])) == 0, "used of late: kept"
    assert memory.get(str(files[1])) is None
    assert memory.get(str(files[3])) == 3


# --- rates, copies, flow --------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), 15, 30])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "flv"])
def test_the_rate_is_what_was_written(tmp_path, suffix, rate):
    path = encode(tmp_path / f"v.{suffix}", Recipe("v", "libx264", rate=rate))
    assert float(frame_rate(path)) == pytest.approx(float(rate), rel=2e-4)


@pytest.mark.parametrize("name", ["libx264-b.avi", "mpeg4-b.mp4"])
def test_the_rate_of_a_copy_in_avi_with_empty_places(made, tmp_path, name):
    """A copy by FFmpeg may have a place for every field: 50 a second for 25 frames."""
    path = tmp_path / "v.avi"
    with av.open(str(made(name))) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.time_base = Fraction(1, 50)
        for packet in old.demux(video=0):
            if packet.size:
                packet.pts, packet.stream = packet.dts, stream
                new.mux(packet)
    require_exact(path, EVERY)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 50
    assert frame_rate(path) == 25


@pytest.mark.parametrize("name", [name for name in RECIPES if "uneven" in name])
def test_an_uneven_rate_is_its_average(made, name):
    gaps = np.resize([1, 3, 1, 5], LENGTH)[1:]
    assert float(frame_rate(made(name))) == pytest.approx(25 / gaps.mean(), rel=0.03)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """A folder with a file of each kind, and what their frames are."""
    root = tmp_path_factory.mktemp("kinds")
    shown = {}
    for name in SOME:
        (root / name.replace(".", f"-{name[-3:]}.")).symlink_to(made(name))
        shown[name.replace(".", f"-{name[-3:]}.")] = EVERY
    copied(made("libx264-b.mp4"), root / "cut.mp4", skip=0.52)
    joined(root / "thumbnail.mp4", 1, 2, 0)
    return root, shown | {"cut.mp4": EVERY[13:], "thumbnail.mp4": EVERY}


def test_frame_i_of_a_copy_is_frame_i(folder, tmp_path, monkeypatch):
    root, shown = folder
    monkeypatch.setattr(per_video, "CHUNK_BYTES", 7 * 48 * 64 * 3)
    done = prepare(root, tmp_path / "out", short_side=48, crf=10, workers=1, progress=False)
    assert (done.made, done.failed) == (len(shown), {})
    for name, expected in shown.items():
        copy = tmp_path / "out" / name
        assert numbers(read_frames(copy, range(len(expected)))) == expected, name
        assert numbers(read_frames(copy, [20, 3, len(expected) - 1])) == [
            expected[i] for i in (20, 3, -1)
        ]
        assert float(frame_rate(copy)) == pytest.approx(float(frame_rate(root / name)), rel=2e-3)
        if "uneven" not in name:
            assert frame_rate(copy) == 25, name


def test_flow_i_belongs_to_frames_i_and_the_next(folder, tmp_path, monkeypatch):
    root, shown = folder
    monkeypatch.setattr(per_video, "CHUNK_BYTES", 7 * 48 * 64 * 3)
    method = {"method": "farneback", "short_side": 48}
    done = extract_flow(root, tmp_path / "out", **method, workers=1, progress=False)
    assert (done.made, done.failed) == (len(shown), {})
    for name, expected in shown.items():
        flow = read_flow(tmp_path / "out" / f"{name}.npz")
        assert len(flow) == len(expected) - 1, name
        for i in (0, 11, 24, len(flow) - 1):
            pair = read_frames(root / name, [i, i + 1])
            assert numbers(pair) == expected[i : i + 2]
            assert np.array_equal(flow[i : i + 1], encode_flow(optical_flow(pair, "farneback")))


# --- real videos ----------------------------------------------------------------------------------


def test_real_files_are_read_as_decoding_in_order_gives_them(shared_data):
    root = Path(shared_data)
    files = [*root.glob("single_clips/*"), *root.glob("ucf101_six/originals/*")]
    files += [*sorted(root.glob("ut_interaction_set1/*/*.avi"))[::20]]
    assert files
    rng = np.random.default_rng(0)
    for file in files:
        whole = in_order(file)
        assert video_length(file) == len(whole), file
        for start in rng.integers(0, len(whole) - 16, 5):
            frames = read_frames(file, range(start, start + 16))
            assert np.array_equal(frames, whole[start : start + 16]), (file, start)
        assert np.array_equal(read_frames(file, [len(whole) - 1, 5]), whole[[-1, 5]]), file


def test_picture_and_numbers_agree():
    assert numbers(np.stack([picture(i) for i in range(256)])) == list(range(256))


@pytest.mark.parametrize(("codec", "ending"), [("libx264", "mp4"), ("mpeg2video", "mkv")])
def test_reordering_that_is_allowed_but_never_used_costs_no_seeking(tmp_path, codec, ending):
    """Headers of x264 and MPEG-2 allow B pictures; noise, and an encoder told so, bring none."""
    path, random = tmp_path / f"v.{ending}", np.random.default_rng(0)
    options = {"g": "5"} if codec == "libx264" else {"g": "5", "bf": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(100, 130):
            pixels = np.full((48, 64, 3), shade, dtype=np.uint8)
            if codec == "libx264":
                pixels = random.integers(0, 256, pixels.shape, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.has_b_frames
    index, _ = frame_index.frame_index(str(path))
    assert index.why_counted == ""
    assert len(index.starts) >= 6
