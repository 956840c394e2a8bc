"""Attention inside a mask: known answers, and a slow oracle that counts pixel by pixel."""

import numpy as np
import pytest

from vidssl.evaluation import energy_inside_score, pointing_game_accuracy

MEASURES = pytest.mark.parametrize("measure", [energy_inside_score, pointing_game_accuracy])


def quarter_masks():
    """Two clips of 3 frames of 4 x 4: the object fills the upper left quarter, always."""
    masks = np.zeros((2, 3, 4, 4), bool)
    masks[..., :2, :2] = True
    return masks


@MEASURES
def test_perfect_chance_and_none(measure):
    masks = quarter_masks()
    assert measure(masks.astype(float), masks).tolist() == [1, 1]
    assert measure(np.ones(masks.shape), masks).tolist() == [0.25, 0.25]
    assert measure((~masks).astype(float), masks).tolist() == [0, 0]


@MEASURES
def test_a_map_without_mass_counts_as_a_flat_one(measure):
    masks = quarter_masks()
    assert measure(np.zeros(masks.shape), masks).tolist() == [0.25, 0.25]


@MEASURES
def test_a_clip_that_never_shows_the_object_has_no_score(measure):
    masks = quarter_masks()
    masks[1] = False
    assert np.isnan(measure(np.ones(masks.shape), masks)).tolist() == [False, True]


@MEASURES
def test_the_unit_of_a_map_does_not_matter(measure):
    rng = np.random.default_rng(0)
    maps, masks = rng.random((5, 2, 6, 6)), rng.random((5, 2, 6, 6)) < 0.3
    assert measure(1e-3 * maps, masks) == pytest.approx(measure(maps, masks))


def test_frames_without_the_object():
    """Energy in them lies outside; the pointing game leaves them out."""
    masks = quarter_masks()
    masks[:, 1:] = False
    maps = quarter_masks().astype(float)
    assert energy_inside_score(maps, masks) == pytest.approx([1 / 3, 1 / 3])
    assert pointing_game_accuracy(maps, masks).tolist() == [1, 1]


def test_two_pixels_share_the_maximum():
    masks = quarter_masks()
    maps = np.zeros(masks.shape)
    maps[..., 0, 0] = maps[..., 3, 3] = 1
    assert pointing_game_accuracy(maps, masks).tolist() == [0.5, 0.5]


def test_against_loops_over_pixels():
    rng = np.random.default_rng(1)
    maps = rng.integers(0, 4, (6, 3, 5, 4)).astype(float)  # many pixels share the maximum
    masks = rng.random(maps.shape) < 0.4
    masks[2, 1] = False
    maps[3, 2] = 0
    energy, pointing = [], []
    for clip, mask in zip(maps, masks):
        inside = sum(clip[i] for i in np.ndindex(clip.shape) if mask[i])
        energy.append(inside / sum(clip[i] for i in np.ndindex(clip.shape)))
        hits = []
        for frame, seen in zip(clip, mask):
            if seen.any():
                top = [i for i in np.ndindex(frame.shape) if frame[i] == frame.max()]
                hits.append(sum(seen[i] for i in top) / len(top))
        pointing.append(np.mean(hits))
    assert energy_inside_score(maps, masks) == pytest.approx(energy)
    assert pointing_game_accuracy(maps, masks) == pytest.approx(pointing)


@MEASURES
def test_what_cannot_be_scored_is_refused(measure):
    masks = quarter_masks()
    maps = np.ones(masks.shape)
    with pytest.raises(ValueError, match=r"share one shape \(N, T, H, W\)"):
        measure(maps[:1], masks)
    with pytest.raises(ValueError, match="share one shape"):
        measure(maps[0], masks[0])
    with pytest.raises(ValueError, match="masks must be bool"):
        measure(maps, masks.astype(float))
    for wrong in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="finite and at least 0"):
            measure(np.full(masks.shape, wrong), masks)
