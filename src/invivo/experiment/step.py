"""A step of a lab: a further experiment of any kind, made from the lab's own, with what to see and what must hold.

A lab's comparison shows that something happens; its steps show where, how much and how surely. A step's recipe is a
function of the lab's experiment, so a reader who changes the prompt changes it in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from pydantic import Field, SerializeAsAny, model_validator

from ..errors import BadText
from ..show.blocks import Block, Code, Heading, Points, Text
from ..spec import Spec
from .plan import Experiment
from .recipe import Recipe
from .result import Result

REAL = "real"  # the name of the step that every lab ends with: the control

# Every kind of result that a step can have, and where it lives.
RESULTS = {
    "Attribution": "attribution",
    "Comparison": "comparison",
    "Control": "control",
    "Exhibit": "exhibit",
    "Grid": "sweep",
    "HeadScores": "heads",
    "Lens": "lens",
    "Look": "look",
    "Trials": "trials",
}


class Claim(Spec):
    """A sentence about a result that must be true, and how to tell."""

    text: str
    """The sentence."""
    holds: Callable[[Any], bool]
    """Whether it is true of a result."""
    exact: bool = False
    """True for any model; otherwise claimed for fruitfly only."""


class Verdict(Spec):
    """Whether a claim held."""

    text: str
    """The claim."""
    holds: bool
    """Whether it is true of this result."""
    expected: bool
    """Whether it is claimed for this model at all."""

    @property
    def line(self) -> str:
        """The claim with a mark, or with what is to be said of it where nothing was claimed."""
        if self.expected:
            return f"{'✓' if self.holds else '✗'} {self.text}"
        return f"{self.text} (Not claimed for this model; here it {'holds' if self.holds else 'does not hold'}.)"


class Step(Spec):
    """One further experiment of a lab."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """A word for it in code and file names; the control's is `real`."""
    title: str
    """A few words, or a question."""
    text: str
    """What is done, and where to look."""
    recipe: Callable[[Experiment], Recipe]
    """What is run, given the experiment that the lab ran."""
    claims: tuple[Claim, ...] = ()
    """What CI checks of its result."""


class StepResult(Spec):
    """A step after its run."""

    name: str
    """The step's name."""
    title: str
    """Its title."""
    text: str
    """What was done."""
    kind: str = ""
    """Which kind of result it has."""
    result: SerializeAsAny[Result] | None = None
    """What came out; None where the step could not be run."""
    command: str | None = None
    """The command that runs this step alone, where there is one."""
    skipped: str = ""
    """Why it could not be run on this model."""
    verdicts: tuple[Verdict, ...] = ()
    """Its claims."""

    @model_validator(mode="before")
    @classmethod
    def _of_its_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("result"), dict):
            if data.get("kind") not in RESULTS:
                raise BadText(f"no step has a result of kind {data.get('kind')!r}")
            return data | {"result": result_class(data["kind"]).of(data["result"])}
        return data

    @property
    def blocks(self) -> list[Block]:
        """What to show of it, below the lab's own headings."""
        found: list[Block] = [Heading(text=self.title), Text(text=self.text)]
        if self.result is None:
            return [*found, Text(text=f"Not here: {self.skipped}", tone="note")]
        found += within(self.result)
        found += [Points(items=tuple(v.line for v in self.verdicts))] if self.verdicts else []
        return [*found, Code(text=self.command)] if self.command else found


def result_class(kind: str) -> type[Result]:
    """The class of that kind of result."""
    return cast(type[Result], getattr(import_module(f"{__package__}.{RESULTS[kind]}"), kind))


def within(result: Result) -> list[Block]:
    """A result's document as a part of another: without its title, its headings one level down, and without how to
    run it again, which the whole says.
    """
    found: list[Block] = []
    for number, block in enumerate(result.document().blocks):
        if isinstance(block, Heading):
            if block.text == "Run it again":
                break
            if number > 0:
                found.append(Heading(text=block.text, level=3))
        else:
            found.append(block)
    return found
