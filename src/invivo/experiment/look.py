"""Looking at what one head attends to: its pattern on a prompt, as data."""

from __future__ import annotations

from pydantic import Field

from ..pictures import Heatmap
from ..show.blocks import Block, Document, Figure, Heading, Text
from ..show.text import number, quoted, visible
from ..spec import Name
from ..tweaks import Stack
from .recipe import OnModel
from .result import Result

MOST = 24  # tokens that a picture shows, the last ones


class LookRecipe(OnModel):
    """Whose pattern is looked at, and on what."""

    prompt: str
    """What is read."""
    layer: int
    """The head's layer."""
    head: int
    """The head."""
    tweak: Stack | None = None
    """The tweaks of the TWEAK row, whose pattern is then shown beside BASE's."""
    prompts: dict[Name, str] = Field(default_factory=dict)
    """Further prompts by name, which tweaks such as `copy … from clean` take values from."""


Pattern = tuple[tuple[float, ...], ...]


class Look(Result):
    """One head's attention pattern."""

    recipe: LookRecipe
    """What was run."""
    tokens: tuple[str, ...]
    """The prompt's tokens."""
    pattern: Pattern
    """[query][key]: how much of its attention each position gives to each; rows sum to 1, keys to the right are 0."""
    revision: str
    """Which weights exactly."""
    tweak: Pattern | None = None
    """The same under TWEAK."""
    notes: tuple[str, ...] = ()
    """What the reader must know."""

    @property
    def name(self) -> str:
        """The head, as `3.5`."""
        return f"{self.recipe.layer}.{self.recipe.head}"

    def document(self) -> Document:
        """The pattern, and where the last token looks; with a tweak, its pattern and the difference, too."""
        name = f"pattern-{self.recipe.layer}-{self.recipe.head}"
        row = "" if self.tweak is None else "BASE: "
        blocks: list[Block] = [
            Heading(text=f"The pattern of head {self.name}"),
            Figure(picture=self._map(f"{row}what head {self.name} looks at", self._at_last(self.pattern)), name=name),
        ]
        if self.tweak is not None:
            title = f"TWEAK {self.recipe.tweak}: what head {self.name} looks at"
            drawn = self._map(title, self._at_last(self.tweak), self.tweak)
            pairs = zip(self.pattern, self.tweak, strict=True)
            change = tuple(tuple(b - a for a, b in zip(one, two, strict=True)) for one, two in pairs)
            apart = self._map("TWEAK minus BASE", self._moved(change), change, signed=True)
            blocks += [Figure(picture=drawn, name=f"{name}-tweak"), Figure(picture=apart, name=f"{name}-difference")]
        blocks += [Text(text=note, tone="note") for note in self.notes]
        masked = "What is blank is masked: no position sees what stands to its right."
        return Document(blocks=(*blocks, Text(text=masked, tone="dim")))

    def _at_last(self, pattern: Pattern) -> str:
        last = pattern[-1]
        top = max(range(len(last)), key=last.__getitem__)
        return (
            f"From the last token, {quoted(self.tokens[-1])}, head {self.name} looks most at "
            f"{quoted(self.tokens[top])} (position {top}), with {number(100 * last[top], 0)} % of its attention."
        )

    def _moved(self, change: Pattern) -> str:
        start = max(0, len(self.tokens) - MOST)  # a picture's sentence is about what it shows
        shown = ((q, k) for q in range(start, len(change)) for k in range(start, q + 1))
        query, key = max(shown, key=lambda place: abs(change[place[0]][place[1]]))
        size = abs(change[query][key])
        if size < 0.0005:
            return (
                f"The tweak leaves where head {self.name} looks as it was: it acts after this head, or on its output."
            )
        way = "more" if change[query][key] > 0 else "less"
        return (
            f"From {quoted(self.tokens[query])} (position {query}), head {self.name} looks {number(100 * size, 0)} "
            f"percentage points {way} at {quoted(self.tokens[key])} (position {key}) than in BASE: its largest change."
        )

    def _map(self, title: str, summary: str, pattern: Pattern | None = None, *, signed: bool = False) -> Heatmap:
        start = max(0, len(self.tokens) - MOST)
        shown = tuple(map(visible, self.tokens[start:]))
        return Heatmap(
            title=title[:1].upper() + title[1:],
            summary=summary,
            rows=shown,
            columns=shown,
            row_name="from",
            column_name="to",
            unit="percentage points" if signed else "attention, %",
            diverging=signed,
            values=tuple(
                tuple(100 * v if key <= query else None for key, v in enumerate(row[start:], start))
                for query, row in enumerate((pattern or self.pattern)[start:], start)
            ),
        )
