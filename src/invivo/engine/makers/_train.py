"""Training a copy of the model further on one text: what `train … on "text"`, `train … on FILE` and
`adapt to "text"` have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...errors import BadText
from ...tweaks.adapters import AdaptTo
from ...tweaks.training import Training
from .. import toys
from ..living import Living

LENGTH, ROWS = 128, 4  # of a batch: tokens in a row, and rows, where the text has so many


def windows(ids: list[int], steps: int, length: int) -> Iterator[Tensor]:
    """A batch a step: rows of `length` neighbouring tokens (B, T) from places drawn anew; a short text is one row."""
    text, dice = torch.tensor(ids), torch.Generator().manual_seed(0)
    for _ in range(steps):
        if len(ids) <= length:
            yield text[None]
            continue
        starts = torch.randint(len(ids) - length + 1, (ROWS,), generator=dice)
        yield torch.stack([text[start : start + length] for start in starts.tolist()])


def taught(living: Living, model: Any, text: str, tweak: Training | AdaptTo) -> str:
    """Train what of `model` asks for gradients on `text`; the loss before the first step and before the last, in words
    ("" for no steps). Raises BadText for a text of one token, which nothing stands before.
    """
    ids = living.tokenizer(text, verbose=False).input_ids
    if len(ids) < 2:
        raise BadText(f"`{tweak}`: the text is a single token, and nothing stands before it", hint="give a longer one")
    batches = (rows.to(living.device) for rows in windows(ids, tweak.steps, min(LENGTH, living.anatomy.context)))
    losses = toys.fit(model, batches, steps=tweak.steps, rate=tweak.rate)
    return f"loss {losses[0]:.2f} nats a token at the first step, {losses[-1]:.2f} at the last" if losses else ""


def make(living: Living, hf: Any, tweak: Training) -> tuple[Any, tuple[str, ...]]:
    """`hf` after `steps` batches of the text, with a note of the loss. Raises BadText for a text of one token."""
    for parameter in hf.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    told = taught(living, hf, tweak.source, tweak)
    return hf, (f"`{tweak}`: {told}",) if told else ()
