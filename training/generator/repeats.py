"""Repeated strings: what came after this token the last time comes after it again, so a model that copies is paid.

Strings of random tokens are made as token ids, because no text is sure to be cut into a given row of tokens. The first
round of a string cannot be foreseen, later rounds can. `few` draws from 256 tokens, which lets the copying start early
(heads that have learned it for some tokens serve for all); `many` draws from the whole vocabulary, as the test does.
`item` writes rounds of rare names, the same task in words.
"""

from __future__ import annotations

import random

import numpy as np

from .item import Item, Split, draw
from .reading import invented

FEW = 256


def strings(dice: np.random.Generator, vocabulary: int, tokens: int, few: bool, end: int) -> np.ndarray:
    """About `tokens` ids (uint16): documents of random strings in 2 to 4 rounds, each document begun by `end`."""
    usual = np.random.default_rng(vocabulary).choice(np.delete(np.arange(vocabulary), end), FEW, replace=False)
    pool = usual if few else np.delete(np.arange(vocabulary), end)
    parts: list[np.ndarray] = []
    size = 0
    while size < tokens:
        string = dice.choice(pool, int(dice.integers(4, 32)))
        parts += [np.array([end]), np.tile(string, int(dice.integers(2, 5)))]
        size += len(parts[-1]) + 1
    return np.concatenate(parts).astype(np.uint16)


def rounds(dice: np.random.Generator, vocabulary: int, rows: int, length: int, end: int) -> np.ndarray:
    """(rows, 2 * length) for the test: a string of random tokens from the whole vocabulary, twice."""
    once = dice.choice(np.delete(np.arange(vocabulary), end), (rows, length))
    return np.concatenate((once, once), axis=1)


def item(dice: random.Random, split: Split) -> Item:
    """Rounds of rare names; the answer is a name of the last round."""

    def make(dice: random.Random) -> Item:
        names = [invented(dice, split) for _ in range(dice.randint(3, 7))]
        told = dice.choice(("{}.", "They called {}.", "In the boat sat {}.", "The names are {}.", "We know {}."))
        once = told.format(", ".join(names))
        again = told.format("\0").split("\0")[0]
        at = dice.randrange(1, len(names))
        return Item(
            key=("names", told, *names),
            prompt=f"{once} {again}{', '.join(names[:at])},",
            answer=f" {names[at]}",
            rest="".join(f", {n}" for n in names[at + 1 :]) + ".",
            form="names",
        )

    return draw(dice, split, make)
