"""Trials: the same rows on many prompts and with many dice, and one number of each. One run is an anecdote.

Every trial is a Comparison: BASE and its TWEAKs share the prompt and the dice, so their difference is taken trial by
trial (paired), and its interval is a bootstrap over prompts (Efron 1979), as runs of one prompt resemble each other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean
from typing import Self

from pydantic import Field, model_validator

from ..errors import BadText
from ..metrics import Metric, metric_named
from ..pictures import Bars, Lines, Role, Series
from ..show.blocks import Document, Figure, Heading, Table
from ..show.text import safe, shorten
from ..spec import Number, Spec, number_text
from ..tweaks import Decoding, Stack
from .recipe import OnModel
from .result import Result
from .wording import shared

DRAWS, SHARE = 1000, 0.95
LISTED = 12  # prompts in the table
PROMPT_CELLS = 32
CROWDED = 5  # columns of numbers that leave room for a prompt


class TrialsRecipe(OnModel):
    """Rows to be tried, and on what."""

    prompts: tuple[str, ...] = Field(min_length=1)
    """The prompts."""
    tweaks: tuple[Stack, ...] = Field(min_length=1)
    """One TWEAK row each."""
    metric: str
    """The number that is taken of every row of every trial."""
    seeds: int = Field(default=1, ge=1, le=1000)
    """How many dice for each prompt; noise in a row is drawn anew with each, too."""
    doses: tuple[Number, ...] = ()
    """The strengths that the rows stand for, one each: then they are drawn as a curve."""
    dose_name: str = "strength"
    """What the strengths are, with their unit."""
    targets: tuple[str, ...] = ()
    """For each prompt its answer, where the number needs one."""
    read: str | None = None
    """A text that each row reads, where the number needs one."""
    decoding: Decoding = Decoding()
    """How BASE chooses."""
    seed: int = Field(default=0, ge=0)
    """The first dice."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        metric_named(self.metric)
        if self.targets and len(self.targets) != len(self.prompts):
            raise BadText(f"{len(self.targets)} targets for {len(self.prompts)} prompts", hint="give one each")
        if self.doses and len(self.doses) != len(self.tweaks):
            raise BadText(f"{len(self.doses)} strengths for {len(self.tweaks)} rows", hint="give one each")
        return self


class Interval(Spec):
    """A mean with its interval."""

    mean: float
    """The mean over trials."""
    low: float
    """Lower end of the 95 % interval over prompts."""
    high: float
    """Upper end."""


