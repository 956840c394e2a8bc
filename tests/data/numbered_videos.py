"""Small videos of every codec and container at hand, in which each frame carries its number.

A frame is 64 x 48, or some times that: eight blocks of 16 x 24, dark or bright, are the bits of its
number, under a soft ramp that moves, so that encoders have something to predict. A block is a whole
macroblock or more and is read at its middle: a number survives any codec.
"""

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

HEIGHT, WIDTH, LENGTH, GOP = 48, 64, 50, 12
RATE = 25


def picture(number: int) -> np.ndarray:
    """(H, W, 3) uint8: the frame that shows ``number``, 0..255."""
    bits = np.array([number >> place & 1 for place in range(8)], np.uint8).reshape(2, 4)
    grey = np.kron(60 + 120 * bits, np.ones((24, 16), np.uint8))
    ramp = (np.arange(WIDTH) + 3 * number) % WIDTH // 2
    return np.repeat((grey + ramp.astype(np.uint8))[..., None], 3, axis=-1)


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that upright frames (T, H, W, 3) show."""
    factor = frames.shape[2] // WIDTH
    grey = frames[:, factor // 2 :: factor, factor // 2 :: factor, 1]
    blocks = grey.reshape(len(frames), 2, 24, 4, 16)[:, :, 6:18, :, 5:11].mean((2, 4))
    return ((blocks.reshape(-1, 8) > 135) @ (1 << np.arange(8))).tolist()


@dataclass(frozen=True)
class Recipe:
    """How a file is made: ``name`` ends with the container's suffix."""

    name: str
    codec: str
    options: dict = field(default_factory=dict, hash=False)
    times: str = "even"  # or "uneven"
    length: int = LENGTH
    pix_fmt: str = "yuv420p"
    factor: int = 1  # times 64 x 48
    rate: Fraction | int = RATE
    turned: tuple[int, bool] = (0, False)  # degrees anticlockwise, then mirrored


def encode(path: Path, recipe: Recipe) -> Path:
    """Write the frames 0..length-1."""
    times = np.arange(recipe.length)
    if recipe.times == "uneven":
        times = np.cumsum(np.resize([1, 3, 1, 5], recipe.length)) - 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream(recipe.codec, rate=recipe.rate, options=_options(recipe))
        stream.height, stream.width = HEIGHT * recipe.factor, WIDTH * recipe.factor
        stream.pix_fmt, stream.bit_rate = recipe.pix_fmt, 4_000_000
        stream.codec_context.thread_count = 1
        if any(recipe.turned):
            stream.set_display_rotation(recipe.turned[0], hflip=recipe.turned[1])
        for number, time in enumerate(times):
            image = picture(number).repeat(recipe.factor, 0).repeat(recipe.factor, 1)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = int(time), 1 / Fraction(recipe.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _options(recipe: Recipe) -> dict[str, str]:
    common = {
        "libx264": {"g": str(GOP), "bf": "0", "preset": "veryfast", "sc_threshold": "0"},
        "libx265": {"g": str(GOP), "bf": "0", "preset": "ultrafast"},
        "libsvtav1": {"g": str(GOP), "preset": "12", "svtav1-params": "lp=1"},
        "libvpx": {"g": str(GOP), "deadline": "realtime", "cpu-used": "8"},
        "libvpx-vp9": {"g": str(GOP), "deadline": "realtime", "cpu-used": "8"},
    }.get(recipe.codec, {"g": str(GOP)})
    return common | recipe.options


def copied(
    source: Path, target: Path, *, skip: float = 0.0, drop: int = 0, options: dict | None = None
) -> Path:
    """The video's packets put into another file, from the key frame before ``skip`` seconds on.

    Times are moved by ``skip``: frames before it are there, at times below zero, and an mp4 file
    says in its edit list that they are not to be shown. The first ``drop`` packets are left out.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        inside = old.streams.video[0]
        outside = new.add_stream_from_template(inside)
        shift = round(skip / inside.time_base)
        if skip:
            old.seek(shift, stream=inside)
        for packet in list(old.demux(inside))[drop:]:
            if packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = outside
            new.mux(packet)
    return target


def joined(path: Path, factor: int, count: int, mark: str | int) -> Path:
    """Frames 0..49 as the second video stream; the first holds ``count`` thumbnails, one a second.

    They are ``factor`` times 64 x 48 and carry the disposition ``mark``, if any.
    """
    with av.open(str(path), "w") as container:
        thumbnails = container.add_stream("mjpeg", rate=1)
        thumbnails.width, thumbnails.height = WIDTH * factor, HEIGHT * factor
        thumbnails.pix_fmt = "yuvj420p"
        if mark:
            thumbnails.disposition = av.stream.Disposition[mark]
        video = container.add_stream("libx264", rate=RATE, options={"g": str(GOP)})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for stream, length, times in ((thumbnails, count, factor), (video, LENGTH, 1)):
            for number in range(length):
                image = picture(number).repeat(times, 0).repeat(times, 1)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


def with_edits(source: Path, target: Path, edits: list[tuple[int, int | None]]) -> Path:
    """A copy of an mp4 file (its index at the end) that shows ``edits``: (frames, first frame)."""
    with av.open(str(source)) as container:
        ticks = round(1 / RATE / container.streams.video[0].time_base)
    data = bytearray(source.read_bytes())
    boxes, begin, end = [], 0, len(data)
    for name in (b"moov", b"trak", b"edts", b"elst"):
        begin, size = _box(data, name, begin, end)
        boxes.append((begin, size))
        begin, end = begin + 8, begin + size
    place, size = boxes.pop()
    offset = struct.unpack(">i", data[place + 20 : place + 24])[0]
    rows = [
        struct.pack(
            ">IiI", 1000 * n // RATE, -1 if first is None else offset + first * ticks, 65536
        )
        for n, first in edits
    ]
    new = struct.pack(">I4sII", 16 + 12 * len(rows), b"elst", 0, len(rows)) + b"".join(rows)
    data[place : place + size] = new
    for outer, outer_size in boxes:
        data[outer : outer + 4] = struct.pack(">I", outer_size + len(new) - size)
    target.write_bytes(data)
    return target


def _box(data: bytes, name: bytes, place: int, end: int) -> tuple[int, int]:
    while place < end:
        size, found = struct.unpack(">I4s", data[place : place + 8])
        if found == name:
            return place, size
        place += size
    raise ValueError(f"no box {name!r}")
