"""Networks, clips and losses meet on one device: shown with a pretended one (float64)."""

import subprocess
import sys

import pytest

PRELUDE = """
import sys
sys.path.insert(0, {here!r})
from pretended_accelerator import pretend
pretend()
import torch
from vidssl import inference, models, training
from vidssl.core import compute_device, normalise
assert compute_device().type == "cuda"

class Clips(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, key):
        index = key[1] if isinstance(key, tuple) else key
        clips, times = torch.rand(2, 3, 4, 12, 12), torch.tensor([[0, 4], [4, 8]])
        about = {{"label": index % 2, "video_id": str(index), "failed": []}}
        return {{"clips": clips, "times": times, **about}}

model = models.build("r3d_10_dilated", num_classes=2, width=0.0625)
data = Clips()
"""
CODE = {
    "predictions": "print(inference.predict(model, data, progress=False).values.dtype)",
    "features": "print(inference.extract_features(model, data, progress=False).values.dtype)",
    "attention": "print(inference.grad_cam(model, torch.rand(1, 3, 4, 12, 12)).device)",
    "whole teacher after a part of it": """
from vidssl.methods.timebalance import Teacher
teacher = Teacher(model)
inference.extract_features(teacher.backbone, data, progress=False)
forward = lambda network, clip: network(normalise(clip)).pooled
print(inference.apply(teacher, torch.rand(3, 3, 4, 12, 12), forward, batch=2).shape)
""",
    "training": """
from vidssl.data import collate
from vidssl.methods import supervised
config = training.TrainConfig(epochs=1, batch_size=2)
training.fit(model, data, supervised.training_step(), config, collate=collate)
print(inference.predict(model, data, progress=False).values.shape)
""",
    "packed clips": """
from vidssl.data import Augmentation, TestTransform, TrainTransform, TwoViews, collate
from vidssl.methods import supervised
import numpy as np

every = TrainTransform(12, 12, Augmentation(color=(0.5, 0.5, 0.5, 0.1), erase=0.5))
class Packed(Clips):
    def __init__(self, transform):
        self.transform = transform
    def __getitems__(self, keys):
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (2, 4, 16, 16, 3), dtype=np.uint8)
        return [{**self[key], "clips": self.transform.packed(frames, rng)} for key in keys]

config = training.TrainConfig(epochs=1, batch_size=2)
for transform in (every, TwoViews(TestTransform(12, 12), every)):
    training.fit(model, Packed(transform), supervised.training_step(), config, collate=collate)
    print(inference.predict(model, Packed(transform), progress=False).values.shape)
print(inference.predict(model, Packed(TestTransform(12, 12)), progress=False).values.shape)
""",
    "pretext": """
from vidssl.methods.mosi import MoSIConfig, pretext_predictions
model = models.build("r3d_10_dilated", num_classes=9, width=0.0625)
print(pretext_predictions(model, torch.rand(2, 3, 16, 16), MoSIConfig(frames=4, size=12)))
""",
    "clip features": """
from vidssl.methods.motionfit import clip_features
print(len(clip_features(model, data, progress=False)[0]))
""",
    "flow": """
import numpy as np
from vidssl.motion.flow import optical_flow
frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
print(optical_flow(frames, "torch", warps=1, iterations=1).dtype)
""",
}
BROKEN = {
    "a network left behind": "inference.place(model); model(torch.rand(1, 3, 4, 12, 12))",
    "a clip sent ahead": "model.eval()(torch.rand(1, 3, 4, 12, 12).to('cuda'))",
    "half a teacher": """
from vidssl.methods.timebalance import Teacher
teacher = Teacher(model)
inference.place(teacher.backbone)
teacher.eval()(torch.rand(1, 3, 4, 12, 12, device="cuda"))
""",
}


def run(code):
    from pathlib import Path

    source = PRELUDE.format(here=str(Path(__file__).parent)) + code
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)


def test_computations_run_where_the_accelerator_is():
    """In one process: starting torch costs more than all of them."""
    done = run("\n".join(CODE.values()))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", list(BROKEN))
def test_the_pretence_finds_what_it_is_for(name):
    done = run(BROKEN[name])
    assert done.returncode != 0
    assert "dtype" in done.stderr or "type" in done.stderr.splitlines()[-1], done.stderr
