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

SEPARATOR = "<|endoftext|>"
# Typographic quotes become the ones on a keyboard: prompts are typed, and a small vocabulary should hold each word once.
QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\ufeff": "", "\r": ""})


class CorpusError(ValueError):
    """The folder cannot be trained on; the message says why and what would help."""


@dataclass(frozen=True)
class Source:
    """One file of the folder: its documents, split into train and held-out."""

    name: str
    train: tuple[str, ...]
    heldout: tuple[str, ...]

    @property
    def small(self) -> bool:
        """Whether the file is small enough (under 8 MB of text) to be weighted up in the mix."""
        return sum(map(len, self.train)) < 8_000_000


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
        return raw.decode("utf-8")
    except (UnicodeDecodeError, lzma.LZMAError) as error:
        raise CorpusError(f"{path} is not UTF-8 text: {error}. Convert it, or take it out of the folder.") from None


def read_folder(folder: Path, heldout_share: float = 0.02, least_bytes: int = 200_000) -> list[Source]:
    """Every text file of `folder`, split. Raises CorpusError where there is nothing, or too little, to train on."""
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder. Give one with *.txt or *.txt.xz files.")
    paths = sorted(p for p in folder.iterdir() if p.name.endswith((".txt", ".txt.xz")))
    if not paths:
        raise CorpusError(f"{folder} holds no *.txt or *.txt.xz file.")
    sources = []
    for path in paths:
        documents = [clean(d) for d in read_file(path).split(SEPARATOR)]
        documents = [d for d in documents if d]
        train = tuple(d for d in documents if not is_heldout(d, heldout_share))
        heldout = tuple(d for d in documents if is_heldout(d, heldout_share))
        sources.append(Source(path.name.split(".")[0], train, heldout))
    size = sum(len(d) for s in sources for d in s.train)
    if size < least_bytes:
        raise CorpusError(f"{folder} holds {size:,} characters of text; at least {least_bytes:,} are needed.")
    if not any(s.heldout for s in sources):
        raise CorpusError(f"{folder}: no document was held out. Separate documents by a line {SEPARATOR}.")
    return sources
