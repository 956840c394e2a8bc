import math

import pytest
import torch
from torch import nn
from torchvision.models import video

from vidssl import models
from vidssl.models.backbones import middle_width
from vidssl.models.released import load_tensors
from vidssl.models.s3dg import FeatureGate

# name: parameters without the classifier, feature map of 16x112x112
FACTS = {
    "r2plus1d_10": (14_365_477, (512, 2, 7, 7)),
    "r2plus1d_18": (31_300_125, (512, 2, 7, 7)),
    "r2d3d_18": (14_057_536, (256, 4, 4, 4)),
    "r3d_10_dilated": (14_361_792, (512, 8, 7, 7)),
    "r3d_18": (33_166_272, (512, 2, 7, 7)),
    "r3d_18_dilated": (33_166_272, (512, 4, 7, 7)),
    "slow_r50": (31_634_496, (2048, 16, 4, 4)),
    "s3dg": (7_910_048 + 1_187_952, (1024, 2, 4, 4)),  # torchvision's s3d and the gates
}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def build_on_meta(name, **arguments):
    with torch.device("meta"):
        return models.build(name, **arguments)


def small(name="r3d_18", **arguments):
    torch.manual_seed(0)
    return models.build(name, **{"num_classes": 5, "width": 0.125} | arguments)


