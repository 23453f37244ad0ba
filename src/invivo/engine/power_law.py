"""L = E + A N^-α through measured points, and straight lines through logarithms: numpy is enough.

For each α the best E and A follow from least squares, so only α is searched (variable projection, Golub & Pereyra
1973). The form is Hoffmann et al.'s 2022 with the data held fixed: E is what no size can go below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import Refused

ALPHAS = np.linspace(0.02, 3.0, 299)  # steps of 0.01
DRAWS, DISTINCT = 1000, 5  # resamplings of the points, and how many different ones each must hold
ENDS = (2.5, 97.5)  # percentiles of the band


@dataclass(frozen=True)
class Law:
    """L = floor + factor · N^-exponent, and the 95 % bands of floor and exponent."""

    floor: float
    factor: float
    exponent: float
    floors: tuple[float, float] = (float("nan"), float("nan"))
    exponents: tuple[float, float] = (float("nan"), float("nan"))

    def at(self, sizes: Sequence[float]) -> list[float]:
        """The loss it gives for each size."""
        return [self.floor + self.factor * size**-self.exponent for size in sizes]


def law(sizes: Sequence[float], losses: Sequence[float], seed: int = 0) -> Law:
    """The law through points of rising size, no floor below 0, with bands from resampled points (Efron 1979).

    Raises Refused for fewer than five different sizes: three numbers are fitted.
    """
    if len(set(sizes)) < DISTINCT:
        raise Refused(f"a law of three numbers needs {DISTINCT} sizes or more, not {len(set(sizes))}")
    n, loss = np.asarray(sizes, dtype=float), np.asarray(losses, dtype=float)
    basis = (n / n[0]) ** -ALPHAS[:, None]  # (alphas, points); relative to the first size, so that nothing is tiny
    floor, factor, exponent = _fit(basis, loss, np.ones(len(n)))
    dice, found = np.random.default_rng(seed), []
    while len(found) < DRAWS:
        times = np.bincount(dice.integers(len(n), size=len(n)), minlength=len(n))
        if (times > 0).sum() >= DISTINCT:
            found.append(_fit(basis, loss, times))
    low, high = np.percentile(np.array(found), ENDS, axis=0)
    return Law(
        floor,
        float(factor * n[0] ** exponent),
        exponent,
        (float(low[0]), float(high[0])),
        (float(low[2]), float(high[2])),
    )


def straight(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """The least-squares line through points: (slope, height at 0, R²), R² being 0 where y does not vary."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    slope, height = np.polyfit(a, b, 1)
    whole = ((b - b.mean()) ** 2).sum()
    left = ((b - height - slope * a) ** 2).sum()
    return float(slope), float(height), float(1 - left / whole) if whole > 0 else 0.0


def _fit(basis: np.ndarray, loss: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """(floor, factor, exponent) of least weighted squares; a floor below 0 is held at 0."""
    total = weight.sum()
    mean, middle = basis @ weight / total, loss @ weight / total
    apart = basis - mean[:, None]
    factor = (apart * (loss - middle)) @ weight / (apart**2 @ weight)
    floor = middle - factor * mean
    bare = (basis * loss) @ weight / (basis**2 @ weight)  # the best factor where the floor is 0
    factor, floor = np.where(floor < 0, bare, factor), np.maximum(floor, 0.0)
    left = ((floor[:, None] + factor[:, None] * basis - loss) ** 2) @ weight
    best = int(left.argmin())
    return float(floor[best]), float(factor[best]), float(ALPHAS[best])
