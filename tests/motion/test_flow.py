"""Every method on shifts by known amounts; constant frames; units; refusals."""

import sys

import numpy as np
import pytest
import torch

from vidssl.data import synthetic
from vidssl.motion import METHODS, grey, optical_flow, tv_l1
from vidssl.motion.flow import method_settings

SIDE = 64


def shifted_texture(shifts, side=SIDE, seed=0):
    """Frames (T, side, side) uint8 of one smooth texture that has moved by ``shifts`` (x, y) px.

    A sum of waves, so a shift by any fraction of a pixel is exact.
    """
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-0.6, 0.6, (40, 2)), rng.uniform(0, 2 * np.pi, 40)
    y, x = np.mgrid[:side, :side][..., None].astype(float)
    frames = [
        np.cos((x - dx) * waves[0][:, 0] + (y - dy) * waves[0][:, 1] + waves[1]).sum(-1)
        for dx, dy in shifts
    ]
    return np.clip(128 + 14 * np.stack(frames), 0, 255).round().astype(np.uint8)


def end_point_error(flow, u, v, margin=8):
    inner = flow[margin : SIDE - margin, margin : SIDE - margin]
    return float(np.hypot(inner[..., 0] - u, inner[..., 1] - v).mean())


SHIFTS = [(0.25, 0), (0, -0.6), (1.3, 0.7), (-2.4, 1.1), (3, -2.5), (-4, 0)]


@pytest.fixture(scope="module")
def found():
    """method -> flow (6, 64, 64, 2) of one texture moved by each of the shifts."""
    still, *moved = shifted_texture([(0, 0), *SHIFTS])
    images = (torch.from_numpy(np.stack(x)).float() / 255 for x in ([still] * len(moved), moved))
    flows = {"torch": tv_l1(*images).permute(0, 2, 3, 1).numpy()}
    for method in sorted(set(METHODS) - {"torch"}):
        pytest.importorskip("cv2")
        flows[method] = np.stack([optical_flow(np.stack([still, m]), method)[0] for m in moved])
    return flows


@pytest.mark.parametrize("method", METHODS)
def test_shifts_are_found_with_their_sign(found, method):
    """u is positive to the right, v downwards; both as large as the shift."""
    for flow, shift in zip(found[method], SHIFTS):
        assert end_point_error(flow, *shift) < 0.1, shift


@pytest.mark.parametrize("margin", [0, 8])
def test_torch_is_as_accurate_as_opencv(found, margin):
    for ours, theirs, shift in zip(found["torch"], found["reference"], SHIFTS):
        error = end_point_error(theirs, *shift, margin)
        assert end_point_error(ours, *shift, margin) < 1.05 * error + 0.005, shift


def scene_errors(name, methods, at):
    """End-point errors (method -> px) over all pixels of embedded frames ``at`` and the next."""
    scene = synthetic.scene_of(name, data_seed=0, frames=64, height=96, width=128)
    true = synthetic.truth(scene).flow[at]
    frames = synthetic.render(scene, [at, at + 1])
    return {
        method: np.linalg.norm(optical_flow(frames, method)[0] - true, axis=-1).mean()
        for method in methods
    }


@pytest.mark.parametrize("name", ["v_SpinThenFall_g16_c01", "v_Orbit_g09_c01", "v_Ringed_g10_c01"])
def test_true_flow_of_embedded_scenes(name):
    pytest.importorskip("cv2")
    errors = scene_errors(name, ("reference", "fast", "torch"), 29)
    assert errors["fast"] < max(1.1 * errors["reference"], errors["reference"] + 0.03)
    assert errors["torch"] < 1.05 * errors["reference"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [(0, 0), (255, 255), (60, 140)])
def test_constant_frames_do_not_move(method, level):
    if method != "torch":
        pytest.importorskip("cv2")
    frames = np.stack([np.full((20, 30), value, np.uint8) for value in level])
    assert np.array_equal(optical_flow(frames, method), np.zeros((1, 20, 30, 2)))


@pytest.mark.parametrize("method", METHODS)
def test_one_frame_has_no_flow(method):
    assert optical_flow(np.zeros((1, 20, 30, 3), np.uint8), method).shape == (0, 20, 30, 2)


def test_grey_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    expected = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    assert np.array_equal(grey(frames), expected)


def test_the_reference_is_opencvs_default():
    cv2 = pytest.importorskip("cv2")
    first, second = shifted_texture([(0, 0), (1.3, 0.7)], side=32)
    theirs = cv2.optflow.DualTVL1OpticalFlow_create().calc(first, second, None)
    assert np.array_equal(optical_flow(np.stack([first, second]))[0], theirs)