def random_statistics(model: nn.Module) -> nn.Module:
    """Batch norms that do something in eval mode, so that equal outputs mean equal networks."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return model


def test_every_network_has_its_facts():
    assert set(models.NAMES) == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_parameters_and_feature_map_at_full_width(name):
    parameters, feature_map = FACTS[name]
    model = build_on_meta(name, num_classes=0)
    assert count(model) == parameters
    assert model.num_features == feature_map[0]
    clip = torch.zeros(2, 3, 16, 112, 112, device="meta")
    assert model.forward_features(clip).shape == (2, *feature_map)
    assert model(clip).shape == (2, feature_map[0])


@pytest.mark.parametrize(
    ("name", "fewer"),
    [
        ("r2plus1d_18", 7 * 7 * 45),
        ("r3d_18", 3 * 7 * 7 * 64),
        ("r2d3d_18", 7 * 7 * 64),
        ("slow_r50", 7 * 7 * 64),
        ("s3dg", 7 * 7 * 64),
    ],
)
def test_two_channel_stem_lacks_one_channels_weights(name, fewer):
    flow = build_on_meta(name, num_classes=0, in_channels=2)
    assert count(flow) == FACTS[name][0] - fewer
    assert flow(torch.zeros(1, 2, 16, 112, 112, device="meta")).shape == (1, flow.num_features)


def test_two_channel_stem_of_r2plus1d_18_by_the_published_number():
    assert count(build_on_meta("r2plus1d_18", num_classes=0, in_channels=2)) == 31_297_920


def test_middle_widths_by_hand():
    assert middle_width(3, 64, (3, 7, 7)) == 83  # 28224 / 339 = 83.3
    assert middle_width(64, 64, (3, 3, 3)) == 144
    assert middle_width(64, 128, (3, 3, 3)) == 230  # 221184 / 960 = 230.4


def test_r2plus1d_10_takes_a_middle_width_for_each_convolution_and_18_one_a_block():
    ten = build_on_meta("r2plus1d_10", num_classes=0).conv3[0]
    eighteen = build_on_meta("r2plus1d_18", num_classes=0).conv3[0]
    assert [ten.conv1[0][0].out_channels, ten.conv2[0][0].out_channels] == [230, 288]
    assert [eighteen.conv1[0][0].out_channels, eighteen.conv2[0][0].out_channels] == [230, 230]


@pytest.mark.parametrize("name", ["r2plus1d_10", "r2plus1d_18"])
def test_narrow_networks_have_multiples_of_eight_between_the_factors_too(name):
    network = build_on_meta(name, num_classes=4, width=0.125)
    widths = [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv3d)]
    assert [width for width in widths if width % 8] == []
    assert middle_width(16, 16, (3, 3, 3), multiple=8) == 32  # 36 by the formula
    assert middle_width(1, 1, (3, 3, 3), multiple=8) == 8  # 2 by the formula


@pytest.mark.parametrize("name", FACTS)
def test_width_scales_every_stage(name):
    quarter = build_on_meta(name, num_classes=4, width=0.25)
    assert quarter.num_features == FACTS[name][1][0] // 4
    assert count(quarter) < FACTS[name][0] / 14
    assert quarter(torch.zeros(2, 3, 8, 32, 32, device="meta")).shape == (2, 4)


@pytest.mark.parametrize("name", FACTS)
def test_all_parameters_learn(name):
    model = small(name)
    model(torch.rand(2, 3, 8, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18"])
def test_same_numbers_as_torchvision(name):
    torch.manual_seed(0)
    reference = random_statistics(getattr(video, name)(num_classes=7)).eval()
    model = models.build(name, num_classes=7).eval()
    load_tensors(model, reference.state_dict(), "torchvision")
    clip = torch.rand(1, 3, 8, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(clip), reference(clip), rtol=1e-4, atol=1e-5)


def test_s3dg_with_open_gates_is_torchvisions_s3d():
    """The tensors stand in the same order; a bias of 100 opens a gate: sigmoid(100) is 1."""
    torch.manual_seed(0)
    reference = random_statistics(video.s3d(num_classes=1, norm_layer=nn.BatchNorm3d)).eval()
    model = models.build("s3dg", num_classes=0).eval()
    own = {name: t for name, t in model.state_dict().items() if ".linear." not in name}
    model.load_state_dict(dict(zip(own, reference.features.state_dict().values())), strict=False)
    for module in model.modules():
        if isinstance(module, FeatureGate):
            nn.init.constant_(module.linear.bias, 100.0)
    assert len(own) == len(reference.features.state_dict())
    clip = torch.rand(1, 3, 8, 64, 64)
    with torch.no_grad():
        ours, theirs = model.forward_features(clip), reference.features(clip)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_gates_have_one_weight_matrix_for_each_branch():
    model = build_on_meta("s3dg", num_classes=0)
    gates = [module for module in model.modules() if isinstance(module, FeatureGate)]
    widths = [64, 128, 32, 32, 128, 192, 96, 64, 192, 208, 48, 64, 160, 224, 64, 64]
    widths += [128, 256, 64, 64, 112, 288, 64, 64, 256, 320, 128, 128]
    widths += [256, 320, 128, 128, 384, 384, 128, 128]
    assert [gate.linear.in_features for gate in gates] == widths
    assert sum(map(count, gates)) == sum(c * c + c for c in widths) == 1_187_952


def test_a_gate_by_hand():
    gate = FeatureGate(2)
    gate.linear.weight.data = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    gate.linear.bias.data = torch.tensor([0.0, -math.log(3)])
    x = torch.tensor([[4.0, 6.0], [1.0, -1.0]]).reshape(1, 2, 1, 1, 2)  # means 5 and 0
    expected = torch.tensor([[2.0, 3.0], [0.25, -0.25]]).reshape(1, 2, 1, 1, 2)
    torch.testing.assert_close(gate(x), expected)


def test_torchvision_weights_keep_a_classifier_of_other_classes():
    reference = video.r3d_18(num_classes=7).state_dict()
    model = models.build("r3d_18_dilated", num_classes=3)
    before = model.classifier.weight.clone()
    load_tensors(model, reference, "torchvision")
    assert torch.equal(model.classifier.weight, before)
    assert torch.equal(model.conv5[0].conv1[0].weight, reference["layer4.0.conv1.0.weight"])


def test_torchvision_weights_of_another_network_are_refused():
    with torch.device("meta"):
        weights = video.r3d_18(num_classes=7).state_dict()
    for model in (small(), build_on_meta("r2plus1d_18", num_classes=7)):
        with pytest.raises(ValueError, match=r"does not fit: \d+ tensors differ"):
            load_tensors(model, weights, "torchvision")


def test_dilated_conv5_looks_two_frames_away_and_keeps_time():
    block = build_on_meta("r3d_18_dilated", num_classes=0).conv5[0]
    first = block.conv1[0]
    assert (first.stride, first.dilation, first.padding) == ((1, 2, 2), (2, 1, 1), (2, 1, 1))
    assert block.downsample[0].stride == (1, 2, 2)
    assert block.conv2[0].dilation == (1, 1, 1)


def test_slow_r50_with_400_classes_by_the_published_number():
    assert count(build_on_meta("slow_r50", num_classes=400)) == 32_454_096  # 32.45 M


@pytest.mark.parametrize("name", ["r2d3d_18", "slow_r50"])
def test_time_is_mixed_only_from_conv4_on(name):
    model = small(name).eval()
    clip = torch.rand(1, 3, 8, 32, 32)
    changed = clip.clone()
    changed[:, :, 0] = 0
    for name, stage in model.stages().items():
        clip, changed = stage(clip), stage(changed)
        later_frames_differ = not torch.equal(clip[:, :, 1:], changed[:, :, 1:])
        assert later_frames_differ == (name in ("conv4", "conv5"))


def test_forward_is_features_then_head():
    model = small().eval()
    clip = torch.rand(2, 3, 8, 32, 32)
    features = model.forward_features(clip)
    assert torch.equal(model(clip), model.forward_head(features))
    expected = model.classifier(features.mean((2, 3, 4)))
    torch.testing.assert_close(model(clip), expected)


def test_dropout_falls_before_the_classifier_in_training_only():
    model = small(dropout=0.9)
    feature_map = torch.ones(1, model.num_features, 1, 1, 1)
    assert not torch.equal(model.forward_head(feature_map), model.forward_head(feature_map))
    model.eval()
    assert torch.equal(model.forward_head(feature_map), model.forward_head(feature_map))


@pytest.mark.parametrize("name", ["r3d_18", "s3dg", "slow_r50"])
def test_classifier_can_be_replaced_and_removed(name):
    model = small(name).eval()
    clip = torch.rand(2, 3, 8, 32, 32)
    features = model.forward_features(clip).mean((2, 3, 4))
    model.reset_classifier(11)
    assert model(clip).shape == (2, 11)
    model.reset_classifier(0)
    torch.testing.assert_close(model(clip), features)
    with pytest.raises(ValueError, match="num_classes"):
        model.reset_classifier(-1)


@pytest.mark.parametrize("name", FACTS)
def test_stages_hold_everything_but_the_classifier(name):
    model = build_on_meta(name, num_classes=5)
    assert list(model.stages()) == ["stem", "conv2", "conv3", "conv4", "conv5"]
    inside = sum(count(stage) for stage in model.stages().values())
    assert inside + count(model.classifier) == count(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "r3d18"}, "did you mean 'r3d_18'"),
        ({"in_channels": 4}, "in_channels must be 3"),
        ({"width": 0}, "width must be above 0"),
        ({"width": -1.0}, "width must be above 0"),
        ({"width": float("nan")}, "width must be above 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"num_classes": -2}, "num_classes"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("frames", [1, 3, 5])
def test_short_and_small_clips(name, frames):
    assert build_on_meta(name, num_classes=2)(
        torch.zeros(2, 3, frames, 14, 18, device="meta")
    ).shape == (2, 2)


@pytest.mark.parametrize("shape", [(3, 8, 32, 32), (1, 2, 8, 32, 32), (1, 8, 3, 32, 32)])
def test_a_clip_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="clip must have shape"):
        small()(torch.zeros(shape))
