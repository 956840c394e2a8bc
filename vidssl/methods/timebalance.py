"""TimeBalance: two self-supervised teachers, weighted video by video (Dave et al., CVPR 2023).

Where what stands
-----------------
==============================  ========================================================
clips of the teachers           `vidssl.data.two_scale_views`: one global, N local clips, twice
invariant teacher f_I           `vidssl.losses.instance_contrast`
distinctive teacher f_D         `vidssl.losses.local_local` and `global_local`, from TCLR
their pretraining               `Teacher`, `embed_views`, `teacher_step`
temporal similarity matrices    `similarity_matrices`; cached by `Similarities`
C_I, C_D and score s
reweighting                     `blend_teachers`: p_T = s p_I + (1 - s) p_D
student's loss                  `student_step`: cross-entropy and distillation
==============================  ========================================================

Differs from the paper and its public code
------------------------------------------
The public code is unfinished and cannot run as released; of the paper the project page was at
hand. So some choices are ours:

- Every contrastive term is a mean over rows. The release sums local-local over the batch and sums
  pairs, which ties its weights to the batch size; here weights are explicit.
- All clips of a step go through backbone and projector in one forward. Where each time index goes
  alone, batch norm subtracts what tells the times apart, and the distinctive loss stays at chance.
- The aggregate of the similarity matrix is not published. Here s is the mean off-diagonal cosine of
  the averaged matrices, clamped to [0, 1]; `calibrate` offers ranks and min-max over the training
  videos instead, since means of cosines need not spread over [0, 1].
- At mini scale teachers, and the baselines with them, begin with MoSI's weights (parameter
  ``pretrained`` of the notebooks): from random ones the distinctive loss stays at chance for longer
  than that scale lasts. And s compares clips longer than a period of what repeats itself; shorter
  ones make repetitive videos look less alike than ordered ones.
- The schedule is fixed and the last checkpoint is used: no choice is made on the test videos, as
  the release does. Frames are RGB for every network (the release mixes RGB and BGR), and videos
  that fail are named (the release drops them).
- Weights are the release's at paper scale: its sums come to global to local pairs 1 : 14 within
  instance contrast and local-local to global-local 2.5 : 1 with its 40 videos a step; at mini scale
  all are 1. Its colour changes are drawn one by one, ours together; its random crops keep the shape
  of the frame and are squeezed to a square, ours are squares. It halves the learning rate where the
  loss stands still and goes by the loss in fine-tuning; here both follow a cosine.
- The project page prints the student's 8 frames and no other setting, so the release's stand in the
  parameter files of paper scale. Its files are those of 3D-ResNet50 at 224 px, lr 5e-3; R3D-18 gets
  the 112 px and 1e-3 that stand beside these as TCLR had them, and 100 epochs of the 1,000.
- 3D-ResNet50 is "slow_r50", whose time slices are averaged to one for each local clip, as released;
  its projector has 512 units inside, the release's 128.
- Unlabelled videos are the training videos without a label. Where a list leaves a class without
  labels, the class keeps its place in the classifier and in the denominator of the accuracy.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import Dataset

from vidssl.core import expect_shape, normalise, one_of
from vidssl.files import read_arrays, told, write_arrays
from vidssl.inference import apply, half_precision, place, run_videos
from vidssl.losses import distillation_loss, global_local, instance_contrast, local_local
from vidssl.models import Projector, VideoNetwork, build
from vidssl.models.pretrained import load_pretrained, load_with_head
from vidssl.training import Batch, Metrics, StepContext, TrainingStep

OBJECTIVES = {
    "invariant": ("instance_contrast",),
    "distinctive": ("local_local", "global_local"),
    "tclr": ("instance_contrast", "local_local", "global_local"),
}
BLENDS = ("similarity", "average", "invariant", "distinctive")
CALIBRATIONS = ("none", "rank", "minmax")
ALIKE = 0.02  # a spread of s (5th to 95th percentile) below this weighs all videos alike
COLLAPSED = 0.01  # spread of features below which all clips look the same to a network
NEAR_CHANCE = 0.05  # relative distance from the chance loss within which nothing is told apart


# --- self-supervised teachers -------------------------------------------------------------------


@dataclass(frozen=True)
class TeacherConfig:
    """A self-supervised objective: "invariant", "distinctive" or "tclr" (all three losses).

    The weights multiply the terms that the objective has; each term is a mean over rows.
    ``instance_locals`` is the share of local pairs in instance contrast beside that, 1, of global
    ones.
    """

    objective: str = "invariant"
    locals_count: int = 4
    temperature: float = 0.1
    instance_contrast: float = 1.0
    instance_locals: float = 1.0
    local_local: float = 1.0
    global_local: float = 1.0

    def __post_init__(self):
        one_of("objective", self.objective, tuple(OBJECTIVES))
        if self.locals_count < 2:
            raise ValueError(f"locals_count must be 2 or more, got {self.locals_count}")
        for term in (*OBJECTIVES[self.objective], "instance_locals"):
            if getattr(self, term) < 0:
                raise ValueError(f"{term} is a weight and must not be negative")

    @property
    def terms(self) -> tuple[str, ...]:
        return OBJECTIVES[self.objective]

    def chance_loss(self, videos: int) -> float:
        """The loss of a network to which all clips look alike, with ``videos`` in a step."""
        alike = chance_losses(videos, self.locals_count)
        return sum(getattr(self, term) * alike[term] for term in self.terms)


def chance_losses(videos: int, times: int) -> dict[str, float]:
    """Each term where all clips look alike, with so many ``videos`` a step and local clips each."""
    return {
        "instance_contrast": math.log(2 * videos - 1),
        "local_local": math.log(2 * times - 1),
        "global_local": math.log(times),
    }


class Embedded(NamedTuple):
    """Of M clips: features (M, D) pooled over space and time, their embeddings (M, P), and the
    embeddings (S, N, P) of each time slice of the first S clips."""

    features: Tensor
    pooled: Tensor
    slices: Tensor


class Teacher(nn.Module):
    """A backbone with a projector: what is pretrained, and what temporal similarity is read from.

    Pooled features and time slices go through the projector together, so that its batch norms see
    all of a step at once.
    """

    def __init__(self, backbone: VideoNetwork, outputs: int = 128):
        super().__init__()
        self.backbone = backbone
        self.projector = Projector(backbone.num_features, outputs)

    def forward(self, clip: Tensor, sliced: int = 0, slices: int = 0) -> Embedded:
        """Standardised clips (M, 3, T, H, W); time slices of the first ``sliced`` of them.

        Where the backbone ends with several times as many as the ``slices`` asked for, neighbours
        are averaged, as in the public code of 3D-ResNet50; else they are what it ends with.
        """
        in_time = self.backbone.forward_features(clip).mean(dim=(3, 4)).transpose(1, 2)
        features = in_time.mean(dim=1)
        parts = in_time[:sliced]
        if slices and in_time.shape[1] % slices == 0:
            parts = parts.unflatten(1, (slices, -1)).mean(dim=2)
        rows = torch.cat([features, parts.flatten(0, 1)])
        pooled, embedded = self.projector(rows).split([len(features), len(rows) - len(features)])
        return Embedded(features, pooled, embedded.unflatten(0, (sliced, parts.shape[1])))


def time_slices(backbone: str, frames: int) -> int:
    """How many time slices a network ends with on clips of so many frames.

    >>> time_slices("r3d_18_dilated", 16), time_slices("slow_r50", 16), time_slices("r3d_18", 16)
    (4, 16, 2)
    """
    network = build(backbone, num_classes=0, width=0.125).eval()
    with torch.no_grad():
        return network.forward_features(torch.zeros(1, 3, frames, 32, 32)).shape[2]


def slices_fit(slices: int, config: TeacherConfig) -> bool:
    """Whether a network that ends with so many time slices can be trained so: global-local contrast
    needs one for each local clip, or several that are averaged."""
    return "global_local" not in config.terms or slices % config.locals_count == 0


def load_teacher(folder: str | Path) -> Teacher:
    """The self-supervised teacher, with projector, that 30_timebalance_teachers left in ``folder``.

    Errors as `vidssl.models.pretrained.load_pretrained`.
    """
    backbone, _ = load_with_head(Path(folder) / "backbone.pt")
    teacher = Teacher(backbone)
    load_pretrained(teacher, Path(folder) / "teacher.pt")
    return teacher.eval()


def finetuned_name(fraction: float) -> str:
    """File of a teacher fine-tuned on this labelled share.

    >>> finetuned_name(0.05)
    'finetuned-5.pt'
    """
    return f"finetuned-{100 * fraction:g}.pt"


class Views(NamedTuple):
    """Embeddings of a step: g (2, B, P) of global clips, z (2, B, N, P) of local ones, h
    (2, B, N, P) of the global clips' time slices; features (2B (1 + N), D) of all clips."""

    g: Tensor
    z: Tensor
    h: Tensor
    features: Tensor


