"""Search, then read: the answer's log-probability behind the note that each way of searching puts first."""

from __future__ import annotations

from statistics import fmean

from pydantic import Field

from ...experiment.trials import Interval, interval
from ...experiment.village import NAME
from ...pictures import Bars, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..packed import packed
from ..retrieval import collection
from ..retrieval.collection import WAYS
from . import Found, Kind
from ._village import nats, some, with_passage
from .retrieval import KINDS, SAID

NONE, HALF = "none", -0.6931471805599453  # ln ½
ROWS = {NONE: "no note"} | {way: SAID[way] for way in ("chance", "bm25", "dense", "hybrid")}


class Settings(Spec):
    """How much is asked, and how much is put in front."""

    count: int = Field(default=36, ge=2, le=36)
    """How many questions."""
    notes: int = Field(default=1, ge=1, le=10)
    """How many notes are put in front of each."""


def show(living: Living, settings: Settings) -> Found:
    """The answer's log-probability without a note, and behind what each way of searching finds."""
    questions = some(settings.count)
    found: dict[str, list[float]] = {row: [] for row in ROWS}
    with living.alone("compare"), packed(living.hf):
        searched = collection(living, NAME)
        for question in questions:
            for row in ROWS:
                hits = searched.search(question.text, settings.notes, row) if row in WAYS else []
                text = " ".join(hit.passage.text for hit in hits)
                prompt = with_passage(text, question) if text else question.prompt
                found[row] += nats(living, prompt, question.target)
    spots: dict[tuple[str, str], Interval] = {}
    numbers: dict[str, float] = {}
    for row, values in found.items():
        for kind in KINDS:
            some_of = [v for v, q in zip(values, questions, strict=True) if q.kind == kind]
            spots[row, kind] = interval(some_of)
            numbers[f"{row}_{kind}"] = spots[row, kind].mean
            numbers[f"{row}_{kind}_given"] = fmean([v > HALF for v in some_of] or [0.0])
    said = {row: " and ".join(number(numbers[f"{row}_{kind}"], 1) for kind in KINDS) for row in ROWS}
    sentence = (
        f"In nats, on exact strings and on paraphrases: without a note the answer has {said['none']}; with what words "
        f"find {said['bm25']}, with what meaning finds {said['dense']}, with a note by chance {said['chance']}."
    )
    picture = Bars(
        title="The answer behind what was found",
        summary=sentence,
        labels=tuple(ROWS.values()),
        unit="log-probability of the answer, nats",
        series=tuple(
            Series(
                name=name,
                values=tuple(spots[row, kind].mean for row in ROWS),
                low=tuple(spots[row, kind].low for row in ROWS),
                high=tuple(spots[row, kind].high for row in ROWS),
            )
            for kind, name in zip(KINDS, ("exact strings", "paraphrases"), strict=True)
        ),
    )
    table = Table(
        caption="Share of questions whose whole answer has more than half of the probability",
        columns=("note found by", "exact strings", "paraphrases"),
        rows=tuple(
            (name, *(f"{number(100 * numbers[f'{row}_{kind}_given'], 0)} %" for kind in KINDS))
            for row, name in ROWS.items()
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="answering"), table), numbers)


EXHIBIT = Kind("Search, then read", Settings, show)
