"""A folder of text: documents, held-out split, mix.

Reads every `*.txt` and `*.txt.xz` of a folder. Documents are separated by a line `<|endoftext|>`. Whole documents are
held out, never lines, so that no held-out sentence has a neighbour in training. Which ones is decided by a hash of the
text itself: the same folder gives the same split on every machine, in any file order.
"""

from __future__ import annotations

import hashlib
import lzma
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvivoError

SEPARATOR = "<|endoftext|>"
# Typographic quotes become those on a keyboard: prompts are typed, and a small vocabulary should hold each word once.
QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\ufeff": "", "\r": ""})


class CorpusError(InvivoError):
    """The folder cannot be trained on."""


SMALL_CHARACTERS = 8_000_000  # a file of less is weighted up in the mix


@dataclass(frozen=True)
class Source:
    """One file of the folder, or one kind of generated text: its documents, split into train and held-out."""

    name: str
    train: tuple[str, ...]
    heldout: tuple[str, ...]
    generated: bool = False
    answers: tuple[tuple[int, ...], ...] = ()  # where in each training text answers start; without any: nowhere

    @property
    def group(self) -> str:
        """What the mix calls it: a kind of generated text by its own name, a file by its size."""
        return self.name if self.generated else "small" if self.characters < SMALL_CHARACTERS else "large"

    @property
    def characters(self) -> int:
        """Of training text."""
        return sum(map(len, self.train))


def clean(text: str) -> str:
    """One document as the model sees it: plain quotes, no trailing blanks, at most one empty line in a row."""
    text = re.sub(r"[ \t]+\n", "\n", text.translate(QUOTES))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def is_heldout(document: str, share: float) -> bool:
    """Whether a document is held out: decided by its own bytes, `share` of all documents on average."""
    return int.from_bytes(hashlib.sha256(document.encode()).digest()[:8], "big") / 2**64 < share


def read_file(path: Path) -> str:
    """The text of a `.txt` or `.txt.xz` file, which must be UTF-8."""
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        text = raw.decode("utf-8")
    except (UnicodeDecodeError, lzma.LZMAError) as error:
        raise CorpusError(
            f"{path} is not UTF-8 text: {error}", hint="convert it, or take it out of the folder"
        ) from None
    if "\0" in text:
        raise CorpusError(f"{path} is not text: it holds zero bytes", hint="take it out of the folder")
    return text


def cut(document: str, characters: int) -> list[str]:
    """A long document as pieces of about so many characters, cut between paragraphs, or lines, or words."""
    pieces, rest = [], document
    while len(rest) > 1.5 * characters:
        ends = (rest.rfind(mark, characters // 2, characters) for mark in ("\n\n", "\n", " "))
        at = next((end for end in ends if end > 0), characters)
        pieces.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [piece for piece in (*pieces, rest) if piece]


def read_folder(
    folder: Path, heldout_share: float = 0.03, least_characters: int = 200_000, piece_characters: int | None = None
) -> list[Source]:
    """Every text file of `folder`, split. Raises CorpusError where there is nothing, or too little, to train on.

    With `piece_characters`, longer documents are cut into pieces of about that length, so that a book without any
    separator can be held out in part, too.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder", hint="give one with *.txt or *.txt.xz files")
    paths = sorted(p for p in folder.iterdir() if p.name.endswith((".txt", ".txt.xz")))
    if not paths:
        raise CorpusError(f"{folder} holds no *.txt or *.txt.xz file", hint="give a folder of text files")
    sources: dict[str, Source] = {}
    for path in paths:
        name = path.name.removesuffix(".xz").removesuffix(".txt")
        if name in sources:
            raise CorpusError(f"{folder} holds {name} twice, as .txt and as .txt.xz", hint="take one of them out")
        documents = [d for d in map(clean, read_file(path).split(SEPARATOR)) if d]
        if piece_characters is not None:
            documents = [piece for d in documents for piece in cut(d, piece_characters)]
        train = tuple(d for d in documents if not is_heldout(d, heldout_share))
        heldout = tuple(d for d in documents if is_heldout(d, heldout_share))
        sources[name] = Source(name, train, heldout)
    size = sum(len(d) for s in sources.values() for d in s.train)
    if size < least_characters:
        raise CorpusError(
            f"{folder} holds {size:,} characters of text to train on, too little to learn from",
            hint=f"give at least {least_characters:,}",
        )
    if not any(s.heldout for s in sources.values()):
        raise CorpusError(
            f"{folder}: no document was held out, so nothing could be measured",
            hint=f"separate documents by a line {SEPARATOR}, or raise --heldout",
        )
    return list(sources.values())
