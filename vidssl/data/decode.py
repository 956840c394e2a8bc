"""Video and image files <-> uint8 RGB frames. Every failure is one `UnreadableVideo` line.

Two back-ends: decord, and PyAV where decord has no wheel (`backend`). They count frames alike but
differ by a few grey levels, so one project reads training and test videos with the same one.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vidssl.core import UnreadableVideo, one_of

BACKENDS = ("decord", "pyav")
# AVI files may count a few frames that never leave the decoder: the last one stands in for them.
_TAIL = 4


def backend() -> str:
    """The decoder in use: "decord" where it is installed, else "pyav"; VIDSSL_DECODER overrides."""
    wanted = os.environ.get("VIDSSL_DECODER", "")
    return one_of("VIDSSL_DECODER", wanted, BACKENDS) if wanted else _installed_backend()


@cache
def _installed_backend() -> str:
    if find_spec("decord"):
        return "decord"
    if find_spec("av"):
        return "pyav"
    raise ModuleNotFoundError("no video decoder is installed: install av (PyAV) or decord")


def video_length(path: str | Path) -> int:
    """Number of frames of a video; `UnreadableVideo` if it cannot be opened."""
    with _decoding(path):
        return len(_open(path))


def read_frames(path: str | Path, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Frames of a video at ``indices`` (any order, repeats allowed), in that order.

    Returns uint8 (T, H, W, 3) RGB at native size, turned as the file's rotation tag says. Raises
    `UnreadableVideo` for a file that cannot be decoded, IndexError for frames it does not have.
    """
    return read_clip(path, lambda _: indices)


def read_clip(path: str | Path, choose: Callable[[int], Sequence[int] | np.ndarray]) -> np.ndarray:
    """Like `read_frames`, with ``choose(number of frames) -> indices``; opens the file once."""
    with _decoding(path):
        reader = _open(path)
        length = len(reader)
    indices = np.asarray(choose(length), dtype=np.int64)
    if indices.ndim != 1 or not indices.size:
        raise ValueError(f"frame indices must be a non-empty list, got shape {indices.shape}")
    if indices.min() < 0 or indices.max() >= length:
        raise IndexError(
            f"{path}: has {length} frames (0..{length - 1}), asked for "
            f"{indices.min()}..{indices.max()}; choose within or mirror (data.sampling)"
        )
    wanted, places = np.unique(indices, return_inverse=True)
    with _decoding(path):
        frames = reader.frames(wanted)
    return frames if np.array_equal(wanted, indices) else frames[places]


def _open(path: str | Path) -> _DecordReader | _PyAVReader:
    path = Path(path)
    if not path.is_file():
        raise UnreadableVideo(path, "no such file; check the data set's root folder")
    if path.stat().st_size == 0:
        raise UnreadableVideo(path, "the file is empty (0 bytes); copy it again or leave it out")
    reader = {"decord": _open_with_decord, "pyav": _PyAVReader}[backend()](str(path))
    if not len(reader):
        raise UnreadableVideo(path, "holds no video frame; leave it out")
    return reader


@contextmanager
def _decoding(path: str | Path) -> Iterator[None]:
    """Turn whatever a decoder throws at a bad file into `UnreadableVideo`."""
    try:
        yield
    except UnreadableVideo:
        raise
    except (OSError, RuntimeError, ValueError, IndexError, *_decoder_errors()) as error:
        raise UnreadableVideo(path, _reason(str(error))) from error


@cache
def _decoder_errors() -> tuple[type[Exception], ...]:
    if not find_spec("decord"):
        return ()
    from decord._ffi.base import DECORDError

    return (DECORDError,)  # not a RuntimeError


def _reason(text: str) -> str:
    if "cannot find video stream" in text:
        return "holds no video stream (audio only?); leave it out"
    first = text.strip().splitlines()[0] if text.strip() else "no message"
    detail = first.split("Check failed:")[-1].rsplit(": ", 1)[-1].strip()[:100]
    return (
        f"cannot be decoded (corrupt, cut short or not a video; {backend()}: {detail}); "
        "copy it again or leave it out"
    )


class _DecordReader:
    """decord, with the two calls only that are exact: len and get_batch."""

    def __init__(self, path: str):
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._path = path
        self._reader = decord.VideoReader(path, num_threads=1)

    def __len__(self) -> int:
        return len(self._reader)

    def frames(self, wanted: np.ndarray) -> np.ndarray:
        try:
            return self._reader.get_batch(wanted.tolist()).asnumpy()
        except _decoder_errors() as error:
            # decord fails on files with a rotation tag and a width that is no multiple of 32
            if "size must exactly match" not in str(error) or not find_spec("av"):
                raise
            return _PyAVReader(self._path).frames(wanted)


def _open_with_decord(path: str) -> _DecordReader | _PyAVReader:
    # Random access of decord is off by some frames in AVI files with B-frames:
    # PyAV counts from the start there, with the same pixels.
    if _is_avi(path) and find_spec("av"):
        reader = _PyAVReader(path)
        if not reader.seekable:
            return reader
    return _DecordReader(path)


