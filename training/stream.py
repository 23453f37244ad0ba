"""The order in which the model reads: which rows of tokens make up batch number n.

A batch is a function of (seed, number) and of nothing else. So a resumed run reads what an unbroken one would have
read, and no state of a random generator needs saving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from .corpus import Source


@dataclass(frozen=True)
class Stage:
    """A part of training: until which share of all tokens, how long a row is, how much of it is small sources."""

    until: float
    length: int
    small_share: float


# Short rows first (they teach copying sooner and cost less), the whole context last; modern stories weigh more at the end.
STAGES = (Stage(0.04, 64, 0.2), Stage(0.65, 256, 0.2), Stage(1.0, 512, 0.4))


@dataclass(frozen=True)
class Tokens:
    """One source as token ids, with the places where its documents start."""

    name: str
    small: bool
    ids: np.ndarray  # (tokens,) uint16; every document is preceded by the end-of-text token
    starts: np.ndarray  # (documents,) first token of each document


def encode(source: Source, documents: Sequence[str], tokenizer: PreTrainedTokenizerBase, cache: Path) -> Tokens:
    """Tokenise `documents`, or read them from `cache` if that was done before."""
    if not cache.exists():
        parts = []
        for i in range(0, len(documents), 8):
            for encoding in tokenizer.backend_tokenizer.encode_batch_fast(list(documents[i : i + 8])):
                parts.append(np.array([tokenizer.eos_token_id, *encoding.ids], dtype=np.uint16))
        written = cache.with_suffix(".part.npy")
        np.save(written, np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint16))
        written.rename(cache)
    ids = np.load(cache, mmap_mode="r")
    return Tokens(source.name, source.small, ids, np.flatnonzero(ids == tokenizer.eos_token_id) + 1)


def stage_at(share: float, stages: Sequence[Stage] = STAGES) -> Stage:
    """The stage in which training is after `share` (0 to 1) of its tokens."""
    return next((s for s in stages if share < s.until), stages[-1])


def batch(sources: Sequence[Tokens], stage: Stage, tokens: int, seed: int, number: int) -> np.ndarray:
    """Batch `number`: (rows, stage.length) int64, about `tokens` tokens in all.

    Sources are drawn in proportion to their length within the small and the large group. Half of the rows of small
    sources start where a document starts, as prompts do; all others start anywhere.
    """
    dice = np.random.default_rng((seed, number))
    usable = [s for s in sources if len(s.ids) > stage.length]
    size = np.array([len(s.ids) for s in usable], dtype=float)
    small = np.array([s.small for s in usable])
    weight = np.zeros(len(usable))
    for group, share in ((small, stage.small_share), (~small, 1 - stage.small_share)):
        if group.any():
            weight[group] = share * size[group] / size[group].sum()
    rows = []
    for which in dice.choice(len(usable), size=max(1, tokens // stage.length), p=weight / weight.sum()):
        source = usable[which]
        last = len(source.ids) - stage.length
        start = int(dice.choice(source.starts)) if source.small and dice.random() < 0.5 else int(dice.integers(last))
        rows.append(source.ids[min(start, last) :][: stage.length])
    return np.stack(rows).astype(np.int64)
