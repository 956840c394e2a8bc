"""Each method teaches what it says it does: chance before, the effect after, on unseen videos.

The videos are such that nothing but the method's own idea leads to the effect.
"""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from small_videos import (
    CLIPS,
    DriftingTextures,
    Samples,
    both_then_tint,
    drawn,
    nearest_agree,
    network,
    pairs,
    told_tints,
    train,
    way_of,
)
from torch import nn

from vidssl.data.clip_table import ClipTable
from vidssl.methods import motionfit, timebalance
from vidssl.methods import semi_supervised as semi
from vidssl.methods.semi_supervised import MeanTeacher, SemiSupervisedConfig, TwoStreams

SEEDS = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
CHANCE = 0.45  # with four classes nobody reaches it by guessing


# --- MotionFit: what motion says, taught to RGB ---------------------------------------------------


def motion_features(videos, seed):
    """What a motion model would say: features (N, 64) of each clip that tell its way."""
    rows, rng = np.repeat(videos.video_ids, CLIPS), np.random.default_rng(seed)
    centres = np.abs(rng.normal(size=(4, 64)))
    start = np.tile(10 * np.arange(CLIPS), len(videos))
    ways = np.array([way_of(video_id) for video_id in rows])
    values = centres[ways] + 0.3 * np.abs(rng.normal(size=(len(rows), 64)))
    return ClipTable(rows, start, start + 10, values.astype(np.float32))


SEEN, UNSEEN = DriftingTextures(128, "seen"), DriftingTextures(24, "unseen")


def multi_clip(seed):
    return motionfit.MultiClipNetwork(network(4, seed), motionfit.MotionFitConfig())


def said(model, videos, output="mean"):
    return motionfit.clip_features(model.backbone, videos, output=output, progress=False)[0]


def told_ways(model, videos):
    """The share of clips whose nearest clip of another video drifts the same way."""
    features = said(model, videos)
    return nearest_agree(features.values, ways_of(features), features.video_id)


def ways_of(table):
    return np.array([way_of(video_id) for video_id in table.video_id])


@cache
def taught_by_clusters(seed):
    """A network that pseudo-labels of flow features have taught, and what it told before."""
    seen = DriftingTextures(128, "seen", labels=False)
    labels, _ = motionfit.pseudo_label_table(motion_features(seen, seed), 4, seed=seed)
    step = motionfit.training_step(motionfit.MotionFitConfig(), pseudo_labels=labels)
    model = multi_clip(seed)
    before = told_ways(model, UNSEEN)
    train(model, seen, step, epochs=20, lr=6e-3, seed=seed)
    return before, model


@SEEDS
def test_clusters_of_motion_teach_an_rgb_network_to_see_motion(seed):
    """MotionFit's third step: nothing but the clusters says that motion is the matter."""
    before, model = taught_by_clusters(seed)
    assert before < CHANCE
    assert told_ways(model, UNSEEN) > 0.75


def handed_over(model, seed):
    """The share of unseen clips whose features are most like the motion model's of their way.

    By cosine, after each network's mean is taken away: a constant tells nothing.
    """
    wanted, found = motion_features(UNSEEN, seed), said(model, UNSEEN)
    one, other = (table.values - table.values.mean(axis=0) for table in (found, wanted))
    alike = one @ (other / np.linalg.norm(other, axis=1, keepdims=True)).T
    return (ways_of(found) == ways_of(wanted)[alike.argmax(axis=1)]).mean()


def matched(seed, labelled):
    """What MERS or MARS makes of a student that sees motion already, as in the notebooks, and
    has a new classifier."""
    model = copy.deepcopy(taught_by_clusters(seed)[1])
    model.backbone.reset_classifier(4)
    assert handed_over(model, seed) < CHANCE
    step = motionfit.feature_matching_step(motion_features(SEEN, seed), labelled=labelled)
    train(model, SEEN, step, epochs=10, lr=6e-3, seed=seed)
    return model


@SEEDS
def test_mers_hands_over_features_of_motion(seed):
    assert handed_over(matched(seed, labelled=False), seed) > 0.75


@SEEDS
def test_mars_hands_over_features_and_learns_labels(seed):
    model = matched(seed, labelled=True)
    assert handed_over(model, seed) > 0.75
    logits = said(model, UNSEEN, "logits")
    assert (logits.values.argmax(axis=1) == ways_of(logits)).mean() > 0.75


# --- TimeBalance ----------------------------------------------------------------------------------


