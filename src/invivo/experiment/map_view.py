"""What to show of a grid: the map itself, the places that matter most, and one sentence that says so."""

from __future__ import annotations

from collections.abc import Iterator

from ..metrics import metric_named
from ..pictures import Heatmap, Lines, Picture, Series
from ..show.blocks import Block, Code, Document, Figure, Heading, Table, Text
from ..show.text import visible
from .sweep import Axis, Grid
from .views import short_revision

LISTED = 10  # places in the table
NAMES = {name: name for name in ("layer", "head", "unit", "position", "key")}
NAMES |= {"to layer": "receiver's layer", "to head": "receiver's head", "value": "setting"}


def summary(grid: Grid) -> str:
    """One sentence: where the effect is largest, and how that compares with the rest."""
    effects, ranked = grid.effects, grid.ranked()
    metric = metric_named(grid.recipe.metric)
    first = ranked[0]
    if not effects[first]:
        return f"At none of {len(effects):,} places did the tweak move {metric.label}."
    text = f"`{grid.lines[first]}` moves {metric.label} most, by {_signed(grid, effects[first])}"
    middle = sorted(abs(e) for e in effects)[len(effects) // 2]
    if len(effects) > 2:
        text += f"; half of the {len(effects):,} places move it by less than {metric.text(middle)}"
    return text + "."


def picture(grid: Grid) -> Picture | None:
    """A heatmap of two axes, a curve of one; None for more."""
    metric = metric_named(grid.recipe.metric)
    title = f"{grid.recipe.tweak}: change of {metric.label}"
    scale = 100.0 if metric.unit == "%" else 1.0
    effects = [scale * e for e in grid.effects]
    unit = f"change of {metric.label}" + (f", {metric.unit}" if metric.unit else "")
    if len(grid.axes) == 1:
        (axis,) = grid.axes
        ends = grid.interval()
        return Lines(
            title=title,
            summary=summary(grid),
            x=tuple(float(v) for v in axis.labels) if axis.name == "value" else tuple(map(float, range(len(effects)))),
            x_name=NAMES[axis.name],
            y_name=unit,
            x_labels=_shown(axis) if axis.name in ("position", "key") else None,
            series=(
                Series(
                    name="TWEAK minus BASE" if any(grid.base) else "TWEAK",
                    role="tweak",
                    values=tuple(effects),
                    low=tuple(scale * low for low, _ in ends) if ends else None,
                    high=tuple(scale * high for _, high in ends) if ends else None,
                ),
            ),
        )
    if len(grid.axes) != 2:
        return None
    rows, columns = grid.axes
    width = len(columns.labels)
    return Heatmap(
        title=title,
        summary=summary(grid),
        rows=_shown(rows),
        columns=_shown(columns),
        row_name=NAMES[rows.name],
        column_name=NAMES[columns.name],
        values=tuple(tuple(effects[r * width : (r + 1) * width]) for r in range(len(rows.labels))),
        unit=unit,
        diverging=min(effects) < 0,
    )


def grid_document(grid: Grid) -> Document:
    """The map, in words, as a picture, and as a table of its largest effects."""
    metric = metric_named(grid.recipe.metric)
    blocks: list[Block] = [Heading(text=f"Where `{grid.recipe.tweak}` matters")]
    case = grid.recipe.cases[0]
    more = f", and {len(grid.recipe.cases) - 1} prompts more" if len(grid.recipe.cases) > 1 else ""
    blocks.append(Text(text=f"On {visible(case.prompt)!r}{more}: {metric.label}, {metric.gloss}."))
    blocks += [Text(text=text) for text in _conditions(grid)]
    if len(grid.base) == 1 and grid.base[0]:
        blocks.append(Text(text=f"BASE: {metric.text(grid.base[0])}.", tone="dim"))
    drawn = picture(grid)
    if drawn is not None:
        blocks.append(Figure(picture=drawn, name="map"))
    else:
        blocks.append(Text(text=summary(grid)))
    blocks += [Heading(text="The largest"), _largest(grid)]
    blocks += [Text(text=note, tone="note") for note in grid.notes]
    if grid.checked is not None:
        blocks.append(Text(text=f"Run again the slow way at random places: apart by {grid.checked:.1e} at most."))
    command = grid.recipe.to_cli()
    again = Code(text=command) if command else Code(text=grid.recipe.to_yaml(), language="yaml")
    versions = ", ".join(f"{name} {version}" for name, version in grid.versions.items())
    blocks += [
        Heading(text="Run it again"),
        again,
        Text(
            text=f"{len(grid.lines) * len(grid.values):,} places in {grid.seconds:.2g} s, by {grid.path}; "
            f"{grid.recipe.model} at {short_revision(grid.revision)}, on {grid.device}; {versions}",
            tone="dim",
        ),
    ]
    return Document(blocks=tuple(blocks))


def _conditions(grid: Grid) -> Iterator[str]:
    """What holds at every place, in words."""
    recipe = grid.recipe
    if recipe.under is not None:
        yield f"BASE and every TWEAK are under `{recipe.under}`; what is copied is not."
    if recipe.window > 1:
        yield f"A place stands for {recipe.window} layers around it, fewer at the ends."
    if recipe.seeds > 1:
        yield f"Means over {recipe.seeds} draws of the noise."


def _largest(grid: Grid) -> Table:
    effects, ends = grid.effects, grid.interval()
    columns = ["tweak", "effect"]
    over = [*(["prompts"] if len(grid.recipe.cases) > 1 else []), *(["draws"] if grid.recipe.seeds > 1 else [])]
    columns += ["95 % interval over " + " and ".join(over)] if ends else []
    rows = []
    for number in grid.ranked()[:LISTED]:
        row = [grid.lines[number], _signed(grid, effects[number])]
        if ends:
            low, high = ends[number]
            row.append(f"{_signed(grid, low)} to {_signed(grid, high)}")
        rows.append(tuple(row))
    return Table(columns=tuple(columns), rows=tuple(rows))


def _signed(grid: Grid, effect: float) -> str:
    text = metric_named(grid.recipe.metric).text(effect)
    return f"+{text}" if effect > 0 and any(grid.base) else text


def _shown(axis: Axis) -> tuple[str, ...]:
    """Labels as they can be shown: token text made visible."""
    if axis.name not in ("position", "key"):
        return axis.labels
    return tuple(f"{i} {visible(token)}" for i, _, token in (label.partition(" ") for label in axis.labels))
