"""A made-up language: each word has a list of followers of its own, so how well it can be guessed at all is known.

A stationary Markov chain (Shannon 1948) with Zipf's frequencies of words. The log odds of a follower are Zipf's
plus a random number of the pair's own: nothing about one pair helps with another, so whoever wants to know more pairs
has to store more. The word before is all that counts; words further back say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..errors import OutOfRange

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Source:
    """A first-order Markov chain over V words that has always been running."""

    table: Array
    """(V, V): the probability of each follower (column) after each word (row)."""
    often: Array
    """(V,): how often each word stands at any place (the chain's stationary distribution)."""

    @property
    def entropy(self) -> float:
        """Nats a word, given the word before: no reader on earth has a lower loss on this language."""
        return float(self.often @ _entropies(self.table))

    @property
    def unordered(self) -> float:
        """Nats a word for a reader who knows how often each word comes, and nothing else."""
        return float(_entropies(self.often[None])[0])

    def rows(self, count: int, length: int, seed: int | tuple[int, ...]) -> Tensor:
        """(count, length) word numbers, each row a stretch of text of its own."""
        dice = np.random.default_rng(seed)
        upto = self.table.cumsum(1)
        upto[:, -1] = 1.0  # whatever rounding says
        words = np.empty((count, length), dtype=np.int64)
        words[:, 0] = dice.choice(len(self.often), size=count, p=self.often)
        for place in range(1, length):
            drawn = dice.random(count)[:, None]
            words[:, place] = (upto[words[:, place - 1]] <= drawn).sum(1)
        return torch.from_numpy(words)

    def shuffled(self) -> Source:
        """The same words as often, without any order: what is left of a long text whose words were shuffled."""
        return Source(np.repeat(self.often[None], len(self.often), axis=0), self.often)


@cache
def invented(vocabulary: int, contrast: float, seed: int) -> Source:
    """The language of that seed.

    `contrast` is the standard deviation, in nats, of a pair's own part of the log odds: at 0 every word has the same
    followers. Raises OutOfRange for fewer than two words or a contrast below 0.
    """
    if vocabulary < 2 or contrast < 0:
        raise OutOfRange(
            f"no language has {vocabulary} words and contrast {contrast:g}", hint="2 words or more, from 0"
        )
    odds = contrast * np.random.default_rng(seed).standard_normal((vocabulary, vocabulary))
    odds -= np.log(np.arange(1, vocabulary + 1))
    table = np.exp(odds - odds.max(1, keepdims=True))
    table /= table.sum(1, keepdims=True)
    often = np.full(vocabulary, 1 / vocabulary)
    for _ in range(200):  # every follower is possible, so it forgets where it started at a fixed rate
        often = often @ table
    return Source(table, often / often.sum())


def _entropies(table: Array) -> Array:
    """(rows,): the entropy of each row in nats."""
    return -(table * np.log(np.where(table > 0, table, 1.0))).sum(1)
