"""Lists in 'videofolder' form: a path, perhaps its number of frames, a label."""

from __future__ import annotations

import re
from pathlib import Path

from vidssl.core import VideoRecord
from vidssl.data.readers.folder import VIDEO_SUFFIXES
from vidssl.data.readers.text import Entry, lines_of, listed_path, records_of


def read_video_list(
    list_file: str | Path, root: str | Path, suffix: str = ".mp4"
) -> list[VideoRecord]:
    """A list in 'videofolder' form: lines of ``path frames label`` (or ``path label``).

    ``suffix`` is added to paths that have no video ending. The class name is the path's first
    folder; each video is its own group.
    """
    return records_of(list_entries(list_file, root, suffix))


def list_entries(list_file: str | Path, root: str | Path, suffix: str = ".mp4") -> list[Entry]:
    """The same with the lines; a video may stand twice."""
    list_file = Path(list_file)
    return [_entry(list_file, line, text, root, suffix) for line, text in lines_of(list_file)]


def _entry(list_file: Path, line: int, text: str, root: str | Path, suffix: str) -> Entry:
    match = re.fullmatch(r"(.+?)(?:\s+\d+)?\s+(-?\d+)", text)
    if match is None or int(match[2]) < -1:
        raise ValueError(f"{list_file}, line {line}: {text!r} is not '<path> <frames> <label>'")
    file = listed_path(match[1], f"{list_file}, line {line}")
    if file.suffix.lower() not in VIDEO_SUFFIXES:
        file = file.with_name(file.name + suffix)
    video_id = file.with_suffix("").as_posix()
    name = file.parts[0] if len(file.parts) > 1 else ""
    record = VideoRecord(str(Path(root) / file), int(match[2]), video_id, video_id, name)
    return Entry(list_file, line, record)