def tinted_times(name):
    """``make`` of `Samples`: a bar's place tells the time, the tint behind it the video."""

    def make(index, generator):
        tint = 0.6 * torch.rand(3, 1, 1, 1, generator=drawn(name, index))
        local = tint.expand(4, 3, 4, 12, 12).clone()
        for time in range(4):
            local[time, ..., 3 * time : 3 * time + 3] += 1
        sparse = local[:, :, ::4].transpose(0, 1).flatten(1, 2)
        clips = torch.cat([sparse[None], local])[None].expand(2, -1, -1, -1, -1, -1)
        noise = 0.1 * torch.randn(clips.shape, generator=generator)
        return {"clips": (clips + noise).flatten(0, 1), "video_id": f"{name}-{index}"}

    return make


def told_videos(teacher, count=16):
    """The share of clips of new videos whose nearest other clip is another time of their own."""
    videos = Samples(count, tinted_times("unseen"))
    clips = torch.stack([sample["clips"][1:5] for sample in videos])
    rows = timebalance.clip_embeddings(teacher, clips).flatten(0, 1).numpy()
    return nearest_agree(rows, np.repeat(np.arange(count), 4), np.arange(4 * count))


@SEEDS
def test_the_invariant_teacher_knows_a_video_at_another_time(seed):
    """Before, the bar makes clips of one time alike; what is asked for is what stays."""
    teacher = timebalance.Teacher(network(0, seed, "r3d_10_dilated"))
    assert told_videos(teacher) < 0.2
    step = timebalance.teacher_step(timebalance.TeacherConfig("invariant"))
    videos = Samples(64, tinted_times("seen"))
    train(teacher, videos, step, epochs=6, batch_size=8, lr=2e-3, seed=seed)
    assert told_videos(teacher) > 0.6


class KnowsHalf(nn.Module):
    """Reads the place of two classes; of the others it is sure that they are one of these two."""

    num_classes = 4

    def __init__(self, known):
        super().__init__()
        self.unknown = torch.tensor([label not in known for label in range(4)])

    def forward(self, clip):
        light = nn.functional.adaptive_avg_pool2d(clip[:, :, -1], 2).mean(dim=1).flatten(1)
        return (10 * light).masked_fill(self.unknown, -1e4)


def taught_student(seed, trusted):
    """A student of two such teachers; ``trusted`` is the invariant one's weight where it knows."""
    scores = {f"labelled-{label}": trusted if label < 2 else 1 - trusted for label in range(4)}
    for index in range(128):
        scores[f"unlabelled-{index}"] = scores[f"labelled-{index % 4}"]
    teachers = timebalance.FrozenTeachers(KnowsHalf((0, 1)), KnowsHalf((2, 3)), 4)
    step = timebalance.student_step(teachers, scores, timebalance.StudentConfig())
    student = network(4, seed)
    before = told_tints(student)
    train(student, pairs(both_then_tint), step, epochs=8, seed=seed)
    return before, told_tints(student)


@SEEDS
def test_the_student_learns_from_the_teacher_that_its_video_asks_for(seed):
    """Two teachers know half of the classes each; the tint is seen on unlabelled videos alone."""
    before, after = taught_student(seed, trusted=1.0)
    assert before < CHANCE
    assert after > 0.75


def test_the_wrong_teacher_of_each_video_teaches_what_is_wrong():
    _, after = taught_student(0, trusted=0.0)
    assert after < 0.2


# --- semi-supervised baselines --------------------------------------------------------------------


def tint_then_both(label, generator):
    return both_then_tint(label, generator).flip(0)


def semi_supervised(name, seed, weight):
    """Model to train, network to test, step and views of a baseline."""
    rgb = network(4, seed)
    if name == "mean_teacher":
        model = MeanTeacher(rgb)
        config = SemiSupervisedConfig(weight=10 * weight, decay=0.9)
        return model, model.teacher, semi.mean_teacher_step(config), tint_then_both
    config = SemiSupervisedConfig(threshold=0.8, weight=weight)
    if name == "fixmatch":
        return rgb, rgb, semi.fixmatch_step(config), both_then_tint
    model = TwoStreams(rgb, network(4, seed + 10))
    return model, rgb, semi.gradient_fixmatch_step(config), both_then_tint


def learned_tints(name, seed, weight):
    model, tested, step, views = semi_supervised(name, seed, weight)
    before = told_tints(tested)
    train(model, pairs(views), step, epochs=8, seed=seed)
    return before, told_tints(tested)


BASELINES = pytest.mark.parametrize("name", ["mean_teacher", "fixmatch", "gradient_fixmatch"])


@SEEDS
@BASELINES
def test_unlabelled_views_teach_what_labels_do_not(name, seed):
    """One view shows what the labels taught, the other the tint alone: that is then known too."""
    before, after = learned_tints(name, seed, weight=1.0)
    assert before < CHANCE
    assert after > 0.75


@BASELINES
def test_without_their_weight_unlabelled_views_teach_nothing(name):
    _, after = learned_tints(name, 0, weight=0.0)
    assert after < CHANCE
