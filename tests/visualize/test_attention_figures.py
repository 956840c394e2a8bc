import numpy as np
import pytest
import torch

from vidssl.visualize import PAGE_WIDTH
from vidssl.visualize.attention import (
    HEAT,
    STRONGEST,
    attention_figure,
    heat_over_frames,
    heat_pictures,
)


def clip(grey, frames=4, size=8):
    return np.full((frames, size, size, 3), grey, np.uint8)


def test_heat_covers_the_frame_in_proportion_to_the_map():
    attention = np.zeros((4, 8, 8))
    attention[1], attention[2] = 6.0, 3.0
    painted = heat_over_frames(clip(100), attention)
    assert (painted[0] == 100).all()
    for frame, heat in ((1, 1.0), (2, 0.5)):
        colour = 255 * np.array(HEAT(heat)[:3])
        expected = (1 - STRONGEST * heat) * 100 + STRONGEST * heat * colour
        assert painted[frame, 0, 0] == pytest.approx(expected, abs=1)


def test_a_coarse_map_is_brought_to_the_frames_size():
    attention = np.zeros((4, 2, 2))
    attention[:, 0, 0] = 1
    painted = heat_over_frames(torch.full((3, 4, 8, 8), 0.4), attention).astype(int)
    assert painted.shape == (4, 8, 8, 3)
    assert np.abs(painted[0, 0, 0] - 102).max() > 50
    assert np.abs(painted[0, 7, 7] - 102).max() <= 1


def test_a_map_without_mass_leaves_the_frames_grey():
    assert (heat_over_frames(clip(50), np.zeros((4, 2, 2))) == 50).all()


def test_heat_pictures_run_from_black_to_the_largest_value():
    low, high = heat_pictures(np.array([[[0.0]], [[4.0]]]), 2.0)
    assert low.max() <= 5
    assert high[0, 0] == pytest.approx(255 * np.array(HEAT(1.0)[:3]), abs=1)


def test_figure_has_a_row_for_frames_speed_and_each_network():
    maps = np.random.default_rng(0).random((2, 4, 2, 2))
    masks = [np.zeros((4, 8, 8), bool), None]
    masks[0][:, 2:5, 2:5] = True
    figure = attention_figure(
        [clip(0), clip(90)],
        {"mosi": maps, "mosi_unmasked": maps},
        speeds=np.ones((2, 4, 8, 8)),
        masks=masks,
        titles=["first", "second"],
        shown=3,
    )
    rows = np.array(figure.axes).reshape(4, 2)
    assert [axis.get_ylabel() for axis in rows[:, 0]] == [
        "video",
        "speed",
        "MoSI",
        "MoSI\nunmasked",
    ]
    assert [axis.get_title() for axis in rows[0]] == ["first", "second"]
    assert {axis.images[0].get_array().shape for axis in rows.ravel()} == {(8, 3 * 9, 3)}
    outlined = [len(axis.collections) for axis in rows[:, 0]]
    assert outlined == [1, 0, 1, 1]
    assert not any(len(axis.collections) for axis in rows[:, 1])
    assert [text.get_text() for text in rows[3, 1].get_xticklabels()] == ["0", "2", "3"]
    assert figure.get_figwidth() == PAGE_WIDTH


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="as many frames, got 4, 3"):
        heat_over_frames(clip(0), np.ones((3, 2, 2)))
    for wrong in (np.ones((2, 2)), -np.ones((4, 2, 2)), np.full((4, 2, 2), np.nan)):
        with pytest.raises(ValueError, match="finite and at least 0"):
            heat_over_frames(clip(0), wrong)
    with pytest.raises(ValueError, match="maps: 1 of 'mosi' for 2 clips"):
        attention_figure([clip(0), clip(0)], {"mosi": np.ones((1, 4, 2, 2))})
