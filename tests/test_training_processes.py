"""Several processes learn what one learns: the same steps, losses, weights and checkpoints."""

import os
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from vidssl import models, processes, training
from vidssl.core import derive_seed
from vidssl.data import open_dataset
from vidssl.data.clip_table import ClipTable
from vidssl.methods import motionfit, supervised, timebalance
from vidssl.methods import semi_supervised as semi
from vidssl.protocol import Clips
from vidssl.training import TrainConfig, fit

# eight samples a step: two epochs of three steps, cut at a milestone and a warm-up's end
CONFIG = TrainConfig(
    epochs=2,
    batch_size=8,
    lr=0.01,
    optimizer="sgd",
    schedule="step",
    milestones=(1.0,),
    warmup_epochs=0.5,
    checkpoint_every=2,
)
SHAPE = (3, 4, 12, 12)


class Videos(Dataset):
    """Random clips under the names that methods know; a third of the videos are unlabelled."""

    def __init__(self, kind, length=24):
        self.kind, self.length = kind, length

    def __len__(self):
        return self.length

    def __getitem__(self, key):
        epoch, index = key
        generator = torch.Generator().manual_seed(derive_seed(7, epoch, index))

        def clips(*count):
            return torch.rand(*count, *SHAPE, generator=generator)

        sample = {"label": index % 3, "video_id": f"v{index}", "failed": []}
        if index == 5:
            sample["failed"] = ["broken.mp4: empty"]
        if self.kind == "semi":
            about = {"unlabelled": clips(2), "unlabelled_id": f"v{index}"}
            return {**sample, "clips": clips(1), **about}
        times = torch.tensor([[0, 4], [4, 8], [8, 12]])
        number = {"clip": 1, "clips": 3, "views": 6}[self.kind]
        return {**sample, "clips": clips(number), "times": times}


def collate(samples):
    from vidssl.data import collate

    return collate(samples)


def network(dropout=0.0):
    torch.manual_seed(0)
    model = models.build("r3d_10_dilated", num_classes=3, width=0.0625)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return model


def table(values):
    """What is known of the clips of two thirds of the videos."""
    names = np.repeat([f"v{i}" for i in range(24) if i % 3], 3)
    start = np.tile([0, 4, 8], 16)
    return ClipTable(names, start, start + 4, values(len(names)))


def features_of_clips():
    width = network().num_features
    return table(lambda n: np.random.default_rng(0).normal(size=(n, width)).astype(np.float32))


def scenarios():
    """Name -> (model, data, step, config): each method's own step where processes must agree."""
    config = timebalance.TeacherConfig("tclr", locals_count=2)
    labels = table(lambda n: np.arange(n) % 3)
    clips = motionfit.MotionFitConfig(clips=3)
    several = motionfit.MultiClipNetwork(network(), clips)
    semi_config = semi.SemiSupervisedConfig(threshold=0.34)
    accumulated = replace(CONFIG, accumulate=2, clip_norm=1.0, optimizer="adamw", lr=1e-3)
    cosine = replace(CONFIG, schedule="cosine", warmup_epochs=0)
    return {
        "supervised": (network(), "clip", supervised.training_step(), CONFIG),
        "cosine": (network(), "clip", supervised.training_step(), cosine),
        "accumulated": (network(), "clip", supervised.training_step(), accumulated),
        "tclr": (
            timebalance.Teacher(network()),
            "views",
            timebalance.teacher_step(config),
            replace(CONFIG, lr=1e-3),  # larger steps blow rounding up
        ),
        "pseudo-labels": (
            several,
            "clips",
            motionfit.training_step(clips, pseudo_labels=labels),
            CONFIG,
        ),
        "features": (
            motionfit.MultiClipNetwork(network(), clips),
            "clips",
            motionfit.feature_matching_step(features_of_clips(), labelled=False),
            CONFIG,
        ),
        "fixmatch": (network(), "semi", semi.fixmatch_step(semi_config), CONFIG),
        "mean teacher": (
            semi.MeanTeacher(network()),
            "semi",
            semi.mean_teacher_step(semi_config),
            CONFIG,
        ),
    }


