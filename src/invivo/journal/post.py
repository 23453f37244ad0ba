"""Takeaways in a blog post: added to the reader's own one, or in a new one with the labs they came from.

An existing post belongs to its writer. It is read as bytes, one run of bytes is put in at one place, and every other
byte stays: line ends, byte order mark, front matter, a missing newline at the end. A bullet carries its entry's id in
an HTML comment, so that a second export adds nothing twice, and so that the writer may reword or move a bullet freely.
"""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Protocol

import yaml

from ..errors import BadText
from ..files import mishaps, read, replace
from ..show.blocks import Document, Figure, Heading
from ..show.figures import save
from ..show.markdown import escaped, markdown, opening
from ..show.text import safe
from .outline import RULE, outline

HEADING = "⚡ Examples from Experiments"
TAGS = ["language-models", "experiments"]
NEWLINE = re.compile(rb"\r\n|\n|\r")
MARKER = re.compile(rb"<!--[ \t]*invivo:(\w+)[ \t]*-->")
STAMP = re.compile(rb"^# written by invivo, unedited while its digest is ([0-9a-f]{16})\n", re.MULTILINE)


class Noted(Protocol):
    """What has a takeaway to tell: a journal's entry."""

    @property
    def id(self) -> str:
        """What its bullet is known by."""
        ...

    @property
    def takeaway(self) -> str:
        """One line, possibly empty."""
        ...


def export(path: Path | str, entries: Iterable[Noted]) -> int:
    """Add takeaways to a post, under its heading `HEADING`, and return how many were not there before.

    The section is found by its name at any level, or added at the end; a post that does not exist is begun. Entries
    without a takeaway are left out. Raises BadText for a file that is not UTF-8 and InvivoError where it cannot be
    written; either way it is as it was.
    """
    path = Path(path)
    data = read(path) if path.exists() else None
    if data is None:
        data = front_matter("What I learned inside a language model").encode()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadText(
            f"{path} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}",
            hint="save it as UTF-8, then export again; it was not touched",
        ) from None
    lines = bullets(entries, data)
    if lines:
        at, block = insertion(data, lines)
        replace(path, data[:at] + block + data[at:])
    return len(lines)


def write_post(folder: Path | str, sections: Iterable[Document], takeaways: Iterable[Noted], title: str) -> Path:
    """Write a Jekyll post with a section for each document, the figures as SVG and PNG, and the takeaways at the end.

    Returns the post's path. A post of the same name is written anew unless somebody edited it: then this one gets the
    next free name. Raises InvivoError where the folder cannot be written; the post is written last and whole.
    """
    folder = Path(folder)
    path = _free(folder, f"{datetime.now().astimezone():%Y-%m-%d}-{slug(title)}")
    folder_for_post(folder)
    named = namer()

    def figure_path(figure: Figure) -> str:
        name = named(f"{path.stem}-{slug(figure.name)}")
        for ending in (".png", ".svg"):
            save(figure.picture, folder / "figures" / f"{name}{ending}")
        return f"figures/{name}.svg"

    texts = [markdown(below(document), figure_path) for document in sections]
    data = "\n".join([front_matter(title), *texts]).encode("utf-8", "backslashreplace")
    if lines := bullets(takeaways):
        at, block = insertion(data, lines)
        data = data[:at] + block + data[at:]
    replace(path, data.replace(b"---\n", b"---\n" + stamp(data), 1))
    return path


def namer() -> Callable[[str], str]:
    """A function that gives each name once: one that it gave before gets a number."""
    given: set[str] = set()

    def named(stem: str) -> str:
        name = stem
        while name in given:
            name = f"{stem}-{len(given)}"
        given.add(name)
        return name

    return named


def folder_for_post(folder: Path) -> None:
    """Make a post's folder and try it, so that nobody runs labs whose post has no place. Raises InvivoError."""
    with mishaps("make", folder):
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    with mishaps("write into", folder):
        for place in (folder, folder / "figures"):
            with tempfile.TemporaryFile(dir=place):
                pass


def bullets(entries: Iterable[Noted], post: bytes = b"") -> list[str]:
    """A line for each takeaway that is not in the post yet, in the order given; its words are text, never markup.

    The same words from several runs of the same thing are one line.
    """
    known = {found.decode() for found in MARKER.findall(post)}
    lines = {e.id: opening(escaped(" ".join(e.takeaway.split()))) for e in entries if e.takeaway.split()}
    first: dict[str, str] = {}
    for entry, line in lines.items():
        if entry not in known and f"{line} <!-- invivo:".encode() not in post:
            first.setdefault(line, entry)
    return [f"{line} <!-- invivo:{entry} -->" for line, entry in first.items()]