def embed_views(teacher: nn.Module, views: Tensor, sliced: bool = True) -> Views:
    """Embed ``views`` (B, 2, 1 + N, 3, T, H, W) in [0, 1], global clip first, in one forward.

    Without ``sliced`` h is empty (no rows of time).
    """
    expect_shape(views, "B a V C T H W", "views", a=2, C=3)
    videos, _, count = views.shape[:3]
    by_view = views.transpose(0, 1)
    clips = torch.cat([by_view[:, :, 0].flatten(0, 1), by_view[:, :, 1:].flatten(0, 2)])
    embedded = teacher(normalise(clips), 2 * videos if sliced else 0, count - 1)
    g, z = embedded.pooled.split([2 * videos, 2 * videos * (count - 1)])
    h = embedded.slices if sliced else g.new_zeros(2 * videos, 0, g.shape[-1])
    return Views(
        g.unflatten(0, (2, videos)),
        z.unflatten(0, (2, videos, count - 1)),
        h.unflatten(0, (2, videos)),
        embedded.features,
    )


def contrastive_terms(views: Views, config: TeacherConfig) -> dict[str, Tensor]:
    """The objective's terms by name, unweighted.

    ValueError when the network's time slices do not fit the local clips, see `slices_fit`.
    """
    if "global_local" in config.terms and views.h.shape[2] != views.z.shape[2]:
        raise ValueError(unfit(views.h.shape[2], views.z.shape[2]))
    losses = {
        "instance_contrast": lambda: instance_contrast(
            views.g, views.z, config.temperature, config.instance_locals
        ),
        "local_local": lambda: local_local(views.z, config.temperature),
        "global_local": lambda: global_local(views.h, views.z, config.temperature),
    }
    return {term: losses[term]() for term in config.terms}


