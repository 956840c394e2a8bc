"""Optical flow: what the presets cost and how they err, processes, one GPU against one core.

The errors are end-point errors against the true flow of embedded scenes of data seed 0, the mean
over all pixels and over those of the moving sprite. Every ratio is taken in one run.
"""

import os
import time

import numpy as np
import pytest
import torch

from vidssl.data import synthetic, write_video
from vidssl.motion import optical_flow, tv_l1
from vidssl.motion.extract import extract_flow

SIZES = ((96, 128), (128, 172))  # of the mini and of the gpu scale
AT = (15, 40)


@pytest.fixture(params=SIZES, ids="{0[0]}x{0[1]}".format)
def scenes(request):
    """Pairs of frames, their true flow (N, H, W, 2) and sprite masks (N, H, W)."""
    pairs, flows, masks = [], [], []
    for i, each in enumerate(synthetic.CLASSES[::2]):
        name = f"v_{each.name}_g{9 + 2 * i:02d}_c02"
        size = dict(zip(("height", "width"), request.param))
        scene = synthetic.scene_of(name, data_seed=0, frames=64, **size)
        truth = synthetic.truth(scene)
        for at in AT:
            pairs.append(synthetic.render(scene, [at, at + 1]))
            flows.append(truth.flow[at])
            masks.append(truth.mask[at])
    return pairs, np.stack(flows), np.stack(masks)


def measured(method, pairs):
    """Flow (N, H, W, 2) of every pair and the processor seconds they took."""
    began = time.process_time()
    flow = np.concatenate([optical_flow(pair, method) for pair in pairs])
    return flow, time.process_time() - began


@pytest.mark.bench
def test_methods_beside_the_reference(scenes, ratio):
    pytest.importorskip("cv2")
    pairs, true, masks = scenes
    print(f"\n{len(pairs)} pairs of {true.shape[1]} x {true.shape[2]} px, one core")
    print("method        ms a pair   times as fast   end-point error   in the sprite (px)")
    found = {}
    for method in ("reference", "fast", "torch", "dis", "farneback"):
        flow, seconds = measured(method, pairs)
        error = np.linalg.norm(flow - true, axis=-1)
        found[method] = seconds, error.mean()
        if method != "reference":
            at = f"flow at {true.shape[1]} x {true.shape[2]} px"
            reference = found["reference"][0]
            ratio(f"{at}, {method}", reference / seconds, "times as fast as", "OpenCV's TV-L1")
        print(
            f"{method:12} {1e3 * seconds / len(pairs):10.1f} "
            f"{found['reference'][0] / seconds:15.1f} {error.mean():17.4f} "
            f"{error[masks].mean():17.4f}"
        )
    print(f"{'no motion':12} {np.linalg.norm(true, axis=-1).mean():44.4f}")
    assert found["torch"][1] < 1.05 * found["reference"][1]
    assert found["fast"][1] < 1.2 * found["reference"][1]
    if true.shape[1] == SIZES[0][0]:
        assert found["fast"][0] < found["reference"][0] / 3


@pytest.mark.bench
def test_two_processes_against_one(tmp_path, ratio):
    pytest.importorskip("cv2")
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two cores")
    for i, scene in enumerate(synthetic.scene_set("mini").scenes("train", 0)[::134]):
        write_video(tmp_path / f"in/{i:02d}.mp4", synthetic.render(scene, range(17)))
    seconds = {}
    for workers in (2, 1):
        folders = (tmp_path / f"{name}{workers}" for name in ("start", "out"))
        settings = {"workers": workers, "progress": False}
        extract_flow(tmp_path / "in", next(folders), method="dis", **settings)  # starts workers
        began = time.perf_counter()
        extract_flow(tmp_path / "in", next(folders), **settings)
        seconds[workers] = time.perf_counter() - began
    print(f"\n12 videos of 17 frames, fast: {seconds[1]:.1f} s in one process,")
    ratio("flow in two processes", seconds[1] / seconds[2], "times as fast as", "in one")
    waiting = f"{os.getloadavg()[0]:.1f} processes wanted the {os.cpu_count()} cores"
    print(f"two are {seconds[1] / seconds[2]:.2f} times as fast; {waiting}")


@pytest.mark.bench
def test_a_gpu_against_one_core(scenes, ratio):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    pytest.importorskip("cv2")
    pairs, _, _ = scenes
    _, seconds = measured("reference", pairs[:4])
    luma = torch.rand(257, *pairs[0].shape[1:3], device="cuda")
    tv_l1(luma[:-1], luma[1:])
    torch.cuda.synchronize()
    began = time.perf_counter()
    tv_l1(luma[:-1], luma[1:])
    torch.cuda.synchronize()
    ours = (time.perf_counter() - began) / 256
    ratio("flow on the GPU", seconds / 4 / ours, "times as fast as", "OpenCV's TV-L1 on a core")
    print(f"\ntorch on {torch.cuda.get_device_name()}: {1e3 * ours:.2f} ms a pair,")
    print(f"{seconds / 4 / ours:.0f} times OpenCV's reference on one core")
