"""The frame player, its controls and figures in a real JupyterLab."""

import nbformat
import pytest

pytestmark = pytest.mark.browser

CELLS = [
    """
import numpy as np, ipywidgets
from vidssl.visualize.widgets import FramePlayer, controls
def clip(grey):  # frame t is a square of brightness grey + t
    return np.stack([np.full((32, 32, 3), grey + t, np.uint8) for t in range(16)])
player = FramePlayer(
    [clip(100), clip(200)], ["a caption that is far too long for one line under a clip", "right"],
    alt="two grey squares",
)
player""",
    """
def update(grey):
    if grey > 102:
        raise ValueError("too bright <b>")
    player.show([clip(grey), clip(200)], [f"grey {grey}", "right"])
controls(update, grey=ipywidgets.IntSlider(value=100, min=100, max=110))""",
    """
from vidssl.visualize import film_strip
film_strip(clip(0), every=4)""",
    """
from vidssl.visualize.widgets import progress_report
report = progress_report(note="a test")
for step in range(5):
    report(step, {"train_loss": 2 - step / 4, "train_accuracy": step / 5})
report.refresh()""",
    "FramePlayer([clip(10), clip(20)], columns=1)",
]
GREYS = """() => [...document.querySelectorAll('.vidssl-player-canvas')].map(
    (canvas) => canvas.getContext('2d').getImageData(16, 16, 1, 1).data[0])"""


@pytest.fixture
def lab(notebooks, open_notebook):
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    book = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(book, notebooks / "player_test.ipynb")
    lab = open_notebook("player_test.ipynb")
    lab.run_all()
    lab.pixels()
    return lab


def first_greys(lab):
    return lab.page.evaluate(GREYS)[:2]


def test_player_steps_by_keyboard_and_follows_controls(lab):
    lab.wait_for_counter("frame 1 of 16")
    lab.page.wait_for_function(f"() => ({GREYS})()[0] === 100")
    lab.focus(".vidssl-player")
    for key, frame in [("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", 15), ("Home", 0)]:
        lab.press(key)
        lab.wait_for_counter(f"frame {frame + 1} of 16")
        assert first_greys(lab) == [100 + frame, 200 + frame]
    lab.press("End")
    assert first_greys(lab) == [115, 215]
    assert lab.page.evaluate("document.activeElement.className") == "vidssl-player"

    lab.focus(".widget-slider .noUi-handle")
    before = lab.pixels()
    lab.press("ArrowRight")
    lab.wait_for_other_pixels(before)
    assert first_greys(lab) == [116, 215]  # brighter by one, still the last frame
    assert lab.page.locator(".vidssl-player-caption").first.inner_text() == "grey 101"

    lab.press("ArrowRight", "ArrowRight")
    alert = lab.page.locator("[role=alert]")
    alert.wait_for()
    assert alert.inner_text() == "ValueError: too bright <b>"


def test_player_plays_and_is_told_to_those_who_do_not_see_it(lab):
    player = lab.page.get_by_role("group", name="Frame player. two grey squares")
    assert player.get_by_role("img", name="right").is_visible()
    player.get_by_role("button", name="play").click()
    before = lab.pixels()
    lab.wait_for_other_pixels(before)
    lab.focus(".vidssl-player")
    lab.press("Space")
    player.get_by_role("button", name="play").wait_for()
    stopped = lab.counter()
    lab.page.wait_for_timeout(400)  # three frames' time
    assert lab.counter() == stopped
    lab.focus(".vidssl-player-play")
    lab.press("Space")  # once, not twice: the button's own click and the player's key
    player.get_by_role("button", name="pause").wait_for()


def test_layout_enlarges_small_frames_wraps_captions_and_shows_a_figure_once(lab):
    canvas = lab.page.locator(".vidssl-player-canvas").first.bounding_box()
    assert (canvas["width"], canvas["height"]) == (256, 256)  # 8 x 32 pixels
    caption = lab.page.locator(".vidssl-player-clip").first.bounding_box()
    assert caption["width"] == 256
    figure_cell = lab.page.locator(".jp-CodeCell").nth(2)
    assert figure_cell.locator("img").count() == 1


def test_curves_grow_where_a_person_looks_on(lab):
    curves = lab.page.locator("img.widget-image")
    curves.wait_for()
    assert curves.evaluate("(image) => image.naturalWidth") == 759


def test_columns_put_clips_below_each_other(lab):
    clips = lab.page.locator(".vidssl-player").nth(1).locator(".vidssl-player-clip")
    first, second = clips.nth(0).bounding_box(), clips.nth(1).bounding_box()
    assert second["x"] == first["x"]
    assert second["y"] > first["y"] + 256
