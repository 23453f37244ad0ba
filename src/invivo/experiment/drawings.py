"""The pictures of a comparison, by name: what to draw, each with one sentence that has the real numbers in it.

`PICTURES[name](comparison, row)` draws TWEAK row `row`, or all rows where the picture is about them; a lab names its
pictures, and a new one is a new entry. Nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, median

from ..errors import unknown
from ..metrics import METRICS, Metric
from ..pictures import Bars, Lines, Picture, Series
from ..show.text import number, quoted, visible, with_unit
from .comparison import Comparison, TweakRun
from .wording import doing, percent, share_shift, shared, shift

Drawing = Callable[[Comparison, int], Picture]
MOST_BARS = 12
ALONG = "token of prompt and BASE's text, each with the prediction after it"
SMALL = 0.0005  # a probability that moved less than this is said to stay


def next_tokens(c: Comparison, row: int) -> Bars:
    """BASE's and TWEAK's probabilities of what might have come after the prompt."""
    tweak = c.tweaks[row]
    shown = tweak.next[:MOST_BARS]
    return Bars(
        title="What it was about to say after the prompt",
        summary=_next_summary(tweak),
        unit="probability, %",
        labels=tuple(visible(token.text) for token in shown),
        series=(
            Series(name="BASE", role="base", values=tuple(100 * token.base for token in shown)),
            Series(name=f"TWEAK {tweak.tweak}", role="tweak", values=tuple(100 * token.tweak for token in shown)),
        ),
    )


def _next_summary(tweak: TweakRun) -> str:
    moved = max(tweak.next, key=lambda token: round(abs(token.change), 6))
    before = max(tweak.next, key=lambda token: token.base)
    after = max(tweak.next, key=lambda token: token.tweak)
    if abs(moved.change) < SMALL:
        return (
            f"{doing(tweak.tweak)} leaves the next token as it was: {quoted(before.text)} is the likeliest, with "
            f"{percent(before.tweak)}."
        )
    verb = "raises" if moved.change > 0 else "lowers"
    text = f"{doing(tweak.tweak)} {verb} {quoted(moved.text)} {share_shift(moved.base, moved.tweak)}"
    if before.id == after.id:
        return f"{text}; {quoted(after.text)} stays the likeliest." if after.id != moved.id else f"{text}."
    return f"{text}; {quoted(after.text)}, with {percent(after.tweak)}, takes the lead from {quoted(before.text)}."


def _places(c: Comparison, count: int) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Positions of BASE's text and the tokens that stand there."""
    tokens = (*c.prompt_tokens, *c.base.tokens)[:count]
    return tuple(map(float, range(count))), tuple(map(visible, tokens))


def _where(c: Comparison, position: int) -> str:
    return f"{quoted((*c.prompt_tokens, *c.base.tokens)[position])} (position {position})"


def kl_by_position(c: Comparison, row: int) -> Lines:
    """How far the tweak moved each prediction, along BASE's text."""
    tweak = c.tweaks[row]
    kl = tweak.kl_nats
    x, labels = _places(c, len(kl))
    top, mean = max(range(len(kl)), key=kl.__getitem__), fmean(kl)
    if kl[top] < SMALL:
        summary = f"{doing(tweak.tweak)} moves no prediction along BASE's text: KL stays below {SMALL} nats."
    else:
        summary = (
            f"{doing(tweak.tweak)} moves the prediction after {_where(c, top)} most: KL {number(kl[top])} nats, "
            f"against {number(mean)} on average over {len(kl)} positions."
        )
    return Lines(
        title="How far the tweak moved each prediction",
        summary=summary,
        x=x,
        x_labels=labels,
        x_name=ALONG,
        y_name="KL(BASE ‖ TWEAK), nats",
        series=(Series(name=f"TWEAK {tweak.tweak}", role="tweak", values=kl),),
    )


def entropy_by_position(c: Comparison, row: int) -> Lines:
    """How undecided BASE and TWEAK are, along BASE's text."""
    tweak = c.tweaks[row]
    base, mine = c.base.entropy_nats, tweak.entropy_nats
    x, labels = _places(c, len(base))
    gaps = [after - before for before, after in zip(base, mine, strict=True)]
    widest = max(range(len(gaps)), key=lambda i: round(abs(gaps[i]), 6))
    if abs(gaps[widest]) < SMALL:
        top = max(range(len(base)), key=base.__getitem__)
        summary = (
            f"{doing(tweak.tweak)} leaves the model's entropy as it was at every position: "
            f"{number(fmean(base))} nats on average, most after {_where(c, top)}, {number(base[top])} nats."
        )
    else:
        verb = "raises" if fmean(mine) > fmean(base) else "lowers"
        summary = (
            f"{doing(tweak.tweak)} {verb} the model's entropy {shift(fmean(base), fmean(mine), 'nats')} on "
            f"average; the largest change, {number(gaps[widest], signed=True)} nats, is after "
            f"{_where(c, widest)}."
        )
    return Lines(
        title="How undecided the model is about the next token",
        summary=summary,
        x=x,
        x_labels=labels,
        x_name=ALONG,
        y_name="entropy, nats",
        series=(
            Series(name="BASE", role="base", values=base),
            Series(name=f"TWEAK {tweak.tweak}", role="tweak", values=mine),
        ),
    )


