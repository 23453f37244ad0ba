"""What a self-test found: the laws of the engine, each with what was measured on one model and one device.

A law is a sentence that must be true of any model, with the largest difference that was found and the largest that
rounding explains. Most are equalities; one that is an inequality says so (`above`), and is there so that the
equalities mean something: an engine that does nothing at all keeps every equality. A law that a model gives no
occasion to break is not offered, with the reason, and counts for nothing.
"""

from __future__ import annotations

from typing import Literal

from ..show.blocks import Block, Document, Heading, Points, Table, Text
from ..spec import Spec
from .result import Result

Outcome = Literal["holds", "does not hold", "not offered"]
SIGNS: dict[Outcome, str] = {"holds": "✓", "does not hold": "✗", "not offered": "–"}


class Law(Spec):
    """One law, and what became of it."""

    name: str
    """A few words."""
    says: str
    """The law, in one sentence."""
    outcome: Outcome
    """Whether it holds here."""
    unit: str
    """What the difference is counted in."""
    difference: float | None = None
    """The largest difference found (the smallest, where it must be above the limit); None where none was measured."""
    limit: float | None = None
    """How large it may be, or must be."""
    above: bool = False
    """Whether the difference must be above the limit instead of at most as large."""
    note: str = ""
    """Why it is not offered, where it broke, or how it was tried."""


class SelfTest(Result):
    """Every law, tried on one model."""

    model: str
    """Name or folder of the model."""
    revision: str
    """Which weights exactly."""
    device: str
    """Where it ran and in which number format."""
    laws: tuple[Law, ...]
    """The laws, in the order in which they were tried."""
    versions: dict[str, str]
    """Versions of what the numbers depend on."""
    seconds: float
    """How long it took."""

    @property
    def broken(self) -> tuple[Law, ...]:
        """The laws that do not hold."""
        return tuple(law for law in self.laws if law.outcome == "does not hold")

    @property
    def healthy(self) -> bool:
        """Whether no law is broken."""
        return not self.broken

    def law(self, name: str) -> Law:
        """The law of that name."""
        return next(law for law in self.laws if law.name == name)

    def document(self) -> Document:
        """The table of laws, what is to be said about some of them, and what they were tried on."""
        from .views import short_revision  # views know every kind of result

        rows = tuple((SIGNS[w.outcome], w.name, w.says, _number(w), _limit(w)) for w in self.laws)
        blocks: list[Block] = [
            Heading(text=f"What holds of {self.model}"),
            Table(columns=("", "law", "what it says", "found", "allowed"), rows=rows),
            Text(text=summary(self), tone="note" if self.broken else "plain"),
        ]
        for outcome, title in (("does not hold", "What does not hold"), ("not offered", "What could not be tried")):
            told = tuple(f"{w.name}: {w.note or 'see the table'}" for w in self.laws if w.outcome == outcome)
            blocks += [Heading(text=title), Points(items=told)] if told else []
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        units = "Differences of logits are shares of BASE's largest logit. "
        where = f"{self.model} at {short_revision(self.revision)}, on {self.device}; {self.seconds:.2g} s; {versions}"
        blocks.append(Text(text=units + where, tone="dim"))
        return Document(blocks=tuple(blocks))


def summary(test: SelfTest) -> str:
    """One sentence: how many laws hold, and what a broken one means."""
    tried = [law for law in test.laws if law.outcome != "not offered"]
    if not test.broken:
        return f"All {len(tried)} laws that this model gives occasion to break hold."
    names = ", ".join(law.name for law in test.broken)
    what = f"{len(test.broken)} of {len(tried)} laws do not hold: {names}"
    return f"{what}. Numbers that rest on them are not to be trusted."


def _number(law: Law) -> str:
    if law.difference is None:
        return SIGNS["not offered"]
    if law.unit == "logits":
        return f"{law.difference:.1e}"
    return f"{law.difference:g} {law.unit}"


def _limit(law: Law) -> str:
    if law.limit is None:
        return SIGNS["not offered"]
    return f"{'>' if law.above else '≤'} {law.limit:g}"
