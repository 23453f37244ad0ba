"""What each layer would say if the model stopped there: a lens, as plain data.

A LensRecipe says which prompt is read through which lens and can be run again; a Lens is what was seen. *Raw* means the
logit lens (nostalgebraist 2020): a layer's output goes straight through the model's own end (last norm, head, and what
the family does to its logits). *Tuned* means the tuned lens (Belrose et al. 2023): an affine map for each layer, here
fitted by least squares, first takes it to where the last layer's would be. Nothing is computed here: engine/lens.py
does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from ..errors import BadText
from ..show import shell
from ..show.blocks import Document
from ..spec import Name, Spec
from ..tweaks import Activation, Stack
from .recipe import Recipe
from .result import Result

Grid = tuple[tuple[float, ...], ...]  # [layer][position]


class LensRecipe(Recipe):
    """One prompt, read by BASE and, where a tweak is given, by TWEAK, layer by layer."""

    prompt: str
    """What both read."""
    tweak: Stack | None = None
    """The tweaks of the TWEAK row, joined by ` + `."""
    prompts: dict[Name, str] = Field(default_factory=dict)
    """Further prompts by name, which tweaks such as `copy … from clean` take values from."""
    target: str | None = None
    """A token whose probability is followed through the layers."""
    tuned: bool = False
    """Whether each layer is first taken through its map (tuned lens); otherwise the raw logit lens."""
    text: str | None = None
    """A file of text that the maps are fitted on; text that the model itself generates, when left out."""
    top: int = Field(default=5, ge=1, le=100)
    """How many of the likeliest tokens are kept of each cell."""
    model: str = "fruitfly"
    """Name or folder of the model."""
    revision: str | None = None
    """The model's revision on its hub."""
    dtype: str | None = None
    """Number format of the weights; the model's own on a GPU, float32 on a CPU, when left out."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not self.prompt:
            raise BadText("the prompt is empty", hint="give at least one character to read")
        if self.text is not None and not self.tuned:
            raise BadText("a text to fit on is for the tuned lens", hint="add --tuned, or leave the text out")
        sources = [t.source_prompt for t in self.tweak or () if isinstance(t, Activation)]
        for name in sources:
            if name and name not in self.prompts:
                raise BadText(f"`{self.tweak}` needs a prompt called {name!r}", hint=f'add --prompt {name}="…"')
        return self

    def to_cli(self) -> str:
        """The command that runs it."""
        words = ["invivo", "lens"]
        words += [] if self.tweak is None else ["--tweak", str(self.tweak)]
        for name, text in self.prompts.items():
            words += ["--prompt", f"{name}={text}"]
        words += ["--tuned"] if self.tuned else []
        for flag in ("target", "text", "revision", "dtype"):
            words += [] if getattr(self, flag) is None else [f"--{flag}", getattr(self, flag)]
        for flag in ("top", "model"):
            if getattr(self, flag) != type(self).model_fields[flag].default:
                words += [f"--{flag}", str(getattr(self, flag))]
        return shell.join([*words, "--", self.prompt])


class Seen(Spec):
    """What one row, BASE or TWEAK, would say: everything is [layer][position], and the last layer is its output."""

    ids: tuple[tuple[tuple[int, ...], ...], ...]
    """The likeliest next tokens of each cell, likeliest first."""
    probabilities: tuple[tuple[tuple[float, ...], ...], ...]
    """Their probabilities."""
    entropy_nats: Grid
    """How undecided each cell is."""
    kl_nats: Grid
    """KL(last layer ‖ this layer): how far it is from what the row says in the end; 0 in the last layer."""
    target: Grid | None = None
    """Probability of the target."""
    moved_nats: Grid | None = None
    """KL(BASE ‖ TWEAK) of each cell; None for BASE."""

    @property
    def top(self) -> Grid:
        """Probability of each cell's likeliest token."""
        return tuple(tuple(cell[0] for cell in row) for row in self.probabilities)


class Fit(Spec):
    """How well a tuned lens does on text that it was not fitted on."""

    text: str
    """What it was fitted on."""
    tokens: int
    """How many tokens of it."""
    held_out: int
    """How many further tokens the numbers below are about."""
    raw_nats: tuple[float, ...]
    """Mean KL(last layer ‖ layer) of the raw lens, for each layer."""
    tuned_nats: tuple[float, ...]
    """The same through the maps. Where a map was no better it was dropped, and the layer is read raw."""
    reused: bool = False
    """Whether it was fitted earlier and read from disk."""


@dataclass(frozen=True)
class Guess:
    """A token that a layer might say next."""

    text: str
    probability: float


class Lens(Result):
    """What was seen through a lens."""

    recipe: LensRecipe
    """What was run."""
    prompt_tokens: tuple[str, ...]
    """The prompt's tokens: the positions."""
    base: Seen
    """BASE, layer by layer."""
    tweak: Seen | None = None
    """TWEAK, layer by layer."""
    texts: dict[int, str]
    """The text of every token that is named by its id."""
    fit: Fit | None = None
    """What the maps of a tuned lens are worth; None for the raw lens."""
    versions: dict[str, str]
    """What computed it."""
    revision: str
    """Which weights exactly."""
    device: str
    """Where, and in which number format."""
    notes: tuple[str, ...] = ()
    """What the reader must know."""
    seconds: float
    """How long it took."""

    @property
    def layers(self) -> int:
        """L."""
        return len(self.base.ids)

    @property
    def kind(self) -> str:
        """Which lens, with its source."""
        tuned = "tuned lens (after Belrose et al. 2023; maps by least squares)"
        return tuned if self.recipe.tuned else "raw logit lens (nostalgebraist 2020)"

    def cell(self, layer: int, position: int, *, tweak: bool = False) -> tuple[Guess, ...]:
        """The likeliest next tokens after `position` at `layer`; negative numbers count from the end."""
        seen = self.tweak if tweak else self.base
        if seen is None:
            raise BadText("this lens has no TWEAK", hint="give a tweak")
        chances = zip(seen.ids[layer][position], seen.probabilities[layer][position], strict=True)
        return tuple(Guess(self.texts[i], p) for i, p in chances)

    def settled(self, position: int = -1, *, tweak: bool = False) -> int:
        """The first layer from which on the likeliest token is the one that is said in the end."""
        tops = [self.cell(layer, position, tweak=tweak)[0].text for layer in range(self.layers)]
        return next((n + 1 for n in reversed(range(self.layers)) if tops[n] != tops[-1]), 0)

    def document(self) -> Document:
        """What to show of it, in order."""
        from .lens_view import lens_document

        return lens_document(self)
