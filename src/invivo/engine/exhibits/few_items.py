"""How many items a benchmark needs: what a difference looks like on a few of them, and how its interval narrows.

The spread of a mean over n items is sd / √n, so half the width takes four times the items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ...errors import BadText, Refused
from ...experiment.trials import SHARE
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table, Text
from ...show.text import number, safe
from ...spec import Spec
from ...tweaks import Stack
from ..evaluation.scorer import Scorer
from ..evaluation.scores import FOLDS, outcomes
from ..evaluation.tasks import find
from ..living import Living
from . import Found, Kind

SIZES = (5, 10, 20, 40, 80, 160, 320, 640, 1280)
DRAWS = 4000


class Settings(Spec):
    """Which difference, on which task."""

    tweak: str = "zero head 3.5"
    """The TWEAK."""
    task: str = "giving"
    """A task whose items are right or wrong."""
    limit: int = Field(default=0, ge=0)
    """How many items of it there are at most; 0 is all."""


def show(living: Living, settings: Settings) -> Found:
    """A paired difference on 5, 10, 20 … items: its 95 % range, and how often a loss is not seen at all."""
    stack = Stack.of(settings.tweak)
    tasks = find([settings.task])
    base, tweak = [outcomes(Scorer.of(living, s), tasks, settings.limit) for s in (None, stack)]
    which = next((w for w, one in base.items() if one.share and tweak[w].share), None)
    if which is None:
        raise Refused(f"no item of {settings.task} is simply right or wrong")
    gains = tweak[which].values - base[which].values  # (n,): −1 lost, 0 the same, 1 won
    n = len(gains)
    if n < 2 * SIZES[0]:
        raise BadText(f"{settings.task} has {n} items", hint=f"{2 * SIZES[0]} or more are needed to choose among")
    sizes = [*(size for size in SIZES if size < n), n]
    drawn = {size: _means(gains, size) for size in sizes}
    ends = {size: np.quantile(means, [(1 - SHARE) / 2, (1 + SHARE) / 2]) for size, means in drawn.items()}
    unseen = {size: float((means >= 0).mean()) for size, means in drawn.items()}
    whole, spread = float(FOLDS["mean"](gains)), float(gains.std())
    numbers = {
        "items": float(n),
        "difference": whole,
        "lost": float((gains < 0).sum()),
        "won": float((gains > 0).sum()),
    }
    for size in sizes:
        numbers |= {f"first_{size}": float(gains[:size].mean()), f"unseen_{size}": unseen[size]}
        numbers |= {f"width_{size}": float(ends[size][1] - ends[size][0])}
    few = sizes[0]
    sentence = (
        f"Over {n} items `{safe(settings.tweak)}` moves right answers by {_points(whole)} points. Who takes {few} of "
        f"them sees no loss in {number(100 * unseen[few], 0)} % of the draws"
        + (f"; with {sizes[-2]}, in {number(100 * unseen[sizes[-2]], 0)} %." if len(sizes) > 2 else ".")
    )
    blocks = (_picture(sentence, sizes, ends, spread), _table(gains, sizes, ends, unseen), _enough(whole, spread))
    return Found(sentence, blocks, numbers)


def _means(gains: np.ndarray, size: int) -> np.ndarray:
    """The mean of `size` items drawn with replacement, DRAWS times: (DRAWS,)."""
    dice = np.random.default_rng(size)
    return gains[dice.integers(len(gains), size=(DRAWS, size))].mean(-1)


def _points(value: float) -> str:
    return number(100 * value, 1, signed=True)


def _picture(summary: str, sizes: Sequence[int], ends: dict[int, np.ndarray], spread: float) -> Figure:
    """The interval of draws beside what the square root says."""
    return Figure(
        picture=Lines(
            title="How wide the 95 % interval of a difference is",
            summary=summary,
            x=tuple(map(float, sizes)),
            x_name="items",
            y_name="width, points",
            x_labels=tuple(map(str, sizes)),
            series=(
                Series(name="of draws", values=tuple(100 * float(high - low) for low, high in ends.values())),
                Series(name="3.92 sd / √n", values=tuple(100 * 2 * 1.96 * spread / math.sqrt(size) for size in sizes)),
            ),
        ),
        name="few-items",
    )


def _table(gains: np.ndarray, sizes: Sequence[int], ends: dict[int, np.ndarray], unseen: dict[int, float]) -> Table:
    rows = tuple(
        (
            str(size),
            _points(float(gains[:size].mean())),
            " to ".join(number(100 * float(end), 0, signed=True) for end in ends[size]),
            f"{number(100 * unseen[size], 0)} %",
        )
        for size in sizes
    )
    return Table(columns=("items", "on the first ones, points", "95 % of draws", "draws without a loss"), rows=rows)


def _enough(whole: float, spread: float) -> Text:
    """How many items make a difference of this size visible."""
    if whole == 0 or spread == 0:
        return Text(text="Every item is the same under both: no number of items shows a difference.")
    needed = math.ceil((1.96 * spread / whole) ** 2)
    return Text(
        text=(
            f"An item's difference has a standard deviation of {number(100 * spread, 0)} points. An interval of "
            f"± 1.96 · sd / √n is narrower than the difference from {needed} items on; half the difference would take "
            f"four times as many."
        )
    )


EXHIBIT = Kind("How many items a difference needs", Settings, show, outside=("task",))
