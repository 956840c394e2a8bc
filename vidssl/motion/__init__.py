"""Motion made and measured: pseudo motions from still images."""

from vidssl.motion.pseudo_motion import (
    Motions,
    label_pool,
    mask_ratio_at,
    plan_motions,
    pseudo_motion,
    render_motions,
    source_side,
)

__all__ = [
    "Motions",
    "label_pool",
    "mask_ratio_at",
    "plan_motions",
    "pseudo_motion",
    "render_motions",
    "source_side",
]
