import sys
import threading

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vidssl.visualize import COLORS, paper_style
from vidssl.visualize.style import (
    PLACES,
    describe,
    description,
    new_figure,
    places_of,
    series_style,
)


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


def test_style_holds_in_a_thread_while_another_leaves_it():
    before, seen = matplotlib.rcParams["font.size"], []
    inside, leave = threading.Event(), threading.Event()

    def first():
        with paper_style():
            inside.set()
            leave.wait(10)

    def second():
        with paper_style():
            seen.append(matplotlib.rcParams["font.size"])

    threads = [threading.Thread(target=each) for each in (first, second)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join()
    assert seen == [8]
    assert matplotlib.rcParams["font.size"] == before, "nothing is left behind"


def test_a_notebook_shows_a_figure_once_and_with_words(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.pylabtools import select_figure_formats

    shell = InteractiveShell()
    shell.kernel = object()  # a terminal has none, and shows text only
    shell.display_formatter.active_types = ["text/plain", "text/html", "image/png"]
    select_figure_formats(shell, {"png"})  # as pyplot does
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    with paper_style():
        figure = new_figure(1, 1)
        figure.subplots()
    describe(figure, 'a "square"')
    data, _ = shell.display_formatter.format(figure)
    assert '<img alt="a &quot;square&quot;" ' in data["text/html"]
    assert "image/png" not in data


def test_a_figure_without_words_is_described_by_its_titles_and_axes():
    with paper_style():
        figure = new_figure(2, 1)
        left, right = figure.subplots(1, 2)
    left.set(title="a", xlabel="step")
    right.set(title="b", xlabel="step")
    assert description(figure) == "Figure: a; x: step; b"


def test_a_method_looks_the_same_whatever_stands_beside_it():
    few = dict(zip(("scratch", "MoSI"), places_of(["scratch", "MoSI"])))
    names = ["mosi", "my method", "frame_difference", "static frame", "scratch", "mosi_unmasked"]
    many = dict(zip(names, places_of(names)))
    assert (many["mosi"], many["scratch"]) == (few["MoSI"], few["scratch"])
    looks = [tuple(series_style(place).values()) for place in many.values()]
    assert len(set(looks)) == len(names)
    assert places_of(["appearance", "invariant", "new"]) == [2, 0, 1], "no look stands twice"
    assert len({tuple(series_style(place).values()) for place in PLACES.values()}) == len(
        set(PLACES.values())
    )
