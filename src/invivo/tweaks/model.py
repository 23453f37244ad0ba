"""Tweaks of the model itself: a row that runs on a second model, which is BASE's with something changed for good.

What a kind does to the weights is written in `engine/makers/`, one file a kind. Where several stand in one stack, they
are applied in order, and before all other tweaks of the row.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, model_validator

from ..errors import BadText, OutOfRange
from ..spec import Number, Spelling, Whole
from .base import Family, Tweak

MOST_BITS = 8
NF4_GROUPS = (0, *(32 * 2**n for n in range(8)))  # 0: its usual one


def number_format(text: str) -> str:
    """The name of a number format, in small letters. Raises OutOfRange for bits that nothing has, else BadText."""
    text = text.lower()
    if text == "nf4":
        return text
    bits = re.fullmatch(r"int(\d+)", text)
    if bits is None:
        raise BadText(f"no number format {text!r}", hint=f"there are int1 to int{MOST_BITS}, and nf4")
    if not 1 <= int(bits[1]) <= MOST_BITS:
        raise OutOfRange(f"{text} has {bits[1]} bits", hint=f"there are int1 to int{MOST_BITS}, and nf4")
    return text


FORMAT = Spelling(r"[A-Za-z]+\d+", str, str, "FORMAT", "int4")
Format = Annotated[str, AfterValidator(number_format), FORMAT]


class ModelTweak(Tweak):
    """A change that makes another model."""

    family: ClassVar[Family] = "model"

    def stamp(self) -> str:
        """What beside its line decides the model, such as the contents of a file; "" where nothing does."""
        return ""


class Prune(ModelTweak):
    """Set a share of the blocks' weights to zero: in every matrix the smallest ones (Han et al. 2015)."""

    form: ClassVar[str] = "prune {share} of weights"
    share: Number
    """Which share of each matrix, from 0 to 1."""

    @model_validator(mode="after")
    def _a_share(self) -> Prune:
        if not 0 <= self.share <= 1:
            raise OutOfRange(f"a share of {self.share:g} is not between 0 and 1", hint="half of the weights is 0.5")
        return self


class Quantize(ModelTweak):
    """Round the blocks' weights to few bits: whole numbers times a scale (int1 to int8), or 16 levels that are as far
    apart as a normal distribution is wide there (nf4, Dettmers et al. 2023). Embeddings, norms and biases stay.
    """

    form: ClassVar[str] = "quantize {to}[ in groups of {group}]"
    to: Format
    """The number format."""
    group: Whole = 0
    """How many weights of a row share a scale; 0 is the whole row, and for nf4 its usual 64."""

    @model_validator(mode="after")
    def _possible(self) -> Quantize:
        if self.group < 0 or self.group == 1:
            raise OutOfRange(f"groups of {self.group}", hint="a scale is for 2 weights or more; 0 is a whole row")
        if self.to == "nf4" and self.group not in NF4_GROUPS:
            raise OutOfRange(f"nf4 in groups of {self.group}", hint="its groups are 32, 64, 128 and so on to 4,096")
        return self
