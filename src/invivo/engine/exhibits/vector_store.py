"""The notes' vectors in a vector store (Qdrant), beside the same search as one matrix product."""

from __future__ import annotations

from statistics import fmean

from ...experiment.village import NAME, QUESTIONS
from ...show.blocks import Table
from ...show.text import number, shorten
from ...spec import Spec
from ..living import Living
from ..packed import packed
from ..retrieval import collection
from ..retrieval.store import store
from . import Found, Kind

AMONG = 3
LISTED = (0, 7, 13, 18, 25, 29)
ROOM = 38


class Settings(Spec):
    """Where the store is."""

    url: str = ""
    """Address of a Qdrant server, as http://localhost:6333; in this process's memory when left out."""


def show(living: Living, settings: Settings) -> Found:
    """What the store finds for every question, beside exact search in the matrix of vectors."""
    with living.alone("compare"), packed(living.hf):
        searched = collection(living, NAME)
        asked = [searched.dense.vector(q.text) for q in QUESTIONS]
    vectors = searched.dense.vectors
    with store(settings.url) as opened:
        opened.fill(searched.passages, vectors)
        found = [opened.search(vector, AMONG) for vector in asked]
    scores = [vectors @ vector for vector in asked]
    plain = [s.topk(AMONG) for s in scores]
    apart = max(abs(score - float(scores[q][number])) for q, hits in enumerate(found) for number, score, _ in hits)
    numbers = {
        "points": float(len(vectors)),
        "width": float(vectors.shape[1]),
        "same_first": fmean(hits[0][0] == int(p.indices[0]) for hits, p in zip(found, plain, strict=True)),
        "scores_apart": apart,
    }
    where = f"at {settings.url}" if settings.url else "in memory"
    sentence = (
        f"A store {where} with {len(vectors)} notes gives the same first note as the matrix product for "
        f"{number(100 * numbers['same_first'], 0)} % of {len(QUESTIONS)} questions, with cosines at most {apart:.0e} "
        "apart."
    )
    rows = tuple(
        (
            shorten(QUESTIONS[q].text, ROOM),
            number(float(plain[q].values[0]), 3),
            number(found[q][0][1], 3),
            shorten(found[q][0][2], ROOM),
        )
        for q in LISTED
    )
    table = Table(
        caption="The nearest note",
        columns=("question", "cosine, matrix", "cosine, store", "found by the store"),
        rows=rows,
    )
    return Found(sentence, (table,), numbers)


EXHIBIT = Kind("The notes in a vector store", Settings, show, outside=("url",))
