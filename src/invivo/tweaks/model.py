"""Tweaks of the model itself: a row that runs on a second model, which is BASE's with something changed for good.

What a kind does to the weights is written in `engine/makers/`, one file a kind. Where several stand in one stack, they
are applied in order, and before all other tweaks of the row.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from ..errors import OutOfRange
from ..spec import Number
from .base import Family, Tweak


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
