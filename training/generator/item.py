"""What the generator writes: one short text, what it asks, what the answer is, and on which side of the split it lies.

Training and test never share a combination of template and fillers. Which side a combination is on is decided by a
hash of the combination itself, so no list has to be kept, and the order of writing does not matter.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "test"]
SHARE = 0.1  # of all combinations, kept for the test


@dataclass(frozen=True)
class Item:
    """One text. `prompt + answer + rest` is what is read in training; measuring gives `prompt` and waits for `answer`.

    `key` is the combination of template and fillers: two items that ask the same in the same words have the same one.
    """

    key: tuple[str, ...]
    prompt: str
    answer: str  # starts with its blank, where there is one, as the tokenizer would cut it
    rest: str = ""
    wrong: str = ""  # the answer of someone who falls for the trap; starts like `answer`
    form: str = ""  # which variety of its kind, where results are told apart
    others: tuple[int, ...] = ()  # where in the text other answers start, counted in characters

    @property
    def text(self) -> str:
        """The whole of it."""
        return self.prompt + self.answer + self.rest

    @property
    def answers(self) -> tuple[int, ...]:
        """Where answers start in the text: what the training weighs up."""
        return (*self.others, len(self.prompt))


def side(*key: str, share: float = SHARE) -> Split:
    """On which side of the split a combination lies: `share` of all combinations are for the test."""
    number = int.from_bytes(hashlib.sha256("\x1f".join(key).encode()).digest()[:8], "big")
    return "test" if number / 2**64 < share else "train"


def draw(dice: random.Random, split: Split, make: Callable[[random.Random], Item]) -> Item:
    """Items from `make` until one lies on the side of `split`."""
    while True:
        item = make(dice)
        if side(*item.key) == split:
            return item


def a(noun: str) -> str:
    """A noun with its article: a boot, an apple."""
    return ("an " if noun[0] in "aeiouAEIOU" else "a ") + noun


def capital(text: str) -> str:
    """The same text with a capital letter at its start."""
    return text[:1].upper() + text[1:]
