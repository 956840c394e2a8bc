from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from vidssl import models
from vidssl.core import normalise
from vidssl.data.clip_table import ClipTable
from vidssl.data.datasets import collate
from vidssl.evaluation import purity_score
from vidssl.losses import clip_orders, multi_clip_loss
from vidssl.methods import motionfit
from vidssl.methods.motionfit import MotionFitConfig, segment_features
from vidssl.training import StepContext, TrainConfig, fit


def context(seed=0):
    return StepContext(0, 0.0, torch.Generator().manual_seed(seed))


def as_it_is(flow):
    return flow


def network(config, num_classes=3, **options):
    torch.manual_seed(0)
    backbone = models.build("r2plus1d_10", num_classes=num_classes, width=0.125, **options)
    return motionfit.MultiClipNetwork(backbone, config).eval()


def batch(videos=2, clips=3, channels=3):
    torch.manual_seed(1)
    start = torch.arange(clips).repeat(videos, 1) * 10
    return {
        "clips": torch.rand(videos, clips, channels, 4, 16, 16),
        "times": torch.stack([start, start + 10], dim=-1),
        "label": torch.arange(videos),
        "video_id": [f"v{i}" for i in range(videos)],
    }


def table(values, videos=2):
    """One row each 10 frames, three a video."""
    values = np.asarray(values)
    start = np.tile(np.arange(3) * 10, videos)
    return ClipTable(np.repeat([f"v{i}" for i in range(videos)], 3), start, start + 10, values)


# --- segments ----------------------------------------------------------------------------------


def test_clip_level_is_the_features_themselves():
    features = torch.randn(5, 3)
    segments, index = segment_features(features, "clip")
    assert torch.equal(segments, features)
    assert index.tolist() == [0, 1, 2, 3, 4]


def test_video_level_is_the_mean():
    features = torch.randn(5, 3)
    segments, index = segment_features(features, "video")
    assert torch.allclose(segments, features.mean(0, keepdim=True))
    assert index.tolist() == [0] * 5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 13])
def test_thirds_are_numpys_three_equal_parts(count):
    features = np.random.default_rng(0).normal(size=(count, 4))
    segments, index = segment_features(features, "thirds")
    parts = [part for part in np.array_split(features, 3) if len(part)]
    assert np.allclose(segments, [part.mean(0) for part in parts])
    assert index.tolist() == [i for i, part in enumerate(parts) for _ in part]


def test_boundaries_are_where_the_distance_exceeds_the_percentile():
    """Distances 1, 1, 8, 1, 2: the 75th percentile is 2, the 50th is 1."""
    features = torch.tensor([[0.0, 0], [1, 0], [1, 1], [5, 5], [5, 4], [5, 6]])
    segments, index = segment_features(features, "boundaries", percentile=75)
    assert index.tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.allclose(segments, torch.tensor([[2 / 3, 1 / 3], [5, 5]]))
    assert segment_features(features, "boundaries", percentile=50)[1].tolist() == [0, 0, 0, 1, 1, 2]
    assert segment_features(features, "boundaries", percentile=100)[1].tolist() == [0] * 6
    assert segment_features(features, "boundaries", percentile=0)[1].tolist() == [0, 0, 0, 1, 1, 2]


def test_boundaries_agree_with_a_loop():
    features = np.random.default_rng(1).normal(size=(40, 6))
    distances = [np.abs(b - a).sum() for a, b in pairwise(features)]
    limit, index = np.percentile(distances, 80), [0]
    for distance in distances:
        index.append(index[-1] + (distance > limit))
    segments, found = segment_features(features, "boundaries", percentile=80)
    assert found.tolist() == index
    assert np.allclose(segments[2], features[found == 2].mean(0))


def test_features_that_never_change_are_one_segment():
    for level in ("boundaries", "video"):
        assert segment_features(torch.ones(7, 3), level)[1].tolist() == [0] * 7


def test_one_clip_is_one_segment_at_each_level():
    for level in motionfit.LEVELS:
        segments, index = segment_features(torch.randn(1, 3), level)
        assert segments.shape == (1, 3)
        assert index.tolist() == [0]


def test_arrays_give_arrays_and_tensors_tensors():
    assert all(isinstance(x, np.ndarray) for x in segment_features(np.ones((4, 2)), "thirds"))
    assert all(isinstance(x, torch.Tensor) for x in segment_features(torch.ones(4, 2), "thirds"))


