"""The order in which the model reads: which rows of tokens make up batch number n.

A batch is a function of (seed, number) and of nothing else. So a resumed run reads what an unbroken one would have
read, and no state of a random generator needs saving.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """A part of training: until which share of all tokens, how long a row is, and what is read in which shares.

    `mix` names "large" and "small" files and kinds of generated text; what a run does not have, the others take over.
    """

    until: float
    length: int
    mix: Mapping[str, float]


# Copying first, on short rows of few distinct tokens, because much else is built on it; then everything; then the
# whole context, with more of the modern stories, which are closest to how people prompt.
STAGES = (
    Stage(
        0.06,
        64,
        {"large": 0.28, "small": 0.1, "few": 0.25, "many": 0.04, "names": 0.02}
        | {"indirect": 0.12, "facts": 0.13, "chat": 0.03, "reading": 0.03},
    ),
    Stage(
        0.6,
        256,
        {"large": 0.34, "small": 0.12, "few": 0.01, "many": 0.03, "names": 0.01}
        | {"indirect": 0.14, "facts": 0.14, "lists": 0.02, "style": 0.02, "chat": 0.05, "reading": 0.12},
    ),
    Stage(
        1.0,
        512,
        {"large": 0.42, "small": 0.2, "many": 0.02, "names": 0.01}
        | {"indirect": 0.1, "facts": 0.1, "lists": 0.01, "style": 0.01, "chat": 0.04, "reading": 0.09},
    ),
)


@dataclass(frozen=True)
class Tokens:
    """One source as token ids, with the places where its documents start."""

    name: str
    group: str  # what a stage's mix calls it
    ids: np.ndarray  # (tokens,) uint16; every document is preceded by the end-of-text token
    starts: np.ndarray  # (documents,) first token of each document
    generated: bool = field(default=False)

    def document(self, number: int) -> np.ndarray:
        """The tokens of one document and the end-of-text token behind it, where there is one."""
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.ids)
        return self.ids[self.starts[number] : end]


def read(name: str, group: str, ids: np.ndarray, end: int, generated: bool = False) -> Tokens:
    """Tokens with their starts found: a document starts behind each `end`."""
    return Tokens(name, group, ids, np.flatnonzero(ids == end) + 1, generated)


def encode(source: Source, documents: Sequence[str], tokenizer: PreTrainedTokenizerBase, cache: Path) -> Tokens:
    """Tokenise `documents`, or read them from `cache` if that was done before.

    The cache's name holds a digest of text and tokenizer. Raises CorpusError where there is one of another text: going
    on with it would train on what is held out now, or the other way round.
    """
    backend = cast(Tokenizer, tokenizer.backend_tokenizer)
    told = hashlib.sha256(repr(sorted(backend.get_vocab().items())).encode())
    for document in documents:
        told.update(document.encode() + b"\0")
    own = cache.with_name(f"{cache.stem}.{told.hexdigest()[:12]}.npy")
    if others := set(cache.parent.glob(f"{cache.stem}.*.npy")) - {own}:
        raise CorpusError(
            f"{min(others)} was made from another text: the corpus, the tokenizer or --heldout was another",
            hint="use another output folder, or delete this one",
        )
    cache = own
    if not cache.exists():
        parts = [np.zeros(0, dtype=np.uint16)]
        for i in range(0, len(documents), 8):
            for encoding in backend.encode_batch_fast(list(documents[i : i + 8])):
                parts.append(np.array([tokenizer.eos_token_id, *encoding.ids], dtype=np.uint16))
        file = BytesIO()
        np.save(file, np.concatenate(parts))
        write_whole(cache, file.getvalue())
    ids = np.load(cache, mmap_mode="r")
    return read(source.name, source.group, ids, cast(int, tokenizer.eos_token_id), source.generated)


def stage_at(share: float, context: int, stages: Sequence[Stage] = STAGES) -> Stage:
    """The stage in which training is after `share` (0 to 1) of its tokens; no row is longer than `context`."""
    stage = next((s for s in stages if share < s.until), stages[-1])
    return replace(stage, length=min(stage.length, context))


def _excerpt(dice: np.random.Generator, files: Sequence[Tokens], small: bool, length: int) -> np.ndarray:
    """A row from one of `files`, drawn by their lengths. Half of those of small files start where a document does."""
    size = np.array([len(s.ids) for s in files], dtype=float)
    source = files[dice.choice(len(files), p=size / size.sum())]
    last = len(source.ids) - length
    start = int(dice.choice(source.starts)) if small and dice.random() < 0.5 else int(dice.integers(last))
    return source.ids[min(start, last) :][:length]


def _packed(dice: np.random.Generator, kinds: Sequence[Tokens], weights: np.ndarray, length: int) -> np.ndarray:
    """A row of whole generated documents of mixed kinds, one behind the other, the last one cut."""
    parts: list[np.ndarray] = []
    size = 0
    while size < length:
        source = kinds[dice.choice(len(kinds), p=weights)]
        parts.append(source.document(int(dice.integers(len(source.starts)))))
        size += len(parts[-1])
        if size < length and parts[-1][-1] != source.ids[0]:  # the last document of a source has no end behind it
            parts.append(source.ids[:1])
            size += 1
    return np.concatenate(parts)[:length]


def batch(sources: Sequence[Tokens], stage: Stage, tokens: int, seed: int, number: int) -> np.ndarray:
    """Batch `number`: (rows, stage.length) int64, about `tokens` tokens in all.

    A row is an excerpt of a file, or generated documents one behind the other. Kinds of these are drawn so that their
    tokens, not their documents, have the shares of the mix. In rows shorter than a document the shares are rough,
    because the last document of a row is cut.
    """
    dice = np.random.default_rng((seed, number))
    mix = {name: share for name, share in stage.mix.items() if any(s.group == name for s in sources)}
    files = {
        group: [s for s in sources if s.group == group and len(s.ids) > stage.length] for group in ("large", "small")
    }
    kinds = [s for s in sources if s.generated and mix.get(s.group)]
    shares = np.array(
        [*(mix.get(group, 0.0) if found else 0.0 for group, found in files.items()), sum(mix[s.group] for s in kinds)]
    )
    weights = np.array([mix[s.group] * len(s.starts) / len(s.ids) for s in kinds])
    rows = []
    for which in dice.choice(3, size=max(1, tokens // stage.length), p=shares / shares.sum()):
        if which == 2:
            rows.append(_packed(dice, kinds, weights / weights.sum(), stage.length))
        else:
            rows.append(_excerpt(dice, files[("large", "small")[which]], which == 1, stage.length))
    return np.stack(rows).astype(np.int64)