@pytest.mark.parametrize(
    ("frames", "method", "changed", "message"),
    [
        ((2, 20, 20), "refrence", {}, "method='refrence' is unknown; did you mean 'reference'?"),
        ((2, 20, 20), "fast", {"warp": 2}, "setting of fast='warp' is unknown; did you mean"),
        ((2, 15, 40), "dis", {}, "frames of 15 x 40 px are too small for flow"),
        ((0, 20, 20), "torch", {}, "frames must be uint8"),
        ((20, 20), "torch", {}, "frames must be uint8"),
        ((2, 20, 20, 2), "torch", {}, "frames must be uint8"),
    ],
)
def test_refusals(frames, method, changed, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace("?", r"\?")):
        optical_flow(np.zeros(frames, np.uint8), method, **changed)


def test_settings_are_complete_and_can_be_changed():
    assert method_settings("torch", {"warps": 2})["warps"] == 2
    assert method_settings("torch")["warps"] == 5
    assert set(method_settings("fast")) == set(method_settings("reference"))


def test_without_the_contrib_module_the_way_back_is_named(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.delattr(cv2.optflow, "DualTVL1OpticalFlow_create")
    frames = np.zeros((2, 20, 20), np.uint8)
    with pytest.raises(ModuleNotFoundError, match="contrib module, which the installed OpenCV"):
        optical_flow(frames, "fast")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match="or use method='torch'"):
        optical_flow(frames, "fast")


# --- in torch ------------------------------------------------------------------------------------


def pairs(count=3, side=32):
    shifts = [(0, 0), (0.5, 0), (0.5, 1.5), (-1, 1)]
    frames = torch.from_numpy(shifted_texture(shifts[: count + 1], side)).float() / 255
    return frames[:-1], frames[1:]


def test_a_pair_does_not_depend_on_its_batch():
    first, second = pairs()
    together = tv_l1(first, second)
    assert together.shape == (3, 2, 32, 32)
    alone = tv_l1(first[1:2], second[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)


def test_inputs_stay_as_they_are_and_no_gradient_is_kept():
    first, second = (image.requires_grad_() for image in pairs(1))
    before = first.detach().clone(), second.detach().clone()
    flow = tv_l1(first, second)
    assert not flow.requires_grad
    assert torch.equal(first, before[0])
    assert torch.equal(second, before[1])


def test_a_constant_frame_beside_a_textured_one_gives_no_nan():
    first, second = pairs(1)
    for images in ((first * 0, second), (first, second * 0 + 0.5)):
        assert tv_l1(*images).isfinite().all()


@pytest.mark.parametrize("size", [(2, 2), (1, 9, 40), (16, 17), (15, 200)])
def test_small_and_long_images(size):
    images = torch.rand(1, *size[-2:], generator=torch.Generator().manual_seed(0))
    assert tv_l1(images, images).abs().max() < 1e-3


def test_a_turn_of_the_images_turns_the_flow():
    first, second = pairs(1)
    flow = tv_l1(first, second)
    turned = tv_l1(first.transpose(1, 2), second.transpose(1, 2))
    torch.testing.assert_close(turned, flow.transpose(2, 3).flip(1), atol=1e-3, rtol=0)


def test_an_empty_batch():
    assert tv_l1(torch.zeros(0, 20, 30), torch.zeros(0, 20, 30)).shape == (0, 2, 20, 30)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.zeros(20, 20), torch.zeros(20, 20), r"previous must have shape \(B, H, W\)"),
        (torch.zeros(1, 1, 20, 20), torch.zeros(1, 20, 20), "previous must have shape"),
        (torch.zeros(1, 20, 20), torch.zeros(2, 20, 20), "must have one shape"),
        (torch.zeros(1, 20, 20), torch.full((1, 20, 20), 1.5), r"following must lie in \[0, 1\]"),
        (torch.zeros(1, 20, 20) - 0.1, torch.zeros(1, 20, 20), r"previous must lie in \[0, 1\]"),
        (torch.zeros(1, 20, 20), torch.full((1, 20, 20), torch.nan), "following must lie in"),
        (torch.zeros(1, 20, 20).byte(), torch.zeros(1, 20, 20), "previous must be float"),
        (torch.zeros(1, 1, 20), torch.zeros(1, 1, 20), "at least 2 x 2 px"),
    ],
)
def test_wrong_images(first, second, message):
    with pytest.raises(ValueError, match=message):
        tv_l1(first, second)


@pytest.mark.parametrize(
    "wrong", [{"attachment": 0}, {"scales": 0}, {"scale_step": 1}, {"warps": 0}, {"iterations": 0}]
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        tv_l1(*pairs(1), **wrong)
