"""The yardstick: an interpolated 5-gram model, which a network must clearly beat to be worth its weights.

Modified Kneser-Ney (Kneser & Ney 1995; Chen & Goodman 1999, "An empirical study of smoothing techniques for language
modeling", section 3), because it won their comparison and is what KenLM estimates (Heafield et al. 2013), so that the
figure compares with figures elsewhere. Each count of an order is lowered by a discount; what was taken goes to the
next lower order, which counts not how often an n-gram was seen but after how many different tokens; below the single
tokens lies the uniform distribution, so nothing has probability 0.

Every n-gram is a number: its place among the sorted distinct n-grams of its order. An (n+1)-gram is that number and
one more token, packed into 64 bits, so five tokens take no more room than two, whatever the vocabulary. The
end-of-text token is a token like any other, and n-grams run across it. Nothing is pruned.

It reads its training tokens once each: the mix in which the network reads them is not repeated here. It has no file
format: counting 30 million tokens again takes a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ORDER = 5


def discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken off a count of 0, 1, 2, and 3 or more (Chen & Goodman 1999, equation 26).

    Where too few n-grams are that rare (single tokens, toy texts) the formula has no value, or one outside [0, count];
    half of the count is taken then.
    """
    usual = np.array([0.0, 0.5, 1.0, 1.5])
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)  # n[k] = how many n-grams have count k
    if not n[1:5].all():
        return usual
    y = n[1] / (n[1] + 2 * n[2])
    found = np.array([0.0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))])
    return np.where((found >= 0) & (found <= np.arange(4)), found, usual)


@dataclass(frozen=True)
class Level:
    """All n-grams of one order, and what interpolation needs to know of them and of their contexts."""

    keys: np.ndarray  # (n-grams,) sorted: the context's number and the last token, packed
    share: np.ndarray  # (n-grams,) the token's discounted share of what followed the context
    rest: np.ndarray  # (contexts,) the weight of the next lower order: what discounts took, or 1 if nothing followed

    @classmethod
    def of(cls, keys: np.ndarray, counts: np.ndarray, vocabulary: int, contexts: int) -> Level:
        """The level whose n-grams `keys` were counted `counts` times; `contexts` is how many shorter n-grams exist."""
        context = keys // vocabulary
        total = np.bincount(context, weights=counts, minlength=contexts)
        taken = discounts(counts)[np.minimum(counts, 3)]
        rest = np.bincount(context, weights=taken, minlength=contexts) / np.maximum(total, 1)
        return cls(keys, (counts - taken) / np.maximum(total[context], 1), np.where(total > 0, rest, 1.0))


class NGram:
    """An n-gram model of `ids`, one long row of tokens below `vocabulary`."""

    def __init__(self, ids: np.ndarray, vocabulary: int, order: int = ORDER) -> None:
        if len(ids) < order:
            raise ValueError(f"{len(ids)} tokens hold no {order}-gram")
        self.vocabulary = vocabulary
        self.levels: list[Level] = []
        contexts = 1  # there is one empty n-gram, number 0
        keys, here = np.unique(ids.astype(np.int64), return_inverse=True)  # here: the n-gram ending at each position
        for n in range(1, order):
            longer, there = np.unique(here[:-1] * vocabulary + ids[n:], return_inverse=True)
            suffix = np.empty(len(longer), dtype=np.int64)
            suffix[there] = here[1:]  # an (n+1)-gram without its first token
            self.levels.append(Level.of(keys, np.bincount(suffix, minlength=len(keys)), vocabulary, contexts))
            contexts, keys, here = len(keys), longer, there
        self.levels.append(Level.of(keys, np.bincount(here), vocabulary, contexts))

    def nats(self, ids: np.ndarray) -> np.ndarray:
        """(T,) tokens -> (T,) minus log-probability of each, given up to order - 1 tokens before it."""
        tokens = ids.astype(np.int64)
        p = np.full(len(ids), 1 / self.vocabulary)
        before = np.zeros(len(ids), dtype=np.int64)  # number of the shorter n-gram just before each token; -1: not seen
        for level in self.levels:
            key = before * self.vocabulary + tokens
            at = np.minimum(np.searchsorted(level.keys, key), len(level.keys) - 1)
            seen = (before >= 0) & (level.keys[at] == key)
            p = np.where(before >= 0, p * level.rest[before] + np.where(seen, level.share[at], 0.0), p)
            before = np.concatenate(([-1], np.where(seen, at, -1)[:-1]))
        return -np.log(p)
