"""A document as data: what to show, in order. Writers beside this file turn it into terminal text, Markdown or HTML.

A block holds plain text, never markup: writers escape it, because prompts and what a model says are hostile input.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..pictures import Picture
from ..spec import Spec


class Heading(Spec):
    """A heading of level 1 to 3."""

    kind: Literal["heading"] = "heading"
    text: str
    """Its text."""
    level: int = Field(default=2, ge=1, le=3)
    """1 is the title."""


class Text(Spec):
    """One paragraph."""

    kind: Literal["text"] = "text"
    text: str
    """Plain text; `...` in back quotes may be set as code."""
    tone: Literal["plain", "dim", "note", "takeaway"] = "plain"
    """dim for small print, note for a warning, takeaway for the one line to keep."""


class Points(Spec):
    """A list of short paragraphs."""

    kind: Literal["points"] = "points"
    items: tuple[str, ...]
    """Its items."""
    numbered: bool = False
    """Whether they are counted."""


class Strip(Spec):
    """What one row said, token by token, after the prompt."""

    kind: Literal["strip"] = "strip"
    role: Literal["base", "tweak"]
    """BASE or TWEAK."""
    label: str
    """`BASE`, or `TWEAK` and the tweak's line."""
    prompt: str
    """The prompt's text."""
    tokens: tuple[str, ...]
    """Generated tokens, in order; their concatenation is the text."""
    probabilities: tuple[float, ...] = ()
    """Probability of each token under its own row, for shading; may be empty."""
    parted_at: int | None = None
    """Index of the first token that differs from BASE's."""


class Table(Spec):
    """Rows of cells. Numbers come formatted, with their unit in the column's name or in the cell."""

    kind: Literal["table"] = "table"
    columns: tuple[str, ...]
    """Column names."""
    rows: tuple[tuple[str, ...], ...]
    """Cells."""
    caption: str = ""
    """What it is."""


class Figure(Spec):
    """A picture, with the name its file would have."""

    kind: Literal["figure"] = "figure"
    picture: Picture
    """What to draw."""
    name: str
    """File name without ending, as `02-next-token`."""


class Code(Spec):
    """Something to copy: a command line, YAML, Python."""

    kind: Literal["code"] = "code"
    text: str
    """The code."""
    language: str = "sh"
    """For highlighting."""


Ink = Literal["plain", "dim", "bold", "one", "two", "three", "four"]


class Stroke(Spec):
    """A piece of a drawing's line."""

    text: str
    """What stands there."""
    ink: Ink = "plain"
    """How it looks; one to four are colours, which only repeat what a sign or a word beside them says."""


class Drawing(Spec):
    """Lines set in a font of one width, as they are: no writer wraps or fills them, so they must be short."""

    kind: Literal["drawing"] = "drawing"
    lines: tuple[tuple[Stroke, ...], ...]
    """Its lines, each in pieces."""

    @property
    def text(self) -> str:
        """The lines without ink."""
        return "\n".join("".join(stroke.text for stroke in line) for line in self.lines)


Block = Annotated[Heading | Text | Points | Strip | Table | Figure | Code | Drawing, Field(discriminator="kind")]


class Document(Spec):
    """Blocks in reading order."""

    blocks: tuple[Block, ...]
    """What to show."""

    def __add__(self, other: Document) -> Document:
        return Document(blocks=self.blocks + other.blocks)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Its figures, in order."""
        return tuple(b for b in self.blocks if isinstance(b, Figure))
