"""Direct logit attribution: what each component writes straight into the answer's logit, as data.

The residual stream is a sum: embeddings, every head, every MLP, every bias. With the last norm's scale held at what it
was, the logit is linear in that sum, so each part has its share, and the shares add up to the logit. It says what is
read off directly, not what would happen without the part: for that, ablate it.
"""

from __future__ import annotations

from ..pictures import Bars, Heatmap, Series
from ..show import shell
from ..show.blocks import Block, Document, Figure, Heading, Table, Text
from ..show.text import number, quoted
from ..spec import Spec
from .recipe import OnModel
from .result import Result

LISTED = 12


class Share(Spec):
    """One component's part of the logit."""

    component: str
    """embed, pos_embed, `head 3.5`, `L3.attn_out` (its bias, or all of it where heads cannot be told apart) …"""
    layer: int | None
    """Its layer."""
    head: int | None
    """Its head."""
    logit: float
    """What it adds to the logit, or to the difference of two logits."""


class AttributionRecipe(OnModel):
    """Whose logit is shared out."""

    prompt: str
    """What is read."""
    target: str
    """The answer."""
    wrong: str | None = None
    """The answer it is compared with."""

    def to_cli(self) -> str:
        """The command that runs it."""
        words = ["invivo", "attribute", "--target", self.target]
        words += ["--wrong", self.wrong] if self.wrong else []
        words += ["--model", self.model] if self.model != "fruitfly" else []
        return shell.join([*words, "--", self.prompt])


class Attribution(Result):
    """All shares of one logit, or of the difference of two."""

    prompt: str
    """What was read."""
    target: str
    """The answer."""
    wrong: str | None
    """The answer it is compared with; None for the target's own logit."""
    shares: tuple[Share, ...]
    """One a component, in the order of the forward pass."""
    total: float
    """What the model itself gives, before any soft cap."""
    model: str
    """Name of the model."""
    revision: str
    """Which weights exactly."""
    notes: tuple[str, ...] = ()
    """What the reader must know."""

    @property
    def rest(self) -> float:
        """What the shares leave unexplained: rounding."""
        return self.total - sum(s.logit for s in self.shares)

    def ranked(self) -> list[Share]:
        """Shares by size, largest first."""
        return sorted(self.shares, key=lambda s: -abs(s.logit))

    def summary(self) -> str:
        """One sentence: who writes most."""
        best = self.ranked()[0]
        what = f"{quoted(self.target)}" + (f" over {quoted(self.wrong)}" if self.wrong else "")
        verb = "speaks for" if best.logit > 0 else "speaks against"
        return f"`{best.component}` {verb} {what} most, with {_signed(best.logit)} of {_signed(self.total)}."

    def document(self) -> Document:
        """Who writes what, as a map of the heads, bars of the largest, and a table."""
        blocks: list[Block] = [Heading(text="Who writes the answer"), Text(text=self.summary())]
        heads = [s for s in self.shares if s.head is not None]
        if heads:
            most = max(heads, key=lambda s: abs(s.logit))
            layers, width = 1 + max(s.layer or 0 for s in heads), 1 + max(s.head or 0 for s in heads)
            table: list[list[float | None]] = [[None] * width for _ in range(layers)]
            for s in heads:
                table[s.layer or 0][s.head or 0] = s.logit
            blocks.append(
                Figure(
                    name="attribution-heads",
                    picture=Heatmap(
                        title="what each head writes into the logit",
                        summary=f"Of the heads, {most.component[5:]} writes most: {_signed(most.logit)}.",
                        rows=tuple(map(str, range(layers))),
                        columns=tuple(map(str, range(width))),
                        values=tuple(map(tuple, table)),
                        row_name="layer",
                        column_name="head",
                        unit="logit",
                        diverging=True,
                    ),
                )
            )
        shown = self.ranked()[:LISTED]
        blocks.append(
            Figure(
                name="attribution",
                picture=Bars(
                    title="the largest shares",
                    summary=f"{len(shown)} of {len(self.shares)} shares; together all make {_signed(self.total)}.",
                    labels=tuple(s.component for s in shown),
                    unit="logit",
                    series=(Series(name="share", role="tweak", values=tuple(s.logit for s in shown)),),
                ),
            )
        )
        positive = sum(s.logit for s in self.shares if s.logit > 0)
        rows = (
            ("all that speak for it", _signed(positive, 3)),
            ("all that speak against it", _signed(sum(s.logit for s in self.shares) - positive, 3)),
            ("together", _signed(sum(s.logit for s in self.shares), 4)),
            ("the model's own", _signed(self.total, 4)),
        )
        blocks.append(Table(columns=("", "logit"), rows=rows))
        blocks += [Text(text=note, tone="note") for note in self.notes]
        return Document(blocks=tuple(blocks))


def _signed(logit: float, decimals: int = 2) -> str:
    return number(logit, decimals, signed=True)
