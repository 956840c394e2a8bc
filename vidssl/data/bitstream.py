"""The first bytes of a packet: may decoding begin here, does it show a frame?

Containers flag more key frames than are safe to begin at, and count frames that are never shown.
Sources: ISO/IEC 14496-10 (7.3.1, Table 7-1, D.1.8), 23008-2 (Table 7-1), RFC 6386 (9.1), the VP9
bitstream specification (6.2 and Annex B).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Bytes of a packet that are looked at: x264 puts its settings, 700 bytes, before the first picture.
_LOOK = 16384
# MPEG-4 packets up to this size may repeat the frame before them instead of holding one.
_EMPTY_VOP = 19


def begins_afresh(packet: Any, context: Any) -> bool:
    """Whether all frames from this flagged key frame on can be decoded without earlier ones."""
    if context.codec.canonical_name == "h264":
        return is_idr(packet, context) or _recovers_at_once(packet, context)
    if context.codec.canonical_name == "hevc":
        kinds = (unit[0] >> 1 & 63 for unit in _units(packet, context))
        picture = next((kind for kind in kinds if kind < 32), None)
        return picture in (19, 20, 21)  # IDR, or CRA: frames shown before it are not asked for
    return True


def is_idr(packet: Any, context: Any) -> bool:
    """Whether the first picture in an H.264 packet is an IDR picture."""
    kinds = (unit[0] & 31 for unit in _units(packet, context))
    return next((kind for kind in kinds if 1 <= kind <= 5), None) == 5


def may_be_shown_early(packet: Any, context: Any) -> bool:
    """Whether a packet's picture is a B picture, shown before one that is decoded earlier.

    Headers allow reordering that many files never use. True where the codec is not known here.
    """
    codec = context.codec.canonical_name
    if codec == "h264":
        slices = (unit for unit in _units(packet, context) if 1 <= unit[0] & 31 <= 5)
        first = next(slices, None)
        return first is not None and _slice_type(first) in (1, 6)  # Table 7-6
    data = bytes(memoryview(packet)[:_LOOK])
    if codec in ("mpeg1video", "mpeg2video"):  # ISO/IEC 13818-2, 6.2.3: picture_coding_type
        place = data.find(b"\0\0\1\0")
        return place < 0 or data[place + 5] >> 3 & 7 == 3
    if codec == "mpeg4":  # ISO/IEC 14496-2, 6.2.5: vop_coding_type
        place = data.find(b"\0\0\1\xb6")
        return place < 0 or data[place + 4] >> 6 == 2
    return True


def _slice_type(unit: memoryview) -> int:
    """The second number (ue(v), 9.1) of an H.264 slice header; the first is a place."""
    bits = "".join(f"{byte:08b}" for byte in unit[1:9])
    number = 0
    for _ in range(2):
        zeros = len(bits) - len(bits.lstrip("0"))
        number = int(bits[: 2 * zeros + 1] or "1", 2) - 1
        bits = bits[2 * zeros + 1 :]
    return number


def _recovers_at_once(packet: Any, context: Any) -> bool:
    """Whether an H.264 message says so: the frames shown from here on are exact (open GOPs)."""
    messages = (unit for unit in _units(packet, context) if unit[0] & 31 == 6)
    return any(_recovery_point(unit[1:]) for unit in messages)


def _recovery_point(message: memoryview) -> bool:
    """A recovery point (6) among the payloads, with recovery_frame_cnt 0 and exact_match_flag 1."""
    place = 0
    while place + 2 < len(message) and message[place] != 0x80:
        kind, place = _grown(message, place)
        size, place = _grown(message, place)
        if kind == 6 and place < len(message):
            return message[place] >> 6 == 0b11
        place += size
    return False


def _grown(message: memoryview, place: int) -> tuple[int, int]:
    """A number that goes on for as long as its bytes are 255, and the place after it."""
    number = 0
    while place < len(message) - 1 and message[place] == 255:
        number, place = number + 255, place + 1
    return number + message[place], place + 1


def _units(packet: Any, context: Any) -> Iterator[memoryview]:
    """NAL units of an H.264 or HEVC packet, with lengths before them or start codes."""
    data = memoryview(packet)[:_LOOK]
    extra = context.extradata or b""
    if extra[:1] != b"\x01":
        yield from _after_start_codes(data)
        return
    width = (extra[4 if context.codec.canonical_name == "h264" else 21] & 3) + 1
    place = 0
    while place + width < len(data):
        yield data[place + width :]
        place += width + int.from_bytes(data[place : place + width], "big")


def _after_start_codes(data: memoryview) -> Iterator[memoryview]:
    text = bytes(data)
    place = text.find(b"\0\0\1")
    while 0 <= place < len(text) - 3:
        yield data[place + 3 :]
        place = text.find(b"\0\0\1", place + 3)


def is_hidden(packet: Any, codec: str) -> bool:
    """Whether a VP8 or VP9 packet holds a frame that is never shown."""
    if codec == "vp8":
        return not memoryview(packet)[0] & 16
    if codec == "vp9":
        data = memoryview(packet)
        return data[-1] & 0xE0 != 0xC0 and not _shows_vp9(data[0])  # 0xC0: several frames in one
    return False


def _shows_vp9(first: int) -> bool:
    """From the bits 10 (marker), profile (2, and a reserved one for 3), existing, key, shown."""
    place = 3 if first & 0x30 != 0x30 else 2
    shows_existing = first >> place & 1
    return bool(shows_existing or first >> (place - 2) & 1)


def may_show_nothing(packet: Any, codec: str) -> bool:
    """Whether this may be the empty packet that MPEG-4 encoders write for a repeated frame."""
    return codec == "mpeg4" and packet.size <= _EMPTY_VOP