def _is_avi(path: str) -> bool:
    """By content: copies by `vidssl.data.prepare` keep the name of an .avi but are mp4 files."""
    with open(path, "rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"AVI "


class _PyAVReader:
    """PyAV: frames are numbered by presentation time; decoding starts at the nearest key frame.

    AVI files store no presentation times. With B-frames, theirs are numbered as they leave the
    decoder, and reading starts at the first one (``seekable`` is False).
    """

    def __init__(self, path: str):
        import av

        self._path = path
        with av.open(path) as container:
            if not container.streams.video:
                raise ValueError("cannot find video stream")
            stream = container.streams.video[0]
            is_avi = container.format.name == "avi"
            packets = [packet for packet in container.demux(stream) if packet.size]
            if len(packets) < stream.frames and not is_avi:
                raise ValueError(f"cut short, {len(packets)} of {stream.frames} frames are there")
            reordered = is_avi and stream.codec_context.has_b_frames
        shown = [(packet.pts, packet.is_keyframe) for packet in packets if not packet.is_discard]
        self.seekable = not reordered and all(time is not None for time, _ in shown)
        self._times = sorted(t for t, _ in shown) if self.seekable else list(range(len(shown)))
        self._keys = sorted(t for t, is_key in shown if is_key) if self.seekable else []

    def __len__(self) -> int:
        return len(self._times)

    def frames(self, wanted: np.ndarray) -> np.ndarray:
        times = [self._times[i] for i in wanted]
        found = self._seek_and_decode(times) if self.seekable else None
        if found is None:
            found = self._decode_from_start(times)
        return np.stack(found)

    def _seek_and_decode(self, times: list[int]) -> list[np.ndarray] | None:
        """The frames shown at ``times`` (ascending); None where seeking does not land right."""
        import av

        with av.open(self._path) as container:
            stream = _one_thread(container.streams.video[0])
            found: list[np.ndarray] = []
            position, decoded = None, iter(())
            for time in times:
                key = self._keys[max(0, bisect_right(self._keys, time) - 1)] if self._keys else 0
                if position is None or key > position:
                    container.seek(key, stream=stream)
                    decoded = container.decode(stream)
                frame = next((f for f in decoded if f.pts is not None and f.pts >= time), None)
                if frame is None or frame.pts != time:
                    return None
                position = time
                found.append(_to_rgb(frame))
            return found

    def _decode_from_start(self, times: list[int]) -> list[np.ndarray]:
        import av

        wanted, found, last = set(times), {}, None
        with av.open(self._path) as container:
            for count, last in enumerate(container.decode(_one_thread(container.streams.video[0]))):
                time = last.pts if self.seekable else count
                if time in wanted:
                    found[time] = _to_rgb(last)
                if len(found) == len(wanted):
                    break
        missing = wanted - found.keys()
        if last is None or any(t < self._times[-_TAIL:][0] for t in missing):
            raise ValueError(f"{len(missing)} of {len(wanted)} frames are missing")
        return [found[t] if t in found else _to_rgb(last) for t in times]


def _one_thread(stream):
    stream.codec_context.thread_count = 1  # data workers share the cores
    return stream


def _to_rgb(frame) -> np.ndarray:
    """A decoded PyAV frame -> (H, W, 3) uint8, turned upright (``rotation`` is anticlockwise)."""
    pixels = frame.to_ndarray(format="rgb24", threads=1)  # a thread pool a frame costs 4x as much
    return np.rot90(pixels, k=round(frame.rotation / 90) % 4)


def read_image(path: str | Path) -> np.ndarray:
    """A still image as uint8 (H, W, 3) RGB.

    The camera's (EXIF) rotation is applied, grey becomes RGB, transparency is laid over mid grey,
    16-bit values are scaled to 8. Raises `UnreadableVideo` for anything that is not an image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not Path(path).is_file():
        raise UnreadableVideo(path, "no such file; check the data set's root folder")
    try:
        with Image.open(path) as image:
            return _image_to_rgb(ImageOps.exif_transpose(image))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        hint = "not an image, or damaged; copy it again or leave it out"
        raise UnreadableVideo(path, f"{hint} ({type(error).__name__})") from error


def _image_to_rgb(image) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        grey = (grey // 257 if grey.max() > 255 else grey).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("floating-point image")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (128, 128, 128, 255))
        image = Image.alpha_composite(ground, layer)
    return np.array(image.convert("RGB"))


def write_video(
    path: str | Path, frames: np.ndarray, fps: int | Fraction = 25, gop: int = 12, crf: int = 18
) -> Path:
    """Write frames (T, H, W, 3) uint8 RGB as H.264 (mp4), atomically; returns the path.

    ``fps`` in Hz; ``gop`` is the number of frames from key frame to key frame (short ones make
    random access fast); ``crf`` the constant quality of x264, lower is better.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(
            f"frames must be uint8 (T, H, W, 3), got {frames.dtype} {tuple(frames.shape)}"
        )
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(
            f"H.264 needs even sides, got {frames.shape[1]} x {frames.shape[2]}: crop or resize"
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part")
    try:
        _encode(partial, frames, fps, {"crf": str(crf), "g": str(gop), "preset": "veryfast"})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _encode(path: Path, frames: np.ndarray, fps: int | Fraction, options: dict[str, str]) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # one encoder a process: workers share the cores
        for frame in frames:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image.reformat(format="yuv420p", threads=1)))
        container.mux(stream.encode())
