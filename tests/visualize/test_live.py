import base64
import io
import re
import subprocess
import sys

import IPython  # noqa: F401  (its shell is asked for)
import pytest
from PIL import Image

from vidssl.visualize.widgets import LiveCurves, in_live_notebook, progress_report


def picture_in(html):
    data = re.search(r"data:image/png;base64,([^\"]+)", html).group(1)
    return Image.open(io.BytesIO(base64.b64decode(data)))


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
    curves = LiveCurves(seconds=float("inf"))
    curves(0, {"learning_rate": 0.1})
    assert not curves.html  # nothing to plot so far
    curves(1, {"train_loss": 2.0})
    first = curves.html
    assert picture_in(first).size[0] == 759  # 6.9 in at 110 dpi
    curves(2, {"train_loss": 1.0})
    assert curves.html == first
    curves.refresh()
    assert curves.html != first
    said = re.search('alt="([^"]+)"', curves.html).group(1)
    assert re.fullmatch("Figure: .*loss.*; step 2", said)
    assert [row["step"] for row in curves.history] == [0, 1, 2]


def test_batch_machines_need_no_widget_library():
    code = (
        "import sys; sys.modules['anywidget'] = sys.modules['ipywidgets'] = None\n"
        "from vidssl.visualize.widgets import LiveCurves, progress_report\n"
        "LiveCurves()(0, {'train_loss': 1.0}); assert progress_report() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
