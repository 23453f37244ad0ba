"""Looking at what one head attends to: its pattern on a prompt, as data."""

from __future__ import annotations

from ..pictures import Heatmap
from ..show.blocks import Document, Figure, Heading, Text
from ..show.text import number, quoted, visible
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


class Look(Result):
    """One head's attention pattern."""

    recipe: LookRecipe
    """What was run."""
    tokens: tuple[str, ...]
    """The prompt's tokens."""
    pattern: tuple[tuple[float, ...], ...]
    """[query][key]: how much of its attention each position gives to each; rows sum to 1, keys to the right are 0."""
    revision: str
    """Which weights exactly."""

    @property
    def name(self) -> str:
        """The head, as `3.5`."""
        return f"{self.recipe.layer}.{self.recipe.head}"

    def document(self) -> Document:
        """The pattern, and where the last token looks."""
        last, start = self.pattern[-1], max(0, len(self.tokens) - MOST)
        top = max(range(len(last)), key=last.__getitem__)
        summary = (
            f"From the last token, {quoted(self.tokens[-1])}, head {self.name} looks most at "
            f"{quoted(self.tokens[top])} (position {top}), with {number(100 * last[top], 0)} % of its attention."
        )
        shown = tuple(map(visible, self.tokens[start:]))
        picture = Heatmap(
            title=f"What head {self.name} looks at",
            summary=summary,
            rows=shown,
            columns=shown,
            row_name="from",
            column_name="to",
            unit="attention, %",
            values=tuple(
                tuple(100 * v if key <= query else None for key, v in enumerate(row[start:], start))
                for query, row in enumerate(self.pattern[start:], start)
            ),
        )
        return Document(
            blocks=(
                Heading(text=f"The pattern of head {self.name}"),
                Figure(picture=picture, name=f"pattern-{self.recipe.layer}-{self.recipe.head}"),
                Text(text="What is blank is masked: no position sees what stands to its right.", tone="dim"),
            )
        )
