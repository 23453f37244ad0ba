"""What labs about strengths share: the place that the rows change, and the row of a strength.

A lab names a head or a neuron for fruitfly; on another model, and for a reader's own tweaks, the rows name another one.
So steps and claims ask the rows.
"""

from __future__ import annotations

from ..errors import BadText, unknown
from ..experiment import Comparison, Experiment, TweakRun
from ..sites import Place
from ..tweaks import Activation, Stack


def place_of(tweaks: tuple[Stack, ...], site: str, what: str) -> Place:
    """The first place of that site that the rows change. Raises BadText where there is none: no `what`."""
    for stack in tweaks:
        for tweak in stack:
            if isinstance(tweak, Activation) and tweak.place.site == site:
                return tweak.place
    raise BadText(f"none of the tweaks changes {what}")


def dose_of(stack: Stack) -> float | None:
    """The strength of a row of one tweak; None where it has none."""
    (first, *more) = tuple(stack)
    value = getattr(first, "factor", getattr(first, "amount", None))
    return None if more or value is None else float(value)


def dosed(c: Comparison, dose: float) -> TweakRun:
    """The row with that strength. Raises UnknownName where the comparison has none."""
    for row in c.tweaks:
        if dose_of(row.tweak) == dose:
            return row
    raise unknown("row of this comparison", str(dose), [str(r.tweak) for r in c.tweaks], "invivo run --json")


def short(place: Place) -> str:
    """A head or a neuron as LAYER.INDEX."""
    return f"{place.layer}.{place.heads if place.site == 'z' else place.units}"


def answers(e: Experiment) -> str:
    """The number that is about the experiment's answers, as far as it has any."""
    return "logit_diff" if e.target and e.wrong else "target" if e.target else "kl_next"


__all__ = ["answers", "dose_of", "dosed", "place_of", "short"]
