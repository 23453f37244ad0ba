"""Tweaks along a direction: a vector that was made from two sets of prompts and kept under a name.

The line says only which direction; its numbers are in a file that the engine reads when the model is known. A direction
is added as it was saved, at its own length, and nothing is rescaled on the way: one that is a mean difference leads, at
strength 1, from the mean of the prompts without to the mean of the prompts with. How long that is beside what is usual
at the place, `invivo directions` says.

Steering acts once at every position it is asked for, prompt and generated ones alike; `during` and `at` restrict it. A
KV cache makes no difference: what it holds of a position was computed when that position was steered. What this module
does not do: make directions, or read files.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, model_validator

from ..errors import BadText
from ..spec import NAME, QUOTED, Number, Spelling, read_quoted
from .activation import Activation, Here

if TYPE_CHECKING:
    from .activation import Tensor

SUFFIX = ".safetensors"


def direction_name(text: str) -> str:
    """A direction's name, or the path of its file. Raises BadText for whatever else, which might leave the folder."""
    if re.fullmatch(NAME.pattern, text) or (text.endswith(SUFFIX) and text.isprintable()):
        return text
    raise BadText(
        f"{text!r} is no name of a direction",
        hint=f"a name is letters, digits, - and _, as in politeness; a file is a path that ends in {SUFFIX}",
    )


def written(name: str) -> str:
    """A direction as it stands in a tweak's line: a path in quotes."""
    return json.dumps(name, ensure_ascii=False) if name.endswith(SUFFIX) else name


DIRECTION = Spelling(
    f"{NAME.pattern}|{QUOTED.pattern}",
    lambda text: read_quoted(text) if text[0] in "\"'" else text,
    written,
    "DIRECTION",
    "politeness",
)
ADirection = Annotated[str, AfterValidator(direction_name), DIRECTION]


class Directed(Activation):
    """A change along a direction, which lies along the last axis of the place."""

    direction: ADirection
    """Name of the direction, or in quotes the path of its file; `invivo directions` lists them."""

    @property
    def files(self) -> tuple[str, ...]:
        return (self.direction,) if self.direction.endswith(SUFFIX) else ()

    @model_validator(mode="after")
    def _has_a_width(self) -> Directed:
        if self.place.site in ("scores", "pattern"):
            raise BadText(f"{self.place.site} is as wide as the text is long, so no direction fits it")
        return self


class Steer(Directed):
    """Add a saved direction times a strength (activation addition, Turner et al. 2023; Rimsky et al. 2024).

    The direction keeps its own length: of a mean difference, strength 1 is the way between the two means. It is added
    once at each position, on every generated token too, and equally with and without a KV cache.
    """

    form: ClassVar[str] = "steer {place} with {direction} by {strength}[ during {during}]"
    strength: Number
    """How many times the direction is added; negative ones lead the other way."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old + self.strength * here.direction()


class Project(Directed):
    """Take out what lies along a saved direction (directional ablation, Arditi et al. 2024); its length does not count.

    What is left at each position is orthogonal to the direction, on generated tokens too.
    """

    form: ClassVar[str] = "project {direction} out of {place}[ during {during}]"

    def change(self, old: Tensor, here: Here) -> Tensor:
        direction = here.direction()  # (width,)
        unit = direction / direction.norm()
        return old - (old * unit).sum(-1, keepdim=True) * unit

    @model_validator(mode="after")
    def _whole(self) -> Project:
        if self.place.units is not None:
            raise BadText(
                f"a direction is projected out of all {self.place.unit_word} or none",
                hint=f"leave out `{self.place.unit_word} {self.place.units}`",
            )
        return self
