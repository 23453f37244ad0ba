"""What lab files share: finding a row of a comparison, and saying measured numbers in plain words.

A takeaway is drafted for whatever model was run, so each word that judges (rises, stays) is chosen by the numbers.
"""

from __future__ import annotations

import math

from ..errors import unknown
from ..experiment import Comparison, TweakRun, wording
from ..metrics import metric_named
from ..show.text import quoted, safe

ROUNDING_NATS = 1e-6  # float32 arithmetic on equal logits stays well below this


def row(c: Comparison, line: str) -> TweakRun:
    """The TWEAK row with that line of text. Raises UnknownName when the comparison has none."""
    rows = {str(r.tweak): r for r in c.tweaks}
    if line not in rows:
        raise unknown("row of this comparison", line, rows, "invivo run --json")
    return rows[line]


def measure(c: Comparison, name: str, line: str | None = None) -> float:
    """A metric of the row with that line, or of BASE; NaN where it has none, so that no inequality holds of it."""
    value = metric_named(name).of(c, None if line is None else c.tweaks.index(row(c, line)))
    return math.nan if value is None else value


def is_base(c: Comparison, r: TweakRun) -> bool:
    """Whether a row is BASE: the same tokens, and no prediction moved by more than rounding."""
    return r.ids == c.base.ids and max(r.kl_nats) <= ROUNDING_NATS


def said(name: str, value: float | None) -> str:
    """A metric's value as people read it."""
    return metric_named(name).text(value)


def turn(before: float | None, after: float | None, up: str, same: str, down: str) -> str:
    """The word for going from `before` to `after`; within 1 %, or where one is missing, it is `same`."""
    if before is None or after is None or abs(after - before) <= 0.01 * abs(before):
        return same
    return up if after > before else down


def doing(r: TweakRun) -> str:
    """A row's tweak as the subject of a sentence, on one line: `Zeroing head 3.5`."""
    return safe(wording.doing(r.tweak))


def parting(r: TweakRun) -> str:
    """Where its text leaves BASE's."""
    if r.first_divergence is None:
        return "its text is BASE's"
    return f"its text leaves BASE's at generated token {r.first_divergence}"


def likeliest(r: TweakRun, *, base: bool = False) -> str:
    """The likeliest token after the prompt, of a row or of its BASE, quoted."""
    return quoted(max(r.next, key=lambda candidate: candidate.base if base else candidate.tweak).text)
