"""The shared loop on a small real problem: it learns, stops, continues, says what fails."""

import errno
import os
import platform
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from vidssl import models, training
from vidssl.core import derive_seed
from vidssl.training import EpochBatches, TrainConfig, checkpoint_period, fit, make_optimizer


class Blobs(Dataset):
    """Two noisy classes; the noise of a sample derives from (epoch, index), as in our data sets."""

    def __len__(self):
        return 24

    def __getitem__(self, key):
        epoch, index = key
        generator = torch.Generator().manual_seed(derive_seed(0, epoch, index))
        x = torch.randn(6, generator=generator) + 2.0 * (index % 2)
        failed = ["broken.mp4: empty"] if index == 5 else []
        return {"x": x, "label": index % 2, "video_id": str(index), "failed": failed}


def collate(samples):
    return {
        "x": torch.stack([s["x"] for s in samples]),
        "label": torch.tensor([s["label"] for s in samples]),
        "video_id": [s["video_id"] for s in samples],
        "failed": [path for s in samples for path in s["failed"]],
    }


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))


def training_step(model, batch, context):
    logits = model(batch["x"])
    accuracy = (logits.argmax(1) == batch["label"]).float().mean()
    return cross_entropy(logits, batch["label"]), {"accuracy": accuracy}


def train(config, model=None, step=training_step, **options):
    model = model or make_model()
    options = {"report": lambda step, metrics: None, "log_every": 1, **options}
    return model, fit(model, Blobs(), step, config, collate=collate, **options)


CONFIG = TrainConfig(epochs=10, batch_size=8, lr=0.01, warmup_epochs=1, checkpoint_every=4)


def test_it_learns():
    _, result = train(CONFIG)
    assert result.steps == 30
    assert result.history[0]["loss"] > 0.5
    assert result.mean("accuracy") > 0.85  # chance is 0.5
    assert result.mean("loss") < result.history[0]["loss"]


def test_unreadable_samples_are_named_once():
    _, result = train(CONFIG)
    assert result.failed == ["broken.mp4: empty"]


@pytest.mark.parametrize("stop", [1, 4, 17, 29])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_stopped_run_ends_with_the_same_weights(tmp_path, stop, accumulate):
    config = replace(CONFIG, accumulate=accumulate)
    whole, expected = train(config)

    def interrupted(model, batch, context):
        if context.step == stop:
            raise KeyboardInterrupt
        return training_step(model, batch, context)

    with pytest.raises(KeyboardInterrupt):
        train(config, step=interrupted, folder=tmp_path)
    torch.manual_seed(99)  # the world has moved on since
    other = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
    continued, result = train(config, model=other if stop > 6 else None, folder=tmp_path)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name]), name
    assert [r["loss"] for r in result.history] == [r["loss"] for r in expected.history]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    whole, _ = train(CONFIG, folder=tmp_path)
    newest = tmp_path / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    continued, result = train(CONFIG, folder=tmp_path)
    printed = capsys.readouterr().out
    assert "cannot be read" in printed
    assert "continuing from step 28" in printed
    assert result.steps == 30
    assert torch.equal(whole[0].weight, continued[0].weight)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    train(CONFIG, folder=tmp_path)
    other = TrainConfig(epochs=10, batch_size=8, lr=0.02, warmup_epochs=1)
    with pytest.raises(ValueError, match=r"checkpoint\.pt was made with other settings \(lr"):
        train(other, folder=tmp_path)


def test_a_checkpoint_of_other_frozen_layers_is_refused(tmp_path):
    train(CONFIG, folder=tmp_path)
    other = make_model()
    other[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is of another network or of other"):
        train(CONFIG, model=other, folder=tmp_path)


def test_a_diverging_loss_says_where_and_what_to_do():
    def diverging(model, batch, context):
        loss, metrics = training_step(model, batch, context)
        return loss * (float("nan") if context.step == 3 else 1.0), metrics

    with pytest.raises(FloatingPointError, match="at step 3: lower lr"):
        train(CONFIG, step=diverging)


def test_a_diverging_loss_is_named_by_its_step_at_the_next_logged_one():
    def diverging(model, batch, context):
        loss, metrics = training_step(model, batch, context)
        return loss * (float("nan") if context.step == 13 else 1.0), metrics

    reported = []
    with pytest.raises(FloatingPointError, match="became nan at step 13: lower lr"):
        train(
            CONFIG,
            step=diverging,
            log_every=10,
            report=lambda step, metrics: reported.append(step),
        )
    assert reported == [10]


def test_numbers_are_looked_at_where_they_are_logged_and_nowhere_else(monkeypatch):
    """Each look at a tensor's number is a wait for the device."""
    here, begun, looked = threading.get_ident(), [], set()

    def watched(real):
        def look(self, *args, **named):
            if threading.get_ident() == here:
                looked.add(len(begun))
            return real(self, *args, **named)

        return look

    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, watched(getattr(torch.Tensor, name)))

    def step(model, batch, context):
        begun.append(context.step)
        return training_step(model, batch, context)

    config = replace(CONFIG, optimizer="sgd", clip_norm=1.0)
    _, result = train(config, step=step, log_every=10)
    assert looked == {10, 20, 30}
    monkeypatch.undo()
    _, every = train(config)
    rows = [row["loss"] for row in every.history]
    means = [sum(rows[i : i + 10]) / 10 for i in (0, 10, 20)]
    assert [row["loss"] for row in result.history] == pytest.approx(means, rel=1e-12)


