import sys

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vidssl.visualize import COLORS, paper_style
from vidssl.visualize.style import new_figure


def contrast_with_white(color):
    """WCAG 2 contrast ratio."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 1.05 / (sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear)) + 0.05)


def test_style_holds_inside_and_leaves_nothing_behind():
    before = matplotlib.rcParams["font.size"]
    with paper_style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert matplotlib.rcParams["font.size"] == 8
    assert matplotlib.rcParams["font.size"] == before


def test_first_three_colours_can_be_read_on_paper():
    assert all(contrast_with_white(color) >= 3 for color in COLORS[:3])
    assert len(set(COLORS)) == 7


def test_figures_stay_out_of_pyplot():
    import matplotlib.pyplot as plt

    open_before = plt.get_fignums()
    assert isinstance(new_figure(3.35, 2), Figure)
    assert plt.get_fignums() == open_before


def test_a_notebook_shows_a_figure_without_pyplot(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.kernel = object()  # a terminal has none, and shows text only
    shell.display_formatter.active_types = ["text/plain", "image/png"]
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    with paper_style():
        figure = new_figure(1, 1)
        figure.subplots()
    data, _ = shell.display_formatter.format(figure)
    assert data["image/png"]
