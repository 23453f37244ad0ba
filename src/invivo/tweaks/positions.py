"""Tweaks of positions: how loudly a model is told where each token stands, and in which code.

A model with learned position vectors (`wpe` in GPT-2) adds one to each token's. A rotary model has no such vectors: it
turns queries and keys by an angle that grows with the position. `boost` does to either what can be done to it; the
engine says which. What this module does not do: find the rotation (engine/rotation.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import model_validator

from ..errors import BadText
from ..sites import INDICES_PATTERN, Place, read_place
from ..spec import Number, Spelling
from .activation import Activation, Here, WeightForm

if TYPE_CHECKING:
    from torch import Tensor

BASE_LENGTH = 10_000.0  # of the slowest wave, in positions and divided by 2 pi (Vaswani et al. 2017, section 3.5)
POSITIONS = Spelling(rf"positions(?:\s+at\s+(?:{INDICES_PATTERN}))?", read_place, str, "POSITIONS", "positions")


class Positional(Activation):
    """A change of what a model is told about positions."""

    place: Annotated[Place, POSITIONS]
    """`positions`, or `positions at 3:` for some of them."""

    @model_validator(mode="after")
    def _of_positions(self) -> Positional:
        if self.place.site != "pos_embed" or self.place.units is not None:
            raise BadText(
                f"`{self.place}` is no place for this: it acts on positions, whole", hint="write `positions`, say"
            )
        return self


class Boost(Positional):
    """Multiply position vectors by a factor; where a model is rotary, the positions by which it turns instead."""

    form: ClassVar[str] = "boost {place} by {factor}[ during {during}]"
    factor: Number
    """The factor; 1 changes nothing."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old * self.factor

    @property
    def as_weights(self) -> tuple[WeightForm, float] | None:
        return ("scale", self.factor) if self.everywhere else None


class Sinusoids(Positional):
    """Put sines and cosines in place of learned position vectors, each as long as the one that it replaces.

    The code of Vaswani et al. 2017: pair i of a vector's numbers is the sine and the cosine of p / 10000^(2i / width).
    """

    form: ClassVar[str] = "swap {place} for sinusoids[ during {during}]"

    def change(self, old: Tensor, here: Here) -> Tensor:
        waves = sinusoids(old.float(), here.positions())
        return waves * (old.float().norm(dim=-1, keepdim=True) / waves.norm(dim=-1, keepdim=True))


def sinusoids(like: Tensor, positions: list[int]) -> Tensor:
    """Sinusoidal position vectors (P, D), as wide as `like` (…, D) and made where it is."""
    width = like.shape[-1]
    rates = like.new_tensor([BASE_LENGTH ** (-2 * i / width) for i in range((width + 1) // 2)])
    angles = like.new_tensor(positions)[:, None] * rates  # (P, D / 2)
    waves = like.new_zeros((len(positions), width))
    waves[:, 0::2] = angles.sin()
    waves[:, 1::2] = angles.cos()[:, : width // 2]
    return waves
