"""A sweep as plain data: one kind of tweak at many places, one number for each, and the grid that comes out.

A Sweep says what to do and can be run again; a Grid is what came out. Neither knows the engine. Positions are those of
the prompt's tokens, so several cases can share a grid of positions only where their prompts have as many tokens.
"""

from __future__ import annotations

import csv
import io
import math
import random
import shlex
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from ..errors import BadText
from ..metrics import METRICS, metric_named
from ..show.blocks import Document
from ..spec import Number, Spec, number_text
from ..tweaks import Activation, Noise, Stack
from ..tweaks.elsewhere import other_noise
from ..tweaks.stars import Stars, check_over, read_stars
from .case import Case
from .recipe import Recipe
from .result import Result

if TYPE_CHECKING:
    import numpy as np


class Sweep(Recipe):
    """One kind of tweak over many places."""

    tweak: str
    """The line, with a star at what varies: `zero head *`, `copy L*.resid_pre at * from clean`."""
    cases: tuple[Case, ...] = Field(min_length=1)
    """The prompts; one grid is made of each, and of all together their mean."""
    metric: str = "kl_next"
    """The number taken at every place."""
    over: str | None = None
    """What varies, in words, to be checked against the stars: `heads`, `layers x positions`."""
    values: tuple[Number, ...] = ()
    """What a star goes through that stands for a setting: strengths, seeds."""
    window: int = Field(default=1, ge=1)
    """How many layers around a starred one are changed with it, fewer at the ends (causal tracing: 10)."""
    under: Stack | None = None
    """Tweaks in force at every place and in BASE, too: the noise that is to be undone."""
    seeds: int = Field(default=1, ge=1, le=1000)
    """How many draws of the noise in it are averaged."""
    model: str = "fruitfly"
    """Name or folder of the model."""
    revision: str | None = None
    """The model's revision on its hub."""
    dtype: str | None = None
    """Number format of the weights; the model's own on a GPU, float32 on a CPU, when left out."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        metric = metric_named(self.metric)
        if metric.read is None:
            raise BadText(
                f"{metric.name} is a number about whole texts, not about one place",
                hint=f"a sweep takes {', '.join(m.name for m in METRICS.values() if m.read is not None)}",
            )
        stars = self.stars
        if self.over is not None:
            check_over(stars, self.over)
        if ("value" in stars.axes) != bool(self.values):
            raise BadText(
                f"`{self.tweak}` has {'no star' if self.values else 'a star'} that stands for a setting",
                hint="give --values 0,0.5,1 together with a line such as `scale head 3.5 by *`",
            )
        if self.window > 1 and "layer" not in stars.axes:
            raise BadText(f"`{self.tweak}` has no star that stands for a layer", hint="a window goes around one")
        under = list(self.under or ())
        if self.seeds > 1 and not any(isinstance(t, Noise) for t in (*stars.example, *under)):
            raise BadText("there is no noise to draw again", hint="leave out --seeds, or `add noise …`")
        sources = stars.sources | {t.source_prompt for t in under if isinstance(t, Activation) and t.source_prompt}
        for case in self.cases:
            if not case.prompt:
                raise BadText("the prompt is empty", hint="give at least one character to read")
            for field in metric.needs:
                if getattr(case, field) is None:
                    raise BadText(f"{metric.name} needs a {field}", hint=f'add --{field} " Mary"')
            for name in sorted(sources):
                if name not in case.prompts:
                    raise BadText(f"`{self.tweak}` needs a prompt called {name!r}", hint=f'add --prompt {name}="…"')
        return self

    @cached_property
    def stars(self) -> Stars:
        """The line, read."""
        return read_stars(self.tweak)

    def under_at(self, draw: int) -> Stack | None:
        """What is in force everywhere in one draw of the noise."""
        return None if self.under is None else other_noise(self.under, draw)

    def drawn(self, lines: Sequence[str], draw: int) -> list[str]:
        """What is run at each place in one draw of the noise, given the places' own lines."""
        if self.under is None and self.seeds == 1:
            return list(lines)
        under = [] if self.under is None else [self.under]
        return [str(other_noise(Stack.of([*under, line]), draw)) for line in lines]

    def to_cli(self) -> str | None:
        """The command that runs it; None where it has more than one case, which come from a file."""
        if len(self.cases) != 1:
            return None
        (case,) = self.cases
        words = ["invivo", "sweep", "--tweak", self.tweak, "--metric", self.metric]
        for name, text in case.prompts.items():
            words += ["--prompt", f"{name}={text}"]
        for flag, value in (
            ("--target", case.target),
            ("--wrong", case.wrong),
            ("--under", self.under),
            ("--window", self.window if self.window > 1 else None),
            ("--seeds", self.seeds if self.seeds > 1 else None),
            ("--revision", self.revision),
            ("--dtype", self.dtype),
        ):
            words += [] if value is None else [flag, str(value)]
        words += ["--values", ",".join(map(number_text, self.values))] if self.values else []
        words += ["--model", self.model] if self.model != "fruitfly" else []
        return shlex.join([*words, "--", case.prompt])


