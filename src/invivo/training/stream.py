"""The order in which the model reads: which rows of tokens make up batch number n.

A batch is a function of (seed, number) and of nothing else. So a resumed run reads what an unbroken one would have
read, and no state of a random generator needs saving.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, cast

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


# For plain text: short rows first, then longer ones, as in Li et al. 2022 (sequence length warm-up).
SIZES = {"large": 0.75, "small": 0.25}
PLAIN = (Stage(0.1, 64, SIZES), Stage(0.6, 256, SIZES), Stage(1.0, 512, SIZES))


# The first token of an answer counts as ten. In a text of thirty tokens it is the only one that says whether something
# was understood, and where it can be foreseen, weighing it up moves only how fast that is learned, not what.
ANSWER = 10


@dataclass(frozen=True)
class Tokens:
    """One source as token ids, with the places where its documents start."""

    name: str
    group: str  # what a stage's mix calls it
    ids: np.ndarray  # (tokens,) uint16; every document is preceded by the end-of-text token
    starts: np.ndarray  # (documents,) first token of each document
    generated: bool = False
    answers: np.ndarray | None = None  # (tokens,) 1 where an answer starts

    def document(self, number: int) -> slice:
        """Where one document lies, with the end-of-text token behind it, where there is one."""
        return slice(self.starts[number], self.starts[number + 1] if number + 1 < len(self.starts) else len(self.ids))


class Batch(NamedTuple):
    """What one step learns from."""

    ids: np.ndarray  # (rows, length) int64
    weights: np.ndarray  # (rows, length) float32, how much it counts that each token is foreseen


def read(
    name: str, group: str, ids: np.ndarray, end: int, generated: bool = False, answers: np.ndarray | None = None
) -> Tokens:
    """Tokens with their starts found: a document starts behind each `end`."""
    return Tokens(name, group, ids, np.flatnonzero(ids == end) + 1, generated, answers)


def encode(
    source: Source,
    documents: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    cache: Path,
    answers: Sequence[Sequence[int]] = (),
) -> Tokens:
    """Tokenise `documents`, in which `answers` start at those characters, or read them from `cache` if that was done.

    The cache's name holds a digest of text and tokenizer. Raises CorpusError where there is one of another text: going
    on with it would train on what is held out now, or the other way round.
    """
    backend = cast(Tokenizer, tokenizer.backend_tokenizer)
    told = hashlib.sha256(repr(sorted(backend.get_vocab().items())).encode())
    for document in documents:
        told.update(document.encode() + b"\0")
    told.update(repr(answers).encode() if answers else b"")
    own = cache.with_name(f"{cache.stem}.{told.hexdigest()[:12]}.npy")
    if others := set(cache.parent.glob(f"{cache.stem}.*.npy")) - {own}:
        raise CorpusError(
            f"{min(others)} was made from another text: the corpus, the tokenizer or --heldout was another",
            hint="use another output folder, or delete this one",
        )
    cache = own
    if not cache.exists():
        parts = [np.zeros((2, 0), dtype=np.uint16)]
        cut = backend.encode_batch if answers else backend.encode_batch_fast  # fast: without offsets
        for i in range(0, len(documents), 8):
            for number, encoding in enumerate(cut(list(documents[i : i + 8])), i):
                ids = np.array([tokenizer.eos_token_id, *encoding.ids], dtype=np.uint16)
                marks = np.zeros_like(ids)
                if answers:
                    ends = [end for _, end in encoding.offsets]
                    # The token that holds the answer's first character, or the one behind its blank.
                    for at in answers[number]:
                        marks[1 + bisect_right(ends, at + documents[number][at].isspace())] = 1
                parts.append(np.stack((ids, marks)))
        file = BytesIO()
        np.save(file, np.concatenate(parts, axis=1))
        write_whole(cache, file.getvalue())
    ids, marks = np.load(cache, mmap_mode="r")
    end = cast(int, tokenizer.eos_token_id)
    return read(source.name, source.group, ids, end, source.generated, marks if answers else None)


def stage_at(share: float, context: int, stages: Sequence[Stage] = PLAIN) -> Stage:
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


def _packed(dice: np.random.Generator, kinds: Sequence[Tokens], shares: np.ndarray, length: int) -> np.ndarray:
    """A row of whole generated documents of mixed kinds, one behind the other, the last one cut; with its answers."""
    parts: list[np.ndarray] = []
    size = 0
    while size < length:
        source = kinds[dice.choice(len(kinds), p=shares)]
        place = source.document(int(dice.integers(len(source.starts))))
        ids = source.ids[place]
        parts.append(np.stack((ids, np.zeros_like(ids) if source.answers is None else source.answers[place])))
        size += len(ids)
        if size < length and ids[-1] != source.ids[0]:  # the last document of a source has no end behind it
            parts.append(np.array([[source.ids[0]], [0]], dtype=ids.dtype))
            size += 1
    return np.concatenate(parts, axis=1)[:, :length]


def batch(sources: Sequence[Tokens], stage: Stage, tokens: int, seed: int, number: int) -> Batch:
    """Batch `number`: rows of `stage.length`, about `tokens` tokens in all.

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
    often = np.array([mix[s.group] * len(s.starts) / len(s.ids) for s in kinds])
    rows = []
    for which in dice.choice(3, size=max(1, tokens // stage.length), p=shares / shares.sum()):
        if which == 2:
            rows.append(_packed(dice, kinds, often / often.sum(), stage.length))
        else:
            ids = _excerpt(dice, files[("large", "small")[which]], which == 1, stage.length)
            rows.append(np.stack((ids, np.zeros_like(ids))))
    ids, answers = np.stack(rows, axis=1)
    return Batch(ids.astype(np.int64), np.where(answers, np.float32(ANSWER), np.float32(1)))
