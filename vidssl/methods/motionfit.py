"""MotionFit: an RGB network learns the clusters of a motion network's features.

Gavrilyuk et al., "Motion-Augmented Self-Training for Video Recognition at Smaller Scale",
ICCV 2021. The authors published no code.

Where what stands
-----------------
==============================  =================================================================
section 3.1, Eq. 1              `vidssl.losses.multi_clip_loss`
section 3.1, Eq. 2              `vidssl.losses.clip_order_loss` on a `models.heads.ClipOrderHead`
section 3.1, Eq. 3              `training_step`; lambda is ``MotionFitConfig.multi_clip_weight``
section 3.2, F_i                `clip_features`, a `vidssl.data.ClipTable` of features
section 3.2, H_i                `segment_features`: clip, thirds, boundaries (Eq. 4), video
section 3.2, pseudo-labels      `pseudo_label_table`: k-means, joined by video id and time
section 3.2, self-training      `training_step` with ``pseudo_labels``, R clips a video
section 4.4, next and previous  ``MotionFitConfig.neighbours``
section 4.5, MERS and MARS      `feature_matching_step`
section 4.5, retrieval          `retrieval_features`, max-pooled; `recalls`
==============================  =================================================================

The appearance counterpart of each step is the same code on RGB clips (``modality``).

Differs from the paper
----------------------
- Validation holds out whole groups; a random tenth of UCF101's videos shares its recordings with
  the rest.
- The percentile of Eq. 4 is not printed; 75 is our default.
- At mini scale RGB students (and MERS's and MARS's) begin with MoSI's weights, the notebook's
  ``pretrained``: from random ones they spend that scale on their first plateau. Flow there is
  Farneback's, which is nearest to the truth inside the sprite and needs no hours.
- MERS and MARS match the features of the nearest densely sampled clip, extracted once from centre
  crops, which is also what the pseudo-labels are made of: no flow is needed while they train.
- At mini scale RGB training clips have their colours jittered, as for every method here; at the
  paper's they are cropped alone. Nothing is mirrored unless asked: clusters tell left from right.
- A video without readable flow has no pseudo-label; its clips do not enter the loss and are
  counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vidssl.core import derive_seed, expect_shape, normalise, one_of
from vidssl.data.clip_table import ClipTable, RowFile
from vidssl.evaluation import Clusters, kmeans, retrieval_recall, retrieval_rows
from vidssl.files import MAPPED
from vidssl.inference import Outputs, apply, read_ahead, run_videos, shared
from vidssl.losses import clip_order_loss, multi_clip_loss, shuffle_clips
from vidssl.models.heads import ClipOrderHead
from vidssl.processes import mean_of_some
from vidssl.training import Batch, Metrics, StepContext, TrainingStep

LEVELS = ("clip", "thirds", "boundaries", "video")
FEATURE_WEIGHT = 50.0  # of the squared error in MERS and MARS

Prepare = Callable[[Tensor], Tensor]


# --- networks and training -------------------------------------------------------------------


@dataclass(frozen=True)
class MotionFitConfig:
    """What is learned from R clips a video. Defaults are the paper's.

    ``multi_clip_weight`` is lambda of Eq. 3 in [0, 1]: 1 is the multi-clip loss alone, 0 clip
    order alone, which needs no labels. ``neighbours`` adds heads that predict the labels of the
    clips right before and after, for pseudo-labels.
    """

    clips: int = 3
    multi_clip_weight: float = 1.0
    neighbours: bool = False

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise ValueError(f"clips must be at least 1, got {self.clips}")
        if not 0 <= self.multi_clip_weight <= 1:
            raise ValueError(f"multi_clip_weight={self.multi_clip_weight} must be in [0, 1]")
        if self.multi_clip_weight < 1 and self.clips < 2:
            raise ValueError("clips=1 has no order: take 2 or more, or multi_clip_weight=1")


class ClipOutputs(NamedTuple):
    """What `MultiClipNetwork` says of clips (B, R): each (B, R, ...), or None without that head.

    ``order_logits`` (B, R!) are of the clips' features in the drawn order ``order`` (B,).
    """

    features: Tensor
    logits: Tensor
    neighbour_logits: tuple[Tensor, Tensor] | None
    order_logits: Tensor | None
    order: Tensor | None


class MultiClipNetwork(nn.Module):
    """A backbone over R clips of each video, with the heads that a configuration asks for.

    ``backbone`` is what is kept after training; its classifier gives the logits.
    """

    def __init__(self, backbone: nn.Module, config: MotionFitConfig):
        super().__init__()
        self.backbone = backbone
        ordered = config.multi_clip_weight < 1
        self.order_head = ClipOrderHead(backbone.num_features, config.clips) if ordered else None
        shape = (backbone.num_features, backbone.num_classes)
        self.neighbour_heads = nn.ModuleList(
            nn.Linear(*shape) for _ in range(2 if config.neighbours else 0)
        )

    def forward(self, clips: Tensor, generator: torch.Generator | None = None) -> ClipOutputs:
        """Prepared clips (B, R, C, T, H, W); ``generator`` draws the orders."""
        expect_shape(clips, "B R C T H W", "clips")
        feature_map = self.backbone.forward_features(clips.flatten(0, 1))
        features = feature_map.mean(dim=(2, 3, 4)).unflatten(0, clips.shape[:2])
        logits = self.backbone.forward_head(feature_map).unflatten(0, clips.shape[:2])
        near = None
        if self.neighbour_heads:
            dropped = self.backbone.dropout(features)
            near = tuple(head(dropped) for head in self.neighbour_heads)
        if self.order_head is None:
            return ClipOutputs(features, logits, near, None, None)
        shuffled, order = shuffle_clips(features, generator)
        return ClipOutputs(features, logits, near, self.order_head(shuffled), order)


def training_step(
    config: MotionFitConfig,
    *,
    prepare: Prepare = normalise,
    pseudo_labels: ClipTable | None = None,
) -> TrainingStep:
    """Eq. 3 on batches of `vidssl.data.ClipDataset`, for a `MultiClipNetwork`: steps 1 and 3.

    The label is the video's, or with ``pseudo_labels`` that of each clip's time. Clips without a
    label (-1) do not enter the multi-clip loss.
    """

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        output = model(prepare(batch["clips"]), context.generator)
        share, parts, metrics = config.multi_clip_weight, [], {}
        if share > 0:
            labels = _labels(batch, pseudo_labels).to(output.logits.device, non_blocking=True)
            parts.append(share * multi_clip_loss(output.logits, labels))
            parts += _neighbour_losses(output, batch, pseudo_labels)
            metrics["train_accuracy"] = _accuracy(output.logits, labels)
        if share < 1:
            parts.append((1 - share) * clip_order_loss(output.order_logits, output.order))
            metrics["order_accuracy"] = _accuracy(output.order_logits, output.order)
        return sum(parts), metrics

    return step


def _labels(batch: Batch, pseudo_labels: ClipTable | None) -> Tensor:
    """(B, R) int64: the video's label for each of its clips, or the pseudo-label of their times."""
    if pseudo_labels is None:
        return batch["label"][:, None].expand(batch["clips"].shape[:2])
    return labels_at(pseudo_labels, batch["video_id"], batch["times"])


