import numpy as np
import pytest

from vidssl.data.sampling import (
    clip_span,
    dense_clips,
    global_local_clips,
    mirror_index,
    random_clip,
    random_clips,
    spread_clips,
    two_scale_views,
    uniform_clips,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_span_counts_both_ends():
    assert [clip_span(8, 4), clip_span(16, 1), clip_span(1, 7)] == [29, 16, 1]


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [(1, [0, 0, 0, 0, 0]), (2, [0, 1, 0, 1, 0]), (3, [0, 1, 2, 1, 0]), (9, [0, 1, 2, 3, 4])],
)
def test_mirror(num_frames, expected):
    assert mirror_index(np.arange(5), num_frames).tolist() == expected


def test_random_clip_keeps_the_stride_and_reaches_both_ends():
    generator = rng()
    clips = np.array([random_clip(32, 8, 4, generator) for _ in range(200)])
    assert clips.dtype == np.int64
    assert (np.diff(clips) == 4).all()
    assert sorted(set(clips[:, 0])) == [0, 1, 2, 3]
    assert clips.max() == 31


@pytest.mark.parametrize("num_frames", [1, 2, 5, 28, 29])
def test_short_videos_are_mirrored_from_their_first_frame(num_frames):
    expected = mirror_index(4 * np.arange(8), num_frames).tolist()
    assert random_clip(num_frames, 8, 4, rng()).tolist() == expected
    assert uniform_clips(num_frames, 8, 4, 3).tolist() == [expected] * 3
    assert dense_clips(num_frames, 8, 4, 4).tolist() == [expected]


@pytest.mark.parametrize("num_frames", [1, 3, 8, 41, 100])
def test_a_clip_of_stride_0_is_spread_over_the_whole_video(num_frames):
    part = num_frames / 8
    generator = rng()
    clips = [
        random_clip(num_frames, 8, 0, generator)[None],
        *(random_clips(num_frames, 8, 0, count, generator) for count in (1, 3)),
        uniform_clips(num_frames, 8, 0, 10),
        dense_clips(num_frames, 8, 0, 1),
    ]
    for index in np.concatenate(clips):
        assert (index >= np.floor(part * np.arange(8))).all()  # one frame of each eighth
        assert (index <= np.floor(part * np.arange(1, 9))).all()
        assert index.max() < num_frames
    assert uniform_clips(80, 8, 0, 1)[0].tolist() == [*range(5, 80, 10)]
    assert len(dense_clips(num_frames, 8, 0, 1)) == max(1, int(np.ceil(part)))


def test_uniform_clips():
    assert uniform_clips(64, 8, 4, 2)[:, 0].tolist() == [0, 35]
    assert uniform_clips(64, 8, 4, 1)[:, 0].tolist() == [18]
    starts = uniform_clips(100, 1, 1, 10)[:, 0]
    assert starts.tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]


def test_random_clips_do_not_overlap_where_they_fit():
    generator = rng()
    for num_frames in (24, 25, 40):
        for _ in range(50):
            clips = random_clips(num_frames, 4, 2, 3, generator)
            assert clips.shape == (3, 4)
            assert (clips[1:, 0] - clips[:-1, -1] >= 1).all()
            assert clips.min() >= 0
            assert clips.max() < num_frames
            assert (np.diff(clips) == 2).all()


def test_every_placement_without_overlap_is_equally_likely():
    generator = rng()
    drawn = [tuple(random_clips(4, 1, 1, 2, generator)[:, 0]) for _ in range(3000)]
    counts = [drawn.count((a, b)) for a in range(4) for b in range(a + 1, 4)]
    assert sum(counts) == 3000
    assert min(counts) > 400  # 500 each expected, standard deviation 20
    assert max(counts) < 600


def test_random_clips_of_a_video_too_short_for_all_spread_over_it():
    generator = rng()
    starts = np.array([random_clips(16, 8, 1, 3, generator)[:, 0] for _ in range(100)])
    assert (np.diff(starts) >= 0).all()
    assert starts[:, 0].max() <= 3
    assert starts[:, 2].min() >= 6
    assert starts.max() <= 8


def test_dense_clips():
    assert dense_clips(20, 8, 2, 2)[:, 0].tolist() == [0, 2, 4]
    assert dense_clips(16, 8, 1, 8).tolist() == [list(range(8)), list(range(8, 16))]


def test_local_clips_tile_the_global_ones_stretch():
    whole, parts = global_local_clips(100, 16, 4, 4, rng(3))
    start = whole[0]
    assert (np.diff(whole) == 4).all()
    assert parts.ravel().tolist() == list(range(start, start + 64))
    assert 0 <= start <= 36
    whole, parts = global_local_clips(32, 8, 4, 2, rng())
    assert parts.ravel().tolist() == list(range(0, 32, 2))


def test_two_views_show_one_stretch():
    views = two_scale_views(100, 8, 4, 2, rng(3))
    whole, parts = global_local_clips(100, 8, 4, 2, rng(3))
    assert views.shape == (6, 8)
    assert views[:3].tolist() == views[3:].tolist() == [whole.tolist(), *parts.tolist()]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_clip(0, 8, 4, rng()), "num_frames must be at least 1, got 0"),
        (lambda: random_clip(9, 0, 4, rng()), "frames must be at least 1, got 0"),
        (lambda: uniform_clips(9, 8, -1, 1), "stride must be at least 1, got -1"),
        (lambda: spread_clips(9, 0, np.zeros(1)), "frames must be at least 1, got 0"),
        (lambda: uniform_clips(9, 8, 1, 0), "count must be at least 1, got 0"),
        (lambda: random_clips(9, 8, 1, 0, rng()), "count must be at least 1, got 0"),
        (lambda: dense_clips(9, 8, 1, -1), "step must be at least 1, got -1"),
        (lambda: global_local_clips(9, 8, 4, 0, rng()), "locals_count must be at least 1, got 0"),
        (lambda: global_local_clips(9, 8, 4, 3, rng()), "must be a multiple of locals_count=3"),
    ],
)
def test_impossible_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()
