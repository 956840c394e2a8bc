import copy
import math
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from vidssl import models
from vidssl.data import consecutive_clips, open_dataset
from vidssl.files import write_arrays
from vidssl.methods import timebalance
from vidssl.methods.timebalance import (
    FrozenTeachers,
    Similarities,
    StudentConfig,
    Teacher,
    TeacherConfig,
    blend_teachers,
    calibrate,
    load_similarities,
    temporal_similarity,
)
from vidssl.models.pretrained import save_pretrained
from vidssl.protocol import Clips
from vidssl.training import StepContext, TrainConfig, fit


def network(num_classes=3, seed=0, name="r3d_10_dilated"):
    torch.manual_seed(seed)
    return models.build(name, num_classes=num_classes, width=0.125)


def views(videos=3, frames=8, seed=0, locals_count=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(videos, 2, 1 + locals_count, 3, frames, 16, 16, generator=generator)


def batch_of(shown):
    """As `vidssl.data.two_scale_views` gives them: both augmentations, one after the other."""
    return {"clips": shown.flatten(1, 2)}


def context(step=0):
    return StepContext(step, 0.0, torch.Generator().manual_seed(step))


# --- teachers -----------------------------------------------------------------------------------


def test_views_come_back_in_their_places():
    """The embedding of each clip is that of the clip alone (eval mode: no batch statistics)."""
    teacher = Teacher(network(0)).eval()
    shown = views()
    with torch.no_grad():
        found = timebalance.embed_views(teacher, shown)
        one = timebalance.normalise(shown[1, 1, 0][None])
        local = timebalance.normalise(shown[2, 0, 3][None])
        torch.testing.assert_close(found.g[1, 1], teacher(one).pooled[0])
        torch.testing.assert_close(found.z[0, 2, 2], teacher(local).pooled[0])
        torch.testing.assert_close(found.h[1, 1], teacher(one, 1).slices[0])
    assert found.h.shape == (2, 3, 4, 128)
    assert found.features.shape == (2 * 3 * 5, 64)


def test_all_clips_of_a_step_go_through_one_forward():
    teacher = Teacher(network(0))
    batches = []
    teacher.backbone.register_forward_pre_hook(lambda *_: batches.append("whole"))
    teacher.projector.register_forward_pre_hook(lambda _, rows: batches.append(len(rows[0])))
    original = teacher.backbone.forward_features
    teacher.backbone.forward_features = lambda clip: (batches.append(len(clip)), original(clip))[1]
    timebalance.embed_views(teacher, views())
    assert batches == [30, 30 + 6 * 4]


@pytest.mark.parametrize(
    ("objective", "terms"),
    [
        ("invariant", {"instance_contrast_loss"}),
        ("distinctive", {"local_local_loss", "global_local_loss"}),
        ("tclr", {"instance_contrast_loss", "local_local_loss", "global_local_loss"}),
    ],
)
def test_an_objective_is_the_weighted_sum_of_its_terms(objective, terms):
    config = TeacherConfig(objective, instance_contrast=2.0, local_local=3.0, global_local=5.0)
    step = timebalance.teacher_step(config)
    loss, metrics = step(Teacher(network(0)), batch_of(views()), context())
    assert {name for name in metrics if name.endswith("_loss")} == terms
    expected = sum(getattr(config, name.removesuffix("_loss")) * metrics[name] for name in terms)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_clips_that_look_alike_are_at_the_chance_loss():
    alike = views()[:1, :1, :1].expand(3, 2, 5, -1, -1, -1, -1)
    teacher = Teacher(network(0)).eval()
    for objective in timebalance.OBJECTIVES:
        config = TeacherConfig(objective)
        embedded = timebalance.embed_views(teacher, alike)
        # slices of one clip do differ in time: here they get what the clip has as a whole
        embedded = embedded._replace(h=embedded.z)
        loss = sum(timebalance.contrastive_terms(embedded, config).values())
        assert loss.item() == pytest.approx(config.chance_loss(3), abs=1e-3), objective


def test_what_the_losses_compare_can_be_drawn():
    """Rows are in the losses' order: the positives' mean similarity is what training raises."""
    teacher = Teacher(network(0)).eval()
    with torch.no_grad():
        embedded = timebalance.embed_views(teacher, views())
    drawn = timebalance.contrasted(embedded)
    assert [matrix.shape for matrix, _ in drawn.values()] == [(24, 24), (8, 8), (4, 4)]
    cosine = torch.cosine_similarity(embedded.z[1, 2, 3], embedded.z[0, 0, 1], dim=0)
    assert drawn["instance contrast"].similarity[2 * 8 + 4 + 3, 1] == pytest.approx(cosine.item())
    assert not drawn["instance contrast"].positive[2 * 8 + 4 + 3, 1]
    assert drawn["local-local"].positive[1].nonzero()[0].tolist() == [1, 5]
    same = torch.cosine_similarity(embedded.h[0, 0, 2], embedded.z[0, 0, 2], dim=0)
    [matrix, positive] = drawn["global-local"]
    assert matrix[2, 2] == pytest.approx(same.item())
    assert positive.tolist() == np.eye(4, dtype=bool).tolist()
    assert list(timebalance.contrasted(embedded._replace(h=embedded.h[:, :, :1]))) == [
        "instance contrast",
        "local-local",
    ]


def test_a_plateau_is_told_from_a_collapse():
    chance = TeacherConfig("distinctive").chance_loss(8)
    assert chance == pytest.approx(math.log(7) + math.log(4))
    varied = torch.randn(40, 16, generator=torch.Generator().manual_seed(0)) + 1
    same = torch.ones(40, 16) + 1e-3 * varied
    state = timebalance.learning_state
    assert state(chance, chance, timebalance.feature_spread(varied)) == "plateau"
    assert state(chance, chance, timebalance.feature_spread(same)) == "collapsed"
    assert state(0.4 * chance, chance, timebalance.feature_spread(varied)) == "learning"
    assert state(1.6 * chance, chance, timebalance.feature_spread(varied)) == "early"


def test_a_backbone_without_a_slice_for_each_local_clip_is_refused():
    step = timebalance.teacher_step(TeacherConfig("distinctive"))
    teacher = Teacher(network(0, name="r2plus1d_10"))
    with pytest.raises(
        ValueError, match="ends with 1 time slices of a clip, which are no multiple of the 4"
    ):
        step(teacher, batch_of(views()), context())
    loss, _ = timebalance.teacher_step(TeacherConfig("invariant"))(
        teacher, batch_of(views()), context()
    )
    assert torch.isfinite(loss)


def test_time_slices_are_known_before_anything_is_read():
    distinctive, invariant = TeacherConfig("distinctive"), TeacherConfig("invariant")
    for name, frames, slices in (
        ("r3d_10_dilated", 8, 4),
        ("r3d_18_dilated", 16, 4),
        ("slow_r50", 16, 16),
        ("slow_r50", 8, 8),
    ):
        assert timebalance.time_slices(name, frames) == slices
        assert timebalance.slices_fit(slices, distinctive), name
    assert not timebalance.slices_fit(timebalance.time_slices("r3d_18", 16), distinctive)
    assert timebalance.slices_fit(timebalance.time_slices("r3d_18", 16), invariant)


@pytest.mark.parametrize("frames", [8, 16])
def test_neighbouring_slices_of_a_3d_resnet50_are_averaged(frames):
    """It keeps all frames: each of four slices is the mean of a quarter of them, both lengths."""
    torch.manual_seed(0)
    teacher = Teacher(network(0, name="slow_r50")).eval()
    shown = torch.rand(2, 2, 5, 3, frames, 32, 32)
    with torch.no_grad():
        found = timebalance.embed_views(teacher, shown)
        clip = timebalance.normalise(shown[1, 0, 0][None])
        [in_time] = teacher.backbone.forward_features(clip).mean(dim=(3, 4)).transpose(1, 2)
        third = in_time[frames // 2 : 3 * frames // 4].mean(dim=0, keepdim=True)
        torch.testing.assert_close(found.h[0, 1, 2], teacher.projector(third)[0])
    assert found.h.shape == (2, 2, 4, 128)
    terms = timebalance.contrastive_terms(found, TeacherConfig("tclr"))
    assert all(torch.isfinite(term) for term in terms.values())


def test_local_pairs_have_a_weight_of_their_own():
    """1 : 14, as the release sums: 56 pairs over 4 beside one."""
    with torch.no_grad():
        embedded = timebalance.embed_views(Teacher(network(0)).eval(), views())
    shares = [
        timebalance.contrastive_terms(embedded, TeacherConfig(instance_locals=weight))
        for weight in (0.0, 1.0, 14.0)
    ]
    only_global, even, released = (each["instance_contrast"].item() for each in shares)
    local = 2 * even - only_global
    assert released == pytest.approx((only_global + 14 * local) / 15)
    with pytest.raises(ValueError, match="instance_locals is a weight"):
        TeacherConfig(instance_locals=-1.0)


def test_what_a_pretraining_leaves_is_found_again(tmp_path):
    teacher, about = Teacher(network(0)).eval(), {"backbone": "r3d_10_dilated", "width": 0.125}
    save_pretrained(teacher, tmp_path / "teacher.pt", **about)
    save_pretrained(teacher.backbone, tmp_path / "backbone.pt", **about)
    again = timebalance.load_teacher(tmp_path)
    clip = timebalance.normalise(views()[:, 0, 0])
    torch.testing.assert_close(again(clip).pooled, teacher(clip).pooled)
    save_pretrained(network(3), tmp_path / timebalance.finetuned_name(0.07), **about)
    both = timebalance.load_finetuned(tmp_path, tmp_path, 0.07, num_classes=3)
    assert [net.num_classes for net in both.networks] == [3, 3]
    with pytest.raises(ValueError, match="the invariant teacher knows 3 classes, the student 4"):
        timebalance.load_finetuned(tmp_path, tmp_path, 0.07, num_classes=4)
    with pytest.raises(FileNotFoundError, match=r"finetuned-5\.pt"):
        timebalance.load_finetuned(tmp_path, tmp_path, 0.05, num_classes=3)


def test_unknown_objectives_and_weights_are_refused():
    with pytest.raises(ValueError, match="did you mean 'invariant'"):
        TeacherConfig("invarient")
    with pytest.raises(ValueError, match="local_local is a weight"):
        TeacherConfig("distinctive", local_local=-1.0)
    with pytest.raises(ValueError, match="views must have shape"):
        timebalance.embed_views(Teacher(network(0)), views()[:, :1])


class MovingSpots(torch.utils.data.Dataset):
    """A white bar whose place tells the time, before noise that tells the video."""

    def __len__(self):
        return 16

    def __getitem__(self, key):
        epoch, index = key
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        noise = torch.rand(1, 3, 1, 1, 1, generator=torch.Generator().manual_seed(index))
        local = noise.expand(4, 3, 8, 16, 16).clone()
        for time in range(4):
            local[time, :, :, :, 4 * time : 4 * time + 4] += 1.0
        sparse = local[:, :, ::4].transpose(0, 1).flatten(1, 2)
        clips = torch.cat([sparse[None], local])[None].expand(2, -1, -1, -1, -1, -1)
        jitter = 0.05 * torch.randn(clips.shape, generator=generator)
        return {"clips": (clips + jitter).flatten(0, 1), "video_id": str(index), "failed": []}


def test_the_distinctive_objective_learns_to_tell_times():
    """The bar's place is all that tells the times apart."""
    config = TeacherConfig("distinctive")
    result = fit(
        Teacher(network(0)),
        MovingSpots(),
        timebalance.teacher_step(config),
        TrainConfig(epochs=6, batch_size=4, lr=2e-3),
        log_every=1,
        report=lambda *_: None,
    )
    last = result.history[-1]
    assert last["loss"] < 0.7 * result.history[0]["loss"]
    chance = config.chance_loss(4)
    assert timebalance.learning_state(last["loss"], chance, last["spread_score"]) == "learning"


# --- temporal similarity ------------------------------------------------------------------------


def test_similarity_of_known_embeddings():
    same = torch.ones(1, 4, 3)
    apart = torch.eye(4)[None]
    opposite = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    assert temporal_similarity(same, same).item() == pytest.approx(1.0)
    assert temporal_similarity(apart, apart).item() == pytest.approx(0.0)
    assert temporal_similarity(same, apart).item() == pytest.approx(0.5)
    assert temporal_similarity(opposite, opposite).item() == 0.0  # clamped


def test_similarity_is_the_slow_loop():
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(3, 4, 6, generator=generator)
    b = torch.rand(3, 4, 5, generator=generator)
    for video in range(3):
        entries = [
            (
                torch.cosine_similarity(a[video, i], a[video, j], dim=0)
                + torch.cosine_similarity(b[video, i], b[video, j], dim=0)
            )
            / 2
            for i in range(4)
            for j in range(4)
            if i != j
        ]
        expected = sum(entries).item() / len(entries)
        assert temporal_similarity(a, b)[video].item() == pytest.approx(expected, abs=1e-6)


def test_similarity_refuses_unequal_and_single_times():
    with pytest.raises(ValueError, match=r"z_distinctive must have shape \(B=2, N=4"):
        temporal_similarity(torch.rand(2, 4, 3), torch.rand(2, 3, 3))
    with pytest.raises(ValueError, match="needs 2 or more"):
        temporal_similarity(torch.rand(2, 1, 3), torch.rand(2, 1, 3))


def test_calibration():
    s = np.array([0.2, 0.6, 0.4, 0.6])
    assert calibrate(s, "none").tolist() == s.tolist()
    assert calibrate(s, "rank").tolist() == [0.125, 0.75, 0.375, 0.75]
    np.testing.assert_allclose(calibrate(s, "minmax"), [0, 1, 0.5, 1])
    np.testing.assert_allclose(calibrate([0.1, 0.5, 0.9], "minmax", reference=s), [0, 0.75, 1])
    assert calibrate([0.1, 0.9], "rank", reference=s).tolist() == [0, 1]
    assert calibrate([0.3, 0.3], "rank").tolist() == calibrate([0.3, 0.3], "minmax").tolist()
    with pytest.raises(ValueError, match="did you mean 'rank'"):
        calibrate(s, "ranks")


def test_similarities_that_are_all_alike_are_warned_of():
    with pytest.warns(UserWarning, match="20 videos are all alike"):
        assert timebalance.warn_if_alike(np.full(20, 0.8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not timebalance.warn_if_alike(np.linspace(0.2, 0.8, 20))


def some_similarities():
    matrices = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0)).numpy()
    return Similarities(["a", "b", "c"], matrices, matrices[::-1].copy(), ("d.mp4: gone",), ("d",))


def test_similarities_are_kept_with_their_matrices(tmp_path):
    kept = some_similarities()
    kept.save(tmp_path / "s.npz")
    loaded = load_similarities(tmp_path / "s.npz")
    assert (loaded.video_ids, loaded.failed) == (kept.video_ids, kept.failed)
    assert loaded.unread == ("d",)
    np.testing.assert_allclose(loaded.scores(), kept.scores(), atol=1e-3)
    assert loaded.of(["c", "a"]).video_ids == ["c", "a"]
    np.testing.assert_allclose(loaded.of(["c", "a"]).scores(), kept.scores()[[2, 0]], atol=1e-3)


def test_fewer_clips_are_the_middle_ones():
    kept = some_similarities()
    averaged = (kept.invariant + kept.distinctive) / 2
    np.testing.assert_allclose(
        kept.scores(2), (averaged[:, 1, 2] + averaged[:, 2, 1]) / 2, rtol=1e-6
    )
    with pytest.raises(ValueError, match="clips=5 must be from 2 to the 4 times"):
        kept.scores(5)


def test_what_could_not_be_read_has_no_similarity_and_stops_nobody():
    kept = some_similarities()
    known = kept.of(["c", "d", "a"])
    assert known.video_ids == ["c", "a"]
    assert known.scores().tolist() == kept.scores()[[2, 0]].tolist()
    with pytest.raises(KeyError, match=r"2 of 4 videos have no temporal similarity.*'x'"):
        kept.of(["x", "d", "a", "y"])


def test_who_could_not_be_read_is_told_by_name_and_by_path(moving_videos, tmp_path):
    records = open_dataset("folder", moving_videos).test[:3]
    path = tmp_path / "cut.mp4"
    path.write_bytes(Path(records[1].path).read_bytes()[:300])
    records[1] = replace(records[1], path=str(path))
    teachers = [Teacher(network(0, seed)).eval() for seed in (0, 1)]
    clips = Clips(4, 1, 16, 16).chosen(records, partial(consecutive_clips, count=2))
    found = timebalance.measure_similarities(*teachers, clips, progress=False)
    assert found.video_ids == [records[0].video_id, records[2].video_id]
    assert found.unread == (records[1].video_id,)
    assert [line.split(": ")[0] for line in found.failed] == [str(path)]
    found.save(tmp_path / "s.npz")
    loaded = load_similarities(tmp_path / "s.npz")
    assert loaded.of([r.video_id for r in records]).video_ids == found.video_ids


def test_files_of_before_do_not_name_them(tmp_path):
    kept = some_similarities()
    write_arrays(
        tmp_path / "s.npz",
        video_ids=kept.video_ids,
        failed=list(kept.failed),
        invariant=kept.invariant,
        distinctive=kept.distinctive,
    )
    loaded = load_similarities(tmp_path / "s.npz")
    assert (loaded.unread, loaded.failed) == ((), kept.failed)
    with pytest.raises(KeyError, match=r"'d'.*run 31_timebalance_similarity"):
        loaded.of(["a", "d"])


def test_missing_similarities_are_named(tmp_path):
    with pytest.raises(KeyError, match=r"1 of 2 videos have no temporal similarity.*'x'"):
        some_similarities().of(["a", "x"])
    with pytest.raises(FileNotFoundError, match="run 31_timebalance_similarity first"):
        load_similarities(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="no file of temporal similarities"):
        load_similarities(tmp_path / "bad.npz")


# --- blending and student -----------------------------------------------------------------------

P_I = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
P_D = torch.tensor([[0.0, 1.0], [0.1, 0.9]])


def test_blending():
    blended = blend_teachers(P_I, P_D, torch.tensor([0.25, 1.0]))
    torch.testing.assert_close(blended, torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    asked = P_I.clone().requires_grad_()
    assert not blend_teachers(asked, P_D, torch.tensor([0.5, 0.5])).requires_grad


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((P_I, P_D[:, :1], torch.ones(2)), "p_distinctive must have shape"),
        ((P_I, P_D, torch.ones(3)), "s must have shape"),
        ((P_I, P_D, torch.ones(2, 1)), "s must have shape"),
        ((P_I, P_D, torch.tensor([0.5, 1.01])), r"s must be in \[0, 1\]"),
        ((P_I, P_D, torch.tensor([-0.1, 0.5])), r"s must be in \[0, 1\]"),
        ((P_I, P_D, torch.tensor([float("nan"), 0.5])), r"s must be in \[0, 1\]"),
    ],
)
def test_impossible_blends_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        blend_teachers(*arguments)


def pairs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "clips": torch.rand(2, 1, 3, 4, 16, 16, generator=generator),
        "label": torch.tensor([0, 2]),
        "video_id": ["a", "b"],
        "unlabelled": torch.rand(3, 1, 3, 4, 16, 16, generator=generator),
        "unlabelled_id": ["c", "d", "e"],
    }


