"""Is decord exact on this file? Asked only where VIDSSL_DECODER=decord chooses it.

decord 0.6 numbers key frames by their place in the file, jumps by presentation time to a reader
that compares it with decoding times, and knows no edit list. On most files it then returns frames
of another place without an error. What makes it exact: H.264 in mp4, mov or mkv, the only video
stream, every key frame an IDR picture that is decoded after all frames shown before it, and no jump
that could land on the next key frame.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from vidssl.data.bitstream import is_idr
from vidssl.data.frame_index import FrameIndex, Remembered, opened

_proofs = Remembered(50_000)


def why_not_decord(path: str, index: FrameIndex) -> str:
    """Why decord may show other frames than those asked for; "" if it cannot."""
    if index.times is None:
        return index.why_counted
    doubt = _proofs.get(path)
    if doubt is None:
        with opened(path, index.stream) as (container, stream):
            doubt = _doubt(container, stream, index) or "none"
        _proofs.put(path, doubt)
    return "" if doubt == "none" else doubt


def _doubt(container: Any, stream: Any, index: FrameIndex) -> str:
    kind = container.format.name.split(",")[0]
    if kind not in ("mov", "matroska") or stream.codec_context.codec.canonical_name != "h264":
        return f"{stream.codec_context.codec.canonical_name} in {kind}"
    if len(container.streams.video) > 1:
        return "several video streams"
    if index.times[0] != 0:
        return "it does not begin at time 0"
    packets = [packet for packet in container.demux(stream) if packet.size]
    if len(packets) != index.length or (kind == "mov" and stream.frames != index.length):
        return "an edit list cuts frames away, or they lie in fragments"
    keys = [packet for packet in packets if packet.is_keyframe]
    if not all(is_idr(key, stream.codec_context) for key in keys):
        return "key frames that are no IDR pictures"
    if any(after.dts is None or after.dts <= key.pts for key, after in pairwise(keys)):
        return "key frames too near each other"
    container.seek(keys[0].pts if keys[0].dts is None else keys[0].dts, stream=stream)
    frame = next(container.decode(stream))
    if frame.side_data.get("DISPLAYMATRIX") is not None:
        return "a rotation tag"
    return "" if frame.format.name in ("yuv420p", "yuvj420p") else f"pixels of {frame.format.name}"
