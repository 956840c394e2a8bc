import numpy as np
import pytest
import torch

from vidssl.visualize import paper_style
from vidssl.visualize.marks import marked_frames
from vidssl.visualize.motions import motion_panels, pseudo_motion_figure

GREY = np.full((3, 20, 40, 3), 128, np.uint8)


def changed(frame):
    """Rows and columns, first and last, of what is no longer grey."""
    rows, columns = np.nonzero(np.abs(frame.astype(int) - 128).max(-1) > 20)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_frames_are_enlarged_and_stay_bare_without_marks():
    clip = torch.rand(3, 4, 10, 12)
    assert marked_frames(clip, 36).shape == (4, 30, 36, 3)
    assert (marked_frames(GREY, 80, arrow=((5, 5), (5, 5))) == 128).all()


def test_squares_lie_where_they_are_in_the_clip():
    one = marked_frames(GREY, 120, squares=[(2, 4, 10)], color="white")
    for frame in one:
        assert changed(frame) == (12, 41, 6, 35)
        assert (frame[16:38, 10:32] == 128).all(), "only the outline is drawn"
    moving = marked_frames(GREY, 120, squares=[(0, 0, 10), (1, 0, 10), (2, 0, 10)], color="white")
    assert [changed(frame)[2] for frame in moving] == [0, 3, 6]


def test_an_arrow_is_thickest_at_its_tip():
    right = marked_frames(GREY, 160, arrow=((5, 10), (35, 10)))[0]
    down = marked_frames(GREY, 160, arrow=((20, 3), (20, 17)))[0]
    marked = np.abs(right.astype(int) - 128).max(-1) > 20
    heights = marked.sum(axis=0)
    assert 128 < heights.argmax() < 140
    assert heights[24:120].max() < heights.max() / 2
    rows = (np.abs(down.astype(int) - 128).max(-1) > 20).sum(axis=1)
    assert rows.argmax() > 54


def test_another_number_of_squares_than_of_frames_is_refused():
    with pytest.raises(ValueError, match="squares must be 1 or one for each of 3, got 2"):
        marked_frames(GREY, 40, squares=[(0, 0, 5)] * 2)


def test_panels_follow_the_window_and_mark_what_moves():
    grey = torch.full((3, 4, 10, 10), 128 / 255)
    positions = np.stack([np.arange(4), np.full(4, 7)], axis=1)
    image = torch.full((3, 30, 30), 128 / 255)

    def drawn(square):
        """As in 90 px, the marks' numbers with them."""
        clips, marks = motion_panels(image, grey, grey, positions, square)
        assert [len(clip) for clip in clips] == [1, 4, 4], "the source is a still picture"
        pairs = zip(clips, marks)
        return [
            marked_frames(
                np.resize(c, (4, *c.shape[1:])), 90,
                squares=m.squares or None, arrow=m.arrow, color=m.color,
            )
            for c, m in pairs
        ]  # fmt: skip

    shown = drawn((2, 3, 5))
    source, clip, masked = shown
    assert [changed(frame) for frame in source[[0, 3]]] == [(21, 50, 0, 29), (21, 50, 9, 38)]
    assert changed(masked[0]) == (27, 71, 18, 62)  # the square; the arrow lies inside
    top, bottom, left, right = changed(clip[0])
    assert top > 27, "the arrow alone"
    assert (top + bottom) / 2 == pytest.approx(45, abs=1.5)
    assert (left + right) / 2 == pytest.approx(45, abs=3)
    bare = drawn(None)
    assert (bare[1] == 128).all()
    assert (bare[2] == 128).all()


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
