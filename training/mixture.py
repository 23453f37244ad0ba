"""Generated text as sources of the training: how much of each kind there is, and what of it is held out."""

from __future__ import annotations

import numpy as np

from invivo.training.corpus import Source
from invivo.training.stream import Tokens, read

from .generator import items, repeats

# Documents of each kind: about as many tokens as the whole run reads of it, so that little is read twice.
DOCUMENTS = {
    "facts": 100_000,
    "indirect": 110_000,
    "names": 5_000,
    "lists": 6_000,
    "style": 6_000,
    "chat": 24_000,
    "reading": 40_000,
}
HELDOUT = 200  # documents of each kind, to watch the loss on
STRING_TOKENS = 800_000


def written() -> list[Source]:
    """The kinds that are text. The same on every machine and in every run."""
    sources = []
    for kind, number in DOCUMENTS.items():
        train = items(kind, "train", number)
        heldout = tuple(i.text for i in items(kind, "test", HELDOUT))
        sources.append(Source(kind, tuple(i.text for i in train), heldout, True, tuple(i.answers for i in train)))
    return sources


def drawn(vocabulary: int, end: int) -> list[Tokens]:
    """The kinds that are made as token ids: repeated random strings, of few and of many distinct tokens."""
    return [
        read(name, name, repeats.strings(np.random.default_rng(few), vocabulary, STRING_TOKENS, few, end), end, True)
        for name, few in (("few", True), ("many", False))
    ]
