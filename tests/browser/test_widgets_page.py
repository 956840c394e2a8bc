"""The package's widgets on a small page in JupyterLab: by keyboard, by name, without kernel."""

import subprocess
import sys

import nbformat
import pytest

pytestmark = pytest.mark.browser

CELLS = [
    """
import numpy as np, ipywidgets
from vidssl.visualize import Marks, film_strip
from vidssl.visualize.widgets import FramePlayer, Picture, Playground, controls, progress_report
def clip(grey):  # frame t is a square of brightness grey + t
    return np.stack([np.full((32, 32, 3), grey + t, np.uint8) for t in range(16)])
player, picture = FramePlayer(alt="two grey squares"), Picture()
def update(grey, level, which, view, draw, marks, upload):
    if grey > 102:
        raise ValueError("too bright <b>")
    names = [f"grey {grey}", "a caption that is far too long for one line under a clip"]
    player.show([clip(grey), clip(200)], names, marks=[Marks([(2, 2, 9)]) if marks else None, None])
    picture.show(np.full((40, 90 + grey, 3), grey, np.uint8), f"a square of grey {grey}")
    return f"{grey} {level} {which} {view} {draw} {marks} {[file['name'] for file in upload]}"
speed = ipywidgets.IntSlider(value=100, min=100, max=110)
Playground([controls(
    update, grey=speed,
    level=ipywidgets.SelectionSlider(options=["few", "some", "many"], value="some"),
    which=ipywidgets.Dropdown(options=["one", "two", "three"]),
    view=ipywidgets.ToggleButtons(options=["colours", "arrows"]),
    draw=ipywidgets.BoundedIntText(3, 0, 9, description="random draw"),
    marks=ipywidgets.Checkbox(False, description="outlines"),
    upload=ipywidgets.FileUpload(accept="image/*", description="own image"),
), player, picture])""",
    "film_strip(clip(0), every=4)",
    """
report = progress_report()
for step in range(5):
    report(step, {"train_loss": 2 - step / 4, "train_accuracy": step / 5})
report.refresh()""",
    "FramePlayer([clip(10), clip(20)], columns=1)",
]
GREYS = """() => [...document.querySelectorAll('.vidssl-player-canvas')].map(
    (canvas) => canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1)
        .data[0])"""
NAMES = [
    ("slider", "grey"), ("slider", "level"), ("combobox", "which"), ("radio", "colours"),
    ("spinbutton", "random draw"), ("checkbox", "outlines"), ("button", "own image"),
    ("button", "play"), ("slider", "frame"),
]  # fmt: skip


@pytest.fixture(scope="module")
def page_file(notebooks):
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata),
                   notebooks / "widgets_test.ipynb")  # fmt: skip
    return notebooks / "widgets_test.ipynb"


@pytest.fixture(scope="module")
def lab(page_file, open_for_all):
    lab = open_for_all(page_file.name)
    lab.run_all()
    lab.pixels()
    lab.page.wait_for_function(f"() => ({GREYS})()[0] >= 100")
    return lab


def places(lab):
    """Where the controls stand within their grid."""
    return lab.page.evaluate("""() => [...document.querySelectorAll('.vidssl-field')].map(
        (each) => [each.offsetLeft - each.parentNode.offsetLeft,
                   each.offsetTop - each.parentNode.offsetTop, each.offsetWidth])""")


def first_greys(lab):
    return lab.page.evaluate(GREYS)[:2]


def test_player_steps_by_keyboard_and_stays_at_its_frame_when_redrawn(lab):
    lab.wait_for_counter("frame 0 of 0 to 15")
    lab.control("slider", "frame").focus()
    for key, frame in [("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", 15), ("Home", 0)]:
        lab.press(key)
        lab.wait_for_counter(f"frame {frame} of 0 to 15")
        assert first_greys(lab) == [100 + frame, 200 + frame]
        assert lab.control("slider", "frame").input_value() == str(frame), "one base"
    lab.press("End")
    assert first_greys(lab) == [115, 215]

    lab.control("slider", "grey").focus()
    before = lab.pixels()
    lab.press("ArrowRight")
    lab.wait_for_other_pixels(before)
    assert first_greys(lab) == [116, 215]  # brighter by one, still the last frame
    assert lab.page.locator(".vidssl-player-caption").first.inner_text() == "grey 101"
    lab.page.get_by_role("img", name="a square of grey 101").wait_for()

    lab.press("ArrowRight", "ArrowRight")
    alert = lab.page.locator("[role=alert]")
    alert.wait_for()
    assert alert.inner_text() == "ValueError: too bright <b>"
    lab.press("Home")
    lab.wait_until_said(lambda text: text.startswith("100 some"))


