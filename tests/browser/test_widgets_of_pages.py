"""Every page with a widget at smoke scale: each control by keyboard, under its name."""

import papermill
import pytest

from vidssl import models, runs
from vidssl.data import synthetic
from vidssl.models.pretrained import save_pretrained

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOKS = runs.find_project() / "notebooks"
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


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    numbers = runs.scale_file("smoke").get("data", {})
    synthetic.make_dataset(
        root / "data", **{"scale": "smoke", **numbers}, workers=1, progress=False
    )
    return root


def prepare(notebook, place, where, name, *, run=False, **parameters):
    """The page with its smoke parameters, executed or not; its run is ``<place>/smoke/<name>``."""
    parameters["run_folder"] = str(place / "smoke" / name)
    if "root" in runs.declared_parameters(NOTEBOOKS / f"{notebook}.py"):
        parameters.setdefault("root", str(place / "data"))
    papermill.execute_notebook(
        str(NOTEBOOKS / f"{notebook}.ipynb"), str(where / f"{name}.ipynb"),
        parameters=runs.parameters_for(notebook, "smoke", parameters), kernel_name="python3",
        prepare_only=not run, progress_bar=False, cwd=str(place), execution_timeout=300,
    )  # fmt: skip
    return place / "smoke" / name


@pytest.fixture(scope="module")
def needs(place):
    """What a page is given of earlier pages, made when it is asked for."""

    def untrained():
        about = {"backbone": "r2plus1d_10", "width": 0.25, "dataset": "none", "seed": 0}
        network = models.build("r2plus1d_10", num_classes=9, width=0.25)
        return str(save_pretrained(network, place / "untrained.pt", **about))

    def made(notebook, name, **parameters):
        return prepare(notebook, place, place, name, run=True, **parameters)

    def teacher(name):
        return str(made("30_timebalance_teachers", f"teacher-{name}", objective=name))

    return {
        "13_mosi_gradcam": lambda: {"mosi_weights": untrained()},
        "14_mosi_clusters": lambda: {"pretrained": untrained()},
        "22_motionfit_pseudo_labels": lambda: {
            "motion_model": str(made("21_motionfit_motion_model", "model") / "motion_model.pt")
        },
        "31_timebalance_similarity": lambda: {
            name: teacher(name) for name in ("invariant", "distinctive")
        },
    }


@pytest.mark.parametrize("notebook", CONTROLS)
def test_each_control_answers_its_keys(notebook, place, needs, notebooks, open_notebook):
    given = needs.get(notebook, dict)()
    prepare(notebook, place, notebooks, f"page-{notebook}", **given)
    lab = open_notebook(f"page-{notebook}.ipynb")
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
