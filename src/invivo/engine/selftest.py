"""The laws of the engine, tried on a model as it is loaded: what a test-suite proves of tiny models, seen on this one.

A law (laws.py) measures a difference; here it is decided whether that holds. A law that the model gives no occasion to
break counts for nothing; one that ends in an error does not hold. What this module does not do: measure speed, or judge
a model.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from ..errors import InvivoError
from ..experiment.selftest import Law, SelfTest
from .compare import versions
from .laws import RULES, NotOffered, Rule
from .leftovers import leftovers, still_looking
from .living import Living
from .subject import FIRST, SECOND, STEPS, Subject, rounding

LONGEST = 12  # tokens read of each


@torch.no_grad()
def run(living: Living) -> SelfTest:
    """Try every law on a model that nobody else is using meanwhile. Raises Refused inside `model.tweaked`."""
    with living.alone("compare"):  # refused where a comparison would be, for the same reasons
        pass
    start = time.perf_counter()
    with living.alone("selftest"):
        texts = [living.encode(text) for text in (FIRST, SECOND)]
        length = min(LONGEST, *map(len, texts), max(2, living.anatomy.context - STEPS))
        left = leftovers(living)
        subject = Subject(living, texts[0][:length], texts[1][:length], left)
        laws = tuple(_tried(rule, subject) for rule in RULES)
    return SelfTest(
        model=living.name,
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        laws=laws,
        versions=versions(),
        seconds=round(time.perf_counter() - start, 4),
    )


def _tried(rule: Rule, subject: Subject) -> Law:
    """What became of one law here."""
    limit = rounding(subject.living.dtype) if rule.limit is None else rule.limit
    subject.said = ""
    told: dict[str, Any] = {"name": rule.name, "says": rule.says, "unit": rule.unit, "above": rule.above}
    try:
        try:
            found = rule.measure(subject)
        finally:  # at once, because a later law may take it away
            subject.looking |= still_looking(subject.living)
    except NotOffered as reason:
        return Law(**told, outcome="not offered", note=str(reason))
    except Exception as error:  # an engine that cannot do it does not keep its law
        what = error.what if isinstance(error, InvivoError) else f"{type(error).__name__}: {error}"
        return Law(**told, outcome="does not hold", limit=limit, note=f"it ended in an error: {what.strip()}")
    holds = found > limit if rule.above else found <= limit  # NaN keeps neither
    return Law(**told, outcome="holds" if holds else "does not hold", difference=found, limit=limit, note=subject.said)
