"""Reading an answer from a passage, without the heads that copy: how soon it is lost.

Copying heads are found on repeated random tokens, which have nothing to do with passages: those that look at what came
after the same token before (induction heads, Olsson et al. 2022). Then they are zeroed, best first.
"""

from __future__ import annotations

from statistics import fmean

import torch
from pydantic import Field

from ...experiment.trials import interval
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ..forward import watched
from ..living import Living
from ..packed import packed
from . import Found, Kind
from ._village import copying_heads, nats, notes, right, some, with_passage, zeroed

LISTED = 8


class Settings(Spec):
    """How much is read."""

    count: int = Field(default=16, ge=2, le=36)
    """How many questions."""
    most: int = Field(default=7, ge=1, le=32)
    """How many heads are zeroed at most, best copiers first."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The answer's log-probability behind its passage, with 0, 1, 2 … copying heads zeroed, and where they look."""
    questions, passages = some(settings.count), notes()
    prompts = [with_passage(passages[right(q, passages)].text, q) for q in questions]
    with living.alone("compare"), packed(living.hf):
        ranked = copying_heads(living)
        heads = [head for head, _ in ranked][: settings.most]
        stacks = [zeroed(heads[: n + 1]) for n in range(len(heads))]
        found = [nats(living, p, q.target, stacks) for p, q in zip(prompts, questions, strict=True)]
        without = [nats(living, q.prompt, q.target)[0] for q in questions]
        looks = _looks(living, prompts, [q.target for q in questions])
    curve = [interval([row[n] for row in found]) for n in range(len(heads) + 1)]
    guess = fmean(without)
    numbers = {f"nats_{n}": spot.mean for n, spot in enumerate(curve)}
    numbers |= {"heads": float(len(heads)), "without_passage": guess}
    numbers |= {"copier_looks": fmean(looks[h] for h in heads)}
    numbers["others_look"] = fmean([v for h, v in looks.items() if h not in heads] or [0.0])
    sentence = (
        f"Behind its passage the answer has {number(curve[0].mean, 1)} nats; with {len(heads)} copying heads zeroed "
        f"{number(curve[-1].mean, 1)}; without any passage {number(guess, 1)}."
    )
    picture = Lines(
        title="The answer, as copying heads are zeroed",
        summary=sentence,
        x=tuple(float(n) for n in range(len(curve))),
        x_name="copying heads zeroed, best first",
        y_name="log-probability of the answer, nats",
        series=(
            Series(
                name="with its passage",
                role="tweak",
                values=tuple(s.mean for s in curve),
                low=tuple(s.low for s in curve),
                high=tuple(s.high for s in curve),
            ),
            Series(name="without a passage", role="base", values=tuple(guess for _ in curve)),
        ),
    )
    table = Table(
        caption="Where the heads look",
        columns=("head", "induction, % (random tokens)", "on the answer in the passage, %"),
        rows=tuple((h, number(100 * s, 0), number(100 * looks[h], 0)) for h, s in ranked[:LISTED]),
    )
    said = Text(
        text=(
            f"While the answer is read off, these {len(heads)} heads give {number(100 * numbers['copier_looks'], 0)} % "
            "of their attention to the very token that comes next, where it stands in the passage; all other heads, "
            f"{number(100 * numbers['others_look'], 0)} %."
        )
    )
    return Found(sentence, (Figure(picture=picture, name="copying"), said, table), numbers)


def _looks(living: Living, prompts: list[str], answers: list[str]) -> dict[str, float]:
    """For each head the mean attention, while an answer is given token by token, on that token in the passage."""
    places = [(layer, "pattern") for layer in range(living.anatomy.layers)]
    sums: dict[str, list[float]] = {}
    for prompt, answer in zip(prompts, answers, strict=True):
        before, after = living.encode(prompt), living.encode(answer, "answer", special=False)
        start = next((i for i in range(len(before)) if before[i : i + len(after)] == after), None)
        if start is None:  # cut into other tokens there
            continue
        with watched(living.anatomy, capture=places) as run:
            living.hf(input_ids=torch.tensor([before + after[:-1]], device=living.device), use_cache=False)
        queries = torch.arange(len(after)) + len(before) - 1
        keys = torch.arange(len(after)) + start
        seen = run.tensors()
        for layer, _ in places:
            mean = seen[(layer, "pattern")][0][:, queries, keys].float().mean(-1)
            for head, value in enumerate(mean.tolist()):
                sums.setdefault(f"{layer}.{head}", []).append(value)
    heads = living.anatomy.blocks[0].sizes["H"]
    names = [f"{layer}.{head}" for layer, _ in places for head in range(heads)]
    return {name: fmean(sums.get(name, [0.0])) for name in names}


EXHIBIT = Kind("Copying heads, zeroed one after the other", Settings, show)