def train_all(tell=None):
    """Each scenario's rows and weights, by as many processes as there are."""
    found = {}
    for name, (model, kind, step, config) in scenarios().items():
        result = training._train(
            model,
            Videos(kind),
            step,
            replace(config, batch_size=config.batch_size // processes_here()),
            folder=None,
            collate=collate,
            reporter=lambda total: lambda step, metrics: None,
            log_every=1,
            trackers=(),
        )
        state = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
        found[name] = {"rows": result.history, "state": state, "failed": result.failed}
    return found


def processes_here():
    return int(os.environ.get("WORLD_SIZE", "1"))


@pytest.fixture(scope="module")
def compared():
    return train_all(), processes.run(train_all, 2)


@pytest.mark.parametrize("name", list(scenarios()))
def test_two_processes_learn_what_one_learns(compared, name):
    alone, shared = (found[name] for found in compared)
    assert shared["failed"] == alone["failed"] == ["broken.mp4: empty"]
    assert len(shared["rows"]) == len(alone["rows"]) == 6
    for expected, row in zip(alone["rows"], shared["rows"]):
        assert row.keys() == expected.keys()
        spread = "spread_score"  # no mean over videos: each process reports that of its own
        assert row.get(spread, 0) == pytest.approx(expected.get(spread, 0), abs=0.05)
        for metric in expected.keys() - {"samples_per_second", spread}:
            assert row[metric] == pytest.approx(expected[metric], abs=1e-5, rel=1e-5), metric
    for key, value in alone["state"].items():
        torch.testing.assert_close(shared["state"][key], value, atol=1e-5, rtol=1e-5, msg=key)
    first = next(iter(scenarios()[name][0].state_dict().values()))
    assert not torch.equal(first, next(iter(alone["state"].values()))), "nothing was learned"


# --- the public way -------------------------------------------------------------------------------


def killed_once(place, at):
    """A step that kills its process when it first comes to step ``at``."""
    learn = supervised.training_step()

    def step(model, batch, context):
        if context.step == at and processes.rank() == 1 and not place.exists():
            place.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(model, batch, context)

    return step


def test_a_killed_process_starts_again_and_ends_with_the_undisturbed_result(tmp_path):
    model, expected = network(), network()
    alone = fit(expected, Videos("clip"), supervised.training_step(), CONFIG, collate=collate,
                log_every=1, report=lambda *_: None)  # fmt: skip
    logged, reported = [], []
    result = fit(
        model,
        Videos("clip"),
        killed_once(tmp_path / "killed", at=3),
        replace(CONFIG, batch_size=4),
        processes=2,
        folder=tmp_path / "run",
        collate=collate,
        log_every=1,
        log=lambda **row: logged.append(row),
        report=lambda step, metrics: reported.append(step),
    )
    assert (tmp_path / "killed").exists()
    assert result.steps == alone.steps == 6
    assert reported == [row["step"] for row in logged] == [1, 2, 3, 4, 5, 6]
    losses = [row["loss"] for row in result.history]
    assert losses == pytest.approx([row["loss"] for row in alone.history], abs=1e-5)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-5, rtol=1e-5)
    assert not model.training
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "checkpoint.pt",
        "checkpoint.previous.pt",
    }
    assert_goes_on_in_one_process(tmp_path / "run", expected)


def assert_goes_on_in_one_process(folder, expected):
    """The checkpoint before the last one, of two processes, continued by one."""
    (folder / "checkpoint.pt").unlink()
    model = network()
    told = r"was made with other settings \(batch_size of all processes 8 there, 4 here\): use"
    with pytest.raises(ValueError, match=told):
        fit(model, Videos("clip"), supervised.training_step(), replace(CONFIG, batch_size=4),
            folder=folder, collate=collate)  # fmt: skip
    rows = []
    fit(model, Videos("clip"), supervised.training_step(), CONFIG, folder=folder, collate=collate,
        log_every=1, report=lambda step, metrics: rows.append(step))  # fmt: skip
    assert rows == [5, 6]
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-5, rtol=1e-5)


class OnOneNode(Dataset):
    """Videos of the folder ``root``, which process 1 looks for where they are not."""

    def __init__(self, root):
        clips = Clips(frames=4, stride=1, size=16, short_side=16)
        self.clips = clips.training(open_dataset("folder", root).train, seed=0)

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, key):
        if processes.rank() == 1:
            records = self.clips.records
            self.clips.records = [replace(r, path=f"/nowhere/{r.video_id}") for r in records]
        return self.clips[key]


@pytest.mark.slow
def test_a_node_without_the_data_is_told_in_one_line(moving_videos):
    with pytest.raises(RuntimeError) as caught:
        fit(network(), OnOneNode(moving_videos), supervised.training_step(),
            replace(CONFIG, batch_size=2), processes=2, collate=collate)  # fmt: skip
    assert re.fullmatch(
        r"none of \d+ videos in a row can be read; the first: /nowhere/\S+: no such file; check "
        "the data set's root folder",
        str(caught.value),
    )


def test_too_few_samples_are_refused_before_anything_starts():
    with pytest.raises(ValueError, match="3 samples are too few for 4 processes"):
        fit(network(), Videos("clip", 3), supervised.training_step(), CONFIG, processes=4)


def test_shares_of_a_batch_are_the_batch():
    whole = list(training.EpochBatches(10, 7, 2, seed=0))
    parts = [training.EpochBatches(10, 7, 2, seed=0, part=(i, 3)) for i in range(3)]
    for batch, *shares in zip(whole, *parts):
        assert [key for share in shares for key in share] == batch
    assert sum(part.weight for part in parts) == pytest.approx(3)