class Contrasted(NamedTuple):
    """Cosine ``similarity`` (R, C) of what a loss compares, and which pairs are ``positive``."""

    similarity: np.ndarray
    positive: np.ndarray


def contrasted(views: Views) -> dict[str, Contrasted]:
    """What the three losses look at, to be drawn: the local clips of all videos, video by video;
    those of the first video, in both augmentations; its global clip's time slices and its local
    clips, where the network ends with one slice for each."""
    _, videos, times, _ = views.z.shape
    by_video = views.z.transpose(0, 1).flatten(0, 2)  # (B 2 N, P)
    found = {
        "instance contrast": (
            by_video,
            by_video,
            np.kron(np.eye(videos), np.ones((2 * times,) * 2)),
        ),
        "local-local": (*[by_video[: 2 * times]] * 2, np.kron(np.ones((2, 2)), np.eye(times))),
    }
    if views.h.shape[2] == times:
        found["global-local"] = (views.h[0, 0], views.z[0, 0], np.eye(times))
    return {
        name: Contrasted((normalize(a, dim=-1) @ normalize(b, dim=-1).mT).numpy(), mask > 0)
        for name, (a, b, mask) in found.items()
    }


def unfit(slices: int, locals_count: int) -> str:
    """The message where a network's time slices do not fit."""
    return (
        f"the network ends with {slices} time slices of a clip, which are no multiple of the "
        f"{locals_count} local clips: change frames, locals_count or the backbone (r3d_18_dilated "
        "keeps 4 of 16 frames, r3d_10_dilated 4 of 8, slow_r50 all)"
    )


