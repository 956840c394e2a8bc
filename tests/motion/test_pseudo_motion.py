import pytest
import torch

from vidssl.motion import (
    label_pool,
    mask_ratio_at,
    plan_motions,
    pseudo_motion,
    render_motions,
    source_side,
)

GENERATOR_SEED = 7


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(GENERATOR_SEED)


@pytest.fixture
def photograph():
    skdata = pytest.importorskip("skimage.data")
    return torch.from_numpy(skdata.astronaut()[:320, 60:380].copy()).permute(2, 0, 1) / 255


def shift_by_phase_correlation(previous, following):
    """Whole-pixel (x, y) by which the content moves: an estimator that shares no code with ours."""
    spectra = [torch.fft.fft2(grey - grey.mean()) for grey in (previous, following)]
    cross = spectra[1] * spectra[0].conj()
    peak = torch.fft.ifft2(cross / cross.abs().clamp_min(1e-9)).real
    height, width = peak.shape
    y, x = divmod(int(peak.argmax()), width)
    return (x - width if x > width // 2 else x), (y - height if y > height // 2 else y)


def test_label_pool_order_for_two_speeds():
    assert label_pool() == [
        (-2, 0), (-1, 0), (1, 0), (2, 0), (0, -2), (0, -1), (0, 1), (0, 2), (0, 0),
    ]  # fmt: skip
    assert label_pool(1, "y") == [(0, -1), (0, 1), (0, 0)]
    assert [len(label_pool(k)) for k in (1, 2, 3, 4)] == [5, 9, 13, 17]


def test_source_side_keeps_the_papers_distance_per_frame():
    assert [source_side(n, 112) for n in (8, 12, 16, 24, 32)] == [209, 265, 320, 431, 542]


def test_distances_are_those_of_equation_2(generator):
    motions = plan_motions(320, 320, generator=generator)
    travelled = (motions.position[0, :, -1] - motions.position[0, :, 0]).tolist()
    assert travelled == [[104 * x, 104 * y] for x, y in label_pool()]
    steps = motions.position[0, :, 1:] - motions.position[0, :, :-1]
    # 208 / 15 = 13.87 px and 104 / 15 = 6.93 px a step, truncated to whole pixels
    assert set(steps[3, :, 0].tolist()) == {13, 14}
    assert set(steps[2, :, 0].tolist()) == {6, 7}


def test_windows_stay_inside_and_starts_fill_the_free_area(generator):
    motions = plan_motions(60, 60, batch=2000, frames=8, size=32, generator=generator)
    assert motions.position.min() == 0
    assert motions.position.max() == 60 - 32
    starts = motions.position[:, :, 0]
    assert starts[:, 3, 0].unique().tolist() == [0], "full speed to the right has one start"
    assert starts[:, 0, 0].unique().tolist() == [28], "full speed to the left starts at the right"
    assert starts[:, 2, 0].unique().tolist() == list(range(15))
    assert starts[:, 8, 1].unique().tolist() == list(range(29)), "the still label is anywhere"


@pytest.mark.parametrize("mask_ratio", [None, (0.6, 0.8)])
def test_an_independent_estimator_reads_every_label(photograph, generator, mask_ratio):
    motions = plan_motions(320, 320, mask_ratio=mask_ratio, generator=generator)
    clips = render_motions(photograph[None], motions)[0].mean(dim=1)  # (M, N, L, L) grey
    for sequence, (x, y) in enumerate(label_pool()):
        left, top, side = (0, 0, 112) if mask_ratio is None else motions.square[0, sequence]
        moving = clips[sequence, :, top : top + side, left : left + side]
        previous, following = moving[6], moving[7]
        step = (motions.position[0, sequence, 7] - motions.position[0, sequence, 6]).tolist()
        seen = shift_by_phase_correlation(previous, following)
        assert seen == (-step[0], -step[1]), "the content moves against the window"
        assert [bool(s) for s in step] == [bool(x), bool(y)]
        assert step[0] * x >= 0
        assert step[1] * y >= 0


def test_the_mask_freezes_everything_outside_one_square(photograph, generator):
    motions = plan_motions(320, 320, mask_ratio=(0.3, 0.5), generator=generator)
    whole = render_motions(photograph[None], plan_like(motions))[0]
    masked = render_motions(photograph[None], motions)[0]
    for sequence in range(9):
        left, top, side = motions.square[0, sequence].tolist()
        assert 0.3 * 112 - 1 <= side <= 0.5 * 112 + 1
        inside = torch.zeros(112, 112, dtype=torch.bool)
        inside[top : top + side, left : left + side] = True
        assert torch.equal(masked[sequence][..., inside], whole[sequence][..., inside])
        still = whole[sequence][:, motions.still[0, sequence]][:, None]
        assert torch.equal(
            masked[sequence][..., ~inside], still.expand_as(masked[sequence])[..., ~inside]
        )


def plan_like(motions):
    """The same windows without a mask."""
    from dataclasses import replace

    return replace(motions, square=None, still=None)


def test_a_batch_gives_each_image_its_own_sequences():
    images = torch.rand(3, 3, 60, 70, generator=torch.Generator().manual_seed(0))
    clips, labels = pseudo_motion(images, frames=8, size=32, mask_ratio=None)
    assert clips.shape == (3, 9, 3, 8, 32, 32)
    assert labels.tolist() == [list(range(9))] * 3
    single, single_labels = pseudo_motion(images[0], frames=8, size=32, k=3, axes="x")
    assert single.shape == (7, 3, 8, 32, 32)
    assert single_labels.tolist() == list(range(7))
    full_speed = clips[:, 3, :, 0]  # full speed to the right starts at the left, at some height
    for image in range(3):
        cuts = [images[image, :, top : top + 32, :32] for top in range(29)]
        assert any(torch.equal(cut, full_speed[image]) for cut in cuts)


def test_the_generator_decides_everything():
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    first, second, other = (
        pseudo_motion(image, frames=8, size=32, generator=torch.Generator().manual_seed(s))[0]
        for s in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_curriculum_runs_from_the_whole_frame_to_the_target():
    assert mask_ratio_at(0.0) == (1.0, 1.0)
    assert mask_ratio_at(0.3) == pytest.approx((0.65, 0.75))
    assert mask_ratio_at(0.6) == pytest.approx((0.3, 0.5))
    assert mask_ratio_at(1.0) == pytest.approx((0.3, 0.5))
    assert mask_ratio_at(0.0, ramp=0) == pytest.approx((0.3, 0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be"),
        ({"axes": "z"}, "axes must be"),
        ({"frames": 1}, "frames must be"),
        ({"mask_ratio": (0.0, 0.5)}, "mask_ratio must lie"),
        ({"mask_ratio": 1.5}, "mask_ratio must lie"),
        ({"mask_ratio": (0.5, 0.3)}, "mask_ratio must lie"),
        ({"size": 65}, "smaller than the crop"),
        ({"size": 64}, "leaves 0 px to move"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        pseudo_motion(torch.rand(3, 64, 64), **{"frames": 8, "size": 32, **arguments})


@pytest.mark.parametrize("image", [torch.zeros(3, 64, 64, dtype=torch.uint8), torch.rand(64, 64)])
def test_wrong_images_are_named(image):
    with pytest.raises(ValueError, match="image must be float"):
        pseudo_motion(image, frames=8, size=32)
