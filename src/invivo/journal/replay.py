"""A report run again: what it says was run, what came out then and now, and whether the two agree."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

from pydantic import Field

from ..errors import BadText
from ..experiment import Comparison, Experiment, LabResult, Recipe
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


class KeptResult(Spec):
    """What a report holds of a run that is no comparison: a sweep, a lens, an exhibit."""

    kind: str
    """The recipe's class."""
    recipe: dict[str, Any]
    """What was run."""
    result: dict[str, Any]
    """What came out, as `--json` prints it."""

    @property
    def name(self) -> str:
        """What it is called: the prompt, the exhibit, the line that was swept."""
        named = (self.recipe.get(key) for key in ("name", "tweak", "prompt"))
        return next((str(one) for one in named if one), self.kind)


def run_of(result: Result, recipe: Recipe | None = None) -> str:
    """A result as the JSON that a report keeps of it. `recipe` is needed where it is neither lab nor comparison."""
    if not isinstance(result, LabResult | Comparison):
        plain = {"kind": type(recipe).__name__, "recipe": recipe.plain() if recipe else {}}
        return KeptResult.of(plain | {"result": result.model_dump(mode="json")}).model_dump_json(ensure_ascii=True)
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


def runs_in(page: str) -> tuple[Kept | KeptResult, ...]:
    """The runs that a report's page holds. Raises BadText where it holds none."""
    found = re.findall(re.escape(RUN) + "(.*?)</template>", page, re.DOTALL)
    if not found:
        raise BadText("no run of invivo's is in that page", hint="`invivo run 02 --out FOLDER` writes one that has it")
    try:
        plain = [json.loads(unescape(text)) for text in found]
        return tuple(KeptResult.of(one) if "kind" in one else Kept.of(one) for one in plain)
    except (TypeError, ValueError) as error:
        raise BadText(f"the run in that page cannot be read: {error}") from None


class Again(Spec):
    """One run beside the same run of before."""

    name: str
    """The lab, or the prompt."""
    same_text: bool
    """Whether every row said the same, token by token; of other results, whether every name and token is the same."""
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
        changed=_changed(kept.versions, now.versions),
    )


def again_of(kept: KeptResult, now: Result) -> Again:
    """Any other result of before beside the one of now: every number in it, and every text that is not prose."""
    before, after = dict(_leaves(kept.result)), dict(_leaves(now.model_dump(mode="json")))
    same, largest, where = before.keys() == after.keys(), 0.0, ""
    for path in before.keys() & after.keys():
        a, b = before[path], after[path]
        if isinstance(a, float) or isinstance(b, float):
            gap = _gap(_finite(a), _finite(b))
            if gap > largest:
                largest, where = gap, path
        else:
            same = same and a == b
    was, versions = kept.result.get("versions") or {}, getattr(now, "versions", {})
    return Again(
        name=kept.name,
        same_text=same,
        apart=largest,
        metric=where,
        same_weights=kept.result.get("revision") == getattr(now, "revision", None),
        changed=_changed(was, versions),
    )


# What a run tells beside its numbers: prose follows from them, and the rest is about the machine.
BESIDE = ("seconds", "versions", "revision", "device", "recipe", "allowed", "title", "sentence", "blocks", "notes")


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if path or key not in BESIDE:
                yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}.{number}")
    else:
        yield path, value


def _changed(was: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Versions that are not what they were."""
    return tuple(f"{name} {old}, now {now[name]}" for name, old in was.items() if now.get(name, old) != old)


def _gap(before: float | None, after: float | None) -> float:
    """How far apart two numbers are, over the larger; numbers near 0 are measured against 1e-3."""
    if before is None or after is None:
        return 0.0 if before is after else math.inf
    return abs(before - after) / max(abs(before), abs(after), 1e-3)


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