def teacher_step(config: TeacherConfig) -> TrainingStep:
    """The step that `vidssl.training.fit` calls on batches of `vidssl.data.two_scale_views`:
    ``clips`` (B, 2 (1 + N), 3, T, H, W)."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        clips = batch["clips"].unflatten(1, (2, -1))
        views = embed_views(model, clips, sliced="global_local" in config.terms)
        terms = contrastive_terms(views, config)
        loss = sum(getattr(config, term) * value for term, value in terms.items())
        metrics = {f"{term}_loss": value.detach() for term, value in terms.items()}
        return loss, {**metrics, "spread_score": feature_spread(views.features)}

    return step


def feature_spread(features: Tensor) -> Tensor:
    """Share of the features' (M, D) mean square that differs between clips, in [0, 1].

    Where several processes train, each looks at its own clips, and the mean is reported.

    Near 0 the network has collapsed: it says the same of every clip. Features are looked at, not
    embeddings, whose last batch norm would blow up any difference.
    """
    features = features.detach().float()
    total = features.square().sum(dim=1).mean()
    return (features - features.mean(0)).square().sum(dim=1).mean() / (total + 1e-12)


def learning_state(loss: float, chance: float, spread: float) -> str:
    """How far a teacher has come, by its loss, the chance loss and the spread of its features.

    "collapsed": all clips look alike to it. "early": the loss is above chance, for embeddings
    differ, but not yet by what is asked. "plateau": at chance. "learning": below.

    A distinctive teacher first unlearns its random differences and then stays at chance for some
    hundred steps before the loss falls. A run stopped there looks like a collapse by its loss, but
    its features still tell videos apart.
    """
    if spread < COLLAPSED:
        return "collapsed"
    apart = loss / chance - 1
    if abs(apart) <= NEAR_CHANCE:
        return "plateau"
    return "early" if apart > 0 else "learning"


# --- temporal similarity ------------------------------------------------------------------------


def similarity_matrices(z: Tensor) -> Tensor:
    """Cosine similarity of each time of a video with each other: (B, N, D) -> (B, N, N)."""
    expect_shape(z, "B N D", "z")
    unit = normalize(z.float(), dim=-1)
    return unit @ unit.mT


def temporal_similarity(z_invariant: Tensor, z_distinctive: Tensor) -> Tensor:
    """s in [0, 1] of each video, (B,), from its embeddings by both teachers, (B, N, D) each.

    The mean off-diagonal entry of (C_I + C_D) / 2, clamped: 1 where all times look alike, 0 where
    they are orthogonal (or opposite) on average. The teachers may differ in D.
    """
    expect_shape(z_invariant, "B N D", "z_invariant")
    videos, times, _ = z_invariant.shape
    expect_shape(z_distinctive, "B N D", "z_distinctive", B=videos, N=times)
    matrices = similarity_matrices(z_invariant) + similarity_matrices(z_distinctive)
    return score_of_matrices(matrices / 2)


def score_of_matrices(matrices: Tensor) -> Tensor:
    """Mean off-diagonal entry of (B, N, N), clamped to [0, 1]; ValueError for N < 2."""
    times = matrices.shape[-1]
    expect_shape(matrices, "B N N", "matrices", N=times)
    if times < 2:
        raise ValueError("temporal similarity compares clips of a video: it needs 2 or more")
    off_diagonal = ~torch.eye(times, dtype=torch.bool, device=matrices.device)
    return matrices[:, off_diagonal].mean(dim=1).clamp(0, 1)


def calibrate(s: np.ndarray, kind: str, reference: np.ndarray | None = None) -> np.ndarray:
    """Spread scores (V,) over [0, 1] by what the training videos have (``reference``, else s).

    "rank": the share of reference scores below, ties by half. "minmax": 0 at the lowest and 1 at
    the highest reference score, clipped beyond. "none" leaves them. Where all reference scores
    are alike both give 1/2.
    """
    one_of("calibration", kind, CALIBRATIONS)
    s = np.asarray(s, dtype=np.float64)
    known = np.sort(s if reference is None else np.asarray(reference, dtype=np.float64))
    if kind == "none":
        return s
    if kind == "rank":
        below, upto = (np.searchsorted(known, s, side) for side in ("left", "right"))
        return (below + upto) / (2 * len(known))
    span = known[-1] - known[0]
    return np.clip((s - known[0]) / span, 0, 1) if span > 0 else np.full(s.shape, 0.5)


@dataclass(frozen=True)
class Similarities:
    """C_I and C_D, (V, N, N) float32 each, of V videos. Those of ``failed`` ("path: reason"), named
    in ``unread``, could not be read."""

    video_ids: list[str]
    invariant: np.ndarray
    distinctive: np.ndarray
    failed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def scores(self, clips: int = 0) -> np.ndarray:
        """s (V,) from the averaged matrices; of the ``clips`` middle times only, if given."""
        times = self.invariant.shape[1]
        if clips and not 2 <= clips <= times:
            raise ValueError(f"clips={clips} must be from 2 to the {times} times of the matrices")
        clips = clips or times
        middle = slice((times - clips) // 2, (times - clips) // 2 + clips)
        averaged = (self.invariant + self.distinctive)[:, middle, middle] / 2
        return score_of_matrices(torch.from_numpy(averaged)).numpy()

    def of(self, video_ids: Sequence[str]) -> Similarities:
        """The same for these videos, in their order, without those that could not be read; KeyError
        naming those that nobody tried to read."""
        places = {video_id: place for place, video_id in enumerate(self.video_ids)}
        unread = set(self.unread)
        missing = [v for v in video_ids if v not in places and v not in unread]
        if missing:
            raise KeyError(
                f"{len(missing)} of {len(video_ids)} videos have no temporal similarity, e.g. "
                f"{missing[0]!r}: run 31_timebalance_similarity on the same data"
            )
        known = [video_id for video_id in video_ids if video_id in places]
        chosen = [places[video_id] for video_id in known]
        return Similarities(known, self.invariant[chosen], self.distinctive[chosen])

    def save(self, path: str | Path) -> None:
        """Write an .npz file, in half precision."""
        matrices = {k: getattr(self, k).astype(np.float16) for k in ("invariant", "distinctive")}
        unreadable = {name: list(getattr(self, name)) for name in ("failed", "unread")}
        write_arrays(path, video_ids=self.video_ids, **unreadable, **matrices)


def load_similarities(path: str | Path) -> Similarities:
    """Read what `Similarities.save` wrote; FileNotFoundError or ValueError naming the file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no similarities at {path}: run 31_timebalance_similarity first")
    try:
        arrays = read_arrays(path)
        ids, failed = (arrays[name].tolist() for name in ("video_ids", "failed"))
        unread = arrays.get("unread", np.array([])).tolist()  # older files do not name them
        matrices = [arrays[name].astype(np.float32) for name in ("invariant", "distinctive")]
        times = matrices[0].shape[-1]
        if {matrix.shape for matrix in matrices} != {(len(ids), times, times)}:
            raise ValueError(f"matrices of {matrices[0].shape} and {matrices[1].shape}")
        names = (tuple(map(str, each)) for each in (failed, unread))
        return Similarities(list(map(str, ids)), *matrices, *names)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file of temporal similarities: {told(error)}") from error


