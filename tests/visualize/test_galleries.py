import numpy as np
import pytest
from matplotlib.colors import to_hex

from vidssl.visualize import PAGE_WIDTH, cluster_gallery, neighbour_gallery
from vidssl.visualize.retrieval import RIGHT, WRONG


def clip(grey=0, frames=5, height=6, width=8):
    return np.full((frames, height, width, 3), grey, np.uint8)


def gallery(**options):
    names = [["walk", "run"], ["walk", "jump"]]
    found = [[clip(1), clip(2)], [clip(3), clip(4)]]
    return neighbour_gallery([clip(), clip()], ["run", "walk"], found, names, **options)


def test_neighbours_are_marked_right_or_wrong_by_colour_and_sign():
    figure = gallery(note="clip-to-clip, mini")
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles == ["run", "✗ walk", "✓ run", "walk", "✓ walk", "✗ jump"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["query", "", ""] * 2
    frames = [axis.spines["top"] for axis in figure.axes]
    assert [frame.get_visible() for frame in frames] == [False, True, True] * 2
    colors = [to_hex(frame.get_edgecolor()).upper() for frame in frames if frame.get_visible()]
    assert colors == [WRONG, RIGHT, RIGHT, WRONG]
    assert figure.get_figwidth() == PAGE_WIDTH
    assert figure.get_supxlabel() == "clip-to-clip, mini"


def test_a_strip_goes_from_the_first_to_the_last_frame():
    counting = np.stack([clip(10 * number, frames=1)[0] for number in range(7)])
    figure = cluster_gallery([[counting]], [["run"]], frames=3)
    strip = figure.axes[0].images[0].get_array()
    assert strip.shape == (6, 3 * 9, 3)
    assert strip[0, [0, 9, 18], 0].tolist() == [0, 30, 60]
    short = cluster_gallery([[clip(7, frames=2)]], [["run"]], frames=3).axes[0].images[0]
    assert short.get_array()[0, [0, 9, 18], 0].tolist() == [7, 7, 255]


def test_clusters_have_titles():
    figure = cluster_gallery([[clip()], [clip()]], [["run"], ["walk"]], titles=["3", "17"])
    assert [axis.get_ylabel() for axis in figure.axes] == ["3", "17"]
    assert [axis.get_title("left") for axis in figure.axes] == ["run", "walk"]


def test_what_is_missing_is_named():
    one = [[clip()]]
    for arguments, message in (
        (([clip()], ["a", "b"], one, [["a"]]), "query_names must have one entry for each of 1"),
        (([clip()], "a", one, [["a"]]), "query_names must"),
        (([clip()], ["a"], [], [["a"]]), "neighbours must have one entry for each of 1 rows"),
        (([clip()], ["a"], one, [["a", "b"]]), r"as many clips and names, .* got \[2, 3\]"),
        (([], [], [], []), "at least one"),
    ):
        with pytest.raises(ValueError, match=message):
            neighbour_gallery(*arguments)
    with pytest.raises(ValueError, match="titles must have one entry for each of 1 rows"):
        cluster_gallery(one, [["a"]], titles=["1", "2"])
    with pytest.raises(ValueError, match="frames must be 1 or more"):
        cluster_gallery(one, [["a"]], frames=0)
