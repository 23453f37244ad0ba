"""Is it real? An effect beside the same tweak at other places and on other prompts, and one plain sentence about it."""

from __future__ import annotations

from pydantic import Field

from ..metrics import metric_named
from ..pictures import Bars, Series
from ..show.blocks import Block, Document, Figure, Heading, Table, Text
from ..show.text import shorten
from ..tweaks import Activation, Stack
from ..tweaks.elsewhere import KINDS, kind_of
from .case import Case
from .recipe import OnModel
from .result import Result

SHOWN = 24  # bars at most
LONGEST = 40  # characters of a bar's label
UNLIKELY, ENOUGH = 0.05, 19  # the usual bar, and how many random places it takes to pass it


class ControlRecipe(OnModel):
    """Which tweak is tried elsewhere, and on what."""

    tweak: Stack
    """The tweak."""
    case: Case
    """Prompt and answers that the number is about."""
    metric: str = "kl_next"
    """The number."""
    count: int = Field(default=20, ge=1)
    """How many random places."""
    prompts: tuple[str, ...] = ()
    """Other prompts to try the tweak on."""


class Control(Result):
    """What a tweak did, and what the same tweak did elsewhere."""

    tweak: Stack
    """The tweak."""
    case: Case
    """Prompt and answers that the number is about."""
    metric: str
    """The number."""
    effect: float
    """TWEAK minus BASE."""
    lines: tuple[str, ...]
    """The same tweak at random places of the same kind."""
    others: tuple[float, ...]
    """Their effects."""
    prompts: tuple[str, ...] = ()
    """Other prompts that the tweak was tried on."""
    elsewhere: tuple[float, ...] = ()
    """Its effects there."""

    @property
    def beaten(self) -> int:
        """Random places whose effect is smaller in size."""
        return sum(abs(self.effect) > abs(other) for other in self.others)

    @property
    def same_sign(self) -> int:
        """Other prompts on which the effect has the same direction."""
        return sum(other * self.effect > 0 for other in self.elsewhere)

    @property
    def p_value(self) -> float:
        """Share of places, this one among them, with an effect as large (Phipson & Smyth 2010: never 0)."""
        return (len(self.others) - self.beaten + 1) / (len(self.others) + 1)

    def sentence(self) -> str:
        """The verdict in words."""
        size, count = metric_named(self.metric).text(self.effect), len(self.others)
        text = f"The effect ({size}) is larger than that of {self.beaten} of {count} random {self.kind}"
        if self.prompts:
            text += f", and has the same direction on {self.same_sign} of {len(self.prompts)} other prompts"
        if self.beaten == count and count < ENOUGH:
            return f"{text}; there are no more to compare with."
        return text + ("." if self.p_value <= UNLIKELY else ": as things stand, an anecdote.")

    @property
    def kind(self) -> str:
        """What was drawn anew, as people call it: heads, neurons, dims, positions, layers, seeds."""
        kind = kind_of(self.tweak)
        first = next(t for t in self.tweak if isinstance(t, Activation))
        return first.place.unit_word if kind == "units" else KINDS[kind]

    def blocks(self) -> list[Block]:
        """What to show of it, below the result it belongs to."""
        metric = metric_named(self.metric)
        ranked = sorted(
            [
                (str(self.tweak), self.effect, True),
                *((x, e, False) for x, e in zip(self.lines, self.others, strict=True)),
            ],
            key=lambda entry: -abs(entry[1]),
        )
        shown = ranked[:SHOWN]
        scale = 100.0 if metric.unit == "%" else 1.0
        picture = Bars(
            title=f"{metric.label}: this place and {len(self.others)} random ones",
            summary=f"By size, this place is number {len(self.others) - self.beaten + 1} of {len(self.others) + 1}.",
            labels=tuple(shorten(line, LONGEST) for line, _, _ in shown),
            unit=f"change of {metric.label}" + (f", {metric.unit}" if metric.unit else ""),
            series=(
                Series(
                    name="this place", role="tweak", values=tuple(scale * e if mine else None for _, e, mine in shown)
                ),
                Series(
                    name="random places",
                    role="other",
                    values=tuple(None if mine else scale * e for _, e, mine in shown),
                ),
            ),
        )
        found: list[Block] = [
            Heading(text="Is it real?"),
            Text(text=self.sentence()),
            Figure(picture=picture, name="control"),
        ]
        if self.prompts:
            rows = tuple((p, metric.text(e)) for p, e in zip(self.prompts, self.elsewhere, strict=True))
            found.append(Table(caption="The same tweak on other prompts", columns=("prompt", "effect"), rows=rows))
        return found

    def document(self) -> Document:
        """The control by itself."""
        return Document(blocks=tuple(self.blocks()))
