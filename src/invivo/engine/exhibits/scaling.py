"""Toy models of rising size on the same text: their loss, the law through it, and how sharp they become.

Kaplan et al. 2020 found that loss falls with size along a straight line in logarithms, and Hoffmann et al. 2022 wrote
it as L = E + A N^-α, E being what no size goes below. Here the text is made up, so its entropy is known and E can be
checked. The rate is the best of a few at each size. Trained beforehand; what differs from that is trained on the spot.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, Literal

from pydantic import Field

from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..power_law import DISTINCT, Law, law, straight
from ..stored import Figures, marked
from . import Found, Kind
from ._sizes import (
    LENGTH,
    STEPS_MOST,
    VOCABULARY,
    Trained,
    best,
    check_rates,
    check_widths,
    known,
    language,
    plain,
    train,
    trained,
)

WIDTHS = (4, 6, 8, 10, 12, 16, 20, 24)
STARVED = 32  # stored, too: for this size the text is too short, and its loss leaves the line
RATES = (0.01, 0.03, 0.1)
TOO_HIGH = 0.2  # stored, too: what a rate that small models bear does to larger ones
ROWS = 32  # of a batch
NOTHING = 0.02  # nats: what passes for no change
BENT = 0.8  # R² in logarithms below which no law is fitted


class Settings(Spec):
    """Which models, on how much of which text."""

    widths: tuple[int, ...] = WIDTHS
    """Widths of the models, even and rising; three or more."""
    rates: tuple[float, ...] = RATES
    """Highest learning rates that each is trained with; the best counts."""
    steps: int = Field(default=250, ge=10, le=STEPS_MOST)
    """Batches that each reads, of 32 rows of 32 words."""
    text: Literal["ordered", "shuffled"] = "ordered"
    """The language as it is, or its words in no order."""
    about: Literal["loss", "entropy"] = "loss"
    """What is shown: the loss and its law, or how open the predictions are."""
    seed: int = Field(default=0, ge=0)
    """Which language, text and starting weights."""
    again: bool = False
    """Whether to train now what is stored."""


def show(living: Living, settings: Settings) -> Found:
    """Loss or sharpness of toy models by their size, with the straight line and the law through them."""
    check_widths(settings.widths, least=3)
    check_rates(settings.rates)
    stored = _before(settings)
    runs = stored or _trained(settings)
    if settings.about == "entropy":
        found = _sharpness(settings, best(runs), bool(stored))
    else:
        found = _loss(settings, runs, bool(stored))
    told = FIGURES.told() if stored else f"{len(runs)} trainings, on the spot."
    return Found(found.sentence, (*found.blocks, Text(text=told, tone="dim")), found.numbers)


def _stored() -> list[dict[str, Any]]:
    """Everything that is stored, trained now: about two minutes on one core."""
    return plain(_trained(STORED))


def _trained(s: Settings) -> tuple[Trained, ...]:
    make = train if s.again else trained
    ordered = s.text == "ordered"
    return tuple(make(w, r, s.steps, ROWS, ordered=ordered, seed=s.seed) for w, r in product(s.widths, s.rates))


def _before(s: Settings) -> tuple[Trained, ...]:
    """The runs asked for, as they are stored; nothing where one is missing or all are to be trained now."""
    kept = FIGURES.read()
    before = {(run.width, run.rate): run for run in known(kept)}
    wanted = list(product(s.widths, s.rates))
    same = all(kept.settings[name] == getattr(s, name) for name in ("steps", "text", "seed"))
    return tuple(before[one] for one in wanted) if same and not s.again and before.keys() >= set(wanted) else ()


def _loss(s: Settings, runs: tuple[Trained, ...], stored: bool) -> Found:
    top, source = best(runs), language(ordered=s.text == "ordered", seed=s.seed)
    sizes, losses = [float(run.weights) for run in top], [run.loss for run in top]
    logs = [math.log(n) for n in sizes]
    slope, height, r2 = straight(logs, [math.log(x) for x in losses])
    gap_slope, _, gap_r2 = straight(logs, [math.log(max(x - source.entropy, 1e-9)) for x in losses])
    numbers = {
        "sizes": float(len(top)),
        "slope": slope,
        "straight": r2,
        "gap_slope": gap_slope,
        "gap_straight": gap_r2,
        "source_entropy": source.entropy,
        "unordered_entropy": source.unordered,
    }
    for i, run in enumerate(top):
        numbers |= {f"weights_{i}": float(run.weights), f"loss_{i}": run.loss, f"rate_{i}": run.rate}
    series = [
        Series(name="measured", role="tweak", values=tuple(losses)),
        Series(name="straight in logarithms", role="other", values=tuple(math.exp(height + slope * x) for x in logs)),
    ]
    fitted = law(sizes, losses, s.seed) if len(top) >= DISTINCT and r2 >= BENT else None
    if fitted is not None:
        numbers |= _of(fitted)
        series.append(Series(name="E + A N^−α", role="base", values=tuple(fitted.at(sizes))))
    series.append(Series(name="entropy of the language", role="other", values=(source.entropy,) * len(top)))
    sentence = f"From {_count(sizes[0])} to {_count(sizes[-1])} weights the loss "
    if abs(losses[0] - losses[-1]) < NOTHING:
        sentence += f"stays at {number(losses[-1])} nats a word: size buys nothing."
    else:
        sentence += (
            f"goes from {number(losses[0])} to {number(losses[-1])} nats a word; a straight line in logarithms has R² "
            f"{number(r2, 3)}."
        )
    sentence = marked(sentence) if stored else sentence
    picture = Lines(
        title="Loss by size, on the same text" + ("" if s.text == "ordered" else ", its words shuffled"),
        summary=sentence,
        x=tuple(round(math.log10(n), 2) for n in sizes),
        x_name="weights, as a power of ten",
        y_name="nats a word",
        series=tuple(series),
    )
    blocks: list[Block] = [Figure(picture=picture, name="scaling"), _table(s, runs, source.entropy)]
    if fitted is not None:
        above = f" What is above that entropy falls as N^{number(gap_slope)}, with R² {number(gap_r2, 3)}."
        blocks.append(Text(text=_lawful(fitted, source.entropy) + above))
    elif len(top) >= DISTINCT:
        blocks.append(Text(text=f"R² is below {BENT:g}: these points follow no power law, so none is fitted."))
    return Found(sentence, tuple(blocks), numbers)


def _of(found: Law) -> dict[str, float]:
    return {
        "floor": found.floor,
        "floor_low": found.floors[0],
        "floor_high": found.floors[1],
        "factor": found.factor,
        "exponent": found.exponent,
        "exponent_low": found.exponents[0],
        "exponent_high": found.exponents[1],
    }


def _lawful(found: Law, entropy: float) -> str:
    (low, high), (least, most) = found.floors, found.exponents
    where = "inside" if low <= entropy <= high else "outside"
    return (
        f"Law: L = {number(found.floor)} + {number(found.factor, 0)} · N^−{number(found.exponent)}. With the points "
        f"drawn anew, 95 % of fits have α from {number(least)} to {number(most)}, and E from {number(low)} to "
        f"{number(high)} nats: the language's own entropy, {number(entropy)}, is {where} that band. "
        f"Twice the weights take away {number(100 * (1 - 2**-found.exponent), 0)} % of what is above E."
    )


def _sharpness(s: Settings, top: list[Trained], stored: bool) -> Found:
    source = language(ordered=s.text == "ordered", seed=s.seed)
    logs, opened = [math.log(run.weights) for run in top], [run.entropy for run in top]
    slope, height, r2 = straight(logs, opened)
    numbers = {"sizes": float(len(top)), "slope": slope, "straight": r2, "source_entropy": source.entropy}
    for i, run in enumerate(top):
        numbers |= {f"weights_{i}": float(run.weights), f"entropy_{i}": run.entropy, f"loss_{i}": run.loss}
    way = "falls" if slope < 0 else "rises"
    sentence = (
        f"The mean entropy of a prediction {way} from {number(opened[0])} to {number(opened[-1])} nats, by "
        f"{number(abs(slope))} nats each time the size grows e-fold (2.7 times): as if the next word were drawn from "
        f"{number(math.exp(opened[0]), 0)} equally likely ones, then from {number(math.exp(opened[-1]), 0)}."
    )
    sentence = marked(sentence) if stored else sentence
    picture = Lines(
        title="How open a prediction is, by size",
        summary=sentence,
        x=tuple(round(math.log10(run.weights), 2) for run in top),
        x_name="weights, as a power of ten",
        y_name="nats",
        series=(
            Series(name="entropy of the predictions", role="tweak", values=tuple(opened)),
            Series(name="a straight line", role="other", values=tuple(height + slope * x for x in logs)),
            Series(name="loss", role="base", values=tuple(run.loss for run in top)),
            Series(name="entropy of the language", role="other", values=(source.entropy,) * len(top)),
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="sharpness"),), numbers)


def _table(s: Settings, runs: tuple[Trained, ...], entropy: float) -> Table:
    """A row a size: the loss at each rate, and what the best of them has above the language's entropy."""
    by = {(run.width, run.rate): run for run in runs}
    chosen = {run.width: run for run in best(runs)}
    words = s.steps * ROWS * LENGTH
    return Table(
        caption=(
            f"{_count(words)} words of a language of {VOCABULARY}, whose entropy is {number(entropy)} nats a word. "
            "Losses in nats."
        ),
        columns=("width", "weights", *(f"loss at rate {rate:g}" for rate in s.rates), "best, above the entropy"),
        rows=tuple(
            (
                str(width),
                _count(run.weights),
                *(number(by[width, rate].loss, 3) for rate in s.rates),
                number(run.loss - entropy, 3),
            )
            for width, run in chosen.items()
        ),
    )


def _count(n: float) -> str:
    return f"{n:,.0f}"


STORED = Settings(widths=(*WIDTHS, STARVED), rates=(*RATES, TOO_HIGH), again=True)
FIGURES = Figures("scaling", STORED.model_dump(mode="json", exclude={"again", "about"}), _stored)
EXHIBIT = Kind("Loss and sharpness by size", Settings, show)
