import io

import numpy as np
import pytest
import torch
from PIL import Image

from vidssl.visualize import Marks
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


def test_a_single_frame_beside_clips_is_a_still_picture():
    still = noise(1, 12, 16, seed=2)
    player = FramePlayer([still, noise(seed=1)], ["still", "moving"])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(player.stills["0"]))), still[0])
    assert player.tiling | {"clips": 2, "frames": 5, "width": 8} == player.tiling
    assert np.array_equal(tile(player, 0, 4), noise(seed=1)[4]), "the sheet has the moving ones"


def test_marks_travel_as_numbers_in_the_clip_s_pixels():
    field = np.arange(2 * 2 * 6 * 8, dtype=float).reshape(2, 6, 8, 2)
    marks = [Marks([(1, 2, 3)], arrow=((0, 0), (4, 0))), Marks(field=field, spacing=4)]
    player = FramePlayer([noise(2), noise(2)], marks=marks)
    assert player.marks["0"]["squares"] == [[1, 2, 3]]
    sent = player.marks["1"]["field"]
    assert (sent["rows"], sent["columns"]) == (1, 2)
    values = np.frombuffer(sent["values"], np.float32).reshape(2, 1, 2, 2)
    assert np.array_equal(values[1, 0, 1], field[1, 2, 6])
    with pytest.raises(ValueError, match="marks must be one for each of the 1 clips, got 2"):
        FramePlayer(noise(2), marks=marks)


def test_the_still_picture_is_small_and_says_what_it_is():
    clips = [noise(16, 96, 128, seed) for seed in range(9)]  # noise: the worst case
    html = FramePlayer(clips, [f"clip {k}" for k in range(9)], alt="noise").still()
    assert html.count("<img alt=") == 9
    assert 'alt="noise: clip 8"' in html
    assert len(html) < 700_000
    assert FramePlayer().still() == ""


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
