import json

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from vidssl import runs
from vidssl.motion import plan_motions, render_motions
from vidssl.visualize.animation import masked_motions


def solid(*levels, side=20):
    """A clip whose frame t is grey ``levels[t]`` all over."""
    return np.stack([np.full((side, side, 3), level, np.uint8) for level in levels])


def test_all_clips_play_at_once_each_at_its_place():
    above, below = [solid(0, 200), solid(50, 250)], [solid(100, 100), solid(150, 10)]
    frames = masked_motions(above, below, [(5, 5, 8)] * 2, ["a", "b"], side=20)
    assert frames.dtype == np.uint8
    length, height, width, _ = frames.shape
    assert (length, width) == (2, 759)  # 6.9 in at 110 dpi
    places = [
        (height * y // 100, width * x // 100) for y in (35, 83) for x in (15, 63)
    ]  # inside each
    first, second = ([int(frame[place][0]) for place in places] for frame in frames)
    assert first == [0, 50, 100, 150]
    assert second == [200, 250, 100, 10]


def test_titles_and_squares_are_one_a_motion():
    with pytest.raises(ValueError, match="zip"):
        masked_motions([solid(0)] * 2, [solid(0)] * 2, [(0, 0, 5)] * 2, ["a"], side=20)


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


def test_its_file_plays_for_ever_and_knows_what_made_it(tmp_path):
    grey = solid(0, 120, 240)
    frames = masked_motions([grey], [grey], [(5, 5, 10)], ["a"], side=20)[:, ::4, ::4]
    about = {"alt": "grey levels", "scale": "mini", "dataset": "none"}
    about["origin"] = {"made_by": "mini-x", "commit": "abc"}
    for folder in ("one", "two"):
        written = runs.save_figure(
            None, "grey", animation=frames, folder=tmp_path / folder, **about
        )
    assert [path.name for path in written] == ["grey.webp", "grey.json"]
    assert (tmp_path / "one" / "grey.webp").read_bytes() == written[0].read_bytes()
    with Image.open(written[0]) as image:
        assert (image.n_frames, image.info["loop"], image.size) == (3, 0, frames.shape[2:0:-1])
        image.seek(2)
        assert image.convert("RGB").getpixel((60, frames.shape[1] // 2))[0] > 230
        origin = json.loads(image.getexif()[ExifTags.Base.ImageDescription])
    assert origin["made_by"] == "mini-x"
    assert "grey.webp" in "\n".join(runs.trace(written[0]))
