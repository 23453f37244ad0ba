"""What a behaviour is: a question to the model, its figures, and the bars that they must reach.

A module of this package is one behaviour. Its bars stand beside its measure and nowhere else: the report, the card and
the tests read them from there. A bar that is not met is reported as not met; nothing stops because of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase


def end_of(model: GPT2LMHeadModel) -> int:
    """The end-of-text token, which in training stood before every document."""
    return cast(int, model.config.eos_token_id or 0)


@dataclass(frozen=True)
class Subject:
    """Who is asked, and with what at hand."""

    model: GPT2LMHeadModel
    tokenizer: PreTrainedTokenizerBase
    words: Set[str] = frozenset()  # the lower-cased words of the training text
    texts: Path | None = None  # a folder with texts to measure on; blimp/*.jsonl.xz in it

    @property
    def context(self) -> int:
        """The most tokens that the model can read."""
        return self.model.config.n_positions

    @property
    def end(self) -> int:
        """The end-of-text token."""
        return end_of(self.model)


@dataclass(frozen=True)
class Bar:
    """What a figure must reach. Exactly one of the two limits is given."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def met(self, figures: Mapping[str, float]) -> bool:
        """Whether it is reached. A figure that is missing, or no number, reaches nothing."""
        value = figures.get(self.figure, float("nan"))
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most

    def data(self) -> dict[str, Any]:
        """As the report states it."""
        name, limit = ("at_most", self.at_most) if self.at_least is None else ("at_least", self.at_least)
        return {"figure": self.figure, name: limit}


@dataclass(frozen=True)
class Found:
    """What one measure gave: figures, and for the docs what it saw inside the model and the texts it kept."""

    figures: dict[str, float]
    circuits: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    skipped: str = ""  # why there are no figures


@dataclass(frozen=True)
class Behaviour:
    """One thing that the model should do."""

    asked: str  # one sentence: on what it is measured
    bars: tuple[Bar, ...]
    measure: Callable[[Subject], Found]
    generated: bool = True  # it is asked on the generator's texts, so a model that never read any is not asked

    def entry(self, found: Found) -> dict[str, Any]:
        """As the report states it. Figures are rounded first, so that everyone comes to the same verdict."""
        return entry(self.asked, found.figures, self.bars) | ({"skipped": found.skipped} if found.skipped else {})


def entry(asked: str, figures: Mapping[str, float], bars: tuple[Bar, ...]) -> dict[str, Any]:
    """One behaviour's part of the report. A figure that is no number is left out: JSON has no word for it."""
    rounded = {name: round(float(value), 4) for name, value in figures.items() if math.isfinite(value)}
    return {
        "asked": asked,
        "figures": rounded,
        "bars": [bar.data() for bar in bars],
        "met": all(bar.met(rounded) for bar in bars),
    }
