"""The colours of every picture and page: BASE blue-grey, TWEAK orange, one hue for amounts, blue to orange for signs.

All pairs differ in lightness as well as hue, so they part in print and for every kind of colour vision; no meaning is
carried by red against green. Colours are hex strings, which SVG, CSS, matplotlib and rich all read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..pictures import Heatmap, Series

PAPER, INK, FAINT, GRID, EMPTY = "#fdfcfa", "#22262b", "#646b75", "#e4e1da", "#efede8"
BASE, TWEAK = "#5b7690", "#d9730d"
OTHERS = ("#7b5aa6", "#2f8f83", "#a8456b", "#8a7a1f")
MORE = ("#3d6dcc", "#5f8a2c", "#c2489b", "#555f6b")  # where that is not enough: a curve a layer
INKS = dict(zip(("one", "two", "three", "four"), OTHERS, strict=True))  # of a drawing
AMOUNT = ("#f1f4f7", "#8fb0cc", "#3d6d99", "#12304d")  # nothing to much
SIGNED = ("#123f6b", "#6f9dc6", "#f4f2ee", "#eda55d", "#a34a00")  # below zero to above
AMOUNT_DARK = ("#1d2329", "#34567a", "#6f9dc6", "#cfe3f5")  # the same on a dark ground: nothing is dark, much is light
EMPTY_DARK = "#24272b"
SIGNED_DARK = ("#a9cfee", "#4179ab", "#1f2327", "#a8601c", "#f7c08a")


def colours(series: Iterable[Series]) -> list[str]:
    """One colour a series, by its role."""
    others = iter((*OTHERS, *MORE) * 8)
    return [BASE if s.role == "base" else TWEAK if s.role == "tweak" else next(others, FAINT) for s in series]


def mixed(stops: tuple[str, ...], share: float) -> str:
    """The colour at `share` (0 to 1) of the way along the stops."""
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    one, two = (tuple(int(stop[i : i + 2], 16) for i in (1, 3, 5)) for stop in stops[left : left + 2])
    return "#" + "".join(f"{round(a + (b - a) * (place - left)):02x}" for a, b in zip(one, two, strict=True))


def limits(picture: Heatmap) -> tuple[float, float]:
    """The numbers at both ends of a heatmap's scale: symmetric when it has signs, from 0 when nothing is below it."""
    values = [v for row in picture.values for v in row if v is not None and math.isfinite(v)] or [0.0]
    if picture.diverging:
        widest = max(abs(v) for v in values) or 1.0
        return -widest, widest
    low, high = min(0.0, *values), max(values)
    return (low, high) if high > low else (low, low + 1.0)


def scale(picture: Heatmap, *, dark: bool = False) -> tuple[str, ...]:
    """A heatmap's colours from its lowest number to its highest; on either ground, what is near zero looks like it."""
    if picture.diverging:
        return SIGNED_DARK if dark else SIGNED
    return AMOUNT_DARK if dark else AMOUNT


def cell_colour(picture: Heatmap, value: float | None, *, dark: bool = False) -> str:
    """The colour of one cell."""
    if value is None or math.isnan(value):
        return EMPTY_DARK if dark else EMPTY
    low, high = limits(picture)
    return mixed(scale(picture, dark=dark), (value - low) / (high - low))


def ink_on(colour: str) -> str:
    """Black or white, whichever stands out more from `colour`: at least 4.5:1, because sqrt(1.05 / 0.05) is 4.58."""
    luminance = luminance_of(colour)
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"


def luminance_of(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG 2 defines it."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
