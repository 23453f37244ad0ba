"""Pictures drawn with characters, for terminals: lying bars, curves as columns of blocks, grids of shaded numbers.

Nothing is said by colour alone: bars carry their role's name, and a grid without colour shades its cells with ░▒▓█.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from ..pictures import Bars, Heatmap, Lines, Picture, Series, check_lengths
from .canvas import finite, span
from .palette import cell_colour, colours, ink_on, limits
from .tables import grid_of
from .text import cells, decimals_for, number, safe, shorten

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = " ▁▂▃▄▅▆▇█"
SHADES = " ░▒▓█"
FEW = 12  # places that are listed one by one


class Sketch:
    """A picture as a rich renderable, as wide as the console lets it be."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        picture, width = self.picture, options.max_width
        if isinstance(picture, Heatmap):
            yield from _grid(picture, width, coloured=console.color_system is not None and not console.no_color)
            return
        check_lengths(picture)
        if isinstance(picture, Lines) and len(picture.x) > FEW:
            yield from _columns(picture, width)
        else:
            yield from _bars(picture if isinstance(picture, Bars) else _as_bars(picture), width)


def _as_bars(picture: Lines) -> Bars:
    """The same numbers as bars, one group a place; a reference that is the same everywhere stands at the first only."""
    labels = tuple(names[-1] for names, _ in grid_of(picture)[1])
    series = tuple(
        s
        if s.role != "base" or len(set(s.values)) > 1
        else s.model_copy(update={"values": (*s.values[:1], *(None for _ in labels[1:]))})
        for s in picture.series
    )
    return Bars(title=picture.title, summary=picture.summary, labels=labels, series=series, unit=picture.y_name)


def _row(*parts: tuple[str, str | Style]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="crop", end="\n")


def _padded(text: str, room: int, *, right: bool = False) -> str:
    space = " " * max(room - cells(text), 0)
    return space + text if right else text + space


def _legend(series: tuple[Series, ...], unit: str, width: int) -> Iterator[Text]:
    """Names, where rows do not say them, and the unit."""
    for one, colour in zip(series, colours(series), strict=True):
        if one.name.upper() != one.role.upper():
            yield _row(("■ ", colour), (shorten(safe(one.name), width - 2), ""))
    if unit:
        yield _row((shorten(safe(unit), width), "dim"))


