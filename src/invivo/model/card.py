"""The model card as a document: the Markdown of README.md, read as far as our cards use it.

A reader of our own, because a terminal cannot follow a link: the address must stay readable, in tables too. Headings,
paragraphs, lists, quotes, tables, fences and the metadata at the top are understood; whatever else there is stands as
the paragraph it looks like, so nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import takewhile
from pathlib import Path

from ..show.blocks import Block, Code, Document, Heading, Points, Table, Text
from ..show.text import pieces
from .organism import FRUITFLY, read_text

STARTS = re.compile(r"#{1,6} |```|\||[-*] |\d+\. |>|<!--")  # of a line that is no more of the paragraph above it
ITEM = re.compile(r"([-*]|\d+\.) +")


def card_document(folder: Path = FRUITFLY) -> Document:
    """The card of the model in `folder`. Raises BadText where there is none."""
    return Document(blocks=tuple(blocks(read_text(folder / "README.md"))))


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks of a card; its metadata, which is for machines, comes last."""
    metadata, lines = _metadata(markdown.splitlines())
    while lines:
        line = lines[0]
        if not line.strip():
            lines = lines[1:]
        elif heading := re.fullmatch(r"(#{1,6}) +(.*?)[ #]*", line):
            yield Heading(text=plain(heading[2]), level=min(len(heading[1]), 3))
            lines = lines[1:]
        elif line.startswith("```"):
            inside = list(takewhile(lambda text: not text.startswith("```"), lines[1:]))
            yield Code(text="\n".join(inside), language=line.strip("` ") or "text")
            lines = lines[len(inside) + 2 :]
        elif line.startswith("|"):
            rows = list(takewhile(lambda text: text.startswith("|"), lines))
            yield _table(rows)
            lines = lines[len(rows) :]
        elif line.startswith("<!--"):
            lines = lines[1:] if "-->" in line else lines[_end(lines, "-->") :]
        elif line.startswith(">"):
            quote = list(takewhile(lambda text: text.startswith(">"), lines))
            yield Code(text="\n".join(plain(text[1:].strip()) for text in quote), language="text")
            lines = lines[len(quote) :]
        else:
            paragraphs, lines = _paragraphs(lines)
            if ITEM.match(line):
                yield Points(
                    items=tuple(plain(ITEM.sub("", p, count=1)) for p in paragraphs), numbered=line[0].isdigit()
                )
            else:
                yield Text(text=plain(paragraphs[0]))
    if metadata:
        yield Heading(text="Metadata")
        yield Code(text="\n".join(metadata), language="yaml")


def plain(text: str) -> str:
    """Text without marks: a link as its words and its address, nothing bold or slanted; code keeps its back quotes."""
    return "".join(f"`{piece}`" if is_code else _unmarked(piece) for piece, is_code in pieces(text))


def _unmarked(text: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\]\(<?([^)>\s]*)>?\)", r"\1 (\2)", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<![\w*\\])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])", r"\1", text)
    return unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))


def _metadata(lines: list[str]) -> tuple[list[str], list[str]]:
    """What stands between two lines of `---` at the top, and the rest."""
    if not lines or lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        return [], lines
    end = _end(lines[1:], "---")
    return lines[1:end], lines[end + 1 :]


def _end(lines: list[str], mark: str) -> int:
    """How many lines there are up to the first with the mark, that one included."""
    return next((i for i, line in enumerate(lines, 1) if mark in line), len(lines))


def _table(rows: list[str]) -> Table:
    """A table; rows that are too short are filled, cells too many joined to the last one."""
    cells = [
        [plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))]
        for row in rows
    ]
    wide = len(cells[0])
    body = [row for row, line in zip(cells[1:], rows[1:], strict=True) if not re.fullmatch(r"[|:\s-]+", line)]
    filled = [[*row[: wide - 1], " | ".join(row[wide - 1 :])] if len(row) > wide else row for row in body]
    return Table(columns=tuple(cells[0]), rows=tuple(tuple(row + [""] * (wide - len(row))) for row in filled))


def _paragraphs(lines: list[str]) -> tuple[list[str], list[str]]:
    """A paragraph, or all items of a list, each on one line; and the lines after it."""
    is_list = bool(ITEM.match(lines[0]))
    found, count = [lines[0].strip()], 1
    for line in lines[1:]:
        if is_list and ITEM.match(line):
            found.append(line.strip())
        elif not line.strip() or STARTS.match(line):
            break
        else:
            found[-1] += " " + line.strip()
        count += 1
    return found, lines[count:]
