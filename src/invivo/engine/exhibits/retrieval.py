"""Which way of searching finds the right note: by words (BM25), by meaning (vectors), by both, by chance."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from pydantic import Field
from torch import Tensor

from ...experiment.village import NAME, QUESTIONS
from ...pictures import Bars, Lines, Series
from ...show.blocks import Block, Figure, Table
from ...show.text import number, shorten
from ...spec import Spec
from ..living import Living
from ..packed import packed
from ..retrieval import collection
from ..retrieval.collection import WAYS
from ..retrieval.dense import pooled, unit
from . import Found, Kind
from ._village import notes, right

SAID = {"bm25": "words (BM25)", "dense": "meaning (dense)", "hybrid": "both (hybrid)", "chance": "chance"}
KINDS = ("exact", "paraphrase")
ROOM = 34  # cells of a note in the table of examples
DRAWS = 20  # of `chance`


class Settings(Spec):
    """What makes vectors, and how many notes may be looked at."""

    among: int = Field(default=3, ge=1, le=20)
    """A note counts as found when it is among so many; being the first is counted, too."""
    layer: int | None = Field(default=None, ge=0)
    """The layer after which the model's vectors are read; half-way up when left out."""
    embedder: str = ""
    """A sentence-embedding model (name on the hub, or folder) in place of the loaded one."""


def show(living: Living, settings: Settings) -> Found:
    """How often each way of searching puts the right note first, on exact strings and on paraphrases."""
    with living.alone("compare"), packed(living.hf):
        searched = collection(living, NAME, settings.embedder or None, settings.layer)
        truth = [right(q, searched.passages) for q in QUESTIONS]
        depth = len(searched.passages)
        found = {
            way: [
                [[hit.number for hit in searched.search(q.text, depth, way, seed)] for q in QUESTIONS]
                for seed in range(DRAWS if way == "chance" else 1)
            ]
            for way in WAYS
        }
        curves = {} if settings.embedder else _by_layer(living, truth)
    numbers: dict[str, float] = {}
    for way in WAYS:
        for kind in KINDS:
            for name, most in (("", 1), ("_among", settings.among)):
                numbers[f"{way}_{kind}{name}"] = fmean(
                    t in ranking[:most]
                    for rankings in found[way]
                    for q, t, ranking in zip(QUESTIONS, truth, rankings, strict=True)
                    if q.kind == kind
                )
    numbers |= {f"{kind}_after_{layer}": v for kind, curve in curves.items() for layer, v in enumerate(curve)}
    sentence = (
        f"On exact strings, words find the right note first for {_share(numbers['bm25_exact'])}, meaning for "
        f"{_share(numbers['dense_exact'])}; on paraphrases, words for {_share(numbers['bm25_paraphrase'])}, meaning "
        f"for {_share(numbers['dense_paraphrase'])}; both together for {_share(numbers['hybrid_exact'])} and "
        f"{_share(numbers['hybrid_paraphrase'])}."
    )
    blocks: list[Block] = [_bars(sentence, numbers), _table(numbers, settings.among)]
    blocks.append(_examples({way: rankings[0] for way, rankings in found.items()}, truth))
    if curves:
        blocks.append(_curves(curves, searched.dense.embed.name))
    return Found(sentence, tuple(blocks), numbers)


def _by_layer(living: Living, truth: Sequence[int]) -> dict[str, list[float]]:
    """For each kind of question, the share whose note comes first, by the layer after which vectors are read."""
    layers = range(living.anatomy.layers)
    texts = pooled(living, [p.text for p in notes()], layers)  # (L, N, D)
    asked = pooled(living, [q.text for q in QUESTIONS], layers)  # (L, Q, D)
    mean = texts.mean(1, keepdim=True)
    first: Tensor = (unit(asked - mean) @ unit(texts - mean).transpose(1, 2)).argmax(-1)  # (L, Q)
    hit = first == torch.tensor(truth)
    return {kind: hit[:, torch.tensor([q.kind == kind for q in QUESTIONS])].float().mean(-1).tolist() for kind in KINDS}


def _share(value: float) -> str:
    return f"{number(100 * value, 0)} %"


def _bars(sentence: str, numbers: dict[str, float]) -> Figure:
    return Figure(
        picture=Bars(
            title=f"The right note comes first, of {len(notes())}",
            summary=sentence,
            labels=tuple(SAID[way] for way in WAYS),
            unit="% of questions",
            series=tuple(
                Series(name=name, values=tuple(100 * numbers[f"{way}_{kind}"] for way in WAYS))
                for kind, name in zip(KINDS, ("exact strings", "paraphrases"), strict=True)
            ),
        ),
        name="found-first",
    )


def _table(numbers: dict[str, float], among: int) -> Table:
    return Table(
        caption="Share of questions whose note was found",
        columns=(
            "search by",
            "exact: first",
            f"among {among}",
            "paraphrase: first",
            f"among {among} ",
        ),
        rows=tuple(
            (SAID[way], *(_share(numbers[f"{way}_{kind}{end}"]) for kind in KINDS for end in ("", "_among")))
            for way in WAYS
        ),
    )


def _examples(found: dict[str, list[list[int]]], truth: Sequence[int]) -> Table:
    """One question for each pattern of right and wrong, and how many are like it."""
    passages = notes()

    def right_by(question: int, way: str) -> bool:
        return found[way][question][:1] == [truth[question]]

    def cell(question: int, way: str) -> str:
        ranking = found[way][question]
        if not ranking:
            return "✗ nothing"
        return f"{'✓' if right_by(question, way) else '✗'} {shorten(passages[ranking[0]].text, ROOM)}"

    alike: dict[tuple[object, ...], list[int]] = {}
    for n, question in enumerate(QUESTIONS):
        alike.setdefault((question.kind, right_by(n, "bm25"), right_by(n, "dense")), []).append(n)
    return Table(
        caption="What came first: one question of each pattern, and how many there are",
        columns=("question", "words (BM25)", "meaning (dense)", "like it"),
        rows=tuple(
            (QUESTIONS[some[0]].text, cell(some[0], "bm25"), cell(some[0], "dense"), str(len(some)))
            for some in alike.values()
        ),
    )


def _curves(curves: dict[str, list[float]], used: str) -> Figure:
    exact, free = curves["exact"], curves["paraphrase"]
    return Figure(
        picture=Lines(
            title="Vectors read after each layer",
            summary=(
                f"After layer 0 vectors find {_share(exact[0])} of exact strings, after the last layer "
                f"{_share(exact[-1])}; of paraphrases, {_share(free[0])} and {_share(free[-1])}, and at best "
                f"{_share(max(free))}. The search above used {used}."
            ),
            x=tuple(float(n) for n in range(len(curves["exact"]))),
            x_name="layer",
            y_name="right note first, % of questions",
            series=(
                Series(name="exact strings", values=tuple(100 * v for v in curves["exact"])),
                Series(name="paraphrases", values=tuple(100 * v for v in curves["paraphrase"])),
            ),
        ),
        name="found-by-layer",
    )


EXHIBIT = Kind("Which search finds the right note", Settings, show, outside=("embedder",))