def test_every_epoch_visits_every_sample_once_in_another_order():
    batches = list(EpochBatches(length=24, batch_size=8, epochs=2, seed=0))
    epochs = [[key for batch in batches[i : i + 3] for key in batch] for i in (0, 3)]
    for number, keys in enumerate(epochs):
        assert {epoch for epoch, _ in keys} == {number}
        assert sorted(index for _, index in keys) == list(range(24))
    assert [i for _, i in epochs[0]] != [i for _, i in epochs[1]]
    assert list(EpochBatches(24, 8, 2, seed=0, start=4)) == batches[4:]


def test_small_data_sets_make_one_batch():
    assert len(list(EpochBatches(length=3, batch_size=8, epochs=5, seed=0))) == 5
    with pytest.raises(ValueError, match="the data set is empty"):
        EpochBatches(length=0, batch_size=8, epochs=1, seed=0)


def test_learning_rate_schedules():
    cosine = TrainConfig(epochs=110, batch_size=1, lr=1.0, warmup_epochs=10, warmup_start=0.1)
    assert [cosine.lr_at(e) for e in (0, 5, 10, 60, 110)] == pytest.approx([0.1, 0.55, 1, 0.5, 0])
    step = TrainConfig(epochs=120, batch_size=1, lr=1.0, schedule="step", milestones=(40, 60))
    assert [step.lr_at(e) for e in (0, 39.9, 40, 60)] == pytest.approx([1, 1, 0.1, 0.01])


def test_only_weights_decay():
    groups = make_optimizer(make_model(), CONFIG).param_groups
    assert [g["weight_decay"] for g in groups] == [CONFIG.weight_decay, 0.0]
    assert {p.ndim for p in groups[0]["params"]} == {2}
    assert {p.ndim for p in groups[1]["params"]} == {1}


PLAIN = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=CONFIG.momentum),
}


@pytest.mark.parametrize("optimizer", PLAIN)
@pytest.mark.parametrize("backbone", ["r2plus1d_10", "r3d_10_dilated"])
def test_losses_and_weights_are_those_of_torchs_plain_optimiser(backbone, optimizer):
    """To the last digit, of 30 steps: one digit more would be ten times as much each few steps."""
    config, losses, networks = replace(CONFIG, optimizer=optimizer, lr=1e-3), [], []
    for plain in (False, True):
        torch.manual_seed(0)
        network = models.build(backbone, num_classes=4, width=0.0625)
        keys = set(network.state_dict())
        made = make_optimizer(network, config)
        if plain:
            groups = [{k: g[k] for k in ("params", "weight_decay")} for g in made.param_groups]
            made = PLAIN[optimizer](groups, lr=config.lr, foreach=False)
        for _ in range(30):
            loss = cross_entropy(network(torch.rand(4, 3, 8, 16, 16)), torch.arange(4))
            loss.backward()
            made.step()
            made.zero_grad()
            losses.append(loss.item())
        networks.append(network.state_dict())
        assert set(networks[-1]) == keys
    assert losses[:30] == losses[30:]
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in keys)


FAULTS = """
import resource, torch
from vidssl import inference, models, training
clips = torch.rand(16, 3, 8, 32, 32)
model = models.build("r2plus1d_10", num_classes=4, width=0.125)
found = []

def forward(network, part):
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return network(part)

def step(network, batch, context):
    return forward(network, clips).square().mean(), {}

class Nothing(torch.utils.data.Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, key):
        return {"video_id": "v", "failed": []}
"""
WORK = {
    "training": "config = training.TrainConfig(epochs=8, batch_size=3)\n"
    "training.fit(model, Nothing(), step, config, collate=lambda samples: {})",
    "inference": "[inference.apply(model, clips, forward) for _ in range(24)]",
}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told to keep memory")
@pytest.mark.parametrize("work", WORK)
def test_memory_of_a_step_is_kept_for_the_next_one(work):
    """A tensor of the first layers is 2 MiB, 512 pages; a step has some twenty of them."""
    code = f"{FAULTS}\n{WORK[work]}\nprint((found[-1] - found[-9]) / 8)"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert float(said.stdout.split()[-1]) < 256


