"""What each attention head looks at, and what is lost without it: scores of all heads, as data.

Read on random tokens, repeated once, so that only the position and the repetition can be followed, never the meaning.
"""

from __future__ import annotations

from pydantic import Field

from ..pictures import Heatmap
from ..show import shell
from ..show.blocks import Block, Document, Figure, Heading, Table, Text
from .recipe import OnModel
from .result import Result

SHOWN = 4  # heads listed of each kind
KINDS = {
    "induction": "looks at what came after the same token's last occurrence (Olsson et al. 2022)",
    "previous_token": "looks at the token just before",
    "duplicate_token": "looks at the same token's last occurrence (Wang et al. 2022)",
}


class HeadsRecipe(OnModel):
    """How many strings are read, and how long they are."""

    rows: int = Field(default=6, ge=1)
    """How many strings."""
    length: int = Field(default=24, ge=2)
    """Tokens of a string before it is repeated."""
    seed: int = Field(default=0, ge=0)
    """Which strings."""

    def to_cli(self) -> str:
        """The command that runs it."""
        return shell.join(["invivo", "heads", *(["--model", self.model] if self.model != "fruitfly" else [])])


class HeadScores(Result):
    """Scores of every head: [layer][head]."""

    induction: tuple[tuple[float, ...], ...]
    """Mean attention, in the second round, on the token after the same token's first occurrence."""
    previous_token: tuple[tuple[float, ...], ...]
    """Mean attention on the token just before."""
    duplicate_token: tuple[tuple[float, ...], ...]
    """Mean attention, in the second round, on the same token's first occurrence."""
    effect_nats: tuple[tuple[float, ...], ...]
    """By how much the second round becomes dearer when the head is mean-ablated, in nats a token."""
    first_nats: float
    """What a token of the first round costs: it cannot be foreseen."""
    second_nats: float
    """What a token of the second round costs."""
    rows: int
    """How many strings were read."""
    length: int
    """Tokens of a string before it is repeated."""
    seed: int
    """Which strings."""
    model: str
    """Name of the model."""
    revision: str
    """Which weights exactly."""
    versions: dict[str, str]
    """What computed it."""

    def ranked(self, kind: str) -> list[tuple[str, float]]:
        """Heads as `layer.head` with their score, best first."""
        table = getattr(self, kind)
        cells = [(f"{layer}.{head}", score) for layer, row in enumerate(table) for head, score in enumerate(row)]
        return sorted(cells, key=lambda cell: -cell[1])

    @property
    def drop_nats(self) -> float:
        """How much cheaper the second round is: what copying from the context is worth here."""
        return self.first_nats - self.second_nats

    def summary(self) -> str:
        """One sentence: whether the model copies, and by which head."""
        head, score = self.ranked("induction")[0]
        if self.drop_nats < 0.2:
            return f"The second round costs as much as the first: {self.model} does not copy what it saw before."
        worst, lost = self.ranked("effect_nats")[0]
        return (
            f"The second round costs {self.second_nats:.2f} nats a token instead of {self.first_nats:.2f}. Head {head} "
            f"looks most at what came next last time ({100 * score:.0f} % of its attention); without head {worst} the "
            f"second round costs {lost:.2f} nats more."
        )

    def document(self) -> Document:
        """A map for each score, and the best heads of each kind."""
        blocks: list[Block] = [
            Heading(text="What heads look at"),
            Text(
                text=f"On {self.rows} strings of {self.length} random tokens, each repeated once: what repeats can "
                "only be known from before."
            ),
            Text(text=self.summary()),
        ]
        for kind, what in KINDS.items():
            blocks.append(self._map(kind, f"{kind.replace('_', ' ')}: {what}", "share of attention, %", 100.0))
        blocks.append(self._map("effect_nats", "what is lost without the head", "second round, nats a token", 1.0))
        rows = [
            (kind.replace("_", " ").removesuffix(" nats"), *(f"{head} ({score:.2f})" for head, score in ranked[:SHOWN]))
            for kind, ranked in ((kind, self.ranked(kind)) for kind in (*KINDS, "effect_nats"))
        ]
        names = ("", "best", "second", "third", "fourth")[: 1 + max(len(r) - 1 for r in rows)]
        blocks += [Heading(text="The best of each kind"), Table(columns=names, rows=tuple(rows))]
        head, _ = self.ranked("induction")[0]
        blocks.append(Text(text=f'See one at work: invivo compare "…" --tweak "zero head {head}"', tone="dim"))
        return Document(blocks=tuple(blocks))

    def _map(self, kind: str, title: str, unit: str, scale: float) -> Figure:
        table = getattr(self, kind)
        head, score = self.ranked(kind)[0]
        return Figure(
            name=f"heads-{kind.replace('_', '-')}",
            picture=Heatmap(
                title=title,
                summary=f"Head {head} has the most, {scale * score:.3g}.",
                rows=tuple(map(str, range(len(table)))),
                columns=tuple(map(str, range(len(table[0])))),
                row_name="layer",
                column_name="head",
                values=tuple(tuple(scale * v for v in row) for row in table),
                unit=unit,
                diverging=kind == "effect_nats",
            ),
        )