def labels_at(table: ClipTable, video_ids: Sequence[str], times: Tensor, shift: int = 0) -> Tensor:
    """Pseudo-labels (B, R) of clips at ``times`` (B, R, 2), or ``shift`` clip lengths later.

    ``times`` are the first frame and the one after the last. -1 where the table knows no clip of
    the video near that time. Both are on the CPU.
    """
    first, after = times[..., 0].cpu().numpy(), times[..., 1].cpu().numpy()
    rows = table.rows_at(video_ids, (first + after) / 2 + shift * (after - first))
    labels = np.where(rows < 0, -1, table.values[rows])
    return torch.from_numpy(labels)


def _neighbour_losses(
    output: ClipOutputs, batch: Batch, pseudo_labels: ClipTable | None
) -> Iterable[Tensor]:
    if output.neighbour_logits is None:
        return []
    if pseudo_labels is None:
        raise ValueError("neighbours=True needs pseudo-labels: a video's own label never changes")
    shifted = (labels_at(pseudo_labels, batch["video_id"], batch["times"], k) for k in (-1, 1))
    return [
        multi_clip_loss(logits, labels.to(logits.device, non_blocking=True))
        for logits, labels in zip(output.neighbour_logits, shifted)
    ]


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of right answers among those with a label; 0 without any."""
    right = logits.argmax(dim=-1) == labels  # never where the label is -1
    return mean_of_some(right.float().sum(), (labels >= 0).sum())


def feature_matching_step(
    teacher: ClipTable, *, labelled: bool, weight: float = FEATURE_WEIGHT
) -> TrainingStep:
    """MERS, or with ``labelled`` MARS (Crasto et al., CVPR 2019), for a `MultiClipNetwork`.

    MERS: ``weight`` times the mean squared error to the motion teacher's pooled features at the
    clip's time. MARS: the same plus the cross-entropy of the video's label. ``teacher`` has the
    features (N, D) of `clip_features`. Clips of unknown times do not enter the error. ValueError
    if the student's features have another D.
    """

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        output = model(normalise(batch["clips"]), context.generator)
        wanted, known = _features_at(teacher, batch, output.features)
        squares = (output.features - wanted).square().mean(dim=-1)
        error = mean_of_some((squares * known).sum(), known.sum())
        loss, metrics = weight * error, {"feature_error": error.detach()}
        if labelled:
            labels = _labels(batch, None)
            loss = loss + multi_clip_loss(output.logits, labels)
            metrics["train_accuracy"] = _accuracy(output.logits, labels)
        return loss, metrics

    return step


def _features_at(table: ClipTable, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor]:
    """The teacher's features (B, R, D) of a batch's clips, and which of them (B, R) are known."""
    if table.values.shape[-1] != features.shape[-1]:
        raise ValueError(
            f"the student's features have {features.shape[-1]} channels, the teacher's "
            f"{table.values.shape[-1]}: matching them needs networks of one width"
        )
    rows = table.rows_at(batch["video_id"], batch["times"].double().mean(dim=-1).cpu().numpy())
    wanted, known = (torch.from_numpy(x) for x in (table.values[rows], rows >= 0))
    return wanted.to(features, non_blocking=True), known.to(features.device, non_blocking=True)


# --- features and pseudo-labels --------------------------------------------------------------


OUTPUTS = {
    "mean": lambda model, maps: maps.mean(dim=(2, 3, 4)),
    "logits": lambda model, maps: model.forward_head(maps),
}


def clip_features(
    model: nn.Module,
    dataset: Dataset,
    *,
    prepare: Prepare = normalise,
    output: str = "mean",
    processes: int = 1,
    **options: Any,
) -> tuple[ClipTable, list[str]]:
    """Features (N, D) of every clip of a `vidssl.data.ClipDataset`, and what could not be read.

    ``output`` "mean" gives what the classifier sees, "logits" what it says. ``processes`` as in
    `vidssl.inference.shared`; other ``options``: ``batch_clips`` (64), ``num_workers`` and
    ``progress`` as in `vidssl.inference.read_ahead`, ``precision`` and ``device`` as in
    `vidssl.inference.apply`. RuntimeError when no video can be read.
    """
    one_of("output", output, tuple(OUTPUTS))

    def pooled(network: nn.Module, clips: Tensor) -> Tensor:
        return OUTPUTS[output](network, network.forward_features(prepare(clips)))

    found = shared(partial(_clip_columns, model, pooled, **options), model, dataset, processes)
    failed = found.pop("failed").tolist()
    return ClipTable(**found), failed


def _clip_columns(
    model: nn.Module,
    pooled: Callable[[nn.Module, Tensor], Tensor],
    dataset: Dataset,
    *,
    batch_clips: int = 64,
    num_workers: int = 0,
    precision: str = "no",
    device: str | torch.device | None = None,
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """The columns of a `ClipTable`, and ``failed``, however few videos can be read."""
    rows, names, failed = RowFile(), [], []
    times = [torch.zeros(0, 2, dtype=torch.int64)]
    where = {"batch": batch_clips, "precision": precision, "device": device}
    shown = {"desc": "clip features", "progress": progress}
    for [sample] in read_ahead(dataset, num_workers=num_workers, **shown):
        failed += sample["failed"]
        names += [sample["video_id"]] * len(sample["times"])
        times.append(sample["times"])
        if len(sample["times"]):
            rows.add(apply(model, sample["clips"], pooled, **where).numpy())
    start, stop = torch.cat(times).numpy().T
    columns = {"video_id": np.array(names, dtype=str), "start": start, "stop": stop}
    return {**columns, "values": rows.rows(), "failed": np.array(failed, dtype=str)}


def segment_features(
    features: Tensor | np.ndarray, level: str, percentile: float = 75.0
) -> tuple[Tensor | np.ndarray, Tensor | np.ndarray]:
    """Clip features (T, D) in order of time -> segment features (S, D), segment of each clip (T,).

    ``level`` "clip": every clip for itself. "thirds": three equal parts (the first ones longer
    where T is no multiple of 3). "boundaries": Eq. 4, a segment begins where the L1 distance to
    the clip before exceeds the ``percentile`` (in [0, 100]) of this video's distances. "video":
    one segment. A segment's feature is the mean of its clips'. Arrays give arrays, tensors
    tensors. ValueError for other shapes, levels or percentiles.
    """
    one_of("level", level, LEVELS)
    values = torch.as_tensor(features)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"features must be (T, D) with T >= 1, got {tuple(values.shape)}")
    count = len(values)
    if level == "clip":
        segment = torch.arange(count)
    elif level == "thirds":
        segment = 3 * torch.arange(count) // count if count >= 3 else torch.arange(count)
    elif level == "boundaries":
        segment = segment_boundaries(values, percentile).cumsum(0)
    else:
        segment = torch.zeros(count, dtype=torch.int64)
    segment = segment.to(values.device)
    means = values.new_zeros(int(segment[-1]) + 1, values.shape[1]).index_add(0, segment, values)
    means = means / torch.bincount(segment)[:, None]
    if isinstance(features, np.ndarray):
        return means.numpy(), segment.numpy()
    return means, segment


def segment_boundaries(features: Tensor, percentile: float) -> Tensor:
    """Eq. 4: (T,) bool, where the L1 distance to the clip before exceeds the percentile of all.

    ``features`` (T, D); the first clip is never a boundary. Equal distances give no boundary.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile={percentile} must be in [0, 100]")
    distances = features.double().diff(dim=0).abs().sum(dim=1)
    found = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    if len(distances):
        found[1:] = distances > torch.quantile(distances, percentile / 100)
    return found


