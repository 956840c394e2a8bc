"""Losses as pure functions of tensors, one file each; lower is better."""

from vidssl.losses.clip_order import clip_order_loss, clip_orders, shuffle_clips
from vidssl.losses.multi_clip import multi_clip_loss

__all__ = ["clip_order_loss", "clip_orders", "multi_clip_loss", "shuffle_clips"]
