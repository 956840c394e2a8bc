"""Which frames a video file shows, in order, and where decoding may begin.

Frame i is the i-th frame that a player shows when the file is played from its start: the edit list
is respected, hidden frames do not count, and the stream is the one that an eye would choose. Most
files say all that in the times of their packets (a *timed* index, one pass without decoding).
Where times are absent, repeated, out of order or known to be guessed (AVI with B-frames, .mpg, raw
streams, a file cut before its first key frame), frames are *counted*: decoded once from the start.

An index is remembered for as long as the file keeps its size and time of change.
"""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from vidssl.data.bitstream import (
    begins_afresh,
    is_hidden,
    may_be_shown_early,
    may_show_nothing,
)

# Frames of a counting pass that are kept until the clip has been chosen: bytes of decoded pictures.
KEPT_BYTES = 64 * 2**20
REMEMBERED_BYTES = 64 * 2**20
# An error this near the end is a damaged tail: the frames before it count.
_TAIL_PACKETS = 4
_NOT_SHOWN = {"attached_pic", "timed_thumbnails", "still_image", "dependent"}

# Containers that store a presentation time for every frame, and codecs whose packets are frames.
_TIMED_CONTAINERS = ("mov", "matroska", "flv", "asf", "mpegts", "avi")
_TIMED_CODECS = (
    *("h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "vp8", "vp9", "av1", "mjpeg"),
    *("wmv1", "wmv2", "msmpeg4v2", "msmpeg4v3", "flv1", "h263", "ffv1", "prores", "dnxhd"),
    *("png", "rawvideo", "huffyuv", "ffvhuff", "utvideo"),
)
# Each of their packets is a key frame. (H.264 and HEVC say in the packet what it is.)
_INTRA = ("mjpeg", "ffv1", "prores", "dnxhd", "png", "rawvideo", "huffyuv", "ffvhuff", "utvideo")


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    is_key: bool  # decoding may begin here
    is_discard: bool  # decoded, but cut away by the edit list
    is_hidden: bool  # decoded for others to refer to
    is_early: bool  # may be shown before a frame that is decoded earlier


@dataclass(frozen=True)
class FrameIndex:
    """What has to be known of a file to read any frame of it.

    ``times`` are the presentation times of its frames, ascending, in units of the stream's time
    base; None where frames are counted. Decoding may begin at the packets shown at ``starts``,
    which a seek to ``targets`` finds. ``packets`` is their number in the stream, ``rate`` is in Hz
    (None: not known), ``pixels`` those of a frame.
    """

    stream: int
    packets: int
    length: int
    rate: Fraction | None
    pixels: int
    times: np.ndarray | None
    starts: np.ndarray
    targets: np.ndarray
    why_counted: str = ""

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        arrays = (self.times, self.starts, self.targets)
        return 500 + sum(array.nbytes for array in arrays if array is not None)


class Remembered:
    """What was found out about files, the latest of them, until a file changes."""

    def __init__(self, limit: int, size_of: Callable[[Any], int] = lambda _: 1):
        self._limit, self._size_of = limit, size_of
        self._found: OrderedDict[tuple, Any] = OrderedDict()
        self._size = 0

    def get(self, path: str) -> Any | None:
        """What is known of the file as it is now."""
        key = _state(path)
        value = self._found.get(key)
        if value is not None:
            self._found.move_to_end(key)
        return value

    def put(self, path: str, value: Any) -> None:
        """Remember; the file looked at least recently is forgotten."""
        key = _state(path)
        if key in self._found:
            self._size -= self._size_of(self._found.pop(key))
        self._found[key] = value
        self._size += self._size_of(value)
        while self._size > self._limit and len(self._found) > 1:
            self._size -= self._size_of(self._found.popitem(last=False)[1])


def _state(path: str) -> tuple:
    about = os.stat(path)
    return (os.path.abspath(path), about.st_size, about.st_mtime_ns, about.st_ino)


_indices = Remembered(REMEMBERED_BYTES, lambda index: index.nbytes)


def frame_index(path: str) -> tuple[FrameIndex, list | None]:
    """The index of a file, and its decoded frames where they had to be counted just now.

    Raises `UnreadableVideo`, or what PyAV throws at a file that it cannot read.
    """
    index = _indices.get(path)
    if index is not None:
        return index, None
    index, frames = _look(path)
    _indices.put(path, index)
    return index, frames


def without_seeking(path: str, index: FrameIndex) -> None:
    """Remember that seeking does not land where it should: this file is decoded from its start."""
    nothing = np.empty(0, np.int64)
    _indices.put(path, replace(index, starts=nothing, targets=nothing))


@contextmanager
def opened(path: str, number: int | None = None) -> Iterator[tuple[Any, Any]]:
    """(container, stream) of PyAV: stream ``number``, by default the one an eye would choose."""
    import av

    with av.open(path) as container:
        stream = container.streams[_chosen(path, container) if number is None else number]
        stream.codec_context.thread_count = 1  # data workers share the cores
        yield container, stream


def _chosen(path: str, container: Any) -> int:
    """No cover, no thumbnails, no stills; then the largest picture, the default one, the first."""
    streams = [stream for stream in container.streams.video if stream.codec_context]
    if not streams:
        raise ValueError("cannot find video stream")
    marked = [s for s in streams if {mark.name for mark in s.disposition} & _NOT_SHOWN]
    streams = [s for s in streams if s not in marked] or marked
    if len(streams) == 1:
        return streams[0].index
    lengths = _lengths(path)  # marks are lost by some programs: thumbnails have few frames
    streams = [s for s in streams if 2 * lengths[s.index] >= max(lengths[t.index] for t in streams)]

    def worth(stream: Any) -> tuple:
        is_default = any(mark.name == "default" for mark in stream.disposition)
        return (stream.width * stream.height, is_default, -stream.index)

    return max(streams, key=worth).index


def _lengths(path: str) -> Counter:
    """Packets of each video stream."""
    import av

    with av.open(path) as container:
        return Counter(
            packet.stream_index
            for packet in container.demux(container.streams.video)
            if packet.size
        )


# --- one look at a file ---------------------------------------------------------------------------


def _look(path: str) -> tuple[FrameIndex, list | None]:
    with opened(path) as (container, stream):
        packets = _packets(container, stream)
        _require_whole(container, stream, packets)
        why = _why_counted(container, stream, packets)
        about = {"stream": stream.index, "packets": len(packets)}
        about["pixels"] = stream.width * stream.height
        if not why:
            return _timed(container, stream, packets, about), None
        about |= {"rate": _rate_of_counted(container, stream, packets), "why_counted": why}
    count, frames = _counted(path, about["stream"], len(packets))
    nothing = np.empty(0, np.int64)
    return FrameIndex(length=count, times=None, starts=nothing, targets=nothing, **about), frames


def _packets(container: Any, stream: Any) -> list[_Packet]:
    context = stream.codec_context
    codec = context.codec.canonical_name
    packets = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        is_key = packet.is_keyframe and begins_afresh(packet, context)
        is_early = bool(context.has_b_frames) and may_be_shown_early(packet, context)
        hidden = is_hidden(packet, codec)
        unsure = packet.is_corrupt or may_show_nothing(packet, codec)  # corrupt: it was cut off
        pts = None if unsure else packet.pts
        packets.append(_Packet(pts, packet.dts, is_key, packet.is_discard, hidden, is_early))
    return packets


def _require_whole(container: Any, stream: Any, packets: list[_Packet]) -> None:
    """An mp4 file lists its packets: all must be there."""
    listed = len(stream.index_entries) if _kind(container) == "mov" else 0
    if len(packets) < listed:
        raise ValueError(f"cut short, {len(packets)} of {listed} frames are there")


def _kind(container: Any) -> str:
    return container.format.name.split(",")[0]


def _why_counted(container: Any, stream: Any, packets: list[_Packet]) -> str:
    """Why the packets' times do not tell the frames; "" if they do."""
    kind, context = _kind(container), stream.codec_context
    codec = context.codec.canonical_name
    if kind not in _TIMED_CONTAINERS:
        return f"{kind} stores no time for every frame"
    if codec not in _TIMED_CODECS:
        return f"{codec} is decoded from the start"
    if kind == "avi" and context.has_b_frames:
        return "AVI stores no times and the frames are reordered"
    if kind != "mov" and codec in ("h264", "hevc") and _is_interlaced(context):
        return "its packets may be fields"
    if any(packet.is_early for packet in packets) and _in_order(packets):
        return "frames are reordered, which their times do not say"  # copied from AVI, say
    is_told = codec in ("h264", "hevc", *_INTRA)
    if not is_told and len(packets) > 1 and all(packet.is_key for packet in packets):
        return "every packet is flagged as a key frame"  # H.263 in AVI: most are not
    return _why_not_timed(packets)


def _in_order(packets: list[_Packet]) -> bool:
    """Whether frames are shown in the order of their packets, as far as times say so."""
    times = [p.pts for p in packets if p.pts is not None and not p.is_hidden]
    return times == sorted(times)


def _is_interlaced(context: Any) -> bool:
    return int(context.field_order) > 1  # 0 unknown, 1 progressive


def _why_not_timed(packets: list[_Packet]) -> str:
    if any(packet.pts is None for packet in packets):
        return "not every packet is a frame with a time"
    if not packets or not packets[0].is_key:
        return "it does not begin with a key frame"
    pts = np.array([packet.pts for packet in packets])
    dts = np.array([p.dts for p in packets if p.dts is not None])
    shown = np.array([not (packet.is_discard or packet.is_hidden) for packet in packets])
    if len(np.unique(pts[shown])) < shown.sum():
        return "frames share a time"
    if (np.diff(dts) < 0).any():
        return "times jump back"
    keys = np.flatnonzero([packet.is_key for packet in packets])
    latest = np.maximum.accumulate(pts)
    if (latest[keys[1:] - 1] >= pts[keys[1:]]).any() or pts.min() < pts[0]:
        return "times cross a key frame"
    return ""


def _timed(container: Any, stream: Any, packets: list[_Packet], about: dict) -> FrameIndex:
    shown = [p for p in packets if not (p.is_discard or p.is_hidden)]
    times = np.sort(np.array([packet.pts for packet in shown], np.int64))
    keys = [packet for packet in packets if packet.is_key]
    # These find key frames by the time they are shown at, others by the time of decoding.
    by_pts = _kind(container) in ("mov", "matroska")
    targets = [p.pts if by_pts or p.dts is None else p.dts for p in keys]
    return FrameIndex(
        length=len(times),
        rate=_average_rate(stream, times),
        times=times,
        starts=np.array([packet.pts for packet in keys], np.int64),
        targets=np.array(targets, np.int64),
        **about,
    )


def _rate_of_counted(container: Any, stream: Any, packets: list[_Packet]) -> Fraction | None:
    """AVI holds no time but a place, and copies from other containers leave places empty."""
    times = [packet.dts for packet in packets if packet.dts is not None]
    is_avi = _kind(container) == "avi"
    return _average_rate(stream, np.sort(times)) if is_avi and times else stream.average_rate


def _average_rate(stream: Any, times: np.ndarray) -> Fraction | None:
    """The file's own word, unless the frames' times are further off than their longest gap."""
    named = stream.average_rate
    if len(times) < 2:
        return named
    gaps = len(times) - 1
    span, longest = (
        int(t) * stream.time_base for t in (times[-1] - times[0], np.diff(times).max())
    )
    return named if named and abs(gaps / named - span) <= longest else gaps / span


def _counted(path: str, number: int, packets: int) -> tuple[int, list | None]:
    """How many frames leave the decoder, and the frames themselves unless they are too large."""
    count, size, kept = 0, 0, []
    for frame in decoded(path, number, packets):
        count += 1
        if kept is not None:
            kept.append(frame)
            size += sum(plane.buffer_size for plane in frame.planes)
            kept = kept if size <= KEPT_BYTES else None
    return count, kept


def decoded(path: str, number: int, packets: int) -> Iterator[Any]:
    """All frames of a stream of ``packets``, in the order they leave the decoder.

    What cannot be decoded raises PyAV's error; but before the first frame (a recording that was
    joined in its middle) it only shows nothing, and in the last packets (one that was cut off) it
    is the end.
    """
    import av

    shown, trouble = 0, None
    with opened(path, number) as (container, stream):
        for place, packet in enumerate(container.demux(stream)):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                if shown and place < packets - _TAIL_PACKETS:
                    raise
                if shown:
                    return
                frames, trouble = [], error
            shown += len(frames)
            yield from frames
    if trouble and not shown:
        raise trouble
