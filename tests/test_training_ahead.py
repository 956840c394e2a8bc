"""Batches are made beside the steps, with the same samples in the same order."""

import os
import signal
import threading

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from vidssl.training import TrainConfig, fit

STEPS = 4


class Told(Dataset):
    """Eight samples, which say when each batch is ready; ``broken`` is a key that raises."""

    def __init__(self, broken=None):
        self.broken = broken
        self.keys, self.threads = [], set()
        self.ready = [threading.Event() for _ in range(STEPS + 1)]

    def __len__(self):
        return 8

    def __getitem__(self, key):
        if key == self.broken:
            raise RuntimeError(f"nothing can be read at {key}")
        self.keys.append(key)
        self.threads.add(threading.get_ident())
        self.ready[len(self.keys) // 4].set()
        return {"x": torch.full((3,), float(key[0] * 8 + key[1])), "video_id": str(key)}


def train(dataset, step, **settings):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    config = TrainConfig(epochs=2, batch_size=4, lr=0.1, **settings)
    return model, fit(model, dataset, step, config, report=lambda *_: None, log_every=1)


def squared(model, batch, context):
    return model(batch["x"] / 16).square().mean(), {"sum": batch["x"].sum().item()}


def test_a_batch_is_made_while_the_step_before_it_is_at_work():
    dataset = Told()

    def step(model, batch, context):
        following = dataset.ready[min(context.step + 2, STEPS)]
        assert following.wait(timeout=60), "nobody makes the next batch until this step ends"
        return squared(model, batch, context)

    _, result = train(dataset, step)
    assert result.steps == STEPS
    assert threading.get_ident() not in dataset.threads
    assert len(dataset.threads) == 1


def test_samples_order_and_result_are_those_of_worker_processes():
    ahead, workers = Told(), Told()
    (model, result), (other, expected) = (
        train(ahead, squared), train(workers, squared, num_workers=1),
    )  # fmt: skip
    assert sorted(ahead.keys) == [(epoch, index) for epoch in range(2) for index in range(8)]
    assert [row["sum"] for row in result.history] == [row["sum"] for row in expected.history]
    assert torch.equal(model.weight, other.weight)


def test_what_a_sample_raises_reaches_the_caller():
    with pytest.raises(RuntimeError, match=r"nothing can be read at \(1, 3\)"):
        train(Told(broken=(1, 3)), squared)


def test_no_thread_is_left_behind():
    before = threading.active_count()
    for _ in range(3):
        train(Told(), squared)
    assert threading.active_count() <= before + 1


class Deadly(Told):
    """The worker that makes its fifth sample is killed, as where memory runs out."""

    def __getitem__(self, key):
        if len(self.keys) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(key)


def test_a_killed_worker_is_told_in_words_and_a_sample_s_own_error_as_it_is():
    with pytest.raises(RuntimeError, match=r"worker was killed, .* lower num_workers"):
        train(Deadly(), squared, num_workers=1)
    with pytest.raises(RuntimeError, match=r"nothing can be read at \(0, \d\)"):
        train(Told(broken=(0, 5)), squared, num_workers=1)