def test_a_frozen_model_is_refused():
    model = make_model().requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter of the model is frozen"):
        train(CONFIG, model=model)


def test_accumulated_small_batches_equal_one_large_batch():
    def plain(model, batch, context):
        return cross_entropy(model(batch["x"]), batch["label"]), {}

    linear = nn.Linear(6, 2)
    small, large = nn.Linear(6, 2), nn.Linear(6, 2)
    small.load_state_dict(linear.state_dict())
    large.load_state_dict(linear.state_dict())
    sgd = {"epochs": 1, "lr": 0.1, "optimizer": "sgd", "weight_decay": 0, "schedule": "constant"}
    train(TrainConfig(batch_size=8, accumulate=3, **sgd), model=small, step=plain)
    train(TrainConfig(batch_size=24, **sgd), model=large, step=plain)
    assert torch.allclose(small.weight, large.weight, atol=1e-6)


def test_checkpoints_wait_for_the_end_of_an_update():
    periods = [(4, 1), (4, 3), (6, 3), (1, 8)]
    configs = [
        TrainConfig(epochs=1, batch_size=1, checkpoint_every=every, accumulate=accumulate)
        for every, accumulate in periods
    ]
    assert [checkpoint_period(config) for config in configs] == [4, 6, 6, 8]


def test_checkpoints_are_written_by_time_between_two_updates(tmp_path, monkeypatch):
    saved, real = [], training.Checkpoints.save

    def save(self, model, optimizer, result):
        saved.append(result.steps)
        real(self, model, optimizer, result)

    monkeypatch.setattr(training.Checkpoints, "save", save)
    config = replace(CONFIG, checkpoint_every=0, accumulate=4)
    train(config, folder=tmp_path / "never")
    assert saved == [30], "five minutes have not passed"
    saved.clear()
    train(replace(config, checkpoint_minutes=1e-9), folder=tmp_path / "always")
    assert saved == [4, 8, 12, 16, 20, 24, 28, 30]


def test_a_checkpoint_is_of_its_step_however_slowly_it_is_written(tmp_path, monkeypatch):
    """The first write lasts until three more steps are done; nobody else writes meanwhile."""
    real, writers, weights = torch.save, [], {}
    goes_on = {4: threading.Event(), 8: threading.Event()}

    def slowly(state, file):
        assert not writers, "two write at once"
        writers.append(file)
        steps = state["result"]["steps"]
        assert steps not in goes_on or goes_on[steps].wait(60)
        real(state, file)
        writers.clear()

    def step(model, batch, context):
        weights[context.step] = model[0].weight.detach().clone()
        if context.step == 7:
            assert not (tmp_path / "checkpoint.pt").exists()
            goes_on[4].set()
        if context.step == 9:
            kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
            assert torch.equal(kept["model"]["0.weight"], weights[4])
            assert kept["result"]["steps"] == 4
            goes_on[8].set()
        return training_step(model, batch, context)

    monkeypatch.setattr(torch, "save", slowly)
    train(CONFIG, step=step, folder=tmp_path)


def test_a_failed_write_is_told_at_the_next_one(tmp_path, monkeypatch):
    real, begun = torch.save, []

    def fails(state, file):
        if state["result"]["steps"] == 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(state, file)

    def step(model, batch, context):
        begun.append(context.step)
        return training_step(model, batch, context)

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match=r"checkpoint\.pt cannot be written \(No space left.*room"):
        train(CONFIG, step=step, folder=tmp_path)
    assert begun[-1] == 11, "twelve steps, then the next checkpoint"
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["result"]["steps"] == 4
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt"}


@pytest.mark.parametrize(
    ("at", "said", "kept"), [(7, "nan at step 8", 4), (8, "not finite after step 9", 8)]
)
def test_weights_that_are_no_numbers_are_not_kept(tmp_path, at, said, kept):
    """A finite loss with an infinite gradient: only the next loss can tell, if there is one."""

    def step(model, batch, context):
        loss, metrics = training_step(model, batch, context)
        return loss + ((model[0].weight * 0).sum().sqrt() if context.step == at else 0), metrics

    with pytest.raises(FloatingPointError, match=said):
        train(replace(CONFIG, epochs=3), step=step, folder=tmp_path, log_every=100)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["result"]["steps"] == kept