def clip_embeddings(teacher: Teacher, clips: Tensor, precision: str = "no") -> Tensor:
    """Embeddings (B, N, P) of clips (B, N, 3, T, H, W) in [0, 1], on the CPU; ``precision`` as in
    `vidssl.inference.apply`."""

    def pooled(network: Teacher, clip: Tensor) -> Tensor:
        return network(normalise(clip)).pooled

    found = apply(teacher, clips.flatten(0, 1), pooled, precision=precision)
    return found.unflatten(0, clips.shape[:2])


def measure_similarities(
    invariant: Teacher, distinctive: Teacher, dataset: Dataset, **options
) -> Similarities:
    """Both teachers' matrices of every video of a data set of `vidssl.data.consecutive_clips`.

    The teachers are the self-supervised ones with their projectors, before any fine-tuning. Each
    video is decoded once. ``options`` as in `vidssl.inference.run_videos`.
    """
    both = nn.ModuleList([invariant, distinctive])

    def embed(networks: nn.ModuleList, clip: Tensor) -> Tensor:
        return torch.cat([network(normalise(clip)).pooled for network in networks], dim=1)

    outputs = run_videos(both, dataset, embed, desc="similarity", **options)
    halves = torch.from_numpy(outputs.values).chunk(2, dim=-1)
    matrices = [similarity_matrices(z).numpy() for z in halves]
    return Similarities(outputs.video_ids, *matrices, tuple(outputs.failed), outputs.failed_ids)


