"""A wrong passage is believed: the right note with another name in the answer's place."""

from __future__ import annotations

import math
import re

from pydantic import Field

from ...experiment.trials import interval
from ...experiment.village import QUESTIONS, Question
from ...pictures import Bars, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..packed import packed
from . import Found, Kind
from ._village import nats, notes, right, some, with_passage

CONDITIONS = {
    "none": "no passage",
    "right": "the right note",
    "planted": "the planted note",
    "right_planted": "right, then planted",
    "planted_right": "planted, then right",
}


class Settings(Spec):
    """How much is read."""

    count: int = Field(default=18, ge=2, le=36)
    """How many questions."""


def show(living: Living, settings: Settings) -> Found:
    """How likely the true and the planted answer are behind the right note, the planted one, and both."""
    questions, passages = some(settings.count), notes()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CONDITIONS}
    shown: list[tuple[str, ...]] = []
    with living.alone("compare"), packed(living.hf):
        for question in questions:
            true = passages[right(question, passages)].text
            other = planted(question)
            false = re.sub(rf"\b{question.answer}\b", other, true)
            prompts = {
                "none": question.prompt,
                "right": with_passage(true, question),
                "planted": with_passage(false, question),
                "right_planted": with_passage(f"{true} {false}", question),
                "planted_right": with_passage(f"{false} {true}", question),
            }
            for name, prompt in prompts.items():
                truth, lie = (math.exp(nats(living, prompt, f" {a}")[0]) for a in (question.answer, other))
                found[name].append((truth, lie))
            shown.append((question.text, false, _percent(found["planted"][-1][1]), _percent(found["planted"][-1][0])))
    spots = {name: [interval([pair[i] for pair in found[name]]) for i in (0, 1)] for name in CONDITIONS}
    numbers = {
        f"{name}_{what}": spots[name][i].mean for name in CONDITIONS for i, what in enumerate(("true", "planted"))
    }
    sentence = (
        f"Behind a note with another name in it, that name has {_percent(numbers['planted_planted'])} probability on "
        f"average and the true one {_percent(numbers['planted_true'])}; behind the right note the true one has "
        f"{_percent(numbers['right_true'])}."
    )
    picture = Bars(
        title="What is believed",
        summary=sentence,
        labels=tuple(CONDITIONS.values()),
        unit="% probability of the whole answer",
        series=tuple(
            Series(
                name=name,
                values=tuple(100 * spots[c][i].mean for c in CONDITIONS),
                low=tuple(100 * spots[c][i].low for c in CONDITIONS),
                high=tuple(100 * spots[c][i].high for c in CONDITIONS),
            )
            for i, name in enumerate(("true answer", "planted answer"))
        ),
    )
    table = Table(
        caption="Planted notes, and what was made of them",
        columns=("question", "planted note", "planted name", "true name"),
        rows=tuple(shown[:: max(1, len(shown) // 4)][:4]),
    )
    return Found(sentence, (Figure(picture=picture, name="believing"), table), numbers)


def planted(question: Question) -> str:
    """Another question's answer, of the same kind."""
    kin = [q for q in QUESTIONS if q.kind == question.kind]
    return kin[(kin.index(question) + 1) % len(kin)].answer


def _percent(value: float) -> str:
    return "<1 %" if value < 0.01 else f"{number(100 * value, 0)} %"


EXHIBIT = Kind("A wrong passage is believed", Settings, show)