def dose(c: Comparison, row: int) -> Lines:
    """The effect against the dose: the TWEAK rows of the same kind as `row`, in their order, from BASE on."""
    kinds = [type(one) for one in c.tweaks[row].tweak]
    alike = [i for i, run in enumerate(c.tweaks) if [type(one) for one in run.tweak] == kinds]
    metric = _first_with_values(c, alike, ("read_perplexity", "target"))
    base, values = _value(c, metric, None) or 0.0, [_value(c, metric, i) for i in alike]  # BASE's KL from BASE is 0
    common, own = shared([str(c.tweaks[i].tweak) for i in alike])
    there = [(v, i) for v, i in zip(values, alike, strict=True) if v is not None]
    last, at = there[-1] if there else (base, row)
    moved = f"rises {shift(base, last, metric.unit)}" if last > base else f"falls {shift(base, last, metric.unit)}"
    steps = [base, *(v for v, _ in there)]
    if len(steps) > 2 and (steps == sorted(set(steps)) or steps == sorted(set(steps), reverse=True)):
        moved += ", further at every step"
    if last == base:
        moved = f"is {_said(last, metric)}, as in BASE"
    return Lines(
        title=f"Dose and effect: {metric.label}",
        summary=f"From BASE to “{c.tweaks[at].tweak}”, {metric.label} {moved}.",
        x=tuple(map(float, range(len(alike) + 1))),
        x_labels=("BASE", *own),
        x_name=common or "TWEAK",
        y_name=_axis(metric),
        series=(
            Series(name="BASE", role="base", values=(base,) * (len(alike) + 1)),
            Series(name="TWEAK", role="tweak", values=(None, *values)),
        ),
    )


def rows(c: Comparison, row: int) -> Bars:
    """One number for every TWEAK row, beside BASE's own where it has one."""
    every = list(range(len(c.tweaks)))
    metric = _first_with_values(
        c, every, ("recovered", "target", "kl_mean", "choice_entropy", "distinct_2"), varied=True
    )
    base, values = _value(c, metric, None), [_value(c, metric, i) for i in every]
    own = [str(run.tweak) for run in c.tweaks]
    there = {i: v for i, v in enumerate(values) if v is not None}
    far = max(there, key=lambda i: abs(there[i] - (base or 0.0)), default=row)
    which = f"Of {len(own)} TWEAK rows, “{own[far]}” is farthest from" if len(own) > 1 else f"“{own[far]}” beside"
    summary = f"{which} BASE in {metric.label}: {_said(values[far], metric)}"
    summary += "" if base is None else f" against BASE's {_said(base, metric)}"
    summary += f"; the median row has {_said(median(there.values()), metric)}" if len(there) > 2 else ""
    series = [Series(name="TWEAK", role="tweak", values=tuple(values) if base is None else (None, *values))]
    if base is not None:
        series.insert(0, Series(name="BASE", role="base", values=(base, *(None for _ in own))))
    return Bars(
        title=f"{metric.label[0].upper()}{metric.label[1:]}, row by row",
        summary=f"{summary}.",
        unit=_axis(metric),
        labels=tuple(own) if base is None else ("BASE", *own),
        series=tuple(series),
    )


def _value(c: Comparison, metric: Metric, row: int | None) -> float | None:
    """A metric's value as its unit counts it, shares in per cent; None where there is no finite one."""
    value = metric.of(c, row)
    if value is None or not math.isfinite(value):
        return None
    return 100 * value if metric.unit == "%" else value


def _said(value: float | None, metric: Metric) -> str:
    return with_unit(number(value, 1 if metric.unit == "%" else 2), metric.unit)


def _axis(metric: Metric) -> str:
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def _first_with_values(c: Comparison, rows: Sequence[int], names: Sequence[str], *, varied: bool = False) -> Metric:
    """The first of these metrics that every row has and, if asked for, in which some row differs from BASE; else KL."""
    for name in names:
        values, base = [_value(c, METRICS[name], i) for i in rows], _value(c, METRICS[name], None) or 0.0
        there = [v for v in values if v is not None]
        if len(there) == len(rows) and (not varied or any(abs(v - base) > SMALL for v in there)):
            return METRICS[name]
    return METRICS["kl_mean"]


PICTURES: dict[str, Drawing] = {
    "next_tokens": next_tokens,
    "kl_by_position": kl_by_position,
    "entropy_by_position": entropy_by_position,
    "dose": dose,
    "rows": rows,
}


def draw(name: str, comparison: Comparison, row: int = -1) -> Picture:
    """The picture of that name. Raises UnknownName with the nearest spelling."""
    if name not in PICTURES:
        raise unknown("picture", name, PICTURES, "invivo pictures")
    return PICTURES[name](comparison, row % len(comparison.tweaks))
