"""Small varied English, written by rule: what the labs look for, put there on purpose, so that the truth is known.

One module is one kind of text. `KINDS` is the only list of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from . import chat, facts, indirect, lists, reading, repeats, style
from .item import Item, Split

KINDS: dict[str, Callable[[random.Random, Split], Item]] = {
    "facts": facts.item,
    "indirect": indirect.item,
    "names": repeats.item,
    "lists": lists.item,
    "style": style.item,
    "chat": chat.item,
    "reading": reading.item,
}


def items(kind: str, split: Split, number: int, seed: int = 0) -> list[Item]:
    """`number` texts of a kind. The same seed gives the same texts; the two splits share no combination."""
    dice = random.Random(f"{kind} {split} {seed}")
    return [KINDS[kind](dice, split) for _ in range(number)]
