"""Controls in Python: what they say to the browser, and what a change does."""

import asyncio
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from run_async import run_async

from vidssl.visualize.widgets import FramePlayer, Picture, Playground, controls


def slider(value=1, most=4):
    return ipywidgets.IntSlider(value=value, max=most)


def change(panel, buffers=(), **values):
    """What the browser sends."""
    panel._handle_custom_msg({"values": values, "number": "a-1"}, list(buffers))


def test_controls_update_once_and_on_each_change():
    seen = []
    speed, ratio = slider(), ipywidgets.FloatSlider(value=0.5, max=1, description="mask")
    panel = controls(lambda **values: seen.append(values), speed=speed, mask_ratio=ratio)
    speed.value = 3
    assert seen == [{"speed": 1, "mask_ratio": 0.5}, {"speed": 3, "mask_ratio": 0.5}]
    change(panel, speed=2, mask_ratio=0.7)
    assert seen[2:] == [{"speed": 2, "mask_ratio": 0.7}], "two changes of one message, one update"
    assert [field["label"] for field in panel.fields] == ["speed", "mask"]


def test_every_kind_is_described_and_set_by_the_browser():
    given = {
        "slider": slider(),
        "steps": ipywidgets.SelectionSlider(options=["few", "some", "many"], value="some"),
        "choice": ipywidgets.Dropdown(options=[("one", 10), ("two", 20)]),
        "radios": ipywidgets.ToggleButtons(options=["a", "b"]),
        "number": ipywidgets.BoundedIntText(3, 0, 9),
        "switch": ipywidgets.Checkbox(True),
        "file": ipywidgets.FileUpload(accept="image/*"),
    }
    seen = []
    panel = controls(lambda **values: seen.append(values), **given)
    kinds = [field["kind"] for field in panel.fields]
    assert kinds == ["slider", "slider", "choice", "radios", "number", "switch", "file"]
    assert panel.fields[1] | {"min": 0, "max": 2, "value": 1} == panel.fields[1]
    file = {"name": "a.png", "size": 3, "type": "image/png", "last_modified": 0}
    change(panel, [memoryview(b"abc")], steps=2, choice=1, radios=1, switch=False, file=file)
    last = seen[-1]
    assert (last["steps"], last["choice"], last["radios"]) == ("many", 20, "b")
    assert last["switch"] is False
    assert bytes(last["file"][0]["content"]) == b"abc"


def test_another_kind_is_refused_by_name():
    with pytest.raises(TypeError, match="day: controls cannot draw a DatePicker; use a slider"):
        controls(lambda day: None, day=ipywidgets.DatePicker())


def test_limits_and_options_that_change_are_told():
    speed, which = slider(), ipywidgets.Dropdown(options=["a"])
    panel = controls(lambda **values: None, speed=speed, which=which)
    speed.max = 9
    which.options = ["a", "b"]
    assert (panel.fields[0]["max"], panel.fields[1]["options"]) == (9, ["a", "b"])


def test_errors_of_a_change_are_shown_and_go_away_again():
    def update(speed):
        if speed > 2:
            raise ValueError("too <fast>")
        return f"{speed} px"

    speed = slider()
    panel = controls(update, speed=speed)
    assert panel.said == {"text": "1 px", "wrong": False}
    speed.value = 3
    assert panel.said == {"text": "ValueError: too <fast>", "wrong": True}
    speed.value = 2
    assert panel.said == {"text": "2 px", "wrong": False}


def test_a_first_error_stops_the_cell():
    with pytest.raises(ZeroDivisionError):
        controls(lambda speed: 1 // speed, speed=slider(0))


def test_a_newer_change_ends_a_drawing_in_steps():
    drawn = []

    def update(speed):
        for step in range(3):
            drawn.append((speed, step))
            yield f"{speed}: {step}"

    async def play():
        speed.value = 2
        assert panel.said["text"] == "2: 0", "the first step comes at once"
        speed.value = 3
        while panel.said["text"] != "3: 2":
            await asyncio.sleep(0.002)

    speed = slider()
    panel = controls(update, speed=speed)
    assert panel.said["text"] == "1: 2", "unattended: to the end"
    run_async(play())
    assert drawn[3:] == [(2, 0), (3, 0), (3, 1), (3, 2)]


def test_a_playground_has_pictures_for_readers_without_a_kernel():
    player = FramePlayer(np.zeros((6, 8, 8, 3), np.uint8), "grey <1>", alt="a square")
    picture = Picture()
    picture.show(np.zeros((4, 6, 3), np.uint8), "bars of 3 classes")
    playground = Playground([controls(lambda speed: "so far", speed=slider()), player, picture])
    still = playground.still()
    assert still.count("<img alt=") == still.count("data:image/png;base64,") == 2
    assert 'alt="a square: grey &lt;1&gt;"' in still
    assert 'alt="bars of 3 classes"' in still
    assert "so far" in still
    assert "Run the cell to choose: speed." in still


def test_a_picture_without_words_is_refused():
    with pytest.raises(ValueError, match="alt must say in words"):
        Picture().show(np.zeros((4, 6, 3), np.uint8), " ")


def test_a_display_is_the_still_picture_and_then_the_widget(monkeypatch):
    shown = []
    fake = SimpleNamespace(display=lambda bundle, **_: shown.append(bundle))
    monkeypatch.setitem(__import__("sys").modules, "IPython.display", fake)
    FramePlayer(np.zeros((6, 8, 8, 3), np.uint8), "grey")._ipython_display_()
    still, live = shown
    assert "vidssl-still" in still["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "text/plain" in still
    assert "text/plain" not in live, "an export would write it below the pictures"
