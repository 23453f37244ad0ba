"""How a prompt is cut into tokens: the joins of byte-pair encoding one by one (Sennrich, Haddow & Birch 2016).

The rules are the tokenizer's own: its merge table is replayed here, word by word, by the definition: of all pairs of
neighbours, join the one whose rule was learned first; repeat until no rule fits. What comes out must be what the
tokenizer gives, or the joins are not shown. Two alphabets are known: bytes (Radford et al. 2019), and characters with ▁
for a space, as SentencePiece writes it. A tokenizer that joins nothing shows pieces, ids and bytes only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import Field

from ...show.blocks import Block, Table, Text
from ...show.text import quoted, visible
from ...spec import Spec
from ..living import BYTE_OF, Living
from . import Found, Kind


class Settings(Spec):
    """What is cut."""

    prompt: str = "Once upon a time"
    """What is read."""
    steps: int = Field(default=20, ge=1, le=1000)
    """Joins to show; the words with the most are shown first where there are more."""


@dataclass(frozen=True)
class Step:
    """One join: the rule's number, from 1, what it made, and all pieces after it."""

    rule: int
    made: str
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Merges:
    """A byte-pair tokenizer's rules: which pair is joined, and how early the rule was learned."""

    ranks: Mapping[tuple[str, str], int]
    vocabulary: Mapping[str, int]
    byte_fallback: bool
    whole_first: bool  # a word that is an entry is never cut

    def start(self, word: str) -> list[str]:
        """The word in single characters; one that is no entry in its bytes, where the tokenizer does so."""
        symbols: list[str] = []
        for char in word:
            if self.byte_fallback and char not in self.vocabulary:
                symbols += [f"<0x{byte:02X}>" for byte in char.encode()]
            else:
                symbols.append(char)
        return symbols

    def steps(self, word: str) -> Iterator[Step]:
        """The joins of one word, in order: always the pair of the earliest rule, the leftmost of several."""
        if self.whole_first and word in self.vocabulary:
            return
        pieces = self.start(word)
        while True:
            fitting = [(self.ranks[pair], i) for i, pair in enumerate(pairwise(pieces)) if pair in self.ranks]
            if not fitting:
                return
            rank, i = min(fitting)
            pieces = [*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :]]
            yield Step(rank + 1, pieces[i], tuple(pieces))

    def cut(self, word: str) -> list[str]:
        """The word's tokens."""
        if self.whole_first and word in self.vocabulary:
            return [word]
        pieces = self.start(word)
        for step in self.steps(word):
            pieces = list(step.pieces)
        return pieces


