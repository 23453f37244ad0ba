"""Where everything goes: a picture laid out on a canvas, once for all of SVG, PNG and PDF. It computes no result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..pictures import Bars, Heatmap, Lines, Picture, check_lengths
from ..spec import number_text
from .canvas import MONO_CELL, PAD, SANS_CELL, WIDTH, Canvas, Point, Scale, Shape, finite, round_step, span
from .palette import EMPTY, FAINT, cell_colour, colours, ink_on, limits, mixed, scale
from .text import cells, decimals_for, number, safe


def laid_out(picture: Picture, show: Callable[[str], str] = safe) -> Canvas:
    """The picture's marks. `show` says how a writer shows text; what it lengthens gets the room it needs."""
    canvas = Canvas(show)
    y = canvas.title(picture.title)
    if isinstance(picture, Heatmap):
        bottom = _heatmap(canvas, picture, y)
    else:
        check_lengths(picture)
        y = canvas.legend(picture.series, y)
        bottom = _bars(canvas, picture, y) if isinstance(picture, Bars) else _lines(canvas, picture, y)
    canvas.height = math.ceil(bottom)
    return canvas


def short(unit: str) -> str:
    """The bare unit of an axis: `%` of `change of probability, %`."""
    return unit.rpartition(", ")[2]


def _bars(canvas: Canvas, picture: Bars, top: float) -> float:
    """Lying bars, so that labels of any length are read upright. A value that is missing takes no room."""
    tall, gap, size = 13, 11, 12
    labels = [canvas.label(label, 36) for label in picture.labels]
    low, high = span(picture.series, from_zero=True)
    decimals = decimals_for(v for s in picture.series for v in s.values)

    def value_text(value: float) -> str:
        return number(value, decimals, signed=low < 0 < high)

    room = 11 * SANS_CELL * max(cells(value_text(v)) for v in (low, high)) + 12
    label_end = PAD + size * MONO_CELL * max(map(cells, labels), default=0)
    across = Scale(low, high, label_end + 10 + (room if low < 0 else 0), WIDTH - PAD - (room if high > 0 else 0))
    zero = across(0)
    groups = [
        [
            (n, s, colour, value)
            for n, (s, colour) in enumerate(zip(picture.series, colours(picture.series), strict=True))
            if (value := s.values[i]) is not None
        ]
        for i in range(len(labels))
    ]
    heights = [max(1, len(group)) * (tall + 2) + gap for group in groups]
    bottom = top + sum(heights)
    for x, text in across.ticks(round_step(low, high, 6)):
        canvas.line(x, top, x, bottom)
        canvas.text(x, bottom + 15, text, kind="faint", size=11, anchor="middle")
    start = top
    for i, (label, group, height) in enumerate(zip(labels, groups, heights, strict=True)):
        canvas.text(label_end, start + height / 2 + 3.5, label, size=size, anchor="end", mono=True)
        for k, (n, series, colour, value) in enumerate(group):
            y = start + gap / 2 + k * (tall + 2)
            tip = across(value) if math.isfinite(value) else zero
            say = f"{picture.labels[i]}, {series.name}: {value_text(value)} {short(picture.unit)}"
            canvas.box(series.role, min(zero, tip), y, max(abs(tip - zero), 0.75), tall, colour, series=n, say=say)
            if series.low is not None and series.high is not None:
                ends = across(series.low[i]), across(series.high[i])
                _interval(canvas, *ends, y + tall / 2, n)
                tip = max(tip, *ends) if value >= 0 else min(tip, *ends)
            outward = 1 if value > 0 or high > 0 == value else -1
            canvas.text(
                tip + 5 * outward,
                y + tall - 2.5,
                value_text(value),
                size=11,
                anchor="start" if outward > 0 else "end",
                series=n,
            )
        start += height
    canvas.line(zero, top, zero, bottom, "axis")
    canvas.text((across.start + across.end) / 2, bottom + 34, picture.unit, kind="faint", anchor="middle")
    return bottom + 46


def _interval(canvas: Canvas, left: float, right: float, y: float, series: int) -> None:
    for ends in (((left, y), (right, y)), *(((x, y - 3), (x, y + 3)) for x in (left, right))):
        canvas.marks.append(Shape("axis", ends, stroke=FAINT, series=series))


def _lines(canvas: Canvas, picture: Lines, top: float) -> float:
    """Curves, with a dot at every place while there are few. An interval is a pale band behind its curve."""
    low, high = span(picture.series, from_zero=False)
    step = round_step(low, high, 5)  # the axis ends at round numbers
    up = Scale(step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9), top + 230, top)
    marks = up.ticks(step)
    left, right = PAD + 22 + 11 * SANS_CELL * max(cells(text) for _, text in marks), WIDTH - PAD
    for y, text in marks:
        canvas.line(left, y, right, y)
        canvas.text(left - 7, y + 4, text, kind="faint", size=11, anchor="end")
    y_name = canvas.label(picture.y_name, 38)
    canvas.text(PAD + 4, (top + up.start) / 2, y_name, kind="faint", anchor="middle", turn=-90)
    first, last = min(picture.x, default=0.0), max(picture.x, default=0.0)
    inset = 16 if picture.x_labels else 6
    along = Scale(first, last if last > first else first + 1, left + inset, right - inset)

    decimals = decimals_for(v for s in picture.series for v in s.values)
    names = dict(zip(picture.x, picture.x_labels or map(number_text, picture.x), strict=True))
    for n, (series, colour) in enumerate(zip(picture.series, colours(picture.series), strict=True)):
        if series.low is not None and series.high is not None:
            above = [(along(x), up(v)) for x, v in zip(picture.x, series.high, strict=True)]
            below = [(along(x), up(v)) for x, v in zip(picture.x, series.low, strict=True)]
            canvas.marks.append(Shape(series.role, (*above, *reversed(below)), fill=colour, opacity=0.18, series=n))
        for stretch in _stretches(picture.x, series.values):
            points = tuple((along(x), up(v)) for x, v in stretch)
            dashed = series.role == "base"
            canvas.marks.append(Shape(series.role, points, stroke=colour, width=2, dashed=dashed, series=n))
            if len(picture.x) <= 80 or len(points) == 1:
                for (x, y), (place, value) in zip(points, stretch, strict=True):
                    told = f"{series.name}: {number(value, decimals)} {short(picture.y_name)}"
                    say = f"{picture.x_name} {names[place]}, {told}"
                    canvas.dot(x, y, series.role, colour, series=n, say=say)
    canvas.line(left, up.start, right, up.start, "axis")
    if picture.x_labels is not None:
        bottom = _labels_below(canvas, [along(x) for x in picture.x], picture.x_labels, up.start)
    else:
        bottom = up.start + 20
        for x, text in along.ticks(round_step(along.low, along.high, 8)):
            canvas.text(x, up.start + 16, text, kind="faint", size=11, anchor="middle")
    canvas.text((left + right) / 2, bottom + 16, canvas.label(picture.x_name, 90), kind="faint", anchor="middle")
    return bottom + 28


