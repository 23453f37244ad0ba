"""One number per TWEAK row, with its unit and a gloss in plain words.

A metric reads a finished comparison (`of(comparison, row)`; row None is BASE) and returns a float, or None where it
does not apply. Adding one is adding an entry here: it then exists in labs, tables, JSON and the reference docs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import unknown
from .spec import QUOTED

RATE = "rate "  # how a metric of any text's rate begins


@dataclass(frozen=True)
class Look:
    """What many rows were about to say where a metric looks, as tensors; R rows, P positions, V vocabulary.

    P is 1, the position after the prompt, or the answer's length, when the whole answer is asked for.
    """

    logits: Any  # (R, P, V)
    base: Any  # (P, V) log-probabilities of BASE
    source: Any  # (P, V) log-probabilities of the prompt that values are copied from; None without one
    target: tuple[int, ...]
    wrong: tuple[int, ...]

    def difference(self, scores: Any) -> Any:
        """Target's score minus the wrong answer's, of (..., P, V): the first tokens in which the two differ."""
        at = next(i for i, (a, b) in enumerate(zip(self.target, self.wrong, strict=False)) if a != b)
        return scores[..., at, self.target[at]] - scores[..., at, self.wrong[at]]


def _kl_next(look: Look) -> Any:
    rows = look.logits[:, 0].log_softmax(-1)
    base = look.base[0]
    terms = base.exp() * (base - rows)
    return terms.masked_fill(base.exp() == 0, 0.0).sum(-1).clamp(min=0)


def _entropy_next(look: Look) -> Any:
    rows = look.logits[:, 0].log_softmax(-1)
    return -(rows.exp() * rows.clamp(min=-1e4)).sum(-1)


def _target(look: Look) -> Any:
    rows = look.logits.log_softmax(-1)
    return sum(rows[:, i, token] for i, token in enumerate(look.target))


def _right(look: Look) -> Any:
    if look.wrong:
        return (look.difference(look.logits) > 0).double()
    return (look.logits[:, 0].argmax(-1) == look.target[0]).double()


def _is_right(c: Any, row: int | None) -> float | None:
    run = _run(c, row)
    if run.ahead_nats is not None:
        return float(run.ahead_nats > 0)
    if c.recipe.target is None:
        return None
    top = max(run.next, key=lambda one: one.base if row is None else one.tweak).text
    return float(bool(top) and c.recipe.target.startswith(top))


def _recovered(look: Look) -> Any:
    base, whole = look.difference(look.base), look.difference(look.source)
    return (look.difference(look.logits) - base) / (whole - base)


@dataclass(frozen=True)
class Metric:
    """A number with a name. `of(comparison, row)`: row None asks for BASE's own value, None where it has none."""

    name: str
    label: str
    unit: str
    gloss: str
    of: Callable[[Any, int | None], float | None]
    read: Callable[[Look], Any] | None = None  # the same number straight from logits, where a sweep can ask for it
    needs: tuple[str, ...] = ()  # what a sweep's case must hold: target, wrong
    against_source: bool = False  # it compares with the prompt that values are copied from
    leads: bool = False  # `read` takes differences between the answers' tokens, and no other token's logit

    def text(self, value: float | None) -> str:
        """The number as people read it, with its unit."""
        if value is None or math.isnan(value):
            return "–"
        if self.unit == "%":
            return f"{100 * value:.1f} %".replace("-", "−")
        size = abs(value)
        if 0 < size < 0.001:
            digits = "<0.001"
        else:
            digits = f"{size:,.0f}" if size >= 1000 else f"{size:.3g}" if size < 100 else f"{size:.1f}"
        return f"{'−' if value < 0 else ''}{digits} {self.unit}".strip()


def _run(c: Any, row: int | None) -> Any:
    return c.base if row is None else c.tweaks[row]


def _end(c: Any) -> int:
    return len(c.prompt_ids) - 1


def _mean(values: Any) -> float | None:
    return sum(values) / len(values) if len(values) else None


