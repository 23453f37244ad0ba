"""A lab: an experiment of the guide with why, what to know, what to look for, and a claim that is checked.

A lab file is declarative: it builds one `Lab` and names metrics and pictures. Its functions get finished data (a
Comparison) and return words, so a lab file never loads torch and never loops over a model.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from ..errors import unknown
from ..show import shell
from ..show.blocks import Document
from ..spec import Spec
from .comparison import Comparison
from .contrast import Contrast
from .plan import Experiment
from .result import Result
from .step import Claim, Step, StepResult, Verdict


class Lab(Spec):
    """One lab of the guide."""

    number: str = Field(default="", pattern=r"^(\d\d)?$")
    """Two digits, as in the guide's file names; a lab of the reader's own has none."""
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The guide's file name without number and ending."""
    section: int = Field(ge=0, le=11)
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
    steps: tuple[Step, ...] = ()
    """Further experiments, in order; the last one is the control."""
    finds: dict[str, str] = Field(default_factory=dict)
    """What the tweaks name for fruitfly and another model must be asked for: `head 2.3`, its induction head."""
    directions: Contrast | None = None
    """Directions that its tweaks name, made on the model at hand before anything runs."""
    all_rows: bool = False
    """Whether every TWEAK row's text and numbers are shown, not only the hero's."""
    hero: int = -1
    """Which TWEAK row the texts and pictures show; the last by default."""
    file: str = ""
    """The file that a lab of the reader's own was read from."""

    @property
    def full_name(self) -> str:
        """`02_head_ablation`; without a number the name alone."""
        return f"{self.number}_{self.name}" if self.number else self.name

    @property
    def label(self) -> str:
        """What people call it by: its number, or its name where it has none."""
        return self.number or self.name

    @property
    def command(self) -> str:
        """The command that runs it."""
        return shell.join(["invivo", "run", self.file or self.label])

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every name it answers to."""
        numbers = (self.number, str(int(self.number))) if self.number else ()
        return tuple(dict.fromkeys((*numbers, self.name, self.full_name, f"{self.full_name}.py")))


class LabResult(Result):
    """A lab after its run."""

    lab: str
    """Full name."""
    comparison: Comparison
    """What came out."""
    takeaway: str
    """The drafted line."""
    verdicts: tuple[Verdict, ...]
    """The claims about the comparison."""
    steps: tuple[StepResult, ...] = ()
    """The steps that were run, in order."""
    notes: tuple[str, ...] = ()
    """What the reader should know about the whole: what was found on this model in place of fruitfly's."""

    @property
    def all_verdicts(self) -> tuple[Verdict, ...]:
        """Every claim, the steps' too."""
        return (*self.verdicts, *(v for step in self.steps for v in step.verdicts))

    def step(self, name: str) -> StepResult:
        """The step of that name. Raises UnknownName."""
        by_name = {step.name: step for step in self.steps}
        if name not in by_name:
            raise unknown("step of this lab", name, by_name, "invivo run --json")
        return by_name[name]

    def document(self, lab: Lab | None = None) -> Document:
        """What to show of it, in order: inside the lab's text where that is at hand, else with its claims alone."""
        from .views import lab_document, result_document

        return result_document(self) if lab is None else lab_document(lab, self)
