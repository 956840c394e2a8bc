"""Semi-supervised baselines on video: what TimeBalance's student is held against.

All train one network of the same kind on the same batches of `vidssl.data.PairedDataset`: one
labelled clip and an unlabelled one, in one view or two. They differ in what the unlabelled one is
for. A baseline is a step and an entry of `METHODS`, which a page chooses from by name.

=======================  =====================================================================
Pseudo-Label             Lee, ICML workshops 2013: cross-entropy with the network's own label
Mean Teacher             Tarvainen and Valpola, NeurIPS 2017: agree with one's averaged self
FixMatch                 Sohn et al., NeurIPS 2020: label the weak view, learn the strong one
TG-FixMatch              Xiao et al., CVPR 2022: FixMatch, labels from RGB and temporal gradients
S4L                      Zhai et al., ICCV 2019: tell by how many quarters a clip was turned
=======================  =====================================================================

Differs from the papers
-----------------------
- Made for images, all but TG-FixMatch see clips here; augmentations hold for a whole clip, and S4L
  turns one as a whole, by one of the four rotations drawn at random (Zhai et al. take all four).
- Pseudo-Label keeps confident labels only, with FixMatch's threshold, and its weight rises
  linearly over the first ``ramp`` of the training; the same ramp serves Mean Teacher.
- FixMatch's weak and strong views are those of `vidssl.data.TwoViews`, not RandAugment.
- TG-FixMatch is two networks, one on RGB and one on temporal gradients, that share the labels
  which their averaged weak views give; Xiao et al. add an alignment of features between the two.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vidssl.core import expect_shape, normalise
from vidssl.losses import distillation_loss, pseudo_label_loss
from vidssl.methods import supervised
from vidssl.models import VideoNetwork
from vidssl.training import Batch, Metrics, StepContext, TrainingStep


@dataclass(frozen=True)
class SemiSupervisedConfig:
    """``threshold`` of confidence and ``weight`` of the unlabelled loss, which rises linearly over
    the first ``ramp`` of the training; ``decay`` of Mean Teacher's average."""

    threshold: float = 0.95
    weight: float = 1.0
    ramp: float = 0.0
    decay: float = 0.99

    def __post_init__(self):
        for name in ("threshold", "ramp", "decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")

    def weight_at(self, progress: float) -> float:
        """The unlabelled loss's weight at a trained share in [0, 1]."""
        return self.weight * (min(1.0, progress / self.ramp) if self.ramp else 1.0)


def pseudo_label_step(config: SemiSupervisedConfig) -> TrainingStep:
    """Batches with ``unlabelled`` (B, 1, 3, T, H, W): the view is labelled and learned as it is."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        [view], known = _views(batch["unlabelled"], 1), len(batch["clips"])
        logits = model(normalise(torch.cat([batch["clips"][:, 0], view])))
        unlabelled = logits[known:]
        guessed, kept = pseudo_label_loss(unlabelled, unlabelled.softmax(dim=1), config.threshold)
        return _joined(
            logits[:known], batch["label"], guessed, config.weight_at(context.progress), kept
        )

    return step


def fixmatch_step(config: SemiSupervisedConfig) -> TrainingStep:
    """Batches with ``unlabelled`` (B, 2, 3, T, H, W): the weak view, then the strong one."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        weak, strong = _views(batch["unlabelled"], 2)
        clip = normalise(torch.cat([batch["clips"][:, 0], weak, strong]))
        parts = [len(batch["clips"]), len(weak), len(strong)]
        logits, on_weak, on_strong = model(clip).split(parts)
        guessed, kept = pseudo_label_loss(on_strong, on_weak.softmax(dim=1), config.threshold)
        return _joined(logits, batch["label"], guessed, config.weight_at(context.progress), kept)

    return step


