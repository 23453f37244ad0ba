"""A document as Markdown, for a post: Jekyll's kramdown, GitHub and CommonMark read it alike.

Whatever comes from a prompt or a model is escaped three times over: for Markdown (`|`, `*`, a `-` at a line's start),
for HTML (`<script>`) and for Liquid, which Jekyll runs before it looks at Markdown, inside code too (`{{ … }}`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from .blocks import Block, Code, Document, Drawing, Figure, Heading, Points, Strip, Table, Text
from .tables import table_of
from .text import pieces, safe, safe_lines

FigurePath = Callable[[Figure], str | None]
NOTCH = "▸"


def markdown(document: Document, figure_path: FigurePath | None = None) -> str:
    """The document as Markdown.

    `figure_path` gives the path, seen from the post, of a file with the figure; without one, a figure is a table.
    """
    return "\n\n".join(_block(block, figure_path) for block in document.blocks) + "\n"


def escaped(text: str) -> str:
    """A text that Markdown, HTML and Liquid all read as itself, when it stands inside a line."""
    text = safe(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"[\\`*\[\]|$#]", r"\\\g<0>", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # top_k needs no help
    # Liquid and kramdown's attributes; links out of bare addresses; kramdown's own dashes and dots
    return re.sub(r"[{}~]|:(?=//)|(?<=www)\.|(?<=-)-|(?<=\.)\.", _entities, text)


def opening(text: str) -> str:
    """An escaped text that may open a line: no list, no underline of a heading, no definition, no indented code."""
    text = re.sub(r"^[-+=:^]", _entities, text.lstrip())
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)


def _entities(match: re.Match[str]) -> str:
    return "".join(f"&#{ord(c)};" for c in match[0])


def code_span(text: str) -> str:
    """`text` as code. What back quotes cannot hold is written as HTML, in which every mark is an entity."""
    text = safe(text)
    if text and text == text.strip() and not re.search(r"[`{|<>&\\$]", text):
        return f"`{text}`"
    return "<code>" + re.sub(r"[!-/:-@\[-`{-~]", _entities, text) + "</code>"


def fenced(text: str, language: str) -> str:
    """A block of code; where Liquid or a fence would break it, as HTML."""
    text = safe_lines(text.rstrip("\n"))
    if re.search(r"\{[{%]|```|~~~", text):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("{", "&#123;")
        return f"<pre><code>{text}\n</code></pre>"
    return f"```{language}\n{text}\n```"


def _block(block: Block, figure_path: FigurePath | None) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {opening(escaped(block.text))}"
        case Text():
            text = _paragraph(block.text)
            return {
                "plain": text,
                "dim": f"<small>{text}</small>",
                "note": f"> **Note.** {text}",
                "takeaway": f"> **Takeaway.** {text}",
            }[block.tone]
        case Points():
            return "\n".join(
                f"{f'{i}.' if block.numbered else '-'} {_paragraph(item)}" for i, item in enumerate(block.items, 1)
            )
        case Strip():
            return _strip(block)
        case Table():
            return _table(block)
        case Figure():
            return _figure(block, figure_path)
        case Code():
            return fenced(block.text, block.language)
        case Drawing():
            return fenced(block.text, "text")


def _paragraph(text: str) -> str:
    return opening("".join(code_span(piece) if is_code else escaped(piece) for piece, is_code in pieces(text)))


def _strip(strip: Strip) -> str:
    """The row's name and what it said, a notch before the first token that differs from BASE's."""
    name, rest = strip.role.upper(), strip.label.removeprefix(strip.role.upper()).strip()
    at = strip.parted_at
    said = escaped("".join(strip.tokens[:at])) + (NOTCH + escaped("".join(strip.tokens[at:])) if at is not None else "")
    said = said.replace("⏎", "⏎<br>").strip() or "*(nothing was generated)*"
    return f"> **{name}**{' ' + code_span(rest) if rest else ''}<br>{said}"


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(escaped(cell) or " " for cell in cells) + " |"

    lines = [row(table.columns), "|" + " --- |" * len(table.columns), *map(row, table.rows)]
    return "\n".join([f"**{escaped(table.caption)}**", "", *lines] if table.caption else lines)


def _figure(figure: Figure, figure_path: FigurePath | None) -> str:
    path = figure_path(figure) if figure_path else None
    shown = f"![{escaped(figure.picture.title)}]({quote(path)})" if path else _table(table_of(figure.picture))
    return f"{shown}\n\n{_paragraph(figure.picture.summary)}"
