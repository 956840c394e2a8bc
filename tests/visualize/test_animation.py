import numpy as np
import pytest
import torch

from vidssl.motion import plan_motions, render_motions
from vidssl.visualize.animation import animated_grid, masked_motions


def solid(*levels, side=20):
    """A clip whose frame t is grey ``levels[t]`` all over."""
    return np.stack([np.full((side, side, 3), level, np.uint8) for level in levels])


def test_all_clips_play_at_once_each_at_its_place():
    rows = [[solid(0, 200), solid(50, 250)], [solid(100, 100), solid(150, 10)]]
    frames = animated_grid(rows, ["a", "b"], width=3)
    assert frames.dtype == np.uint8
    length, height, width, _ = frames.shape
    assert (length, width) == (2, 330)
    places = [
        (height * y // 100, width * x // 100) for y in (30, 80) for x in (25, 75)
    ]  # inside each
    first, second = ([int(frame[place][0]) for place in places] for frame in frames)
    assert first == [0, 50, 100, 150]
    assert second == [200, 250, 100, 10]


def test_titles_and_names_are_one_a_column_and_row():
    with pytest.raises(ValueError, match=r"\(1, 2\) clips, 1 titles and 1 names"):
        animated_grid([[solid(0), solid(1)]], ["a"])
    with pytest.raises(ValueError, match="names"):
        animated_grid([[solid(0)]], ["a"], ["b", "c"])


def test_a_masked_motion_moves_inside_its_square_alone():
    image = torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    plan = plan_motions(80, 80, frames=4, size=32, k=1, mask_ratio=(0.4, 0.4))
    moving = plan.select([0])
    whole = render_motions(image, moving.unmasked())[0]
    masked = render_motions(image, moving)[0]
    frames = masked_motions(whole, masked, moving.square[0].tolist(), ["left"], side=64)
    changed = (frames[0] != frames[-1]).any(-1)
    middle = frames.shape[1] // 2
    assert changed[:middle].sum() > 3 * changed[middle:].sum() > 0
