import io
import subprocess
import sys

import ipywidgets
import pytest
from PIL import Image

from vidssl.visualize.widgets import LiveCurves, controls, in_live_notebook, progress_report


def test_nobody_looks_on_here(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    assert not in_live_notebook()  # the variable is inherited; there is still no kernel
    assert progress_report() is None


@pytest.mark.parametrize(
    ("session", "wish", "live"),
    [("a.ipynb", "", True), ("", "", False), ("", "1", True), ("a.ipynb", "0", False)],
)
def test_a_kernel_of_jupyterlab_is_live_unless_told_otherwise(monkeypatch, session, wish, live):
    class Shell:
        kernel = object()

    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", Shell)
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    monkeypatch.setenv("VIDSSL_LIVE", wish)
    assert in_live_notebook() is live


def test_curves_draw_the_first_step_and_then_only_now_and_then():
    curves = LiveCurves(seconds=float("inf"), live=True)
    curves(0, {"learning_rate": 0.1})
    assert not curves.image.value  # nothing to plot so far
    curves(1, {"train_loss": 2.0})
    first = curves.image.value
    assert Image.open(io.BytesIO(first)).size[0] == 759  # 6.9 in at 110 dpi
    curves(2, {"train_loss": 1.0})
    assert curves.image.value == first
    curves.refresh()
    assert curves.image.value != first
    assert [row["step"] for row in curves.history] == [0, 1, 2]


def test_controls_update_once_and_on_each_change():
    seen = []
    speed = ipywidgets.IntSlider(value=1, max=4)
    ratio = ipywidgets.FloatSlider(value=0.5, description="mask")
    box = controls(lambda **values: seen.append(values), speed=speed, mask_ratio=ratio)
    speed.value = 3
    assert seen == [{"speed": 1, "mask_ratio": 0.5}, {"speed": 3, "mask_ratio": 0.5}]
    assert box.children[:2] == (speed, ratio)
    assert (speed.description, ratio.description) == ("speed", "mask")


def test_errors_of_a_change_are_shown_and_go_away_again():
    def update(speed):
        if speed > 2:
            raise ValueError("too <fast>")
        return f"{speed} px"

    speed = ipywidgets.IntSlider(value=1, max=4)
    line = controls(update, speed=speed).children[-1]
    assert line.value == '<div role="status">1 px</div>'
    speed.value = 3
    assert "ValueError: too &lt;fast&gt;" in line.value
    assert 'role="alert"' in line.value
    speed.value = 2
    assert line.value == '<div role="status">2 px</div>'


def test_a_first_error_stops_the_cell():
    with pytest.raises(ZeroDivisionError):
        controls(lambda speed: 1 // speed, speed=ipywidgets.IntSlider(value=0))


def test_batch_machines_need_no_widget_library():
    code = (
        "import sys; sys.modules['anywidget'] = sys.modules['ipywidgets'] = None\n"
        "from vidssl.visualize.widgets import LiveCurves, progress_report\n"
        "LiveCurves()(0, {'train_loss': 1.0}); assert progress_report() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
