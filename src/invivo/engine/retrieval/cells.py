"""An approximate index: vectors sorted into cells, of which a search looks into the nearest few (an inverted file).

Cells are found by k-means on the sphere (Lloyd 1982; Dhillon & Modha 2001); searching some of them only is the inverted
file of Sivic & Zisserman 2003 and of Jégou et al. 2011, without their compression. Every vector is in exactly one cell,
so a search of all cells is the exact search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import OutOfRange

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
ROUNDS = 12


class Cells:
    """`vectors` (N, D) of length 1 in `count` cells; `by_chance`, cells and centres are random, nothing is learned."""

    def __init__(self, vectors: Floats, count: int, seed: int = 0, *, by_chance: bool = False) -> None:
        if not 1 <= count <= len(vectors):
            raise OutOfRange(f"{len(vectors):,} vectors cannot have {count:,} cells", hint="from 1 to one a vector")
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        dice = np.random.default_rng(seed)
        if by_chance:
            self.centres = _unit(dice.standard_normal((count, vectors.shape[1])).astype(np.float32))
            self.cell = dice.integers(0, count, len(vectors))
        else:
            self.centres = self.vectors[dice.choice(len(vectors), count, replace=False)].copy()
            self.cell = self._nearest()
            for _ in range(ROUNDS):
                self._move()
                self.cell = self._nearest()
        self.members = [np.flatnonzero(self.cell == c) for c in range(count)]

    def _nearest(self) -> Ints:
        return np.argmax(self.vectors @ self.centres.T, axis=1)

    def _move(self) -> None:
        """Each centre to the mean direction of its vectors; one that has none stays."""
        sums = np.zeros_like(self.centres)
        np.add.at(sums, self.cell, self.vectors)
        held = np.bincount(self.cell, minlength=len(sums)) > 0
        self.centres[held] = _unit(sums[held])

    def search(self, query: Floats, k: int, probes: int) -> tuple[Ints, int]:
        """The nearest `k` in the `probes` nearest cells, nearest first, and how many vectors were compared."""
        if not 1 <= probes <= len(self.members):
            raise OutOfRange(f"{probes} of {len(self.members)} cells cannot be probed")
        near = np.argsort(-(self.centres @ query), kind="stable")[:probes]
        some = np.sort(np.concatenate([self.members[c] for c in near]))
        order = np.argsort(-(self.vectors[some] @ query), kind="stable")[:k]
        return some[order], len(some)


def exact(vectors: Floats, query: Floats, k: int) -> Ints:
    """The nearest `k` of all vectors, nearest first."""
    return np.argsort(-(vectors @ query), kind="stable")[:k]


def recall(found: Ints, true: Ints) -> float:
    """The share of the true ones that were found."""
    return len(np.intersect1d(found, true)) / len(true)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
