"""Video and image files <-> uint8 RGB frames. Every failure is one `UnreadableVideo` line.

Frame i is the i-th frame that is shown (`vidssl.data.frame_index`), whatever codec, container and
order of reading. PyAV reads every file. decord, the other back-end, reads by request only, and only
files for which it is proven exact (`vidssl.data.proof`): it is slower by now, and where both read a
file, their pixels are the same or differ by what tests/data/test_frames.py states.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vidssl.core import UnreadableVideo, VideoRecord, one_of
from vidssl.data.frame_index import FrameIndex, decoded, frame_index, opened, without_seeking
from vidssl.data.proof import why_not_decord
from vidssl.files import whole

BACKENDS = ("pyav", "decord")
# Frames that are sooner decoded than jumped over.
_NEAR = 4
_TRIED_BYTES = 2**24  # of frames held at a time by who only wants to know whether they can be read


def backend() -> str:
    """The decoder of this process: "pyav", or what VIDSSL_DECODER says: "pyav" or "decord"."""
    wanted = os.environ.get("VIDSSL_DECODER", "")
    name = one_of("VIDSSL_DECODER", wanted, BACKENDS) if wanted else "pyav"
    _require_installed(name)
    return name


@cache
def _require_installed(name: str) -> None:
    if not find_spec("av"):  # decord needs it for the proof
        raise ModuleNotFoundError("no video decoder is installed: install av (PyAV)")
    if name == "decord" and not find_spec("decord"):
        raise ModuleNotFoundError(
            "VIDSSL_DECODER='decord', which is not installed: install decord or unset it"
        )


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


def read_in_order(path: str | Path, chunk_bytes: int) -> Iterator[np.ndarray]:
    """All frames of a video, (T, H, W, 3) uint8 in pieces of ``chunk_bytes`` or less, decoded once.

    Raises `UnreadableVideo`, which may come after frames that could be read.
    """
    with _decoding(path):
        reader = _open(path)
        chunk = max(1, chunk_bytes // max(1, 3 * reader.index.pixels))
        pieces = reader.pieces(chunk)
    while True:
        with _decoding(path):
            frames = next(pieces, None)
        if frames is None:
            return
        yield frames


def readable_videos(records: Iterable[VideoRecord]) -> Iterator[VideoRecord]:
    """Those of which every frame can be read, each tried when it is asked for."""
    for record in records:
        try:
            for _ in read_in_order(record.path, _TRIED_BYTES):
                pass
        except UnreadableVideo:
            continue
        yield record


def frame_rate(path: str | Path) -> Fraction:
    """Average frames a second; 25 where the file names none. Raises `UnreadableVideo`."""
    with _decoding(path):
        rate = _open(path).index.rate
    if not rate or not 0.1 <= rate <= 1000:
        rate = Fraction(25)
    return Fraction(rate).limit_denominator(1001)


def _open(path: str | Path) -> _PyAVReader:
    reader = {"decord": _DecordReader, "pyav": _PyAVReader}[backend()]
    if not os.path.isfile(path):
        raise UnreadableVideo(path, "no such file; check the data set's root folder")
    if not os.path.getsize(path):
        raise UnreadableVideo(path, "the file is empty (0 bytes); copy it again or leave it out")
    video = reader(os.fspath(path))
    if not len(video):
        raise UnreadableVideo(path, "holds no frame (cut short?); copy it again or leave it out")
    return video


@contextmanager
def _decoding(path: str | Path) -> Iterator[None]:
    """Turn whatever a decoder throws at a bad file into `UnreadableVideo`."""
    try:
        yield
    except (UnreadableVideo, ModuleNotFoundError):
        raise
    except (OSError, RuntimeError, ValueError, IndexError, *_decoder_errors()) as error:
        raise UnreadableVideo(path, _reason(_said(error))) from error


@cache
def _decoder_errors() -> tuple[type[Exception], ...]:
    """What is none of Python's own: PyAV's EOFError and others, decord's DECORDError."""
    errors: list[type[Exception]] = []
    if find_spec("av"):
        from av import FFmpegError

        errors.append(FFmpegError)
    if find_spec("decord"):
        from decord._ffi.base import DECORDError

        errors.append(DECORDError)
    return tuple(errors)


def _said(error: Exception) -> str:
    """What is wrong; PyAV's text ends with the file or its own function instead."""
    return getattr(error, "strerror", None) or str(error)


def _reason(text: str) -> str:
    if "cannot find video stream" in text:
        return "holds no video stream (audio only?); leave it out"
    first = text.strip().splitlines()[0] if text.strip() else "no message"
    first = re.sub(r""": (['"]).*\1$""", "", first)  # FFmpeg ends with the path, told already
    detail = first.split("Check failed:")[-1].rsplit(": ", 1)[-1].strip()[:100]
    return (
        f"cannot be decoded (corrupt, cut short or not a video; {backend()}: {detail}); "
        "copy it again or leave it out"
    )