@pytest.mark.parametrize(
    ("features", "level", "percentile", "message"),
    [
        (torch.zeros(4), "clip", 75, r"features must be \(T, D\) with T >= 1, got \(4,\)"),
        (torch.zeros(0, 3), "clip", 75, r"got \(0, 3\)"),
        (torch.zeros(4, 3), "third", 75, "level='third' is unknown; did you mean 'thirds'"),
        (torch.zeros(4, 3), "boundaries", 101, r"percentile=101 must be in \[0, 100\]"),
    ],
)
def test_impossible_segments(features, level, percentile, message):
    with pytest.raises(ValueError, match=message):
        segment_features(features, level, percentile=percentile)


@pytest.mark.parametrize(
    ("found", "true", "hits"),
    [([], [5], 0), ([5], [], 0), ([5], [9], 1), ([5], [10], 0), ([4, 6], [5], 1), ([5], [4, 6], 1)],
)
def test_each_boundary_is_matched_once(found, true, hits):
    assert motionfit.matched_boundaries(found, true, tolerance=4) == hits


def test_boundary_times_lie_between_two_clips():
    values = np.zeros((6, 2))
    values[1:3] = 4  # video 0 jumps between its first and its second clip, video 1 never
    times = motionfit.boundary_times(table(values), percentile=75)
    assert {name: found.tolist() for name, found in times.items()} == {"v0": [10.0], "v1": []}


def test_a_video_without_features_has_all_its_boundaries_missed():
    true = {"v0": [10.0], "v1": [5.0, 30.0]}
    assert motionfit.boundary_scores({"v0": [12.0, 40.0]}, true, 4) == (1 / 2, 1 / 3)
    assert motionfit.boundary_scores({}, true, 4) == (0, 0)


def test_random_boundaries_are_as_many_and_lie_between_clips():
    features = table(np.zeros((6, 2)))
    drawn = motionfit.random_times(features, {"v0": np.array([1.0]), "v1": np.array([])}, 0)
    assert [len(found) for found in drawn.values()] == [1, 0]
    assert drawn["v0"][0] in (10.0, 20.0)


# --- pseudo-labels -----------------------------------------------------------------------------


def test_pseudo_labels_are_of_the_clips_time_and_none_elsewhere():
    labels = table([0, 1, 2, 3, 4, 5])
    times = torch.tensor([[[0, 10], [12, 22]], [[18, 28], [60, 70]]])
    assert motionfit.labels_at(labels, ["v1", "v0"], times).tolist() == [[3, 4], [2, -1]]
    assert motionfit.labels_at(labels, ["v0", "no"], times).tolist() == [[0, 1], [-1, -1]]


def test_neighbours_of_the_first_and_last_clip():
    labels, times = table([0, 1, 2, 3, 4, 5]), batch()["times"]
    assert motionfit.labels_at(labels, ["v0", "v1"], times, -1).tolist() == [[-1, 0, 1], [-1, 3, 4]]
    assert motionfit.labels_at(labels, ["v0", "v1"], times, 1).tolist() == [[1, 2, -1], [4, 5, -1]]