@pytest.mark.slow
def test_compiled_it_learns_the_same():
    """Without dropout: compiled, it draws other numbers."""
    plain, expected = train(CONFIG, model=make_model()[:2].append(nn.Linear(16, 2)))
    model, result = train(
        replace(CONFIG, compile=True), model=make_model()[:2].append(nn.Linear(16, 2))
    )
    assert [r["loss"] for r in result.history] == pytest.approx(
        [r["loss"] for r in expected.history], abs=1e-4
    )
    assert model._compiled_call_impl is None
    x = torch.randn(4, 6)
    torch.testing.assert_close(model(x), plain(x), atol=1e-4, rtol=1e-4)


def test_where_nothing_compiles_it_says_so():
    from torch._inductor import config

    with (
        config.patch({"cpp.cxx": ("/nowhere/c++",), "force_disable_caches": True}),
        pytest.raises(RuntimeError, match=r"compile=True does not work here .*compile=False"),
    ):
        train(replace(CONFIG, compile=True))


def test_bf16_trains_and_leaves_a_float32_model(tmp_path):
    """Half precision is for training: what comes out computes as any other network does."""
    seen = []

    def step(model, batch, context):
        hidden = []
        probe = model[0].register_forward_hook(lambda m, x, y: hidden.append(y.dtype))
        loss, metrics = training_step(model, batch, context)
        probe.remove()
        seen.append((hidden[0], loss.dtype))
        return loss, metrics

    config = replace(CONFIG, precision="bf16")
    model, result = train(config, step=step, folder=tmp_path)
    assert set(seen) == {(torch.bfloat16, torch.float32)}
    assert result.mean("loss", last=0.2) < 0.7 * result.history[0]["loss"]
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    x = torch.randn(4, 6)
    plain = make_model()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(model(x), plain.eval()(x))
    again, _ = train(config, folder=tmp_path)  # the finished run, from its checkpoint
    assert torch.equal(again(x), model(x))


def test_precision_is_each_training_s_own():
    first, _ = train(CONFIG)
    half, _ = train(replace(CONFIG, precision="bf16"))
    again, _ = train(CONFIG)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, half[0].weight)


def scalars(folder):
    """Tag -> (steps, values) in the event files of a folder, as TensorBoard shows them."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = loader.EventAccumulator(str(folder)).Reload()
    found = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    return {tag: ([e.step for e in es], [e.value for e in es]) for tag, es in found.items()}


def test_tensorboard_shows_what_was_logged(tmp_path):
    _, result = train(CONFIG, folder=tmp_path, trackers=["tensorboard"])
    steps, losses = scalars(tmp_path / "trackers")["loss"]
    assert steps == list(range(1, 31))
    assert losses == pytest.approx([row["loss"] for row in result.history])


def test_a_continued_run_draws_one_curve(tmp_path):
    """Points that a stopped run drew beyond its last checkpoint are drawn once more, not twice."""

    def interrupted(model, batch, context):
        if context.step == 15:
            raise KeyboardInterrupt
        return training_step(model, batch, context)

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, step=interrupted, folder=tmp_path, trackers=["tensorboard"])
    train(CONFIG, folder=tmp_path, trackers=["tensorboard"])
    assert scalars(tmp_path / "trackers")["loss"][0] == list(range(1, 31))


def test_trackers_write_nothing_unless_asked(tmp_path):
    train(CONFIG, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "checkpoint.previous.pt"}


def test_any_tracker_of_accelerate_can_be_given():
    from accelerate.tracking import GeneralTracker

    class Memory(GeneralTracker):
        name, requires_logging_directory = "memory", False

        def __init__(self):
            super().__init__(_blank=True)
            self.rows, self.finished, self.settings = [], False, {}

        tracker = property(lambda self: self.rows)

        def store_init_configuration(self, values):
            self.settings = values

        def log(self, values, step, **_):
            self.rows.append((step, values["loss"]))

        def finish(self):
            self.finished = True

    memory = Memory()
    _, result = train(CONFIG, trackers=[memory])
    assert memory.rows == [(row["step"], row["loss"]) for row in result.history]
    assert memory.settings["lr"] == CONFIG.lr
    assert memory.finished


@pytest.mark.parametrize(
    ("trackers", "error", "message"),
    [
        (["tensorbord"], ValueError, "did you mean 'tensorboard'"),
        ("tensorboard", ValueError, "must be a list of names"),
        (["tensorboard"], ValueError, "needs a folder"),
    ],
)
def test_wrong_trackers_are_named(trackers, error, message):
    with pytest.raises(error, match=message):
        train(CONFIG, trackers=trackers)


def test_a_missing_tracker_says_what_to_install(tmp_path, monkeypatch):
    tracking = pytest.importorskip("accelerate.tracking")
    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(ImportError, match=r"'tensorboard' needs a package .* pip install"):
        train(CONFIG, folder=tmp_path, trackers=["tensorboard"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adma"}, "did you mean 'adam'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes must not be negative"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{"epochs": 1, "batch_size": 1, **settings})