class MeanTeacher(nn.Module):
    """A network and the moving average of its weights and batch statistics, which is tested.

    The average takes no gradient and stays in eval mode. It is part of the state, so that a
    training that is continued goes on with it.
    """

    def __init__(self, student: VideoNetwork):
        super().__init__()
        self.student = student
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> MeanTeacher:
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, clip: Tensor, other_view: Tensor) -> tuple[Tensor, Tensor]:
        """The student's logits for ``clip`` and the teacher's for ``other_view``, (B, K) each."""
        with torch.no_grad():
            averaged = self.teacher(other_view)
        return self.student(clip), averaged

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average towards the student; the first updates weigh more (1 - 1/(n + 1))."""
        self.updates += 1
        share = (1 / (self.updates + 1)).clamp(min=1 - decay)
        state = self.student.state_dict()
        for name, value in self.teacher.state_dict().items():
            if value.is_floating_point():
                value.lerp_(state[name], share.to(value.dtype))
            else:
                value.copy_(state[name])


def mean_teacher_step(config: SemiSupervisedConfig) -> TrainingStep:
    """For a `MeanTeacher` and batches with ``unlabelled`` (B, 2, 3, T, H, W), two views.

    The squared difference of the softmax of the student's view and of the teacher's is the loss;
    weights are averaged before a step, so that each step finds those of the one before in it.
    """

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        getattr(model, "module", model).update(config.decay)  # model.module where it is wrapped
        first, second = _views(batch["unlabelled"], 2)
        known = len(batch["clips"])
        clip = torch.cat([batch["clips"][:, 0], first])
        logits, averaged = model(normalise(clip), normalise(second))
        apart = distillation_loss(logits[known:], averaged.softmax(dim=1))
        return _joined(logits[:known], batch["label"], apart, config.weight_at(context.progress))

    return step


def temporal_gradient(clip: Tensor) -> Tensor:
    """Differences of neighbouring frames of (..., 3, T, H, W) in [0, 1], mapped to [0, 1].

    Grey (0.5) is no change; the last difference is repeated, so that T frames stay T. A clip of
    one frame is refused.
    """
    if clip.ndim < 4 or clip.shape[-3] < 2:
        raise ValueError(
            f"clip must be (..., 3, T, H, W) with T of 2 or more, got {tuple(clip.shape)}"
        )
    change = clip.diff(dim=-3)
    return (torch.cat([change, change[..., -1:, :, :]], dim=-3) + 1) / 2


class TwoStreams(nn.Module):
    """A network on RGB, which is tested, and one on temporal gradients."""

    def __init__(self, rgb: VideoNetwork, gradient: VideoNetwork):
        super().__init__()
        self.rgb, self.gradient = rgb, gradient

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) of both for clips (B, 3, T, H, W) in [0, 1]."""
        return self.rgb(normalise(clip)), self.gradient(normalise(temporal_gradient(clip)))


def gradient_fixmatch_step(config: SemiSupervisedConfig) -> TrainingStep:
    """For `TwoStreams`: as `fixmatch_step`, labels from both networks' averaged weak views."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        weak, strong = _views(batch["unlabelled"], 2)
        parts = [len(batch["clips"]), len(weak), len(strong)]
        clip = torch.cat([batch["clips"][:, 0], weak, strong])
        streams = [logits.split(parts) for logits in model(clip)]
        agreed = sum(on_weak.softmax(dim=1) for _, on_weak, _ in streams) / 2
        weight, total = config.weight_at(context.progress), 0.0
        for logits, _, on_strong in reversed(streams):  # RGB last: its metrics are reported
            guessed, kept = pseudo_label_loss(on_strong, agreed, config.threshold)
            loss, metrics = _joined(logits, batch["label"], guessed, weight, kept)
            total = total + loss
        return total, metrics

    return step


class WithRotation(nn.Module):
    """A network, which is tested, and a second classifier of its features for four rotations."""

    def __init__(self, network: VideoNetwork):
        super().__init__()
        self.network = network
        self.rotation = nn.Linear(network.num_features, 4)

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the classes (B, K) and of the rotations (B, 4)."""
        features = self.network.forward_features(clip)
        return self.network.forward_head(features), self.rotation(features.mean(dim=(2, 3, 4)))