class _PyAVReader:
    """Frames by their times, from the nearest key frame; or counted from the first one."""

    def __init__(self, path: str):
        self._path = path
        self.index, self._kept = frame_index(path)
        self._to_rgb = _Upright()

    def __len__(self) -> int:
        return self.index.length

    def frames(self, wanted: np.ndarray) -> np.ndarray:
        """At ``wanted``, ascending: (T, H, W, 3) uint8."""
        images = None
        if self._kept is not None:
            images = [self._to_rgb(self._kept[i]) for i in wanted]
        elif len(self.index.starts):
            images = self._from_key_frames(wanted)
            if images is None:
                without_seeking(self._path, self.index)
        return _stack(images or self._from_the_start(wanted))

    def pieces(self, chunk: int) -> Iterator[np.ndarray]:
        """All frames, ``chunk`` at a time."""
        count, images = 0, []
        for frame in self._kept or decoded(self._path, self.index.stream, self.index.packets):
            count += 1
            images.append(self._to_rgb(frame))
            if len(images) == chunk:
                yield _stack(images)
                images = []
        if count != self.index.length:
            raise ValueError(f"cut short, {count} of {self.index.length} frames can be decoded")
        if images:
            yield _stack(images)

    def _from_key_frames(self, wanted: np.ndarray) -> list[np.ndarray] | None:
        """None where a seek does not land on the key frame that it should find."""
        index, images, position, coming = self.index, [], None, iter(())
        with opened(self._path, index.stream) as (container, stream):
            for i in wanted:
                time = index.times[i]
                key = max(0, bisect_right(index.starts, time) - 1)
                begin = int(np.searchsorted(index.times, index.starts[key]))
                if position is None or begin > position + _NEAR:
                    coming = _decoded_from(container, stream, index, key)
                frame = next((f for f in coming if f.pts is not None and f.pts >= time), None)
                if frame is None or frame.pts != time:
                    return None
                position = i
                images.append(self._to_rgb(frame))
        return images

    def _from_the_start(self, wanted: np.ndarray) -> list[np.ndarray]:
        times, images = self.index.times, {}
        frames = decoded(self._path, self.index.stream, self.index.packets)
        left = set(wanted.tolist() if times is None else times[wanted].tolist())
        for count, frame in enumerate(frames):
            name = count if times is None else frame.pts
            if name in left:
                images[name] = self._to_rgb(frame)
                left.remove(name)
            if not left:
                return [images[name] for name in sorted(images)]
        raise ValueError(f"{len(left)} of {len(wanted)} frames are missing")


def _decoded_from(container, stream, index: FrameIndex, key: int) -> Iterator:
    """Frames from a key frame on; none where no seek comes by it."""
    start = int(index.starts[key])
    for target in (int(index.targets[key]), start):
        container.seek(target, stream=stream)
        begun = False
        for packet in container.demux(stream):
            begun = begun or (packet.is_keyframe and packet.pts == start)
            if begun:
                yield from packet.decode()
            elif packet.dts is not None and packet.dts > start:
                break
        if begun:
            return


class _DecordReader(_PyAVReader):
    """decord, with the two calls only that are exact: len and get_batch."""

    def __init__(self, path: str):
        super().__init__(path)
        why_not = why_not_decord(path, self.index)
        if why_not:
            raise self._refusal(f"is not proven exact on it ({why_not})")
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._reader = decord.VideoReader(path, num_threads=1)
        if len(self._reader) != self.index.length:
            raise ValueError(f"decord counts {len(self._reader)} of {self.index.length} frames")

    def _refusal(self, why: str) -> UnreadableVideo:
        remedy = "unset VIDSSL_DECODER, or copy the data set with `vidssl prepare`"
        return UnreadableVideo(self._path, f"decord {why}; {remedy}")

    def frames(self, wanted: np.ndarray) -> np.ndarray:
        try:
            return self._reader.get_batch(wanted.tolist()).asnumpy()
        except _decoder_errors() as error:
            if "size must exactly match" in str(error):  # it pads rows of some widths
                raise self._refusal("cannot hand over frames of its width") from None
            raise

    def pieces(self, chunk: int) -> Iterator[np.ndarray]:
        for start in range(0, len(self), chunk):
            yield self.frames(np.arange(start, min(start + chunk, len(self))))


def _stack(images: list[np.ndarray]) -> np.ndarray:
    if any(image.shape != images[0].shape for image in images):
        raise ValueError("its frames change size")
    return np.stack(images)


class _Upright:
    """Decoded PyAV frames of one file -> (H, W, 3) uint8, turned and mirrored as the file says."""

    def __init__(self):
        self._turned: bool | None = None
        self._matrix: bytes = b""

    def __call__(self, frame) -> np.ndarray:
        # A thread pool a frame would cost 4 times as much.
        pixels = frame.to_ndarray(format="rgb24", threads=1)
        if self._turned is None:  # asked once: it costs as much as converting a small frame
            matrix = frame.side_data.get("DISPLAYMATRIX")
            self._turned, self._matrix = matrix is not None, bytes(matrix or b"")
        return _upright(pixels, self._matrix) if self._turned else pixels


def _upright(pixels: np.ndarray, matrix: bytes) -> np.ndarray:
    """Apply a display matrix of quarter turns and mirrors: x' = a x + c y, y' = b x + d y."""
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5]
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


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
    with whole(Path(path)) as partial:
        _encode(partial, frames, fps, {"crf": str(crf), "g": str(gop), "preset": "veryfast"})
    return Path(path)


def _encode(path: Path, frames: np.ndarray, fps: int | Fraction, options: dict[str, str]) -> None:
    import av

    # its fastest code gives other bytes now and then, and on other processors
    options = {**options, "x264-params": "cpu-independent=1"}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # one encoder a process: workers share the cores
        for frame in frames:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image.reformat(format="yuv420p", threads=1)))
        container.mux(stream.encode())
