"""A tweak written into the weights: the same change as an edit of a matrix, which no hook has any part in."""

from __future__ import annotations

import torch

from ...errors import BadText
from ...show.blocks import Table
from ...spec import Spec, number_text
from ...tweaks import Activation, Decoding, Stack
from ..living import Living
from ..reading import logits_of
from ..rows import Row, prepare
from ..weights import edited
from . import Found, Kind
from .projection import small


class Settings(Spec):
    """Which tweaks, and on what."""

    prompt: str = "Once upon a time"
    """What is read."""
    tweaks: tuple[str, ...] = ("scale head 2.0 by 2",)
    """The tweaks: one change each, at every position and all the time, as weights act."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The logits under a tweak of activations, and under the same tweak as an edit of the weights, on every token."""
    ids = living.encode(settings.prompt)
    stacks = [Stack.of(line) for line in settings.tweaks]
    rows, apart, moved = [], 0.0, 0.0
    with living.alone("compare"):
        base = logits_of(living, [Row(None, Decoding(), 0)], ids, len(ids))[0].double()
        prepared = prepare(living, stacks, ids, {}, Decoding(), 0)[1:]
        for stack, row in zip(stacks, prepared, strict=True):
            (tweak, *more) = tuple(stack)
            if more or not isinstance(tweak, Activation):
                raise BadText(
                    f"`{stack}` is not one change of activations", hint="give one such as `scale head 2.0 by 2`"
                )
            hooked = logits_of(living, [row], ids, len(ids))[0].double()
            with edited(living.anatomy, tweak):
                written = living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False).logits[0]
            one, far = float((hooked - written.double()).abs().max()), float((hooked - base).abs().max())
            apart, moved = max(apart, one), max(moved, far)
            rows.append((str(stack), f"{far:.2g}", small(one)))
    numbers = {"deviation": apart, "moved": moved, "largest_logit": float(base.abs().max())}
    size = number_text(float(f"{moved:.2g}"))
    sentence = (
        f"Written into the weights, the tweak gives the same logits: over {len(ids)} tokens the two forms differ by at "
        f"most {small(apart)}, where the tweak moves logits by up to {size}."
    )
    columns = ("tweak", "moves a logit by up to", "the two forms differ by")
    return Found(sentence, (Table(columns=columns, rows=tuple(rows)),), numbers)


EXHIBIT = Kind("The same tweak as an edit of the weights", Settings, show)