def boundary_times(features: ClipTable, percentile: float) -> dict[str, np.ndarray]:
    """The frames of each video at which Eq. 4 sees a boundary: halfway between the two clips."""
    times = {}
    for video_id, rows in features.rows_of.items():
        found = segment_boundaries(torch.from_numpy(features.values[rows]), percentile).numpy()
        middle = features.middle[rows]
        times[video_id] = ((middle[1:] + middle[:-1]) / 2)[found[1:]]
    return times


def random_times(
    features: ClipTable, times: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """As many boundaries in each video as ``times`` has, between clips drawn at random."""
    rng = np.random.default_rng(derive_seed(seed, "random boundaries"))
    middles = {video_id: features.middle[features.rows_of[video_id]] for video_id in times}
    places = {video_id: (m[1:] + m[:-1]) / 2 for video_id, m in middles.items()}
    return {v: rng.choice(places[v], len(found), replace=False) for v, found in times.items()}


def boundary_scores(
    times: Mapping[str, Sequence[float]], true: Mapping[str, Sequence[float]], tolerance: float
) -> tuple[float, float]:
    """Precision and recall of the boundaries found in the videos of ``true``.

    A video that is not in ``times`` has none found: all of its true ones are missed.
    """
    found = {video_id: times.get(video_id, ()) for video_id in true}
    hits = sum(matched_boundaries(found[v], true[v], tolerance) for v in true)
    return hits / max(sum(map(len, found.values())), 1), hits / sum(map(len, true.values()))


def matched_boundaries(found: Sequence[float], true: Sequence[float], tolerance: float) -> int:
    """How many pairs of a found and a true boundary lie within ``tolerance`` frames; each is in
    one pair at most.

    Divided by the number found this is precision, by the number of true ones recall.

    >>> matched_boundaries([10, 12, 40], [11, 30], tolerance=4)
    1
    """
    waiting, hits = sorted(true), 0
    for time in sorted(found):
        while waiting and waiting[0] < time - tolerance:
            waiting.pop(0)
        if waiting and waiting[0] <= time + tolerance:
            waiting.pop(0)
            hits += 1
    return hits


def segment_table(
    features: ClipTable, level: str, percentile: float = 75.0
) -> tuple[np.ndarray, np.ndarray]:
    """Segment features (S, D) of all videos, and the segment (N,) of each row of ``features``.

    At level "clip" of a table that lies on disk these are its rows as they lie there.
    """
    if level == "clip" and features.values.nbytes > MAPPED:
        return features.values, np.arange(len(features))
    segments, index, count = [], np.empty(len(features), np.int64), 0
    for rows in features.rows_of.values():
        means, places = segment_features(features.values[rows], level, percentile)
        segments.append(means)
        index[rows] = places + count
        count += len(means)
    return np.concatenate(segments), index


def pseudo_label_table(
    features: ClipTable,
    num_clusters: int,
    *,
    level: str = "clip",
    percentile: float = 75.0,
    seed: int = 0,
) -> tuple[ClipTable, Clusters]:
    """Pseudo-labels (N,) of the clips of ``features``, and the clusters of their segments.

    k-means, Euclidean, over the segments' features: each counts once, however long. Labels are in
    [0, ``num_clusters``). Warns of empty and of collapsed clusters. ValueError if there are fewer
    segments than clusters.
    """
    segments, index = segment_table(features, level, percentile)
    if not 1 <= num_clusters <= len(segments):
        raise ValueError(
            f"num_clusters={num_clusters} must be between 1 and the {len(segments)} segments of "
            f"level {level!r}: take fewer clusters or more videos"
        )
    clusters = kmeans(segments, num_clusters, seed=seed)
    labels = clusters.labels[index]
    return ClipTable(features.video_id, features.start, features.stop, labels), clusters


# --- retrieval ---------------------------------------------------------------------------------


def retrieval_features(
    model: nn.Module, dataset: Dataset, prepare: Prepare = normalise, **options
) -> Outputs:
    """Features (V, N, D) of every clip of V videos: the largest value of each channel of the map
    after the last residual block (section 4.5). ``options`` as in `vidssl.inference.run_videos`.
    """

    def largest(network: nn.Module, clips: Tensor) -> Tensor:
        return network.forward_features(prepare(clips)).amax(dim=(2, 3, 4))

    return run_videos(model, dataset, largest, desc="retrieval", **options)


def recalls(query: Outputs, gallery: Outputs, ks: Sequence[int]) -> dict[str, dict[int, float]]:
    """R@k of test clips (V, N, D) among training clips: "clip" to clip, the paper's, and "video"
    to video, by the means over a video's clips. Videos that could not be read find nothing."""
    unread = {"clip": len(query.failed) * query.values.shape[1], "video": len(query.failed)}
    return {
        kind: retrieval_recall(
            *retrieval_rows(query.values, query.labels, f"{kind}-to-{kind}"),
            *retrieval_rows(gallery.values, gallery.labels, f"{kind}-to-{kind}"),
            ks=ks,
            unread=missed,
        )
        for kind, missed in unread.items()
    }
