"""A lab: an experiment of the guide with why, what to know, what to look for, and a claim that is checked.

A lab file is declarative: it builds one `Lab` and names metrics and pictures. Its functions get finished data (a
Comparison) and return words, so a lab file never loads torch and never loops over a model.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from ..show.blocks import Document
from ..spec import Spec
from .comparison import Comparison
from .plan import Experiment
from .result import Result


class Claim(Spec):
    """A sentence about the result that must be true, and how to tell."""

    text: str
    """The sentence."""
    holds: Callable[[Comparison], bool]
    """Whether it is true of a result."""
    exact: bool = False
    """True for any model; otherwise claimed for fruitfly only."""


class Lab(Spec):
    """One lab of the guide."""

    number: str = Field(pattern=r"^\d\d$")
    """Two digits, as in the guide's file names."""
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The guide's file name without number and ending."""
    section: int = Field(ge=0, le=10)
    """Section of the guide."""
    title: str
    """A few words."""
    why: str
    """Why anyone should care, in a short paragraph."""
    know: tuple[str, ...]
    """What to know beforehand, one idea each."""
    experiment: Experiment
    """What is run."""
    numbers: tuple[str, ...]
    """Names of the metrics that matter here, in order."""
    pictures: tuple[str, ...] = ()
    """Names of the pictures to draw."""
    look_for: str
    """Where to look in the result."""
    takeaway: Callable[[Comparison], str]
    """One line drafted from the measured numbers."""
    claims: tuple[Claim, ...]
    """What CI checks."""
    questions: tuple[str, ...]
    """What to try next."""
    sources: tuple[str, ...]
    """Papers or pages."""
    hero: int = -1
    """Which TWEAK row the texts and pictures show; the last by default."""

    @property
    def full_name(self) -> str:
        """`02_head_ablation`."""
        return f"{self.number}_{self.name}"

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every name it answers to."""
        return (self.number, str(int(self.number)), self.name, self.full_name, f"{self.full_name}.py")


class Verdict(Spec):
    """Whether a claim held."""

    text: str
    """The claim."""
    holds: bool
    """Whether it is true of this result."""
    expected: bool
    """Whether it is claimed for this model at all."""


class LabResult(Result):
    """A lab after its run."""

    lab: str
    """Full name."""
    comparison: Comparison
    """What came out."""
    takeaway: str
    """The drafted line."""
    verdicts: tuple[Verdict, ...]
    """Its claims."""

    def document(self, lab: Lab | None = None) -> Document:
        """What to show of it, in order: inside the lab's text where that is at hand, else with its claims alone."""
        from .views import lab_document, result_document

        return result_document(self) if lab is None else lab_document(lab, self)
