"""The outline of somebody else's Markdown post: where its headings are, in bytes, and what is left open at its end.

A `#` is no heading in front matter, in a fence, in raw HTML or in Liquid's `highlight` and `comment`, and a line of
dashes under a paragraph makes one. The rules are CommonMark's (sections 4.2 to 4.6), front matter is Jekyll's. Nested
blocks are not followed: a heading inside a list or a quotation ends no section.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

ATX = re.compile(rb" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*")
UNDERLINE = re.compile(rb" {0,3}(=+|-+)[ \t]*")
RULE = re.compile(rb" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}")
CODE = re.compile(rb" {4}| {0,3}\t")
NESTED = re.compile(rb" {0,3}(?:>|(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$))")  # a quotation, a list
HTML = re.compile(  # CommonMark 4.6, start condition 6: raw until the next blank line
    rb" {0,3}</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|"
    rb"dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|"
    rb"li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|"
    rb"th|thead|title|tr|track|ul)(?:[ \t]|/?>|$)",
    re.IGNORECASE,
)
FENCE = re.compile(rb" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
TAG = re.compile(rb" {0,3}<(pre|script|style|textarea)(?=[ \t>]|$)", re.IGNORECASE)
COMMENT = re.compile(rb" {0,3}<!--")
LIQUID = re.compile(rb"[ \t]*\{%-?\s*(highlight|comment)\b")


@dataclass(frozen=True)
class Head:
    """A heading: its level, what it says, and the bytes from its first line to the end of its last."""

    level: int
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Outline:
    """A post's headings in order, and the line that would end the block left open at its end (empty: none is)."""

    heads: tuple[Head, ...]
    closer: bytes


def outline(post: bytes) -> Outline:
    """Read a post: UTF-8, without a byte order mark."""
    lines = post.splitlines(keepends=True)
    starts = list(accumulate(map(len, lines), initial=0))
    heads: list[Head] = []
    ending: re.Pattern[bytes] | None = None  # what closes the block that we are in
    closer = b""
    run = ""  # what the lines since the last blank one are: prose, nested (in a list, a quotation) or html
    began = 0  # and the line they began in

    def head(level: int, first: int, last: int, text: bytes) -> None:
        heads.append(Head(level, text.decode("utf-8"), starts[first], starts[last + 1]))

    for number in range(_after_front_matter(lines), len(lines)):
        line = _bare(lines[number])
        if ending is not None:
            ending = None if ending.search(line) else ending
        elif not line.strip(b" \t"):
            run = ""
        elif opening := _opening(line, html=run == "html"):
            pattern, closer, after = opening
            ending, run = None if pattern.search(line, after) else pattern, ""
        elif run == "html":
            continue
        elif found := ATX.fullmatch(line):
            head(len(found[1]), number, number, found[2] or b"")
            run = ""
        elif HTML.match(line):
            run = "html"
        elif run == "prose" and (found := UNDERLINE.fullmatch(line)):
            head(1 if found[1].startswith(b"=") else 2, began, number, b" ".join(map(_bare, lines[began:number])))
            run = ""
        elif RULE.fullmatch(line):
            run = ""
        elif not run and not CODE.match(line):
            run, began = "nested" if NESTED.match(line) else "prose", number
    return Outline(tuple(heads), closer if ending is not None else b"")


def _bare(line: bytes) -> bytes:
    """A line without its end."""
    return line.rstrip(b"\r\n")


def _after_front_matter(lines: list[bytes]) -> int:
    """The index of the first line of the post's text."""
    if lines and _bare(lines[0]).rstrip() == b"---":
        for number, line in enumerate(lines[1:], 1):
            if _bare(line).rstrip() in (b"---", b"..."):
                return number + 1
    return 0


def _opening(line: bytes, *, html: bool) -> tuple[re.Pattern[bytes], bytes, int] | None:
    """Of a line that opens a block of something else than Markdown: what closes it, that line, where its opening ends.

    Within HTML only Liquid is one, since Jekyll reads it before anything else.
    """
    if found := LIQUID.match(line):
        return re.compile(rb"\{%-?\s*end" + found[1] + rb"\b"), b"{% end" + found[1] + b" %}", found.end()
    if html:
        return None
    if found := FENCE.match(line):
        mark = found[1][:1]
        return re.compile(rb"^ {0,3}%b{%d,}[ \t]*$" % (mark, len(found[1]))), found[1], found.end()
    if found := TAG.match(line):
        return re.compile(rb"</" + found[1] + b">", re.IGNORECASE), b"</" + found[1] + b">", found.end()
    if found := COMMENT.match(line):
        return re.compile(rb"-->"), b"-->", found.end()
    return None
