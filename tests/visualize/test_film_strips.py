import numpy as np
import pytest
import torch

from vidssl.visualize import PAGE_WIDTH, as_frames, film_strip


def clip(frames=4, height=6, width=8, grey=0):
    return np.full((frames, height, width, 3), grey, np.uint8)


def test_frames_and_tensors_are_the_same_picture():
    tensor = torch.full((3, 4, 6, 8), 51 / 255)
    assert np.array_equal(as_frames(tensor), clip(grey=51))
    assert np.array_equal(as_frames(torch.from_numpy(clip(grey=7))), clip(grey=7))


@pytest.mark.parametrize(
    "wrong", [clip().astype(float), clip()[0], clip()[:0], torch.zeros(1, 4, 6, 8)]
)
def test_anything_but_a_clip_is_refused(wrong):
    with pytest.raises(ValueError, match=r"clip must|must have shape"):
        as_frames(wrong)


def test_strip_shows_every_other_frame_of_each_clip_with_its_number():
    figure = film_strip([clip(7), clip(5, 12, 8)], titles=["first", "second"], every=2)
    first, second = figure.axes
    assert first.get_title("left") == "first"
    assert first.images[0].get_array().shape == (6, 4 * (8 + 1), 3)  # 0 2 4 6, a white line each
    assert second.images[0].get_array().shape == (12, 4 * (8 + 1), 3)
    assert [label.get_text() for label in second.get_xticklabels()] == ["0", "2", "4", "6"]
    assert figure.get_figwidth() == PAGE_WIDTH


def test_strip_keeps_every_pixel():
    frames = np.random.default_rng(0).integers(0, 255, (3, 6, 8, 3), np.uint8)
    strip = film_strip(frames).axes[0].images[0].get_array()
    for number in range(3):
        assert np.array_equal(strip[:, 9 * number : 9 * number + 8], frames[number])


def test_strip_says_what_is_wrong():
    with pytest.raises(ValueError, match="titles must be a list of 2"):
        film_strip([clip(), clip()], titles=["one"])
    with pytest.raises(ValueError, match="got 'one'"):
        film_strip([clip(), clip()], titles="one")
    with pytest.raises(ValueError, match="every must be 1 or more"):
        film_strip(clip(), every=0)
    with pytest.raises(ValueError, match="clips is empty"):
        film_strip([])