def warn_if_alike(s: np.ndarray) -> bool:
    """Warn, and return True, where scores are so alike that they weigh every video the same."""
    low, high = np.percentile(s, [5, 95])
    alike = bool(high - low < ALIKE)
    if alike:
        warnings.warn(
            f"the temporal similarities of {len(s)} videos are all alike ({low:.3f} to {high:.3f} "
            f"for nine in ten): blending is a fixed mixture then; calibrate them, or look at the "
            "teachers",
            stacklevel=2,
        )
    return alike


# --- teachers and student -----------------------------------------------------------------------


@torch.no_grad()
def blend_teachers(p_invariant: Tensor, p_distinctive: Tensor, s: Tensor) -> Tensor:
    """p_T = s p_I + (1 - s) p_D: probabilities (B, K) each and s (B,) in [0, 1] -> (B, K).

    No gradient. ValueError for unequal shapes or s outside [0, 1]: s is best on the CPU, where
    looking at it waits for nothing.
    """
    expect_shape(p_invariant, "B K", "p_invariant")
    videos, classes = p_invariant.shape
    expect_shape(p_distinctive, "B K", "p_distinctive", B=videos, K=classes)
    expect_shape(s, "B", "s", B=videos)
    if not ((s >= 0) & (s <= 1)).all():
        raise ValueError(f"s must be in [0, 1], got {s.min():.3g} to {s.max():.3g}")
    weight = s[:, None].to(p_invariant, non_blocking=True)
    return weight * p_invariant + (1 - weight) * p_distinctive


@dataclass(frozen=True)
class StudentConfig:
    """What the student learns from. The defaults are the release's, with "mse".

    ``blend``: "similarity" (s of each video), "average" of the teachers, or one of them alone.
    ``distance``: "mse" (mean over batch and classes) or "kl", which needs smaller weights.
    """

    blend: str = "similarity"
    distance: str = "mse"
    labelled_weight: float = 50.0
    unlabelled_weight: float = 100.0

    def __post_init__(self):
        one_of("blend", self.blend, BLENDS)
        one_of("distance", self.distance, ("mse", "kl"))
        if min(self.labelled_weight, self.unlabelled_weight) < 0:
            raise ValueError("labelled_weight and unlabelled_weight must not be negative")


def load_finetuned(
    invariant: str | Path, distinctive: str | Path, fraction: float, num_classes: int
) -> FrozenTeachers:
    """Both teachers fine-tuned on a labelled share, from their runs' folders."""
    networks = [
        load_with_head(Path(folder) / finetuned_name(fraction))[0]
        for folder in (invariant, distinctive)
    ]
    return FrozenTeachers(*networks, num_classes)


