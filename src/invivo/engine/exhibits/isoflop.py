"""One budget of arithmetic, spent on models of many sizes: a small one reads much, a large one little.

Hoffmann et al. 2022 (approach 2): at each budget the loss over size is a valley, and its lowest point moves to larger
models as the budget grows. The arithmetic is estimated as C = 6 N D for N weights and D words read (Kaplan et al.
2020). The smallest budget is trained on the spot, the others were trained beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pydantic import Field

from ...errors import OutOfRange
from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..power_law import straight
from ..stored import BEFOREHAND, Figures, marked
from . import Found, Kind
from ._sizes import LENGTH, Trained, check_widths, known, plain, train, trained, weights

BUDGETS = (3e9, 9e9, 27e9)  # floating-point operations
WIDTHS = (4, 6, 8, 12, 16, 24, 32)
ROWS, RATE, SEED = 16, 0.03, 0  # of a batch; the highest learning rate
LEAST_STEPS, MOST_STEPS = 8, 20_000  # what fewer teach is not worth a point


class Settings(Spec):
    """Which budgets, and which of them are spent here and now."""

    budgets: tuple[float, ...] = BUDGETS
    """Floating-point operations that each training may cost, rising; two or more."""
    widths: tuple[int, ...] = WIDTHS
    """Widths of the models, even and rising; five or more."""
    live: int = Field(default=1, ge=0)
    """How many budgets are spent now, from the smallest up; what is not stored is trained now in any case."""
    again: bool = False
    """Whether to spend them all now."""


def show(living: Living, settings: Settings) -> Found:
    """The loss over size at each budget, and where it is lowest."""
    check_widths(settings.widths, least=5)
    _check(settings.budgets)
    kept = known(FIGURES.read())
    runs: dict[float, list[Trained]] = {}
    fresh = set(settings.budgets if settings.again else settings.budgets[: settings.live])
    apart = 0.0
    for budget in settings.budgets:
        before = _known(kept, settings, budget)
        if budget in fresh or before is None:
            runs[budget] = _spent(settings, budget)
            fresh.add(budget)
            if before is not None:
                apart = max(apart, *(abs(a.loss - b.loss) for a, b in zip(runs[budget], before, strict=True)))
        else:
            runs[budget] = before
    lowest = {budget: valley(found) for budget, found in runs.items()}
    numbers = {"budgets": float(len(runs)), "apart": apart, "live": float(len(fresh))}
    for i, budget in enumerate(runs):
        best = min(runs[budget], key=lambda run: run.loss)
        numbers |= {f"budget_{i}": budget, f"valley_{i}": lowest[budget], f"best_{i}": float(best.weights)}
        numbers |= {f"loss_{i}": best.loss, f"words_{i}": _words(lowest[budget], budget)}
    moved, _, _ = straight(list(map(math.log, runs)), list(map(math.log, lowest.values())))
    numbers["moved"] = moved
    first, last = next(iter(runs)), next(reversed(runs))
    sentence = (
        f"With {number(last / first, 0)} times the arithmetic, the best size goes from {_count(lowest[first])} to "
        f"{_count(lowest[last])} weights: as the budget to the power of {number(moved)}."
    )
    if len(fresh) < len(runs):
        sentence = marked(sentence, f" but for {len(fresh)} of {len(runs)} budgets" if fresh else "")
    widths = sorted({run.width for found in runs.values() for run in found})
    by = {budget: {run.width: run for run in found} for budget, found in runs.items()}
    roles = ("other",) * (len(runs) - 1) + ("tweak",)
    picture = Lines(
        title="Loss by size, at equal arithmetic",
        summary=sentence,
        x=tuple(round(math.log10(weights(width)), 2) for width in widths),
        x_name="weights, as a power of ten",
        y_name="nats a word",
        series=tuple(
            Series(
                name=f"{_power(budget)} operations",
                role="base" if budget == first else role,
                values=tuple(by[budget][width].loss if width in by[budget] else None for width in widths),
            )
            for budget, role in zip(runs, roles, strict=True)
        ),
    )
    blocks: list[Block] = [Figure(picture=picture, name="isoflop"), _table(runs, lowest, fresh)]
    if len(fresh) < len(runs):
        blocks.append(Text(text=FIGURES.told(), tone="dim"))
    return Found(sentence, tuple(blocks), numbers)


def valley(runs: Sequence[Trained]) -> float:
    """The size of lowest loss: of the parabola in log size through the lowest run and its two neighbours, or the lowest
    run itself where that is the first or the last.
    """
    low = min(range(len(runs)), key=lambda i: runs[i].loss)
    if low in (0, len(runs) - 1):
        return float(runs[low].weights)
    (x0, y0), (x1, y1), (x2, y2) = ((math.log(run.weights), run.loss) for run in runs[low - 1 : low + 2])
    left, right = (x1 - x0) * (y1 - y2), (x1 - x2) * (y1 - y0)
    return math.exp(x1 - 0.5 * ((x1 - x0) * left - (x1 - x2) * right) / (left - right))


def _steps(width: int, budget: float) -> int:
    """Batches that a model of that width can read for the budget."""
    return round(budget / (6 * weights(width) * ROWS * LENGTH))


def _words(size: float, budget: float) -> float:
    """Words that a model of that size can read for the budget."""
    return budget / (6 * size)


def _within(s: Settings, budget: float) -> list[int]:
    return [width for width in s.widths if LEAST_STEPS <= _steps(width, budget) <= MOST_STEPS]


def _spent(s: Settings, budget: float) -> list[Trained]:
    make = train if s.again else trained
    return [make(width, RATE, _steps(width, budget), ROWS, seed=SEED) for width in _within(s, budget)]


def _known(kept: Sequence[Trained], s: Settings, budget: float) -> list[Trained] | None:
    """The stored runs of a budget, or None where one of them is missing."""
    by = {(run.width, run.steps): run for run in kept}
    wanted = [(width, _steps(width, budget)) for width in _within(s, budget)]
    return [by[one] for one in wanted] if all(one in by for one in wanted) else None


def _stored() -> list[dict[str, Any]]:
    """Every budget that is stored, spent now: about a minute on one core."""
    return plain(run for budget in STORED.budgets for run in _spent(STORED, budget))


def _check(budgets: tuple[float, ...]) -> None:
    """Raise OutOfRange where there are too few budgets, or one buys too few models."""
    if len(budgets) < 2 or any(a >= b for a, b in pairwise(budgets)):
        raise OutOfRange("two budgets or more, rising", hint="budgets=[3e9, 9e9]")
    least, most = (6 * weights(width) * ROWS * LENGTH * steps for width, steps in ((24, LEAST_STEPS), (4, MOST_STEPS)))
    if not least <= budgets[0] or not budgets[-1] <= most:
        raise OutOfRange(
            f"budgets go from {_power(least)} to {_power(most)} operations here", hint="budgets=[3e9, 9e9]"
        )


def _table(runs: dict[float, list[Trained]], lowest: dict[float, float], fresh: set[float]) -> Table:
    """A row a budget: where its valley is, and what is read there."""
    rows = []
    for budget, found in runs.items():
        best = min(found, key=lambda run: run.loss)
        rows.append(
            (
                _power(budget),
                "now" if budget in fresh else BEFOREHAND,
                _count(lowest[budget]),
                _count(_words(lowest[budget], budget)),
                number(_words(lowest[budget], budget) / lowest[budget], 0),
                number(best.loss, 3),
            )
        )
    columns = ("operations", "trained", "best size, weights", "words it reads", "words a weight", "lowest loss, nats")
    return Table(columns=columns, rows=tuple(rows))


def _count(n: float) -> str:
    """To three digits: a fitted size is no more exact."""
    digits = max(0, math.floor(math.log10(n)) - 2)
    return f"{round(n, -digits):,.0f}"


def _power(n: float) -> str:
    """`2.7e10` as people write it: 27 billion."""
    return f"{number(n / 1e9, 1).removesuffix('.0')} billion"


STORED = Settings(again=True)
FIGURES = Figures("isoflop", STORED.model_dump(mode="json", exclude={"again", "live"}), _stored)
EXHIBIT = Kind("The best size for a budget", Settings, show)
