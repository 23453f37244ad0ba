"""What is usual at a place: activations of BASE over invivo's hundred sentences, or over a text of the user's.

Rows are read together, with what pads the shorter ones at their ends, where a causal model cannot see it. The first
token of each text is left out: it often draws attention that means nothing and has activations far from all others
(Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks"; Sun et al. 2024, "Massive Activations").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..errors import BadText
from ..tweaks import AddSd
from ..tweaks.sentences import SENTENCES
from .actions import Action
from .end import ENDS, read_up_to
from .forward import Where, watched
from .living import Living

TOGETHER = 25  # texts read in one call: what a laptop holds even where logits are asked for


def encoded(living: Living, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, cut to what the model can read."""
    return [living.tokenizer(text, verbose=False).input_ids[: living.anatomy.context] if text else [] for text in texts]


@torch.no_grad()
def activations(
    living: Living, rows: Sequence[Sequence[int]], places: Sequence[Where]
) -> Iterator[tuple[int, dict[Where, Tensor]]]:
    """For each row of tokens (T,) its number and what every place holds there: (T, …), the site's axes without B."""
    last = None if any(site in ENDS for _, site in places) else max(layer or 0 for layer, _ in places)
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))  # those of a like length together
    for start in range(0, len(order), TOGETHER):
        chosen = [i for i in order[start : start + TOGETHER] if rows[i]]
        if not chosen:
            return
        width = max(len(rows[i]) for i in chosen)
        padded = [[*rows[i], *[rows[i][-1]] * (width - len(rows[i]))] for i in chosen]
        with watched(living.anatomy, capture=places) as run:
            read_up_to(living, torch.tensor(padded, device=living.device), last)
        found = {where: x.expand(len(chosen), *x.shape[1:]) for where, x in run.tensors().items()}
        for at, number in enumerate(chosen):
            yield number, {where: x[at, : len(rows[number])] for where, x in found.items()}


def spreads(living: Living, text: str | None, places: Sequence[Where]) -> dict[Where, Tensor]:
    """Each unit's standard deviation at some places, over invivo's sentences or a text: the site's shape without B, T.

    Raises BadText where the text has fewer than two tokens after its first.
    """
    texts = SENTENCES if text is None else (text,)
    sums: dict[Where, list[Tensor]] = {}
    count = 0
    for _, values in activations(living, encoded(living, texts), places):
        for where, x in values.items():
            seen = x[1:].double()
            one = [seen.sum(0), seen.square().sum(0)]
            sums[where] = [a + b for a, b in zip(sums[where], one, strict=True)] if where in sums else one
        count += len(next(iter(values.values()))) - 1
    if count < 2:
        raise BadText(
            f"{text!r} has too few tokens for a standard deviation", hint="give a sentence or more, and not one word"
        )
    return {w: (b / count - (a / count).square()).clamp(min=0).sqrt().float() for w, (a, b) in sums.items()}


def fill_spreads(living: Living, actions: Sequence[Action]) -> None:
    """Measure BASE once for each text and hand every `add … sd` its standard deviation."""
    needed: dict[str | None, list[Action]] = {}
    for action in actions:
        if isinstance(action.tweak, AddSd):
            needed.setdefault(action.tweak.text, []).append(action)
    for text, users in needed.items():
        found = spreads(living, text, list({(a.layer, a.site) for a in users}))
        for action in users:
            action.spread = found[(action.layer, action.site)]