class Trials(Result):
    """What came out of many trials of the same rows."""

    recipe: TrialsRecipe
    """What was run."""
    base: tuple[tuple[float | None, ...], ...]
    """BASE's number: [prompt][seed]."""
    values: tuple[tuple[tuple[float | None, ...], ...], ...]
    """Each TWEAK's number: [row][prompt][seed]."""
    examples: tuple[tuple[str, ...], ...]
    """What BASE and each row said in the first trial of each prompt: [prompt][row]."""
    versions: dict[str, str]
    """What computed it."""
    revision: str
    """Which weights exactly."""
    device: str
    """Where, and in which number format."""
    seconds: float
    """How long it took."""

    @property
    def metric(self) -> Metric:
        """The number."""
        return metric_named(self.recipe.metric)

    @property
    def paired(self) -> bool:
        """Whether BASE has the number, too, so that there is something to subtract."""
        return any(v is not None for prompt in self.base for v in prompt)

    def mean(self, row: int | None) -> Interval:
        """A row's mean (BASE's: None), with its interval over prompts."""
        return interval([_mean(p) for p in (self.base if row is None else self.values[row])])

    def gains(self, row: int) -> list[float]:
        """For each prompt, how far the row is from BASE on average; prompts without a number are left out."""
        found = []
        for before, after in zip(self.base, self.values[row], strict=True):
            pairs = [
                a - (b or 0.0)
                for b, a in zip(before, after, strict=True)
                if a is not None and (b is not None or not self.paired)
            ]
            if pairs:
                found.append(fmean(pairs))
        return found

    def effect(self, row: int) -> Interval:
        """How far a row is from BASE, with its interval over prompts."""
        return interval(self.gains(row))

    def higher(self, row: int) -> int:
        """On how many prompts the row's number is above BASE's."""
        return sum(gain > 0 for gain in self.gains(row))

    def lower(self, row: int) -> int:
        """On how many it is below."""
        return sum(gain < 0 for gain in self.gains(row))

    def sentence(self, row: int = -1) -> str:
        """The verdict on a row in words."""
        row %= len(self.values)
        gains, metric = self.gains(row), self.metric
        if not gains:
            return f"No trial has a number for {metric.label}."
        effect, many = self.effect(row), len(gains)
        said = f"`{self.recipe.tweaks[row]}` moves {metric.label} by {self._text(effect.mean, signed=True)} on average"
        said += f" (95 % interval {self._text(effect.low, signed=True)} to {self._text(effect.high, signed=True)})"
        agree = max(self.higher(row), self.lower(row))
        said += f", in the same direction on {agree} of {many} prompts"
        real = many > 1 and (effect.low > 0 or effect.high < 0)
        return said + ("." if real else ": as things stand, an anecdote.")

    def _text(self, value: float, *, signed: bool = False) -> str:
        text = self.metric.text(value)
        return f"+{text}" if signed and value > 0 and not text.startswith("<") else text

    def document(self) -> Document:
        """A picture of the rows' means, a sentence, and what was said."""
        metric, recipe = self.metric, self.recipe
        title = f"{metric.label}: mean over {len(recipe.prompts)} prompts"
        title += f" and {recipe.seeds} dice" if recipe.seeds > 1 else ""
        shown = list(range(min(len(recipe.prompts), LISTED)))
        common, own = shared([str(stack) for stack in recipe.tweaks])
        if recipe.doses:
            common, own = recipe.dose_name, [number_text(dose) for dose in recipe.doses]
        names = ("BASE", *own) if self.paired else tuple(own)
        unit = f", {metric.unit}" if metric.unit else ""
        columns = [self.base, *self.values] if self.paired else list(self.values)
        table = Table(
            caption=f"{metric.label}{unit}, prompt by prompt"
            + ("" if len(shown) == len(recipe.prompts) else f", the first {len(shown)}")
            + (f"; the columns are `{common}`" if common else ""),
            columns=("prompt", *names),
            rows=tuple(
                (
                    shorten(safe(recipe.prompts[i]), PROMPT_CELLS if len(names) <= CROWDED else 22),
                    *(metric.text(_mean(c[i])).removesuffix(f" {metric.unit}") for c in columns),
                )
                for i in shown
            ),
        )
        return Document(
            blocks=(
                Heading(text="Trials"),
                Figure(picture=self._picture(title), name="trials"),
                table,
            )
        )

    def _picture(self, title: str) -> Bars | Lines:
        """A bar a row, or a curve over the strengths that the rows stand for."""
        metric, recipe = self.metric, self.recipe
        scale = 100.0 if metric.unit == "%" else 1.0
        unit = metric.label + (f", {metric.unit}" if metric.unit else "")
        rows = [self.mean(row) for row in range(len(self.values))]
        base = [self.mean(None)] if self.paired else []

        def series(name: str, role: Role, spots: Sequence[Interval | None]) -> Series:
            return Series(
                name=name,
                role=role,
                values=tuple(scale * s.mean if s else None for s in spots),
                low=tuple(scale * s.low if s else 0.0 for s in spots),
                high=tuple(scale * s.high if s else 0.0 for s in spots),
            )

        if recipe.doses:
            return Lines(
                title=title,
                summary=self.sentence(),
                x=recipe.doses,
                x_name=recipe.dose_name,
                y_name=unit,
                series=(
                    *(series("BASE", "base", base * len(rows)) for _ in base),
                    series("TWEAK", "tweak", rows),
                ),
            )
        return Bars(
            title=title,
            summary=self.sentence(),
            labels=(*("BASE" for _ in base), *map(str, recipe.tweaks)),
            unit=unit,
            series=(
                *(series("BASE", "base", [*base, *(None for _ in rows)]) for _ in base),
                series("TWEAK", "tweak", [*(None for _ in base), *rows]),
            ),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return fmean(there) if there else None


def interval(values: Sequence[float | None]) -> Interval:
    """Mean and bootstrap percentile interval of what is there; NaN where nothing is."""
    there = [v for v in values if v is not None]
    if not there:
        return Interval(mean=float("nan"), low=float("nan"), high=float("nan"))
    dice = random.Random(0)
    means = sorted(fmean(dice.choices(there, k=len(there))) for _ in range(DRAWS))
    cut = int((1 - SHARE) / 2 * DRAWS)
    return Interval(mean=fmean(there), low=means[cut], high=means[-1 - cut])
