import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from vidssl.data.color import ColorJitter

NONE = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "grey": 0}


def jitter(**strengths):
    return ColorJitter(**{**NONE, **strengths})


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(0)
    return 0.3 + 0.3 * torch.rand(4, 3, 5, 24, 24, generator=generator)


def factor_of(row, clips, strength, seed):
    """The factors that `ColorJitter` draws first: rows are brightness, contrast, saturation."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand((4, len(clips), 1), generator=generator)
    return (1 + strength * (2 * draw[row] - 1)).flatten().tolist()


@pytest.mark.parametrize(("row", "name"), [(0, "brightness"), (1, "contrast"), (2, "saturation")])
def test_each_linear_operation_equals_torchvisions(clips, row, name):
    out = jitter(**{name: 0.5})(clips, generator=torch.Generator().manual_seed(5))
    operation = getattr(reference, f"adjust_{name}")
    for clip, jittered, factor in zip(clips, out, factor_of(row, clips, 0.5, 5)):
        expected = operation(clip.transpose(0, 1), factor).transpose(0, 1)
        assert torch.allclose(jittered, expected, atol=3e-4)  # torchvision rounds its grey weights


def test_hue_stays_near_torchvisions_on_average():
    """A rotation in YIQ is no rotation in HSV; on natural colours they differ by a few levels."""
    data = pytest.importorskip("skimage.data")
    photo = torch.from_numpy(data.astronaut()[::8, ::8].copy()).permute(2, 0, 1)[None] / 255
    clip = photo.transpose(0, 1)[None]
    errors, moved = [], []
    for seed in range(40):
        out = jitter(hue=0.25)(clip, generator=torch.Generator().manual_seed(seed))[0]
        draw = torch.rand((4, 1, 1), generator=torch.Generator().manual_seed(seed))
        turns = float(0.25 * (2 * draw[3] - 1))
        expected = reference.adjust_hue(photo, turns).transpose(0, 1)
        errors.append((out - expected).abs().mean())
        moved.append((clip[0] - expected).abs().mean())
    assert torch.stack(errors).mean() < 0.05
    assert torch.stack(errors).mean() < torch.stack(moved).mean()


def test_whole_chain_stays_near_torchvisions_on_average(clips):
    """All four at MoSI's strengths, drawn alike and applied in torchvision's usual order."""
    out = ColorJitter(grey=0)(clips, generator=torch.Generator().manual_seed(9))
    draw = torch.rand((4, len(clips), 1), generator=torch.Generator().manual_seed(9)).flatten(1)
    errors = []
    for clip, jittered, b, c, s, h in zip(clips, out, *draw.tolist(), strict=False):
        chain = clip.transpose(0, 1)
        chain = reference.adjust_brightness(chain, 1 + 0.5 * (2 * b - 1))
        chain = reference.adjust_contrast(chain, 1 + 0.5 * (2 * c - 1))
        chain = reference.adjust_saturation(chain, 1 + 0.5 * (2 * s - 1))
        chain = reference.adjust_hue(chain, 0.25 * (2 * h - 1))
        errors.append((jittered - chain.transpose(0, 1)).abs().mean())
    assert torch.stack(errors).mean() < 0.04


def test_one_draw_a_clip_or_one_a_frame():
    still = torch.full((2, 3, 4, 6, 6), 0.5)
    still[:, 0] = 0.7
    per_clip = ColorJitter(grey=0)(still, generator=torch.Generator().manual_seed(1))
    assert torch.equal(per_clip[:, :, 0], per_clip[:, :, 3])
    assert not torch.allclose(per_clip[0], per_clip[1])
    per_frame = ColorJitter(grey=0)(
        still, per_frame=True, generator=torch.Generator().manual_seed(1)
    )
    assert not torch.allclose(per_frame[:, :, 0], per_frame[:, :, 3])


def test_grey_clips_have_no_colour(clips):
    out = jitter(grey=1.0)(clips)
    assert torch.allclose(out[:, 0], out[:, 1], atol=1e-5)
    assert torch.allclose(out[:, 0], out[:, 2], atol=1e-5)


def test_a_jitter_by_chance_leaves_the_other_clips_as_they_are():
    clips = 0.4 + 0.2 * torch.rand(200, 3, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    some = ColorJitter(grey=0, probability=0.3)(clips, generator=torch.Generator().manual_seed(3))
    kept = torch.tensor([torch.allclose(a, b, atol=1e-5) for a, b in zip(clips, some)])
    assert 110 <= kept.sum() <= 170  # 140 expected, standard deviation 6.5
    assert torch.allclose(ColorJitter(grey=0, probability=0)(clips), clips, atol=1e-5)
    grey = ColorJitter(grey=1, probability=0)(clips)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-5), "greying is drawn apart"


def test_a_mild_jitter_is_a_quarter_of_mosis():
    """What a weak view should be: MoSI's own changes clips by .14 on average."""
    photo = pytest.importorskip("skimage.data").astronaut()[::8, ::8].copy()
    clips = torch.from_numpy(photo).permute(2, 0, 1)[None, :, None].expand(60, -1, 2, -1, -1) / 255
    change = {
        name: (jitter(clips, generator=torch.Generator().manual_seed(0)) - clips).abs().mean()
        for name, jitter in {
            "mosi": ColorJitter(grey=0), "mild": ColorJitter(0.1, 0.1, 0.1, 0.1, grey=0)
        }.items()
    }  # fmt: skip
    assert change["mild"] < 0.4 * change["mosi"]


def test_output_stays_in_range_and_input_is_untouched(clips):
    before = clips.clone()
    out = ColorJitter(brightness=1, contrast=1, saturation=1)(clips)
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(clips, before)


def test_bad_strengths_and_shapes_are_named():
    with pytest.raises(ValueError, match="hue must lie"):
        ColorJitter(hue=0.7)
    with pytest.raises(ValueError, match="clips must be"):
        ColorJitter()(torch.rand(2, 1, 4, 8, 8))
