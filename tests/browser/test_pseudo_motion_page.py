"""The pseudo-motion notebook by keyboard: controls change the picture, the player steps."""

import pytest

pytestmark = pytest.mark.browser


def test_controls_and_player_change_the_picture(open_notebook):
    lab = open_notebook("10_mosi_pseudo_motion.ipynb")
    lab.run_all()
    before = lab.pixels()
    lab.focus(".widget-slider .noUi-handle")
    lab.press("ArrowRight")
    moved = lab.wait_for_other_pixels(before)

    count = lab.counter()
    lab.focus(".vidssl-player")
    lab.press("ArrowRight")
    lab.wait_for_other_pixels(moved)
    assert lab.counter() != count
