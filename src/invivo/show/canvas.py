"""A canvas: the marks of one drawing in order, with text already shown safely, and scales to place them by.

It is data between the layout of a picture and the writers that put it on SVG or on pixels. Coordinates are CSS pixels
from the top left. Text is measured by counting cells of a monospaced font: close enough for labels, and the same on
every machine. A mark's `kind` (`ink`, `faint`, `grid`, `base`, `tweak` …) says what it is; its colour is the light one,
and `dark` is its colour on a dark ground where its kind does not say it (a cell's).
`series` is the number of the series that it belongs to, and `say` what it tells of itself where somebody points at it;
a legend's name is a `key`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..pictures import Series
from .palette import FAINT, GRID, INK, colours
from .text import cells, number, shorten

WIDTH, PAD = 680, 20
MONO_CELL, SANS_CELL = 0.605, 0.58  # width of a cell over the font size
Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Shape:
    """A filled polygon, or a stroked line through points. A box is a polygon of four."""

    kind: str
    points: tuple[Point, ...]
    fill: str | None = None
    stroke: str | None = None
    width: float = 1
    opacity: float = 1
    dashed: bool = False
    series: int | None = None
    say: str = ""
    dark: str = ""


@dataclass(frozen=True)
class Dot:
    """A circle."""

    kind: str
    x: float
    y: float
    radius: float
    fill: str
    series: int | None = None
    say: str = ""


@dataclass(frozen=True)
class Words:
    """One line of text on its baseline; `turn` is in degrees, clockwise, about the anchor."""

    kind: str
    x: float
    y: float
    text: str
    size: float
    fill: str
    anchor: Anchor
    mono: bool
    bold: bool
    turn: float
    series: int | None = None
    key: bool = False
    dark: str = ""


class Canvas:
    """Marks in drawing order. `show` makes a text such that its reader can see all of it."""

    def __init__(self, show: Callable[[str], str]) -> None:
        self.show, self.height = show, 0.0
        self.marks: list[Shape | Dot | Words] = []

    def label(self, text: str, room: int) -> str:
        """A text as this canvas shows it, in at most `room` cells."""
        return shorten(self.show(text), room)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: Literal["grid", "axis"] = "grid") -> None:
        """A hairline."""
        self.marks.append(Shape(kind, ((x1, y1), (x2, y2)), stroke=GRID if kind == "grid" else FAINT))

    def box(
        self,
        kind: str,
        x: float,
        y: float,
        wide: float,
        tall: float,
        fill: str,
        *,
        dark: str = "",
        series: int | None = None,
        say: str = "",
    ) -> None:
        """A filled rectangle."""
        points = ((x, y), (x + wide, y), (x + wide, y + tall), (x, y + tall))
        self.marks.append(Shape(kind, points, fill=fill, series=series, say=self.show(say), dark=dark))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        kind: str = "ink",
        size: float = 12,
        anchor: Anchor = "start",
        mono: bool = False,
        bold: bool = False,
        turn: float = 0,
        fill: str | None = None,
        dark: str = "",
        series: int | None = None,
        key: bool = False,
    ) -> None:
        """One line of text, `ink` or `faint`, or in a colour of its own (`own`)."""
        fill = fill or (FAINT if kind == "faint" else INK)
        self.marks.append(Words(kind, x, y, self.show(text), size, fill, anchor, mono, bold, turn, series, key, dark))

    def title(self, text: str) -> float:
        """The title at the top; returns the y beneath it."""
        lines = textwrap.wrap(self.show(text), 66) or [""]
        for i, line in enumerate(lines):
            self.text(PAD, 28 + 20 * i, line, size=15, bold=True)
        return 42 + 20 * (len(lines) - 1)

    def legend(self, series: Sequence[Series], y: float) -> float:
        """Who has which colour and mark; a new line where the next name does not fit. Returns the y beneath."""
        x = PAD
        for n, (one, colour) in enumerate(zip(series, colours(series), strict=True)):
            name = self.label(one.name, 88)
            wide = 18 + 12 * SANS_CELL * cells(name) + 20
            if x > PAD and x + wide > WIDTH:
                x, y = PAD, y + 20
            self.dot(x + 5, y + 6, one.role, colour, 5, series=n)
            self.text(x + 18, y + 10, name, series=n, key=True)
            x += wide
        return y + 28

    def dot(
        self,
        x: float,
        y: float,
        role: str,
        colour: str,
        size: float = 3.2,
        *,
        series: int | None = None,
        say: str = "",
    ) -> None:
        """A dot whose shape says the role too: BASE round, TWEAK square, any other a diamond."""
        if role == "base":
            self.marks.append(Dot(role, x, y, size, colour, series, self.show(say)))
        elif role == "tweak":
            self.box(role, x - size, y - size, 2 * size, 2 * size, colour, series=series, say=say)
        else:
            s = 1.3 * size
            points = ((x, y - s), (x + s, y), (x, y + s), (x - s, y))
            self.marks.append(Shape(role, points, fill=colour, series=series, say=self.show(say)))


def finite(values: Iterable[float | None]) -> list[float]:
    """The numbers that can be drawn."""
    return [v for v in values if v is not None and math.isfinite(v)]


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` laid along pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, step: float) -> list[tuple[float, str]]:
        """Where to write which multiple of `step`."""
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self(i * step), number(i * step, decimals)) for i in range(first, last + 1)]


def round_step(low: float, high: float, most: int) -> float:
    """The smallest step of 1, 2 or 5 times a power of ten that cuts the span into at most `most` pieces."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough * 0.999), 10 * power)


def span(series: Sequence[Series], *, from_zero: bool) -> tuple[float, float]:
    """Lowest and highest number of the series; 0 is among them where bars stand on it, or where it is near."""
    values = [v for s in series for v in finite([*s.values, *(s.low or ()), *(s.high or ())])] or [0.0]
    low, high = min(values), max(values)
    if from_zero or 0 <= low < 0.5 * high or 0.5 * low < high <= 0:
        low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (low, low + 1.0)
