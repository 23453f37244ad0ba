"""From scores to odds: the softmax of the real logits after a prompt, step by step, and the entropy of what comes out.

All is computed in float64 from the model's own logits, so that what must be equal is equal to the last digits.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from ...pictures import Bars, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number, quoted, visible
from ...spec import Number, Spec
from ..living import Living
from . import Found, Kind


class Settings(Spec):
    """After which prompt, and what is tried on the logits."""

    prompt: str = "In the garden stood a"
    """What is read; the logits are those after its last token."""
    add: Number = 10.0
    """A constant that is added to every logit, to see what it does."""
    temperatures: tuple[Number, ...] = (0.5, 1.0, 2.0)
    """What the logits are divided by, one picture for each."""
    top: int = Field(default=8, ge=2, le=20)
    """How many of the likeliest tokens are shown."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Logits, their exponentials, the probabilities and what each adds to the entropy; a constant; temperatures."""
    ids = torch.tensor([living.encode(settings.prompt)], device=living.device)
    with living.alone("capture"):
        logits = living.hf(input_ids=ids, use_cache=False).logits[0, -1].double().cpu()  # (V,)
    logits = logits[: living.anatomy.inputs]
    best = logits.topk(settings.top).indices.tolist()
    names = [living.piece(token).text for token in best]
    above = logits - logits.max()
    parts, total = above.exp(), float(above.exp().sum())
    chances = parts / total
    surprise = entropy(chances)
    shifted = (logits + settings.add).softmax(-1)
    apart = float((shifted - chances).abs().max())
    numbers = {
        "vocabulary": float(len(logits)),
        "logit_top": float(logits[best[0]]),
        "sum_of_exponentials": total,
        "probability_top": float(chances[best[0]]),
        "probability_sum": float(chances.sum()),
        "lead": float(logits[best[0]] - logits[best[1]]),
        "odds": float(chances[best[0]] / chances[best[1]]),
        "entropy": surprise,
        "as_open_as": math.exp(surprise),
        "added_moves": apart,
    }
    spread = {t: (logits / t).softmax(-1) for t in settings.temperatures if t > 0}
    for t, hot in spread.items():
        numbers |= {f"entropy_at_{t:g}": entropy(hot), f"probability_top_at_{t:g}": float(hot[best[0]])}
    sentence = (
        f"After the prompt, {quoted(names[0])} has {_percent(chances[best[0]])}, and the entropy is "
        f"{number(surprise)} nats: as open as a fair draw among {_count(surprise)} tokens (all "
        f"{len(logits):,} of them alike would be {number(math.log(len(logits)))} nats)."
    )
    blocks: list[Block] = [
        _table(names, best, logits, parts, chances, total),
        Text(
            text=f"{quoted(names[0])} is {number(numbers['lead'])} ahead of {quoted(names[1])}, which makes it "
            f"e^{number(numbers['lead'])} = {number(numbers['odds'])} times as likely: only differences count. So "
            f"{settings.add:g} more on every logit moves no probability by more than {_tiny(apart)}, which is rounding."
        ),
        _picture(names, best, spread),
        _heat(names[0], numbers, spread),
    ]
    return Found(sentence, tuple(blocks), numbers)


def entropy(chances: Tensor) -> float:
    """Of a distribution (V,), in nats; what cannot happen adds nothing."""
    return float(-torch.xlogy(chances, chances).sum())


def _percent(chance: Tensor | float) -> str:
    value = 100 * float(chance)
    return f"{number(value, 1)} %" if value >= 0.05 or value == 0 else "<0.1 %"


def _count(nats: float) -> str:
    """As many equally likely tokens have this entropy."""
    return number(math.exp(nats), 0 if math.exp(nats) >= 10 else 1)


def _tiny(value: float) -> str:
    return "0" if value == 0 else f"10^{math.ceil(math.log10(value))}".replace("-", "−")


def _table(names: list[str], best: list[int], logits: Tensor, parts: Tensor, chances: Tensor, total: float) -> Table:
    """Column by column what the softmax does; the last row is about all other tokens together."""
    added = -torch.xlogy(chances, chances)

    def line(name: str, logit: str, above: str, part: float, chance: float, share: float) -> tuple[str, ...]:
        return name, logit, above, number(part, 3), _percent(chance), number(share, 3)

    rows = [
        line(
            visible(name),
            number(float(logits[i])),
            number(float(logits[i] - logits[best[0]])),
            float(parts[i]),
            float(chances[i]),
            float(added[i]),
        )
        for name, i in zip(names, best, strict=True)
    ]
    rest = torch.ones(len(logits), dtype=torch.bool)
    rest[best] = False
    others = (float(x[rest].sum()) for x in (parts, chances, added))
    rows.append(line(f"{int(rest.sum()):,} others", "", "", *others))
    rows.append(line("sum", "", "", total, float(chances.sum()), float(added.sum())))
    return Table(
        columns=("token", "logit", "− largest", "exp", "÷ sum: probability", "adds to entropy, nats"),
        rows=tuple(rows),
        caption="The largest logit is subtracted first, so that no exponential overflows; it changes no probability",
    )


def _picture(names: list[str], best: list[int], spread: dict[float, Tensor]) -> Figure:
    low, high = min(spread, default=1.0), max(spread, default=1.0)
    ends = [_percent(spread[t][best[0]]) for t in (low, high) if t in spread]
    return Figure(
        picture=Bars(
            title="The same logits, divided by a temperature before the softmax",
            summary=f"From temperature {low:g} to {high:g}, {quoted(names[0])} goes from {ends[0]} to {ends[-1]}: "
            "cold sharpens, heat flattens, and the order stays."
            if ends
            else "No temperature above 0 was given.",
            labels=tuple(map(visible, names)),
            unit="probability, %",
            series=tuple(
                Series(
                    name=f"T = {t:g}",
                    values=tuple(100 * float(hot[i]) for i in best),
                )
                for t, hot in spread.items()
            ),
        ),
        name="softmax-temperature",
    )


def _heat(name: str, numbers: dict[str, float], spread: dict[float, Tensor]) -> Table:
    rows = tuple(
        (
            f"{t:g}",
            _percent(numbers[f"probability_top_at_{t:g}"]),
            number(numbers[f"entropy_at_{t:g}"]),
            _count(numbers[f"entropy_at_{t:g}"]),
        )
        for t in spread
    )
    return Table(columns=("temperature", visible(name), "entropy, nats", "as open as … tokens"), rows=rows)


EXHIBIT = Kind("From logits to probabilities, step by step", Settings, show)
