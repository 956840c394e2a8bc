"""Losses as pure functions of tensors, one file each; lower is better."""

from vidssl.losses.clip_order import clip_order_loss, clip_orders, shuffle_clips
from vidssl.losses.contrastive import global_local, instance_contrast, local_local, nt_xent
from vidssl.losses.distillation import distillation_loss, pseudo_label_loss
from vidssl.losses.multi_clip import multi_clip_loss

__all__ = [
    "clip_order_loss",
    "clip_orders",
    "distillation_loss",
    "global_local",
    "instance_contrast",
    "local_local",
    "multi_clip_loss",
    "nt_xent",
    "pseudo_label_loss",
    "shuffle_clips",
]
