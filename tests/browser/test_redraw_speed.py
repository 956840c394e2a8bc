"""From a key to the picture in the browser, in milliseconds; nothing fails on a clock.

The goals, on a quiet machine, are 100 ms for prepared clips (page 10) and 500 ms where a network
runs (31) or motion is estimated (20, whose other fields follow).
"""

from statistics import median

import pytest

pytestmark = [pytest.mark.bench, pytest.mark.browser]
LEFT, RIGHT, DOWN = "ArrowLeft", "ArrowRight", "ArrowDown"
MINI = {  # numbers that decide how long a redraw takes
    "10_mosi_pseudo_motion": {"frames": 16, "size": 112},
    "20_motionfit_flow": {"frames": 33, "short_side": 96},
    "31_timebalance_similarity": {},
}
KEYS = {
    "10_mosi_pseudo_motion": [
        ("slider", "speed", [LEFT, RIGHT]), ("slider", "speeds K", [RIGHT, LEFT]),
        ("slider", "frames", [RIGHT, LEFT]), ("slider", "mask ratio", [RIGHT] * 4),
        ("slider", "square across", [RIGHT] * 4), ("combobox", "colours", [DOWN] * 2),
        ("combobox", "image", [DOWN] * 2), ("checkbox", "outlines and arrows", ["Space"] * 2),
    ],
    "20_motionfit_flow": [
        ("combobox", "video", [DOWN]), ("radio", "colours", [RIGHT, LEFT]),
        ("slider", "lambda", [RIGHT] * 2), ("slider", "warps", [LEFT] * 2),
    ],
    "31_timebalance_similarity": [
        ("slider", "first frame", [RIGHT] * 5), ("slider", "stride", [RIGHT] * 3),
        ("combobox", "class of the test video", [DOWN] * 3),
    ],
}  # fmt: skip
WATCH = """() => {
    let pressed = 0;
    const drawn = (records) => records.forEach(() => redraws.push(performance.now() - pressed));
    const begin = () => ([pressed, redraws] = [performance.now(), []]);
    window.redraws = [];
    addEventListener('keydown', begin, true);
    new MutationObserver(drawn).observe(document.querySelector('.jp-Notebook'),
        {subtree: true, attributes: true, attributeFilter: ['data-shown']});
}"""


def first_redraws(lab, role, name, keys):
    """Milliseconds from each key to the first picture after it."""
    lab.control(role, name).focus()
    for key in keys:
        lab.press(key)
        lab.page.wait_for_function("() => redraws.length > 0")
        yield lab.page.evaluate("redraws[0]")
        lab.page.wait_for_timeout(500)  # a drawing in steps goes on


@pytest.mark.parametrize("notebook", KEYS)
def test_a_key_is_answered_soon(notebook, smoke_page, open_notebook):
    lab = open_notebook(smoke_page(notebook, **MINI[notebook]))
    lab.run_all(seconds=300)
    lab.page.locator(".vidssl-live").first.wait_for()
    lab.page.evaluate(WATCH)
    for role, name, keys in KEYS[notebook]:
        taken = list(first_redraws(lab, role, name, keys))
        print(f"\n{notebook}, {name}: {median(taken):.0f} ms, at most {max(taken):.0f}", end="")
        assert len(taken) == len(keys)


def test_the_first_page_shows_a_picture_soon(smoke_page, open_notebook):
    name = smoke_page("01_data_and_clips")
    lab = open_notebook(name)
    begun = lab.page.evaluate("performance.now()")
    lab.page.get_by_role("menuitem", name="Run", exact=True).click()
    lab.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    lab.page.locator(".vidssl-player[data-shown]").first.wait_for(timeout=120_000)
    taken = lab.page.evaluate("performance.now()") - begun
    print(f"\n01: {taken / 1000:.1f} s from 'run all' to the first player")
