"""What a run tells while it goes on: one JSON object a line, in the order in which it happened."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ...experiment import Axis, Comparison, Grid, LabResult
from ...experiment.attribution import Attribution
from ...experiment.control import Control
from ...experiment.exhibit import Exhibit
from ...experiment.heads import HeadScores
from ...experiment.lens import Lens
from ...experiment.look import Look
from ...experiment.trials import Trials
from ...show.blocks import Document
from ...spec import Spec
from .shape import Like

AnyResult = Comparison | LabResult | Attribution | Control | Exhibit | Grid | HeadScores | Lens | Look | Trials


class Queued(Spec):
    """It waits; told again whenever the line moves."""

    event: Literal["queued"] = "queued"
    ahead: int
    """How many runs come before."""


class Started(Spec):
    """It is being run."""

    event: Literal["started"] = "started"
    what: str
    """What is being run, in a few words: the model's loading, the comparison, a lab's step."""


class Token(Spec):
    """A token that one row said."""

    text: str
    """Its text."""
    probability: float
    """How likely the row's own model found it."""


class Tokens(Spec):
    """What every row said next; None for a row that has ended."""

    event: Literal["tokens"] = "tokens"
    rows: tuple[Token | None, ...]
    """BASE first, then a TWEAK each."""


class Axes(Spec):
    """What a sweep's places are, before the first is known."""

    event: Literal["axes"] = "axes"
    axes: tuple[Axis, ...]
    """Their names, in order."""
    cases: int
    """On how many prompts each place is tried."""


class Cells(Spec):
    """Places of a sweep that are known now."""

    event: Literal["cells"] = "cells"
    case: int
    """Which of the prompts."""
    at: tuple[int, ...]
    """Numbers of the places."""
    values: tuple[float | None, ...]
    """Their values."""
    done: int
    """How many are known."""
    total: int
    """Of how many."""


class Compared(Spec):
    """A lab's comparison is there; its steps are still to come."""

    event: Literal["compared"] = "compared"
    kind: str
    """LabResult."""
    result: Annotated[dict[str, Any], Like(LabResult)]
    """The lab's result without its steps."""
    document: Annotated[dict[str, Any], Like(Document)]
    """What to show of it, block by block."""
    numbers: dict[str, tuple[float | None, ...]]
    """Each metric of the comparison, BASE's first, then a TWEAK row each."""


class Done(Spec):
    """It is finished, and this came out."""

    event: Literal["done"] = "done"
    kind: str
    """The result's class."""
    result: Annotated[dict[str, Any], Like(AnyResult)]
    """The result, as `--json` prints it."""
    document: Annotated[dict[str, Any], Like(Document)]
    """What to show of it, block by block."""
    numbers: dict[str, tuple[float | None, ...]]
    """Each metric of a comparison, BASE's first, then a TWEAK row each; empty for other results."""
    seconds: float
    """How long it took, without the wait."""


class Failed(Spec):
    """It could not be run."""

    event: Literal["failed"] = "failed"
    what: str
    """What is wrong."""
    hint: str | None = None
    """The nearest right spelling, or the next step."""
    field: str | None = None
    """Which field of the request is meant, where that can be told: prompt, tweaks.0, decoding.top_k."""


Event = Annotated[Queued | Started | Tokens | Axes | Cells | Compared | Done | Failed, Field(discriminator="event")]
