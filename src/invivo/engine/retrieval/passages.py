"""Passages: the paragraphs of a folder's text files, the long ones cut at ends of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadText, UnknownName, nearest
from ...experiment import village

ENDINGS = (".txt", ".md")
LONGEST = 80  # words of a passage
MOST_BYTES = 2**26  # of all files together
SHIPPED = {village.NAME: village.FOLDER}


@dataclass(frozen=True)
class Passage:
    """A stretch of text, and where it stands."""

    text: str
    source: str  # file, and paragraph from 1: `pets.txt 3`


def place_of(folder: str) -> Path:
    """The shipped collection of that name, else the folder or file of that path. Raises UnknownName."""
    if folder in SHIPPED:
        return SHIPPED[folder]
    path = Path(folder).expanduser()
    if path.is_dir() or path.is_file():
        return path
    parent = path.parent
    beside = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
    guess = nearest(path.name, [*beside, *SHIPPED])
    hint = f"did you mean {str(parent / guess) if guess in beside else guess}? " if guess else ""
    raise UnknownName(
        f"there is no folder {folder}",
        hint=f"{hint}give a folder of {' or '.join(ENDINGS)} files, or `village`, which comes along",
    )


def read(folder: str) -> tuple[Passage, ...]:
    """All passages below a folder, files by name. Raises UnknownName without the folder, BadText without any text."""
    place = place_of(folder)
    files = files_of(place)
    if not files:
        raise BadText(f"{folder} has no text files", hint=f"files to be found end in {' or '.join(ENDINGS)}")
    size = sum(file.stat().st_size for file in files)
    if size > MOST_BYTES:
        raise BadText(f"the files of {folder} have {size:,} bytes", hint=f"at most {MOST_BYTES:,} are searched")
    found = [passage for file in files for passage in _of(file, place if place.is_dir() else place.parent)]
    if not found:
        raise BadText(f"the text files of {folder} are empty", hint="write something into them first")
    return tuple(found)


def files_of(place: Path) -> list[Path]:
    """The text files below a folder, or the file itself; what is hidden is left out."""
    if place.is_file():
        return [place]
    return sorted(
        file
        for file in place.rglob("*")
        if file.suffix.lower() in ENDINGS
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(place).parts)
    )


def _of(file: Path, root: Path) -> Iterator[Passage]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadText(f"{file} cannot be read as text: {error}", hint="save it as UTF-8, or move it away") from None
    name, count = file.relative_to(root).as_posix(), 0
    for paragraph in re.split(r"\n\s*\n", text.lstrip("\ufeff")):
        for part in cut(" ".join(paragraph.split())):
            count += 1
            yield Passage(part, f"{name} {count}")


def cut(paragraph: str, longest: int = LONGEST) -> Iterator[str]:
    """A paragraph in parts of at most `longest` words, cut behind sentences; a longer sentence is cut anywhere."""
    part: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", paragraph):
        words = sentence.split()
        if part and len(part) + len(words) > longest:
            yield " ".join(part)
            part = []
        part += words
        while len(part) > longest:
            yield " ".join(part[:longest])
            part = part[longest:]
    if part:
        yield " ".join(part)