class Axis(Spec):
    """One axis of a grid."""

    name: str
    """layer, head, unit, position, key, the layer or head that receives ("to layer", "to head"), or value."""
    labels: tuple[str, ...]
    """A name for each place: an index, a token with its position, a strength."""


class Grid(Result):
    """What a sweep found: one number a place, row by row, for every case."""

    recipe: Sweep
    """What was run."""
    axes: tuple[Axis, ...]
    """What varies; the last one fastest."""
    lines: tuple[str, ...]
    """The tweak's line at each place."""
    values: tuple[tuple[float | None, ...], ...]
    """The metric under TWEAK: [case][place]; a case comes once for each draw of noise."""
    base: tuple[float | None, ...]
    """The metric under BASE, for each case."""
    unit: str
    """Unit of all of them."""
    prompt_tokens: tuple[str, ...]
    """Tokens of the first case's prompt."""
    versions: dict[str, str]
    """What computed it."""
    revision: str
    """Which weights exactly."""
    device: str
    """Where, and in which number format."""
    path: str
    """How: the growing batch, or row by row, and why."""
    checked: float | None = None
    """Largest difference found when some places were run again the slow way; None when none was."""
    notes: tuple[str, ...] = ()
    """What the reader must know."""
    seconds: float
    """How long it took."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(len(axis.labels) for axis in self.axes)

    @property
    def effects(self) -> tuple[float, ...]:
        """How far each place moved the metric from BASE, mean over cases. A number that is about BASE already (KL)
        has no BASE value and stands for itself.
        """
        return tuple(
            sum(v - (b or 0.0) for v, b in zip(column, self.base, strict=True) if v is not None) / len(column)
            for column in zip(*self.values, strict=True)
        )

    def interval(self, draws: int = 1000, share: float = 0.95) -> tuple[tuple[float, float], ...] | None:
        """A bootstrap interval of each effect over cases (Efron 1979), percentiles; None with fewer than two cases."""
        if len(self.values) < 2:
            return None
        dice = random.Random(0)
        count = len(self.values)
        weights = [dice.choices(range(count), k=count) for _ in range(draws)]
        low, high = int((1 - share) / 2 * draws), math.ceil((1 + share) / 2 * draws) - 1
        found = []
        for column in zip(*self.values, strict=True):
            moved = [(v or 0.0) - (b or 0.0) for v, b in zip(column, self.base, strict=True)]
            means = sorted(sum(moved[i] for i in drawn) / count for drawn in weights)
            found.append((means[low], means[high]))
        return tuple(found)

    def ranked(self) -> list[int]:
        """Places by the size of their effect, largest first."""
        effects = self.effects
        return sorted(range(len(effects)), key=lambda i: -abs(effects[i]))

    def places(self) -> Iterator[tuple[str, ...]]:
        """Each place's labels along the axes."""
        for number in range(len(self.lines)):
            labels = []
            for axis in reversed(self.axes):
                number, i = divmod(number, len(axis.labels))
                labels.append(axis.labels[i])
            yield tuple(reversed(labels))

    def document(self) -> Document:
        """What to show of it, in order."""
        from .map_view import grid_document

        return grid_document(self)

    @property
    def array(self) -> np.ndarray:
        """The effects, with one dimension an axis."""
        import numpy as np

        return np.array(self.effects).reshape(self.shape)

    def to_csv(self) -> str:
        """One line a place: its labels, its tweak, the effect, then the metric for each case."""
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        cases = [f"case {n}" for n in range(len(self.values))]
        out.writerow([*(a.name for a in self.axes), "tweak", f"effect ({self.unit or 'no unit'})", *cases])
        for number, place in enumerate(self.places()):
            out.writerow([*place, self.lines[number], self.effects[number], *(row[number] for row in self.values)])
        return text.getvalue()

    def to_pandas(self) -> Any:
        """A DataFrame with one row a place. Raises BadText where pandas is not installed."""
        try:
            import pandas  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise BadText("pandas is not installed", hint="pip install pandas; or use .array or .to_csv()") from None
        return pandas.read_csv(io.StringIO(self.to_csv()))