def test_a_player_plays_and_is_told_to_those_who_do_not_see_it(lab):
    player = lab.page.get_by_role("group", name="Frame player. two grey squares")
    assert player.get_by_role("img", name="grey 100").is_visible()
    player.get_by_role("button", name="play").click()
    before = lab.pixels()
    lab.wait_for_other_pixels(before)
    lab.control("slider", "frame").focus()
    lab.press("Space")
    player.get_by_role("button", name="play").wait_for()
    stopped = lab.counter()
    lab.page.wait_for_timeout(400)  # three frames' time
    assert lab.counter() == stopped
    lab.focus(".vidssl-player-play")
    lab.press("Space")  # once, not twice: the button's own click and the player's key
    player.get_by_role("button", name="pause").wait_for()
    lab.press("Space")


def test_every_control_has_a_name_and_one_tab_stop(lab):
    for role, name in NAMES:
        assert lab.control(role, name).is_visible(), (role, name)
    lab.control("slider", "grey").focus()
    stops = []
    for _ in NAMES:
        active = "document.activeElement"
        stops.append(lab.page.evaluate(f"{active}.getAttribute('aria-label') ?? {active}.value"))
        lab.press("Tab")
    assert stops == [name if role != "radio" else "0" for role, name in NAMES]
    unnamed = lab.page.locator("img:not([alt]), img[alt='']")
    assert lab.page.locator(".jp-OutputArea").locator(unnamed).count() == 0


def test_each_control_keeps_its_keys_and_changes_its_value(lab):
    cell = "document.activeElement.closest('.jp-Cell') === document.querySelector('.jp-Cell')"
    expected = ["100", "some", "one", "colours", "3", "False", "[]"]
    for role, name, key, place, value in [
        ("combobox", "which", "ArrowDown", 2, "two"),
        ("slider", "level", "ArrowRight", 1, "many"),
        ("radio", "colours", "ArrowRight", 3, "arrows"),
        ("spinbutton", "random draw", "ArrowUp", 4, "4"),
        ("checkbox", "outlines", "Space", 5, "True"),
    ]:
        lab.control(role, name).focus()
        lab.press(key)
        expected[place] = value
        lab.wait_until_said(lambda text: text == " ".join(expected))
        assert lab.page.evaluate(cell), f"{name}: the focus left the cell"
    lab.control("combobox", "which").focus()
    lab.press("a", "b", "d", "d")  # JupyterLab's keys for new and deleted cells
    assert lab.page.locator(".jp-CodeCell").count() == len(CELLS)
    with lab.page.expect_file_chooser() as chooser:
        lab.control("button", "own image").press("Enter")
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": b"abc"}
    chooser.value.set_files(file)
    lab.wait_until_said(lambda text: text.endswith("['mine.png']"))


@pytest.mark.parametrize("width", [640, 1280, 1920])
def test_nothing_is_cut_or_stretched_at_any_width(lab, width):
    lab.page.set_viewport_size({"width": width, "height": 1000})
    lab.page.wait_for_timeout(300)
    wide = """() => [...document.querySelectorAll('.vidssl-controls, .vidssl-player')].map(
        (each) => each.scrollWidth - each.clientWidth)"""
    assert max(lab.page.evaluate(wide)) <= 0
    for shown in lab.page.locator(".vidssl-player-canvas").all():
        box = shown.bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1)
    picture = lab.page.locator("img.vidssl-picture")
    natural = picture.evaluate("(image) => image.naturalWidth / image.naturalHeight")
    box = picture.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(natural, rel=0.02)
    labels = [each.bounding_box() for each in lab.page.locator(".vidssl-field").all()]
    assert all(b["x"] + b["width"] <= width for b in labels)


