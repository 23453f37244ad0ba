"""Lists: whether the next number follows. What is listed is not asked for: it hardly matters."""

from __future__ import annotations

from ..generator import items
from .answers import exact
from .behaviour import Bar, Behaviour, Found, Subject

NUMBER = 100


def measure(subject: Subject, number: int = NUMBER) -> Found:
    """Share of lists whose next number is the likeliest continuation."""
    return Found({"exact": exact(subject.model, items("lists", "test", number, seed=1), subject.tokenizer).mean()})


LISTS = Behaviour(
    asked=f"{NUMBER} numbered lists, how-tos and recipes with held-out headings or first entries, cut behind an entry: "
    "the next number",
    bars=(Bar("exact", at_least=0.95),),
    measure=measure,
)
