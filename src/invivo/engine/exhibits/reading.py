"""Is an answer read from its passage? Beside random passages, and beside random heads."""

from __future__ import annotations

import random
from statistics import fmean

from pydantic import Field

from ...experiment.trials import interval
from ...pictures import Bars, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..packed import packed
from . import Found, Kind
from ._village import copying_heads, nats, notes, other_heads, right, some, with_passage, zeroed

CONDITIONS = {
    "none": "no passage",
    "right": "right passage",
    "random": "random passage",
    "copying": "copying heads zeroed",
    "others": "other heads zeroed",
}


class Settings(Spec):
    """How much is read, and how many heads are zeroed."""

    count: int = Field(default=18, ge=2, le=36)
    """How many questions."""
    heads: int = Field(default=7, ge=1, le=32)
    """How many copying heads are zeroed, and how many random ones."""
    draws: int = Field(default=5, ge=1, le=50)
    """How many random passages for each question, and how many sets of random heads."""


def show(living: Living, settings: Settings) -> Found:
    """The answer's log-probability: no passage, the right one, random ones; without copying and without other heads."""
    questions, passages, dice = some(settings.count), notes(), random.Random(0)
    found: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    with living.alone("compare"), packed(living.hf):
        ranked = [head for head, _ in copying_heads(living)]
        count = min(settings.heads, len(ranked) // 2)
        stacks = [zeroed(ranked[:count]), *map(zeroed, other_heads(ranked, count, settings.draws))]
        sets = [0.0] * settings.draws
        for question in questions:
            true = right(question, passages)
            wrong = dice.sample([p.text for n, p in enumerate(passages) if n != true], settings.draws)
            found["none"] += nats(living, question.prompt, question.target)
            found["random"].append(
                fmean(nats(living, with_passage(text, question), question.target)[0] for text in wrong)
            )
            whole, without, *others = nats(living, with_passage(passages[true].text, question), question.target, stacks)
            found["right"].append(whole)
            found["copying"].append(without)
            found["others"].append(fmean(others))
            sets = [s + o / len(questions) for s, o in zip(sets, others, strict=True)]
    spots = {name: interval(values) for name, values in found.items()}
    numbers = {name: spot.mean for name, spot in spots.items()}
    pairs = list(zip(found["right"], found["none"], found["random"], strict=True))
    numbers |= {
        "heads": float(count),
        "right_wins": fmean(r > max(n, w) for r, n, w in pairs),
        "worst_others": min(sets),
    }
    sentence = (
        f"The right passage takes the answer from {number(numbers['none'], 1)} to {number(numbers['right'], 1)} nats, "
        f"a random one to {number(numbers['random'], 1)}. Without {count} copying heads it falls to "
        f"{number(numbers['copying'], 1)}, without as many random ones to {number(numbers['others'], 1)} (the worst of "
        f"{settings.draws} sets: {number(numbers['worst_others'], 1)})."
    )
    picture = Bars(
        title="The answer, and what it hangs on",
        summary=sentence,
        labels=tuple(CONDITIONS.values()),
        unit="log-probability of the answer, nats",
        series=(
            Series(
                name="mean over questions",
                values=tuple(s.mean for s in spots.values()),
                low=tuple(s.low for s in spots.values()),
                high=tuple(s.high for s in spots.values()),
            ),
        ),
    )
    table = Table(
        caption=f"Means over {len(questions)} questions, with the interval over questions",
        columns=("", "log-probability, nats", "95 % interval"),
        rows=tuple(
            (CONDITIONS[n], number(s.mean, 2), f"{number(s.low, 2)} to {number(s.high, 2)}") for n, s in spots.items()
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="reading"), table), numbers)


EXHIBIT = Kind("Is the answer read from the passage?", Settings, show)