def insertion(post: bytes, lines: list[str]) -> tuple[int, bytes]:
    """Where to put bullets into a post, and the bytes to put there."""
    if post.startswith(BOM_UTF8):
        at, block = insertion(post.removeprefix(BOM_UTF8), lines)
        return at + len(BOM_UTF8), block
    shape = outline(post)
    heads = shape.heads
    ours = next((i for i, head in enumerate(heads) if _is_ours(head.text)), None)
    if ours is None:
        begin, end = 0, len(post)
    else:
        begin = heads[ours].end
        end = next((head.start for head in heads[ours + 1 :] if head.level <= heads[ours].level), len(post))
    at = max(begin, _after_last_line(post[:end]))
    closer = shape.closer if end == len(post) else b""  # a bullet inside an open fence would be code
    mark = b"" if closer or ours is None else _list_mark(post[begin:at])

    block = [] if post[:at].endswith((b"\n", b"\r")) or not at else [b""]
    block += [closer] if closer else []
    block += [b""] if at and not mark else []
    block += [] if ours is not None else [b"## " + HEADING.encode(), b""]
    block += [(mark or b"-") + b" " + line.encode() for line in lines]
    block += [b""] if at < len(post) and post[at : at + 1] not in b"\r\n" else []  # the next heading
    whole = not post or post.endswith((b"\n", b"\r"))
    newline = next(iter(NEWLINE.findall(post, 0, at)[-1:] or NEWLINE.findall(post, at)), b"\n")  # the neighbour's
    return at, newline.join(block) + (newline if whole or at < len(post) else b"")


def _is_ours(heading: str) -> bool:
    """Whether a heading says `HEADING`, with or without ⚡, links, emphasis or an anchor."""
    text = re.sub(r"\{[#:][^}]*\}|<[^>]*>|\]\([^)]*\)|:zap:|[⚡\ufe0f\[\]*_`:]", " ", heading)
    return " ".join(text.split()).casefold() == HEADING.removeprefix("⚡ ").casefold()


def _after_last_line(post: bytes) -> int:
    """Where the last line that is not blank ends, its line end included."""
    at = len(post.rstrip(b" \t\r\n"))
    rest = re.match(rb"[ \t]*(\r\n|\n|\r)?", post[at:])
    return at + (rest.end() if rest else 0)


def _list_mark(section: bytes) -> bytes:
    """The mark of the list that a section ends with, or nothing: new bullets go on with it."""
    lines: list[bytes] = []
    for line in reversed(section.splitlines()):
        if not line.strip():
            break
        lines.append(line)
    found = re.match(rb"([-*+])[ \t]+[^\s]", lines[-1]) if lines else None
    if found is None or RULE.fullmatch(lines[-1]):
        return b""
    return found[1] if all(line.startswith((found[1] + b" ", b" ", b"\t")) for line in lines) else b""


def front_matter(title: str) -> str:
    """What Jekyll wants at the top of a post."""
    fields = {
        "layout": "post",
        "title": safe(" ".join(title.split())) or HEADING,
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}",
        "tags": TAGS,
    }
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=math.inf)}---\n"


def slug(title: str) -> str:
    """A title as part of a file's name: letters and digits of any script, short enough for any disk."""
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFKC", title).casefold())
    return words[:40].strip("-") or "experiments"


def stamp(post: bytes) -> bytes:
    """A line of the front matter by which a later run knows that nobody edited the post since."""
    return b"# written by invivo, unedited while its digest is %b\n" % hashlib.sha256(post).hexdigest()[:16].encode()


def below(document: Document) -> Document:
    """A document as a part of the post: a title of its own becomes a section's heading, and so on down."""
    if not any(isinstance(block, Heading) and block.level == 1 for block in document.blocks):
        return document
    return Document(
        blocks=tuple(
            Heading(text=block.text, level=min(block.level + 1, 3)) if isinstance(block, Heading) else block
            for block in document.blocks
        )
    )


def _free(folder: Path, name: str) -> Path:
    """The first of name.md, name-2.md, … that is not there or that nobody edited."""
    for number in count(1):
        path = folder / (f"{name}.md" if number == 1 else f"{name}-{number}.md")
        with mishaps("read", path):
            data = path.read_bytes() if path.exists() else b""
        found = STAMP.search(data)
        if not data or (found and found[0] == stamp(data.replace(found[0], b"", 1))):
            return path
    raise AssertionError  # count() has no end
