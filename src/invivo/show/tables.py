"""A picture as a table: for people who would rather read numbers, and for spreadsheets."""

from __future__ import annotations

from ..pictures import Bars, Heatmap, Picture
from ..spec import number_text
from .blocks import Table
from .text import decimals_for, number, safe

Row = tuple[list[str], list[float | None]]  # the names that say where, then the numbers there


def grid_of(picture: Picture) -> tuple[list[str], list[Row]]:
    """Column names, with units, and the rows at full precision."""
    if isinstance(picture, Heatmap):
        corner = f"{picture.row_name} ╲ {picture.column_name}"
        rows = [([name], list(values)) for name, values in zip(picture.rows, picture.values, strict=True)]
        return [corner, *picture.columns], rows
    if isinstance(picture, Bars):
        columns, rows, unit = [""], [([label], list[float | None]()) for label in picture.labels], picture.unit
    else:
        xs, unit = [number_text(x) for x in picture.x], picture.y_name
        columns, rows = [picture.x_name], [([x], list[float | None]()) for x in xs]
        if picture.x_labels is not None:  # the same token may come twice: its number keeps it apart
            columns = ["#", picture.x_name]
            rows = [([x, label], list[float | None]()) for x, label in zip(xs, picture.x_labels, strict=True)]
    for series in picture.series:
        columns.append(f"{series.name} ({unit})" if unit else series.name)
        for (_, numbers), value in zip(rows, series.values, strict=True):
            numbers.append(value)
        if series.low is not None and series.high is not None:
            columns += [f"{series.name}, low end", f"{series.name}, high end"]
            for (_, numbers), low, high in zip(rows, series.low, series.high, strict=True):
                numbers += [low, high]
    return columns, rows


def table_of(picture: Picture) -> Table:
    """The same to read: numbers rounded to about three digits of the largest."""
    columns, rows = grid_of(picture)
    decimals = decimals_for(v for _, numbers in rows for v in numbers)
    return Table(
        columns=tuple(safe(c) for c in columns),
        caption=picture.title,
        rows=tuple((*(safe(n) for n in names), *(number(v, decimals) for v in numbers)) for names, numbers in rows),
    )