def blobs(level_noise=0.1):
    """Features of 30 videos of 6 clips; the three motions of a video are far apart."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 30).repeat(6)
    features = 10 * np.eye(3)[truth] + level_noise * rng.normal(size=(180, 3))
    names = np.array([f"v{i:02d}" for i in range(30)]).repeat(6)
    start = np.tile(np.arange(6) * 5, 30)
    return ClipTable(names, start, start + 10, features.astype(np.float32)), truth


@pytest.mark.parametrize("level", motionfit.LEVELS)
def test_far_apart_motions_are_told_apart_at_each_level(level):
    features, truth = blobs()
    labels, clusters = motionfit.pseudo_label_table(features, 3, level=level)
    assert clusters.sizes.sum() == len(motionfit.segment_table(features, level)[0])
    assert labels.values.dtype == np.int64
    pairs = set(zip(truth.tolist(), labels.values.tolist()))
    assert len(pairs) == 3
    assert np.array_equal(labels.start, features.start)


def test_shuffled_rows_get_the_same_segments():
    features, _ = blobs(level_noise=5)
    order = np.random.default_rng(1).permutation(len(features))
    columns = (features.video_id, features.start, features.stop, features.values)
    shuffled = ClipTable(*(column[order] for column in columns))
    segments, index = motionfit.segment_table(features, "boundaries", 60)
    again, places = motionfit.segment_table(shuffled, "boundaries", 60)
    assert np.array_equal(segments, again)
    assert np.array_equal(index[order], places)


def test_more_clusters_than_segments():
    features, _ = blobs()
    with pytest.raises(ValueError, match="num_clusters=31 must be between 1 and the 30 segments"):
        motionfit.pseudo_label_table(features, 31, level="video")


# --- networks and steps ------------------------------------------------------------------------


def test_step_one_is_the_multi_clip_loss_of_the_videos_label():
    config = MotionFitConfig()
    model, data = network(config), batch()
    loss, metrics = motionfit.training_step(config)(model, data, context())
    logits = model.backbone(normalise(data["clips"]).flatten(0, 1)).unflatten(0, (2, 3))
    assert loss.item() == pytest.approx(multi_clip_loss(logits, data["label"]).item(), rel=1e-5)
    assert set(metrics) == {"train_accuracy"}


def test_lambda_weighs_classes_against_order():
    """Eq. 3 is linear in lambda, with the same draws of the order."""
    losses = {}
    for share in (0.25, 0.75):
        config = MotionFitConfig(multi_clip_weight=share)
        step = motionfit.training_step(config)
        losses[share] = step(network(config), batch(), context())[0].item()
    config = MotionFitConfig(multi_clip_weight=0.5)
    model = network(config)
    output = model(normalise(batch()["clips"]), context().generator)
    classes = multi_clip_loss(output.logits, batch()["label"]).item()
    order = cross_entropy(output.order_logits, output.order).item()
    assert losses[0.25] == pytest.approx(0.25 * classes + 0.75 * order, rel=1e-5)
    assert losses[0.75] == pytest.approx(0.75 * classes + 0.25 * order, rel=1e-5)


def test_clip_order_alone_needs_neither_labels_nor_a_classifier():
    config = MotionFitConfig(multi_clip_weight=0)
    data = batch(channels=2) | {"label": torch.tensor([-1, -1])}
    step = motionfit.training_step(config, prepare=as_it_is)
    loss, metrics = step(network(config, 0, in_channels=2), data, context())
    assert loss.item() > 0
    assert set(metrics) == {"order_accuracy"}


def test_orders_are_those_of_the_features():
    model = network(MotionFitConfig(multi_clip_weight=0.5))
    output = model(normalise(batch()["clips"]), context(3).generator)
    places = torch.tensor([clip_orders(3)[k] for k in output.order])
    shuffled = torch.stack([f[p] for f, p in zip(output.features, places)])
    assert torch.allclose(model.order_head(shuffled), output.order_logits)


def test_self_training_asks_for_the_label_of_each_clips_time():
    config = MotionFitConfig(neighbours=True)
    model, data = network(config, num_classes=6), batch()
    labels = table([0, 1, 2, 3, 4, 5])
    loss, _ = motionfit.training_step(config, pseudo_labels=labels)(model, data, context())
    output = model(normalise(data["clips"]))
    wanted = [
        (output.logits, [[0, 1, 2], [3, 4, 5]]),
        (output.neighbour_logits[0], [[-1, 0, 1], [-1, 3, 4]]),
        (output.neighbour_logits[1], [[1, 2, -1], [4, 5, -1]]),
    ]
    parts = [multi_clip_loss(logits, torch.tensor(target)).item() for logits, target in wanted]
    assert loss.item() == pytest.approx(sum(parts), rel=1e-5)
    with pytest.raises(ValueError, match="neighbours=True needs pseudo-labels"):
        motionfit.training_step(config)(model, data, context())


@pytest.mark.parametrize("labelled", [False, True])
def test_feature_matching(labelled):
    """MERS is 50 times the mean squared error over the known clips; MARS adds cross-entropy."""
    config = MotionFitConfig()
    model, data = network(config), batch()
    features = model(normalise(data["clips"])).features.detach()
    teacher = table(features.flatten(0, 1).numpy() + 0.1)
    step = motionfit.feature_matching_step(teacher, labelled=labelled)
    loss, metrics = step(model, data, context())
    wanted = 50 * 0.01
    if labelled:
        wanted += multi_clip_loss(model(normalise(data["clips"])).logits, data["label"]).item()
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    assert metrics["feature_error"] == pytest.approx(0.01, rel=1e-4)
    unknown = data | {"video_id": ["v0", "absent"]}
    assert step(model, unknown, context())[1]["feature_error"] == pytest.approx(0.01, rel=1e-4)


def test_features_of_another_width_cannot_be_matched():
    step = motionfit.feature_matching_step(table(np.zeros((6, 5), np.float32)), labelled=False)
    with pytest.raises(ValueError, match="64 channels, the teacher's 5"):
        step(network(MotionFitConfig()), batch(), context())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": 0}, "clips must be at least 1"),
        ({"multi_clip_weight": 1.5}, r"multi_clip_weight=1.5 must be in \[0, 1\]"),
        ({"clips": 1, "multi_clip_weight": 0.5}, "clips=1 has no order"),
    ],
)
def test_impossible_configurations(options, message):
    with pytest.raises(ValueError, match=message):
        MotionFitConfig(**options)


# --- the pipeline on flow that is known -----------------------------------------------------------


class Drifts(torch.utils.data.Dataset):
    """Flow of videos that drift left, right, up or down, over noise; 3 clips of 10 frames."""

    ways = torch.tensor([[-1.0, 0], [1, 0], [0, -1], [0, 1]])

    def __init__(self, count, labels=True):
        self.count, self.labels = count, labels

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if index >= self.count:
            raise IndexError
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        noise = torch.randn(3, 2, 4, 12, 12, generator=generator)
        start = torch.arange(3) * 10
        return {
            "clips": self.ways[index % 4].view(1, 2, 1, 1, 1) + 0.5 * noise,
            "times": torch.stack([start, start + 10], dim=1),
            "label": index % 4 if self.labels else -1,
            "video_id": f"v{index:03d}",
            "failed": [],
        }


def test_motion_model_to_pseudo_labels():
    """Trained on flow of eight labelled videos, the features of others cluster by their motion."""
    config = MotionFitConfig()
    model = network(config, num_classes=4, in_channels=2)
    prepare = as_it_is
    fit(
        model,
        Drifts(8),
        motionfit.training_step(config, prepare=prepare),
        TrainConfig(epochs=30, batch_size=8, lr=3e-3),
        collate=collate,
        report=lambda step, metrics: None,
    )
    features, failed = motionfit.clip_features(
        model.backbone, Drifts(40, labels=False), prepare=prepare, progress=False, batch_clips=2
    )
    assert not failed
    assert features.values.shape == (120, 64)
    labels, _ = motionfit.pseudo_label_table(features, 4, level="video")
    truth = np.array([int(name[1:]) % 4 for name in features.video_id])
    assert purity_score(labels.values, truth) > 0.9


class OneBroken(Drifts):
    """Video 1 cannot be read; of a single video, that one."""

    def __getitem__(self, key):
        sample = super().__getitem__(key)
        if key == 1 or self.count == 1:
            nothing = {"clips": torch.zeros(0), "times": torch.zeros(0, 2, dtype=torch.int64)}
            sample |= {**nothing, "failed": ["v001: damaged"]}
        return sample


def test_unreadable_videos_have_no_features():
    model = network(MotionFitConfig(), in_channels=2).backbone
    options = {"prepare": as_it_is, "progress": False}
    table, failed = motionfit.clip_features(model, OneBroken(3), **options)
    assert failed == ["v001: damaged"]
    assert sorted(table.rows_of) == ["v000", "v002"]
    with torch.no_grad():
        wanted = model.forward_features(Drifts(3)[2]["clips"]).mean((2, 3, 4))
    assert np.allclose(table.values[table.rows_of["v002"]], wanted.numpy(), atol=1e-5)
    with pytest.raises(RuntimeError, match="none of 1 videos could be read; first: v001"):
        motionfit.clip_features(model, OneBroken(1), **options)


def test_retrieval_takes_the_largest_values_and_an_unreadable_query_finds_nothing():
    model = network(MotionFitConfig(), in_channels=2).backbone
    options = {"prepare": as_it_is, "progress": False}
    gallery = motionfit.retrieval_features(model, Drifts(4), **options)
    with torch.no_grad():
        wanted = model.forward_features(Drifts(4)[2]["clips"]).amax((2, 3, 4))
    assert np.allclose(gallery.values[2], wanted.numpy(), atol=1e-5)
    itself = motionfit.recalls(gallery, gallery, ks=(1, 4))
    assert itself == {kind: {1: 1.0, 4: 1.0} for kind in ("clip", "video")}
    broken = motionfit.retrieval_features(model, OneBroken(4), **options)
    found = motionfit.recalls(broken, gallery, ks=(1,))
    assert found == {"clip": {1: 0.75}, "video": {1: 0.75}}, "3 of 4 videos, 9 of 12 clips"
