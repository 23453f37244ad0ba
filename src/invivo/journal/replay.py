"""A report run again: what it says was run, what came out then and now, and whether the two agree."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from typing import Any

from pydantic import Field

from ..errors import BadText
from ..experiment import Comparison, Experiment, LabResult
from ..experiment.result import Result
from ..metrics import METRICS
from ..show.blocks import Document, Heading, Table, Text
from ..show.html import RUN
from ..spec import Spec

NEAR = 1e-3  # relative; rounding on another machine stays below it


class Kept(Spec):
    """What a report holds of a run, unseen."""

    lab: str | None = None
    """Full name of the lab, if it was one."""
    recipe: Experiment
    """What was run."""
    numbers: dict[str, tuple[float | None, ...]]
    """Each metric, BASE's first."""
    ids: tuple[tuple[int, ...], ...]
    """What was generated, BASE's first."""
    versions: dict[str, str] = Field(default_factory=dict)
    """What computed it."""
    revision: str
    """Which weights exactly."""


def run_of(result: LabResult | Comparison) -> str:
    """A result as the JSON that a report keeps of it."""
    compared = result.comparison if isinstance(result, LabResult) else result
    kept = Kept(
        lab=result.lab if isinstance(result, LabResult) else None,
        recipe=compared.recipe,
        numbers={name: tuple(map(_finite, values)) for name, values in compared.numbers.items()},
        ids=tuple(run.ids for run in (compared.base, *compared.tweaks)),
        versions=compared.versions,
        revision=compared.revision,
    )
    return json.dumps(kept.model_dump(mode="json"), ensure_ascii=True)


def runs_in(page: str) -> tuple[Kept, ...]:
    """The runs that a report's page holds. Raises BadText where it holds none."""
    found = re.findall(re.escape(RUN) + "(.*?)</template>", page, re.DOTALL)
    if not found:
        raise BadText("no run of invivo's is in that page", hint="`invivo run 02 --out FOLDER` writes one that has it")
    try:
        return tuple(Kept.of(json.loads(unescape(text))) for text in found)
    except ValueError as error:
        raise BadText(f"the run in that page cannot be read: {error}") from None


class Again(Spec):
    """One run beside the same run of before."""

    name: str
    """The lab, or the prompt."""
    same_text: bool
    """Whether every row said the same, token by token."""
    apart: float
    """The largest relative difference of a number."""
    metric: str
    """Which number that is."""
    same_weights: bool
    """Whether the weights were the same."""
    changed: tuple[str, ...]
    """Versions that differ, as `torch 2.13.0, now 2.14.0`."""

    @property
    def agrees(self) -> bool:
        """Whether the two are one result: the same words, and numbers that differ by rounding alone."""
        return self.same_text and self.apart <= NEAR


class Replay(Result):
    """A report's runs, each run again."""

    runs: tuple[Again, ...]
    """One each."""

    @property
    def agrees(self) -> bool:
        """Whether all do."""
        return all(run.agrees for run in self.runs)

    def document(self) -> Document:
        """A line for each run, and what may be the reason where one differs."""
        rows = tuple(
            (
                run.name,
                "the same" if run.same_text else "another text",
                f"{run.apart:.1e} ({run.metric})" if run.apart else "none",
                "✓" if run.agrees else "✗",
            )
            for run in self.runs
        )
        agree = sum(run.agrees for run in self.runs)
        said = "The numbers agree." if self.agrees else f"{agree} of {len(rows)} agree."
        reasons = [f"{run.name}: other weights" for run in self.runs if not run.same_weights]
        reasons += sorted({change for run in self.runs for change in run.changed})
        more = (Text(text=f"Not as it was then: {'; '.join(reasons)}.", tone="note"),) if reasons else ()
        table = Table(columns=("run", "texts", "largest relative difference", "agrees"), rows=rows)
        return Document(blocks=(Heading(text="Run again"), Text(text=said), table, *more))


def again(kept: Kept, now: Comparison) -> Again:
    """A run of before beside the one of now."""
    largest, metric = 0.0, ""
    for name, before in kept.numbers.items():
        for a, b in zip(before, map(_finite, now.numbers.get(name, ())), strict=False):
            gap = _gap(a, b)
            if gap > largest:
                largest, metric = gap, METRICS[name].label if name in METRICS else name
    ids = tuple(run.ids for run in (now.base, *now.tweaks))
    return Again(
        name=kept.lab or kept.recipe.prompt,
        same_text=ids == kept.ids,
        apart=largest,
        metric=metric,
        same_weights=now.revision == kept.revision,
        changed=tuple(
            f"{name} {was}, now {now.versions[name]}"
            for name, was in kept.versions.items()
            if now.versions.get(name, was) != was
        ),
    )


def _gap(before: float | None, after: float | None) -> float:
    """How far apart two numbers are, over the larger; numbers near 0 are measured against 1e-3."""
    if before is None or after is None:
        return 0.0 if before is after else math.inf
    return abs(before - after) / max(abs(before), abs(after), 1e-3)


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
