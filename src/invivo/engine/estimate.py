"""Attribution patching: what a tweak would do, estimated from one gradient (Nanda 2023; Molchanov et al. 2017).

To first order, changing an activation by d moves a metric by d · gradient. One forward and one backward pass give the
gradient at every place at once, so a sweep of a million places costs about three forward passes and a sum each. It is
an estimate: right where the model is nearly linear in what changes, wrong where it saturates (softmax, norms, large
changes). It is exact for what lies behind the last norm. Any activation tweak can be estimated, not only `copy`: the
tweak itself says what the new values would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import Refused
from .actions import Action
from .forward import Pass, Where, watched
from .living import Living
from .paths import Sender
from .rows import Row


class _Tape:
    """Keeps activations alive with their gradients, without changing them."""

    def __init__(self, run: Pass) -> None:
        self.run = run
        self.kept: dict[Where, Tensor] = {}

    def touch(self, where: Where, x: Tensor, *, in_place: bool = False) -> Tensor:
        """Keep `x` itself: what the model goes on with."""
        if not x.requires_grad:
            x.requires_grad_(True)
        x.retain_grad()
        self.kept[where] = x
        return x


def gradients(
    living: Living, ids: Sequence[int], places: Sequence[Where], looked: int, read: Any
) -> tuple[float, dict[Where, tuple[Tensor, Tensor]]]:
    """BASE's metric, and at each place its activation and the metric's gradient (both with a batch axis of 1).

    `read` turns logits (1, P, V) into the metric (1,). Run it outside of packed layers: these know no gradient.
    """
    text = torch.tensor([list(ids)], device=living.device)
    embedding = living.anatomy.points["embed"].module

    def begin(module: Any, args: Any, output: Tensor) -> Tensor:
        return output if output.requires_grad else output.detach().requires_grad_(True)

    with torch.enable_grad(), watched(living.anatomy, capture=places) as run:
        tape = _Tape(run)
        run.touch = tape.touch  # type: ignore[method-assign]
        handle = embedding.register_forward_hook(begin, prepend=True)  # type: ignore[call-arg]
        try:
            logits = living.hf(input_ids=text, use_cache=False).logits
        finally:
            handle.remove()
        value = read(logits[:, -looked:])
        kept = list(tape.kept.items())
        found = torch.autograd.grad(value.sum(), [x for _, x in kept], allow_unused=True)
    return float(value.detach()), {
        where: (x.detach(), torch.zeros_like(x) if g is None else g.detach())
        for (where, x), g in zip(kept, found, strict=True)
    }


@torch.no_grad()
def estimates(
    rows: Sequence[Row], base: float, kept: dict[Where, tuple[Tensor, Tensor]], prompt_length: int
) -> list[float]:
    """The metric under each row, to first order. A row's several tweaks add up."""
    return [
        base + sum(_moved(action, *kept[(action.layer, action.site)], prompt_length) for action in row.actions)
        for row in rows
    ]


def _moved(action: Action, x: Tensor, gradient: Tensor, prompt_length: int) -> float:
    """How far the metric moves, to first order, when the action changes `x`."""
    if isinstance(action, Sender):
        raise Refused(f"`{action.tweak}` changes no activation with a gradient", hint="leave out --estimate")
    new = x.clone()
    action.row = 0
    action.apply(new, 0, 0, prompt_length, 0)
    return float(((new - x).double() * gradient.double()).sum())
