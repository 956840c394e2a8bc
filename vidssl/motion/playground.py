"""The pseudo-motion playground: one image, one motion, one mask under the hand."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ipywidgets
import numpy as np
import torch
from torch import Tensor

from vidssl.core import frames_to_clip
from vidssl.data import ColorJitter, read_image, resize_short_side
from vidssl.motion.pseudo_motion import (
    Motions,
    freeze_outside,
    label_pool,
    plan_motions,
    render_motions,
    source_side,
)
from vidssl.visualize.motions import motion_panels
from vidssl.visualize.widgets import FramePlayer, Playground, controls

DIRECTIONS = {"across: left or right": (1, 0), "along: up or down": (0, 1)}
COLOURS = ("as they are", "one draw a frame", "one draw a clip")
ORDERS = ("mask, then colours", "colours, then mask")
WAYS = ("right", "left", "down", "up")


def as_source(picture: np.ndarray, side: int) -> Tensor:
    """A picture (H, W, 3) uint8 as source image (3, side, side): resized, centre cropped."""
    picture = resize_short_side(picture[None], side)
    top, left = ((length - side) // 2 for length in picture.shape[1:3])
    return frames_to_clip(picture[:, top : top + side, left : left + side])[:, 0]


@dataclass
class _Wish:
    """What the controls say, but for the picture."""

    direction: str
    speed: int
    speeds: int
    frames: int
    mask: float
    frozen: int
    across: float
    down: float
    colours: str
    order: str
    draw: int

    @property
    def chosen(self) -> tuple[int, int]:
        return tuple(self.speed * axis for axis in DIRECTIONS[self.direction])

    @property
    def label(self) -> int:
        return label_pool(self.speeds).index(self.chosen)

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.draw)


def pseudo_motion_playground(
    pictures: dict[str, np.ndarray], *, frames: int, size: int, k: int, seed: int = 0
) -> Playground:
    """Controls, and a player of the window on the image, its clip, and the clip with its mask.

    Args:
        pictures: name -> (H, W, 3) uint8; uploads are added.
        frames, size, k: of the clips at first; size in px.
        seed: of the random draw at first.
    """
    pictures = dict(pictures)
    player = FramePlayer(
        alt="a pseudo motion: its window, the clip, the clip with its mask",
        smooth=True,
        scale=max(1, 288 // size),
    )
    fields = _fields(list(pictures), frames, k, seed)
    known: set[tuple[str, int]] = set()  # uploads seen before

    def show(picture, upload, marks, **wish):
        picture = _take(upload, pictures, known, fields["picture"]) or picture
        wish = _Wish(**wish)
        image = as_source(pictures[picture], source_side(wish.frames, size))
        plan = _plan(wish, size)
        square = tuple(plan.square[0, 0].tolist())
        panels, lines = motion_panels(
            image,
            render_motions(image[None], plan.unmasked())[0, 0],
            _mask_and_colour(image[None], plan, wish)[0, 0],
            plan.position[0, 0].numpy(),
            square if marks else None,
        )
        captions = [f"source, {image.shape[-1]} px, and its window", "no mask", "static mask"]
        player.show(panels, captions, marks=lines)
        return _in_sentences(wish, plan, square)

    return Playground([controls(show, **fields), player])


def _fields(names: Sequence[str], frames: int, k: int, seed: int) -> dict:
    widgets = ipywidgets
    speed = widgets.IntSlider(k - 1, -k, k)
    speeds = widgets.IntSlider(k, 1, max(4, k), description="speeds K")
    length = widgets.IntSlider(frames, 2, max(32, frames), description="frames")
    frozen = widgets.IntSlider(frames // 2, 0, frames - 1, description="frozen frame")

    def on_speeds(change):
        speed.min, speed.max = -change.new, change.new

    def on_length(change):
        frozen.max = change.new - 1

    speeds.observe(on_speeds, "value")
    length.observe(on_length, "value")
    return {
        "picture": widgets.Dropdown(options=names, description="image"),
        "upload": widgets.FileUpload(accept="image/*", description="own image"),
        "direction": widgets.Dropdown(options=list(DIRECTIONS)),
        "speed": speed,
        "speeds": speeds,
        "frames": length,
        "mask": widgets.FloatSlider(0.4, min=0.1, max=1.0, step=0.05, description="mask ratio"),
        "frozen": frozen,
        "across": widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="square across"),
        "down": widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="square down"),
        "colours": widgets.Dropdown(options=COLOURS),
        "order": widgets.Dropdown(options=ORDERS),
        "draw": widgets.BoundedIntText(seed, 0, 9999, description="random draw"),
        "marks": widgets.Checkbox(True, description="outlines and arrows"),
    }


def _take(upload, pictures: dict, known: set, chooser: ipywidgets.Dropdown) -> str | None:
    """Put a new upload among the pictures and choose it: its name, or None."""
    for file in upload:
        name = Path(file["name"]).name
        if (name, file["size"]) not in known:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, name).write_bytes(file["content"])
                pictures[name] = read_image(Path(folder, name))
            known.add((name, file["size"]))
            chooser.options = list(pictures)
            chooser.value = name
            return name
    return None


def _plan(wish: _Wish, size: int) -> Motions:
    """The motion of one label, with its square at a chosen place."""
    side = source_side(wish.frames, size)
    plan = plan_motions(
        side, side, frames=wish.frames, size=size, k=wish.speeds, mask_ratio=wish.mask,
        generator=wish.generator(),
    ).select([wish.label])  # fmt: skip
    square = plan.square.clone()
    square[..., 0] = round(wish.across * (size - int(square[0, 0, 2])))
    square[..., 1] = round(wish.down * (size - int(square[0, 0, 2])))
    still = torch.tensor([[min(wish.frozen, wish.frames - 1)]])
    return replace(plan, square=square, still=still)


def _mask_and_colour(image: Tensor, plan: Motions, wish: _Wish) -> Tensor:
    """What the network sees of one motion: (1, 1, 3, N, L, L)."""
    if wish.colours == COLOURS[0]:
        return render_motions(image, plan)
    draws = plan.position.shape[2] if wish.colours == COLOURS[1] else 1
    drawn = ColorJitter(grey=0).draw(1, draws, wish.generator())
    if wish.order == ORDERS[0]:
        return render_motions(image, plan, drawn)
    return freeze_outside(render_motions(image, plan.unmasked(), drawn), plan)


def _in_words(x: int, y: int) -> str:
    """How far and where to; one of x and y is not 0."""
    return next(f"{abs(d)} px {WAYS[2 * i + (d < 0)]}" for i, d in enumerate((x, y)) if d)


def _in_sentences(wish: _Wish, plan: Motions, square: tuple[int, int, int]) -> str:
    (x, y), (left, top, width), steps = wish.chosen, square, wish.frames - 1
    way = plan.position[0, 0, -1] - plan.position[0, 0, 0]
    moves = "the window stands still"
    if way.any():
        moves = (
            f"in {steps} steps the window moves {_in_words(*way.tolist())}, "
            f"{way.abs().max() / steps:.2f} px a frame, and what it shows "
            f"{_in_words(*(-way).tolist())}"
        )
    return (
        f"Label {wish.label} of {len(label_pool(wish.speeds))}, speed ({x:+d}, {y:+d}) of "
        f"K = {wish.speeds}: {moves}. The square of {width} px lies {left} px from the left and "
        f"{top} px from the top; around it stands frame {int(plan.still)}. Arrows in the "
        "clips: how far the content moves in three frames."
    )