def _stretches(x: Sequence[float], values: Sequence[float | None]) -> list[list[Point]]:
    """The curve cut where a value is missing."""
    stretches: list[list[Point]] = [[]]
    for place, value in zip(x, values, strict=True):
        if value is not None and math.isfinite(value):
            stretches[-1].append((place, value))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _labels_below(canvas: Canvas, places: Sequence[float], labels: Sequence[str], y: float) -> float:
    """Names under an axis: level where they fit, else turned, and only every second or third where they are many.

    Returns the y beneath them.
    """
    size = 10.5
    step = abs(places[-1] - places[0]) / (len(places) - 1) if len(places) > 1 else WIDTH / 2  # x may fall
    shown = [canvas.label(label, 16) for label in labels]
    longest = size * MONO_CELL * max(map(cells, shown), default=0)
    level = longest + 6 <= step
    for i in range(0, len(shown), 1 if level else math.ceil(12 / step)):
        if level:
            canvas.text(places[i], y + 16, shown[i], kind="faint", size=size, anchor="middle", mono=True)
        else:
            canvas.text(places[i] + 3.5, y + 8, shown[i], kind="faint", size=size, anchor="end", mono=True, turn=-90)
    return y + (22 if level else longest + 14)


def _heatmap(canvas: Canvas, picture: Heatmap, top: float) -> float:
    """Cells, with their numbers where these fit, and the scale of colours beneath."""
    decimals = decimals_for(v for row in picture.values for v in row)

    def value_text(value: float) -> str:
        return number(value, decimals, signed=picture.diverging)

    rows, count = [canvas.label(row, 24) for row in picture.rows], max(len(picture.columns), 1)
    left = PAD + 22 + 11 * MONO_CELL * max(map(cells, rows), default=0)
    wide = min(64.0, (WIDTH - PAD - left) / count)
    longest = max((cells(value_text(v)) for row in picture.values for v in finite(row)), default=1)
    size = min(11.0, (wide - 4) / (longest * SANS_CELL))
    tall = min(28.0 if size >= 7 else 22.0, max(wide, 12.0))
    for i, (name, values) in enumerate(zip(rows, picture.values, strict=True)):
        y = top + i * tall
        canvas.text(left - 8, y + tall / 2 + 4, name, kind="faint", size=11, anchor="end", mono=True)
        for j, value in enumerate(values):
            x, colour, dark = left + j * wide, cell_colour(picture, value), cell_colour(picture, value, dark=True)
            place = f"{picture.row_name} {picture.rows[i]}, {picture.column_name} {picture.columns[j]}"
            say = f"{place}: {'no value' if value is None else f'{value_text(value)} {short(picture.unit)}'}"
            kind = "empty" if colour == EMPTY else "cell"
            canvas.box(kind, x, y, wide - 1, tall - 1, colour, dark=dark, say=say)
            if value is not None and size >= 7:
                canvas.text(
                    x + (wide - 1) / 2,
                    y + tall / 2 + 0.33 * size,
                    value_text(value),
                    kind="own",
                    size=size,
                    anchor="middle",
                    fill=ink_on(colour),
                    dark=ink_on(dark),
                )
    bottom = top + tall * len(rows)
    canvas.text(PAD + 4, (top + bottom) / 2, picture.row_name, kind="faint", anchor="middle", turn=-90)
    middles = [left + (j + 0.5) * wide for j in range(len(picture.columns))]
    bottom = _labels_below(canvas, middles, picture.columns, bottom)
    canvas.text(left + wide * count / 2, bottom + 14, picture.column_name, kind="faint", anchor="middle")
    _colour_scale(canvas, picture, left, bottom + 30, value_text)
    return bottom + 64


def _colour_scale(canvas: Canvas, picture: Heatmap, x: float, y: float, value_text: Callable[[float], str]) -> None:
    steps, wide = 48, 4
    for i in range(steps):
        colour, dark = (mixed(scale(picture, dark=ground), i / (steps - 1)) for ground in (False, True))
        canvas.box("cell", x + wide * i, y, wide + 0.3, 8, colour, dark=dark)  # they overlap, so that no seams show
    low, high = limits(picture)
    canvas.text(x, y + 22, value_text(low), kind="faint", size=11)
    canvas.text(x + wide * steps, y + 22, value_text(high), kind="faint", size=11, anchor="end")
    canvas.text(x + wide * steps + 10, y + 8, picture.unit, kind="faint", size=11)
