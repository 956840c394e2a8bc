"""A frame player that steps through clips in the browser, by button, slider or keyboard."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torchvision.utils import make_grid

from vidssl.visualize.clips import Clip, as_clips, evenly
from vidssl.visualize.marks import Marks
from vidssl.visualize.style import figure_pixels, paper_style, picture_html
from vidssl.visualize.widgets.fallback import WithStill, png_of
from vidssl.visualize.widgets.panel import KEYS

SHEET_WIDTH = 4096  # pixels: browsers on small devices refuse wider images
PNG_BYTES = 1_500_000  # raw bytes up to which the sheet is lossless
STILL_TILES, STILL_SIDE = 24, 112  # frames in the picture that stands in for a player, and px
STILL_DPI = 110  # how large a point of its lines is
EMPTY = {"width": 0, "height": 0, "frames": 1, "clips": 0, "columns": 1, "mime": ""}


class FramePlayer(WithStill, anywidget.AnyWidget):
    """Clips side by side, stepped together.

    Left and Right step, Home and End jump, Space plays and stops. All frames travel to the browser
    at once, as one image, so stepping goes on without a kernel. `show` replaces them in place.

    Args:
        clips: one clip or several of one length; uint8 (T, H, W, 3) or float tensors (3, T, H, W)
            in [0, 1]. Smaller ones stand in the middle of a black frame. One of a single frame
            beside longer ones is a still picture that fills its place. None: an empty player,
            filled by `show`.
        captions: a text under each clip (one text for one clip).
        marks: `Marks` over each clip, None for a clip without.
        fps: frames a second while playing, in Hz.
        alt: what is seen, in words, for readers who do not see it.
        columns: clips in a row; 0: as many as fit.
        scale: screen pixels a frame pixel; 0: as many whole ones as bring small frames to a
            comfortable size.
        smooth: blend the pixels of enlarged frames instead of showing them as squares.

    Attributes:
        frame: index of the shown frame, from 0, as on the screen. Readable, writable, observable.
    """

    _esm = KEYS + Path(__file__).with_name("player.js").read_text(encoding="utf-8")
    _css = Path(__file__).with_name("player.css")

    sheet = traitlets.Bytes(help="every frame, in one PNG or JPEG").tag(sync=True)
    stills = traitlets.Dict(help="a PNG for each clip of one frame, by number").tag(sync=True)
    marks = traitlets.Dict(help="lines over the clips, by number").tag(sync=True)
    tiling = traitlets.Dict(EMPTY, help="where each frame lies in the sheet").tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    fps = traitlets.Float(8.0).tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    columns = traitlets.Int(0).tag(sync=True)
    scale = traitlets.Int(0).tag(sync=True)
    smooth = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        clips: Clip | Sequence[Clip] | None = None,
        captions: str | Sequence[str] = "",
        *,
        marks: Sequence[Marks | None] = (),
        fps: float = 8.0,
        alt: str = "",
        columns: int = 0,
        scale: int = 0,
        smooth: bool = False,
    ):
        state = {} if clips is None else self._state_of(clips, captions, marks)
        super().__init__(fps=fps, alt=alt, columns=columns, scale=scale, smooth=smooth, **state)

    def show(
        self,
        clips: Clip | Sequence[Clip],
        captions: str | Sequence[str] = "",
        *,
        marks: Sequence[Marks | None] = (),
    ) -> None:
        """Replace the clips, their captions and marks; the player stays at its frame.

        Raises:
            ValueError: clips of several lengths, or another number of captions or marks than of
                clips.
        """
        state = self._state_of(clips, captions, marks)
        with self.hold_sync():  # one message: the browser never sees half of the change
            for name, value in state.items():
                setattr(self, name, value)
            self.frame = min(self.frame, state["tiling"]["frames"] - 1)

    def _state_of(self, clips, captions, marks) -> dict:
        rows = as_clips(clips)
        state = _sheet_of(rows, captions) | {"marks": _marks_of(marks, rows)}
        self._shown = rows, list(marks) or [None] * len(rows), state["captions"]
        return state

    def still(self) -> str:
        """Some frames of each clip in a row, with its caption."""
        if not self.tiling["clips"]:
            return ""
        rows, marks, captions = self._shown
        count = min(self.tiling["frames"], max(3, min(8, STILL_TILES // len(rows))))
        chosen = evenly(self.tiling["frames"], count)
        pieces = []
        for number, (clip, mark, caption) in enumerate(zip(rows, marks, captions), 1):
            places = chosen if len(clip) > 1 or mark else chosen[:1]
            png = png_of(_strip(clip, mark, places), small=True)
            alt = f"{self.alt or 'frames of a clip'}: {caption or f'clip {number}'}"
            pieces.append(picture_html(png, alt, caption=caption or f"clip {number}"))
        return "".join(pieces)

    def __repr__(self) -> str:
        size = "{clips} x {frames} frames of {width}x{height}".format(**self.tiling)
        words = [word for word in (self.alt, *self.captions) if word]
        return f"FramePlayer({size}{': ' if words else ''}{'; '.join(words)})"


def _sheet_of(clips: list[np.ndarray], captions: str | Sequence[str]) -> dict:
    """The traits that carry clips and captions to the browser."""
    frames = max(len(clip) for clip in clips)
    held = {number: clip for number, clip in enumerate(clips) if len(clip) == 1 < frames}
    rows = _letterboxed([clip for number, clip in enumerate(clips) if number not in held])
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(f"clips side by side must have one length, got {lengths} frames")
    if isinstance(captions, str):
        captions = [captions] if len(clips) == 1 or captions else [""] * len(clips)
    if len(captions) != len(clips):
        raise ValueError(f"captions must name each of the {len(clips)} clips, got {len(captions)}")
    frames, height, width, _ = rows[0].shape
    columns = min(len(rows) * frames, max(1, SHEET_WIDTH // width))
    tiles = torch.from_numpy(np.concatenate(rows)).permute(0, 3, 1, 2)
    sheet = make_grid(tiles, columns, padding=0)  # read like text
    kind, data = _encode(sheet.permute(1, 2, 0).numpy())
    size = {"width": width, "height": height, "frames": frames, "clips": len(clips)}
    return {
        "sheet": data,
        "stills": {str(number): _still_png(clip[0]) for number, clip in held.items()},
        "tiling": {**size, "columns": columns, "mime": kind},
        "captions": [str(caption) for caption in captions],
    }


def _marks_of(marks: Sequence[Marks | None], clips: list[np.ndarray]) -> dict[str, dict]:
    if marks and len(marks) != len(clips):
        raise ValueError(f"marks must be one for each of the {len(clips)} clips, got {len(marks)}")
    given = zip(marks, clips)
    return {str(k): mark.packed(clip.shape[2]) for k, (mark, clip) in enumerate(given) if mark}


def _strip(clip: np.ndarray, marks: Marks | None, chosen: np.ndarray) -> np.ndarray:
    """The chosen frames side by side, each at most `STILL_SIDE` px high or wide, with marks."""
    frames = clip[np.minimum(chosen, len(clip) - 1)]
    height, width = (np.array(frames.shape[1:3]) * STILL_SIDE / max(frames.shape[1:3])) / STILL_DPI
    with paper_style():
        figure = Figure(figsize=(1.03 * width * len(frames), height), dpi=STILL_DPI)
        figure.subplots_adjust(0, 0, 1, 1, wspace=0.03)
        axes = figure.subplots(1, len(frames), squeeze=False)[0]
        for axis, frame, index in zip(axes, frames, chosen):
            axis.imshow(frame, aspect="auto")
            axis.set_axis_off()
            if marks:
                marks.draw(axis, index)
        return figure_pixels(figure)


def _letterboxed(clips: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Clips (T, H, W, 3) of several sizes, each in the middle of the largest height and width."""
    height, width = (max(clip.shape[axis] for clip in clips) for axis in (1, 2))
    boxed = []
    for clip in clips:
        room = height - clip.shape[1], width - clip.shape[2]
        sides = [(length // 2, length - length // 2) for length in room]
        boxed.append(np.pad(clip, ((0, 0), *sides, (0, 0))))
    return boxed


def _still_png(frame: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as PNG. A still mostly stays while the clips beside it change."""
    return _kept_png(frame.shape, frame.tobytes())


@lru_cache(maxsize=8)
def _kept_png(shape: tuple[int, ...], pixels: bytes) -> bytes:
    return png_of(np.frombuffer(pixels, np.uint8).reshape(shape))


def _encode(picture: np.ndarray) -> tuple[str, bytes]:
    """Lossless while that is small; else JPEG without colour subsampling, which would bleed."""
    if picture.nbytes <= PNG_BYTES:
        return "image/png", png_of(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=0)
    return "image/jpeg", buffer.getvalue()