class FrozenTeachers:
    """The two fine-tuned teachers: in eval mode, without gradients, never changed.

    ValueError when their numbers of classes are not ``num_classes``, the student's.
    """

    def __init__(self, invariant: VideoNetwork, distinctive: VideoNetwork, num_classes: int):
        for name, network in (("invariant", invariant), ("distinctive", distinctive)):
            if network.num_classes != num_classes:
                raise ValueError(
                    f"the {name} teacher knows {network.num_classes} classes, the student "
                    f"{num_classes}: fine-tune both on the same data set"
                )
        self.networks = nn.ModuleList([invariant, distinctive]).eval().requires_grad_(False)

    def predict(self, clip: Tensor, precision: str = "no") -> tuple[Tensor, Tensor]:
        """p_I and p_D, (B, K) each, of standardised clips (B, 3, T, H, W); ``precision`` as in
        `vidssl.inference.apply`."""
        device = place(self.networks)
        clip = clip.to(device)
        with torch.no_grad(), half_precision(precision, device, self.networks):
            invariant, distinctive = (network(clip).softmax(dim=1) for network in self.networks)
        return invariant, distinctive


def student_step(
    teachers: FrozenTeachers, scores: Mapping[str, float], config: StudentConfig
) -> TrainingStep:
    """The step that `vidssl.training.fit` calls on batches of `vidssl.data.PairedDataset`.

    ``scores`` maps each video's id to its s; only "similarity" looks into it. The loss is that of
    `student_loss`, labelled and unlabelled clips in one forward. Of unlabelled views
    (B, V, 3, T, H, W) the teachers get the first and the student the last: one tensor with V = 1, a
    weak and a strong view with V = 2.
    """

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        known, label, unlabelled = batch["clips"][:, 0], batch["label"], batch["unlabelled"]
        weak, seen = unlabelled[:, 0], unlabelled[:, -1]
        clips = normalise(torch.cat([known, weak]))
        p_invariant, p_distinctive = teachers.predict(clips, context.precision)
        s = blend_weights([*batch["video_id"], *batch["unlabelled_id"]], scores, config.blend)
        target = blend_teachers(p_invariant, p_distinctive, s)
        logits = model(normalise(torch.cat([known, seen])))
        loss, metrics = student_loss(logits, label, target, config)
        said = [p.argmax(dim=1) for p in (logits, p_invariant, p_distinctive, target)]
        return loss, {
            **metrics,
            "teachers_agree_score": _share(said[1] == said[2]),
            "student_follows_score": _share(said[0] == said[3]),
        }

    return step


def student_loss(
    logits: Tensor, label: Tensor, target: Tensor, config: StudentConfig
) -> tuple[Tensor, Metrics]:
    """Cross-entropy (labelled) + labelled_weight D(labelled) + unlabelled_weight D(unlabelled), and
    each term as it counts in it: with its weight.

    ``logits`` (B, K) and the blended ``target`` (B, K); their first rows have a ``label`` (B',).
    """
    known = len(label)
    labelled = distillation_loss(logits[:known], target[:known], config.distance)
    unlabelled = distillation_loss(logits[known:], target[known:], config.distance)
    terms = {
        "cross_entropy_loss": cross_entropy(logits[:known], label),
        "labelled_distillation_loss": config.labelled_weight * labelled,
        "unlabelled_distillation_loss": config.unlabelled_weight * unlabelled,
    }
    loss = torch.stack([*terms.values()]).sum()
    metrics = {name: term.detach() for name, term in terms.items()}
    return loss, {**metrics, "train_accuracy": _share(logits[:known].argmax(dim=1) == label)}


def blend_weights(video_ids: Sequence[str], scores: Mapping[str, float], blend: str) -> Tensor:
    """The invariant teacher's weight for each video, (B,) float32: its s for "similarity"."""
    if blend == "similarity":
        return torch.tensor([scores[video_id] for video_id in video_ids])
    fixed = {"average": 0.5, "invariant": 1.0, "distinctive": 0.0}[blend]
    return torch.full((len(video_ids),), fixed)


def _share(hits: Tensor) -> Tensor:
    return hits.float().mean()