def _distinct(ids: tuple[int, ...], n: int = 2) -> float | None:
    grams = list(zip(*(ids[i:] for i in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else None


def _recovered_of(c: Any, row: int | None) -> float | None:
    ends = c.base.ahead_nats, c.source_ahead_nats
    if row is None or None in ends or c.tweaks[row].ahead_nats is None or ends[0] == ends[1]:
        return None
    return (c.tweaks[row].ahead_nats - ends[0]) / (ends[1] - ends[0])


def rate(text: str) -> Metric:
    """How often a token is said. Its name is `rate` and the text in quotes; `comma_rate` is the comma's."""

    def of(c: Any, row: int | None) -> float | None:
        return _mean([float(token.strip() == text.strip()) for token in _run(c, row).tokens])

    if text == ",":
        return Metric("comma_rate", "comma rate", "%", "share of generated tokens that are commas", of)
    return Metric(
        RATE + QUOTED.write(text), f"rate of {text!r}", "%", f"share of generated tokens that are {text!r}", of
    )


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric(
            "kl_next",
            "KL after the prompt",
            "nats",
            "how far the tweak moved the very next prediction; 0 is not at all",
            lambda c, r: None if r is None else c.tweaks[r].kl_nats[_end(c)],
            _kl_next,
        ),
        Metric(
            "kl_mean",
            "KL, mean over positions",
            "nats",
            "how far the tweak moved predictions on average over BASE's text",
            lambda c, r: None if r is None else _mean(c.tweaks[r].kl_nats),
        ),
        Metric(
            "kl_max",
            "KL, largest",
            "nats",
            "the prediction that moved most",
            lambda c, r: None if r is None else max(c.tweaks[r].kl_nats),
        ),
        Metric(
            "top_changed",
            "top token changed",
            "%",
            "share of positions of BASE's text at which another token became the likeliest",
            lambda c, r: None if r is None else _mean([float(x) for x in c.tweaks[r].top_changed]),
        ),
        Metric(
            "entropy_next",
            "entropy after the prompt",
            "nats",
            "how undecided the next prediction is; 0 is certain",
            lambda c, r: _run(c, r).entropy_nats[_end(c)],
            _entropy_next,
        ),
        Metric(
            "choice_entropy",
            "entropy of the decoder's choice",
            "nats",
            "how much chance the decoder left, on average over generated tokens; greedy leaves none",
            lambda c, r: _mean(_run(c, r).choice_entropy_nats),
        ),
        Metric(
            "said",
            "log-probability of what was said",
            "nats/token",
            "how likely the model itself finds the text, per token; closer to 0 is likelier",
            lambda c, r: _mean(_run(c, r).said_nats),
        ),
        Metric(
            "said_total",
            "log-probability of the whole text",
            "nats",
            "how likely the model itself finds all that was said; what beam search maximises",
            lambda c, r: sum(_run(c, r).said_nats) if _run(c, r).said_nats else None,
        ),
        Metric(
            "length",
            "tokens said",
            "",
            "how long the text is; a row may end it before the limit",
            lambda c, r: float(len(_run(c, r).ids)),
        ),
        Metric(
            "perplexity",
            "perplexity of BASE's text",
            "",
            "how surprised the row is by what BASE said; 1 is not at all",
            lambda c, r: _run(c, r).perplexity,
        ),
        Metric(
            "read_perplexity",
            "perplexity of the text read",
            "",
            "how surprised the row is by a text it never saw",
            lambda c, r: _run(c, r).read_perplexity,
        ),
        Metric(
            "target",
            "log-probability of the target",
            "nats",
            "how likely the row finds the given answer",
            lambda c, r: _run(c, r).target_nats,
            _target,
            ("target",),
        ),
        Metric(
            "target_probability",
            "probability of the target",
            "%",
            "how likely the row finds the given answer, from none to certain",
            lambda c, r: None if _run(c, r).target_nats is None else math.exp(_run(c, r).target_nats),
            lambda look: _target(look).exp(),
            ("target",),
        ),
        Metric(
            "logit_diff",
            "logit difference",
            "nats",
            "how far the right answer is ahead of the wrong one; below 0 the wrong one leads",
            lambda c, r: _run(c, r).ahead_nats,
            lambda look: look.difference(look.logits),
            ("target", "wrong"),
            leads=True,
        ),
        Metric(
            "right",
            "right answers",
            "%",
            "whether the target is ahead of the wrong answer or, where none is given, the likeliest token begins it",
            _is_right,
            _right,
            ("target",),
        ),
        Metric(
            "recovered",
            "recovered share",
            "%",
            "how much of the way from BASE to the run that values are copied from; 100 % is all of it",
            _recovered_of,
            _recovered,
            ("target", "wrong"),
            against_source=True,
            leads=True,
        ),
        rate(","),
        Metric(
            "distinct_2",
            "distinct pairs of tokens",
            "%",
            "share of neighbouring pairs that do not repeat: diversity",
            lambda c, r: _distinct(_run(c, r).ids),
        ),
        Metric(
            "differs",
            "share of texts unlike BASE's",
            "%",
            "whether the text differs from BASE's in any token",
            lambda c, r: None if r is None else float(c.tweaks[r].first_divergence is not None),
        ),
        Metric(
            "parted",
            "texts part at token",
            "",
            "index of the first generated token that differs; – when none does",
            lambda c, r: (
                None if r is None or c.tweaks[r].first_divergence is None else float(c.tweaks[r].first_divergence)
            ),
        ),
    )
}


def metric_named(name: str) -> Metric:
    """The metric of that name; `rate "!"` is one for each text. Raises UnknownName with the nearest spelling."""
    if name.startswith(RATE):
        return rate(QUOTED.read(name.removeprefix(RATE)))
    if name not in METRICS:
        raise unknown("metric", name, METRICS, "invivo metrics")
    return METRICS[name]
