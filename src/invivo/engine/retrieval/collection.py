"""A collection of passages that can be searched in four ways; read once, and again when a file has changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args
from zlib import crc32

import torch

from ...errors import OutOfRange, unknown
from ...tweaks.retrieve import Way
from .. import dice
from ..living import Living
from .dense import ByModel, ByName, Dense, Embedder
from .fusion import fuse
from .lexical import Lexical
from .passages import Passage, files_of, place_of, read

WAYS = get_args(get_args(Way)[0])
DEPTH = 20  # places of each ranking that a hybrid search looks at


@dataclass(frozen=True)
class Hit:
    """A passage that was found, with its score: BM25's, a cosine, or a sum of reciprocal ranks."""

    number: int
    passage: Passage
    score: float


class Collection:
    """Passages, and what makes vectors of them. Nothing is indexed before it is asked for."""

    def __init__(self, passages: Sequence[Passage], embed: Callable[[], Embedder]) -> None:
        self.passages, self._embed = tuple(passages), embed

    @cached_property
    def lexical(self) -> Lexical:
        """Their words. Raises Refused without the library."""
        return Lexical([p.text for p in self.passages])

    @cached_property
    def dense(self) -> Dense:
        """Their vectors."""
        return Dense(self._embed(), [p.text for p in self.passages])

    def search(self, query: str, count: int, how: str = "hybrid", seed: int = 0) -> list[Hit]:
        """The best `count` passages, best first; fewer where fewer share a word with the query (bm25).

        `chance` takes any, which ones being a function of query and seed. Raises UnknownName, OutOfRange.
        """
        if how not in WAYS:
            raise unknown("way to search", how, WAYS, "invivo tweaks")
        if count < 1:
            raise OutOfRange(f"{count} passages cannot be retrieved", hint="ask for 1 or more")
        ranked = {"bm25": self._bm25, "dense": self._dense, "hybrid": self._hybrid}
        found = self._chance(query, seed) if how == "chance" else ranked[how](query)
        return [Hit(n, self.passages[n], score) for n, score in found[:count]]

    def _bm25(self, query: str) -> list[tuple[int, float]]:
        scores = self.lexical.scores(query)
        return [(n, float(scores[n])) for n in sorted(range(len(scores)), key=lambda n: -scores[n]) if scores[n] > 0]

    def _dense(self, query: str) -> list[tuple[int, float]]:
        scores = self.dense.scores(query).tolist()
        return [(n, scores[n]) for n in sorted(range(len(scores)), key=lambda n: -scores[n])]

    def _hybrid(self, query: str) -> list[tuple[int, float]]:
        return fuse([[n for n, _ in found[:DEPTH]] for found in (self._bm25(query), self._dense(query))])

    def _chance(self, query: str, seed: int) -> list[tuple[int, float]]:
        drawn = dice.uniform(seed, crc32(query.encode()), torch.arange(len(self.passages))).tolist()
        return [(n, 0.0) for n in sorted(range(len(drawn)), key=drawn.__getitem__)]


def collection(living: Living, folder: str, embedder: str | None = None, layer: int | None = None) -> Collection:
    """The collection of a folder, with vectors by `embedder`, or by the model itself after `layer`.

    Kept with the model for as long as no file of the folder changes. Raises what reading the folder raises.
    """
    place = place_of(folder)
    stamp = tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files_of(place))
    kept = living.collections
    key = (str(place.resolve()), embedder, layer)
    found = kept.get((*key, stamp))
    if found is None:
        for old in [k for k in kept if k[:3] == key]:
            del kept[old]
        found = Collection(read(folder), lambda: ByName(embedder) if embedder else ByModel(living, layer))
        kept[(*key, stamp)] = found
    return found


def query_of(prompt: str) -> str:
    """What a prompt asks for: of `Passage: … Question: … Answer:` the last question, else all of it."""
    asked = prompt.rpartition("Question:")[2]
    return re.sub(r"\s*\bAnswer:\s*$", "", asked).strip() or prompt
