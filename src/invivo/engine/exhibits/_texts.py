"""What exhibits share: how surprised rows are by texts, and a number over texts with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import torch

from ...experiment.trials import Interval, interval
from ...show.text import number
from ...tweaks import Decoding, Stack
from ..living import Living
from ..reading import perplexity, read_only
from ..rows import check_effect, prepare


@torch.no_grad()
def surprise(living: Living, lines: Sequence[str], texts: Sequence[Sequence[int]]) -> list[list[float]]:
    """Mean surprise per token, in nats, of BASE and of one row a line, on each text: [row][text].

    Raises NoEffect where a tweak is never reached, and whatever `prepare` raises.
    """
    found: list[list[float]] = [[] for _ in range(len(lines) + 1)]
    stacks = [Stack.of(line) for line in lines]
    for ids in texts:
        rows = prepare(living, stacks, list(ids), {}, Decoding(), 0)
        for row, nats in enumerate(read_only(living, rows, list(ids))):
            found[row].append(-fmean(nats))
        check_effect(rows)
    return found


def over_texts(nats: Sequence[float]) -> Interval:
    """Perplexity over several texts: the exponential of their mean surprise, with its interval over texts."""
    mean = interval(list(nats))
    return Interval(**{end: perplexity([-getattr(mean, end)]) for end in ("mean", "low", "high")})


def read_well(value: float) -> str:
    """A positive number with three digits or so, and none behind the point from 100 on."""
    if not math.isfinite(value):
        return number(value)
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def spanned(spot: Interval) -> str:
    """`42 (38 to 47)`."""
    return f"{read_well(spot.mean)} ({read_well(spot.low)} to {read_well(spot.high)})"
