"""Layers that fine-tuning leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vidssl.core import one_of


def freeze(model: nn.Module, stages: Sequence[str]) -> None:
    """Keep ``stages`` of ``model`` as they are while the others train; replaces earlier choices.

    ``stages`` are names in ``model.stages()``, for example ("stem", "conv2"); an empty list
    releases all. A frozen stage has no gradients, and its batch norms go on with the statistics
    they have, also after ``model.train()``. Call it before the optimiser is made, which is before
    `vidssl.training.fit`. ValueError for an unknown stage.

    >>> from vidssl.models import build
    >>> model = build("r3d_18", num_classes=2, width=0.125)
    >>> freeze(model, ["stem"])
    >>> [name for name, stage in model.stages().items() if is_frozen(stage)]
    ['stem']
    """
    if isinstance(stages, str):
        raise ValueError(f"stages must be a list of names, e.g. [{stages!r}]")
    known = model.stages()
    for name in stages:
        one_of("stages", name, list(known))
    for name, stage in known.items():
        stage.requires_grad_(name not in stages)
        if name in stages and _stay_in_evaluation not in stage._forward_pre_hooks.values():
            stage.register_forward_pre_hook(_stay_in_evaluation)


def is_frozen(stage: nn.Module) -> bool:
    """Whether no parameter of ``stage`` is trained."""
    return not any(parameter.requires_grad for parameter in stage.parameters())


def _stay_in_evaluation(stage: nn.Module, _: tuple) -> None:
    """``model.train()`` reaches every stage; this takes a frozen one back before it computes."""
    if stage.training and is_frozen(stage):
        stage.eval()
