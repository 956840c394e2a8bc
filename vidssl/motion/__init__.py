"""Motion made and measured: pseudo motions from still images, optical flow of videos.

`vidssl.motion.extract`, which computes the flow of a whole data set, is a module of its own to
import.
"""

from vidssl.data.flow_files import decode_flow, encode_flow, resize_flow
from vidssl.motion.flow import METHODS, grey, optical_flow
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
from vidssl.motion.tv_l1 import tv_l1

__all__ = [
    "FLIPS",
    "METHODS",
    "MOTIONS",
    "MaskRatio",
    "Motions",
    "decode_flow",
    "encode_flow",
    "flip_clips",
    "freeze_outside",
    "grey",
    "label_pool",
    "mask_range",
    "mask_ratio_at",
    "mirrored_labels",
    "optical_flow",
    "plan_motions",
    "pseudo_motion",
    "render_motions",
    "resize_flow",
    "source_side",
    "tv_l1",
]
