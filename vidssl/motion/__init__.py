"""Motion made and measured: pseudo motions from still images."""

from vidssl.motion.pseudo_motion import (
    FLIPS,
    MOTIONS,
    MaskRatio,
    Motions,
    flip_clips,
    freeze_outside,
    label_pool,
    mask_range,
    mask_ratio_at,
    mirrored_labels,
    plan_motions,
    pseudo_motion,
    render_motions,
    source_side,
)

__all__ = [
    "FLIPS",
    "MOTIONS",
    "MaskRatio",
    "Motions",
    "flip_clips",
    "freeze_outside",
    "label_pool",
    "mask_range",
    "mask_ratio_at",
    "mirrored_labels",
    "plan_motions",
    "pseudo_motion",
    "render_motions",
    "source_side",
]
