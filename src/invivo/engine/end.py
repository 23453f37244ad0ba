"""A model from its last block's output on: last norm, head, and whatever its family does to logits.

The model runs that end itself, with its blocks stood in for, so that nothing about a family is written down here and a
tweak of the end acts as it does in the model. Before an end is trusted it must give the model's logits, once a model.
What goes into it, the blocks' outputs, is taken by `residuals`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import Refused
from ..model import probe
from ..model.anatomy import is_linear, main_output
from .actions import Action
from .forward import watched
from .living import Living
from .swap import swap

ENDS = ("final_norm", "logits")  # sites after the last block
TOLERANCE = 1e-4  # of the largest logit, for the end to be the model's; a wrong end is off by far more


class _Enough(Exception):
    """A block has given its output; nobody needs what comes after it."""


class End:
    """A model from its last block's output on. `End.of` makes one and checks it."""

    def __init__(self, living: Living, tuples: Sequence[bool]) -> None:
        self.living, self.tuples = living, tuples  # whether each block gives a tuple

    def __call__(
        self,
        hidden: Tensor,
        first: int = 0,
        actions: Sequence[Action] = (),
        prompt_length: int = 0,
        tokens: Sequence[int] | None = None,
    ) -> Tensor:
        """Logits (R, P, V) of residual streams (R, P, D) at the positions from `first` on.

        `actions` are those at the sites after the blocks; one without a row acts on all R. With `tokens` the head is
        asked for theirs alone, (R, P, tokens), where it is one linear layer.
        """
        rows, columns = hidden.shape[:2]
        ids = torch.zeros((rows, columns), dtype=torch.long, device=hidden.device)  # no block will read them
        with ExitStack() as stack, watched(self.living.anatomy, actions, clocked=False) as run:
            run.padding, run.lengths = [0] * rows, [prompt_length] * rows
            run.past, run.columns = first, columns
            for block, as_tuple in zip(self.living.anatomy.blocks, self.tuples, strict=True):
                swap(stack, block.module, _standing_in(hidden, as_tuple))
            head: Any = self.living.hf.get_output_embeddings()
            if tokens is not None and isinstance(head, nn.Module) and is_linear(head):
                swap(stack, head, _narrow(head, tokens))
            return self.living.hf(input_ids=ids, use_cache=False).logits

    @classmethod
    def of(cls, living: Living) -> End:
        """The end of a model, checked once a model. Raises Refused where it is not what the model computes."""
        known = _ENDS.get(living.hf)
        if known is not None:
            return cls(living, known)
        given: list[Any] = []
        handles = [
            block.module.register_forward_hook(lambda _, __, output: given.append(output))
            for block in living.anatomy.blocks
        ]
        ids = probe.probe_ids(living.anatomy.inputs, living.device)
        try:
            with torch.no_grad():
                # some families go on adding to what a block gave, in place
                handles.append(
                    living.anatomy.blocks[-1].module.register_forward_hook(
                        lambda _, __, output: given.append(None if (x := main_output(output)) is None else x.clone())
                    )
                )
                stock = living.hf(input_ids=ids, use_cache=False).logits
        finally:
            for handle in handles:
                handle.remove()
        *outputs, last = given
        end = cls(living, [isinstance(output, tuple) for output in outputs])
        if last is None or last.shape[:2] != ids.shape or len(outputs) != living.anatomy.layers:
            raise Refused(f"{living.name} has no lens: its blocks do not give one hidden state a position")
        with torch.no_grad():
            apart = float((end(last) - stock).abs().max() / stock.abs().max().clamp(min=1.0))
        if not apart <= (TOLERANCE if stock.dtype in (torch.float32, torch.float64) else 5e-2):
            raise Refused(
                f"{living.name} has no lens: what follows its last block cannot be run by itself (off by {apart:.1e})",
                hint="please report this model",
            )
        _ENDS[living.hf] = end.tuples
        return end


_ENDS: WeakKeyDictionary[nn.Module, Sequence[bool]] = WeakKeyDictionary()  # models whose end was checked


def _narrow(head: Any, tokens: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """The head's forward for a few tokens."""
    chosen = torch.tensor(tokens, device=head.weight.device)
    weight = head.weight[chosen] if isinstance(head, nn.Linear) else head.weight[:, chosen].t()
    bias = None if head.bias is None else head.bias[chosen]
    return lambda x: F.linear(x, weight, bias)


def _standing_in(hidden: Tensor, as_tuple: bool) -> Callable[..., Any]:
    """A block's forward that gives `hidden`, whatever it is given."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        return (hidden,) if as_tuple else hidden

    return forward


def read_up_to(living: Living, ids: Tensor, layer: int | None) -> None:
    """Let the model read `ids` (R, T) until block `layer` has given its output; None: to the end."""
    if layer is None:
        living.hf(input_ids=ids, use_cache=False)
        return

    def enough(*_: Any) -> None:
        raise _Enough

    handle = living.anatomy.blocks[layer].module.register_forward_hook(enough)
    try:
        with suppress(_Enough):
            living.hf(input_ids=ids, use_cache=False)
    finally:
        handle.remove()


def residuals(living: Living, ids: Tensor, actions: Sequence[Action] = ()) -> list[Tensor]:
    """What leaves each block when rows read `ids` (R, T): L tensors (R, T, D). The model's end is not run."""
    acting = [action for action in actions if action.site not in ENDS]
    places = [(layer, "resid_post") for layer in range(living.anatomy.layers)]
    with watched(living.anatomy, acting, places) as passed:
        read_up_to(living, ids, living.anatomy.layers - 1)
    found = passed.tensors()
    return [found[place] for place in places]
