import io

import numpy as np
import pytest
import torch
from PIL import Image

from vidssl.visualize.widgets import FramePlayer


def noise(frames=5, height=6, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def tile(player, clip, frame):
    """One frame, cut from the sheet as the browser cuts it."""
    sheet = np.asarray(Image.open(io.BytesIO(player.sheet)))
    size = player.tiling
    row, column = divmod(clip * size["frames"] + frame, size["columns"])
    top, left = row * size["height"], column * size["width"]
    return sheet[top : top + size["height"], left : left + size["width"]]


@pytest.mark.parametrize("width", [8, 1500])  # in one row; two a row, the last row half empty
def test_every_frame_is_in_the_sheet(width):
    clips = [noise(5, 6, width, seed) for seed in range(3)]
    player = FramePlayer(clips, ["a", "b", "c"])
    assert player.tiling["mime"] == "image/png"
    for clip in range(3):
        for frame in range(5):
            assert np.array_equal(tile(player, clip, frame), clips[clip][frame])


def test_large_sheets_are_jpeg_and_close():
    y, x = np.mgrid[:128, :128]
    clip = np.stack([np.stack([x + t, y + t, x], -1) for t in range(48)]).astype(np.uint8)
    player = FramePlayer(clip)
    assert player.tiling["mime"] == "image/jpeg"
    assert len(player.sheet) < clip.nbytes / 8
    assert np.abs(tile(player, 0, 47).astype(int) - clip[47]).mean() < 2


def test_clips_come_as_tensors_batches_and_lists():
    batch = torch.rand(2, 3, 4, 6, 8)
    player = FramePlayer(batch, ["a", "b"])
    assert player.tiling == {
        "width": 8,
        "height": 6,
        "frames": 4,
        "clips": 2,
        "columns": 8,
        "mime": "image/png",
    }
    assert FramePlayer(noise(), "alone").captions == ["alone"]
    assert FramePlayer([noise(), noise()]).captions == ["", ""]


def test_clips_of_several_sizes_stand_in_the_middle():
    low, narrow = noise(height=3), noise(width=5, seed=1)
    player = FramePlayer([low, narrow])
    assert (player.tiling["height"], player.tiling["width"]) == (6, 8)
    shown = tile(player, 0, 2)
    assert np.array_equal(shown[1:4], low[2])
    assert not shown[[0, 4, 5]].any()
    assert np.array_equal(tile(player, 1, 4)[:, 1:6], narrow[4])


def test_show_replaces_clips_and_keeps_the_frame():
    player = FramePlayer()
    assert player.tiling["clips"] == 0
    player.show(noise(8), "long")
    player.frame = 6
    player.show(noise(8, seed=1), "other")
    assert (player.frame, player.captions) == (6, ["other"])
    player.show(noise(3), "short")
    assert player.frame == 2


def test_player_reads_as_text():
    player = FramePlayer([noise(), noise()], ["left", "right"], alt="noise")
    assert repr(player) == "FramePlayer(2 x 5 frames of 8x6: noise; left; right)"
    assert player._repr_mimebundle_()[0]["text/plain"] == repr(player)


@pytest.mark.parametrize(
    ("clips", "captions", "message"),
    [
        ([noise(), noise(4)], "", r"must have one length, got \[4, 5\] frames"),
        ([noise(), noise()], ["one"], "each of the 2 clips, got 1"),
        ([noise(), noise()], "one", "each of the 2 clips, got 1"),
        ([], "", "clips is empty"),
        (noise().astype(float), "", "a clip must be frames"),
    ],
)
def test_wrong_input_is_named(clips, captions, message):
    with pytest.raises(ValueError, match=message):
        FramePlayer(clips, captions)
