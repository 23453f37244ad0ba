"""What goes over the wire beside texts and events: questions, short answers, refusals."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any, Self

from ...experiment import Comparison, Experiment
from ...journal import Entry
from ...show.blocks import Document
from ...spec import Spec
from .desk import Opened
from .runs import KINDS
from .shape import Like

AnyRecipe: Any = reduce(or_, (kind.recipe for kind in KINDS.values()))


class Problem(Spec):
    """What a refusal says, in the command line's words."""

    what: str
    """What is wrong."""
    hint: str | None = None
    """The nearest right spelling, or the next step."""
    field: str | None = None
    """Which field of the request is meant."""


class ToCut(Spec):
    """A text to be cut into tokens."""

    text: str
    """The text."""
    model: str
    """For which model."""


class ALine(Spec):
    """A TWEAK row as one line."""

    line: str
    """Its tweaks, joined by ` + `."""


class Asked(Spec):
    """A recipe of some kind."""

    kind: str
    """compare, sweep, lens …"""
    recipe: Annotated[dict[str, Any], Like(AnyRecipe)]
    """Its fields."""


class Learned(Spec):
    """What was learned from a run."""

    run: str
    """The run's number, as its stream said it in `x-run`."""
    takeaway: str
    """One line."""


class Place(Spec):
    """Where an entry is to go."""

    above: str | None = None
    """The entry that it is to stand above; last where none is named."""


class State(Spec):
    """What the server is doing."""

    version: str
    """invivo's."""
    models: tuple[Opened, ...]
    """The models that may be asked for."""
    waiting: int
    """How many runs are on or wait."""


class Piece(Spec):
    """A token of a text."""

    id: int
    """Vocabulary index."""
    text: str
    """Its text."""


class Cut(Spec):
    """A text in tokens."""

    tokens: tuple[Piece, ...]
    """In order."""


class Forms(Spec):
    """A recipe in its other forms; null where it has none."""

    cli: str | None
    """The command."""
    yaml: str
    """YAML."""
    python: str | None
    """Python."""


class Card(Spec):
    """A kept run as the journal's list shows it."""

    id: str
    """What it is called."""
    created: str
    """When, in UTC."""
    kind: str
    """What sort of run: compare, lab …"""
    lab: str | None
    """Full name of the lab, if it was one."""
    title: str
    """The tweaks and the prompt."""
    takeaway: str
    """What was learned."""
    recipe: Experiment
    """What was run."""
    rows: tuple[str, ...]
    """What the numbers' columns are."""
    numbers: dict[str, tuple[float | None, ...]]
    """Each metric, BASE's first."""

    @classmethod
    def made(cls, entry: Entry) -> Self:
        """The card of an entry. Raises Refused for one that is no comparison: the page cannot open it."""
        if not isinstance(entry.recipe, Experiment):
            raise entry.no_comparison()
        return cls(**{name: getattr(entry, name) for name in Card.model_fields})


class Whole(Card):
    """A kept run with all that came out."""

    result: Comparison
    """What came out."""
    document: Document
    """What to show of it, with its figures."""
