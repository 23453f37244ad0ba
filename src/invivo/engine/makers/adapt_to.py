"""`adapt to "text"`: a copy of the model with an adapter that has learned it, merged in."""

from __future__ import annotations

from typing import Any

from ...tweaks.adapters import AdaptTo
from ..living import Living
from . import Maker
from ._train import taught


def make(living: Living, hf: Any, tweak: AdaptTo) -> tuple[Any, tuple[str, ...]]:
    """`hf` with the adapter, and a note of its size and of the loss before the first step and before the last.

    Raises BadText for a text of one token, and OutOfRange for a rank larger than a matrix.
    """
    from .. import adapters

    adapted = adapters.put_on(living, hf, tweak.rank)
    learned = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    share = learned / sum(p.numel() for p in living.hf.parameters())
    told = taught(living, adapted, tweak.text, tweak)
    note = f"`{tweak}`: {learned:,} numbers learned ({share:.1%} of the model)"
    return adapters.merge(adapted), (f"{note}, {told}" if told else note,)


MAKER = Maker(AdaptTo, make)
