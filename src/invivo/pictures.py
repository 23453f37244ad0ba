"""What to draw, as data. Writers in `show` turn a picture into SVG, PNG, terminal text or HTML; none of them computes.

Every picture has a title, axis names with units, and a summary: one sentence that says what there is to see, for
people who cannot see it and for those who would rather read.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .errors import BadText
from .spec import Spec

Role = Literal["base", "tweak", "other"]


class Series(Spec):
    """One named row of numbers; its role decides its colour (BASE blue-grey, TWEAK orange)."""

    name: str
    """Legend text."""
    values: tuple[float | None, ...]
    """One number a place on the x axis; None leaves a gap."""
    role: Role = "other"
    """What it stands for."""
    low: tuple[float, ...] | None = None
    """Lower end of an interval, as long as values."""
    high: tuple[float, ...] | None = None
    """Upper end of an interval."""


class _Picture(Spec):
    title: str
    """What is shown."""
    summary: str
    """One sentence in words."""


class Bars(_Picture):
    """Grouped bars: one group a label, one bar a series (token probabilities, say)."""

    kind: Literal["bars"] = "bars"
    labels: tuple[str, ...]
    """Group names, in order."""
    series: tuple[Series, ...]
    """Bars of each group."""
    unit: str
    """Unit of the values."""


class Lines(_Picture):
    """Curves over a common x axis (a dose curve, an effect by position)."""

    kind: Literal["lines"] = "lines"
    x: tuple[float, ...]
    """Places on the x axis."""
    x_name: str
    """What x is, with its unit."""
    y_name: str
    """What y is, with its unit."""
    series: tuple[Series, ...]
    """Curves."""
    x_labels: tuple[str, ...] | None = None
    """Names instead of numbers at each x (tokens, say)."""


class Heatmap(_Picture):
    """A grid of numbers: layers x heads, layers x positions."""

    kind: Literal["heatmap"] = "heatmap"
    rows: tuple[str, ...]
    """Row names, top to bottom."""
    columns: tuple[str, ...]
    """Column names, left to right."""
    values: tuple[tuple[float | None, ...], ...]
    """One tuple a row; None is left blank."""
    row_name: str
    """What rows are."""
    column_name: str
    """What columns are."""
    unit: str
    """Unit of the values."""
    diverging: bool = False
    """Colours about 0, with symmetric limits, when values have a sign."""
    outlined: tuple[tuple[bool, ...], ...] | None = None
    """Cells to draw a line around, as large as `values`: what a tweak can reach."""


Picture = Annotated[Bars | Lines | Heatmap, Field(discriminator="kind")]


def check_lengths(picture: Bars | Lines) -> None:
    """Raise BadText when a series is not as long as its axis."""
    size = len(picture.labels) if isinstance(picture, Bars) else len(picture.x)
    for series in picture.series:
        if len(series.values) != size:
            raise BadText(f"{picture.title}: {series.name} has {len(series.values)} values for {size} places")


__all__ = ["Bars", "Heatmap", "Lines", "Picture", "Role", "Series", "check_lengths"]
