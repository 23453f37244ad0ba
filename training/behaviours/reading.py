"""Reading: invented facts asked for with the passage that states them, and without it.

Without the passage there is nothing to know, so what is right then was guessed from the question, and that share says
how much of the other figure reading accounts for.
"""

from __future__ import annotations

from dataclasses import replace

from ..generator import items
from ..generator.reading import without_passage
from .answers import exact
from .behaviour import Bar, Behaviour, Found, Subject

NUMBER = 300


def measure(subject: Subject, number: int = NUMBER) -> Found:
    """Shares of exact answers with and without the passage."""
    asked = items("reading", "test", number, seed=1)
    blind = [replace(item, prompt=without_passage(item)) for item in asked]
    return Found(
        {
            "exact": exact(subject.model, asked, subject.tokenizer).mean(),
            "exact_without_passage": exact(subject.model, blind, subject.tokenizer).mean(),
        }
    )


READING = Behaviour(
    asked=f"{NUMBER} passages of invented facts with held-out names, one question each: the exact answer, with the "
    "passage and without",
    bars=(Bar("exact", at_least=0.7), Bar("exact_without_passage", at_most=0.05)),
    measure=measure,
)