SCORES = dict(zip("abcde", (0.0, 0.3, 0.5, 0.9, 1.0)))


def test_the_students_loss_term_by_term():
    teachers = FrozenTeachers(network(seed=1), network(seed=2), 3)
    student, batch = network(seed=3).eval(), pairs()
    config = StudentConfig(labelled_weight=7.0, unlabelled_weight=11.0)
    loss, metrics = timebalance.student_step(teachers, SCORES, config)(student, batch, context())
    clip = timebalance.normalise(torch.cat([batch["clips"], batch["unlabelled"]])[:, 0])
    with torch.no_grad():
        p_i, p_d = (net(clip).softmax(1) for net in teachers.networks)
        s = torch.tensor([*SCORES.values()])[:, None]
        off = (student(clip).softmax(1) - (s * p_i + (1 - s) * p_d)).square()
        entropy = -student(clip[:2]).log_softmax(1)[[0, 1], batch["label"]].mean()
    labelled, unlabelled = 7 * off[:2].mean(), 11 * off[2:].mean()
    assert metrics["labelled_distillation_loss"] == pytest.approx(labelled.item(), rel=1e-4)
    assert metrics["unlabelled_distillation_loss"] == pytest.approx(unlabelled.item(), rel=1e-4)
    expected = entropy + labelled + unlabelled
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_teachers_stay_as_they_are():
    invariant, distinctive = network(seed=1), network(seed=2)
    before = copy.deepcopy(invariant.state_dict())
    teachers = FrozenTeachers(invariant.train(), distinctive.train(), 3)
    student = network(seed=3).train()
    step = timebalance.student_step(teachers, SCORES, StudentConfig())
    loss, _ = step(student, pairs(), context())
    loss.backward()
    assert not any(module.training for module in teachers.networks.modules())
    assert all(p.grad is None and not p.requires_grad for p in teachers.networks.parameters())
    assert all(torch.equal(value, before[name]) for name, value in invariant.state_dict().items())
    assert all(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize(
    ("blend", "weights"),
    [("average", [0.5] * 5), ("invariant", [1.0] * 5), ("distinctive", [0.0] * 5)],
)
def test_other_blends_do_not_need_scores(blend, weights):
    teachers = FrozenTeachers(network(seed=1), network(seed=2), 3)
    student = network(seed=3).eval()
    config = StudentConfig(blend)
    loss, _ = timebalance.student_step(teachers, {}, config)(student, pairs(), context())
    scores = dict(zip("abcde", weights))
    same, _ = timebalance.student_step(teachers, scores, StudentConfig())(
        student, pairs(), context()
    )
    torch.testing.assert_close(loss, same)


def test_of_pairs_the_teachers_see_the_weak_view_and_the_student_the_strong_one():
    teachers = FrozenTeachers(network(seed=1), network(seed=2), 3)
    student, batch = network(seed=3).eval(), pairs()
    weak, strong = batch["unlabelled"][:, 0], pairs(seed=1)["unlabelled"][:, 0]
    seen = {}
    teachers.networks[0].register_forward_pre_hook(lambda _, x: seen.update(teacher=x[0][2:]))
    student.register_forward_pre_hook(lambda _, x: seen.update(student=x[0][2:]))
    step = timebalance.student_step(teachers, SCORES, StudentConfig())
    step(student, {**batch, "unlabelled": torch.stack([weak, strong], dim=1)}, context())
    torch.testing.assert_close(seen["teacher"], timebalance.normalise(weak))
    torch.testing.assert_close(seen["student"], timebalance.normalise(strong))


def test_teachers_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="the distinctive teacher knows 4 classes, the student 3"):
        FrozenTeachers(network(3), network(4), 3)


def test_a_class_without_labels_keeps_its_place():
    """Its row of the classifier is there; nothing pushes it up but the teachers."""
    teachers = FrozenTeachers(network(seed=1), network(seed=2), 3)
    batch = pairs()  # labels 0 and 2: class 1 has none
    loss, metrics = timebalance.student_step(teachers, SCORES, StudentConfig(distance="kl"))(
        network(seed=3), batch, context()
    )
    assert math.isfinite(loss.item())
    assert metrics["train_accuracy"] in (0.0, 0.5, 1.0)


def test_unknown_student_settings_are_refused():
    with pytest.raises(ValueError, match="did you mean 'average'"):
        StudentConfig("averge")
    with pytest.raises(ValueError, match="must not be negative"):
        replace(StudentConfig(), unlabelled_weight=-1.0)
