"""Reciprocal rank fusion: one ranking of several, by ranks alone, because scores of two kinds cannot be added.

Cormack, Clarke & Büttcher 2009: a text at rank r of a ranking gets 1 / (60 + r) from it.
"""

from __future__ import annotations

from collections.abc import Sequence

SOFTLY = 60


def fuse(rankings: Sequence[Sequence[int]], softly: int = SOFTLY) -> list[tuple[int, float]]:
    """(item, score), best first; of equals, the one that stands first in the first ranking that has either."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (softly + rank)
    return sorted(scores.items(), key=lambda entry: -entry[1])