def turned(clips: Tensor, quarters: Tensor) -> Tensor:
    """Square clips (B, C, T, H, H), each turned by its number of quarters (B,), anticlockwise."""
    return torch.stack(
        [torch.rot90(clip, int(number), dims=(-2, -1)) for clip, number in zip(clips, quarters)]
    )


def rotation_step(config: SemiSupervisedConfig) -> TrainingStep:
    """For `WithRotation` and batches with ``unlabelled`` (B, 1, 3, T, H, H): besides the labels,
    the rotation of every clip, labelled or not, is learned."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        [view], known = _views(batch["unlabelled"], 1), batch["clips"][:, 0]
        every = torch.cat([known, view])
        quarters = torch.randint(4, (len(every),), generator=context.generator)
        logits, rotations = model(normalise(torch.cat([known, turned(every, quarters)])))
        quarters = quarters.to(logits.device, non_blocking=True)
        found = rotations[len(known) :]
        loss, metrics = _joined(
            logits[: len(known)],
            batch["label"],
            cross_entropy(found, quarters),
            config.weight_at(context.progress),
        )
        right = (found.argmax(dim=1) == quarters).float().mean()
        return loss, {**metrics, "rotation_accuracy": right}

    return step


def _views(clips: Tensor, number: int) -> tuple[Tensor, ...]:
    expect_shape(clips, "B V C T H W", "unlabelled", V=number)
    return clips.unbind(1)


def _joined(
    logits: Tensor, label: Tensor, guessed: Tensor, weight: float, kept: Tensor | None = None
) -> tuple[Tensor, Metrics]:
    """Cross-entropy on the labels plus ``weight`` times the unlabelled loss, and both apart."""
    known = cross_entropy(logits, label)
    metrics = {
        "cross_entropy_loss": known.detach(),
        "unlabelled_loss": guessed.detach(),
        "train_accuracy": (logits.argmax(dim=1) == label).float().mean(),
    }
    if kept is not None:
        metrics["confident_score"] = kept
    return known + weight * guessed, metrics


# --- by name -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SemiSupervised:
    """A way to train with labels and without, see `METHODS`.

    Args:
        step: of a `SemiSupervisedConfig`, the step that `vidssl.training.fit` calls.
        views: augmentations of an unlabelled clip, each "weak", "strong" or "labelled", as that of
            labelled clips; none: labels alone.
        wrap: so many networks -> the module that is trained; of one network, by default itself.
        networks: how many there are, each with its own draw of initial weights.
        tested: the attribute of the trained module that is the network to test; "": the module.
        ramped: whether the unlabelled loss comes in slowly, see `SemiSupervisedConfig`.
    """

    step: Callable[[SemiSupervisedConfig], TrainingStep]
    views: tuple[str, ...] = ()
    wrap: Callable[..., nn.Module] = lambda network: network
    networks: int = 1
    tested: str = ""
    ramped: bool = False

    def network(self, trained: nn.Module) -> VideoNetwork:
        """The network to test of what was trained."""
        return getattr(trained, self.tested) if self.tested else trained


METHODS = {
    "supervised": SemiSupervised(lambda config: supervised.training_step()),
    "pseudo_label": SemiSupervised(pseudo_label_step, ("weak",), ramped=True),
    "mean_teacher": SemiSupervised(
        mean_teacher_step, ("weak", "weak"), wrap=MeanTeacher, tested="teacher", ramped=True
    ),
    "fixmatch": SemiSupervised(fixmatch_step, ("weak", "strong")),
    "tg_fixmatch": SemiSupervised(
        gradient_fixmatch_step, ("weak", "strong"), wrap=TwoStreams, networks=2, tested="rgb"
    ),
    "s4l": SemiSupervised(rotation_step, ("labelled",), wrap=WithRotation, tested="network"),
}