def merges_of(backend: Any) -> Merges | str:
    """The rules of a tokenizer of the tokenizers library; else one line that says why it has none."""
    if backend is None:
        return "This tokenizer is written in Python and does not say by which rules it joins."
    model = json.loads(backend.to_str())["model"]
    if model.get("type") != "BPE":
        how = {
            "Unigram": "takes the cut whose entries are likeliest together",
            "WordPiece": "takes the longest entry that fits, again and again",
            "WordLevel": "knows whole words only",
        }.get(model.get("type"), "does something else")
        return f"This tokenizer is a {model.get('type')} model: it {how}, so there are no joins to show."
    if any(model.get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout")):
        return "This tokenizer marks the ends of words inside its rules, which is not replayed here."
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
    ranks: dict[tuple[str, str], int] = {}
    for rank, (left, right) in enumerate(pairs):
        ranks.setdefault((left, right), rank)
    return Merges(ranks, model["vocab"], bool(model.get("byte_fallback")), bool(model.get("ignore_merges")))


def words_of(backend: Any, text: str) -> list[str]:
    """The stretches that no join crosses, as the tokenizer's own first two stages give them."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    if backend.pre_tokenizer is None:
        return [text]
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def shown(symbol: str, as_bytes: bool) -> str:
    """A piece as people read it: a space as ·, half a character as its bytes."""
    if as_bytes:
        symbol = bytes(BYTE_OF[char] for char in symbol).decode("utf-8", errors="backslashreplace")
    return visible(symbol.replace("\u2581", " "))


def show(living: Living, settings: Settings) -> Found:
    """The joins of byte-pair encoding that cut the prompt, step by step, then its tokens with ids and bytes."""
    text = settings.prompt
    ids = living.encode(text)
    infos = [living.piece(i) for i in ids]
    size = len(text.encode())
    vocabulary = len(living.tokenizer)
    numbers: dict[str, float] = {"tokens": len(ids), "bytes": size, "vocabulary": vocabulary}
    backend = getattr(living.tokenizer, "backend_tokenizer", None)
    merges = merges_of(backend)
    tokens = Table(
        caption="The tokens: what the model reads is the ids",
        columns=("position", "piece", "id", "bytes"),
        rows=tuple(
            (str(n), visible(info.text), f"{info.id:,}", info.bytes.hex(" ") or "–") for n, info in enumerate(infos)
        ),
    )
    cut = f"{quoted(text)} is {size} bytes and {len(ids)} tokens, out of a fixed list of {vocabulary:,}"
    if isinstance(merges, str):
        return Found(f"{cut}. {merges}", (tokens,), numbers)
    words = words_of(backend, text)
    plain = living.tokenizer(text, add_special_tokens=False).input_ids
    if [merges.vocabulary.get(piece) for word in words for piece in merges.cut(word)] != list(plain):
        why = "Its joins are not shown: replayed by the rules alone they give other tokens than the tokenizer does"
        return Found(f"{cut}. {why} (special tokens in the prompt, perhaps).", (tokens,), numbers)
    as_bytes = all(char in BYTE_OF for word in words for char in word)
    done = {word: list(merges.steps(word)) for word in words}  # a word that comes twice is shown once
    joins = sum(len(done[word]) for word in words)
    numbers |= {"joins": joins, "rules": len(merges.ranks), "words": len(words)}
    numbers["plain_tokens"] = len(plain)
    numbers["starts"] = sum(len(merges.start(word)) for word in words)
    alphabet = "bytes" if as_bytes else "characters"
    sentence = f"{cut}: from single {alphabet}, {joins} joins by {len(merges.ranks):,} learned rules."
    if not joins:
        return Found(f"{sentence} None of its pairs has a rule.", (tokens,), numbers)
    return Found(sentence, (*_joins(merges, done, settings.steps, as_bytes), tokens), numbers)


def _joins(merges: Merges, done: dict[str, list[Step]], room: int, as_bytes: bool) -> Iterator[Block]:
    """A table of joins, word by word, as far as there is room, and a line about what was left out."""
    chosen: set[str] = set()
    for word in sorted(done, key=lambda w: -len(done[w])):
        if done[word] and (not chosen or sum(len(done[w]) for w in chosen) + len(done[word]) <= room):
            chosen.add(word)
    rows = []
    for word in (w for w in done if w in chosen):
        rows.append((" ".join(shown(s, as_bytes) for s in merges.start(word)), "", ""))
        for step in done[word][:room]:
            pieces = " ".join(shown(s, as_bytes) for s in step.pieces)
            rows.append((pieces, shown(step.made, as_bytes), f"{step.rule:,}"))
    yield Table(
        caption="Word by word: each line joins the pair whose rule was learned first",
        columns=("pieces", "joined", f"rule, of {len(merges.ranks):,}"),
        rows=tuple(rows),
    )
    left = sum(1 for word in done if done[word] and word not in chosen)
    cut_off = sum(max(0, len(done[word]) - room) for word in chosen)
    if left or cut_off:
        what = [f"{left} shorter words"] if left else []
        what += [f"the last {cut_off} joins"] if cut_off else []
        yield Text(text=f"Left out: {' and '.join(what)}; `steps=…` shows more.", tone="dim")


EXHIBIT = Kind("How the prompt is cut: byte-pair encoding, join by join", Settings, show)
