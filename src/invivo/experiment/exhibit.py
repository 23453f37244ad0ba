"""An exhibit: something to see in a model that is no comparison of runs, such as how a prompt is cut into pieces.

Every exhibit has a name, settings of its own, and gives the same kind of thing: a sentence, numbers with names (what
claims are made about), and blocks to show. So a new one is one file in `engine/exhibits/`, and no class here.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from ..show import shell
from ..show.blocks import Block, Document, Heading, Text
from ..spec import Name
from .recipe import OnModel
from .result import Result


class ExhibitRecipe(OnModel):
    """Which exhibit, with which settings."""

    name: str
    """The exhibit's name: `invivo show` lists them."""
    settings: dict[Name, Any] = Field(default_factory=dict)
    """Its settings, where they are not the usual ones."""

    def to_cli(self) -> str:
        """The command that shows it."""
        words = ["invivo", "show", self.name]
        for flag in ("model", "revision", "dtype"):
            if getattr(self, flag) != type(self).model_fields[flag].default:
                words += [f"--{flag}", getattr(self, flag)]
        return shell.join([*words, *(f"{name}={_word(value)}" for name, value in self.settings.items())])


def _word(value: Any) -> str:
    """A setting as one word of a command line; lists are read back as YAML."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple) else str(value)


class Exhibit(Result):
    """What there was to see."""

    recipe: ExhibitRecipe
    """What was asked for."""
    title: str
    """A few words."""
    sentence: str
    """What there is to see, in one sentence with its numbers."""
    numbers: dict[str, float]
    """The measured numbers by name."""
    blocks: tuple[Block, ...]
    """What to show, in order."""
    revision: str
    """Which weights exactly."""

    def document(self) -> Document:
        """The sentence, unless a picture says it, then what there is to show."""
        drawn = Document(blocks=self.blocks)
        said = any(figure.picture.summary == self.sentence for figure in drawn.figures)
        return Document(blocks=(Heading(text=self.title), *(() if said else (Text(text=self.sentence),)))) + drawn