def _bars(picture: Bars, width: int) -> Iterator[Text]:
    yield from _legend(picture.series, picture.unit, width)
    low, high = span(picture.series, from_zero=True)
    decimals = decimals_for(v for s in picture.series for v in s.values)
    tags = [s.role.upper() if s.role != "other" else shorten(safe(s.name), 10) for s in picture.series]
    tag_room = max(map(cells, tags), default=0)
    labels = [shorten(safe(label), width // 3) for label in picture.labels]
    label_room = max(map(cells, labels), default=0)
    number_room = max((cells(number(v, decimals)) for s in picture.series for v in finite(s.values)), default=1)
    room = max(width - label_room - tag_room - number_room - 4, 8)
    left = round(room * -low / (high - low))  # columns left of zero
    for i, label in enumerate(labels):
        name = label
        for series, colour, tag in zip(picture.series, colours(picture.series), tags, strict=True):
            value = series.values[i]
            if value is None:
                continue
            bar = _bar(value / (high - low) * room, left, room - left) if math.isfinite(value) else " " * room
            yield _row(
                (_padded(name, label_room, right=True), ""),
                (f"  {_padded(tag, tag_room)} ", colour),
                (bar, colour),
                (" " + number(value, decimals).rjust(number_room), ""),
            )
            name = ""


def _bar(length: float, left: int, right: int) -> str:
    """A bar of `length` columns from zero, in a field with so many columns on either side of it."""
    if length < 0:  # no glyph fills from the right by eighths: halves must do
        whole, half = divmod(min(round(-length * 2), 2 * left), 2)
        return ("▐" * half + "█" * whole).rjust(left) + " " * right
    whole, part = divmod(min(max(round(length * 8), length > 0), 8 * right), 8)
    return " " * left + ("█" * whole + EIGHTHS[part] * (part > 0)).ljust(right)


def _columns(picture: Lines, width: int) -> Iterator[Text]:
    """Each curve as columns of blocks on one common scale; many places share a column, which shows their mean."""
    yield from _legend((), picture.y_name, width)
    low, high = span(picture.series, from_zero=False)
    decimals, tall = decimals_for((low, high)), 4
    ends = number(high, decimals), number(low, decimals)
    margin = max(map(len, ends))
    room = width - margin - 2
    per = math.ceil(len(picture.x) / room)
    stride = max(1, min(3, room // math.ceil(len(picture.x) / per)))
    names = [names[-1] for names, _ in grid_of(picture)[1]]
    for series, colour in zip(picture.series, colours(picture.series), strict=True):
        yield _row(("■ ", colour), (shorten(safe(series.name), width - 2), ""))
        means = [_mean(series.values[i : i + per]) for i in range(0, len(picture.x), per)]
        heights = [None if m is None else (m - low) / (high - low) * tall * 8 for m in means]
        for floor in range(tall - 1, -1, -1):
            edge = ends[0] if floor == tall - 1 else ends[1] if floor == 0 else ""
            blocks = "".join(
                (" " if h is None else LEVELS[min(8, max(round(h) - 8 * floor, int(floor == 0)))]) * max(1, stride - 1)
                + " " * (stride > 1)
                for h in heights
            )
            yield _row((edge.rjust(margin) + " ", "dim"), (("┤" if edge else "│"), "dim"), (blocks, colour))
    first, last = shorten(safe(names[0]), room // 3), shorten(safe(names[-1]), room // 3)
    gap = max(2, stride * math.ceil(len(picture.x) / per) - cells(first) - cells(last))
    yield _row((" " * (margin + 2) + first + " " * gap + last, "dim"))
    yield _row((" " * (margin + 2) + shorten(safe(picture.x_name), room), "dim"))


def _mean(values: tuple[float | None, ...]) -> float | None:
    there = finite(values)
    return sum(there) / len(there) if there else None


def _grid(picture: Heatmap, width: int, *, coloured: bool) -> Iterator[Text]:
    """Shaded cells with their numbers; columns that do not fit follow below."""
    decimals = decimals_for(v for row in picture.values for v in row)
    texts = [
        [number(v, decimals, signed=picture.diverging) if v is not None else "" for v in row] for row in picture.values
    ]
    wide = max((cells(t) for row in texts for t in row), default=1) + 1
    names = [shorten(safe(name), width // 4) for name in picture.rows]
    margin = max(map(cells, names), default=0) + 1
    most = max(1, (width - margin) // wide)
    count = len(picture.columns)
    per = math.ceil(count / math.ceil(count / most)) if count else 1  # blocks of about the same width
    low, high = limits(picture)
    yield from _legend((), f"{picture.row_name} ╲ {picture.column_name}, {picture.unit}", width)
    for start in range(0, count, per):
        chosen = range(start, min(start + per, count))
        heads = "".join(_padded(shorten(safe(picture.columns[j]), wide - 1), wide, right=True) for j in chosen)
        yield _row((" " * margin + heads, "dim"))
        for name, values, row in zip(names, picture.values, texts, strict=True):
            parts: list[tuple[str, str | Style]] = [(_padded(name + " ", margin, right=True), "dim")]
            for j in chosen:
                value, text = values[j], row[j].rjust(wide)
                if value is None:
                    parts.append((text, ""))
                elif coloured:
                    shade = cell_colour(picture, value)
                    parts.append((text, Style(color=ink_on(shade), bgcolor=shade)))
                else:
                    strength = abs(value) / high if picture.diverging else (value - low) / (high - low)
                    parts.append((SHADES[round(4 * min(max(strength, 0), 1))] + text[1:], ""))
            yield _row(*parts)
