"""A document as terminal text, by rich. It reads well without colour, in 80 columns, and when piped into a file.

Text comes from prompts and models, so it enters rich as `Text`, never as markup, and with its controls made visible: no
escape sequence of theirs reaches the terminal.
"""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.table import Table as Grid
from rich.text import Text as Words

from .blocks import Block, Code, Document, Drawing, Figure, Heading, Points, Strip, Stroke, Table, Text
from .palette import BASE, INKS, TWEAK
from .shell import broken
from .sketch import Sketch
from .text import cells, is_number, pieces, safe, safe_lines

WIDEST = 100  # columns; longer lines are hard to read
LABELS = 8  # columns of the words at the left: BASE, TWEAK, takeaway
GAP = 3  # columns between those of a table
NOTCH = "▸"
COLOUR = {"base": BASE, "tweak": TWEAK}


def console(*, stderr: bool = False) -> Console:
    """A console that takes no text for markup, and an encoding that lacks a character shows its escape."""
    stream = sys.stderr if stderr else sys.stdout
    if "utf" not in (stream.encoding or "").lower() and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def render(document: Document) -> Group:
    """The document as something rich can print."""
    shown: list[RenderableType] = []
    previous: Block | None = None
    for block in document.blocks:
        together = isinstance(previous, Heading) or (isinstance(previous, Strip) and isinstance(block, Strip))
        if previous is not None and not together:
            shown.append("")
        shown.append(Constrain(_block(block), WIDEST))
        previous = block
    return Group(*shown)


def _block(block: Block) -> RenderableType:
    match block:
        case Heading():
            text = Words(safe(block.text), style="bold" if block.level < 3 else "bold dim")
            return Group(text, Words("─" * min(cells(text.plain), WIDEST), style="dim")) if block.level == 1 else text
        case Text(tone="note"):
            return _labelled("note", TWEAK, _paragraph(block.text))
        case Text(tone="takeaway"):
            return _labelled("takeaway", TWEAK, _paragraph(block.text, "bold"))
        case Text():
            return _paragraph(block.text, "dim" if block.tone == "dim" else "")
        case Points():
            grid = Grid.grid(padding=(0, 1, 0, 0))
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            for i, item in enumerate(block.items, 1):
                grid.add_row(Words(f"{i}." if block.numbered else "•", style="dim"), _paragraph(item))
            return grid
        case Strip():
            return _strip(block)
        case Table():
            return _Columns(block)
        case Figure():
            return Group(
                Words(safe(block.picture.title), style="bold"), Sketch(block.picture), _paragraph(block.picture.summary)
            )
        case Code():
            return _code(block)
        case Drawing():
            return Group(*map(_line, block.lines))


def _paragraph(text: str, style: str = "") -> Words:
    shown = Words(style=style)
    for piece, is_code in pieces(safe(text)):
        shown.append(f"`{piece}`" if is_code else piece, "cyan" if is_code else "")
    return shown


def _labelled(label: str, colour: str, *lines: RenderableType) -> Grid:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=LABELS, no_wrap=True)
    grid.add_column(overflow="fold")
    for i, line in enumerate(lines):
        grid.add_row(Words("" if i else label, style=f"bold {colour}"), line)
    return grid


def _strip(strip: Strip) -> RenderableType:
    """What a row said; a notch before the first token that differs from BASE's, and colour after it."""
    colour, said = COLOUR[strip.role], Words()
    for i, token in enumerate(strip.tokens):
        parted = strip.parted_at is not None and i >= strip.parted_at
        if i == strip.parted_at:
            said.append(NOTCH, f"bold {colour}")
        said.append(safe(token).replace("⏎", "⏎\n"), colour if parted else "")
    if strip.parted_at is not None and strip.parted_at >= len(strip.tokens):
        said.append(NOTCH + " (stops here)", f"bold {colour}")
    name, rest = strip.role.upper(), safe(strip.label.removeprefix(strip.role.upper()).strip())
    if not said.plain:
        said = Words("(nothing was generated)", style="dim")
    elif strip.role == "tweak" and strip.parted_at is None:
        rest += " (the same text)"
    return _labelled(name, colour, *([Words(rest, style=colour)] if rest else []), said)


class _Columns:
    """A table. Columns of numbers are flush right and no wider than they need, their long names wrap; words get the
    rest. Where that is too little, each row is set as a record instead, its cells below one another.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
        needed = -GAP
        for i, name in enumerate(map(safe, self.table.columns)):
            column = [safe(row[i]) for row in self.table.rows]
            if all(map(is_number, column)):
                width = max([min(cells(name), 12), *map(cells, name.split()), *map(cells, column)])
                grid.add_column(Words(name), justify="right", width=width)
            else:
                width = min(max(cells(word) for text in (name, *column) for word in (text.split() or [""])), 12)
                grid.add_column(Words(name), overflow="fold")
            needed += width + GAP
        for row in self.table.rows:
            grid.add_row(*(Words(safe(cell)) for cell in row))
        if self.table.caption:
            yield Words(safe(self.table.caption), style="bold dim")
        yield grid if needed <= options.max_width else _records(self.table)


def _records(table: Table) -> Grid:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", overflow="fold", ratio=2)
    grid.add_column(overflow="fold", ratio=3)
    for i, row in enumerate(table.rows):
        if i and row[0]:
            grid.add_row()
        for name, cell in zip(table.columns, row, strict=True):
            if cell:
                grid.add_row(Words(safe(name)), Words(safe(cell)))
    return grid


class _Quoted:
    """Somebody's text, with a bar at its left on every line."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in Words(self.text).wrap(console, options.max_width - 2):
            yield Words.assemble(("│ ", "dim"), line.plain.rstrip(" "))


class _Command:
    """A command line, broken only where a shell joins it again, so that what is copied runs."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = "\n".join(broken(self.text, options.max_width))
        yield Words(safe_lines(lines), style="cyan", overflow="fold")


def _line(strokes: tuple[Stroke, ...]) -> Words:
    styles = {"plain": "", "dim": "dim", "bold": "bold"} | {ink: f"bold {colour}" for ink, colour in INKS.items()}
    return Words.assemble(*((safe(stroke.text), styles[stroke.ink]) for stroke in strokes), overflow="fold")


def _code(code: Code) -> RenderableType:
    if code.language == "sh":
        return _Command(code.text.rstrip("\n"))
    shown = safe_lines(code.text.rstrip("\n"))
    if code.language == "text":
        return _Quoted(shown)
    return Words(shown, style="cyan", overflow="fold")
