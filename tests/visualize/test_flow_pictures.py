"""Flow as colours and arrows: which colour is which direction, what is drawn where."""

import numpy as np
import pytest

from vidssl.visualize.flow import (
    flow_legend,
    flow_strips,
    flow_to_rgb,
    largest_speed,
    truth_strip,
)
from vidssl.visualize.style import description


def constant(u, v, size=(24, 32), frames=3):
    flow = np.empty((frames, *size, 2), np.float32)
    flow[..., 0], flow[..., 1] = u, v
    return flow


@pytest.mark.parametrize(
    ("motion", "color"),
    [
        ((0, 0), (255, 255, 255)),
        ((2, 0), (255, 0, 0)),
        ((-2, 0), (0, 255, 255)),
        ((0, 2), (127, 255, 0)),
        ((0, -2), (127, 0, 255)),
        ((9, 0), (255, 0, 0)),
        ((1, 0), (255, 127, 127)),
    ],
)
def test_hue_is_the_direction_and_strength_the_speed(motion, color):
    shown = flow_to_rgb(constant(*motion)[0], largest=2.0)
    assert shown.shape == (24, 32, 3)
    assert np.abs(shown[3, 5].astype(int) - color).max() <= 1


def test_the_common_scale_leaves_a_few_pixels_out_and_is_never_zero():
    flow = constant(0, 3)
    flow[0, 0, 0, 0] = 500
    assert largest_speed(flow) == pytest.approx(3)
    assert largest_speed(constant(0, 0)) == 1


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"flow must have shape \(H, W, uv=2\)"):
        flow_to_rgb(constant(1, 0))


def test_the_truth_is_told_in_words():
    frames, mask = np.zeros((12, 8, 8, 3), np.uint8), np.zeros((12, 8, 8), bool)
    mask[:, 2:5, 2:5] = True
    figure = truth_strip(frames, np.ones((11, 8, 8, 2)), mask, [7], note="Rise")
    assert description(figure) == (
        "8 frames of a video with the sprite outlined, above the true flow; "
        "segments begin at frames 7 (Rise)"
    )
    assert "segments" not in description(truth_strip(frames, np.ones((11, 8, 8, 2)), mask))


def test_strips_have_a_row_for_each_flow_and_a_wheel():
    frames = np.zeros((4, 24, 32, 3), np.uint8)
    figure = flow_strips(frames, {"true": constant(1, 0), "ours": constant(0, 1)})
    figure.canvas.draw()
    labels = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert labels == ["RGB", "true", "ours"]
    assert "rim: 1.0 px" in [text.get_text() for axis in figure.axes for text in axis.texts]
    assert len(flow_legend(2.0).axes) == 1