def test_small_frames_are_enlarged_and_columns_stand_below_each_other(lab):
    lab.page.set_viewport_size({"width": 1280, "height": 1000})
    canvas = lab.page.locator(".vidssl-player-canvas").first.bounding_box()
    assert (canvas["width"], canvas["height"]) == (256, 256)  # 8 x 32 pixels
    # in one call: after a change of width the page settles late, and what stands above grows
    (first_x, first_y), (second_x, second_y) = (
        lab.page.locator(".vidssl-player")
        .nth(1)
        .evaluate(
            """(player) => [...player.querySelectorAll('.vidssl-player-clip')].map(
            (clip) => [clip.getBoundingClientRect().x, clip.getBoundingClientRect().y])"""
        )
    )
    assert second_x == first_x
    assert second_y > first_y + 256


def test_figures_and_curves_are_shown_once_and_described(lab):
    strip = lab.page.locator(".jp-CodeCell").nth(1).locator("img")
    assert strip.count() == 1
    assert strip.get_attribute("alt") == "film strips, 1 in all"
    curves = lab.page.locator(".jp-CodeCell").nth(2).locator("img")
    assert curves.count() == 1
    assert "step 4" in curves.get_attribute("alt")
    assert curves.evaluate("(image) => image.naturalWidth") == 759


def test_letters_are_legible_in_the_dark(lab):
    """WCAG 2 asks for a contrast of 4.5."""
    lab.page.evaluate("""document.body.dataset.jpThemeLight = 'false';
        for (const [name, value] of Object.entries({'--jp-ui-font-color1': '#fff',
            '--jp-layout-color1': '#111', '--jp-layout-color0': '#111'}))
            document.documentElement.style.setProperty(name, value)""")
    colour = lab.page.locator(".vidssl-field-select").first.evaluate(
        "(each) => [getComputedStyle(each).color, getComputedStyle(each).backgroundColor]"
    )
    assert colour == ["rgb(255, 255, 255)", "rgb(17, 17, 17)"]


def test_pictures_stay_after_a_restart_a_reload_and_in_html_offline(lab, page_file, open_notebook,
                                                                    browser, tmp_path):  # fmt: skip
    stills = lab.page.locator(".vidssl-still")
    assert stills.count() == 2
    assert not stills.first.is_visible(), "the widget lives"
    lab.press("Escape")
    lab.page.keyboard.press("Control+s")
    lab._poll(lambda: "vidssl-still" in page_file.read_text(), bool, 20, "the file to be saved")
    size = page_file.stat().st_size
    assert size < 400_000

    where = places(lab)
    lab.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    lab.page.get_by_role("menuitem", name="Restart Kernel…").click()
    lab.page.get_by_role("button", name="Confirm Kernel Restart").click()
    lab.page.get_by_role("alert").filter(has_text="The kernel was restarted").wait_for()
    assert places(lab) == where, "controls stay in place"

    copy = page_file.with_name("reloaded.ipynb")  # no kernel of it runs
    copy.write_text(page_file.read_text())
    again = open_notebook(copy.name)
    again.page.locator(".vidssl-still img").first.wait_for()
    assert again.page.locator(".vidssl-still img").count() == 5
    again.page.wait_for_timeout(1500)
    assert "model not found" not in again.page.locator(".jp-Notebook").inner_text()

    html = tmp_path / "page.html"
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output", str(html)]
    subprocess.run([*command, str(page_file)], check=True, capture_output=True)
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(html.as_uri(), wait_until="domcontentloaded")
    pictures = page.locator(".vidssl-still img")
    assert pictures.count() == 5
    assert all(pictures.nth(k).is_visible() for k in range(5))
    assert page.locator("img:not([alt])").count() == 0
    assert pictures.first.evaluate("(image) => image.naturalWidth") > 100
    context.close()
