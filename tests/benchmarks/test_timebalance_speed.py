"""What the contrastive losses and the frozen teachers cost a training step; ratios of one run."""

import time

import pytest
import torch

from vidssl import models
from vidssl.losses import global_local, local_local
from vidssl.methods import timebalance
from vidssl.training import StepContext

pytestmark = pytest.mark.bench
VIDEOS, TIMES, TAU = 8, 4, 0.1


def seconds(call, repeats):
    call()
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begun)
    return best


def loop_over_videos(h, z):
    """The same numbers, a video at a time."""
    terms = [
        local_local(z[:, v : v + 1], TAU) + global_local(h[:, v : v + 1], z[:, v : v + 1], TAU)
        for v in range(z.shape[1])
    ]
    return sum(terms) / len(terms)


def test_losses_against_a_loop_and_their_share_of_a_step(ratio):
    torch.manual_seed(0)
    teacher = timebalance.Teacher(models.build("r3d_10_dilated", num_classes=0, width=0.25))
    config = timebalance.TeacherConfig("tclr")
    views = torch.rand(VIDEOS, 2, 1 + TIMES, 3, 8, 32, 32)
    step = timebalance.teacher_step(config)
    embedded = timebalance.embed_views(teacher, views)
    leaves = [part.detach().requires_grad_() for part in embedded]

    def whole_step():
        step(teacher, {"clips": views.flatten(1, 2)}, None)[0].backward()

    def losses():
        sum(timebalance.contrastive_terms(timebalance.Views(*leaves), config).values()).backward()

    def vectorised():
        (local_local(leaves[1], TAU) + global_local(leaves[2], leaves[1], TAU)).backward()

    def looped():
        loop_over_videos(leaves[2], leaves[1]).backward()

    share = seconds(losses, 5) / seconds(whole_step, 2)
    faster = seconds(looped, 5) / seconds(vectorised, 5)
    print(
        f"\nlosses: {share:.2%} of a step of {VIDEOS} videos; a loop takes {faster:.1f} x as long"
    )
    ratio("TimeBalance's losses", share, "of", "a teacher's step")
    ratio("TimeBalance's losses", faster, "times as fast as", "a loop over videos")
    assert share < 0.05
    assert faster > 1


def kept_for_backward(loss):
    """MB of tensors that the graph of what ``loss`` computes holds on to, parameters aside."""
    held = {}

    def hold(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        loss()
    return sum(held.values()) / 1e6


def test_frozen_teachers_add_their_forward_pass_alone(ratio):
    torch.manual_seed(0)

    def network():
        return models.build("r3d_10_dilated", num_classes=16, width=0.25)

    teachers = timebalance.FrozenTeachers(network(), network(), 16)
    student = network()
    clip = {name: torch.rand(16, 1, 3, 8, 32, 32) for name in ("clips", "unlabelled")}
    ids = {"video_id": ["a"] * 16, "unlabelled_id": ["b"] * 16}
    batch = {**clip, **ids, "label": torch.arange(16)}
    step = timebalance.student_step(teachers, {}, timebalance.StudentConfig("average"))
    both = torch.cat(list(clip.values()))[:, 0]

    def student_alone():
        return student(both).logsumexp(1).mean()

    def taught():
        return step(student, batch, StepContext(0, 0.0, torch.default_generator))[0]

    alone = seconds(lambda: student_alone().backward(), 2)
    together = seconds(lambda: taught().backward(), 2)
    forward = seconds(lambda: teachers.predict(both), 2)
    print(
        f"\nthe student's step takes {together / alone:.2f} x as long with teachers as without; "
        f"their forward pass alone {forward / alone:.2f} x"
    )
    ratio("a student's step with teachers", together / alone, "times as long as", "without")
    assert together < 1.3 * (alone + forward)
    memory = kept_for_backward(student_alone), kept_for_backward(taught)
    print(
        f"kept for the backward pass: {memory[0]:.1f} MB without, {memory[1]:.1f} MB with teachers"
    )
    assert memory[1] < 1.1 * memory[0], "the teachers' activations are kept"
