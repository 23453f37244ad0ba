"""`adapt to "text"`: a copy of the model with an adapter that has learned it, merged in."""

from __future__ import annotations

from typing import Any

from ...errors import BadText
from ...tweaks.adapters import AdaptTo
from ..living import Living
from . import Maker
from ._train import LENGTH, windows


def make(living: Living, hf: Any, tweak: AdaptTo) -> tuple[Any, tuple[str, ...]]:
    """`hf` with the adapter, and a note of its size and of the loss before the first step and before the last.

    Raises BadText for a text of one token, and OutOfRange for a rank larger than a matrix.
    """
    from .. import adapters

    ids = living.tokenizer(tweak.text, verbose=False).input_ids
    if len(ids) < 2:
        raise BadText(f"`{tweak}`: the text is a single token, and nothing stands before it", hint="give a longer one")
    adapted = adapters.put_on(living, hf, tweak.rank)
    learned = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    share = learned / sum(p.numel() for p in living.hf.parameters())
    batches = (rows.to(living.device) for rows in windows(ids, tweak.steps, min(LENGTH, living.anatomy.context)))
    losses = adapters.learn(adapted, batches, steps=tweak.steps, rate=tweak.rate)
    told = f", loss {losses[0]:.2f} nats a token at the first step, {losses[-1]:.2f} at the last" if losses else ""
    return adapters.merge(adapted), (f"`{tweak}`: {learned:,} numbers learned ({share:.1%} of the model){told}",)


MAKER = Maker(AdaptTo, make)
