"""How fast a redraw is beside a plain matplotlib figure of the same content, in one run."""

from functools import partial
from statistics import median
from time import perf_counter

import ipywidgets
import numpy as np
import pytest

from vidssl.motion.playground import pseudo_motion_playground
from vidssl.visualize.boards import teacher_board
from vidssl.visualize.clips import film_strip
from vidssl.visualize.style import figure_png
from vidssl.visualize.teachers import temporal_similarity
from vidssl.visualize.widgets import FramePlayer, Picture, controls

pytestmark = pytest.mark.bench
SHAPE = (16, 96, 128, 3)


def milliseconds(draw, times=7):
    taken = []
    for number in range(times):
        begun = perf_counter()
        draw(number)
        taken.append(1000 * (perf_counter() - begun))
    return median(taken)


def clips(count):
    return list(np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8))


@pytest.fixture
def compare(ratio):
    return partial(compared, ratio)


def compared(ratio, name, ours, plain):
    print(f"\n{name}: {ours:.0f} ms, matplotlib {plain:.0f} ms, {plain / ours:.1f} times as long")
    ratio(f"redrawing {name}", plain / ours, "times as fast as", "a matplotlib figure")
    assert ours < plain


def test_a_board_of_two_teachers(compare):
    matrices, said, names = (
        [np.eye(4)] * 2,
        {"blend": np.full(16, 1 / 16)},
        list("abcdefghijklmnop"),
    )
    picture, seen = Picture(), clips(4)
    ours = milliseconds(
        lambda _: picture.show(teacher_board(seen, matrices, 0.5, said, names), "board")
    )
    stack = np.stack(matrices)[:, None]
    plain = milliseconds(
        lambda _: figure_png(temporal_similarity([seen], *stack, [0.5]), dpi=110), times=3
    )
    compare("the board of two teachers", ours, plain)


def test_clips_in_a_player(compare):
    player, seen = FramePlayer(), clips(3)
    ours = milliseconds(lambda _: player.show(seen, list("abc")))
    plain = milliseconds(lambda _: figure_png(film_strip(seen, every=4), dpi=110), times=3)
    compare("three clips of 16 frames", ours, plain)


def test_a_pseudo_motion(compare):
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    panel, _ = pseudo_motion_playground({"noise": picture}, frames=16, size=112, k=2).children
    across = panel.widgets["across"]

    def turn(number):
        across.value = 0.05 * (number + 1)

    ours = milliseconds(turn)
    strips = np.random.default_rng(0).integers(0, 256, (3, 4, 112, 112, 3), np.uint8)
    plain = milliseconds(lambda _: figure_png(film_strip(strips), dpi=110), times=3)
    compare("a pseudo motion", ours, plain)


def test_controls_alone():
    speed = ipywidgets.IntSlider(1, 0, 100)
    controls(lambda speed: f"{speed} px", speed=speed)
    taken = milliseconds(lambda number: setattr(speed, "value", number + 2))
    print(f"\ncontrols alone: {taken:.2f} ms a change")
