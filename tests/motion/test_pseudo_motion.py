import pytest
import torch

from vidssl.data.color import ColorJitter
from vidssl.motion import (
    flip_clips,
    freeze_outside,
    label_pool,
    mask_range,
    mask_ratio_at,
    mirrored_labels,
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


def seen_speeds(clips, k):
    """The speed (x, y) of each clip (M, C, N, L, L) as the estimator reads it, at best a label.

    Five frame pairs are read and their median is taken; the window moves against the content.
    """
    full_speed = 208 / 15 * clips.shape[-1] / 112  # px a frame
    speeds = []
    for grey in clips.mean(dim=1):
        shifts = [shift_by_phase_correlation(grey[n], grey[n + 1]) for n in (1, 4, 7, 10, 13)]
        x, y = torch.tensor(shifts, dtype=torch.float64).median(dim=0).values.tolist()
        speeds.append((round(-x * k / full_speed), round(-y * k / full_speed)))
    return speeds


@pytest.mark.parametrize("motion", ["integer", "subpixel"])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_estimator_reads_sign_and_speed_for_every_k(photograph, generator, k, motion):
    clips, labels = pseudo_motion(
        photograph, k=k, mask_ratio=None, motion=motion, generator=generator
    )
    assert seen_speeds(clips, k) == [label_pool(k)[label] for label in labels]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_flip_that_mirrors_the_label_keeps_sign_and_speed(photograph, generator, k):
    clips, labels = pseudo_motion(photograph, k=k, mask_ratio=None, generator=generator)
    flipped, new_labels = flip_clips(clips, labels, k=k, generator=generator)
    changed = (flipped != clips).flatten(1).any(dim=1)
    assert 0 < changed.sum() < len(changed), "some are mirrored, some are not"
    assert seen_speeds(flipped, k) == [label_pool(k)[label] for label in new_labels]


def test_the_releases_flip_breaks_the_sign_of_x_and_only_that(photograph, generator):
    clips, labels = pseudo_motion(photograph, mask_ratio=None, generator=generator)
    flipped, same_labels = flip_clips(clips, labels, flip="release", generator=generator)
    assert torch.equal(same_labels, labels)
    mirrored = (flipped != clips).flatten(1).any(dim=1).tolist()
    seen = seen_speeds(flipped, 2)
    assert any(x and flip for flip, (x, y) in zip(mirrored, label_pool()))
    for flip, speed, (x, y) in zip(mirrored, seen, label_pool(), strict=True):
        assert speed == ((-x, y) if flip else (x, y))


def test_flips_hit_half_of_the_clips_and_follow_the_generator():
    clips = torch.arange(4.0).expand(1000, 9, 1, 1, 1, 4)
    labels = torch.arange(9).expand(1000, -1)
    flipped, mirrored = flip_clips(clips, labels, generator=torch.Generator().manual_seed(2))
    again, _ = flip_clips(clips, labels, generator=torch.Generator().manual_seed(2))
    assert torch.equal(flipped, again)
    turned = flipped[..., 0, 0, 0, 0] == 3
    assert turned.float().mean() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(mirrored[turned], torch.tensor(mirrored_labels())[labels[turned]])
    assert torch.equal(mirrored[~turned], labels[~turned])
    assert flip_clips(clips, labels, flip="none")[0] is clips


def test_mirrored_labels_for_two_speeds_and_for_one_axis():
    assert mirrored_labels() == [3, 2, 1, 0, 4, 5, 6, 7, 8]
    assert mirrored_labels(2, "y") == [0, 1, 2, 3, 4]


def test_the_mask_freezes_everything_outside_one_square(photograph, generator):
    motions = plan_motions(320, 320, mask_ratio=(0.3, 0.5), generator=generator)
    whole = render_motions(photograph[None], motions.unmasked())[0]
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


@pytest.mark.parametrize("mask_ratio", [(0.3, 0.5), 1.0, (0.02, 0.02)])
def test_freezing_cut_clips_equals_cutting_frozen_ones(photograph, generator, mask_ratio):
    motions = plan_motions(320, 320, batch=2, mask_ratio=mask_ratio, frames=5, generator=generator)
    images = torch.stack([photograph, photograph.flip(-1)])
    whole = render_motions(images, motions.unmasked())
    assert torch.equal(freeze_outside(whole, motions), render_motions(images, motions))


@pytest.mark.parametrize("mask_ratio", [None, (0.3, 0.5), 1.0])
@pytest.mark.parametrize("drawn", [1, 6])  # colours a clip
@pytest.mark.parametrize("motion", ["integer", "subpixel"])
def test_colours_while_cutting_equal_colours_afterwards(generator, mask_ratio, drawn, motion):
    """Contrast is the hard one: it needs the mean of frames that are never put together."""
    images = torch.rand(2, 3, 60, 70, generator=generator)
    motions = plan_motions(
        60, 70, batch=2, frames=6, size=32, k=1, mask_ratio=mask_ratio, motion=motion,
        generator=generator,
    )  # fmt: skip
    colors = ColorJitter().draw(10, drawn, generator)
    fused = render_motions(images, motions, colors)
    assert torch.allclose(fused, colors(render_motions(images, motions)), atol=1e-5)


def plane(height, width):
    """An image (3, H, W) whose value grows by 2 a pixel to the right and by 3 a pixel down."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    return (2.0 * columns + 3.0 * rows).expand(3, -1, -1)


def test_subpixel_windows_of_a_plane_have_its_exact_values(generator):
    """Bilinear interpolation of a plane is the plane: value = 2 x + 3 y at any (x, y)."""
    motions = plan_motions(
        50, 61, batch=3, frames=7, size=32, k=3, mask_ratio=None, motion="subpixel",
        generator=generator,
    )  # fmt: skip
    assert motions.position.dtype == torch.float64
    clips = render_motions(plane(50, 61).expand(3, -1, -1, -1), motions)
    left, top = motions.position[..., 0], motions.position[..., 1]
    corner = (2 * left + 3 * top)[:, :, None, :, None, None]
    assert torch.allclose(clips.double(), corner + plane(32, 32)[:, None].double(), atol=1e-4)


def test_subpixel_blends_the_four_neighbours():
    image = torch.rand(3, 34, 34, generator=torch.Generator().manual_seed(0))
    motions = plan_motions(34, 34, frames=4, size=32, k=1, mask_ratio=None, motion="subpixel")
    clips = render_motions(image[None], motions)
    for m, n, row, column in [(0, 1, 3, 5), (2, 2, 31, 0), (3, 3, 31, 31), (4, 0, 0, 31)]:
        x, y = (motions.position[0, m, n] + torch.tensor([column, row])).tolist()
        x0, y0, u, v = int(x), int(y), x % 1, y % 1
        x1, y1 = min(x0 + 1, 33), min(y0 + 1, 33)
        expected = (
            (1 - u) * (1 - v) * image[:, y0, x0] + u * (1 - v) * image[:, y0, x1]
            + (1 - u) * v * image[:, y1, x0] + u * v * image[:, y1, x1]
        )  # fmt: skip
        assert torch.allclose(clips[0, m, :, n, row, column], expected, atol=1e-5)


def test_subpixel_distances_are_exact_and_windows_stay_inside(generator):
    motions = plan_motions(
        59, 60, batch=500, frames=6, size=32, k=4, motion="subpixel", generator=generator
    )
    travelled = motions.position[:, :, -1] - motions.position[:, :, 0]
    expected = [[28 * x / 4, 27 * y / 4] for x, y in label_pool(4)]
    assert torch.allclose(travelled, torch.tensor(expected).double().expand(500, -1, -1))
    assert motions.position.min() >= 0
    assert (motions.position.amax(dim=(0, 1, 2)) <= torch.tensor([28, 27]) + 1e-9).all()
    still = motions.position[:, -1, 0, 0]
    assert still.unique().numel() > 400, "starts are not whole pixels"


def test_more_frames_than_pixels_to_pass_lets_the_window_rest(generator):
    motions = plan_motions(36, 36, frames=32, size=32, k=4, mask_ratio=None, generator=generator)
    travelled = motions.position[0, :, -1] - motions.position[0, :, 0]
    assert travelled.tolist() == [[x, y] for x, y in label_pool(4)], "every speed shows, 1 to 4 px"
    steps = motions.position[0].diff(dim=1).abs()
    assert steps.max() == 1


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


def test_curriculum_towards_one_number():
    assert mask_ratio_at(1.0, 0.4) == (0.4, 0.4)
    assert mask_range([0.4]) == mask_range(0.4) == (0.4, 0.4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be"),
        ({"axes": "z"}, "axes must be"),
        ({"frames": 1}, "frames must be"),
        ({"mask_ratio": (0.0, 0.5)}, "mask_ratio must lie"),
        ({"mask_ratio": 1.5}, "mask_ratio must lie"),
        ({"mask_ratio": (0.5, 0.3)}, "mask_ratio must lie"),
        ({"mask_ratio": (0.3, 0.4, 0.5)}, "mask_ratio must lie"),
        ({"mask_ratio": 0}, "mask_ratio must lie"),
        ({"k": 33}, "leaves 32 px to move a crop of 32 px, but the slowest speed needs 33 px"),
        ({"motion": "sub-pixel"}, "motion='sub-pixel' is unknown; did you mean 'subpixel'"),
        ({"size": 65}, "smaller than the crop"),
        ({"size": 64}, "leaves 0 px to move"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        pseudo_motion(torch.rand(3, 64, 64), **{"frames": 8, "size": 32, **arguments})


def test_subpixel_motion_may_be_slower_than_a_pixel():
    clips, _ = pseudo_motion(
        torch.rand(3, 34, 34), frames=8, size=32, k=4, mask_ratio=None, motion="subpixel"
    )
    assert (clips[:-1, :, 0] != clips[:-1, :, -1]).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("image", [torch.zeros(3, 64, 64, dtype=torch.uint8), torch.rand(64, 64)])
def test_wrong_images_are_named(image):
    with pytest.raises(ValueError, match="image must be float"):
        pseudo_motion(image, frames=8, size=32)
