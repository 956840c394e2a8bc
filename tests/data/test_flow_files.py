"""Flow as 8-bit files: exact zeros, units that follow the size, blocks, bad files."""

import numpy as np
import pytest

from vidssl.core import UnreadableVideo
from vidssl.data.flow_files import (
    BLOCK,
    decode_flow,
    encode_flow,
    flip_flow,
    flow_about,
    flow_path,
    read_flow,
    resize_flow,
    resize_flow_short_side,
    write_flow,
)


def test_codes_are_those_of_the_formula():
    flow = np.float32([0, 20, -20, 33, -33, 10, 0.08, -0.08, 0.07])
    codes = encode_flow(flow)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [128, 255, 1, 255, 1, 192, 129, 127, 128]  # 63.5 rounds to 64
    assert decode_flow(codes)[[0, 1, 2]].tolist() == [0, 20, -20]


def test_decoding_errs_by_half_a_step_at_most_and_keeps_every_code():
    flow = np.linspace(-20, 20, 5001, dtype=np.float32)
    assert np.abs(decode_flow(encode_flow(flow)) - flow).max() <= 10 / 127 + 1e-5
    codes = np.arange(1, 256, dtype=np.uint8)
    assert np.array_equal(encode_flow(decode_flow(codes)), codes)


def test_flow_that_is_not_finite_is_not_stored():
    with pytest.raises(ValueError, match="not finite"):
        encode_flow(np.float32([0, np.nan]))
    with pytest.raises(ValueError, match="codes must be uint8"):
        decode_flow(np.zeros(3))


def test_resizing_scales_each_component_by_its_own_side():
    flow = np.empty((2, 12, 24, 2), np.float32)
    flow[..., 0], flow[..., 1] = 8, -4
    small = resize_flow(flow, 6, 8)
    assert small.shape == (2, 6, 8, 2)
    np.testing.assert_allclose(small[..., 0], 8 / 3, rtol=1e-5)
    np.testing.assert_allclose(small[..., 1], -2, rtol=1e-5)
    assert resize_flow(flow, 12, 24) is flow
    assert resize_flow_short_side(flow, 6).shape == (2, 6, 12, 2)
    assert resize_flow_short_side(flow.swapaxes(1, 2), 5).shape == (2, 10, 5, 2)
    assert resize_flow(flow[:0], 6, 8).shape == (0, 6, 8, 2)


def test_a_flip_mirrors_and_negates_u_only():
    flow = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    flipped = flip_flow(flow)
    assert np.array_equal(flipped[..., 0], -flow[:, :, ::-1, 0])
    assert np.array_equal(flipped[..., 1], flow[:, :, ::-1, 1])
    assert np.array_equal(flip_flow(flipped), flow)


@pytest.mark.parametrize("function", [flip_flow, lambda flow: resize_flow(flow, 2, 2)])
@pytest.mark.parametrize("flow", [np.zeros((2, 4, 4, 2), np.uint8), np.zeros((2, 4, 4))])
def test_codes_and_wrong_shapes_are_refused(function, flow):
    with pytest.raises(ValueError, match=r"flow must be \(T, H, W, 2\) in px"):
        function(flow)


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def codes():
    return np.random.default_rng(0).integers(0, 256, (2 * BLOCK + 3, 6, 8, 2), dtype=np.uint8)


def test_what_is_written_is_read(tmp_path, codes):
    path = write_flow(tmp_path / "clap" / "a.mp4.npz", codes, fps=25.0, method="tv_l1")
    assert np.array_equal(read_flow(path), codes)
    assert flow_about(path) == {"shape": list(codes.shape), "fps": 25.0, "method": "tv_l1"}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4.npz"]


@pytest.mark.parametrize("indices", [[0], [34, 0, 17, 17, 3], range(10, 26), []])
def test_fields_are_picked_across_blocks(tmp_path, codes, indices):
    path = write_flow(tmp_path / "a.npz", codes)
    assert np.array_equal(read_flow(path, indices), codes[list(indices)])


def test_a_video_of_one_frame_has_no_field(tmp_path):
    path = write_flow(tmp_path / "a.npz", np.empty((0, 6, 8, 2), np.uint8))
    assert read_flow(path).shape == (0, 6, 8, 2)


@pytest.mark.parametrize("indices", [[35], [-1, 0]])
def test_fields_that_are_not_there_are_named(tmp_path, codes, indices):
    path = write_flow(tmp_path / "a.npz", codes)
    with pytest.raises(IndexError, match=r"a\.npz: has 35 flow fields"):
        read_flow(path, indices)


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut", "flipped", "other"])
def test_bad_files_are_named(tmp_path, codes, damage):
    path = write_flow(tmp_path / "a.npz", codes)
    whole = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        np.savez(path, x=codes)
    else:
        middle = len(whole) // 2
        whole[middle : middle + 9] = bytes(9)
        content = {"empty": b"", "text": b"not an archive", "cut": whole[:middle]}
        path.write_bytes(content.get(damage, whole))
    with pytest.raises(UnreadableVideo, match=r"a\.npz: (no such flow file|damaged)"):
        read_flow(path)


def test_shapes_that_are_not_flow_are_not_written(tmp_path, codes):
    for wrong in (codes[0], codes[..., :1], codes.astype(np.float32)):
        with pytest.raises(ValueError, match="codes must be uint8"):
            write_flow(tmp_path / "a.npz", wrong)
    assert not list(tmp_path.iterdir())


def test_flow_lies_below_its_folder_as_the_video_below_its_root(tmp_path):
    assert flow_path("flow", "videos", "videos/clap/a.mp4").as_posix() == "flow/clap/a.mp4.npz"
    with pytest.raises(ValueError, match="does not lie below root='videos'"):
        flow_path("flow", "videos", "other/a.mp4")
