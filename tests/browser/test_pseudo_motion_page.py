"""The pseudo-motion notebook by keyboard: controls change the picture, the player steps."""

import io

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser


@pytest.mark.slow  # on shared cores the first change sometimes never comes; cause open
def test_controls_and_player_change_the_picture(open_notebook):
    lab = open_notebook("10_mosi_pseudo_motion.ipynb")
    lab.run_all()
    before = lab.pixels()
    lab.control("slider", "speed").focus()
    lab.press("ArrowRight")
    moved = lab.wait_for_other_pixels(before)

    count = lab.counter()
    lab.control("slider", "frame").focus()
    lab.press("ArrowRight")
    stepped = lab.wait_for_other_pixels(moved)
    assert lab.counter() != count

    said = lab.page.locator(".vidssl-said").first
    assert "Label 3 of 9, speed (+2, +0)" in said.inner_text()
    square = "The square of 45 px"
    assert square in said.inner_text()
    lab.control("slider", "mask ratio").focus()
    lab.press("ArrowRight")
    masked = lab.wait_for_other_pixels(stepped)
    assert square not in said.inner_text()
    source, whole, frozen = (now == then for now, then in zip(masked[:3], stepped[:3]))
    assert source
    assert whole
    assert not frozen, "the mask is in the third panel alone"

    with lab.page.expect_file_chooser() as chooser:
        lab.control("button", "own image").press("Enter")
    picture = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)  # small and grey
    Image.fromarray(noise).save(picture, "PNG")
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    chooser.value.set_files(file)
    lab.wait_for_other_pixels(masked)
    assert lab.control("combobox", "image").input_value() == "mine.png"
    assert "Label 3 of 9" in said.inner_text()
