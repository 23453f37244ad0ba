"""Search by words: BM25 (Robertson & Zaragoza 2009), in the library bm25s (Lù 2024), with the usual k1 and b.

A passage's score is a sum over the words that it shares with the query: rare words count more, a word that comes twice
counts less than double, long passages are held back. A passage that shares no word scores 0 and is not found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..extras import extra

K1, B = 1.5, 0.75
# Words that say nothing about what a text is about. Also left out of dense vectors, for the same reason.
LIGHT = """a about after all an and any are as at be because been before but by can could did do does for from had has
    have he her him his how i if in into is it its may me might more most my no not of off on one only or other our out
    over she should so some such than that the their them then there these they this those to too under up us very was
    we were what when where which while who whom whose why will with would you your"""
STOPWORDS = frozenset(LIGHT.split())


def words(text: str) -> list[str]:
    """The words of a text in small letters, without the stop words and without a possessive 's."""
    return [w for w in re.findall(r"\w+", re.sub(r"['’]s\b", "", text.lower())) if w not in STOPWORDS]


class Lexical:
    """BM25 over texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        bm25s = extra("bm25s", "rag")
        self.count = len(texts)
        self.known = {word for text in texts for word in words(text)}
        self.index = bm25s.BM25(k1=K1, b=B, method="lucene")
        if self.known:
            self.index.index([words(text) for text in texts], show_progress=False)

    def scores(self, query: str) -> NDArray[np.float64]:
        """The score of every text, (N,); a word that comes twice in the query counts twice."""
        asked = [word for word in words(query) if word in self.known]
        if not asked:
            return np.zeros(self.count)
        return np.asarray(self.index.get_scores(asked), dtype=np.float64)
