"""The order in which the model reads: which rows of tokens make up batch number n.

A batch is a function of (seed, number) and of nothing else. So a resumed run reads what an unbroken one would have
read, and no state of a random generator needs saving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import cast

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from .corpus import CorpusError, Source
from .files import write_whole


@dataclass(frozen=True)
class Stage:
    """A part of training: until which share of all tokens, how long a row is, how much of it is small sources."""

    until: float
    length: int
    small_share: float


# Short rows first (they teach copying sooner and cost less), the whole context last, with more of the modern stories.
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
        backend = cast(Tokenizer, tokenizer.backend_tokenizer)
        parts = [np.zeros(0, dtype=np.uint16)]
        for i in range(0, len(documents), 8):
            for encoding in backend.encode_batch_fast(list(documents[i : i + 8])):
                parts.append(np.array([tokenizer.eos_token_id, *encoding.ids], dtype=np.uint16))
        file = BytesIO()
        np.save(file, np.concatenate(parts))
        write_whole(cache, file.getvalue())
    ids = np.load(cache, mmap_mode="r")
    starts = np.flatnonzero(ids == tokenizer.eos_token_id) + 1
    if len(starts) != len(documents):
        raise CorpusError(
            f"{cache} holds {len(starts)} documents, the corpus {len(documents)}: the text or --heldout "
            "was another when it was made",
            hint="use another output folder, or delete this one",
        )
    return Tokens(source.name, source.small, ids, starts)


def stage_at(share: float, context: int, stages: Sequence[Stage] = STAGES) -> Stage:
    """The stage in which training is after `share` (0 to 1) of its tokens; no row is longer than `context`."""
    stage = next((s for s in stages if share < s.until), stages[-1])
    return replace(stage, length=min(stage.length, context))


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
