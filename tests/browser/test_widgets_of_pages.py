"""Every page with a widget at smoke scale: each control by keyboard, under its name; in the dark,
twice as large, and exported."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARROW, NEXT, TICK = "ArrowRight", "ArrowDown", "Space"
CONTROLS = {
    "01_data_and_clips": [],
    "10_mosi_pseudo_motion": [
        ("combobox", "image", NEXT), ("combobox", "direction", NEXT), ("slider", "speed", "Home"),
        ("slider", "speeds K", ARROW), ("slider", "frames", ARROW), ("slider", "mask ratio", ARROW),
        ("slider", "frozen frame", ARROW), ("slider", "square across", ARROW),
        ("slider", "square down", ARROW), ("combobox", "colours", NEXT),
        ("combobox", "order", NEXT), ("spinbutton", "random draw", "ArrowUp"),
        ("checkbox", "outlines and arrows", TICK),
    ],
    "13_mosi_gradcam": [
        ("combobox", "video", NEXT), ("combobox", "stage", "ArrowUp"), ("combobox", "target", NEXT),
    ],
    "14_mosi_clusters": [  # of 8 videos, which leave the perplexity no choice
        ("spinbutton", "seed of the map", "ArrowUp"), ("combobox", "cluster", NEXT),
    ],
    "20_motionfit_flow": [
        ("combobox", "video", NEXT), ("combobox", "method", NEXT), ("radio", "colours", ARROW),
        ("slider", "lambda", ARROW), ("slider", "warps", "ArrowLeft"),
    ],
    "22_motionfit_pseudo_labels": [
        ("slider", "cluster", ARROW), ("combobox", "level", NEXT), ("spinbutton", "K", "ArrowDown"),
        ("slider", "percentile", "ArrowLeft"), ("slider", "perplexity", "ArrowLeft"),
        ("spinbutton", "t-SNE seed", "ArrowUp"),
    ],
    "31_timebalance_similarity": [
        ("combobox", "class of the test video", NEXT), ("slider", "first frame", ARROW),
        ("slider", "stride", ARROW),
    ],
}  # fmt: skip
UNNAMED = """() => [...document.querySelectorAll(
    '.jp-OutputArea :is(input, select, button, canvas, [role=slider])')].filter(
    (each) => each.offsetParent && !each.getAttribute('aria-label')
        && each.type !== 'radio').map((each) => each.outerHTML)"""
WITHOUT_ALT = """() => [...document.querySelectorAll('.jp-OutputArea img')].filter(
    (each) => !each.alt).map((each) => each.outerHTML.slice(0, 200))"""
CUT = """() => [...document.querySelectorAll(
    '.vidssl-controls, .vidssl-player, .vidssl-said, .vidssl-field-label')].filter(
    (each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent)"""
STRETCHED = """() => [...document.querySelectorAll('.jp-OutputArea img')].filter((each) => {
    const shown = each.clientWidth / each.clientHeight;
    return each.offsetParent && Math.abs(shown / (each.naturalWidth / each.naturalHeight) - 1) > .03
}).map((each) => each.alt)"""

PALE = """() => {  // letters with less contrast than WCAG 2 asks for
    const numbers = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const light = (color) => color.slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
    const behind = (each) => {
        for (let at = each; at; at = at.parentElement) {
            const color = numbers(getComputedStyle(at).backgroundColor);
            if (color.length === 3 || color[3] > 0) return color;
        }
        return [255, 255, 255];
    };
    const contrast = (each) => {
        const [low, high] = [light(numbers(getComputedStyle(each).color)), light(behind(each))]
            .sort((a, b) => a - b);
        return (high + .05) / (low + .05);
    };
    return [...document.querySelectorAll(`[class^=vidssl]:not(canvas):not(img),
        .jp-OutputArea :is(pre, th, td, p, figcaption)`)]
        .filter((each) => each.offsetParent && each.textContent.trim() && contrast(each) < 4.5)
        .map((each) => each.className + ': ' + each.textContent.slice(0, 60));
}"""
OUTSIDE = """() => [...document.querySelectorAll(
    '.jp-OutputArea :is(input, select, button, canvas, img)')].filter((each) => {
    const { left, right } = each.getBoundingClientRect();
    const page = document.querySelector('.jp-Notebook').getBoundingClientRect();
    return each.offsetParent && (left < page.left || right > page.right + 1);
}).map((each) => each.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("notebook", CONTROLS)
def test_each_control_answers_its_keys(notebook, smoke_page, open_notebook):
    lab = open_notebook(smoke_page(notebook))
    lab.run_all(seconds=300)
    lab.page.locator(".vidssl-live").first.wait_for()
    for role, name, key in CONTROLS[notebook]:
        control = lab.control(role, name)
        panel = control.locator("xpath=ancestor::*[contains(@class, 'vidssl-controls')]")
        answers = int(panel.get_attribute("data-answered") or 0)
        control.focus()
        cell = lab.page.evaluate("document.activeElement.closest('.jp-Cell').dataset.cellId")
        lab.press(key)
        lab.wait_until(lambda: int(panel.get_attribute("data-answered") or 0) > answers, name)  # noqa: B023
        assert panel.locator("[role=alert]").count() == 0, panel.inner_text()
        now = "document.activeElement.closest('.jp-Cell')?.dataset.cellId"
        assert lab.page.evaluate(now) == cell, f"{name}: the focus left the cell"
    if lab.page.locator(".vidssl-player").count():
        lab.control("slider", "frame").focus()
        before = lab.counter()
        lab.press("ArrowRight")
        lab.wait_until(lambda: lab.counter() != before, "the next frame")
    assert lab.page.evaluate(UNNAMED) == []
    assert lab.page.evaluate(WITHOUT_ALT) == []
    for width in (640, 1280, 1920):
        lab.page.set_viewport_size({"width": width, "height": 1000})
        lab.page.wait_for_timeout(200)
        assert lab.page.evaluate(CUT) == []
        assert lab.page.evaluate(STRETCHED) == []


@pytest.mark.parametrize("notebook", [*CONTROLS, "33_timebalance_weights"])
def test_in_the_dark_twice_as_large_and_exported(
    notebook, smoke_page, notebooks, open_notebook, dark, browser, tmp_path
):
    """At 200 %, 1280 x 1000 are 640 x 500. Figures keep their white paper."""
    name = smoke_page(notebook)
    lab = open_notebook(name, device_scale_factor=2)
    lab.run_all(seconds=300)
    lab.page.set_viewport_size({"width": 640, "height": 500})
    lab.page.wait_for_timeout(500)
    lab.page.locator(".jp-OutputArea img:visible").first.wait_for()
    assert lab.page.evaluate("document.body.dataset.jpThemeLight") == "false"
    for found in (PALE, CUT, STRETCHED, OUTSIDE):
        assert lab.page.evaluate(found) == []
    players = lab.page.locator(".vidssl-live").count()
    lab.press("Escape")
    lab.page.keyboard.press("Control+s")
    file = notebooks / name
    lab.wait_until(lambda: "text/html" in file.read_text(), "the file to be saved")
    html = tmp_path / "page.html"
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output", str(html), str(file)]
    subprocess.run(command, check=True, capture_output=True)
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(html.as_uri(), wait_until="domcontentloaded")
    stills = page.locator(".vidssl-still img").all()
    assert bool(stills) == bool(players)
    for still in stills:
        assert still.is_visible()
        assert still.evaluate("(image) => image.naturalWidth") > 40
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    context.close()
