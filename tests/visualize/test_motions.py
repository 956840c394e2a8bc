import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from vidssl.visualize import Marks, paper_style
from vidssl.visualize.motions import motion_panels, pseudo_motion_figure
from vidssl.visualize.style import figure_pixels

GREY = np.full((20, 40, 3), 128, np.uint8)


def drawn(marks, frame=0, picture=GREY, zoom=3):
    """A picture with its marks, as a screen has it: ``zoom`` times larger."""
    height, width = picture.shape[:2]
    figure = Figure(figsize=(zoom * width / 100, zoom * height / 100), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(picture, aspect="auto")
    axis.set_axis_off()
    marks.draw(axis, frame)
    return figure_pixels(figure)


def changed(picture):
    """Rows and columns, first and last, of what is no longer grey."""
    rows, columns = np.nonzero(np.abs(picture.astype(int) - 128).max(-1) > 20)
    return np.array([rows.min(), rows.max(), columns.min(), columns.max()])


def test_a_picture_without_marks_stays_as_it_is():
    assert (drawn(Marks()) == 128).all()
    assert (drawn(Marks(arrow=((5, 5), (5, 5)))) == 128).all()


def test_squares_lie_where_they_are_in_the_clip():
    one = Marks([(2, 4, 10)], color="white")
    for frame in (0, 2):
        picture = drawn(one, frame)
        assert np.abs(changed(picture) - (12, 41, 6, 35)).max() <= 2
        assert (picture[16:38, 10:32] == 128).all(), "only the outline is drawn"
    moving = Marks([(3, 0, 10), (4, 0, 10), (5, 0, 10)])
    places = [changed(drawn(moving, frame))[2] for frame in range(4)]
    assert np.diff(places).tolist() == [3, 3, 0], "after its last place it stays there"


def test_an_arrow_is_thickest_at_its_tip():
    right = drawn(Marks(arrow=((5, 10), (35, 10))), zoom=4)
    down = drawn(Marks(arrow=((20, 3), (20, 17))), zoom=4)
    heights = (np.abs(right.astype(int) - 128).max(-1) > 20).sum(axis=0)
    assert 120 < heights.argmax() < 140
    assert heights[24:110].max() < heights.max() / 2
    rows = (np.abs(down.astype(int) - 128).max(-1) > 20).sum(axis=1)
    assert rows.argmax() > 54


@pytest.mark.parametrize(("motion", "along"), [((2, 0), 1), ((0, 2), 0)])
def test_the_arrows_of_a_field_point_where_things_go(motion, along):
    """Of one arrow in the middle of 24 x 24 px: it is as long as the motion times its gain."""
    field = np.broadcast_to(motion, (3, 24, 24, 2))
    square = np.full((24, 24, 3), 128, np.uint8)
    span = changed(drawn(Marks(field=field, spacing=24, gain=4), picture=square, zoom=10))
    top, bottom, left, right = span
    extents = np.array([bottom - top, right - left])
    assert extents[along] == pytest.approx(80, abs=8)
    assert extents[1 - along] < 20
    assert (bottom, right)[along] == pytest.approx(10 * (12.5 + 8), abs=8), "from the middle"
    still = Marks(field=0.0 * field, spacing=24)
    assert np.ptp(changed(drawn(still, picture=square, zoom=10))[:2]) < 12, "a dot"


def test_panels_follow_the_window_and_mark_what_moves():
    grey = torch.full((3, 4, 10, 10), 128 / 255)
    positions = np.stack([np.arange(4), np.full(4, 7)], axis=1)
    image = torch.full((3, 30, 30), 128 / 255)
    clips, marks = motion_panels(image, grey, grey, positions, (2, 3, 5))
    assert [len(clip) for clip in clips] == [1, 4, 4], "the source is a still picture"
    source, clip, masked = marks
    assert source.squares == [(0, 7, 10), (1, 7, 10), (2, 7, 10), (3, 7, 10)]
    assert source.arrow == ((5, 12), (8, 12)), "the way of its middle"
    assert not clip.squares
    assert clip.arrow == ((6.5, 5), (3.5, 5)), "in three frames, against the window"
    assert masked.squares == [(2, 3, 5)]
    assert masked.arrow == ((6, 5.5), (3, 5.5))
    _, unmarked = motion_panels(image, grey, grey, positions, None)
    assert unmarked[1:] == [Marks(), Marks()]


@pytest.mark.parametrize("pool", [[(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)], [(0, -1), (0, 1)]])
def test_the_figure_shows_paths_and_the_frozen_frame(pool):
    positions = np.stack([np.full(8, 3), np.arange(8) * 4 + 2], axis=1)
    paths = [(1, positions), (0, positions[::-1])]
    clip = torch.rand(3, 8, 16, 16)
    figure = pseudo_motion_figure(torch.rand(3, 48, 48), pool, paths, clip, clip, (2, 3, 6), 4)
    with paper_style():
        figure.draw_without_rendering()
    above, below = figure.subfigs
    assert len(above.axes) == 3
    path = above.axes[1]
    assert path.texts[-1].get_text() == "$D_y$ = +28 px"
    shade = path.images[1].get_array()[..., 3]
    assert shade[:20].max() == 0  # starts of 0 to 4, and the window's 16 px
    assert shade[20:].min() == 0.5
    shown = {axis.get_title() for axis in below.axes}
    assert "frame 4" in shown, "the frozen frame is among those shown"
